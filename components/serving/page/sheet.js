/** The canvas: draws strokes sharply on any screen, the newest piece by piece as it is written. */

import { bounds } from "./ink.js";

/** @typedef {import("./ink.js").Stroke} Stroke */
/** @typedef {import("./light.js").Box} Box */

const PEN = 2.8; // CSS pixels, at half the pressure
const FAR = 1e5; // CSS pixels: beyond any sheet

export class Sheet {
  /** CSS pixels of the canvas for one of the ink: less than 1 where the ink would not fit, on a turned telephone. */
  scale = 1;
  #canvas; #context; #strokes;
  /** @type {Box[]} */ #lit = [];
  /** @type {Box[]} */ #all = [];

  /** @param {HTMLCanvasElement} canvas @param {() => readonly Stroke[]} strokes what is to be seen */
  constructor(canvas, strokes) {
    this.#canvas = canvas;
    this.#context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    this.#strokes = strokes;
    new ResizeObserver(() => this.paint()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
  }

  /** Lights the ink up that lies in some boxes, and in no smaller one that lies in them.
   *  @param {Box[]} boxes @param {Box[]} all */
  light(boxes, all) {
    if (!boxes.length && !this.#lit.length) return;
    this.#lit = boxes;
    this.#all = all;
    this.paint();
  }

  /** Draws everything anew. */
  paint() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const density = devicePixelRatio || 1;
    this.#canvas.width = Math.round(width * density);
    this.#canvas.height = Math.round(height * density);
    const strokes = this.#strokes();
    const [, , right, bottom] = bounds(strokes, 3);
    this.scale = Math.min(1, width / Math.max(1, right + PEN), height / Math.max(1, bottom + PEN)) || 1;
    const ratio = density * this.scale;
    this.#context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.#context.lineCap = this.#context.lineJoin = "round";
    this.#context.strokeStyle = getComputedStyle(this.#canvas).getPropertyValue("--ink");
    for (const stroke of strokes) this.draw(stroke);
    for (const box of this.#lit) this.#lightUp(box);
  }

  /** @param {Box} box */
  #lightUp(box) {
    const context = this.#context;
    const clip = (/** @type {Box} */ [left, top, right, bottom], outside = 0) => {
      context.beginPath();
      context.rect(left - PEN, top - PEN, right - left + 2 * PEN, bottom - top + 2 * PEN);
      context.rect(0, 0, outside, outside);
      context.clip("evenodd");
    };
    context.save();
    clip(box);
    context.fillStyle = context.strokeStyle = getComputedStyle(this.#canvas).getPropertyValue("--accent");
    context.globalAlpha = 0.15;
    context.fillRect(0, 0, FAR, FAR);
    context.globalAlpha = 1;
    for (const other of this.#all) { // what stands under a root is not the root's
      if (other !== box && other.every((side, i) => (i < 2 ? side >= box[i] : side <= box[i]))) clip(other, FAR);
    }
    for (const stroke of this.#strokes()) this.draw(stroke);
    context.restore();
  }

  /** Draws a stroke from one of its points on. @param {ArrayLike<number>} stroke @param {number} from */
  draw(stroke, from = 0) {
    const context = this.#context;
    for (let i = Math.max(0, from - 3); i < stroke.length; i += 3) {
      const before = Math.max(0, i - 3);
      context.lineWidth = PEN * (0.5 + stroke[i + 2]);
      context.beginPath();
      context.moveTo(stroke[before], stroke[before + 1]);
      context.lineTo(stroke[i], stroke[i + 1]);
      context.stroke();
    }
  }

  /** A place on the screen as one in the ink. @param {{clientX: number, clientY: number}} event */
  place(event) {
    const box = this.#canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / this.scale, (event.clientY - box.top) / this.scale];
  }
}
