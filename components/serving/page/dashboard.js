/** Shows what the service measures, anew every few seconds; nothing is kept here. */

import { draw } from "./chart.js";
import { duration } from "./limits.js";
import { ask, Problem } from "./service.js";

const EVERY = 5; // seconds

/** @param {string} id @returns {any} */
const $ = (id) => document.getElementById(id);
const whole = (/** @type {number} */ value) => value.toLocaleString("en", { maximumFractionDigits: 1 });
const index = (/** @type {number} */ value) => value.toFixed(2);
const share = (/** @type {number} */ value) => `${Math.round(100 * value)} %`;
const seconds = (/** @type {number} */ value) => (value < 1 ? `${whole(1000 * value)} ms` : `${whole(value)} s`);

/** @param {any[]} minutes */
function charts(minutes) {
  const of = (/** @type {string} */ name, /** @type {(minute: any) => number | null} */ values) =>
    ({ name, values: minutes.map(values) });
  return [
    { title: "Requests", note: "a minute, to read or to correct", say: whole, least: 4,
      series: [of("answered", (m) => m.answered), of("refused", (m) => m.refused), of("failed", (m) => m.failed)] },
    { title: "Time to an answer", note: "from request to answer, cached ones too", say: seconds, least: 0.02,
      series: [of("median", (m) => m.median), of("95 %", (m) => m.p95)] },
    { title: "Confidence", note: "median of what was read anew", say: share, least: 1,
      series: [of("confidence", (m) => m.confidence)] },
    { title: "Cache", note: "answers that were known already", say: share, least: 1,
      series: [of("known", (m) => (m.looked_up ? m.known / m.looked_up : null))] },
    { title: "Length", note: "mean tokens of what was read anew", say: whole, least: 10,
      series: [of("tokens", (m) => m.tokens)] },
    { title: "Drift", note: "half an hour against all before it (PSI); from 0.2 on worth a look", say: index, least: 0.4,
      series: [of("confidence", (m) => m.drift.confidence ?? null), of("length", (m) => m.drift.tokens ?? null)] },
  ];
}

/** @param {any[]} minutes */
function problems(minutes) {
  /** @type {Record<string, number>} */ const kinds = {};
  for (const { problems } of minutes) for (const kind in problems) kinds[kind] = (kinds[kind] ?? 0) + problems[kind];
  const figure = document.createElement("figure");
  const caption = document.createElement("figcaption");
  const small = document.createElement("small");
  const list = document.createElement("ul");
  list.className = "kinds";
  small.textContent = "in these hours, by kind of problem";
  caption.append("Problems", small);
  const sorted = Object.entries(kinds).sort(([, a], [, b]) => b - a);
  for (const text of sorted.length ? sorted.map(([kind, n]) => `${whole(n)} × ${kind}`) : ["none"]) {
    list.append(Object.assign(document.createElement("li"), { textContent: text }));
  }
  figure.append(caption, list);
  return figure;
}

/** @param {any} status */
function tiles(status) {
  const known = status.pictures ? share(status.cache_hits / status.pictures) : "–";
  const rows = { "Up for": duration(status.uptime), Model: `version ${status.model_version}`,
    "Requests": whole(status.requests), Readings: whole(status.pictures), "Known already": known,
    "At this moment": whole(status.in_flight) };
  return Object.entries(rows).map(([name, value]) => {
    const tile = document.createElement("div");
    tile.append(Object.assign(document.createElement("dt"), { textContent: name }),
      Object.assign(document.createElement("dd"), { textContent: value }));
    return tile;
  });
}

async function show() {
  try {
    const [status, history] = await Promise.all([ask("status"), ask("history")]);
    const { minutes } = history.answer;
    const times = minutes.map((/** @type {any} */ minute) => new Date(minute.start));
    $("tiles").replaceChildren(...tiles(status.answer));
    $("charts").replaceChildren(...charts(minutes).map((chart) => draw(chart, times)), problems(minutes));
    $("trouble").hidden = true;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const closed = [401, 403, 404].includes(error.status);
    $("trouble").textContent = closed ? "What the service measures is not open to you here." : `${error.message} What is shown is older.`;
    $("trouble").hidden = false;
  }
}

async function watch() {
  if (!document.hidden) await show();
  setTimeout(() => void watch(), 1000 * EVERY);
}

addEventListener("visibilitychange", () => { if (!document.hidden) void show(); });
void watch();
