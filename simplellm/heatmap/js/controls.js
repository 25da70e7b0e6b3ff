// Labelled native controls: each shows the state of its heatmap and sets it.

import { make, roomFor, write } from "./dom.js";
import { clamp, longestOf, number, tidy } from "./words.js";

export class Controls {
  constructor(host) {
    this.host = host;
    this.shown = [];
  }

  get source() {
    return this.host.source;
  }

  /** Show the state in all of them. */
  show() {
    for (const show of this.shown) show();
  }

  control(name, input, value, show, set) {
    input.addEventListener("input", () => this.host.set(set()));
    this.shown.push(show);
    return make("label", {}, make("span", {}, name), input, ...(value ? [value] : []));
  }

  select(key, options, parse, text = String) {
    const list = make("select", { name: key });
    for (const option of options) list.append(make("option", { value: option }, text(option)));
    return this.control(key, list, null, () => (list.value = this.host.state()[key]), () => ({ [key]: parse(list.value) }));
  }

  range(key, limits, name = key, text = () => String(this.host.state()[key]), longest = String(limits.max)) {
    const input = make("input", { type: "range", name: key, step: 1, ...limits });
    const value = make("span"); // not an output: the slider itself speaks its value
    const show = () => {
      input.value = this.host.state()[key];
      write(value, text(this.source));
      input.setAttribute("aria-valuetext", text(this.source));
    };
    return this.control(name, input, roomFor(value, longest), show, () => ({ [key]: Number(input.value) }));
  }

  text(key, name) {
    const input = make("input", { type: "text", name: key, maxLength: 200, autocomplete: "off", spellcheck: false });
    const show = () => {
      if (input.value !== this.source[key]) input.value = this.source[key];
    };
    return this.control(name, input, null, show, () => ({ [key]: input.value }));
  }

  /** A slider that walks through chosen numbers. */
  steps(key, values, text) {
    const input = make("input", { type: "range", name: key, min: 0, max: values.length - 1, step: 1 });
    const value = make("span");
    const show = () => {
      // A link may carry any number: the slider then stands at the next chosen one.
      const at = values.findIndex((chosen) => chosen >= this.source[key]);
      input.value = at < 0 ? values.length - 1 : at;
      write(value, text(this.source[key]));
      input.setAttribute("aria-valuetext", value.textContent);
    };
    return this.control(key, input, roomFor(value, longestOf(values.map(text))), show, () => ({ [key]: values[Number(input.value)] }));
  }

  /** A field that moves the cursor; `note` is what there is to say about a number. */
  number(name, limits, change, step = 1, note = () => "") {
    const input = make("input", { type: "number", name: `goto-${name}`, step });
    let done = ""; // Enter also makes the browser report a change, for the second time
    const go = () => {
      if (input.value === "") return;
      const [least, most] = limits(this.source);
      const wanted = Number(input.value);
      const given = clamp(step === 1 ? Math.round(wanted) : wanted, least, most);
      this.host.say(note(given, this.source));
      this.host.set(change(given, this.source));
      done = input.value;
      if (given === wanted) return;
      done = input.value = String(Number(given.toFixed(3)));
      const words = step === 1 ? tidy : number;
      this.host.say(
        `${name} runs from ${words(least, 4)} to ${words(most, 4)}; ` +
          `${tidy(wanted, 6)} is not in it, so this is ${tidy(given, 4)}.`,
      );
    };
    input.addEventListener("change", () => input.value !== done && go());
    // Enter on an unchanged field goes there again: the cursor may have moved meanwhile.
    input.addEventListener("keydown", (event) => event.key === "Enter" && go());
    return make("label", {}, make("span", {}, name), input);
  }

  name(axis, key) {
    const list = make("select", { name: `goto-${axis.name}` });
    axis.labels.forEach((label, index) => list.append(make("option", { value: index }, label)));
    return this.control(axis.name, list, null, () => (list.value = this.host.view.cursor()[key]), () => ({ [key]: Number(list.value) }));
  }
}
