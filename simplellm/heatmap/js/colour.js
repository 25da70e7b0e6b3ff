// The page's theme, the colours that the stylesheet names, and values turned into them.

import { clamp } from "./words.js";

export function newCanvas(width, height) {
  return Object.assign(document.createElement("canvas"), { width, height });
}

/** 257 colours between the stops that the stylesheet names: an odd number, so that zero has one. */
export function lookupTable(stops) {
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

/** "light" or "dark": what the page says (this book, JupyterLab, VS Code, Colab), or the system. */
export function pageTheme() {
  const page = document.documentElement;
  const { body } = document;
  const said = page.dataset.theme || page.getAttribute("theme");
  if (said === "dark" || said === "light") return said;
  if (body.dataset.jpThemeLight) return body.dataset.jpThemeLight === "false" ? "dark" : "light";
  if (body.className.includes("vscode-")) return /vscode-(dark|high-contrast)(\s|$)/.test(body.className) ? "dark" : "light";
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

/** From 0 to 256: which colour a value has. */
export function shade({ low, high }, value) {
  return clamp(Math.round(((value - low) / (high - low)) * 256), 0, 256);
}

/** The colours of an element, and the picture of a source in them. */
export class Paint {
  /** Read the colours that are in force where the element stands. */
  read(element, diverging) {
    const style = getComputedStyle(element);
    const read = (name) => style.getPropertyValue(`--${name}`).trim();
    this.colors = Object.fromEntries(
      ["ink", "muted", "faint", "paper", "first", "second"].map((name) => [name, read(name)]),
    );
    this.table = lookupTable(read(diverging ? "diverging" : "sequential").split(/\s+/));
    this.ramp = newCanvas(257, 1);
    this.ramp.getContext("2d").putImageData(new ImageData(this.table, 257, 1), 0, 0);
  }

  /** Values to colours, one pixel a cell; drawing only stretches the result. */
  paint(source) {
    const [rows, columns] = source.shape;
    if (!this.image || this.image.width !== columns || this.image.height !== rows) {
      this.image = newCanvas(columns, rows);
      this.numbers = new Float64Array(rows * columns); // 1e9 and 1e9 + 1 are one float32
      this.pixels = new ImageData(columns, rows);
    }
    source.fill(this.numbers);
    const { low, high } = source.valueAxis;
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
}
