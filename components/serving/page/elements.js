/** Elements of the page: found, and made. */

/** @param {string} id @returns {any} */
export const $ = (id) => document.getElementById(id);

/** @param {string} name @param {object} properties @param {(Node | string)[]} content @returns {any} */
export function made(name, properties = {}, ...content) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...content);
  return element;
}

/** A part of an SVG. @param {string} name @param {Record<string, string | number>} attributes @param {string} text */
export function shape(name, attributes, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.textContent = text;
  return element;
}
