// The element: mount it, change it, take it away.
//
// The page holds one for each heatmap:
//   <div class="simplellm-heatmap" id="heatmap-NAME" data-state="{…}"> a still picture </div>
// mount() reads the state, hides the still picture (print and pages without JavaScript keep it)
// and puts controls, one canvas and a read-out in its place.

import { actions, turn } from "./actions.js";
import { Paint, pageTheme, shade } from "./colour.js";
import { Controls } from "./controls.js";
import { make, roomFor, write } from "./dom.js";
import { drawFigure, layOut } from "./drawing.js";
import { listen } from "./hands.js";
import { CanvasPen } from "./pens.js";
import { longestSentence, longestSummary, sentence, valueTable } from "./readout.js";
import { makeSource } from "./sources.js";
import { ZOOMS, View, addressOf, changesIn, stateOf } from "./state.js";
import { clamp } from "./words.js";

export class HeatmapElement {
  constructor(root) {
    this.root = root;
    this.ends = new AbortController(); // of all that it listens to, outside of itself too
    this.initial = JSON.parse(root.dataset.state);
    this.source = makeSource(this.initial);
    if (this.source.frames) this.source.frame = this.initial.frame ?? 0;
    this.view = new View(this.source, this.initial);
    this.paint = new Paint();
    this.boxes = {}; // where each plot stands, once it is drawn
    this.build();
    this.refresh(true);
    root.dataset.theme = pageTheme();
    root.dataset.live = ""; // the still gives way before a link looks where this stands
    this.readAddress(location.hash);
    this.watch();
  }

  /** End what would go on after the element is gone: playing, watching, listening. */
  dispose() {
    this.ends.abort();
    clearInterval(this.timer);
  }

  /** The value of one cell of what is shown now, at full precision. */
  value(row, column) {
    return this.source.value(row, column);
  }

  /** Everything that a link has to carry, and the sizes of what is shown. */
  state() {
    return stateOf(this.initial.kind, this.source, this.view);
  }

  /** Change any part of the state; the rest follows. Values out of range are brought into it. */
  set(changes) {
    const before = this.source;
    const source = (this.source = before.changed(this.initial, changes));
    if (changes.frame !== undefined && source.frames) {
      source.frame = clamp(Math.round(changes.frame), 0, source.frames.count - 1);
    }
    const said = this.view.set(changes, before, source);
    if (said) this.say(said);
    const repaint = source !== before || changes.frame !== undefined;
    if (repaint && this.paint.colors) this.paint.paint(source);
    this.draw();
    this.refresh(repaint);
    this.root.dispatchEvent(new CustomEvent("viewchange", { detail: this.state() }));
  }

  /** Show another cell for as long as the mouse is there. */
  setHover(cell) {
    const before = this.view.cursor();
    this.view.hover = cell;
    const now = this.view.cursor();
    if (now.row === before.row && now.column === before.column) return;
    this.draw();
    this.refresh();
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
    turn(this.playButton, playing ? "Play" : "Pause");
    this.say(playing ? `Paused at ${this.source.standsAt(this.view.row)}.` : "");
    if (playing) return;
    const pace = matchMedia("(prefers-reduced-motion: reduce)").matches ? 800 : 120;
    this.timer = setInterval(() => {
      if (!this.root.isConnected) this.togglePlay();
      else this.set(this.source.step(this.view.row));
    }, pace);
  }

  // -- drawing

  /** Read the page's colours, and draw everything in them. */
  recolor() {
    this.root.dataset.theme = pageTheme();
    this.paint.read(this.root, this.source.valueAxis.diverging);
    this.paint.paint(this.source);
    this.draw();
  }

  /** What the drawing functions read. */
  snapshot() {
    const { source, view, paint } = this;
    const cursor = view.cursor();
    return {
      ...paint,
      ...cursor,
      source,
      window: view.window,
      pin: view.pin,
      value: source.value(cursor.row, cursor.column),
      shade: (value) => shade(source.valueAxis, value),
    };
  }

  draw() {
    // What is off the screen of a notebook reports no width; its theme may change meanwhile.
    const width = Math.floor(this.canvas.clientWidth) || this.width;
    // Not laid out yet (a hidden tab): the resize observer calls again, and has the colours read.
    if (!width || !this.paint.colors) return;
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
    const { source, view } = this;
    write(this.readout, sentence(source, view.cursor(), view.pin));
    this.controls.show();
    turn(this.pinButton, view.pin === null ? `Pin ${source.rowAxis.name}` : "Unpin");
    if (all) {
      write(this.summary, source.summary());
      if (this.sized !== source) this.keepRoom();
    }
    if (!this.tableBox.hidden) this.tableBox.replaceChildren(valueTable(source, view.cursor()));
  }

