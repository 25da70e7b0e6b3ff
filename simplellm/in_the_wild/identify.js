// Which convention made a table of positions: simplellm/identify.py for a page, step by step the same,
// under the same names. What is rounded to decimals, as printed tables are, is known here besides.

simplellmConventions.identify ??= (() => {
  const { PAPER, OWN_RATES, keyOf, rates, rows: rowsOf, factor, upTo } = simplellmConventions;
  const ROWS = 4096; // of a longer table the first ones are enough
  const ORDERS = [["interleaved", false], ["interleaved", true], ["halves", false], ["halves", true]];
  const SHARED_RATES = ["2i/d", "i/(d/2-1)", "4i/d"];
  const EXPONENTS = [...SHARED_RATES, ...OWN_RATES];
  const BASES = [1000, 10000, 100000];
  const RULES = ["d^-0.5", "(2/d)^0.5"];

  const convention = (columns, exponents, base = 10000, first = 0, cosines_first = false) =>
    ({ ...PAPER, columns, exponents, base, first, cosines_first });

  /** How far, relative to itself, a number may be from the one that was computed. */
  function roundingOf(values) {
    const bits = new Float32Array(1);
    const word = new Uint32Array(bits.buffer);
    const isIn = (value, lost, smallest) => {
      bits[0] = value;
      if (bits[0] !== value) return false;
      if (Math.abs(value) < smallest) return Number.isInteger(value * 2 ** 24);
      return (word[0] & ((1 << lost) - 1)) === 0;
    };
    if (values.every((value) => isIn(value, 16, 0))) return 2 ** -8; // bfloat16
    if (values.every((value) => Math.abs(value) < 65520 && isIn(value, 13, 2 ** -14))) return 2 ** -11;
    return 1e-6;
  }

  /** What arithmetic in float32 may be off by at amplitude 1, in each row. */
  function allowed(says, places, d_model, length) {
    const fastest = Math.max(1, ...rates(says, d_model, length).flat());
    return places.map((place) => 1e-6 + 2 ** -22 * fastest * Math.abs(place + says.first));
  }

  const largestOf = (values) => values.reduce((largest, value) => Math.max(largest, value), -Infinity);
  const without = (values, size, unit) => values.map((value, i) => Math.abs(value - size * unit[i]));

  /** Whether a convention explains rows, and by how much they differ at most. */
  function differs(part, unit, says, size) {
    const { rows, d_model, length, relative, slack } = part;
    const count = unit.length / d_model;
    const limits = allowed(says, upTo(count), d_model, length);
    let [largest, exact] = [0, true];
    for (let row = 0, at = 0; row < count; row++) {
      const limit = 1.5 * (relative + limits[row]) * size + 2 ** -25;
      for (let j = 0; j < d_model; j++, at++) {
        const off = Math.abs(rows[at] - size * unit[at]);
        if (off > largest) largest = off;
        if (!(off <= limit + (slack ? slack[at] : 0))) exact = false;
      }
    }
    return { largest, exact };
  }

  /** The size of rows that are a multiple of others, by least squares. */
  function sizeOf(rows, unit) {
    let [product, square] = [0, 0];
    unit.forEach((value, i) => ((product += rows[i] * value), (square += value * value)));
    return product / square;
  }

  function unitRows(says, count, d_model, length) {
    try {
      return rowsOf({ ...says, amplitude: 1 }, d_model, upTo(count), length);
    } catch {
      return null; // nobody says what such a width holds
    }
  }

  /** The match of a convention of amplitude 1, its amplitude fitted; null if rows differ. */
  function judged(trial, part) {
    const { rows, d_model, length } = part;
    const all = rows.length / d_model;
    let [size, unit, sizes] = [0, null, []];
    for (const count of [...new Set([8, 64, all].map((n) => Math.min(n, all)))]) {
      unit = unitRows(trial, count, d_model, length);
      if (!unit) return null;
      size = sizeOf(rows, unit);
      if (!(size > 0 && size < Infinity)) return null;
      const named = [1, ...RULES].map((amplitude) => factor({ amplitude }, d_model));
      sizes = [...named.filter((one) => Math.abs(one / size - 1) < 0.1), size];
      if (!sizes.some((one) => differs(part, unit, trial, one).exact)) return null;
    }
    // Said as simply as it can be: 1, a rule, the fewest digits, all of them.
    const digits = [1, 2, 3, 4, 5, 6].map((n) => Number(size.toPrecision(n)));
    for (const amplitude of [1, ...RULES, ...digits, size]) {
      const { largest, exact } = differs(part, unit, trial, factor({ amplitude }, d_model));
      if (exact) return { convention: { ...trial, amplitude }, difference: largest };
    }
    return null;
  }

  // ---- fitting

  /** Each pair of columns as cosine and sine. */
  function turnOf({ rows, d_model }, columns, cosines_first) {
    const half = d_model / 2;
    const [begin, step] = columns === "halves" ? [half, 1] : [1, 2];
    const count = rows.length / d_model;
    const [one, two] = [0, begin].map((offset) => {
      const found = new Float64Array(count * half);
      for (let row = 0; row < count; row++) {
        for (let i = 0; i < half; i++) found[row * half + i] = rows[row * d_model + offset + i * step];
      }
      return found;
    });
    return { cosine: cosines_first ? one : two, sine: cosines_first ? two : one, half, count };
  }

  const lengthsOf = ({ cosine, sine }) => cosine.map((value, i) => Math.hypot(value, sine[i]));
  const meanOf = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  function isTurning(turn) {
    const lengths = lengthsOf(turn);
    const mean = meanOf(lengths);
    return lengths.every((length) => Math.abs(length - mean) <= 0.05 * mean);
  }

  /** Radians per position of each pair: the line through its unwrapped angles, least squares. */
  function ratesOf({ cosine, sine, half, count }) {
    const middle = (count - 1) / 2;
    const square = (count * (count * count - 1)) / 12;
    return Array.from({ length: half }, (_, i) => {
      let [angle, sum] = [0, 0];
      for (let row = 1, at = i + half; row < count; row++, at += half) {
        const [c, s, d, t] = [cosine[at], sine[at], cosine[at - half], sine[at - half]];
        angle += Math.atan2(s * d - c * t, c * d + s * t); // each step within half a turn
        sum += (row - middle) * angle;
      }
      return sum / square;
    });
  }

  /** Base, and on request the fastest rate, whose rates are nearest, by least squares. */
  function baseOf(found, exponents, fastest) {
    const steps = exponents === "i/(d/2-1)" ? Math.max(found.length - 1, 1) : found.length;
    const turning = found.map((rate, i) => [rate, i / steps]).filter(([rate]) => rate > 0);
    if (!turning.some(([, exponent]) => exponent > 0)) return null;
    const sum = (of) => turning.reduce((total, pair) => total + pair[0] ** 2 * of(...pair), 0);
    const weight = sum(() => 1);
    const mean = fastest ? sum((_, exponent) => exponent) / weight : 0;
    const height = fastest ? sum((rate) => Math.log(rate)) / weight : 0;
    const slope =
      sum((rate, exponent) => (exponent - mean) * (Math.log(rate) - height)) / sum((_, exponent) => (exponent - mean) ** 2);
    const stretch = height - slope * mean;
    if (!(Math.abs(slope) < 700) || !(Math.abs(stretch) < 50)) return null;
    return [Math.exp(-slope), Math.exp(stretch)];
  }

  /** The position whose angles are nearest to those of the first row. */
  function firstPosition({ cosine, sine, half }, perPosition) {
    const guesses = [0];
    for (let i = 0; i < half; i++) {
      const guess = Math.atan2(sine[i], cosine[i]) / perPosition[i];
      if (Math.abs(guess) < 1e6) guesses.push(Math.round(guess));
    }
    let [best, least] = [0, Infinity];
    for (const guess of guesses) {
      let off = 0;
      for (let i = 0; i < half; i++) {
        const angle = guess * perPosition[i];
        off = Math.max(off, Math.hypot(Math.cos(angle) - cosine[i], Math.sin(angle) - sine[i]));
      }
      if (off < least) [best, least] = [guess, off];
    }
    return best;
  }

  function* fitted(turn, plain, d_model) {
    const found = ratesOf(turn);
    for (const fastest of [false, true]) {
      const numbers = baseOf(found, plain.exponents, fastest);
      if (!numbers) continue;
      const trials = [1, 2, 3, 4, 5, 6, 7, 9].map((digits) => {
        const [base, stretch] = numbers.map((number) => Number(number.toPrecision(digits)));
        const trial = { ...plain, base, fastest: stretch };
        return { ...trial, first: firstPosition(turn, rates(trial, d_model)[0]) };
      });
      yield [...new Map(trials.map((trial) => [keyOf(trial), trial])).values()];
    }
  }

  /** Conventions whose base, first position and fastest rate were read off rows of even width. */
  function* fitting(part) {
    const { rows, d_model } = part;
    if (d_model % 2) return;
    for (const [columns, cosines_first] of ORDERS) {
      const turn = turnOf(part, columns, cosines_first);
      const turning = isTurning(turn);
      for (const exponents of SHARED_RATES) {
        const plain = convention(columns, exponents, 10000, 0, cosines_first);
        if (rows.length === d_model) {
          for (const base of BASES) {
            const trial = { ...plain, base };
            yield [{ ...trial, first: firstPosition(turn, rates(trial, d_model)[0]) }];
          }
        } else if (exponents !== "4i/d" && turning) yield* fitted(turn, plain, d_model);
      }
    }
  }

  /** Conventions that somebody follows, and those one would guess. */
  function* known(conventions) {
    const distinct = new Map(conventions.map((says) => [keyOf(says), says]));
    for (const says of distinct.values()) {
      for (const first of new Set([0, 1, 2, says.first])) yield [{ ...says, first, amplitude: 1 }];
    }
    for (const [columns, cosines_first] of ORDERS) {
      for (const exponents of EXPONENTS) {
        for (const base of BASES) {
          for (const first of [0, 1, 2]) yield [convention(columns, exponents, base, first, cosines_first)];
        }
      }
    }
  }

  // ---- the answer

  function digitsOf(number) {
    const digits = number.toExponential(12).split("e")[0].replace(/^[0.]+|[0.]+$/g, "").replace(".", "");
    return digits.length + !(number > 1e-5 && number < 1e6);
  }

  /** How much it takes to say it: the numbers' digits, and whatever is rare. */
  function wordsOf({ base, exponents, fastest, normalised }) {
    let words = base === 10000 ? 0 : digitsOf(base);
    words += !["2i/d", "i/(d/2-1)"].includes(exponents);
    if (typeof fastest === "string") words += 1;
    else if (fastest !== 1) words += 1 + Math.min(digitsOf(fastest), digitsOf(fastest / (2 * Math.PI)));
    return words + normalised;
  }

  function search(part, conventions) {
    const found = new Map();
    for (const stage of [fitting(part), known(conventions)]) {
      for (const trials of stage) {
        for (const match of trials.map((trial) => judged(trial, part))) {
          if (match) found.set(keyOf(match.convention), match);
        }
      }
      if ([...found.values()].some((match) => wordsOf(match.convention) === 0)) break;
    }
    const matches = [...found.values()].sort((a, b) => wordsOf(a.convention) - wordsOf(b.convention));
    return matches.filter((match) => wordsOf(match.convention) === wordsOf(matches[0].convention));
  }

  /** Why no convention explains the rows. */
  function whyUnknown(part, conventions) {
    const { rows, d_model, length } = part;
    const count = Math.min(rows.length / d_model, 512);
    const some = { ...part, rows: rows.subarray(0, count * d_model) };
    let [nearest, least] = [null, Infinity];
    for (const stage of [fitting(some), known(conventions)]) {
      for (const trial of [...stage].flat()) {
        const unit = unitRows(trial, count, d_model, length);
        if (!unit) continue;
        const size = sizeOf(rows, unit);
        if (!(size > 0)) continue;
        const off = largestOf(without(some.rows, size, unit)) / size;
        if (off < least) [nearest, least] = [{ ...trial, amplitude: Number(size.toPrecision(3)) }, off];
      }
    }
    if (nearest && least < 0.5) {
      const errors = without(some.rows, factor(nearest, d_model), unitRows(nearest, count, d_model, length));
      const worst = errors.indexOf(largestOf(errors));
      const [row, column] = [Math.floor(worst / d_model), worst % d_model];
      const said = simplellmConventions.inWords(nearest);
      return (
        `the nearest convention is ${said}, and row ${row}, column ${column} is off by ` +
        `${Number(errors[worst].toPrecision(2))}: more than float32 explains (trained sinusoids, or frequencies in half precision?)`
      );
    }
    const spreads = (d_model % 2 ? [] : ORDERS).map(([columns, cosines_first]) => {
      const lengths = lengthsOf(turnOf(some, columns, cosines_first));
      return (largestOf(lengths) + largestOf(lengths.map((length) => -length))) / meanOf(lengths);
    });
    if (!spreads.some((spread) => spread <= 0.1)) {
      return (
        "no way to pair its columns gives sin² + cos² the same in every row, as sinusoids do: " +
        "learned or random numbers, or another function of the position"
      );
    }
    return "its columns turn in pairs, at rates that no base explains";
  }

  /** The table with rows and columns exchanged, of which the first columns become rows. */
  function turned(values, d_model) {
    const count = values.length / d_model;
    const rows = Math.min(d_model, ROWS);
    return Float64Array.from({ length: rows * count }, (_, i) => values[(i % count) * d_model + Math.floor(i / count)]);
  }

  /** The longest run of rows that are not all zero: where it begins and ends. */
  function longestRun(values, d_model) {
    const count = values.length / d_model;
    let [begin, end, at] = [0, 0, 0];
    for (let row = 0; row <= count; row++) {
      const zero = row === count || values.subarray(row * d_model, (row + 1) * d_model).every((value) => value === 0);
      if (!zero) continue;
      if (row - at > end - begin) [begin, end] = [at, row];
      at = row + 1;
    }
    return [begin, end];
  }

  /**
   * Find out which convention made a table.
   *
   * values: row by row, finite. conventions: those that are known. length: rows of the whole table,
   * where these are only its beginning. slack: how far each number may be off because it was printed.
   */
  return function identify(values, d_model, conventions, { length, slack } = {}) {
    const whole = Float64Array.from(values);
    const count = whole.length / d_model;
    const [begin, end] = longestRun(whole, d_model);
    const zeroRows = Array.from({ length: count }, (_, row) => row).filter((row) =>
      whole.subarray(row * d_model, (row + 1) * d_model).every((value) => value === 0));
    if (begin === end) return { convention: null, firstRow: 0, zeroRows, candidates: [], why: "all its rows are zero" };
    const searched = [begin * d_model, Math.min(end, begin + ROWS) * d_model];
    const part = {
      rows: whole.subarray(...searched),
      d_model,
      length: length && length !== count ? length - begin : end - begin,
      relative: roundingOf(whole),
      slack: slack?.subarray(...searched),
    };
    const all = conventions.map((says) => ({ ...PAPER, ...says }));
    const found = search(part, all);
    const answer = { convention: null, firstRow: begin, zeroRows, candidates: [], difference: found[0]?.difference };
    if (!found.length) {
      const flipped = count > 2 && !slack && turned(whole, d_model);
      const columns = flipped ? search({ ...part, rows: flipped, d_model: count, length: d_model }, all) : [];
      if (columns.length === 1) {
        const said = simplellmConventions.inWords(columns[0].convention);
        return { ...answer, why: `its positions are in the columns: they follow ${said}. Turn it with table.T` };
      }
      return { ...answer, why: whyUnknown(part, all) };
    }
    if (found.length > 1) {
      const rows = end - begin;
      const why = `${rows} row${rows > 1 ? "s" : ""} of width ${d_model} fit ${found.length} conventions. Give more rows, or a wider table`;
      return { ...answer, candidates: found.map((match) => match.convention), why };
    }
    return { ...answer, convention: found[0].convention, why: "" };
  };
})();
