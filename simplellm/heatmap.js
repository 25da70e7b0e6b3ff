// An interactive heatmap that needs no kernel, no network and no library.
//
// The page holds one element per heatmap:
//   <div class="simplellm-heatmap" id="heatmap-NAME" data-state="{…}"> a still picture </div>
// mount() reads the state, hides the still picture (print and pages without JavaScript keep it)
// and puts controls, one canvas and a read-out in its place.
//
// Reading order: what is shown (Encoding, Grid, Sentence), drawing (two pens, the figure), the controls.

// ---------------------------------------------------------------------------------------------
// What is shown. A source answers: how many rows and columns, what value, and which words.

/** The sinusoidal encoding, computed here from the formula. Rows are positions 0, 1, 2, … */
class Encoding {
  static keys = ["d_model", "positions", "base", "columns"];

  constructor(state) {
    Object.assign(this, { d_model: 64, positions: 128, base: 10000, columns: "interleaved" });
    for (const key of Encoding.keys) if (state[key] !== undefined) this[key] = state[key];
    this.d_model = whole(this.d_model, "d_model", 2, 2048);
    if (this.d_model % 2) throw new Error(`d_model must be even, got ${this.d_model}`);
    this.positions = whole(this.positions, "positions", 1, 2048);
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
    const wavelength = (2 * Math.PI) / this.frequency(pair);
    return (
      `position ${row} · column ${column} (${half} of pair ${pair}) · ` +
      `wavelength ${number(wavelength, 4)} positions · value ${signed(this.value(row, column))}`
    );
  }

  summary() {
    const pairs = this.d_model / 2;
    let turned = 0;
    while (turned < pairs && (2 * Math.PI) / this.frequency(turned) <= this.positions) turned++;
    return (
      `${count(this.positions, "position")} by ${count(this.d_model, "column")}. ` +
      `${turned} of ${count(pairs, "pair")} turn at least once within them; wavelengths run from ` +
      `${number(2 * Math.PI, 4)} to ${number((2 * Math.PI) / this.frequency(pairs - 1), 4)} positions.`
    );
  }
}

/** Given numbers: frames × rows × columns, with names for the three axes. */
class Grid {
  static keys = [];

  constructor(state) {
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

  follow(before, column) {
    return column;
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
}

/** The reader's own sentence through a given layer: bytes to ids to rows, positions added. */
class Sentence extends Grid {
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
}

/** "position 3"; where rows have names, "base 10,000"; where both matter, "position 3 (cat, id 9)". */
function axisEntry(axis, index) {
  if (!axis.labels) return `${axis.name} ${index}`;
  if (!axis.details) return `${axis.name} ${axis.labels[index]}`;
  return `${axis.name} ${index} (${axis.labels[index]}, ${axis.details[index]})`;
}

function decode(base64, dtype) {
  const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  return dtype === "float64" ? new Float64Array(bytes.buffer) : new Float32Array(bytes.buffer);
}

function whole(value, name, low, high) {
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new Error(`${name} must be a whole number from ${low} to ${high}, got ${value}`);
  }
  return value;
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/** A number as people write it: thousands apart, and no more digits than asked for. */
function number(value, digits) {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e7) && !(size >= 1 && size < 1e15 && digits > Math.log10(size))) {
    return value.toExponential(digits - 1).replace("e", "·10^").replace("+", "").replace("-", "−");
  }
  const decimals = size === 0 ? 0 : Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
  const [left, right] = size.toFixed(Math.min(decimals, 12)).split(".");
  const grouped = left.replace(/\B(?=(\d{3})+$)/g, ",");
  return (value < 0 ? "−" : "") + grouped + (right ? `.${right}` : "");
}

const signed = (value, digits = 3) => (value > 0 ? "+" : "") + number(value, digits);

/** A plus sign says that values have a sign; counts and percentages go without. */
function shownValue(source, value, digits = source.digits?.[source.frame] ?? 3) {
  if (Number.isNaN(value)) return "no value";
  return source.valueAxis.diverging ? signed(value, digits) : number(value, digits);
}

/** A value at an axis, with the digits that its two ends need. */
const endValue = (source, value) => shownValue(source, value, digitsFor(source.valueAxis.low, source.valueAxis.high));

/** Three digits, and more where values are so close together that three would make them equal. */
function digitsFor(low, high) {
  if (!(low < high)) return 3;
  return Math.min(17, 3 + Math.max(0, Math.floor(Math.log10(Math.max(-low, high) / (high - low)))));
}

/** The least and the greatest; NaN counts as neither. */
function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

const count = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;

/** Round numbers between low and high, at most about `most` of them. */
function ticks(low, high, most) {
  const raw = Math.max(1, (high - low) / Math.max(1, most));
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((f) => f * power).find((s) => s >= raw * 0.999);
  const found = [];
  for (let t = Math.ceil(low / step) * step; t <= high; t += step) found.push(t);
  return found;
}

// ---------------------------------------------------------------------------------------------
// Drawing. The figure is drawn once, with a pen; the pen draws on a canvas or writes SVG.

const FONT = "12px system-ui, sans-serif";

class CanvasPen {
  constructor(context) {
    this.context = context;
  }

  rect(x, y, w, h, fill) {
    this.context.fillStyle = fill;
    this.context.fillRect(x, y, w, h);
  }

  line(points, color, width = 1, dash = []) {
    const { context } = this;
    context.strokeStyle = color;
    context.lineWidth = width;
    context.setLineDash(dash);
    context.beginPath();
    for (const [x, y] of points) context.lineTo(x, y);
    context.stroke();
  }

  circle(x, y, r, color, filled = true) {
    const { context } = this;
    context.setLineDash([]);
    context.beginPath();
    context.arc(x, y, r, 0, 2 * Math.PI);
    context.lineWidth = 1.5;
    context.fillStyle = context.strokeStyle = color;
    if (filled) context.fill();
    else context.stroke();
  }

  text(string, x, y, color, align = "left", turned = false) {
    const { context } = this;
    context.save();
    context.translate(x, y);
    if (turned) context.rotate(-Math.PI / 2);
    context.font = FONT;
    context.fillStyle = color;
    context.textAlign = align;
    context.textBaseline = "middle";
    context.fillText(string, 0, 0);
    context.restore();
  }

  /** Part of a picture, its pixels kept sharp unless they are smaller than the screen's. */
  picture(image, [sx, sy, sw, sh], x, y, w, h) {
    const { context } = this;
    // Leaving pixels out would draw stripes that are not there; averaging them does not.
    context.imageSmoothingEnabled = sw > w * devicePixelRatio || sh > h * devicePixelRatio;
    context.drawImage(image, sx, sy, sw, sh, x, y, w, h);
  }
}

class SvgPen {
  constructor() {
    this.parts = [];
  }

  rect(x, y, w, h, fill) {
    this.parts.push(`<rect x="${x}" y="${y}" width="${w}" height="${h}" fill="${fill}"/>`);
  }

  line(points, color, width = 1, dash = []) {
    const path = points.map(([x, y]) => `${x.toFixed(2)},${y.toFixed(2)}`).join(" ");
    this.parts.push(
      `<polyline points="${path}" fill="none" stroke="${color}" stroke-width="${width}" stroke-dasharray="${dash}"/>`,
    );
  }

