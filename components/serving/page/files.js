/** Pictures and InkML: chosen, dropped or pasted. */

import { $ } from "./elements.js";
import { strokesOf } from "./inkml.js";

/** @typedef {{path: string, type: string, body: Blob, name: string, picture: boolean, source?: File}} Given
 *  a file as it is asked about; `source`: the whole picture, of which this may be a part */

/** @param {(file: File, photographed?: boolean) => void} take */
export function listenForFiles(take) {
  const sheet = $("sheet");
  // Of a telephone or tablet: elsewhere it would be another button for files.
  $("photograph").hidden = !matchMedia("(any-pointer: coarse)").matches;
  for (const [button, field] of [[$("choose"), $("file")], [$("photograph"), $("camera")]]) {
    button.addEventListener("click", () => field.click());
    field.addEventListener("change", () => {
      const [file] = field.files ?? [];
      if (file) take(file, field === $("camera"));
      field.value = ""; // else the same file could not be chosen again
    });
  }
  // On the whole page: a browser shows a file that is dropped beside the sheet in place of the page.
  addEventListener("dragover", (event) => {
    event.preventDefault();
    sheet.classList.add("dropping");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) sheet.classList.remove("dropping");
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    sheet.classList.remove("dropping");
    const [file] = event.dataTransfer?.files ?? [];
    if (file) take(file);
  });
  addEventListener("paste", (event) => {
    const [file] = event.clipboardData?.files ?? [];
    if (!file) return; // text, which goes where the cursor is
    event.preventDefault();
    take(file);
  });
}

/**
 * What a file holds: strokes that can be written on, or something to be sent as it is.
 * @param {File} file @param {number} width @param {number} height of the sheet
 * @returns {Promise<{strokes: Float32Array[]} | {given: Given}>}
 */
export async function opened(file, width, height) {
  const start = await file.slice(0, 256).text();
  const xml = /^\s*<(\?xml|ink|!--)/i.test(start.replace(/^\uFEFF/, "")) || /\.inkml$/i.test(file.name);
  if (!xml) {
    const type = file.type.startsWith("image/") ? file.type : "application/octet-stream";
    return { given: { path: "predict", type, body: file, name: file.name, picture: true } };
  }
  const strokes = strokesOf(await file.text(), width, height);
  if (strokes) return { strokes };
  const type = "application/inkml+xml"; // the service's reader knows more forms than this page's
  return { given: { path: "predict/strokes", type, body: file, name: file.name, picture: false } };
}
