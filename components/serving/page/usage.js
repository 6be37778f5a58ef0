/** Usage by key and day: two charts, a table, and the same as CSV. The caller's own; with an admin key everybody's. */

import { draw } from "./chart.js";
import { $, made } from "./elements.js";
import { ask, download, Problem } from "./service.js";

/**
 * @typedef {{day: string, key: string | null, name: string | null, requests: number, formulas: number, refused: number,
 *   failed: number, corrected: number, median: number | null, p95: number | null, confidence: number | null,
 *   share_corrected: number | null}} Row
 */

const whole = (/** @type {number} */ value) => value.toLocaleString("en", { maximumFractionDigits: 1 });
const share = (/** @type {number | null} */ value) => (value === null ? "–" : `${(100 * value).toFixed(1)} %`);
const time = (/** @type {number | null} */ value) => (value === null ? "–" : `${whole(1000 * value)} ms`);

/** @type {[string, (row: Row) => string][]} */
const COLUMNS = [
  ["Day", (row) => row.day],
  ["Key", (row) => named(row)],
  ["Requests", (row) => whole(row.requests)],
  ["Formulas", (row) => whole(row.formulas)],
  ["Refused", (row) => whole(row.refused)],
  ["Failed", (row) => whole(row.failed)],
  ["Median", (row) => time(row.median)],
  ["95 %", (row) => time(row.p95)],
  ["Confidence", (row) => share(row.confidence)],
  ["Corrected", (row) => share(row.share_corrected)],
];

/** @param {Row} row */
function named(row) {
  return row.key === null ? "without a key" : row.name === null ? row.key : `${row.name} (${row.key})`;
}

/** Shows usage for a key, which `key` tells. @param {() => string | undefined} key */
export function usageOf(key) {
  const wanted = () => `days=${$("days").value}${$("of-key").value ? `&key=${$("of-key").value}` : ""}`;

  async function show() {
    try {
      const { answer } = await ask(`usage?${wanted()}`, { key: key() });
      if (!$("of-key").value) choices(answer.days);
      charts(answer.days);
      $("usage-table").replaceChildren(...table(answer.days));
      $("usage-scope").textContent = answer.days.length
        ? `Of ${answer.scope}, days in UTC. Nothing of what was written is kept here.`
        : "Nothing has been counted yet.";
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      $("usage-charts").replaceChildren();
      $("usage-table").replaceChildren();
      $("usage-scope").textContent = error.status === 401 ? "This API key is not known here." : error.message;
    }
  }

  $("of-key").addEventListener("change", () => void show());
  $("days").addEventListener("change", () => void show());
  $("csv").addEventListener("click", async () => {
    try {
      await download(`usage?format=csv&${wanted()}`, "usage.csv", key());
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      $("usage-scope").textContent = error.message;
    }
  });
  return show;
}

/** Fills the filter with the keys that there are. @param {Row[]} rows */
function choices(rows) {
  const keys = new Map(rows.filter((row) => row.key !== null).map((row) => [row.key, named(row)]));
  const options = [...keys].map(([value, text]) => made("option", { value }, text));
  $("of-key").replaceChildren(made("option", { value: "" }, "all"), ...options);
}

/** @param {Row[]} rows */
function charts(rows) {
  const days = [...new Set(rows.map((row) => row.day))];
  const sum = (/** @type {(row: Row) => number} */ of) =>
    days.map((day) => rows.filter((row) => row.day === day).reduce((total, row) => total + of(row), 0));
  const formulas = sum((row) => row.formulas);
  const mean = (/** @type {(row: Row) => number} */ of) =>
    sum(of).map((total, i) => (formulas[i] ? total / formulas[i] : null));
  const times = days.map((day) => new Date(`${day}T12:00:00Z`));
  const label = (/** @type {Date} */ at) => at.toLocaleDateString([], { month: "short", day: "numeric" });
  const requests = [
    { name: "requests", values: sum((row) => row.requests) },
    { name: "formulas", values: formulas },
    { name: "refused", values: sum((row) => row.refused + row.failed) },
  ];
  const quality = [
    { name: "confidence", values: mean((row) => (row.confidence ?? 0) * row.formulas) },
    { name: "corrected", values: mean((row) => row.corrected) },
  ];
  $("usage-charts").replaceChildren(
    draw({ title: "Requests and formulas", note: "a day", say: whole, least: 4, series: requests, label }, times),
    draw({ title: "Confidence and corrections", note: "mean, and share of formulas", say: share, least: 1, series: quality, label }, times),
  );
}

/** @param {Row[]} rows */
function table(rows) {
  if (!rows.length) return [];
  const head = made("tr", {}, ...COLUMNS.map(([name]) => made("th", { scope: "col" }, name)));
  const body = [...rows].reverse().map((row) => made("tr", {}, ...COLUMNS.map(([, of]) => made("td", {}, of(row)))));
  return [made("thead", {}, head), made("tbody", {}, ...body)];
}
