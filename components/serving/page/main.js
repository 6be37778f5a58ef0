/** Puts the page together: what is written goes to the reader, what is read to the answer. */

import { AnswerView } from "./answer.js";
import { Cropper } from "./crop.js";
import { $ } from "./elements.js";
import { listenForFiles, opened } from "./files.js";
import { Ink, without } from "./ink.js";
import { Key } from "./key.js";
import { boxesOf, listenForPointing, mark } from "./light.js";
import { showLimits } from "./limits.js";
import { Trouble } from "./messages.js";
import { listen } from "./pen.js";
import { listenForChoosing } from "./places.js";
import { Reader } from "./reading.js";
import { ask, Problem } from "./service.js";
import { Sheet } from "./sheet.js";

/** @typedef {import("./ink.js").Stroke} Stroke */

const BEST = 3; // readings that are asked for
const REACH = 9; // CSS pixels from the eraser's middle
const LITTLE = 3; // strokes: so few may be the beginning of another symbol than is read
const DOUBTFUL = 0.7; // confidence in what is read of them
const HINT = "What you write appears here.";

const ink = new Ink();
/** @type {readonly Stroke[] | null} */ let left = null; // what the eraser, while it moves, has left
/** @type {import("./files.js").Given | null} */ let given = null;
let erasing = false;

const sheet = new Sheet($("ink"), () => left ?? ink.strokes);
const trouble = new Trouble();
const cropper = new Cropper();
const key = new Key(() => reader.again());
const view = new AnswerView(correct, document.documentElement.dataset.feedback === "on");
const reader = new Reader(
  ({ path, type, body, prefix }, signal) => {
    const known = prefix ? `&constraints=${encodeURIComponent(JSON.stringify({ prefix }))}` : "";
    return ask(`${path}?n_best=${BEST}&format=mathml&explain=true${known}`, { type, body, key: key.value, signal });
  },
  {
    waiting: () => view.waiting(),
    told(told) {
      trouble.clear();
      view.show(told, !given && ink.strokes.length <= LITTLE && told.answer.confidence < DOUBTFUL);
      advise(told.answer.lines ?? 1);
      showLimits(told.limits);
    },
    trouble(problem, seconds) {
      tell(problem, seconds);
      if (seconds === null) view.clear(HINT);
      else view.stale();
    },
  },
);

listen($("ink"), {
  place: (event) => sheet.place(event),
  draw: (stroke, from) => sheet.draw(stroke, from),
  erasing: () => erasing,
  erase(x, y) {
    const rest = without(left ?? ink.strokes, x, y, REACH / sheet.scale);
    if (rest.length === (left ?? ink.strokes).length) return;
    left = rest;
    sheet.paint();
  },
  begin() {
    reader.hold();
    light([]);
    $("hint").hidden = true;
  },
  end(stroke) {
    if (stroke) ink.add(stroke);
    else if (left) ink.become(left);
    left = null;
    changed(!stroke);
  },
});

listenForFiles((file, photographed) => void open(file, photographed));
$("recrop").addEventListener("click", () => { if (given?.source) void open(given.source, true); });

$("picture").addEventListener("error", () => { $("picture").hidden = $("recrop").hidden = true; }); // its name is seen instead

$("undo").addEventListener("click", () => { ink.undo(); changed(); });
$("redo").addEventListener("click", () => { ink.redo(); changed(); });
$("clear").addEventListener("click", () => {
  if (given) put(null);
  else ink.become([]);
  changed();
});
$("eraser").addEventListener("click", () => {
  erasing = !erasing;
  $("eraser").ariaPressed = String(erasing);
  $("sheet").classList.toggle("erasing", erasing);
});
addEventListener("keydown", (event) => {
  const letter = event.key.toLowerCase();
  if (given || !(event.ctrlKey || event.metaKey) || event.altKey) return;
  if (document.activeElement?.matches("textarea, input")) return;
  if (letter === "z" && !event.shiftKey) ink.undo();
  else if (letter === "y" || letter === "z") ink.redo();
  else return;
  event.preventDefault();
  changed();
});

listenForPointing(() => view.tokenBoxes, light);
const hidePlaces = listenForChoosing(() => view.tokenBoxes, (prefix) => reader.want({ ...written(), prefix }));

/** @param {import("./light.js").TokenBox[]} tokens */
function light(tokens) {
  const boxes = boxesOf(tokens);
  sheet.light(given ? [] : boxes, boxesOf(view.tokenBoxes));
  mark(given ? boxes : []);
}

/** Other ink, or another file, is to be read. @param {boolean} anew whether the sheet must be drawn again */
function changed(anew = true) {
  light([]);
  if (anew) sheet.paint();
  const empty = !given && !ink.strokes.length;
  $("undo").disabled = !!given || !ink.canUndo;
  $("redo").disabled = !!given || !ink.canRedo;
  $("clear").disabled = empty;
  $("hint").hidden = !empty;
  const count = ink.strokes.length;
  $("ink").ariaLabel = count ? `Writing area, ${count} stroke${count > 1 ? "s" : ""}` : "Empty writing area";
  if (empty) {
    trouble.clear();
    view.clear(HINT);
  }
  advise(1);
  hidePlaces();
  reader.want(empty ? null : written());
}

/** What stands on the page, to be sent. */
function written() {
  return given ?? { path: "predict/strokes", type: "application/json", body: ink.json() };
}

/** What to do where several lines are written. @param {number} lines */
function advise(lines) {
  const how = given ? "crop the picture to one line" : "write each alone";
  const advice = lines > 1 ? `There seem to be ${lines} lines. One formula is read at a time: ${how}.` : "";
  if ($("advice").textContent !== advice) $("advice").textContent = advice;
  $("advice").hidden = !advice;
}

/** @param {File} file @param {boolean} photographed just now: with what lies beside the formula */
async function open(file, photographed = false) {
  const found = await opened(file, $("ink").clientWidth / sheet.scale, $("ink").clientHeight / sheet.scale);
  if ("given" in found && found.given.picture) {
    const part = await cropper.part(file, photographed);
    if (!part) return;
    found.given = { ...found.given, body: part, type: part === file ? found.given.type : part.type, source: file };
  }
  put("given" in found ? found.given : null);
  if ("strokes" in found) ink.become(found.strokes);
  view.clear(HINT);
  changed();
}

/** A file over the sheet, or none. @param {import("./files.js").Given | null} file */
function put(file) {
  if ($("picture").src) URL.revokeObjectURL($("picture").src);
  $("picture").removeAttribute("src");
  given = file;
  $("picture").hidden = !file?.picture;
  $("picture").alt = $("name").textContent = file ? file.name : "";
  $("recrop").hidden = !file?.picture;
  if (file?.picture) $("picture").src = URL.createObjectURL(file.body);
}

/** @param {string} id @param {string} formula */
async function correct(id, formula) {
  try {
    const body = JSON.stringify({ request_id: id, formula });
    const told = await ask("feedback?format=mathml", { type: "application/json", body, key: key.value });
    trouble.clear();
    if (told.limits) showLimits(told.limits);
    return told.answer;
  } catch (error) {
    if (error instanceof Problem) tell(error, null);
    throw error;
  }
}

/** @param {Problem} problem @param {number | null} seconds */
function tell(problem, seconds) {
  trouble.tell(problem, seconds);
  if (problem.limits) showLimits(problem.limits);
  if (problem.status === 401) key.point();
}
