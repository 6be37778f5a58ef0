/** Reads as one writes: after a short rest, one question at a time, and the last one counts. */

import { pause } from "./limits.js";
import { Problem } from "./service.js";

/** @typedef {import("./service.js").Told} Told */

const LONGEST = 15; // seconds between two tries to reach a service that is gone

/**
 * @typedef {object} Show
 * @property {() => void} waiting there is something else to read
 * @property {(told: Told) => void} told
 * @property {(problem: Problem, seconds: number | null) => void} trouble and in how many seconds it tries again
 */

export class Reader {
  #ask; #show;
  /** @type {unknown} */ #source = null;
  /** @type {AbortController | null} */ #asking = null;
  #timer = 0;
  #tries = 0;
  #mended = false; // nothing was in the way of the last question
  /** @type {import("./limits.js").Limits | null} */ #limits = null;

  /**
   * @param {(source: any, signal: AbortSignal) => Promise<Told>} ask @param {Show} show
   */
  constructor(ask, show) {
    this.#ask = ask;
    this.#show = show;
    addEventListener("online", () => this.again());
  }

  /** The pen is down: what is half written is not asked for. */
  hold() {
    clearTimeout(this.#timer);
  }

  /** This is to be read now, and nothing that was there before. @param {unknown} source null: nothing */
  want(source) {
    this.#source = source;
    this.#asking?.abort();
    this.#asking = null;
    this.#tries = 0;
    const blocked = this.#blocked - Date.now();
    if (source === null) this.#in(null);
    // While the limits are used up, another stroke does not bring the next question any nearer.
    else if (blocked > 0) this.#in(blocked);
    else {
      this.#show.waiting(); // from now on: what is shown was read from less ink
      this.#in(pause(this.#limits));
    }
  }

  /** Asks once more, at once, if something was in the way. */
  again() {
    if (this.#source === null || this.#mended) return;
    this.#blocked = 0;
    this.#in(0);
  }

  #blocked = 0; // until when the service wants to be left alone, milliseconds

  /** @param {number | null} milliseconds */
  #in(milliseconds) {
    clearTimeout(this.#timer);
    if (milliseconds !== null) this.#timer = setTimeout(() => this.#read(), milliseconds);
  }

  async #read() {
    this.#asking?.abort();
    const asking = new AbortController();
    this.#asking = asking;
    this.#show.waiting();
    try {
      const told = await this.#ask(this.#source, asking.signal);
      if (asking.signal.aborted) return;
      this.#limits = told.limits;
      this.#tries = this.#blocked = 0;
      this.#mended = true;
      this.#show.told(told);
    } catch (error) {
      if (asking.signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
      this.#mended = false;
      this.#limits = error.limits ?? this.#limits;
      const seconds = this.#wait(error);
      if (error.status === 429 && seconds !== null) this.#blocked = Date.now() + 1000 * seconds;
      this.#show.trouble(error, seconds);
      this.#in(seconds === null ? null : 1000 * seconds);
    } finally {
      if (this.#asking === asking) this.#asking = null;
    }
  }

  /** In how many seconds the same question may go better; null: it won't. @param {Problem} problem */
  #wait(problem) {
    if (![0, 429, 502, 503, 504].includes(problem.status)) return null;
    const patience = Math.min(LONGEST, 2 ** this.#tries++);
    return problem.status === 429 ? problem.wait ?? patience : Math.max(problem.wait ?? 0, patience);
  }
}
