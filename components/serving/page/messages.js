/** What is told of a problem: what happened, and what to do. */

import { $ } from "./elements.js";
import { duration } from "./limits.js";

/** @typedef {import("./service.js").Problem} Problem */

/** @type {Record<number, (problem: Problem) => string>} */
const BY_STATUS = {
  0: () => "The service can't be reached. What you wrote stays here and will be read when it is back.",
  401: ({ kind }) =>
    kind === "key-needed"
      ? "This needs an API key. Enter yours below, under “API key”."
      : "This API key is not known here, or it has expired or been revoked. Look at what you entered below.",
  413: ({ message }) => `That is too large. ${message}`,
  415: ({ message }) => `That is not a kind of file that is read here. ${message}`,
  422: ({ kind, message }) =>
    kind === "nothing-written" ? "Nothing is written there, as far as can be seen."
    : message.startsWith("formula: ") ? `That is no formula that can be kept: ${message.slice(9)}`
    : `That can't be read. ${message}`,
  429: ({ message }) => `The limit is reached. ${message}`,
  503: ({ message }) => `The service is busy. ${message}`,
};

/** @param {Problem} problem */
export function sentence(problem) {
  const text = BY_STATUS[problem.status];
  if (text) return text(problem);
  return problem.message + (problem.id ? ` If you ask for help, say ${problem.id}.` : "");
}

/** Says a problem, and counts down to the next try. */
export class Trouble {
  #timer = 0;

  /** @param {Problem} problem @param {number | null} seconds until the next try */
  tell(problem, seconds) {
    const text = sentence(problem);
    if ($("trouble").textContent !== text) $("trouble").textContent = text; // else it would be read out again
    $("trouble").hidden = false;
    clearInterval(this.#timer);
    $("countdown").hidden = seconds === null;
    if (seconds === null) return;
    const end = Date.now() + 1000 * seconds;
    const count = () => {
      const left = Math.max(0, (end - Date.now()) / 1000);
      $("countdown").textContent = left ? `Tries again in ${duration(left)}.` : "Tries again …";
      if (!left) clearInterval(this.#timer);
    };
    count();
    this.#timer = setInterval(count, 500);
  }

  clear() {
    clearInterval(this.#timer);
    $("trouble").hidden = $("countdown").hidden = true;
    $("trouble").textContent = "";
  }
}
