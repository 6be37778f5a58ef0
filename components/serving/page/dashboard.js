/** Shows what the service measures, anew every few seconds; nothing is kept here. */

import { draw, figure } from "./chart.js";
import { $, made } from "./elements.js";
import { duration } from "./limits.js";
import { ask, Problem } from "./service.js";
import { keysOf } from "./admin.js";
import { usageOf } from "./usage.js";

const EVERY = 5; // seconds

/** @type {Record<string, (value: number) => string>} */
const say = {
  whole: (value) => value.toLocaleString("en", { maximumFractionDigits: 1 }),
  index: (value) => value.toFixed(2),
  share: (value) => `${Math.round(100 * value)} %`,
  seconds: (value) => (value < 1 ? `${say.whole(1000 * value)} ms` : `${say.whole(value)} s`),
};

/** @type {[string, string, string, number, Record<string, (minute: any) => number | null>][]} */
const CHARTS = [
  ["Requests", "a minute, to read or to correct", "whole", 4,
    { answered: (m) => m.answered, refused: (m) => m.refused, failed: (m) => m.failed }],
  ["Time to an answer", "from request to answer, cached ones too", "seconds", 0.02,
    { median: (m) => m.median, "95 %": (m) => m.p95 }],
  ["Confidence", "median of what was read anew", "share", 1, { confidence: (m) => m.confidence }],
  ["Cache", "answers that were known already", "share", 1, { known: (m) => (m.cache_lookups ? m.cache_hits / m.cache_lookups : null) }],
  ["Length", "mean tokens of what was read anew", "whole", 10, { tokens: (m) => m.tokens }],
  ["Drift", "half an hour against all before it (PSI); from 0.2 on worth a look", "index", 0.4,
    { confidence: (m) => m.drift.confidence ?? null, length: (m) => m.drift.tokens ?? null }],
];

/** @param {any[]} minutes */
function problems(minutes) {
  /** @type {Record<string, number>} */ const kinds = {};
  for (const { problems } of minutes) for (const kind in problems) kinds[kind] = (kinds[kind] ?? 0) + problems[kind];
  const sorted = Object.entries(kinds).sort(([, a], [, b]) => b - a);
  const lines = sorted.length ? sorted.map(([kind, n]) => `${say.whole(n)} × ${kind}`) : ["none"];
  const list = made("ul", { className: "kinds" }, ...lines.map((line) => made("li", {}, line)));
  return figure("Problems", "in these hours, by kind of problem", list);
}

/** @param {any} status */
function tiles(status) {
  const known = status.pictures ? say.share(status.cache_hits / status.pictures) : "–";
  const rows = { "Up for": duration(status.uptime), Model: `version ${status.model_version}`,
    Requests: say.whole(status.requests), Readings: say.whole(status.pictures), "Known already": known,
    "At this moment": say.whole(status.in_flight) };
  return Object.entries(rows).map(([name, value]) => made("div", {}, made("dt", {}, name), made("dd", {}, value)));
}

async function show() {
  try {
    const [status, history] = await Promise.all([ask("status"), ask("history")]);
    const { minutes } = history.answer;
    const times = minutes.map((/** @type {any} */ minute) => new Date(minute.start));
    $("tiles").replaceChildren(...tiles(status.answer));
    const charts = CHARTS.map(([title, note, how, least, values]) => {
      const series = Object.entries(values).map(([name, of]) => ({ name, values: minutes.map(of) }));
      return draw({ title, note, say: say[how], least, series }, times);
    });
    $("charts").replaceChildren(...charts, problems(minutes));
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

const NAME = "api-key"; // as on the page to write on: in this tab until it is closed
const key = () => sessionStorage.getItem(NAME) ?? undefined;
const showUsage = usageOf(key);
const showKeys = keysOf(key);

/** @param {string} entered */
async function use(entered) {
  if (entered) sessionStorage.setItem(NAME, entered);
  else sessionStorage.removeItem(NAME);
  $("key").value = "";
  $("of-key").value = "";
  await look();
}

async function look() {
  $("forget").hidden = key() === undefined;
  $("key").placeholder = key() === undefined ? "" : "one is in use";
  await Promise.all([showUsage(), showKeys()]);
}

$("with-key").addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault();
  void use($("key").value.trim());
});
$("forget").addEventListener("click", () => void use(""));
void look();

addEventListener("visibilitychange", () => { if (!document.hidden) void show(); });
void watch();
