/** Crops and turns a picture before it is sent: whatever lies beside the formula stays on the device. */

import { $, made } from "./elements.js";

const WHOLE_SHEET = 1_500_000; // pixels: a picture with more is probably of more than the formula
const LONGEST = 3000; // pixels of a side of what is sent: more is never looked at
const HEAVY = 8_000_000; // bytes: what is larger is made smaller
const LEAST = 0.03; // of the picture, the smallest part
const STEP = 0.01; // of the picture, that an arrow key moves a corner; five times that with Shift
const CORNERS = ["top left", "top right", "bottom left", "bottom right"];

/** @typedef {"left" | "top" | "right" | "bottom"} Side */

export class Cropper {
  /** @type {ImageBitmap | null} */ #picture = null;
  /** @type {((part: Blob | null) => void) | null} */ #answer = null;
  #turns = 0; // quarters clockwise
  #part = { left: 0, top: 0, right: 1, bottom: 1 }; // of the turned picture

  constructor() {
    const dialog = $("crop");
    dialog.addEventListener("close", () => { if (!dialog.open) this.#close(null); });
    $("crop-cancel").addEventListener("click", () => this.#close(null));
    $("crop-left").addEventListener("click", () => this.#turn(3));
    $("crop-right").addEventListener("click", () => this.#turn(1));
    $("crop-whole").addEventListener("click", () => this.#become({ left: 0, top: 0, right: 1, bottom: 1 }));
    $("crop-read").addEventListener("click", () => void this.#read());
    for (const corner of CORNERS) {
      const label = `Corner ${corner}, arrow keys move it`;
      const handle = made("button", { type: "button", className: `corner ${corner}`, ariaLabel: label });
      const sides = /** @type {Side[]} */ (corner.split(" ").reverse());
      this.#drag(handle, sides);
      handle.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#key(event, sides));
      $("crop-part").append(handle);
    }
    this.#drag($("crop-part"), ["left", "top", "right", "bottom"]);
    addEventListener("resize", () => { if (dialog.open) this.#paint(); });
  }

  /**
   * The part of a picture that is to be sent; null: nothing. Pictures that the browser can't show are sent as they are.
   * @param {File} file @param {boolean} always also small pictures are shown first
   * @returns {Promise<Blob | null>}
   */
  async part(file, always) {
    this.#close(null);
    let picture;
    try {
      picture = await createImageBitmap(file); // upright, as its EXIF data say
    } catch { // TIFF, HEIC, or no picture: the service knows more formats, and says what is wrong
      return file;
    }
    if (!always && picture.width * picture.height < WHOLE_SHEET && file.size < HEAVY) {
      picture.close();
      return file;
    }
    this.#picture = picture;
    this.#file = file;
    this.#turns = 0;
    $("crop").showModal();
    this.#become({ left: 0, top: 0, right: 1, bottom: 1 });
    this.#paint();
    $("crop-read").focus();
    return new Promise((resolve) => { this.#answer = resolve; });
  }

  /** @type {File | null} */ #file = null;

  /** Width and height of the turned picture, pixels. */
  get #size() {
    const { width, height } = /** @type {ImageBitmap} */ (this.#picture);
    return this.#turns % 2 ? [height, width] : [width, height];
  }

  /** Draws the turned picture, as large as it fits. */
  #paint() {
    const [width, height] = this.#size;
    const canvas = $("crop-picture");
    const { clientWidth, clientHeight } = $("crop-room");
    const scale = Math.min(clientWidth / width, clientHeight / height);
    $("crop-sheet").style.width = `${Math.floor(width * scale)}px`;
    $("crop-sheet").style.height = `${Math.floor(height * scale)}px`;
    const fine = Math.min(1, scale * (devicePixelRatio || 1));
    canvas.width = Math.max(1, Math.round(width * fine));
    canvas.height = Math.max(1, Math.round(height * fine));
    this.#draw(canvas, fine, 0, 0);
  }

  /** The turned picture on a canvas that begins at a place of it, in its pixels.
   *  @param {HTMLCanvasElement} canvas @param {number} scale @param {number} left @param {number} top */
  #draw(canvas, scale, left, top) {
    const picture = /** @type {ImageBitmap} */ (this.#picture);
    const [width, height] = this.#size;
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    context.imageSmoothingQuality = "high";
    context.scale(scale, scale);
    context.translate(width / 2 - left, height / 2 - top);
    context.rotate((this.#turns * Math.PI) / 2);
    context.drawImage(picture, -picture.width / 2, -picture.height / 2);
  }

  /** @param {{left: number, top: number, right: number, bottom: number}} part */
  #become(part) {
    this.#part = part;
    const frame = $("crop-part").style;
    frame.left = `${100 * part.left}%`;
    frame.top = `${100 * part.top}%`;
    frame.width = `${100 * (part.right - part.left)}%`;
    frame.height = `${100 * (part.bottom - part.top)}%`;
    const [width, height] = this.#size;
    const pixels = [(part.right - part.left) * width, (part.bottom - part.top) * height].map(Math.round);
    $("crop-said").textContent = `${pixels[0]} × ${pixels[1]} of ${width} × ${height} pixels`;
  }

  /** @param {number} quarters clockwise */
  #turn(quarters) {
    this.#turns = (this.#turns + quarters) % 4;
    let part = this.#part;
    for (let i = 0; i < quarters; i++) {
      part = { left: 1 - part.bottom, top: part.left, right: 1 - part.top, bottom: part.right };
    }
    this.#paint();
    this.#become(part);
  }

  /** Sides go by a share of the picture: all of them together, or those of a corner, which do not meet others.
   *  @param {typeof this.#part} from @param {Side[]} sides @param {number} x @param {number} y */
  #move(from, sides, x, y) {
    const part = { ...from };
    if (sides.length === 4) {
      const dx = Math.min(1 - from.right, Math.max(-from.left, x));
      const dy = Math.min(1 - from.bottom, Math.max(-from.top, y));
      part.left += dx;
      part.right += dx;
      part.top += dy;
      part.bottom += dy;
    } else {
      for (const side of sides) {
        const to = from[side] + (side === "left" || side === "right" ? x : y);
        if (side === "left") part.left = Math.min(from.right - LEAST, Math.max(0, to));
        if (side === "right") part.right = Math.max(from.left + LEAST, Math.min(1, to));
        if (side === "top") part.top = Math.min(from.bottom - LEAST, Math.max(0, to));
        if (side === "bottom") part.bottom = Math.max(from.top + LEAST, Math.min(1, to));
      }
    }
    this.#become(part);
  }

  /** @param {HTMLElement} handle @param {Side[]} sides */
  #drag(handle, sides) {
    /** @type {{id: number, x: number, y: number, part: any} | null} */ let held = null;
    handle.addEventListener("pointerdown", (event) => {
      if (event.target !== handle || event.button !== 0 || held) return;
      held = { id: event.pointerId, x: event.clientX, y: event.clientY, part: this.#part };
      handle.setPointerCapture(event.pointerId);
    });
    handle.addEventListener("pointermove", (event) => {
      if (held?.id !== event.pointerId) return;
      const { width, height } = $("crop-sheet").getBoundingClientRect();
      this.#move(held.part, sides, (event.clientX - held.x) / width, (event.clientY - held.y) / height);
    });
    for (const end of ["pointerup", "pointercancel"]) {
      handle.addEventListener(end, (event) => {
        if (held?.id === /** @type {PointerEvent} */ (event).pointerId) held = null;
      });
    }
  }

  /** @param {KeyboardEvent} event @param {Side[]} sides */
  #key(event, sides) {
    /** @type {Record<string, number[]>} */
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const way = ways[event.key];
    if (!way) return;
    event.preventDefault();
    const step = event.shiftKey ? 5 * STEP : STEP;
    this.#move(this.#part, sides, way[0] * step, way[1] * step);
  }

  async #read() {
    const file = /** @type {File} */ (this.#file);
    const { left, top, right, bottom } = this.#part;
    const whole = !this.#turns && right - left > 0.999 && bottom - top > 0.999;
    if (whole && file.size < HEAVY) return this.#close(file);
    const [width, height] = this.#size;
    const size = [(right - left) * width, (bottom - top) * height];
    const scale = Math.min(1, LONGEST / Math.max(...size));
    const canvas = made("canvas", { width: Math.round(size[0] * scale), height: Math.round(size[1] * scale) });
    this.#draw(canvas, scale, left * width, top * height);
    const type = file.type === "image/png" && file.size < HEAVY ? "image/png" : "image/jpeg"; // a PNG may be transparent
    const part = await new Promise((resolve) => canvas.toBlob(resolve, type, 0.92));
    this.#close(part);
  }

  /** @param {Blob | null} part */
  #close(part) {
    const answer = this.#answer;
    this.#answer = null;
    this.#picture?.close();
    this.#picture = this.#file = null;
    if ($("crop").open) $("crop").close();
    answer?.(part);
  }
}
