/** InkML in its plain form, to be written on. */

import { bounds } from "./ink.js";

const MARGIN = 24; // CSS pixels
const LARGEST = 12; // a few units must not fill it with a dot

/**
 * The strokes, fitted to a sheet; null if only the service reads them.
 * @param {string} text @param {number} width @param {number} height
 * @returns {Float32Array[] | null}
 */
export function strokesOf(text, width, height) {
  const ink = new DOMParser().parseFromString(text, "application/xml");
  if (ink.querySelector("definitions,context,canvas,canvasTransform,[orientation],[units],trace[type],[priorRef]")) return null;
  const channels = Array.from(ink.querySelectorAll("channel"), (channel) => channel.getAttribute("name"));
  if (!/^(X,Y|$)/.test(channels.join())) return null;
  /** @type {number[][][]} */ const strokes = [];
  for (const trace of ink.querySelectorAll("trace")) {
    const content = trace.textContent ?? "";
    if (/[^\d\s.,e+-]/i.test(content)) return null;
    const points = content.split(",").map((point) => point.trim()).filter(Boolean);
    const stroke = points.map((point) => point.split(/\s+/).map(Number));
    if (stroke.some((numbers) => numbers.length < 2 || !numbers.every(Number.isFinite))) return null;
    if (stroke.length) strokes.push(stroke.map((numbers) => numbers.slice(0, 2)));
  }
  return strokes.length ? fitted(strokes, width, height) : null;
}

/** @param {number[][][]} strokes @param {number} width @param {number} height */
function fitted(strokes, width, height) {
  const [left, top, right, bottom] = bounds(strokes.flat(), 2);
  const room = [(width - 2 * MARGIN) / (right - left || 1), (height - 2 * MARGIN) / (bottom - top || 1)];
  const scale = Math.min(...room, LARGEST);
  const [x, y] = [(width - scale * (right - left)) / 2, (height - scale * (bottom - top)) / 2];
  return strokes.map((stroke) =>
    Float32Array.from(stroke.flatMap((point) => [x + scale * (point[0] - left), y + scale * (point[1] - top), 0.5])),
  );
}
