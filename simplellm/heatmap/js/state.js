// Where the reader is, and the address that says it: #heatmap-NAME?d_model=64&…

import { clamp, count } from "./words.js";

export const ZOOMS = [1, 2, 4, 8];

/** The cursor, the pin, the zoom, and the part of the array on view. */
export class View {
  constructor(source, { row = 0, column = 0, pin = null, zoom = 1 }) {
    Object.assign(this, { row, column, pin, zoom }); // where the reader put the cursor
    this.wanted = row; // the cursor returns here when a longer text makes room again
    this.hover = null; // where the mouse is; the cursor stays where it was put
    this.zoomable = Math.max(...source.shape) > 16; // a small grid shows all its numbers
    this.frame(source, true);
  }

  cursor() {
    return this.hover || { row: this.row, column: this.column };
  }

  /** Change any part, bringing into range what is out of it; return what is to be said of it. */
  set(changes, before, source) {
    const { zoom } = this;
    let said = null;
    if (source !== before) {
      this.row = this.wanted;
      this.column = source.follow(before, this.column);
    }
    for (const key of ["row", "column", "zoom", "pin"]) {
      if (changes[key] !== undefined) this[key] = changes[key];
    }
    const [rows, columns] = source.shape;
    this.row = clamp(Math.round(this.row), 0, rows - 1);
    this.column = clamp(Math.round(this.column), 0, columns - 1);
    if (changes.row !== undefined) this.wanted = this.row;
    if (this.pin !== null && !(this.pin >= 0 && this.pin < rows)) {
      said = `The pinned ${source.rowAxis.name} ${this.pin} is gone: there are only ${rows} now.`;
      this.pin = null;
    }
    if (!this.zoomable || !ZOOMS.includes(this.zoom)) this.zoom = 1;
    this.frame(source, source !== before || this.zoom !== zoom, changes);
    if (this.zoom !== zoom) {
      const { h, w } = this.window;
      said = `Zoom ${this.zoom}×: ${h} of ${count(rows, source.rowAxis.name)}, ${w} of ${count(columns, source.columnAxis.name)}.`;
    }
    this.hover = null;
    return said;
  }

  /** The part of the array on view: it centres on the cursor when it has to be chosen anew, and
   *  otherwise moves only as far as the cursor pushes it, or cells would slide under the mouse. */
  frame(source, anew, { top, left } = {}) {
    const { row, column, zoom } = this;
    const [rows, columns] = source.shape;
    const place = (size, whole, at, before, given) => {
      const start = given ?? (anew ? at - Math.floor(size / 2) : clamp(before, at - size + 1, at));
      return clamp(Math.round(start), 0, whole - size);
    };
    const [h, w] = [Math.ceil(rows / zoom), Math.ceil(columns / zoom)];
    this.window = {
      row: place(h, rows, row, this.window?.row, top),
      column: place(w, columns, column, this.window?.column, left),
      h,
      w,
    };
  }
}

/** Everything that a link has to carry, and the sizes of what is shown. */
export function stateOf(kind, source, view) {
  const state = { kind, ...view.cursor(), pin: view.pin, zoom: view.zoom };
  for (const key of source.constructor.keys) state[key] = source[key];
  if (source.frames) state.frame = source.frame;
  if (view.zoom > 1) [state.top, state.left] = [view.window.row, view.window.column];
  [state.rows, state.cols] = source.shape;
  return state;
}

/** The address of a state, from its # on. */
export function addressOf(id, { kind, rows, cols, ...state }) {
  const query = new URLSearchParams(Object.entries(state).filter(([, value]) => value !== null));
  return `#${id}?${query}`;
}

/** What a link says and, for all that it does not say, what the page shows at first; null if it
 *  leads elsewhere. */
export function changesIn(hash, id, initial, source) {
  const at = hash.indexOf("?");
  if (at < 0 || hash.slice(1, at) !== id) return null;
  const first = { row: 0, column: 0, zoom: 1, frame: 0, ...initial, pin: initial.pin ?? null };
  const changes = {};
  for (const key of [...source.constructor.keys, "row", "column", "zoom", "frame", "pin"]) {
    changes[key] = first[key];
  }
  for (const [key, text] of new URLSearchParams(hash.slice(at + 1))) {
    if (typeof source[key] === "string") changes[key] = text;
    else if (text !== "" && isFinite(Number(text))) changes[key] = Number(text);
  }
  return changes;
}
