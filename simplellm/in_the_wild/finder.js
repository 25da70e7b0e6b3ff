// "Which one is my checkpoint?": takes a table from the reader and says which convention made it.
(() => {
  const { PAPER, keyOf, identify, inWords, tables } = simplellmConventions;

  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  const python = (value) => (typeof value === "string" ? `"${value}"` : typeof value === "boolean" ? (value ? "True" : "False") : String(value));

  /** The expression that makes it in Python, with the arguments that are not the paper's. */
  function codeOf(says) {
    const given = Object.keys(PAPER).filter((name) => says[name] !== PAPER[name]);
    return `Convention(${given.map((name) => `${name}=${python(says[name])}`).join(", ")})`;
  }

  class Finder {
    constructor(root) {
      root.dataset.live = "";
      this.root = root;
      const { conventions, followers, example } = JSON.parse(root.querySelector("[data-known]").dataset.known);
      this.conventions = conventions;
      this.followers = followers;
      this.paste = make("textarea", { rows: 6, spellcheck: false, name: "table" });
      this.file = make("input", { type: "file", accept: ".safetensors,.npy,.csv,.tsv,.txt,.dat", name: "file" });
      this.choice = make("select", { name: "tensor" });
      this.which = make("label", { hidden: true }, "Table in this file ", this.choice);
      const ask = make("button", { type: "button" }, "Name it");
      const show = make("button", { type: "button" }, "Put in an example");
      this.answer = make("div", { className: "answer" });
      this.answer.setAttribute("role", "status");
      root.append(
        make("label", { className: "pasted" }, make("span", {}, "Paste rows, as printed or with commas between"), this.paste),
        make("div", { className: "controls" }, ask, show, make("label", {}, "or a file ", this.file), this.which),
        this.answer,
      );
      for (const control of root.querySelectorAll("input, select, textarea, button")) {
        // JupyterLab and Notebook 7 take single keys for themselves wherever this is not set.
        control.dataset.lmSuppressShortcuts = "true";
        control.addEventListener("keydown", (event) => event.stopPropagation());
      }
      ask.addEventListener("click", () => this.run(async () => this.take(tables.text(this.paste.value))));
      show.addEventListener("click", () => {
        this.paste.value = example;
        this.run(async () => this.take(tables.text(example)));
      });
      this.file.addEventListener("change", () => this.file.files.length && this.run(async () => this.take(await tables.fromFile(this.file.files[0]))));
      this.choice.addEventListener("input", () => this.run(() => this.name(this.found[this.choice.selectedIndex])));
      root.addEventListener("dragover", (event) => event.preventDefault());
      root.addEventListener("drop", (event) => {
        if (!event.dataTransfer.files.length) return;
        event.preventDefault();
        this.run(async () => this.take(await tables.fromFile(event.dataTransfer.files[0])));
      });
    }

    /** Do it, and say what went wrong if it does not work. */
    async run(act) {
      this.answer.replaceChildren(make("p", {}, "Looking …"));
      await new Promise((done) => setTimeout(done)); // so that this is seen first
      try {
        await act();
      } catch (error) {
        this.which.hidden = true;
        this.say(`It could not be read: ${error.message}.`);
      }
    }

    /** Take the tables of a text or a file: one is named at once, of several the likeliest. */
    async take(found) {
      this.found = found;
      this.which.hidden = found.length < 2;
      this.choice.replaceChildren(...found.map(({ name, shape }) => make("option", {}, `${name} (${shape.join(" × ")})`)));
      await this.name(found[0]);
    }

    async name({ shape, dtype, slack, read }) {
      const values = await read();
      const bad = values.findIndex((value) => !isFinite(value));
      if (bad >= 0) throw new Error(`row ${Math.floor(bad / shape[1])}, column ${bad % shape[1]} is ${values[bad]}`);
      const found = identify(values, shape[1], Object.values(this.conventions), { length: shape[0], slack });
      this.result = found;
      this.show(found, shape, dtype);
    }

    show({ convention, candidates, why, firstRow, zeroRows, difference }, [length, d_model], dtype) {
      const size = `${length} row${length === 1 ? "" : "s"} of width ${d_model}${dtype === "text" ? "" : `, ${dtype}`}`;
      if (!convention) {
        const head = candidates.length ? "Undecided" : "Not recognised";
        const list = make("ul", {}, ...candidates.slice(0, 8).map((one) => make("li", {}, inWords(one))));
        if (candidates.length > 8) list.append(make("li", {}, `… and ${candidates.length - 8} more`));
        this.say(`${size}. ${head}: ${why}.`, ...(candidates.length ? [list] : []));
        return;
      }
      const names = Object.entries(this.conventions).filter(([, says]) => keyOf(says) === keyOf(convention));
      const classes = this.following(convention);
      const words = [`${size}: ${inWords(convention)}. Largest difference ${Number(difference.toPrecision(2))}.`];
      if (names.length) words.push(`Known as ${names.map(([name]) => name).join(", ")}.`);
      if (zeroRows.length) {
        const more = zeroRows.length > 4 ? ", …" : "";
        words.push(`Zeros in row ${zeroRows.slice(0, 4).join(", ")}${more}; the first token gets row ${firstRow}.`);
      }
      const parts = [make("p", {}, "In Python: ", make("code", {}, codeOf(convention)))];
      if (classes.length) {
        const list = make("ul", {}, ...classes.map((name) => make("li", {}, name)));
        const head = make("summary", {}, `Used by ${classes.length} of the classes in the table`);
        parts.push(make("details", { open: classes.length < 10 }, head, list));
      } else parts.push(make("p", {}, "None of the classes in the table uses it."));
      this.say(words.join(" "), ...parts);
    }

    /** The surveyed classes that follow a convention; a slice may begin elsewhere. */
    following(convention) {
      for (const change of [{}, { first: 0 }]) {
        const same = this.followers.filter(([says]) => keyOf({ ...says, ...change }) === keyOf({ ...convention, ...change }));
        if (same.length) return same.flatMap(([, names]) => names);
      }
      return [];
    }

    say(words, ...more) {
      this.answer.replaceChildren(make("p", {}, words), ...more);
    }
  }

  const mountAll = () =>
    document
      .querySelectorAll('.simplellm-card[data-kind="finder"]:not([data-live])')
      .forEach((root) => (root.finder = new Finder(root)));
  mountAll();
  document.addEventListener("DOMContentLoaded", mountAll); // a page keeps one script, before its later cards
})();
