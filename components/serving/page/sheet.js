/** The canvas: draws strokes sharply on any screen, the newest piece by piece as it is written. */

/** @typedef {import("./ink.js").Stroke} Stroke */

const PEN = 2.8; // CSS pixels, at half the pressure

export class Sheet {
  /** CSS pixels of the canvas for one of the ink: less than 1 where the ink would not fit, on a turned telephone. */
  scale = 1;
  #canvas; #context; #strokes = () => /** @type {readonly Stroke[]} */ ([]);

  /** @param {HTMLCanvasElement} canvas @param {() => readonly Stroke[]} strokes what is to be seen */
  constructor(canvas, strokes) {
    this.#canvas = canvas;
    this.#context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    this.#strokes = strokes;
    new ResizeObserver(() => this.paint()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
  }

  /** Draws everything anew. */
  paint() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const density = devicePixelRatio || 1;
    this.#canvas.width = Math.round(width * density);
    this.#canvas.height = Math.round(height * density);
    const strokes = this.#strokes();
    let [right, bottom] = [1, 1];
    for (const stroke of strokes) {
      for (let i = 0; i < stroke.length; i += 3) {
        right = Math.max(right, stroke[i] + PEN);
        bottom = Math.max(bottom, stroke[i + 1] + PEN);
      }
    }
    this.scale = Math.min(1, width / right, height / bottom) || 1;
    const ratio = density * this.scale;
    this.#context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.#context.lineCap = this.#context.lineJoin = "round";
    this.#context.strokeStyle = getComputedStyle(this.#canvas).getPropertyValue("--ink");
    for (const stroke of strokes) this.draw(stroke);
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
