/** Offers what else may stand at a place of the formula; the rest is then read again under it. */

import { $, made } from "./elements.js";
import { percent } from "./answer.js";

/**
 * @typedef {import("./light.js").TokenBox & {token: string, alternatives?: {token: string, probability: number}[]}} Token
 */

/** @param {() => Token[]} tokens of what is shown
 *  @param {(prefix: string[]) => void} pin reads again what begins so */
export function listenForChoosing(tokens, pin) {
  /** @param {number} place */
  const offer = (place) => {
    const all = tokens();
    const others = (all[place]?.alternatives ?? []).filter(({ token }) => token !== all[place].token);
    $("places").replaceChildren(
      ...others.map(({ token, probability }) => {
        const button = made("button", { type: "button" }, made("code", {}, token), made("small", {}, percent(probability)));
        button.addEventListener("click", () => {
          hide();
          pin([...all.slice(0, place).map((before) => before.token), token]);
        });
        return button;
      }),
    );
    $("places").hidden = !others.length;
    if (others.length) $("places").prepend(made("span", {}, "Instead of ", made("code", {}, all[place].token), ":"));
  };
  const hide = () => { $("places").hidden = true; };
  $("formula").addEventListener("click", (/** @type {Event} */ { target }) => {
    const part = target instanceof Element ? target.closest("[data-tokens]") : null;
    const [place] = part?.getAttribute("data-tokens")?.split(" ") ?? [];
    if (place === undefined) hide();
    else offer(Number(place));
  });
  document.addEventListener("selectionchange", () => {
    if (document.activeElement !== $("latex")) return;
    const { selectionStart: at } = $("latex");
    const place = tokens().findIndex(({ start, end, box }) => box && start <= at && at < end);
    if (place < 0) hide();
    else offer(place);
  });
  return hide;
}
