/** The service's MathML as elements of the page: those of mathematics, and nothing else. */

import { made } from "./elements.js";

const MATHML = "http://www.w3.org/1998/Math/MathML";
// Those that the service's library makes.
const ELEMENTS = new Set(
  ("math mrow mi mn mo mtext mspace mfrac msqrt mroot msub msup msubsup munder mover munderover mtable mtr mtd " +
    "mpadded mphantom mstyle menclose").split(" "),
);
const ATTRIBUTES = new Set(
  ("displaystyle scriptlevel mathvariant stretchy fence form lspace rspace accent linethickness columnalign width " +
    "height depth voffset minsize maxsize notation data-tokens").split(" "),
);

/** @param {{formula: string, mathml?: string}} reading @param {"block" | "inline"} display @returns {Element} */
export function typeset({ formula, mathml }, display) {
  const root = mathml && new DOMParser().parseFromString(mathml, "application/xml").documentElement;
  const math = root && root.namespaceURI === MATHML ? copy(root) : null;
  if (math) {
    math.setAttribute("display", display);
    return math;
  }
  return made("code", { className: "plain" }, formula || "nothing"); // what can't be typeset is shown as it is
}

/** @param {Element} element @returns {Element | null} */
function copy(element) {
  if (!ELEMENTS.has(element.localName)) return null;
  const own = document.createElementNS(MATHML, element.localName);
  for (const { name, value } of element.attributes) if (ATTRIBUTES.has(name)) own.setAttribute(name, value);
  for (const child of element.childNodes) {
    const part = child instanceof Element ? copy(child) : child.nodeType === Node.TEXT_NODE ? child.cloneNode() : null;
    if (part) own.append(part);
  }
  return own;
}
