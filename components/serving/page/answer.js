/** Shows what was read, and lets the writer choose, copy and correct. */

import { typeset } from "./mathml.js";
import { Problem } from "./service.js";

/** @typedef {import("./service.js").Reading} Reading */
/** @typedef {import("./service.js").Told} Told */

const QUIET = 900; // milliseconds: while one writes on, nothing is read out

/** @param {string} id @returns {any} */
const $ = (id) => document.getElementById(id);

export class AnswerView {
  /** @type {Told | null} */ #told = null;
  #speaking = 0;
  #correct;

  /** @param {(id: string, formula: string) => Promise<Reading>} correct sends what should have been read, and
   *  has told of a Problem that it throws
   *  @param {boolean} correctable whether the service takes corrections */
  constructor(correct, correctable) {
    this.#correct = correct;
    $("send").hidden = !correctable;
    $("how").hidden = !correctable;
    $("latex").addEventListener("input", () => this.#edited());
    $("copy").addEventListener("click", () => this.#copy());
    $("correction").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      void this.#send();
    });
  }

  /** Where the formula that is shown was read: nowhere, unless it is what was read last, from all there is. */
  get looked() {
    const fresh = !this.#busy && !$("formula").classList.contains("stale");
    const answer = this.#told?.answer;
    return fresh && answer?.formula === $("latex").value ? answer.looked ?? [] : [];
  }

  get #busy() { return $("answer").getAttribute("aria-busy") === "true"; }
  set #busy(busy) { $("answer").setAttribute("aria-busy", String(busy)); }

  waiting() { this.#busy = true; }

  /** @param {Told} told */
  show(told) {
    this.#told = told;
    const { answer } = told;
    this.#busy = false;
    this.#list([answer, ...(answer.alternatives ?? [])]);
    this.#choose(answer);
    this.#facts(told);
    $("correction").hidden = false;
    clearTimeout(this.#speaking);
    this.#speaking = setTimeout(() => {
      $("spoken").textContent = `Read: ${answer.formula || "nothing"}, ${percent(answer.confidence)} sure.`;
    }, QUIET);
  }

  /** Nothing is there to be read. @param {string} hint */
  clear(hint) {
    this.#told = null;
    clearTimeout(this.#speaking);
    const line = document.createElement("p");
    line.className = "hint";
    line.textContent = hint;
    this.#busy = false;
    $("formula").replaceChildren(line);
    $("formula").classList.remove("stale");
    $("facts").replaceChildren();
    $("readings").replaceChildren();
    $("spoken").textContent = $("thanks").textContent = "";
    $("correction").hidden = $("readings").hidden = true;
  }

  /** What is shown is not what stands there any more. */
  stale() {
    this.#busy = false;
    if (this.#told) $("formula").classList.add("stale");
  }

  /** @param {Reading[]} readings */
  #list(readings) {
    const buttons = readings.map((reading) => {
      const button = document.createElement("button");
      const sure = document.createElement("small");
      button.type = "button";
      button.dataset.formula = reading.formula;
      sure.textContent = percent(reading.confidence);
      button.append(typeset(reading, "inline"), sure);
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
      button.setAttribute("aria-pressed", String(button.dataset.formula === reading.formula));
    }
    $("latex").value = reading.formula;
    this.#edited();
    $("formula").classList.remove("stale");
  }

  #edited() {
    const read = this.#told?.answer.formula;
    const text = $("latex").value.trim();
    $("send").disabled = !this.#told || !text || text === read;
    $("thanks").textContent = "";
    // It is typeset by the service, which has not seen this.
    $("formula").classList.toggle("stale", !this.#shown(text));
  }

  /** Whether the typeset formula is this one. @param {string} text */
  #shown(text) {
    const chosen = $("readings").querySelector("[aria-pressed=true]");
    return !chosen || chosen.dataset.formula.trim() === text;
  }

  /** @param {Told} told */
  #facts({ answer, milliseconds, cached }) {
    const meter = document.createElement("meter");
    Object.assign(meter, { min: 0, max: 1, low: 0.4, high: 0.75, optimum: 1, value: answer.confidence });
    meter.setAttribute("aria-label", "Confidence");
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
function percent(share) {
  return share < 0.995 && share >= 0.01 ? `${Math.round(100 * share)} %` : share < 0.01 ? "under 1 %" : "over 99 %";
}
