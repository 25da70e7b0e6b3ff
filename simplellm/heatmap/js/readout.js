// What is said in words and numbers beside the picture.

import { make } from "./dom.js";
import { axisEntry, clamp, longestOf, number, shownValue, signed } from "./words.js";

/** The sentence about one cell, and how its row compares with the pinned one. */
export function sentence(source, cell, pin) {
  const said = source.describe(cell.row, cell.column);
  return pin === null ? said : `${said} · ${comparison(source, cell, pin)}`;
}

function comparison(source, { row, column }, pin) {
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
  const apart = source.hand ? `, hands ${number(source.degrees(offset, column), 3)}° apart` : "";
  const cosine = a2 && b2 ? `, cosine ${signed(dot / Math.sqrt(a2 * b2))}` : "";
  const both = missing ? `, where both have a value (${source.shape[1] - missing} of ${source.shape[1]})` : "";
  return (
    `${pinned}: offset ${offset > 0 ? "+" : ""}${String(offset).replace("-", "−")}${both}, ` +
    `distance ${number(Math.sqrt(distance), 3)}, dot product ${signed(dot, 4)}${cosine}${apart}`
  );
}

/** About the longest that the read-out can become, a pin included: its room is kept. */
export function longestSentence(source) {
  const entry = (axis, size) => {
    const name = axis.labels ? longestOf(axis.labels) : "";
    // A sentence is typed: its longest token must have room from the start.
    if (axis.details) return `${axis.name} 0000 (byte 000, id 000)`;
    return `${axis.name} ${axis.labels ? name : size}`;
  };
  const [rows, columns] = source.shape;
  const row = entry(source.rowAxis, rows);
  const { unit, low, high } = source.valueAxis;
  const digits = Math.max(3, ...(source.digits || []));
  const value = `${longestOf(["−0.00·10^00", ...[low, high].map((end) => shownValue(source, end, digits))])}0 ${unit}`;
  const first = source.longest(row, entry(source.columnAxis, columns), value);
  const pinned = source.rowAxis.labels && !source.rowAxis.details
    ? `${value} there, difference +${value}`
    : "offset +0000, distance 0.00·10^00, dot product +0.000·10^00, cosine +0.0000" +
      (source.hand ? ", hands 000.0° apart" : "") +
      (source.gaps ? `, where both have a value (${columns} of ${columns})` : "");
  return `${first} · against pinned ${row}: ${pinned}`;
}

/** The longest summary of any frame, and a little more. */
export function longestSummary(source) {
  const shown = source.frame;
  const summaries = Array.from({ length: source.frames?.count ?? 1 }, (_, frame) => {
    if (source.frames) source.frame = frame;
    return source.summary();
  });
  source.frame = shown;
  return `${longestOf(summaries)} 000`;
}

/** The values around the cursor as a real table, for those who cannot see a picture. */
export function valueTable(source, { row, column }) {
  const [rows, columns] = source.shape;
  const wide = columns > 16 ? 8 : columns; // a row that is not long stands whole
  const [top, left] = [clamp(row - 5, 0, Math.max(0, rows - 11)), clamp(column - 3, 0, columns - wide)];
  const [bottom, right] = [Math.min(rows, top + 11), left + wide];
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
  return make("table", {}, make("caption", {}, caption), make("thead", {}, head), body);
}

/** All numbers on view at full precision, as CSV. */
export function csv(source) {
  const [rows, columns] = source.shape;
  const quote = (text) => `"${String(text).replace(/"/g, '""')}"`;
  const label = (axis, i) => quote(axis.labels ? axis.labels[i] : i);
  const line = (head, cell) => [head, ...Array.from({ length: columns }, (_, c) => cell(c))].join(",");
  const out = [line(quote(`${source.rowAxis.name} \\ ${source.columnAxis.name}`), (c) => label(source.columnAxis, c))];
  for (let r = 0; r < rows; r++) out.push(line(label(source.rowAxis, r), (c) => (Number.isNaN(source.value(r, c)) ? "" : source.value(r, c))));
  return out.join("\n") + "\n";
}
