/** Lines over time, as inline SVG. */

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, LEFT, TOP, BOTTOM] = [400, 160, 54, 8, 20];
const NAMES = ["one", "two", "three"];

/**
 * @typedef {{name: string, values: (number | null)[]}} Series null: nothing is known of that minute
 * @typedef {{title: string, note: string, series: Series[], say: (value: number) => string, least: number}} Chart
 *   `least`: what the axis reaches at least
 */

/** @param {Chart} chart @param {Date[]} times */
export function draw({ title, note, series, say, least }, times) {
  const top = ceiling(Math.max(least, ...series.flatMap(({ values }) => values.map((value) => value ?? 0))));
  const x = (/** @type {number} */ i) => LEFT + ((WIDTH - LEFT - 6) * i) / Math.max(1, times.length - 1);
  const y = (/** @type {number} */ value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top);
  const svg = made("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": summary(title, series, say) });
  for (const part of [0, 0.5, 1]) {
    svg.append(
      made("line", { class: "rule", x1: LEFT, x2: WIDTH - 6, y1: y(part * top), y2: y(part * top) }),
      made("text", { x: LEFT - 6, y: y(part * top) + 4, "text-anchor": "end" }, say(part * top)),
    );
  }
  if (times.length > 1) {
    svg.append(
      made("text", { x: LEFT, y: HEIGHT - 4 }, clock(times[0])),
      made("text", { x: WIDTH - 6, y: HEIGHT - 4, "text-anchor": "end" }, clock(times[times.length - 1])),
    );
  }
  series.forEach(({ values }, number) => {
    const d = values.map((value, i) => {
      if (value === null) return "";
      const joined = i > 0 && values[i - 1] !== null;
      if (!joined && (values[i + 1] ?? null) === null) { // a minute between two of which nothing is known
        svg.append(made("circle", { class: `series ${NAMES[number]}`, cx: x(i), cy: y(value), r: 2 }));
      }
      return `${joined ? "L" : "M"}${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
    });
    svg.append(made("path", { class: `series ${NAMES[number]}`, d: d.join("") }));
  });
  if (series.every(({ values }) => values.every((value) => value === null))) {
    svg.append(made("text", { x: (LEFT + WIDTH) / 2, y: y(0.75 * top), "text-anchor": "middle" }, "nothing yet"));
  }
  const caption = document.createElement("figcaption");
  const small = document.createElement("small");
  small.textContent = note;
  caption.append(title, small);
  const figure = document.createElement("figure");
  figure.append(caption, svg);
  if (series.length > 1) figure.append(legend(series));
  return figure;
}

/** @param {Series[]} series */
function legend(series) {
  const list = document.createElement("ul");
  list.className = "legend";
  list.append(...series.map(({ name }, number) => {
    const item = document.createElement("li");
    const key = made("svg", { viewBox: "0 0 26 10", "aria-hidden": "true" });
    key.append(made("path", { class: `series ${NAMES[number]}`, d: "M1 5h24" }));
    item.append(key, name);
    return item;
  }));
  return list;
}

/** What the chart shows, for who does not see it. @param {string} title @param {Series[]} series @param {(value: number) => string} say */
function summary(title, series, say) {
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

/** @param {string} name @param {Record<string, string | number>} attributes @param {string} text */
function made(name, attributes, text = "") {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  if (text) element.textContent = text;
  return element;
}
