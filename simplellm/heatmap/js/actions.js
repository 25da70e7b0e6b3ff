// The buttons below the picture, and what they save.

import { make, roomFor, write } from "./dom.js";
import { drawFigure } from "./drawing.js";
import { SvgPen } from "./pens.js";
import { csv } from "./readout.js";

const button = (text, onclick) => make("button", { type: "button", onclick }, text);

/** A button whose word changes, as wide as its longest. */
const turning = (longest, onclick) => button(roomFor(make("b"), longest), onclick);

/** Write the word of such a button. */
export const turn = (element, text) => write(element.querySelector("b"), text);

/** The buttons of a heatmap, in a row. */
export function actions(host) {
  const bar = make("div", { className: "actions" });
  host.pinButton = turning(`Pin ${host.source.rowAxis.name}`, () => host.togglePin());
  host.playButton = turning("Pause", () => host.togglePlay());
  turn(host.playButton, "Play");
  const table = button("Table", () => {
    host.tableBox.hidden = !host.tableBox.hidden;
    table.setAttribute("aria-expanded", !host.tableBox.hidden);
    host.refresh();
  });
  table.setAttribute("aria-expanded", "false");
  bar.append(host.pinButton);
  if (host.source.walks) bar.append(host.playButton);
  // In a notebook the address is the notebook's, and an output in a frame has none to give.
  const bookPage = window.top === window && !document.body.dataset.jpThemeLight;
  if (bookPage) bar.append(button("Copy link", () => host.copyLink()));
  bar.append(
    table,
    button("PNG", () => host.canvas.toBlob((blob) => save(host, blob, "png"))),
    button("SVG", () => save(host, new Blob([svg(host)], { type: "image/svg+xml" }), "svg")),
    button("CSV", () => save(host, new Blob([csv(host.source)], { type: "text/csv" }), "csv")),
  );
  return bar;
}

function svg(host) {
  const width = Math.floor(host.canvas.clientWidth);
  const pen = new SvgPen();
  drawFigure(pen, host.snapshot(), host.boxes, width);
  return pen.source(width, host.boxes.height);
}

function save(host, blob, ending) {
  const url = URL.createObjectURL(blob);
  make("a", { href: url, download: `${host.root.id}.${ending}` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
  host.say(`Saved ${host.root.id}.${ending}.`);
}