  circle(x, y, r, color, filled = true) {
    const paint = filled ? `fill="${color}"` : `fill="none" stroke="${color}" stroke-width="1.5"`;
    this.parts.push(`<circle cx="${x}" cy="${y}" r="${r}" ${paint}/>`);
  }

  text(string, x, y, color, align = "left", turned = false) {
    const anchor = { left: "start", center: "middle", right: "end" }[align];
    const turn = turned ? ` transform="rotate(-90 ${x} ${y})"` : "";
    const safe = string.replace(/&/g, "&amp;").replace(/</g, "&lt;");
    this.parts.push(
      `<text x="${x}" y="${y}" fill="${color}" text-anchor="${anchor}" dominant-baseline="central"${turn}>${safe}</text>`,
    );
  }

  picture(image, [sx, sy, sw, sh], x, y, w, h) {
    const part = newCanvas(Math.round(sw), Math.round(sh));
    part.getContext("2d").drawImage(image, sx, sy, sw, sh, 0, 0, part.width, part.height);
    this.parts.push(
      `<image x="${x}" y="${y}" width="${w}" height="${h}" preserveAspectRatio="none" style="image-rendering:pixelated" href="${part.toDataURL()}"/>`,
    );
  }

  source(width, height) {
    return (
      `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" ` +
      `viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="12">` +
      `${this.parts.join("")}</svg>`
    );
  }
}

function newCanvas(width, height) {
  return Object.assign(document.createElement("canvas"), { width, height });
}

/** 257 colours between the stops that the stylesheet names: an odd number, so that zero has one. */
function lookupTable(stops) {
  const rgb = stops.map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  const table = new Uint8ClampedArray(257 * 4);
  for (let i = 0; i < 257; i++) {
    const place = (i / 256) * (rgb.length - 1);
    const left = Math.min(Math.floor(place), rgb.length - 2);
    for (let k = 0; k < 3; k++) {
      table[4 * i + k] = rgb[left][k] + (rgb[left + 1][k] - rgb[left][k]) * (place - left);
    }
    table[4 * i + 3] = 255;
  }
  return table;
}

const WIDE = 640; // from this many CSS pixels on, the row and the hand stand beside the heatmap

/** Where each view stands. Plots are boxes {x, y, w, h} without their labels. */
function layOut(width, source) {
  const hand = source instanceof Encoding;
  const left = leftMargin(source);
  if (width >= WIDE) {
    const main = Math.floor(width * 0.64);
    const side = main + Math.max(56, endRoom(source));
    const w = width - side - 10;
    return {
      height: 580,
      cells: { x: left, y: 40, w: main - left, h: 340 },
      legend: { x: left, y: 420, w: main - left, h: 10 },
      column: { x: left, y: 486, w: main - left, h: 60 },
      row: { x: side, y: 40, w, h: hand ? 150 : 340 },
      hand: hand ? { x: side, y: 258, w, h: 282 } : null,
    };
  }
  const w = width - left - 8;
  return {
    height: hand ? 930 : 750,
    cells: { x: left, y: 40, w, h: 320 },
    legend: { x: left, y: 400, w, h: 10 },
    row: { x: left, y: 472, w, h: 90 },
    column: { x: left, y: 624, w, h: 80 },
    hand: hand ? { x: left, y: 752, w, h: 160, beside: true } : null,
  };
}

/** Room for row names, and for the ends of the value axis in the plots below. */
function leftMargin(source) {
  if (source instanceof Sentence) return 76; // "byte 255", whatever is typed: the plot must not jump
  const longest = longestOf(source.rowAxis.labels || []).length;
  return Math.max(46 + Math.min(80, Math.max(0, longest - 4) * 6), endRoom(source));
}

function endRoom(source) {
  const { low, high } = source.valueAxis;
  return 12 + 7 * Math.min(18, longestOf([low, high].map((value) => endValue(source, value))).length);
}

/** A text in at most so many pixels, with a sign that there is more of it. */
function clipped(text, pixels) {
  const room = Math.max(1, Math.floor(pixels / 6.3)); // letters, at this size
  return text.length > room ? `${text.slice(0, room - 1)}…` : text;
}

/** Where there is no value, the paper is hatched: no colour of the scale, in no theme. */
function hatch(pen, { x, y, w, h }, color) {
  for (let k = 6 - h; k < w; k += 6) {
    const [from, to] = [Math.max(k, 0), Math.min(k + h, w)];
    pen.line([[x + from, y + from - k], [x + to, y + to - k]], color);
  }
}

/** A curve, with a gap where there is no value and a dot where a value stands alone. */
function drawCurve(pen, points, color, width, dash) {
  let run = [];
  for (const point of [...points, [NaN, NaN]]) {
    if (!Number.isNaN(point[1])) run.push(point);
    else {
      if (run.length > 1) pen.line(run, color, width, dash);
      else if (run.length) pen.circle(...run[0], 1.5, color);
      run = [];
    }
  }
}

function drawFigure(pen, view, boxes, width) {
  pen.rect(0, 0, width, boxes.height, view.colors.paper);
  drawCells(pen, view, boxes.cells);
  drawLegend(pen, view, boxes.legend);
  drawRow(pen, view, boxes.row);
  drawColumn(pen, view, boxes.column);
  if (boxes.hand) drawHand(pen, view, boxes.hand);
}

function drawCells(pen, view, box) {
  const { source, colors, window: part } = view;
  const [w, h] = [box.w / part.w, box.h / part.h]; // of one cell
  if (source.gaps) hatch(pen, box, colors.muted);
  pen.picture(view.image, [part.column, part.row, part.w, part.h], box.x, box.y, box.w, box.h);
  if (w >= Math.max(34, 6.7 * (source.widest || 0)) && h >= 16) drawNumbers(pen, view, box, w, h);

  // Ticks stand at the middle of a cell, because a cell is one row, not an interval.
  pen.text(`${source.columnAxis.name} →`, box.x + box.w, box.y - 28, colors.ink, "right");
  const widest = longestOf(source.columnAxis.labels || []).length;
  drawTicks(source.columnAxis, part.column, part.w, w >= 7 * widest + 6, box.w / 55, (i, label) => {
    const x = box.x + (i - part.column + 0.5) * w;
    pen.line([[x, box.y - 4], [x, box.y]], colors.faint);
    pen.text(label, x, box.y - 12, colors.muted, "center");
  });
  pen.text(`${source.rowAxis.name} ↓`, 0, box.y - 28, colors.ink);
  drawTicks(source.rowAxis, part.row, part.h, h >= 12, box.h / 26, (i, label) => {
    const y = box.y + (i - part.row + 0.5) * h;
    pen.line([[box.x - 4, y], [box.x, y]], colors.faint);
    pen.text(label, box.x - 7, y, colors.muted, "right");
  });

  // The cursor: a frame around the cell, and rulers where cells are too small to find it by the
  // frame alone. Each is drawn twice, light on dark, to show on any colour.
  const x = box.x + (view.column - part.column) * w;
  const y = box.y + (view.row - part.row) * h;
  if (view.pin !== null && view.pin >= part.row && view.pin < part.row + part.h) {
    const pinned = box.y + (view.pin - part.row + 0.5) * h;
    pen.line([[box.x, pinned], [box.x + box.w, pinned]], colors.paper, 3);
    pen.line([[box.x, pinned], [box.x + box.w, pinned]], colors.ink, 1.5, [5, 3]);
  }
  for (const [color, thick] of [[colors.paper, 3], [colors.ink, 1]]) {
    const [cx, cy] = [x + w / 2, y + h / 2];
    if (Math.min(w, h) < 14) {
      const reach = 8;
      pen.line([[box.x, cy], [Math.max(box.x, cx - reach), cy]], color, thick);
      pen.line([[Math.min(box.x + box.w, cx + reach), cy], [box.x + box.w, cy]], color, thick);
      pen.line([[cx, box.y], [cx, Math.max(box.y, cy - reach)]], color, thick);
      pen.line([[cx, Math.min(box.y + box.h, cy + reach)], [cx, box.y + box.h]], color, thick);
    }
    const [l, t] = [cx - Math.max(w, 5) / 2, cy - Math.max(h, 5) / 2];
    const [r, b] = [cx + Math.max(w, 5) / 2, cy + Math.max(h, 5) / 2];
    pen.line([[l, t], [r, t], [r, b], [l, b], [l, t]], color, thick);
  }
}

