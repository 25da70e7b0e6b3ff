// How numbers, names and ends of axes are written.

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

export function whole(value, name, low, high) {
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new Error(`${name} must be a whole number from ${low} to ${high}, got ${value}`);
  }
  return value;
}

/** A number as people write it: thousands apart, and no more digits than asked for. */
export function number(value, digits) {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e7) && !(size >= 1 && size < 1e15 && digits > Math.log10(size))) {
    return value.toExponential(digits - 1).replace("e", "·10^").replace("+", "").replace("-", "−");
  }
  const decimals = size === 0 ? 0 : Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
  const [left, right] = size.toFixed(Math.min(decimals, 12)).split(".");
  const grouped = left.replace(/\B(?=(\d{3})+$)/g, ",");
  return (value < 0 ? "−" : "") + grouped + (right ? `.${right}` : "");
}

/** A number that may be whole, and then is written so. */
export const tidy = (value, digits) => number(value, digits).replace(/\.0+$/, "");

export const signed = (value, digits = 3) => (value > 0 ? "+" : "") + number(value, digits);

/** Three digits, and more where values are so close together that three would make them equal. */
export function digitsFor(low, high) {
  if (!(low < high)) return 3;
  return Math.min(17, 3 + Math.max(0, Math.floor(Math.log10(Math.max(-low, high) / (high - low)))));
}

/** The least and the greatest; NaN counts as neither. */
export function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

export const count = (n, noun) => `${tidy(n, 1)} ${noun}${n === 1 ? "" : "s"}`;

export const longestOf = (texts) => texts.reduce((a, b) => (b.length > a.length ? b : a), "");

/** A text in at most so many pixels, with a sign that there is more of it. */
export function clipped(text, pixels) {
  const room = Math.max(1, Math.floor(pixels / 6.3)); // letters, at this size
  return text.length > room ? `${text.slice(0, room - 1)}…` : text;
}

/** Round numbers between low and high, at most about `most` of them. */
export function ticks(low, high, most) {
  const raw = Math.max(1, (high - low) / Math.max(1, most));
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((f) => f * power).find((s) => s >= raw * 0.999);
  const found = [];
  for (let t = Math.ceil(low / step) * step; t <= high; t += step) found.push(t);
  return found;
}

/** "position 3"; where rows have names, "base 10,000"; where both matter, "position 3 (cat, id 9)". */
export function axisEntry(axis, index) {
  if (!axis.labels) return `${axis.name} ${index}`;
  if (!axis.details) return `${axis.name} ${axis.labels[index]}`;
  return `${axis.name} ${index} (${axis.labels[index]}, ${axis.details[index]})`;
}

/** A plus sign says that values have a sign; counts and percentages go without. */
export function shownValue(source, value, digits = source.digits?.[source.frame] ?? 3) {
  if (Number.isNaN(value)) return "no value";
  return source.valueAxis.diverging ? signed(value, digits) : number(value, digits);
}

/** A value at an axis, with the digits that its two ends need. */
export const endValue = (source, value) => shownValue(source, value, digitsFor(source.valueAxis.low, source.valueAxis.high));
