// The figure is drawn once, with a pen; the pen draws on a canvas or writes SVG.

import { newCanvas } from "./colour.js";

const FONT = "12px system-ui, sans-serif";

export class CanvasPen {
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

export class SvgPen {
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
