/** The API key: in this tab until it is closed, and nowhere else. */

import { showLimits } from "./limits.js";
import { ask, Problem } from "./service.js";
import { sentence } from "./messages.js";

const NAME = "api-key";

export class Key {
  get value() { return sessionStorage.getItem(NAME) ?? undefined; }

  #form; #field; #forget; #state; #caller; #tiers; #changed;

  /** @param {Document} page @param {() => void} changed another key is there, and it is known */
  constructor(page, changed) {
    const get = (/** @type {string} */ id) => /** @type {any} */ (page.getElementById(id));
    this.#form = get("keys");
    this.#field = get("key");
    this.#forget = get("forget");
    this.#state = get("key-state");
    this.#caller = get("caller");
    this.#tiers = get("tiers");
    this.#changed = changed;
    this.#form.hidden = page.documentElement.dataset.auth === "off";
    this.#form.addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      void this.#use(this.#field.value.trim());
    });
    this.#forget.addEventListener("click", () => void this.#use(""));
    void this.look();
  }

  /** Asks how the limits stand, which costs nothing and tells whether the key is known. */
  async look() {
    this.#forget.hidden = this.value === undefined;
    this.#field.placeholder = this.value === undefined ? "" : "one is in use";
    try {
      const { answer } = await ask("rate-limit/status", { key: this.value });
      const unlimited = answer.limits === "off";
      this.#caller.textContent = unlimited ? "none here" : `for ${answer.caller}`;
      this.show(unlimited ? null : answer.tiers.map((/** @type {any} */ tier) => ({ ...tier, resets: tier.resets_in })));
      this.#state.textContent =
        this.value !== undefined ? `In use: ${answer.caller}.`
        : this.#form.ownerDocument.documentElement.dataset.auth === "required" ? "Reading needs one here."
        : "Reading works without, with lower limits.";
      return true;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.#state.textContent = sentence(error);
      return false;
    }
  }

  /** @param {import("./limits.js").Limits | null} limits */
  show(limits) { showLimits(this.#tiers, limits); }

  /** The key is what stands in the way. */
  point() { if (!this.#form.hidden) this.#field.setAttribute("aria-invalid", "true"); }

  /** @param {string} key */
  async #use(key) {
    if (key) sessionStorage.setItem(NAME, key);
    else sessionStorage.removeItem(NAME);
    this.#field.value = "";
    this.#field.removeAttribute("aria-invalid");
    if (await this.look()) this.#changed();
    else this.point();
  }
}
