/** InkML in its plain form, to be shown and written on. */

const MARGIN = 24; // CSS pixels
const LARGEST = 12; // a formula of a few units must not fill the sheet with one dot

/**
 * The strokes, made to fit a sheet; null where the file is of a form that only the service reads.
 * @param {string} text @param {number} width @param {number} height
 * @returns {Float32Array[] | null}
 */
export function strokesOf(text, width, height) {
  const ink = new DOMParser().parseFromString(text, "application/xml");
  const channels = Array.from(ink.getElementsByTagNameNS("*", "channel"), (channel) => channel.getAttribute("name"));
  if (channels.length && !(channels[0] === "X" && channels[1] === "Y")) return null;
  /** @type {number[][]} */ const strokes = [];
  for (const trace of ink.getElementsByTagNameNS("*", "trace")) {
    if (trace.hasAttribute("type") || trace.hasAttribute("continuation")) return null;
    const points = (trace.textContent ?? "").trim().split(/\s*,\s*/).filter(Boolean);
    const stroke = points.flatMap((point) => {
      const numbers = point.trim().split(/\s+/);
      return numbers.every((number) => /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(number)) && numbers.length > 1
        ? [Number(numbers[0]), Number(numbers[1])]
        : [Number.NaN];
    });
    if (stroke.some(Number.isNaN)) return null;
    if (stroke.length) strokes.push(stroke);
  }
  return strokes.length ? fitted(strokes, width, height) : null;
}

/** @param {number[][]} strokes @param {number} width @param {number} height */
function fitted(strokes, width, height) {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const stroke of strokes) {
    for (let i = 0; i < stroke.length; i += 2) {
      left = Math.min(left, stroke[i]);
      right = Math.max(right, stroke[i]);
      top = Math.min(top, stroke[i + 1]);
      bottom = Math.max(bottom, stroke[i + 1]);
    }
  }
  const room = [(width - 2 * MARGIN) / (right - left || 1), (height - 2 * MARGIN) / (bottom - top || 1)];
  const scale = Math.min(...room, LARGEST);
  const [x, y] = [(width - scale * (right - left)) / 2, (height - scale * (bottom - top)) / 2];
  return strokes.map((stroke) => {
    const made = new Float32Array((stroke.length / 2) * 3);
    for (let i = 0; i < stroke.length / 2; i++) {
      made.set([x + scale * (stroke[2 * i] - left), y + scale * (stroke[2 * i + 1] - top), 0.5], 3 * i);
    }
    return made;
  });
}
