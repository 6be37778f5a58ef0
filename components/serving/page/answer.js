/** Shows what was read, and lets the writer choose, copy and correct. */

import { $, made } from "./elements.js";
import { typeset } from "./mathml.js";
import { Problem } from "./service.js";

/** @typedef {import("./service.js").Reading} Reading */
/** @typedef {import("./service.js").Told} Told */

const QUIET = 900; // milliseconds: while one writes on, nothing is read out
const REST = 1500; // milliseconds without another stroke, after which all is told of the little that is written

export class AnswerView {
  /** @type {Told | null} */ #told = null;
  #speaking = 0;
  #resting = 0;
  #correct;

  /** @param {(id: string, formula: string) => Promise<Reading>} correct sends what should have been read, and
   *  has told of a Problem that it throws
   *  @param {boolean} correctable whether the service takes corrections */
  constructor(correct, correctable) {
    this.#correct = correct;
    $("send").hidden = $("how").hidden = !correctable;
    $("latex").addEventListener("input", () => this.#edited());
    $("copy").addEventListener("click", () => this.#copy());
    $("correction").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      void this.#send();
    });
  }

  /** Where the formula that is shown was read: nowhere, unless it is what was read last, from all there is. */
  get tokenBoxes() {
    const { formula, token_boxes } = this.#told?.answer ?? {};
    const other = $("answer").ariaBusy === "true" || $("formula").classList.contains("stale");
    return other || formula !== $("latex").value ? [] : token_boxes ?? [];
  }

  waiting() {
    $("answer").ariaBusy = "true";
    clearTimeout(this.#resting);
  }

  /** @param {Told} told @param {boolean} little is written: as long as one writes on, the formula is all that is shown */
  show(told, little) {
    this.#told = told;
    $("answer").classList.toggle("tentative", little);
    clearTimeout(this.#resting);
    if (little) this.#resting = setTimeout(() => $("answer").classList.remove("tentative"), REST);
    const { answer } = told;
    $("answer").ariaBusy = "false";
    this.#list([answer, ...(answer.alternatives ?? [])]);
    this.#choose(answer);
    this.#facts(told);
    $("correction").hidden = false;
    clearTimeout(this.#speaking);
    this.#speaking = setTimeout(() => {
      $("spoken").textContent = `Read: ${answer.formula || "nothing"}, ${percent(answer.confidence)} sure.`;
    }, little ? REST + QUIET : QUIET);
  }

  /** Nothing is there to be read. @param {string} hint */
  clear(hint) {
    this.#told = null;
    clearTimeout(this.#speaking);
    clearTimeout(this.#resting);
    $("answer").classList.remove("tentative");
    $("answer").ariaBusy = "false";
    $("formula").replaceChildren(made("p", { className: "hint" }, hint));
    $("formula").classList.remove("stale");
    $("facts").replaceChildren();
    $("readings").replaceChildren();
    $("spoken").textContent = $("thanks").textContent = "";
    $("correction").hidden = $("readings").hidden = true;
  }

  /** What is shown is not what stands there any more. */
  stale() {
    $("answer").ariaBusy = "false";
    if (this.#told) $("formula").classList.add("stale");
  }

  /** @param {Reading[]} readings */
  #list(readings) {
    const buttons = readings.map((reading) => {
      const sure = made("small", {}, percent(reading.confidence));
      const button = made("button", { type: "button" }, typeset(reading, "inline"), sure);
      button.dataset.formula = reading.formula;
      button.addEventListener("click", () => this.#choose(reading));
      return button;
    });
    $("readings").replaceChildren(...buttons);
    $("readings").hidden = readings.length < 2;
  }

  /** @param {Reading} reading */
  #choose(reading) {
    $("formula").replaceChildren(typeset(reading, "block"));
    for (const button of $("readings").children) {
      button.ariaPressed = String(button.dataset.formula === reading.formula);
    }
    $("latex").value = reading.formula;
    this.#edited();
  }

  #edited() {
    const read = this.#told?.answer.formula;
    const text = $("latex").value.trim();
    $("send").disabled = !this.#told || !text || text === read;
    $("thanks").textContent = "";
    // It is typeset by the service, which has not seen this.
    const chosen = $("readings").querySelector("[aria-pressed=true]");
    $("formula").classList.toggle("stale", !!chosen && chosen.dataset.formula.trim() !== text);
  }

  /** @param {Told} told */
  #facts({ answer, milliseconds, cached }) {
    const meter = made("meter", { low: 0.4, high: 0.75, optimum: 1, value: answer.confidence, ariaLabel: "Confidence" });
    const service = cached ? "known already" : `service ${Math.round(1000 * answer.processing_time)} ms`;
    $("facts").replaceChildren(meter, `${percent(answer.confidence)} sure · ${Math.round(milliseconds)} ms, ${service}`);
  }

  async #copy() {
    const field = $("latex");
    try {
      await navigator.clipboard.writeText(field.value);
      $("thanks").textContent = "Copied.";
    } catch { // not over plain HTTP, or not allowed: the writer copies what is selected
      field.select();
      $("thanks").textContent = "Selected: copy it with Ctrl+C.";
    }
  }

  async #send() {
    const told = this.#told;
    if (!told) return;
    $("send").disabled = true;
    $("thanks").textContent = "Sending …";
    try {
      const kept = await this.#correct(told.id, $("latex").value.trim());
      if (this.#told !== told) return;
      $("formula").replaceChildren(typeset(kept, "block"));
      $("formula").classList.remove("stale");
      $("thanks").textContent = "Thank you: kept as a correction.";
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (this.#told !== told) return;
      $("thanks").textContent = "";
      $("send").disabled = false;
    }
  }
}

/** @param {number} share */
export function percent(share) {
  return share < 0.01 ? "under 1 %" : share < 0.995 ? `${Math.round(100 * share)} %` : "over 99 %";
}
