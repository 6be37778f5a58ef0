/** Keys, for who holds an admin key: list, add, limit, revoke. */

import { $, made } from "./elements.js";
import { ask, Problem } from "./service.js";

const TIERS = ["minute", "hour", "day", "at_once"];

/** @typedef {{id: string, name: string, state: string, admin: boolean, created: string, expires: string | null,
 *   limits: Record<string, number | null>}} Key */

/** Shows the keys as an admin key may, which `key` tells. @param {() => string | undefined} key */
export function keysOf(key) {
  async function show() {
    $("admin").hidden = true;
    if (key() === undefined) return;
    try {
      const { answer } = await ask("keys", { key: key() });
      $("keys-table").tBodies[0].replaceChildren(...answer.keys.map(row));
      $("admin").hidden = false;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      // Most keys are no admin's, and some services have no keys.
      if (![401, 403, 404].includes(error.status)) tell(error.message);
    }
  }

  /** @param {string} method @param {string} path @param {object | undefined} content */
  async function change(method, path, content) {
    try {
      const body = content && JSON.stringify(content);
      const { answer } = await ask(path, { method, body, type: body && "application/json", key: key() });
      tell("");
      await show();
      return answer;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      tell(error.message);
      return null;
    }
  }

  /** @param {Key} entry */
  function row(entry) {
    const valid = entry.state === "valid";
    const until = entry.expires === null ? "" : ` until ${entry.expires.slice(0, 10)}`;
    const inputs = TIERS.map((tier) => made("input", { type: "number", min: "1", name: tier, disabled: !valid,
      value: entry.limits[tier] ?? "", placeholder: "default", ariaLabel: `${tier.replace("_", " ")}, ${entry.name}` }));
    const save = made("button", { type: "button", disabled: !valid, ariaLabel: `Save the limits of ${entry.name}` }, "Save");
    const gone = made("button", { type: "button", disabled: !valid, ariaLabel: `Revoke ${entry.name}` }, "Revoke");
    save.addEventListener("click", () => void change("PATCH", `keys/${entry.id}`, limitsIn(inputs)));
    gone.addEventListener("click", () => {
      if (confirm(`Revoke the key of ${entry.name}? This can't be undone.`)) void change("DELETE", `keys/${entry.id}`, undefined);
    });
    const texts = [entry.name + (entry.admin ? " (admin)" : ""), entry.id, `${entry.state}${until}`, entry.created.slice(0, 10)];
    return made("tr", {}, ...[...texts, ...inputs].map((content) => made("td", {}, content)), made("td", {}, save, " ", gone));
  }

  $("add").addEventListener("submit", async (/** @type {Event} */ event) => {
    event.preventDefault();
    const days = Number($("new-expires").value);
    const body = { name: $("new-name").value.trim(), admin: $("new-admin").checked, ...(days ? { expires_days: days } : {}) };
    const made = await change("POST", "keys", body);
    if (made === null) return;
    $("new-secret").value = made.secret;
    $("new-key").hidden = false;
    $("add").reset();
    $("new-secret").select();
  });
  return show;
}

/** @param {HTMLInputElement[]} inputs */
function limitsIn(inputs) {
  return Object.fromEntries(inputs.filter(({ value }) => value).map(({ name, value }) => [name, Number(value)]));
}

/** @param {string} text */
function tell(text) {
  $("admin-trouble").textContent = text;
  $("admin-trouble").hidden = !text;
}
