/** What has been written: strokes, and the way back. */

/**
 * A stroke: x, y, pressure, x, y, pressure, … in CSS pixels of the sheet.
 * @typedef {Float32Array} Stroke
 */

// A long session must not fill the memory: older steps can't be undone.
const STEPS = 100;

export class Ink {
  /** @type {readonly Stroke[]} */ strokes = [];
  /** @type {(readonly Stroke[])[]} */ #past = [];
  /** @type {(readonly Stroke[])[]} */ #future = [];

  get canUndo() { return this.#past.length > 0; }
  get canRedo() { return this.#future.length > 0; }

  /** @param {Stroke} stroke */
  add(stroke) { this.become([...this.strokes, stroke]); }

  /** Other strokes in place of these, in one step. @param {readonly Stroke[]} strokes */
  become(strokes) {
    this.#past.push(this.strokes);
    if (this.#past.length > STEPS) this.#past.shift();
    this.#future = [];
    this.strokes = strokes;
  }

  undo() { this.#step(this.#past, this.#future); }
  redo() { this.#step(this.#future, this.#past); }

  /** As the service takes it, a tenth of a pixel fine. @returns {string} */
  json() {
    const round = (/** @type {number} */ value) => Number(value.toFixed(1));
    const strokes = this.strokes.map((stroke) => {
      const points = [];
      for (let i = 0; i < stroke.length; i += 3) points.push([round(stroke[i]), round(stroke[i + 1])]);
      return points;
    });
    return JSON.stringify({ strokes });
  }

  /** @param {(readonly Stroke[])[]} from @param {(readonly Stroke[])[]} to */
  #step(from, to) {
    const state = from.pop();
    if (!state) return;
    to.push(this.strokes);
    this.strokes = state;
  }
}

/** Left, top, right and bottom. @param {readonly ArrayLike<number>[]} strokes @param {number} step numbers a point has */
export function bounds(strokes, step) {
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  for (const stroke of strokes) {
    for (let i = 0; i < stroke.length; i += step) {
      for (const side of [0, 1]) {
        box[side] = Math.min(box[side], stroke[i + side]);
        box[side + 2] = Math.max(box[side + 2], stroke[i + side]);
      }
    }
  }
  return box;
}

/**
 * The strokes that do not come as near to a place as `reach`.
 * @param {readonly Stroke[]} strokes @param {number} x @param {number} y @param {number} reach
 */
export function without(strokes, x, y, reach) {
  return strokes.filter((stroke) => distance(stroke, x, y) > reach);
}

/** From a place to the nearest point of a stroke's line. @param {Stroke} stroke @param {number} x @param {number} y */
function distance(stroke, x, y) {
  let least = Math.hypot(stroke[0] - x, stroke[1] - y);
  for (let i = 3; i < stroke.length; i += 3) {
    const [ax, ay] = [stroke[i - 3], stroke[i - 2]];
    const [dx, dy] = [stroke[i] - ax, stroke[i + 1] - ay];
    const along = Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1)));
    least = Math.min(least, Math.hypot(ax + along * dx - x, ay + along * dy - y));
  }
  return least;
}
