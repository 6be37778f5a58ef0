/** Pen, finger and mouse: pointer events become strokes, palms and second fingers do not. */

/**
 * @typedef {object} Paper what is written on
 * @property {(event: PointerEvent) => number[]} place
 * @property {(stroke: number[], from: number) => void} draw what has been added to the stroke that is written
 * @property {() => boolean} erasing whether the eraser is chosen
 * @property {(x: number, y: number) => void} erase
 * @property {() => void} begin the pen is down
 * @property {(stroke: Float32Array | null) => void} end it is up; null: nothing came of it, draw anew
 */

const STEP = 0.7; // CSS pixels between two points: nearer ones say nothing
const PALM = 70; // CSS pixels: what touches this broadly is no finger tip
const PEN_NEAR = 1500; // milliseconds after the last sign of a pen in which a touch is a resting hand

/** @param {HTMLElement} target @param {Paper} paper */
export function listen(target, paper) {
  /** @type {{id: number, type: string, erases: boolean, points: number[]} | null} */
  let writing = null;
  const touches = new Set();
  let penSeen = -Infinity;

  const give = () => {
    if (!writing) return;
    writing = null;
    paper.end(null);
  };

  target.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch") {
      touches.add(event.pointerId);
      const resting = event.timeStamp - penSeen < PEN_NEAR || Math.max(event.width, event.height) > PALM;
      if (resting) return;
      if (touches.size > 1) { // two fingers enlarge the page, or a palm came down beside
        if (writing?.type === "touch") give();
        return;
      }
    } else if (event.button !== 0 && event.button !== 5) return; // 5: the eraser at a pen's other end
    if (event.pointerType === "pen") {
      penSeen = event.timeStamp;
      if (writing?.type === "touch") give(); // it was the hand that holds the pen
    }
    if (writing) return;
    event.preventDefault();
    target.setPointerCapture(event.pointerId);
    const erases = event.button === 5 || paper.erasing();
    writing = { id: event.pointerId, type: event.pointerType, erases, points: [] };
    paper.begin();
    take(event);
  });

  target.addEventListener("pointermove", (event) => {
    if (event.pointerType === "pen") penSeen = event.timeStamp;
    if (writing?.id !== event.pointerId) return;
    // Those that came between two frames: without them fast strokes have corners.
    const all = event.getCoalescedEvents?.() ?? [];
    for (const each of all.length ? all : [event]) take(each);
  });

  target.addEventListener("pointerup", (event) => {
    touches.delete(event.pointerId);
    if (writing?.id !== event.pointerId) return;
    take(event);
    const { erases, points } = writing;
    writing = null;
    paper.end(erases ? null : Float32Array.from(points));
  });

  target.addEventListener("pointercancel", (event) => {
    touches.delete(event.pointerId);
    if (writing?.id === event.pointerId) give();
  });

  target.addEventListener("contextmenu", (event) => event.preventDefault()); // a long touch is a slow stroke

  /** @param {PointerEvent} event */
  function take(event) {
    if (!writing) return;
    const [x, y] = paper.place(event);
    if (writing.erases) return paper.erase(x, y);
    const { points } = writing;
    const [lastX, lastY] = points.slice(-3);
    if (points.length && Math.hypot(x - lastX, y - lastY) < STEP) return;
    const from = points.length;
    // A mouse says 0.5, and 0 as it is let go.
    points.push(x, y, event.pointerType === "pen" ? event.pressure : 0.5);
    paper.draw(points, from);
  }
}