  /** Once for each source, not for each frame: what is longest in any of them. */
  keepRoom() {
    this.sized = this.source;
    this.readout.parentElement.dataset.longest = longestSentence(this.source);
    this.summary.parentElement.dataset.longest = longestSummary(this.source);
  }

  say(message) {
    write(this.message, message);
  }

  build() {
    const { source } = this;
    this.controls = new Controls(this);
    const bar = make("div", { className: "controls" }, ...source.controls(this.controls));
    if (this.view.zoomable) bar.append(this.controls.select("zoom", ZOOMS, Number, (z) => `${z}×`));
    const goTo = make("div", { className: "goto", role: "group", "aria-label": "Go to" }, make("span", {}, "go to"), ...source.places(this.controls));

    this.canvas = make("canvas", {
      className: source.hand ? "hand" : "",
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
        `Home and End go to the ends of a row, P pins${this.view.zoomable ? ", + and − zoom" : ""}.`,
    );
    const live = make("div", { className: "live" });
    live.append(
      make("p", { className: "title" }, this.initial.title),
      // The words stand above the picture: below it they would be off the screen of a projector.
      bar, make("div", { className: "seen" }, this.words, this.canvas), goTo, actions(this), this.tableBox, roomFor(this.summary, "", "div"), help,
    );
    this.root.append(live);
    for (const element of live.querySelectorAll("input, select, button, canvas, .data")) {
      // JupyterLab and Notebook 7 take single keys for themselves wherever this is not set.
      element.dataset.lmSuppressShortcuts = "true";
    }
    live.addEventListener("keydown", (event) => event.stopPropagation());
    listen(this);
  }

  // -- the address

  async copyLink() {
    history.replaceState(null, "", addressOf(this.root.id, this.state()));
    try {
      await navigator.clipboard.writeText(location.href);
      this.say("Link copied: it opens the book at exactly this view.");
    } catch {
      this.say("The address bar now holds a link to exactly this view.");
    }
  }

  readAddress(hash) {
    const changes = changesIn(hash, this.root.id, this.initial, this.source);
    if (!changes) return;
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

  watch() {
    const { signal } = this.ends;
    const recolor = () => {
      // Off the page (a notebook takes cells out that are far away) there are no colours to read.
      if (this.root.isConnected && (!this.paint.colors || this.root.dataset.theme !== pageTheme())) this.recolor();
    };
    const update = () => {
      recolor();
      this.draw();
    };
    const sizes = new ResizeObserver(() => this.paint.colors && update());
    sizes.observe(this.canvas);
    // A task of its own, or a slow machine does not answer for twice as long. heatmap.css keeps the
    // room of the canvas meanwhile.
    setTimeout(update);
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

const WAITING = ".simplellm-heatmap[data-state]:not([data-live])";

/** Mount every heatmap of a page: what is far down while the page loads, when it comes near. */
export function mountAll() {
  // Notebook 7 takes the arrow keys before the slider of a live lab sees them.
  document.addEventListener("focusin", ({ target }) => {
    if (target.matches?.(".noUi-handle")) target.dataset.lmSuppressShortcuts = "true";
  });
  const coming = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting || !target.matches(WAITING)) continue;
      const { bottom, height } = target.getBoundingClientRect();
      mount(target);
      // After a jump past it, it may grow above what is read: not every browser scrolls along.
      if (bottom < 0 && !CSS.supports("overflow-anchor", "auto")) scrollBy(0, target.offsetHeight - height);
    }
  }, { rootMargin: "100%" });
  // The first is not asked where it stands: the answer takes a layout of all that is there so far.
  const first = document.querySelector(".simplellm-heatmap");
  const far = (root) => root !== first && root.getBoundingClientRect().top > 2 * innerHeight;
  const roots = [...document.querySelectorAll(WAITING)];
  const later = new Set(document.readyState === "complete" ? [] : roots.filter(far));
  for (const root of roots) later.has(root) ? coming.observe(root) : mount(root);
  const asked = () => {
    const root = document.getElementById(location.hash.slice(1).split("?")[0]);
    if (root?.matches(WAITING)) mount(root);
  };
  asked();
  addEventListener("hashchange", asked);
}
