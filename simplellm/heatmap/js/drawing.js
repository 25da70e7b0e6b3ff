// Where each view stands, and how it is drawn.

import { clipped, endValue, longestOf, number, signed, ticks } from "./words.js";

const WIDE = 640; // from this many CSS pixels on, the row and the hand stand beside the heatmap

/** Where each view stands. Plots are boxes {x, y, w, h} without their labels. */
export function layOut(width, source) {
  const { hand } = source;
  const left = source.leftMargin(endRoom(source));
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

/** Room for the ends of the value axis in the plots below. */
function endRoom(source) {
  const { low, high } = source.valueAxis;
  return 12 + 7 * Math.min(18, longestOf([low, high].map((value) => endValue(source, value))).length);
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

export function drawFigure(pen, view, boxes, width) {
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
  // What lies beyond the scale stays at the frame's edge, as its colour stays at the scale's end.
  const y = (value) => box.y + box.h - ((Math.min(high, Math.max(low, value)) - low) / (high - low)) * box.h;
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
  const { title, names, curves } = source.rowPlot(view.row, view.pin);
  // The names of the curves have a line of their own.
  const y = plotFrame(pen, view, box, title, source.columnAxis, part.column, last, names.length ? 28 : 12);
  const x = (column) => box.x + ((column - part.column + 0.5) / part.w) * box.w;
  for (const { row, of = () => true, gaps = true, color, look } of curves) {
    const points = [];
    for (let column = part.column; column <= last; column++) {
      if (of(column)) points.push([x(column), y(source.value(row, column))]);
    }
    const draw = gaps ? drawCurve : (...line) => pen.line(...line.slice(1));
    draw(pen, stepped(source, points), colors[color], ...look);
  }
  for (const [name, right, color] of names) pen.text(name, box.x + right, box.y - 12, colors[color]);
  pen.line([[x(view.column), box.y], [x(view.column), box.y + box.h]], colors.ink, 1, [2, 3]);
  if (!Number.isNaN(view.value)) pen.circle(x(view.column), y(view.value), 4, colors.ink);
}

function drawColumn(pen, view, box) {
  const { source, colors, window: part } = view;
  const last = part.row + part.h - 1;
  const y = plotFrame(pen, view, box, source.columnTitle(view.column), source.rowAxis, part.row, last);
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
  const angle = number(360 * (turns - Math.floor(turns)), 3);
  const lines = [
    [`sine ${signed(Math.sin(view.row * frequency))}`, colors.first],
    [`cosine ${signed(Math.cos(view.row * frequency))}`, colors.second],
    [`${number(turns, 3)} turns`, colors.muted],
    [`at ${angle}°`, colors.muted],
  ];
  if (view.pin !== null) lines.push([`${number(source.degrees(view.row - view.pin, view.column), 3)}° apart`, colors.ink]);
  lines.forEach(([line, color], i) => {
    if (box.beside) pen.text(line, cx + r + 18, cy + (i - 2) * 20, color);
    else pen.text(line, box.x + box.w / 2, cy + r + 18 + i * 17, color, "center");
  });
}
