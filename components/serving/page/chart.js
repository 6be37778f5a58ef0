/** Lines over time, as inline SVG. */

import { made, shape } from "./elements.js";

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [400, 160, 54, 394, 8, 140];
const NAMES = ["one", "two", "three"];

/**
 * @typedef {{name: string, values: (number | null)[]}} Series null: nothing is known of that minute
 * @typedef {{title: string, note: string, series: Series[], say: (value: number) => string, least: number,
 *   label?: (time: Date) => string}} Chart
 *   `least`: what the axis reaches at least; `label`: what stands at its ends, the time of day otherwise
 */

/** @param {Chart} chart @param {Date[]} times */
export function draw(chart, times) {
  const { title, note, series, say, least, label = clock } = chart;
  const top = ceiling(Math.max(least, ...series.flatMap(({ values }) => values.map((value) => value ?? 0))));
  const x = (/** @type {number} */ i) => LEFT + ((RIGHT - LEFT) * i) / Math.max(1, times.length - 1);
  const y = (/** @type {number} */ value) => TOP + (BOTTOM - TOP) * (1 - value / top);
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": summary(chart) });
  for (const part of [0, 0.5, 1]) {
    svg.append(
      shape("line", { class: "rule", x1: LEFT, x2: RIGHT, y1: y(part * top), y2: y(part * top) }),
      shape("text", { x: LEFT - 6, y: y(part * top) + 4, "text-anchor": "end" }, say(part * top)),
    );
  }
  if (times.length > 1) {
    svg.append(
      shape("text", { x: LEFT, y: HEIGHT - 4 }, label(times[0])),
      shape("text", { x: RIGHT, y: HEIGHT - 4, "text-anchor": "end" }, label(times[times.length - 1])),
    );
  }
  series.forEach(({ values }, number) => {
    const d = values.map((value, i) => {
      if (value === null) return "";
      const place = `${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
      // A dot is seen of a minute between two of which nothing is known.
      return i > 0 && values[i - 1] !== null ? `L${place}` : `M${place}h.1`;
    });
    svg.append(shape("path", { class: `series ${NAMES[number]}`, d: d.join("") }));
  });
  if (series.every(({ values }) => values.every((value) => value === null))) {
    svg.append(shape("text", { x: (LEFT + WIDTH) / 2, y: y(0.75 * top), "text-anchor": "middle" }, "nothing yet"));
  }
  return figure(title, note, svg, ...(series.length > 1 ? [legend(series)] : []));
}

/** @param {string} title @param {string} note @param {Element[]} content */
export function figure(title, note, ...content) {
  return made("figure", {}, made("figcaption", {}, title, made("small", {}, note)), ...content);
}

/** @param {Series[]} series */
function legend(series) {
  return made("ul", { className: "legend" }, ...series.map(({ name }, number) => {
    const key = shape("svg", { viewBox: "0 0 26 10", "aria-hidden": "true" });
    key.append(shape("path", { class: `series ${NAMES[number]}`, d: "M1 5h24" }));
    return made("li", {}, key, name);
  }));
}

/** What the chart shows, for who does not see it. @param {Chart} chart */
function summary({ title, series, say }) {
  const parts = series.map(({ name, values }) => {
    const known = values.filter((value) => value !== null);
    if (!known.length) return `${name}: nothing yet`;
    return `${name}: last ${say(known[known.length - 1])}, at most ${say(Math.max(...known))}`;
  });
  return `${title}. ${parts.join("; ")}`;
}

/** The next round number. @param {number} value */
function ceiling(value) {
  const unit = 10 ** Math.floor(Math.log10(value));
  return unit * ([1, 2, 5, 10].find((step) => step * unit >= value * 0.9999) ?? 10);
}

/** @param {Date} time */
function clock(time) {
  return time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}
