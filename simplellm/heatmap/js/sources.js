// What is shown: how many rows and columns, what value, which words, and which controls.
//
// The heatmap asks a source and never which kind it is: what differs between the kinds is said here.

import { axisEntry, count, digitsFor, extent, longestOf, number, shownValue, signed, tidy, whole } from "./words.js";

const LONGEST = 2048; // positions of an encoding that is computed here
const BASES = [1, 2, 3, 4, 5, 6].flatMap((p) => [1, 2, 5].map((f) => f * 10 ** p)).slice(0, 16);

/** What the kinds have in common, and what most of them answer. */
class Source {
  static keys = []; // what a control or a link can change, besides the place of the cursor

  /** Whether a clock hand shows a pair of columns. */
  get hand() {
    return false;
  }

  /** This source with what changes; itself, if nothing of it does. */
  changed(initial, changes) {
    const { keys } = this.constructor;
    if (!keys.some((key) => changes[key] !== undefined && changes[key] !== this[key])) return this;
    const shown = Object.fromEntries(keys.map((key) => [key, this[key]]));
    const next = new this.constructor({ ...initial, ...shown, ...changes });
    if (this.frames) next.frame = this.frame;
    return next;
  }

  /** The column that shows what a column of the source before did. */
  follow(before, column) {
    return column;
  }

  /** Room for the names of rows, and for the ends of the value axis. */
  leftMargin(ends) {
    const longest = longestOf(this.rowAxis.labels || []).length;
    return Math.max(46 + Math.min(80, Math.max(0, longest - 4) * 6), ends);
  }
}

function decode(base64, dtype) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length); // not from() with a function, which is slow
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return dtype === "float64" ? new Float64Array(bytes.buffer) : new Float32Array(bytes.buffer);
}

/** The sinusoidal encoding, computed here from the formula. Rows are positions 0, 1, 2, … */
export class Encoding extends Source {
  static keys = ["d_model", "positions", "base", "columns"];

  constructor(state) {
    super();
    Object.assign(this, { d_model: 64, positions: 128, base: 10000, columns: "interleaved" });
    for (const key of Encoding.keys) if (state[key] !== undefined) this[key] = state[key];
    this.d_model = whole(this.d_model, "d_model", 2, 2048);
    if (this.d_model % 2) throw new Error(`d_model must be even, got ${this.d_model}`);
    this.positions = whole(this.positions, "positions", 1, LONGEST);
    if (!(this.base > 0 && isFinite(this.base))) {
      throw new Error(`base must be positive and finite, got ${this.base}`);
    }
    if (!["interleaved", "halves"].includes(this.columns)) {
      throw new Error(`columns must be interleaved or halves, got ${this.columns}`);
    }
    this.shape = [this.positions, this.d_model];
    this.rowAxis = { name: "position" };
    this.columnAxis = { name: "column" };
    this.valueAxis = { name: "value", low: -1, high: 1, diverging: true };
    this.frames = null;
  }

  pair(column) {
    if (this.columns === "halves") return column % (this.d_model / 2);
    return column >> 1;
  }

  isSine(column) {
    return this.columns === "halves" ? column < this.d_model / 2 : column % 2 === 0;
  }

  columnOf(pair) {
    return this.columns === "halves" ? pair : 2 * pair;
  }

  frequency(pair) {
    return this.base ** ((-2 * pair) / this.d_model);
  }

  /** The angle between two hands that are so many positions apart, at most 180. */
  degrees(positions, column) {
    const turns = positions * this.frequency(this.pair(column)) / (2 * Math.PI);
    return 360 * Math.abs(turns - Math.round(turns));
  }

  wavelength(pair) {
    return (2 * Math.PI) / this.frequency(pair);
  }

  value(row, column) {
    const angle = row * this.frequency(this.pair(column));
    return this.isSine(column) ? Math.sin(angle) : Math.cos(angle);
  }

