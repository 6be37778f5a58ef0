/** The API key: in this tab until it is closed, and nowhere else. */

import { $ } from "./elements.js";
import { showLimits } from "./limits.js";
import { ask, Problem } from "./service.js";
import { sentence } from "./messages.js";

const NAME = "api-key";
const { auth } = document.documentElement.dataset;

export class Key {
  get value() { return sessionStorage.getItem(NAME) ?? undefined; }

  #changed;

  /** @param {() => void} changed another key is there, and it is known */
  constructor(changed) {
    this.#changed = changed;
    $("keys").hidden = auth === "off";
    $("keys").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      void this.#use($("key").value.trim());
    });
    $("forget").addEventListener("click", () => void this.#use(""));
    void this.look();
  }

  /** Asks how the limits stand, which costs nothing and tells whether the key is known. */
  async look() {
    $("forget").hidden = this.value === undefined;
    $("key").placeholder = this.value === undefined ? "" : "one is in use";
    try {
      const { answer } = await ask("rate-limit/status", { key: this.value });
      const unlimited = answer.limits === "off";
      $("caller").textContent = unlimited ? "none here" : `for ${answer.caller}`;
      showLimits(unlimited ? null : answer.tiers.map((/** @type {any} */ tier) => ({ ...tier, resets: tier.resets_in })));
      $("key-state").textContent =
        this.value !== undefined ? `In use: ${answer.caller}.`
        : auth === "required" ? "Reading needs one here."
        : "Reading works without, with lower limits.";
      return true;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      $("key-state").textContent = sentence(error);
      return false;
    }
  }

  /** The key is what stands in the way. */
  point() { if (!$("keys").hidden) $("key").setAttribute("aria-invalid", "true"); }

  /** @param {string} key */
  async #use(key) {
    if (key) sessionStorage.setItem(NAME, key);
    else sessionStorage.removeItem(NAME);
    $("key").value = "";
    $("key").removeAttribute("aria-invalid");
    if (await this.look()) this.#changed();
    else this.point();
  }
}