/** Names are all written where they fit; numbers, and names that do not, only at round ones. */
function drawTicks(axis, first, length, fits, most, draw) {
  const all = axis.labels && fits;
  // Labels that count on from another number than 0, as positions from −32 on, have round ones too.
  const from = +axis.labels?.[0];
  const start = Number.isInteger(from) && axis.labels.every((label, i) => +label === from + i) ? from : 0;
  const at = all
    ? Array.from({ length }, (_, i) => first + i)
    : ticks(start + first, start + first + length - 1, most).map((t) => t - start);
  const name = (i) => clipped(axis.details && !all ? `${i} ${axis.labels[i]}` : axis.labels[i], 120);
  for (const i of at) draw(i, axis.labels ? name(i) : String(i));
}

function drawNumbers(pen, view, box, w, h) {
  const part = view.window;
  for (let row = part.row; row < part.row + part.h; row++) {
    for (let column = part.column; column < part.column + part.w; column++) {
      const value = view.source.value(row, column);
      const at = 4 * view.shade(value);
      const [r, g, b] = view.table.slice(at, at + 3);
      const bright = 0.299 * r + 0.587 * g + 0.114 * b > 140;
      pen.text(
        view.source.cell?.(value) ?? value.toFixed(2).replace("-", "−"),
        box.x + (column - part.column + 0.5) * w,
        box.y + (row - part.row + 0.5) * h,
        bright ? "#111111" : "#ffffff",
        "center",
      );
    }
  }
}

function drawLegend(pen, view, box) {
  const { low, high, name, unit } = view.source.valueAxis;
  pen.picture(view.ramp, [0, 0, 257, 1], box.x, box.y, box.w, box.h);
  const at = box.x + (box.w * view.shade(view.value)) / 256;
  if (!Number.isNaN(at)) pen.line([[at - 4, box.y - 6], [at, box.y], [at + 4, box.y - 6], [at - 4, box.y - 6]], view.colors.ink, 1.5);
  // What lies beyond an end has the end's colour.
  const [under, over] = view.source.beyond || [false, false];
  const ends = [(under ? "≤ " : "") + endValue(view.source, low), (over ? "≥ " : "") + endValue(view.source, high)];
  pen.text(ends[0], box.x, box.y + 20, view.colors.muted);
  const label = name + (unit ? ` (${unit})` : "") + (view.source.gaps ? " · hatched: no value" : "");
  const fits = label.length * 6.3 < box.w - Math.max(100, 16 + 14 * longestOf(ends).length); // between the two numbers, or on a line of its own
  pen.text(label, box.x + box.w / 2, box.y + (fits ? 20 : 36), view.colors.muted, "center");
  pen.text(ends[1], box.x + box.w, box.y + 20, view.colors.muted, "right");
}

/** A frame with its title, the value axis, and a function from values to heights. */
function plotFrame(pen, view, box, title, axis, from, to, above = 12) {
  const { low, high } = view.source.valueAxis;
  const { colors } = view;
  const y = (value) => box.y + box.h - ((value - low) / (high - low)) * box.h;
  pen.text(clipped(title, box.w), box.x, box.y - above, colors.ink);
  for (const value of low < 0 && high > 0 ? [low, 0, high] : [low, high]) {
    pen.line([[box.x, y(value)], [box.x + box.w, y(value)]], colors.faint);
    pen.text(endValue(view.source, value), box.x - 6, y(value), colors.muted, "right");
  }
  const room = (box.w - 6.3 * axis.name.length) / 2 - 16; // on either side of the axis' name
  const end = (index) => clipped(axis.labels ? axis.labels[index] : String(index), room);
  pen.text(end(from), box.x, box.y + box.h + 12, colors.muted);
  pen.text(`${axis.name} →`, box.x + box.w / 2, box.y + box.h + 12, colors.muted, "center");
  pen.text(end(to), box.x + box.w, box.y + box.h + 12, colors.muted, "right");
  return y;
}

/** Whole numbers jump: a slanted line between them would show values that do not exist. */
function stepped(source, points) {
  if (source.decimals !== 0 || points.length < 2) return points;
  const half = (points[1][0] - points[0][0]) / 2;
  return points.flatMap(([x, y]) => [[x - half, y], [x + half, y]]);
}

function drawRow(pen, view, box) {
  const { source, colors, window: part } = view;
  const last = part.column + part.w - 1;
  const entry = axisEntry(source.rowAxis, view.row);
  const title = source instanceof Encoding ? `the row: ${entry}` : `along ${entry}`;
  const above = source instanceof Encoding ? 28 : 12; // leaves a line for the names of the curves
  const y = plotFrame(pen, view, box, title, source.columnAxis, part.column, last, above);
  const x = (column) => box.x + ((column - part.column + 0.5) / part.w) * box.w;
  const curve = (row, keep) => {
    const points = [];
    for (let column = part.column; column <= last; column++) {
      if (keep(column)) points.push([x(column), y(source.value(row, column))]);
    }
    return stepped(source, points);
  };
  if (source instanceof Encoding) {
    // Sine and cosine columns are two smooth curves; joined in storage order they are a zigzag.
    if (view.pin !== null) pen.line(curve(view.pin, (c) => source.isSine(c)), colors.muted, 1, [2, 2]);
    pen.line(curve(view.row, (c) => source.isSine(c)), colors.first, 1.5);
    pen.line(curve(view.row, (c) => !source.isSine(c)), colors.second, 1.5, [5, 3]);
    pen.text("sine —", box.x, box.y - 12, colors.first);
    pen.text("cosine - -", box.x + 56, box.y - 12, colors.second);
  } else {
    if (view.pin !== null) drawCurve(pen, curve(view.pin, () => true), colors.second, 1.5, [5, 3]);
    drawCurve(pen, curve(view.row, () => true), colors.first, 1.5);
  }
  pen.line([[x(view.column), box.y], [x(view.column), box.y + box.h]], colors.ink, 1, [2, 3]);
  if (!Number.isNaN(view.value)) pen.circle(x(view.column), y(view.value), 4, colors.ink);
}

