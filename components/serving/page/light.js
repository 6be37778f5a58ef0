/** Lights up the ink that a symbol of the answer was read from, as one points at it. */

/**
 * @typedef {[number, number, number, number]} Box left, top, right, bottom, in the ink or on the picture
 * @typedef {{start: number, end: number, box?: Box}} Look a token: where it stands in the LaTeX, and its ink
 */

/**
 * @param {HTMLElement} formula @param {HTMLTextAreaElement} latex
 * @param {() => Look[]} looked the tokens of what is shown there @param {(boxes: Box[]) => void} light
 */
export function listenForPointing(formula, latex, looked, light) {
  let pointed = false;
  const show = (/** @type {Look[]} */ looks) => light(looks.flatMap(({ box }) => (box ? [box] : [])));

  // Everywhere: a finger that is lifted points on, until it touches something else.
  document.addEventListener("pointerover", ({ target }) => {
    const part = target instanceof Element && formula.contains(target) ? target.closest("[data-tokens]") : null;
    if (!part && !pointed) return; // what the cursor in the LaTeX lights stays
    pointed = part !== null;
    const places = part?.getAttribute("data-tokens")?.split(" ") ?? [];
    show(places.flatMap((place) => looked()[Number(place)] ?? []));
  });

  document.addEventListener("selectionchange", () => {
    if (document.activeElement !== latex) return;
    const at = latex.selectionStart;
    show(looked().filter(({ start, end }) => start <= at && at < end));
  });
  latex.addEventListener("blur", () => show([]));
}

/**
 * Puts a mark over the part of a picture where the boxes are.
 * @param {HTMLElement} mark @param {HTMLImageElement} picture fitted into its place, and in its middle @param {Box[]} boxes
 */
export function markOn(mark, picture, boxes) {
  mark.hidden = !boxes.length;
  const { clientWidth, clientHeight, naturalWidth, naturalHeight } = picture;
  const paper = 2 * Number.parseFloat(getComputedStyle(picture).paddingLeft);
  const scale = Math.min((clientWidth - paper) / naturalWidth, (clientHeight - paper) / naturalHeight);
  const [left, top, right, bottom] = [0, 1, 2, 3].map((side) => {
    const away = side % 2 ? clientHeight - scale * naturalHeight : clientWidth - scale * naturalWidth;
    return away / 2 + scale * Math[side < 2 ? "min" : "max"](...boxes.map((box) => box[side]));
  });
  const pixels = { left, top, width: right - left, height: bottom - top };
  for (const [name, value] of Object.entries(pixels)) mark.style.setProperty(name, `${value}px`);
}
