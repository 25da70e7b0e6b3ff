// Tables of numbers as people have them: printed or separated text, .npy, .safetensors.
//
// Each reader gives [{ name, shape, dtype, slack?, read }]; read() resolves to the numbers of the
// first rows, row by row. Nothing leaves the page.

simplellmConventions.tables ??= (() => {
  const ROWS = 4096; // what is looked at; a file may hold far more
  const WIDEST = 8192;
  const BYTES = { F64: 8, F32: 4, F16: 2, BF16: 2 };

  function numbersOf(buffer, dtype) {
    const view = new DataView(buffer);
    const count = buffer.byteLength / BYTES[dtype];
    const read = {
      F64: (i) => view.getFloat64(8 * i, true),
      F32: (i) => view.getFloat32(4 * i, true),
      F16: (i) => half(view.getUint16(2 * i, true)),
      BF16: (i) => bfloat(view.getUint16(2 * i, true)),
    }[dtype];
    return Float64Array.from({ length: count }, (_, i) => read(i));
  }

  function half(bits) {
    const [sign, power, digits] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
    if (power === 31) return digits ? NaN : sign * Infinity;
    return sign * (power ? (1 + digits / 1024) * 2 ** (power - 15) : digits * 2 ** -24);
  }

  const word = new DataView(new ArrayBuffer(4));
  function bfloat(bits) {
    word.setUint32(0, bits << 16);
    return word.getFloat32(0);
  }

  /** A shape without its axes of size 1: (length, d_model), or null if it is no such table. */
  function sides(shape) {
    const kept = shape.length > 2 ? shape.filter((side) => side !== 1) : shape;
    return kept.length === 2 && kept[0] >= 1 && kept[1] >= 2 && kept[1] <= WIDEST ? kept : null;
  }

  const part = async (file, begin, end) => file.slice(begin, end).arrayBuffer();

  function readerOf(file, begin, [length, d_model], dtype) {
    const size = Math.min(length, ROWS) * d_model * BYTES[dtype];
    return async () => {
      const buffer = await part(file, begin, begin + size);
      if (buffer.byteLength < size) throw new Error("the file ends before its numbers do: copy it again");
      return numbersOf(buffer, dtype);
    };
  }

  function jsonOf(text) {
    try {
      return JSON.parse(text);
    } catch {
      throw new Error("its header is no JSON, so this is no .safetensors file or a broken one");
    }
  }

  async function safetensors(file) {
    const head = new DataView(await part(file, 0, 8));
    const size = head.byteLength === 8 ? Number(head.getBigUint64(0, true)) : Infinity;
    if (!(size <= file.size - 8 && size < 1e8)) throw new Error("this is no .safetensors file: its header does not fit into it");
    const header = jsonOf(new TextDecoder().decode(await part(file, 8, 8 + size)));
    delete header.__metadata__;
    const found = [];
    for (const [name, { dtype, shape, data_offsets }] of Object.entries(header)) {
      if (!Array.isArray(shape) || !Array.isArray(data_offsets)) throw new Error(`its header says no shape or no place for ${name}`);
      const table = sides(shape);
      if (!table || !BYTES[dtype]) continue;
      found.push({ name, shape: table, dtype, read: readerOf(file, 8 + size + data_offsets[0], table, dtype) });
    }
    if (!found.length) throw new Error("this file holds no table of two axes in floating point");
    const likely = ({ name }) => /pos|(^|[._])pe($|[._])|sin/i.test(name);
    return [...found.filter(likely), ...found.filter((one) => !likely(one))];
  }

  async function npy(file) {
    const head = new DataView(await part(file, 0, 12));
    if (head.byteLength < 12 || head.getUint32(0) !== 0x934e554d) throw new Error("this is no .npy file");
    const long = head.getUint8(6) > 1;
    const size = long ? head.getUint32(8, true) : head.getUint16(8, true);
    const begin = (long ? 12 : 10) + size;
    const header = new TextDecoder().decode(await part(file, long ? 12 : 10, begin));
    const dtype = { "<f8": "F64", "<f4": "F32", "<f2": "F16" }[header.match(/'descr': '([^']*)'/)?.[1]];
    if (!dtype) throw new Error("it must hold floating-point numbers, little-endian: save table.astype('float32')");
    const shape = (header.match(/'shape': \(([^)]*)\)/)?.[1].match(/\d+/g) ?? []).map(Number);
    const table = sides(shape);
    if (!table) throw new Error(`its shape is (${shape.join(", ")}): save one table of (length, d_model)`);
    if (/'fortran_order': True/.test(header)) {
      const [length, d_model] = table; // column by column: all of it has to be read
      const columns = readerOf(file, begin, [1, length * d_model], dtype);
      const read = async () => {
        const values = await columns();
        const rows = Math.min(length, ROWS);
        return Float64Array.from({ length: rows * d_model }, (_, i) => values[(i % d_model) * length + Math.floor(i / d_model)]);
      };
      return [{ name: file.name, shape: table, dtype, read }];
    }
    return [{ name: file.name, shape: table, dtype, read: readerOf(file, begin, table, dtype) }];
  }

  /** Numbers in rows: a printed tensor or array, or lines with commas, blanks or tabs between. */
  function text(given) {
    if (/\.\.\.|…/.test(given)) {
      throw new Error("the print leaves numbers out (…): in PyTorch first torch.set_printoptions(threshold=10**9), in NumPy np.set_printoptions(threshold=10**9)");
    }
    // "−0,84; 0,54" is how a spreadsheet writes it where decimals have a comma.
    let plain = given.replaceAll("−", "-");
    if (plain.includes(";") && !plain.includes(".")) plain = plain.replaceAll(",", ".");
    const printed = plain.includes("[");
    const lines = printed ? [...plain.matchAll(/\[([^[\]]+)\]/g)].map((found) => found[1]) : plain.split(/\r?\n/).filter((line) => line.trim());
    // A first line of names, as pandas writes it: with nothing for the column of row numbers.
    const names = !printed && lines[0]?.split(/[\s,;]+/).some((word) => word && !isFinite(Number(word)));
    const numbered = !printed && lines[0]?.startsWith(",");
    if (lines.length > 1 && (names || numbered)) lines.shift();
    const rows = lines
      .map((line) => line.trim().split(/[\s,;]+/).filter(Boolean).slice(numbered ? 1 : 0))
      .filter((row) => row.length);
    if (!rows.length) throw new Error("there are no numbers in it");
    const width = rows[0].length;
    // Half of the last digit: 0.5e-4 for 0.8415, and for 8.415e-01; and what the dtype rounded before.
    const dtype = plain.match(/dtype=(?:torch\.)?(b?)float16/);
    const eps = dtype ? 2 ** (dtype[1] ? -8 : -11) : 0;
    const halfDigit = (word) => {
      const [digits, power = 0] = word.split(/e/i);
      return 0.5 * 10 ** (Number(power) - (digits.split(".")[1] ?? "").length) + eps * Math.abs(Number(word));
    };
    rows.forEach((row, at) => {
      if (row.length !== width) throw new Error(`row ${at} has ${row.length} numbers, row 0 has ${width}: give whole rows`);
      const strange = row.find((word) => !isFinite(Number(word)));
      if (strange !== undefined) throw new Error(`row ${at} holds ${JSON.stringify(strange)}, which is no number`);
    });
    if (width < 2 || width > WIDEST) throw new Error(`a row has ${width} number${width === 1 ? "" : "s"}: a table has 2 to ${WIDEST} columns`);
    const words = rows.slice(0, ROWS).flat();
    const [values, slack] = [Number, halfDigit].map((of) => Float64Array.from(words, of));
    return [{ name: "", shape: [rows.length, width], dtype: "text", slack, read: async () => values }];
  }

  async function fromFile(file) {
    const kind = file.name.toLowerCase().match(/\.([^.]*)$/)?.[1];
    if (kind === "safetensors") return safetensors(file);
    if (kind === "npy") return npy(file);
    if (["csv", "tsv", "txt", "dat"].includes(kind)) return text(await file.text());
    throw new Error(
      `${file.name} is not read here: give .safetensors, .npy, .csv or .txt` +
        (["pt", "pth", "bin", "ckpt", "pkl"].includes(kind)
          ? ". A pickle is read by PyTorch alone: np.save('table.npy', state_dict['pe'].numpy()) makes a file of one table"
          : ""),
    );
  }

  return { text, fromFile };
})();