  /** All values, row by row. One position further turns each pair by a fixed angle, so two
   *  products and a sum replace a sine: at 512 × 512 that is the difference between one frame and
   *  several. 2 048 steps of float64 add an error below 1e-12. */
  fill(out) {
    const { d_model } = this;
    const pairs = d_model / 2;
    const [s, c, ds, dc] = [0, 1, 2, 3].map(() => new Float64Array(pairs));
    const [first, second, step] = this.columns === "halves" ? [0, pairs, 1] : [0, 1, 2];
    for (let i = 0; i < pairs; i++) {
      c[i] = 1;
      ds[i] = Math.sin(this.frequency(i));
      dc[i] = Math.cos(this.frequency(i));
    }
    for (let row = 0, at = 0; row < this.positions; row++, at += d_model) {
      for (let i = 0; i < pairs; i++) {
        const sine = s[i];
        const cosine = c[i];
        out[at + first + i * step] = sine;
        out[at + second + i * step] = cosine;
        s[i] = sine * dc[i] + cosine * ds[i];
        c[i] = cosine * dc[i] - sine * ds[i];
      }
    }
  }

  /** The column that shows the same pair and half as a column of another encoding did. */
  follow(before, column) {
    const pair = Math.min(before.pair(column), this.d_model / 2 - 1);
    const step = this.columns === "halves" ? this.d_model / 2 : 1;
    return this.columnOf(pair) + (before.isSine(column) ? 0 : step);
  }

  describe(row, column) {
    const pair = this.pair(column);
    const half = this.isSine(column) ? "sine" : "cosine";
    const wavelength = this.wavelength(pair);
    return (
      `position ${row} · column ${column} (${half} of pair ${pair}) · ` +
      `wavelength ${number(wavelength, 4)} positions · value ${signed(this.value(row, column))}`
    );
  }

  summary() {
    const pairs = this.d_model / 2;
    let turned = 0;
    while (turned < pairs && this.wavelength(turned) <= this.positions) turned++;
    return (
      `${count(this.positions, "position")} by ${count(this.d_model, "column")}. ` +
      `${turned} of ${count(pairs, "pair")} turn at least once within them; wavelengths run from ` +
      `${number(2 * Math.PI, 4)} to ${number(this.wavelength(pairs - 1), 4)} positions.`
    );
  }

  get hand() {
    return true;
  }

  get walks() {
    return true;
  }

  step(row) {
    return { row: (row + 1) % this.positions };
  }

  standsAt(row) {
    return axisEntry(this.rowAxis, row);
  }

  /** Sine and cosine columns are two smooth curves; joined in storage order they are a zigzag. */
  rowPlot(row, pin) {
    const sine = (column) => this.isSine(column);
    const curves = [
      { row, of: sine, gaps: false, color: "first", look: [1.5] },
      { row, of: (column) => !sine(column), gaps: false, color: "second", look: [1.5, [5, 3]] },
    ];
    if (pin !== null) curves.unshift({ row: pin, of: sine, gaps: false, color: "muted", look: [1, [2, 2]] });
    const names = [["sine —", 0, "first"], ["cosine - -", 56, "second"]];
    return { title: `the row: ${axisEntry(this.rowAxis, row)}`, names, curves };
  }

  columnTitle(column) {
    return `the column: ${this.isSine(column) ? "sine" : "cosine"} of pair ${this.pair(column)}`;
  }

  longest(row) {
    return `${row} · column 0000 (cosine of pair 0000) · wavelength 0.0000·10^00 positions · value +0.0000`;
  }

  controls(make) {
    const widths = new Set([4, 8, 16, 32, 64, 128, 256, 512, this.d_model]);
    return [
      make.select("d_model", [...widths].sort((a, b) => a - b), Number),
      // "go to" and links lengthen the table beyond what a slider can set with care.
      make.range("positions", { min: 2, max: Math.max(512, this.positions) }, "positions", undefined, "0000"),
      make.steps("base", [...new Set([...BASES, this.base])].sort((a, b) => a - b), (base) => tidy(base, 5)),
      make.select("columns", ["interleaved", "halves"], String),
    ];
  }

  places(make) {
    const last = (source) => source.d_model / 2 - 1;
    return [
      make.number(
        "position",
        () => [0, LONGEST - 1],
        (n, source) => ({ row: n, positions: Math.max(n + 1, source.positions) }),
        1,
        (n, source) => (n < source.positions ? "" : `The table now has ${count(n + 1, "position")}.`),
      ),
      make.number("column", (source) => [0, source.d_model - 1], (n) => ({ column: n })),
      make.number("pair", (source) => [0, last(source)], (n, source) => ({ column: source.columnOf(n) })),
      make.number(
        "wavelength",
        (source) => [source.wavelength(0), source.wavelength(last(source))],
        (n, source) => ({ column: source.columnOf(source.nearestPair(n)) }),
        "any",
        (n, source) => `The wavelength nearest to ${number(n, 4)} is ${number(source.wavelength(source.nearestPair(n)), 4)} positions.`,
      ),
    ];
  }