function drawColumn(pen, view, box) {
  const { source, colors, window: part } = view;
  const last = part.row + part.h - 1;
  const title = source instanceof Encoding
    ? `the column: ${source.isSine(view.column) ? "sine" : "cosine"} of pair ${source.pair(view.column)}`
    : `down ${axisEntry(source.columnAxis, view.column)}`;
  const y = plotFrame(pen, view, box, title, source.rowAxis, part.row, last);
  const x = (row) => box.x + ((row - part.row + 0.5) / part.h) * box.w;
  const points = [];
  for (let row = part.row; row <= last; row++) points.push([x(row), y(source.value(row, view.column))]);
  drawCurve(pen, stepped(source, points), colors.first, 1.5);
  const dot = (px, py, ...look) => Number.isNaN(py) || pen.circle(px, py, ...look);
  if (part.h <= box.w / 6) for (const [px, py] of points) dot(px, py, 2, colors.first);
  if (view.pin !== null && view.pin >= part.row && view.pin <= last) {
    dot(x(view.pin), y(source.value(view.pin, view.column)), 5, colors.second, false);
  }
  pen.line([[x(view.row), box.y], [x(view.row), box.y + box.h]], colors.ink, 1, [2, 3]);
  dot(x(view.row), y(view.value), 4, colors.ink);
}

/** The pair under the cursor as a clock hand: its shadows on the two axes are its two columns. */
function drawHand(pen, view, box) {
  const { source, colors } = view;
  const pair = source.pair(view.column);
  const frequency = source.frequency(pair);
  const r = box.beside
    ? Math.min((box.w - 120) / 2, (box.h - 36) / 2)
    : Math.min(box.w / 2 - 8, (box.h - 96) / 2);
  const [cx, cy] = [box.beside ? box.x + r + 8 : box.x + box.w / 2, box.y + 26 + r];
  const tip = (row, size = r) => {
    const angle = row * frequency;
    return [cx + size * Math.cos(angle), cy - size * Math.sin(angle)];
  };
  pen.text(`pair ${pair} (0 to ${source.d_model / 2 - 1})`, box.x, box.y, colors.ink);
  pen.circle(cx, cy, r, colors.faint, false);
  pen.line([[cx - r, cy], [cx + r, cy]], colors.faint);
  pen.line([[cx, cy - r], [cx, cy + r]], colors.faint);
  if (view.pin !== null) {
    pen.line([[cx, cy], tip(view.pin)], colors.muted, 2, [4, 3]);
    pen.circle(...tip(view.pin), 5, colors.muted, false);
  }
  const [x, y] = tip(view.row);
  pen.line([[x, y], [cx, y]], colors.faint, 1, [3, 3]);
  pen.line([[x, y], [x, cy]], colors.faint, 1, [3, 3]);
  pen.line([[cx, cy], [cx, y]], colors.first, 4);
  pen.line([[cx, cy], [x, cy]], colors.second, 4);
  pen.line([[cx, cy], [x, y]], colors.ink, 2);
  pen.circle(x, y, 5, colors.ink);
  const turns = (view.row * frequency) / (2 * Math.PI);
  const lines = [
    [`sine ${signed(Math.sin(view.row * frequency))}`, colors.first],
    [`cosine ${signed(Math.cos(view.row * frequency))}`, colors.second],
    [`${number(turns, 3)} turns`, colors.muted],
  ];
  lines.forEach(([line, color], i) => {
    if (box.beside) pen.text(line, cx + r + 18, cy + (i - 1) * 20, color);
    else pen.text(line, box.x + box.w / 2, cy + r + 18 + i * 17, color, "center");
  });
}

// ---------------------------------------------------------------------------------------------
// The element: state, controls, events.

const BASES = [1, 2, 3, 4, 5, 6].flatMap((p) => [1, 2, 5].map((f) => f * 10 ** p)).slice(0, 16);
const ZOOMS = [1, 2, 4, 8];
const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/** make("label", {text: "…", onclick: …}, child, …): a DOM element in one expression. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** Put words there if they are others than those that stand there: a voice reads what is written. */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** An element in as much room as the longest text needs that it may get: nothing beside it jumps. */
const roomFor = (element, longest, tag = "span") => make(tag, { className: "room", "data-longest": longest }, element);

const longestOf = (texts) => texts.reduce((a, b) => (b.length > a.length ? b : a), "");

class HeatmapElement {
  constructor(root) {
    this.root = root;
    this.ends = new AbortController(); // of all that it listens to, outside of itself too
    this.initial = JSON.parse(root.dataset.state);
    const { row = 0, column = 0, pin = null, zoom = 1, frame = 0 } = this.initial;
    this.source = this.makeSource(this.initial);
    this.view = { row, column, pin, zoom }; // where the reader put the cursor
    this.wanted = { row, column }; // the cursor returns here when a longer text makes room again
    this.hover = null; // where the mouse is; the cursor stays where it was put
    if (this.source.frames) this.source.frame = frame;
    this.zoomable = Math.max(...this.source.shape) > 16; // a small grid shows all its numbers
    this.frameCursor(true);
    this.build();
    this.recolor();
    root.dataset.live = ""; // the still gives way before a link looks where this stands
    this.readAddress(location.hash);
    this.watch();
  }

  /** End what would go on after the element is gone: playing, watching, listening. */
  dispose() {
    this.ends.abort();
    clearInterval(this.timer);
  }

  makeSource(state) {
    return new { encoding: Encoding, grid: Grid, sentence: Sentence }[state.kind](state);
  }

  /** The value of one cell of what is shown now, at full precision. */
  value(row, column) {
    return this.source.value(row, column);
  }

  /** Everything that a link has to carry, and the sizes of what is shown. */
  state() {
    const state = { kind: this.initial.kind, ...this.cursor(), pin: this.view.pin, zoom: this.view.zoom };
    for (const key of this.source.constructor.keys) state[key] = this.source[key];
    if (this.source.frames) state.frame = this.source.frame;
    if (this.view.zoom > 1) [state.top, state.left] = [this.window.row, this.window.column];
    [state.rows, state.cols] = this.source.shape;
    return state;
  }

  cursor() {
    return this.hover || { row: this.view.row, column: this.view.column };
  }

  /** Change any part of the state; the rest follows. Values out of range are brought into it. */
  set(changes) {
    const { source: before, view } = this;
    const zoom = view.zoom;
    if (before.constructor.keys.some((key) => changes[key] !== undefined && changes[key] !== before[key])) {
      const shown = Object.fromEntries(before.constructor.keys.map((key) => [key, before[key]]));
      this.source = this.makeSource({ ...this.initial, ...shown, ...changes });
      if (before.frames) this.source.frame = before.frame;
      view.row = this.wanted.row;
      view.column = this.source.follow(before, view.column);
    }
    const { source } = this;
    if (changes.frame !== undefined && source.frames) {
      source.frame = clamp(Math.round(changes.frame), 0, source.frames.count - 1);
    }
    for (const key of ["row", "column", "zoom", "pin"]) {
      if (changes[key] !== undefined) view[key] = changes[key];
    }
    const [rows, columns] = source.shape;
    view.row = clamp(Math.round(view.row), 0, rows - 1);
    view.column = clamp(Math.round(view.column), 0, columns - 1);
    if (changes.row !== undefined) this.wanted.row = view.row;
    if (view.pin !== null && !(view.pin >= 0 && view.pin < rows)) {
      this.say(`The pinned ${source.rowAxis.name} ${view.pin} is gone: there are only ${rows} now.`);
      view.pin = null;
    }
    if (!this.zoomable || !ZOOMS.includes(view.zoom)) view.zoom = 1;
    this.frameCursor(source !== before || view.zoom !== zoom, changes);
    if (view.zoom !== zoom) {
      const { h, w } = this.window;
      this.say(`Zoom ${view.zoom}×: ${h} of ${count(rows, source.rowAxis.name)}, ${w} of ${count(columns, source.columnAxis.name)}.`);
    }
    this.hover = null;
    const recompute = source !== before || changes.frame !== undefined;
    if (recompute) this.compute();
    this.draw();
    this.refresh(recompute);
    this.root.dispatchEvent(new CustomEvent("viewchange", { detail: this.state() }));
  }

