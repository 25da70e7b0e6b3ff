// What the mouse, a finger and the keyboard do to a heatmap.

import { clamp } from "./words.js";

const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/** Answer what happens on the canvas of a heatmap. */
export function listen(host) {
  const { canvas } = host;
  let dragging = null; // the plot in which a finger or a button went down
  const moveTo = (event) => {
    const cell = cellAt(host, event, dragging);
    if (cell) host.set(cell);
  };
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerType === "mouse" && !event.buttons) host.setHover(cellAt(host, event));
    else if (event.buttons) moveTo(event);
  });
  canvas.addEventListener("pointerleave", () => host.setHover(null));
  canvas.addEventListener("pointerdown", (event) => {
    dragging = boxAt(host.boxes, event);
    moveTo(event);
  });
  canvas.addEventListener("keydown", (event) => {
    const done = key(host, event);
    if (done) event.preventDefault();
  });
}

/** Do what a key stands for; return whether it stands for anything. */
function key(host, event) {
  const { view } = host;
  const { row, column, zoom, zoomable } = view;
  const step = event.shiftKey ? 10 : 1;
  const arrow = ARROWS[event.key];
  if (event.altKey || event.metaKey || (event.ctrlKey && !["Home", "End"].includes(event.key))) return false;
  if (arrow) host.set({ row: row + arrow[0] * step, column: column + arrow[1] * step });
  else if (event.key === "PageDown") host.set({ row: row + 10 });
  else if (event.key === "PageUp") host.set({ row: row - 10 });
  else if (event.key === "Home") host.set(event.ctrlKey ? { row: 0 } : { column: 0 });
  else if (event.key === "End") host.set(event.ctrlKey ? { row: Infinity } : { column: Infinity });
  else if (event.key === "p" || event.key === "P") host.togglePin();
  else if (zoomable && (event.key === "+" || event.key === "=")) host.set({ zoom: Math.min(8, zoom * 2) });
  else if (zoomable && event.key === "-") host.set({ zoom: Math.max(1, zoom / 2) });
  else return false;
  return true;
}

/** Which of the three plots the pointer is in. */
export function boxAt(boxes, { offsetX, offsetY }) {
  const inside = (b) => b && offsetX >= b.x && offsetX < b.x + b.w && offsetY >= b.y && offsetY < b.y + b.h;
  return ["cells", "row", "column"].find((name) => inside(boxes[name])) || null;
}

/** The cell that the pointer means, in the plot of a name. */
export function cellAt({ boxes, view }, event, name = boxAt(boxes, event)) {
  if (!name) return null;
  const box = boxes[name];
  const part = view.window;
  const right = clamp((event.offsetX - box.x) / box.w, 0, 0.999999);
  const down = clamp((event.offsetY - box.y) / box.h, 0, 0.999999);
  if (name === "row") return { row: view.row, column: part.column + Math.floor(right * part.w) };
  if (name === "column") return { row: part.row + Math.floor(right * part.h), column: view.column };
  return { row: part.row + Math.floor(down * part.h), column: part.column + Math.floor(right * part.w) };
}
