// Conventions of sinusoidal positions, with the names of simplellm/conventions.py; and what a heatmap
// of two of them shows.
//
// A classic script of its own: only a page that has such a heatmap, or looks for conventions, gets it.

globalThis.simplellmConventions ??= (() => {
  const PAPER = {
    columns: "interleaved", exponents: "2i/d", base: 10000, first: 0,
    cosines_first: false, amplitude: 1, fastest: 1, normalised: false,
  };
  /** One text for conventions that say the same. */
  const keyOf = (convention) => JSON.stringify(Object.values({ ...PAPER, ...convention }));
  const OWN_RATES = ["j/d", "2j/d"];

  /** Whether an odd width is made of the width below and a column of zeros. */
  function pads(says, d_model) {
    if (d_model % 2 === 0 || says.columns === "summed") return false;
    const last = says.exponents === "i/(d/2-1)";
    const zeros = says.columns === "halves" && (last || (says.cosines_first && says.exponents === "2i/d"));
    if (d_model === 1 || !(zeros || (!says.cosines_first && !last))) {
      throw new Error(`no library says what the last of ${d_model} columns holds`);
    }
    return zeros;
  }

  /** Radians per position of each sine and of each cosine. */
  function rates(says, d_model, length) {
    if (pads(says, d_model)) return rates(says, d_model - 1, length);
    const stretch = says.fastest === "d/length" ? d_model / length : says.fastest;
    const twice = ["4i/d", "2j/d"].includes(says.exponents) ? 2 : 1;
    const rate = (exponent) => stretch * says.base ** -(twice * exponent);
    if (says.columns === "summed") {
      const all = Array.from({ length: d_model }, (_, j) => rate(j / d_model));
      return [all, all];
    }
    const pairs = Math.ceil(d_model / 2);
    const steps = Math.max(pairs - 1, 1);
    const exponent = (i) => (says.exponents === "i/(d/2-1)" ? i / steps : (2 * i) / d_model);
    const later = OWN_RATES.includes(says.exponents) ? 1 / d_model : 0;
    const list = (plus) => Array.from({ length: pairs }, (_, i) => rate(exponent(i) + plus));
    return [list(0), list(later).slice(0, Math.floor(d_model / 2))]; // an odd width ends with a sine
  }

  function waves(says, d_model, places, length) {
    const out = new Float64Array(places.length * d_model);
    const width = pads(says, d_model) ? d_model - 1 : d_model;
    const [sines, cosines] = rates(says, width, length);
    const [one, two] = says.cosines_first ? [cosines, sines] : [sines, cosines];
    const [first, second] = says.cosines_first ? [Math.cos, Math.sin] : [Math.sin, Math.cos];
    const [begin, step] = says.columns === "halves" ? [one.length, 1] : [1, 2];
    places.forEach((place, row) => {
      const p = place + says.first;
      const at = row * d_model;
      if (says.columns === "summed") {
        for (let j = 0; j < width; j++) out[at + j] = Math.sin(p * sines[j]) + Math.cos(p * sines[j]);
        return;
      }
      for (let i = 0; i < one.length; i++) if (i * step < width) out[at + i * step] = first(p * one[i]);
      for (let i = 0; i < two.length; i++) out[at + begin + i * step] = second(p * two[i]);
    });
    return out;
  }

  /** What rows of this width are multiplied by. */
  function factor(says, d_model) {
    if (says.amplitude === "d^-0.5") return d_model ** -0.5;
    if (says.amplitude === "(2/d)^0.5") return (2 / d_model) ** 0.5;
    return says.amplitude;
  }

  const upTo = (length) => Array.from({ length }, (_, p) => p);

  /** Rows of the tokens at some places, of a table of so many rows: row by row, float64. */
  function rows(convention, d_model, places, length = places.length) {
    const says = { ...PAPER, ...convention };
    const out = waves(says, d_model, places, length);
    let [mean, scale] = [0, factor(says, d_model)];
    if (says.normalised) {
      const whole = waves(says, d_model, upTo(length), length);
      mean = whole.reduce((sum, value) => sum + value, 0) / whole.length;
      const squares = whole.reduce((sum, value) => sum + (value - mean) ** 2, 0);
      scale /= 10 * Math.sqrt(squares / (whole.length - 1));
    }
    return out.map((value) => scale * (value - mean));
  }

  const general = (value) => {
    const [digits, power] = Number(value.toPrecision(6)).toExponential().split("e");
    return power < -4 || power > 5 ? `${digits}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}` : String(Number(value.toPrecision(6)));
  };

  /** A convention in words, as Python prints it. */
  function inWords(convention) {
    const says = { ...PAPER, ...convention };
    const said = [says.columns === "summed" ? "sine and cosine summed" : says.columns];
    if (says.cosines_first) said.push("cosines first");
    if (says.exponents !== "2i/d") said.push(`exponents ${says.exponents}`);
    const times = says.base < 1 ? ` (positions times ${general(1 / says.base)} ** exponent)` : "";
    said.push(`base ${general(says.base)}${times}`);
    if (says.first) said.push(`first position ${says.first}`);
    if (says.fastest === "d/length") said.push("angles times d/length");
    else if (says.fastest !== 1) said.push(`angles times ${says.fastest === 2 * Math.PI ? "2π" : general(says.fastest)}`);
    if (says.normalised) said.push("normalised over its length");
    if (says.amplitude !== 1) said.push(`amplitude ${typeof says.amplitude === "string" ? says.amplitude : general(says.amplitude)}`);
    return said.join(", ");
  }

  // ---- a heatmap of two of them

  const WIDTHS = [8, 16, 32, 64, 128, 256];

  /** The rows of two conventions and their difference. `Grid` is the heatmap's source of numbers. */
  const source = (Grid) => class extends Grid {
    static keys = ["first", "second", "d_model", "positions"];

    take(state) {
      const { conventions } = state;
      for (const key of this.constructor.keys) this[key] = state[key];
      for (const key of ["first", "second"]) {
        if (!Object.hasOwn(conventions, this[key])) throw new Error(`${key} is no convention of this page: ${this[key]}`);
      }
      const { d_model, positions } = this;
      if (!WIDTHS.includes(d_model)) throw new Error(`d_model must be one of ${WIDTHS.join(", ")}, got ${d_model}`);
      if (!(Number.isInteger(positions) && positions >= 2 && positions <= 512)) {
        throw new Error(`positions must be a whole number from 2 to 512, got ${positions}`);
      }
      this.names = Object.keys(conventions);
      this.said = ["first", "second"].map((key) => `${key}: ${inWords(conventions[this[key]])}.`).join(" ");
      const [one, two] = [this.first, this.second].map((name) => rows(conventions[name], d_model, upTo(positions)));
      const size = positions * d_model;
      const values = new Float64Array(3 * size);
      values.set(one);
      values.set(two, size);
      one.forEach((value, i) => (values[2 * size + i] = value - two[i]));
      const high = values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
      super.take(
        {
          shape: [3, positions, d_model],
          rows: { name: "token" },
          columns_axis: { name: "column" },
          frames: { name: "shown", labels: ["first", "second", "first − second"] },
          value: { name: "value", unit: "", low: -high, high, diverging: true },
        },
        values,
      );
    }

    /** "−0.0061", whichever two are chosen: the plot must not jump. */
    leftMargin() {
      return 64;
    }

    summary() {
      return `${this.said} ${super.summary()}`;
    }

    controls(make) {
      return [
        make.select("first", this.names, String),
        make.select("second", this.names, String),
        make.select("d_model", WIDTHS, Number),
        make.range("positions", { min: 2, max: 512 }, "tokens", undefined, "000"),
        ...super.controls(make),
      ];
    }
  };

  return { PAPER, OWN_RATES, keyOf, pads, rates, rows, factor, upTo, inWords, source };
})();
