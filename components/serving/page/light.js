/** Lights up the ink that a symbol of the answer was read from, as one points at it. */

import { $, shape } from "./elements.js";

/**
 * @typedef {[number, number, number, number]} Box left, top, right, bottom, in the ink or on the picture
 * @typedef {{start: number, end: number, box?: Box}} TokenBox a token: where it stands in the LaTeX, and its ink
 */

/** @param {() => TokenBox[]} tokenBoxes the tokens of what is shown @param {(boxes: TokenBox[]) => void} light */
export function listenForPointing(tokenBoxes, light) {
  let pointed = false;
  // Everywhere: a finger that is lifted points on, until it touches something else.
  document.addEventListener("pointerover", ({ target }) => {
    const part = target instanceof Element ? target.closest("#formula [data-tokens]") : null;
    if (!part && !pointed) return; // what the cursor in the LaTeX lights stays
    pointed = part !== null;
    const places = part?.getAttribute("data-tokens")?.split(" ") ?? [];
    light(places.flatMap((place) => tokenBoxes()[Number(place)] ?? []));
  });
  document.addEventListener("selectionchange", () => {
    const { selectionStart: at } = $("latex");
    if (document.activeElement === $("latex")) light(tokenBoxes().filter(({ start, end }) => start <= at && at < end));
  });
  $("latex").addEventListener("blur", () => light([]));
}

/** @param {TokenBox[]} tokens */
export function boxesOf(tokens) {
  return tokens.flatMap(({ box }) => (box ? [box] : []));
}

/** On a picture. @param {Box[]} boxes */
export function mark(boxes) {
  const { naturalWidth, naturalHeight } = $("picture");
  $("mark").setAttribute("viewBox", `0 0 ${naturalWidth} ${naturalHeight}`); // which fits as the picture does
  const marks = boxes.map(([x, y, right, bottom]) => shape("rect", { x, y, width: right - x, height: bottom - y }));
  $("mark").replaceChildren(...marks);
}