  nearestPair(wavelength) {
    let best = 0;
    const off = (pair) => Math.abs(Math.log(this.wavelength(pair) / wavelength));
    for (let pair = 1; pair < this.d_model / 2; pair++) if (off(pair) < off(best)) best = pair;
    return best;
  }
}

/** Given numbers: frames × rows × columns, with names for the three axes. */
export class Grid extends Source {
  constructor(state) {
    super();
    this.take(state);
  }

  take(state, values = decode(state.values, state.dtype)) {
    const [frames, rows, columns] = state.shape;
    this.values = values;
    if (this.values.length !== frames * rows * columns || !this.values.length) {
      throw new Error(`values hold ${this.values.length} numbers; shape is ${state.shape}`);
    }
    if (this.values.some((value) => Math.abs(value) === Infinity)) throw new Error("values hold infinity");
    this.gaps = this.values.some(Number.isNaN); // NaN says that there is no value
    if (this.values.every(Number.isNaN)) throw new Error("values hold no number");
    this.shape = [rows, columns];
    this.rowAxis = state.rows;
    this.columnAxis = state.columns_axis;
    this.valueAxis = state.value;
    this.frames = frames > 1 ? { ...state.frames, count: frames } : null;
    this.frame = 0;
    const known = this.values.filter((value) => !Number.isNaN(value));
    const [low, high] = extent(known);
    // More than half a colour beyond the scale: float32 alone does not make an end.
    const { low: from, high: to } = this.valueAxis;
    this.beyond = [from - low, high - to].map((far) => far > (to - from) / 512);
    const largest = Math.max(-low, high);
    this.decimals = known.every(Number.isInteger) ? 0 : largest >= 10 ? 1 : 2;
    if (this.decimals && low < high) this.decimals = Math.max(this.decimals, 1 - Math.floor(Math.log10(high - low)));
    // What a cell of a frame needs to be told from another; and the widest number in a cell.
    this.digits = Array.from({ length: frames }, (_, i) =>
      digitsFor(...extent(this.values.subarray(i * rows * columns, (i + 1) * rows * columns))));
    this.widest = Math.max(...[low, high].map((value) => this.cell(value).length));
  }

  /** A number as it stands in its cell. */
  cell(value) {
    if (Number.isNaN(value)) return "";
    const plain = this.decimals < 9 && Math.abs(value) < 1e9;
    return plain ? value.toFixed(this.decimals).replace("-", "−") : shownValue(this, value);
  }

  value(row, column) {
    const [rows, columns] = this.shape;
    return this.values[(this.frame * rows + row) * columns + column];
  }

  frameName() {
    const { name, labels } = this.frames;
    return labels ? `${name}: ${labels[this.frame]}` : `${name} ${this.frame}`;
  }

  fill(out) {
    const size = this.shape[0] * this.shape[1];
    out.set(this.values.subarray(this.frame * size, (this.frame + 1) * size));
  }

  describe(row, column) {
    const { name, unit } = this.valueAxis;
    const frame = this.frames ? `${this.frameName()} · ` : "";
    return (
      `${frame}${axisEntry(this.rowAxis, row)} · ${axisEntry(this.columnAxis, column)} · ` +
      `${name} ${shownValue(this, this.value(row, column))}${unit ? ` ${unit}` : ""}`
    );
  }

  summary() {
    const [rows, columns] = this.shape;
    const frame = this.frames ? `, ${this.frameName()}` : "";
    const size = rows * columns;
    const known = this.values.subarray(this.frame * size, (this.frame + 1) * size).filter((value) => !Number.isNaN(value));
    const [low, high] = extent(known);
    const energy = known.reduce((sum, value) => sum + value * value, 0);
    const gaps = size - known.length;
    return (
      `${rows} × ${columns} (${this.rowAxis.name} × ${this.columnAxis.name})${frame}. ` +
      (known.length
        ? `${this.valueAxis.name}: ${shownValue(this, low)} to ${shownValue(this, high)}, root mean square ` +
          `${number(Math.sqrt(energy / known.length), this.digits[this.frame])}.`
        : "") + (gaps ? ` ${count(gaps, "cell")} without a value, hatched.` : "")
    );
  }