  /** The part of the array on view: it centres on the cursor when it has to be chosen anew, and
   *  otherwise moves only as far as the cursor pushes it, or cells would slide under the mouse. */
  frameCursor(anew, { top, left } = {}) {
    const { row, column, zoom } = this.view;
    const [rows, columns] = this.source.shape;
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

  // -- computing and drawing

  recolor() {
    const theme = pageTheme();
    this.root.dataset.theme = theme;
    const style = getComputedStyle(this.root);
    const read = (name) => style.getPropertyValue(`--${name}`).trim();
    this.colors = Object.fromEntries(
      ["ink", "muted", "faint", "paper", "first", "second"].map((name) => [name, read(name)]),
    );
    const stops = read(this.source.valueAxis.diverging ? "diverging" : "sequential").split(/\s+/);
    this.table = lookupTable(stops);
    this.ramp = newCanvas(257, 1);
    this.ramp.getContext("2d").putImageData(new ImageData(this.table, 257, 1), 0, 0);
    this.compute();
    this.draw();
    this.refresh(true);
  }

  /** From 0 to 256: which colour a value has. */
  shade(value) {
    const { low, high } = this.source.valueAxis;
    return clamp(Math.round(((value - low) / (high - low)) * 256), 0, 256);
  }

  /** Values to colours, one pixel a cell; drawing only stretches the result. */
  compute() {
    const [rows, columns] = this.source.shape;
    if (!this.image || this.image.width !== columns || this.image.height !== rows) {
      this.image = newCanvas(columns, rows);
      this.numbers = new Float64Array(rows * columns); // 1e9 and 1e9 + 1 are one float32
      this.pixels = new ImageData(columns, rows);
    }
    this.source.fill(this.numbers);
    const { low, high } = this.source.valueAxis;
    const range = high - low;
    const colors = new Uint32Array(this.table.buffer);
    const pixels = new Uint32Array(this.pixels.data.buffer);
    for (let i = 0; i < pixels.length; i++) {
      const shade = ((this.numbers[i] - low) / range) * 256 + 0.5;
      // NaN leaves the pixel clear: the hatching shows through.
      pixels[i] = Number.isNaN(shade) ? 0 : colors[shade < 0 ? 0 : shade > 256 ? 256 : shade | 0];
    }
    this.image.getContext("2d").putImageData(this.pixels, 0, 0);
  }

  /** What the drawing functions read. */
  snapshot() {
    const { source, colors, image, ramp, table } = this;
    const view = { source, colors, image, ramp, table, window: this.window, pin: this.view.pin, ...this.cursor() };
    view.value = source.value(view.row, view.column);
    view.shade = (value) => this.shade(value);
    return view;
  }

  draw() {
    // What is off the screen of a notebook reports no width; its theme may change meanwhile.
    const width = Math.floor(this.canvas.clientWidth) || this.width;
    if (!width) return; // not laid out yet (a hidden tab): the resize observer calls again
    this.width = width;
    this.boxes = layOut(width, this.source);
    const ratio = devicePixelRatio || 1;
    const [w, h] = [Math.round(width * ratio), Math.round(this.boxes.height * ratio)];
    if (this.canvas.width !== w || this.canvas.height !== h) {
      Object.assign(this.canvas, { width: w, height: h });
      this.canvas.style.height = `${this.boxes.height}px`;
    }
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    drawFigure(new CanvasPen(context), this.snapshot(), this.boxes, width);
  }

  // -- words

  /** Everything beside the canvas that depends on the state. */
  refresh(all = false) {
    const { row, column } = this.cursor();
    let sentence = this.source.describe(row, column);
    if (this.view.pin !== null) sentence += ` · ${this.comparison(row)}`;
    write(this.readout, sentence);
    for (const control of this.controls) control.show();
    write(this.pinButton.querySelector("b"), this.view.pin === null ? `Pin ${this.source.rowAxis.name}` : "Unpin");
    if (all) {
      write(this.summary, this.source.summary());
      if (this.sized !== this.source) this.keepRoom();
    }
    if (!this.tableBox.hidden) this.fillTable();
  }

  /** Once for each source, not for each frame: what is longest in any of them. */
  keepRoom() {
    const { source } = this;
    this.sized = source;
    this.readout.parentElement.dataset.longest = this.longestSentence();
    const shown = source.frame;
    const summaries = Array.from({ length: source.frames?.count ?? 1 }, (_, frame) => {
      if (source.frames) source.frame = frame;
      return source.summary();
    });
    source.frame = shown;
    this.summary.parentElement.dataset.longest = `${longestOf(summaries)} 000`;
  }

  /** About the longest that the read-out can become, a pin included: its room is kept. */
  longestSentence() {
    const { source } = this;
    const entry = (axis, size) => {
      const name = axis.labels ? longestOf(axis.labels) : "";
      // A sentence is typed: its longest token must have room from the start.
      if (axis.details) return `${axis.name} 0000 (byte 000, id 000)`;
      return `${axis.name} ${axis.labels ? name : size}`;
    };
    const [rows, columns] = source.shape;
    const row = entry(source.rowAxis, rows);
    const { name, unit, low, high } = source.valueAxis;
    const digits = Math.max(3, ...(source.digits || []));
    const value = `${longestOf(["−0.00·10^00", ...[low, high].map((end) => shownValue(source, end, digits))])}0 ${unit}`;
    const first = source instanceof Encoding
      ? `${row} · column 0000 (cosine of pair 0000) · wavelength 0.0000·10^00 positions · value +0.0000`
      : `${source.frames ? `${source.frames.name}: ${longestOf(source.frames.labels || ["0000"])} · ` : ""}` +
        `${row} · ${entry(source.columnAxis, columns)} · ${name} ${value}`;
    const pinned = source.rowAxis.labels && !source.rowAxis.details
      ? `${value} there, difference +${value}`
      : "offset +0000, distance 0.00·10^00, dot product +0.00·10^00, cosine +0.0000" +
        (source.gaps ? `, where both have a value (${columns} of ${columns})` : "");
    return `${first} · against pinned ${row}: ${pinned}`;
  }

  comparison(row) {
    const { source } = this;
    const { pin } = this.view;
    const { column } = this.cursor();
    const [here, there] = [source.value(row, column), source.value(pin, column)];
    const pinned = `against pinned ${axisEntry(source.rowAxis, pin)}`;
    // Named rows are cases, not places: between them there is no offset, and no angle either.
    if (source.rowAxis.labels && !source.rowAxis.details) {
      const difference = Number.isNaN(here - there) ? "" : `, difference ${signed(here - there)}`;
      return `${pinned}: ${shownValue(source, there)} there${difference}`;
    }
    let [dot, distance, a2, b2, missing] = [0, 0, 0, 0, 0];
    for (let c = 0; c < source.shape[1]; c++) {
      const [a, b] = [source.value(row, c), source.value(pin, c)];
      if (Number.isNaN(a + b)) {
        missing++;
        continue;
      }
      dot += a * b;
      distance += (a - b) ** 2;
      a2 += a * a;
      b2 += b * b;
    }
    const offset = row - pin;
    const cosine = a2 && b2 ? `, cosine ${signed(dot / Math.sqrt(a2 * b2))}` : "";
    const both = missing ? `, where both have a value (${source.shape[1] - missing} of ${source.shape[1]})` : "";
    return (
      `${pinned}: offset ${offset > 0 ? "+" : ""}${String(offset).replace("-", "−")}${both}, ` +
      `distance ${number(Math.sqrt(distance), 3)}, dot product ${signed(dot)}${cosine}`
    );
  }

  /** The values around the cursor as a real table, for those who cannot see a picture. */
  fillTable() {
    const { source } = this;
    const [rows, columns] = source.shape;
    const { row, column } = this.cursor();
    const [top, left] = [clamp(row - 5, 0, Math.max(0, rows - 11)), clamp(column - 3, 0, Math.max(0, columns - 8))];
    const [bottom, right] = [Math.min(rows, top + 11), Math.min(columns, left + 8)];
    const body = make("tbody");
    for (let r = top; r < bottom; r++) {
      const line = make("tr", {}, make("th", { scope: "row" }, axisEntry(source.rowAxis, r)));
      for (let c = left; c < right; c++) {
        const here = r === row && c === column ? { "aria-current": "true" } : {};
        line.append(make("td", here, shownValue(source, source.value(r, c))));
      }
      body.append(line);
    }
    const head = make("tr", {}, make("td"));
    for (let c = left; c < right; c++) {
      head.append(make("th", { scope: "col" }, axisEntry(source.columnAxis, c)));
    }
    const caption = `Around the cursor: ${source.rowAxis.name} ${top} to ${bottom - 1} of ${rows}, ` +
      `${source.columnAxis.name} ${left} to ${right - 1} of ${columns}. The CSV holds all.`;
    this.tableBox.replaceChildren(
      make("table", {}, make("caption", {}, caption), make("thead", {}, head), body),
    );
  }

  say(message) {
    write(this.message, message);
  }

  // -- building the controls

  build() {
    const { source } = this;
    this.controls = [];
    const bar = make("div", { className: "controls" });
    if (source instanceof Encoding) {
      const widths = new Set([4, 8, 16, 32, 64, 128, 256, 512, source.d_model]);
      bar.append(
        this.select("d_model", [...widths].sort((a, b) => a - b), Number),
        this.range("positions", { min: 2, max: Math.max(512, source.positions) }),
        this.baseRange(),
        this.select("columns", ["interleaved", "halves"], String),
      );
    }
    if (source instanceof Sentence) bar.append(this.textField("text", "your sentence"));
    if (source.frames) {
      const label = () => {
        const { labels } = this.source.frames;
        return labels ? labels[this.source.frame] : String(this.source.frame);
      };
      bar.append(this.range("frame", { min: 0, max: source.frames.count - 1 }, source.frames.name, label, longestOf(source.frames.labels || [String(source.frames.count)])));
    }
    if (this.zoomable) bar.append(this.select("zoom", ZOOMS, Number, (z) => `${z}×`));

    this.canvas = make("canvas", {
      tabIndex: 0,
      role: "application",
      "aria-roledescription": "interactive heatmap",
      "aria-label": this.initial.title,
      "aria-describedby": `${this.root.id}-help`,
    });
    this.readout = make("p", { className: "readout" });
    this.message = make("p", { className: "message" });
    // One live region for both: two would speak over each other.
    this.words = make(
      "div",
      { className: "words", "aria-live": "polite" },
      roomFor(this.readout, "", "div"),
      roomFor(this.message, `wavelength runs from 0.000 to 0,000,000; 0000 is not in it, so this is 0,000.`, "div"),
    );
    this.summary = make("p", { className: "summary" });
    this.tableBox = make("div", {
      className: "data", hidden: true, tabIndex: 0, role: "region", "aria-label": "Values around the cursor",
    });
    const help = make(
      "p",
      { className: "help", id: `${this.root.id}-help` },
      "Hover or tap to read a value; click to put the cursor. Keys: arrows move it, Shift moves by ten, " +
        `Home and End go to the ends of a row, P pins${this.zoomable ? ", + and − zoom" : ""}.`,
    );
    const live = make("div", { className: "live" });
    live.append(
      make("p", { className: "title" }, this.initial.title),
      // The words stand above the picture: below it they would be off the screen of a projector.
      bar, this.words, this.canvas, this.goTo(), this.actions(), this.tableBox, roomFor(this.summary, "", "div"), help,
    );
    this.root.append(live);
    for (const element of live.querySelectorAll("input, select, button, canvas, .data")) {
      // JupyterLab and Notebook 7 take single keys for themselves wherever this is not set.
      element.dataset.lmSuppressShortcuts = "true";
    }
    live.addEventListener("keydown", (event) => event.stopPropagation());
    this.listen();
  }

  /** A labelled native control that shows the state and sets it. */
  control(name, input, value, show, set) {
    input.addEventListener("input", () => this.set(set()));
    this.controls.push({ show });
    return make("label", {}, make("span", {}, name), input, ...(value ? [value] : []));
  }

  select(key, options, parse, text = String) {
    const list = make("select", { name: key });
    for (const option of options) list.append(make("option", { value: option }, text(option)));
    return this.control(key, list, null, () => (list.value = this.state()[key]), () => ({ [key]: parse(list.value) }));
  }

  range(key, limits, name = key, text = () => String(this.state()[key]), longest = String(limits.max)) {
    const input = make("input", { type: "range", name: key, step: 1, ...limits });
    const value = make("span"); // not an output: the slider itself speaks its value
    const show = () => {
      input.value = this.state()[key];
      write(value, text());
      input.setAttribute("aria-valuetext", text());
    };
    return this.control(name, input, roomFor(value, longest), show, () => ({ [key]: Number(input.value) }));
  }

  textField(key, name) {
    const input = make("input", { type: "text", name: key, maxLength: 200, autocomplete: "off", spellcheck: false });
    const show = () => {
      if (input.value !== this.source[key]) input.value = this.source[key];
    };
    return this.control(name, input, null, show, () => ({ [key]: input.value }));
  }

  /** The base runs over seven powers of ten, so its slider walks through round numbers. */
  baseRange() {
    const bases = [...new Set([...BASES, this.source.base])].sort((a, b) => a - b);
    const input = make("input", { type: "range", name: "base", min: 0, max: bases.length - 1, step: 1 });
    const value = make("span");
    const show = () => {
      // A link may carry any base: the slider then stands at the next round one.
      const at = bases.findIndex((base) => base >= this.source.base);
      input.value = at < 0 ? bases.length - 1 : at;
      write(value, number(this.source.base, 5));
      input.setAttribute("aria-valuetext", value.textContent);
    };
    return this.control("base", input, roomFor(value, longestOf(bases.map((base) => number(base, 5)))), show, () => ({ base: bases[Number(input.value)] }));
  }

  /** Fields that move the cursor: by number, by name where rows or columns have names. */
  goTo() {
    const { source } = this;
    const group = make("div", { className: "goto", role: "group", "aria-label": "Go to" }, make("span", {}, "go to"));
    const axes = [[source.rowAxis, "row", 0], [source.columnAxis, "column", 1]];
    if (source instanceof Encoding) {
      const last = () => this.source.d_model / 2 - 1;
      const wavelength = (pair) => (2 * Math.PI) / this.source.frequency(pair);
      group.append(
        this.numberField("position", () => [0, this.source.positions - 1], (n) => ({ row: n })),
        this.numberField("pair", () => [0, last()], (n) => ({ column: this.source.columnOf(n) })),
        this.numberField("wavelength", () => [wavelength(0), wavelength(last())], (n) => {
          const pair = this.nearestPair(n);
          this.say(`The wavelength nearest to ${number(n, 4)} is ${number(wavelength(pair), 4)} positions.`);
          return { column: this.source.columnOf(pair) };
        }, "any"),
      );
    } else {
      for (const [axis, key, side] of axes) {
        const named = axis.labels && !axis.details;
        group.append(named
          ? this.nameField(axis, key)
          : this.numberField(axis.name, () => [0, this.source.shape[side] - 1], (n) => ({ [key]: n })));
      }
    }
    return group;
  }

  numberField(name, limits, change, step = 1) {
    const input = make("input", { type: "number", name: `goto-${name}`, step });
    let done = ""; // Enter also makes the browser report a change, for the second time
    const go = () => {
      if (input.value === "") return;
      const [least, most] = limits();
      const wanted = Number(input.value);
      const given = clamp(step === 1 ? Math.round(wanted) : wanted, least, most);
      this.say("");
      this.set(change(given));
      done = input.value;
      if (given === wanted) return;
      done = input.value = String(Number(given.toFixed(3)));
      const range = `${name} runs from ${number(least, 4)} to ${number(most, 4)}`;
      this.say(`${step === 1 ? range.replace(/\.0+\b/g, "") : range}; ${wanted} is not in it, so this is ${input.value}.`);
    };
    input.addEventListener("change", () => input.value !== done && go());
    // Enter on an unchanged field goes there again: the cursor may have moved meanwhile.
    input.addEventListener("keydown", (event) => event.key === "Enter" && go());
    return make("label", {}, make("span", {}, name), input);
  }

  nameField(axis, key) {
    const list = make("select", { name: `goto-${axis.name}` });
    axis.labels.forEach((label, index) => list.append(make("option", { value: index }, label)));
    return this.control(axis.name, list, null, () => (list.value = this.cursor()[key]), () => ({ [key]: Number(list.value) }));
  }

  nearestPair(wavelength) {
    const { source } = this;
    let best = 0;
    const off = (pair) => Math.abs(Math.log((2 * Math.PI) / source.frequency(pair) / wavelength));
    for (let pair = 1; pair < source.d_model / 2; pair++) if (off(pair) < off(best)) best = pair;
    return best;
  }

  actions() {
    const button = (text, onclick) => make("button", { type: "button", onclick }, text);
    const turning = (longest, onclick) => button(roomFor(make("b"), longest), onclick);
    this.pinButton = turning(`Pin ${this.source.rowAxis.name}`, () => this.togglePin());
    this.playButton = turning("Pause", () => this.togglePlay());
    write(this.playButton.querySelector("b"), "Play");
    const table = button("Table", () => {
      this.tableBox.hidden = !this.tableBox.hidden;
      table.setAttribute("aria-expanded", !this.tableBox.hidden);
      this.refresh();
    });
    table.setAttribute("aria-expanded", "false");
    const bar = make("div", { className: "actions" }, this.pinButton);
    if (this.source.frames || this.source instanceof Encoding) bar.append(this.playButton);
    // In a notebook the address is the notebook's, and an output in a frame has none to give.
    const bookPage = window.top === window && !document.body.dataset.jpThemeLight;
    if (bookPage) bar.append(button("Copy link", () => this.copyLink()));
    bar.append(
      table,
      button("PNG", () => this.canvas.toBlob((blob) => this.save(blob, "png"))),
      button("SVG", () => this.save(new Blob([this.svg()], { type: "image/svg+xml" }), "svg")),
      button("CSV", () => this.save(new Blob([this.csv()], { type: "text/csv" }), "csv")),
    );
    return bar;
  }

  togglePin() {
    this.set({ pin: this.view.pin === null ? this.view.row : null });
  }

  /** Walk through the frames, or down the rows, until stopped. */
  togglePlay() {
    const playing = this.timer !== undefined;
    clearInterval(this.timer);
    this.timer = undefined;
    // A voice that reads every step would never end: it hears where the walk ended.
    this.words.setAttribute("aria-live", playing ? "polite" : "off");
    write(this.playButton.querySelector("b"), playing ? "Play" : "Pause");
    const { source } = this;
    this.say(playing ? `Paused at ${source.frames ? source.frameName() : axisEntry(source.rowAxis, this.view.row)}.` : "");
    if (playing) return;
    const pace = matchMedia("(prefers-reduced-motion: reduce)").matches ? 800 : 120;
    this.timer = setInterval(() => {
      const { source, view } = this;
      if (!this.root.isConnected) this.togglePlay();
      else if (source.frames) this.set({ frame: (source.frame + 1) % source.frames.count });
      else this.set({ row: (view.row + 1) % source.shape[0] });
    }, pace);
  }

  svg() {
    const width = Math.floor(this.canvas.clientWidth);
    const pen = new SvgPen();
    drawFigure(pen, this.snapshot(), this.boxes, width);
    return pen.source(width, this.boxes.height);
  }

  csv() {
    const { source } = this;
    const [rows, columns] = source.shape;
    const quote = (text) => `"${String(text).replace(/"/g, '""')}"`;
    const label = (axis, i) => quote(axis.labels ? axis.labels[i] : i);
    const line = (head, cell) => [head, ...Array.from({ length: columns }, (_, c) => cell(c))].join(",");
    const out = [line(quote(`${source.rowAxis.name} \\ ${source.columnAxis.name}`), (c) => label(source.columnAxis, c))];
    for (let r = 0; r < rows; r++) out.push(line(label(source.rowAxis, r), (c) => (Number.isNaN(source.value(r, c)) ? "" : source.value(r, c))));
    return out.join("\n") + "\n";
  }

  save(blob, ending) {
    const url = URL.createObjectURL(blob);
    make("a", { href: url, download: `${this.root.id}.${ending}` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
    this.say(`Saved ${this.root.id}.${ending}.`);
  }

  // -- the address: #heatmap-NAME?d_model=64&…

  async copyLink() {
    const { kind, rows, cols, ...state } = this.state();
    const query = new URLSearchParams(Object.entries(state).filter(([, value]) => value !== null));
    history.replaceState(null, "", `#${this.root.id}?${query}`);
    try {
      await navigator.clipboard.writeText(location.href);
      this.say("Link copied: it opens the book at exactly this view.");
    } catch {
      this.say("The address bar now holds a link to exactly this view.");
    }
  }

  /** Show what a link says and, for all that it does not say, what the page shows at first. */
  readAddress(hash) {
    const at = hash.indexOf("?");
    if (at < 0 || hash.slice(1, at) !== this.root.id) return;
    const first = { row: 0, column: 0, zoom: 1, frame: 0, ...this.initial, pin: this.initial.pin ?? null };
    const changes = {};
    for (const key of [...this.source.constructor.keys, "row", "column", "zoom", "frame", "pin"]) {
      changes[key] = first[key];
    }
    for (const [key, text] of new URLSearchParams(hash.slice(at + 1))) {
      if (key === "columns" || key === "text") changes[key] = text;
      else if (text !== "" && isFinite(Number(text))) changes[key] = Number(text);
    }
    if (this.timer !== undefined) this.togglePlay();
    try {
      this.set(changes);
      this.say("");
    } catch (error) {
      this.say(`The link to this view could not be read: ${error.message}.`);
    }
    this.land();
  }

  /** Stand at the top of the window, and stay there while formulas and pictures above still find
   *  their size: until the reader does anything, ten seconds at most. */
  land() {
    this.landing?.abort();
    const landing = (this.landing = new AbortController());
    const signal = AbortSignal.any([landing.signal, this.ends.signal]);
    const go = () => this.root.scrollIntoView({ block: "start", behavior: "instant" });
    for (let fold = this.root.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    go();
    const sizes = new ResizeObserver(go);
    sizes.observe(document.body);
    signal.addEventListener("abort", () => sizes.disconnect());
    for (const act of ["wheel", "touchstart", "pointerdown", "keydown"]) {
      addEventListener(act, () => landing.abort(), { signal, capture: true, passive: true });
    }
    setTimeout(() => landing.abort(), 10000);
  }

  // -- events

  listen() {
    const { canvas } = this;
    canvas.addEventListener("pointermove", (event) => {
      if (event.pointerType === "mouse" && !event.buttons) this.setHover(this.cellAt(event));
      else if (event.buttons) this.moveTo(event, this.dragging);
    });
    canvas.addEventListener("pointerleave", () => this.setHover(null));
    canvas.addEventListener("pointerdown", (event) => {
      this.dragging = this.boxAt(event);
      this.moveTo(event, this.dragging);
    });
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    const { row, column } = this.view;
    const step = event.shiftKey ? 10 : 1;
    const arrow = ARROWS[event.key];
    if (event.altKey || event.metaKey || (event.ctrlKey && !["Home", "End"].includes(event.key))) return;
    if (arrow) this.set({ row: row + arrow[0] * step, column: column + arrow[1] * step });
    else if (event.key === "PageDown") this.set({ row: row + 10 });
    else if (event.key === "PageUp") this.set({ row: row - 10 });
    else if (event.key === "Home") this.set(event.ctrlKey ? { row: 0 } : { column: 0 });
    else if (event.key === "End") this.set(event.ctrlKey ? { row: Infinity } : { column: Infinity });
    else if (event.key === "p" || event.key === "P") this.togglePin();
    else if (this.zoomable && (event.key === "+" || event.key === "=")) {
      this.set({ zoom: Math.min(8, this.view.zoom * 2) });
    } else if (this.zoomable && event.key === "-") this.set({ zoom: Math.max(1, this.view.zoom / 2) });
    else return;
    event.preventDefault();
  }

  /** Which of the three plots the pointer is in. */
  boxAt(event) {
    const inside = (b) => b && event.offsetX >= b.x && event.offsetX < b.x + b.w && event.offsetY >= b.y && event.offsetY < b.y + b.h;
    return ["cells", "row", "column"].find((name) => inside(this.boxes[name])) || null;
  }

  cellAt(event, name = this.boxAt(event)) {
    if (!name) return null;
    const box = this.boxes[name];
    const part = this.window;
    const right = clamp((event.offsetX - box.x) / box.w, 0, 0.999999);
    const down = clamp((event.offsetY - box.y) / box.h, 0, 0.999999);
    if (name === "row") return { row: this.view.row, column: part.column + Math.floor(right * part.w) };
    if (name === "column") return { row: part.row + Math.floor(right * part.h), column: this.view.column };
    return { row: part.row + Math.floor(down * part.h), column: part.column + Math.floor(right * part.w) };
  }

  setHover(cell) {
    const before = this.cursor();
    this.hover = cell;
    const now = this.cursor();
    if (now.row === before.row && now.column === before.column) return;
    this.draw();
    this.refresh();
  }

  moveTo(event, name) {
    const cell = this.cellAt(event, name);
    if (cell) this.set(cell);
  }

  watch() {
    const { signal } = this.ends;
    const recolor = () => {
      // Off the page (a notebook takes cells out that are far away) there are no colours to read.
      if (this.root.isConnected && this.root.dataset.theme !== pageTheme()) this.recolor();
    };
    const sizes = new ResizeObserver(() => {
      recolor();
      this.draw();
    });
    sizes.observe(this.canvas);
    const attributes = { attributes: true, attributeFilter: ["data-theme", "data-jp-theme-light", "class", "theme"] };
    const themes = new MutationObserver(recolor);
    themes.observe(document.documentElement, attributes);
    themes.observe(document.body, attributes);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolor, { signal });
    addEventListener("hashchange", () => this.readAddress(location.hash), { signal });
    document.addEventListener("click", (event) => {
      // A link that was followed before is in the address already and changes nothing there.
      const link = event.target.closest?.("a");
      if (link?.hash && link.hash === location.hash) this.readAddress(link.hash);
    }, { signal });
    signal.addEventListener("abort", () => {
      sizes.disconnect();
      themes.disconnect();
    });
  }
}

/** "light" or "dark": what the page says (this book, JupyterLab, VS Code, Colab), or the system. */
function pageTheme() {
  const page = document.documentElement;
  const { body } = document;
  const said = page.dataset.theme || page.getAttribute("theme");
  if (said === "dark" || said === "light") return said;
  if (body.dataset.jpThemeLight) return body.dataset.jpThemeLight === "false" ? "dark" : "light";
  if (body.className.includes("vscode-")) return /vscode-(dark|high-contrast)(\s|$)/.test(body.className) ? "dark" : "light";
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

export function mount(root) {
  root.heatmap?.dispose();
  try {
    root.heatmap = new HeatmapElement(root);
  } catch (error) {
    // Say it, and leave the still picture standing.
    root.heatmap = null;
    root.dataset.live = "failed";
    root.querySelector(".live")?.remove();
    root.append(make("p", { className: "message", role: "alert" }, `This heatmap cannot be drawn: ${error.message}.`));
  }
}

export function mountAll() {
  // Notebook 7 takes the arrow keys before the slider of a live lab sees them.
  document.addEventListener("focusin", ({ target }) => {
    if (target.matches?.(".noUi-handle")) target.dataset.lmSuppressShortcuts = "true";
  });
  document.querySelectorAll(".simplellm-heatmap[data-state]:not([data-live])").forEach(mount);
}

/** The front end of simplellm.live_heatmap: the same heatmap with Python listening (anywidget). */
export default {
  render({ model, el }) {
    const root = make("div", { className: "simplellm-heatmap" });
    root.addEventListener("viewchange", (event) => {
      model.set("view", event.detail);
      model.save_changes();
    });
    const show = () => {
      root.replaceChildren();
      root.id = `heatmap-${model.get("state").name}`;
      root.dataset.state = JSON.stringify(model.get("state"));
      mount(root);
    };
    el.append(root);
    // A host may attach a view only after it was rendered; until then it has no colours.
    let frame;
    const start = () => {
      cancelAnimationFrame(frame); // show() may be called while this waits
      if (root.isConnected) show();
      else frame = requestAnimationFrame(start);
    };
    start();
    model.on("change:state", start);
    return () => {
      model.off("change:state", start);
      cancelAnimationFrame(frame);
      root.heatmap?.dispose();
    };
  },
};