  get walks() {
    return this.frames !== null;
  }

  step() {
    return { frame: (this.frame + 1) % this.frames.count };
  }

  standsAt() {
    return this.frameName();
  }

  rowPlot(row, pin) {
    const curves = [{ row, color: "first", look: [1.5] }];
    if (pin !== null) curves.unshift({ row: pin, color: "second", look: [1.5, [5, 3]] });
    return { title: `along ${axisEntry(this.rowAxis, row)}`, names: [], curves };
  }

  columnTitle(column) {
    return `down ${axisEntry(this.columnAxis, column)}`;
  }

  longest(row, column, value) {
    const { frames } = this;
    const frame = frames ? `${frames.name}: ${longestOf(frames.labels || ["0000"])} · ` : "";
    return `${frame}${row} · ${column} · ${this.valueAxis.name} ${value}`;
  }

  controls(make) {
    if (!this.frames) return [];
    const { name, labels, count: n } = this.frames;
    const text = (source) => (labels ? labels[source.frame] : String(source.frame));
    return [make.range("frame", { min: 0, max: n - 1 }, name, text, longestOf(labels || [String(n)]))];
  }

  places(make) {
    const axes = [[this.rowAxis, "row", 0], [this.columnAxis, "column", 1]];
    return axes.map(([axis, key, side]) => axis.labels && !axis.details
      ? make.name(axis, key)
      : make.number(axis.name, (source) => [0, source.shape[side] - 1], (n) => ({ [key]: n })));
  }
}

/** The reader's own sentence through a given layer: bytes to ids to rows, positions added. */
export class Sentence extends Grid {
  static keys = ["text"];

  constructor(state) {
    super(state);
    this.text = state.text;
  }

  take(state) {
    const table = decode(state.tokens, "float32");
    const places = decode(state.positions, "float32");
    const [d_model, room] = [state.d_model, places.length / state.d_model];
    const bytes = [...new TextEncoder().encode(state.text)];
    this.cut = Math.max(0, bytes.length - (room - 2)); // BOS and EOS need a place each
    const kept = bytes.slice(0, room - 2);
    const ids = [state.bos, ...kept.map((byte) => byte + state.first_byte), state.eos];
    const size = ids.length * d_model;
    const values = new Float64Array(3 * size);
    ids.forEach((id, p) => {
      for (let c = 0; c < d_model; c++) {
        const token = table[id * d_model + c] * state.scale;
        const place = places[p * d_model + c];
        values[p * d_model + c] = token;
        values[size + p * d_model + c] = place;
        values[2 * size + p * d_model + c] = token + place;
      }
    });
    // A byte below 128 is a character; the others are parts of one and are named by number.
    const spell = (byte) => (byte === 32 ? "space" : byte > 32 && byte < 127 ? String.fromCharCode(byte) : `byte ${byte}`);
    const labels = ["BOS", ...kept.map(spell), "EOS"];
    super.take(
      { ...state, shape: [3, ids.length, d_model], rows: { name: "position", labels, details: ids.map((id) => `id ${id}`) } },
      values,
    );
  }

  summary() {
    const [rows] = this.shape;
    const cut = this.cut ? ` ${count(this.cut, "byte")} at the end found no position and are left out.` : "";
    return `${count(rows, "token")}: BOS, one for each byte of the text, EOS.${cut} ${super.summary()}`;
  }

  /** "byte 255", whatever is typed: the plot must not jump. */
  leftMargin() {
    return 76;
  }

  controls(make) {
    return [make.text("text", "your sentence"), ...super.controls(make)];
  }
}

const KINDS = { encoding: Encoding, grid: Grid, sentence: Sentence };

/** The source of a state, as the page holds it. */
export function makeSource(state) {
  // What few pages need comes in a script of its own.
  KINDS.conventions ??= globalThis.simplellmConventions?.source(Grid);
  return new KINDS[state.kind](state);
}
