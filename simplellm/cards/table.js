// Sorts and filters the table of a card. Without this script it is a plain table.
//
// The page's address carries the choice: #claims?verdict=holds&find=text&sort=Verdict
(() => {
  const suppress = (element) => {
    // JupyterLab and Notebook 7 take single keys for themselves wherever this is not set.
    element.dataset.lmSuppressShortcuts = "true";
    element.addEventListener("keydown", (event) => event.stopPropagation());
    return element;
  };

  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

  class Table {
    constructor(root) {
      root.dataset.live = "";
      this.root = root;
      const { noun, filters } = JSON.parse(root.querySelector("table").dataset.table);
      this.noun = noun;
      this.body = root.querySelector("tbody");
      this.rows = [...this.body.rows];
      this.texts = new Map(this.rows.map((row) => [row, row.textContent.toLowerCase()]));
      this.sort = { column: "", down: false };
      this.find = suppress(make("input", { type: "search", size: 18 }));
      this.filters = filters.map(([key, label, every, ...options]) => ({ key, label, list: this.choice(every, options) }));
      this.reset = suppress(make("button", { type: "button" }, "Show all"));
      this.count = make("p", { className: "count" });
      this.count.setAttribute("role", "status");
      const controls = make(
        "div",
        { className: "controls" },
        this.named("Search", this.find),
        ...this.filters.map(({ label, list }) => this.named(label, list)),
        this.reset,
        this.count,
      );
      root.prepend(controls);
      this.headers();
      for (const control of [this.find, ...this.filters.map(({ list }) => list)]) {
        control.addEventListener("input", () => this.apply(true));
      }
      this.reset.addEventListener("click", () => {
        this.clear();
        this.apply(true);
        this.find.focus();
      });
      const follow = () => this.readAddress();
      addEventListener("hashchange", follow);
      document.addEventListener("click", (event) => {
        // A link that was followed before is in the address already and changes nothing there.
        const link = event.target.closest?.("a");
        if (link?.hash && link.hash === location.hash) follow();
      });
      this.apply(false);
      follow();
    }

    choice(every, options) {
      const all = ["", ...options].map((value) => make("option", { value }, value || every));
      return suppress(make("select", {}, ...all));
    }

    /** A control in its label; the label alone would take a choice's options into the name. */
    named(name, control) {
      control.setAttribute("aria-label", name);
      return make("label", {}, `${name} `, control);
    }

    headers() {
      this.heads = [...this.root.querySelectorAll("th[data-sortable]")];
      for (const head of this.heads) {
        const name = head.textContent;
        const arrow = make("span", {}, "");
        arrow.setAttribute("aria-hidden", "true");
        const button = suppress(make("button", { type: "button" }, name, arrow));
        head.dataset.name = name;
        head.replaceChildren(button);
        button.addEventListener("click", () => {
          const again = this.sort.column === name;
          this.sort = { column: name, down: again && !this.sort.down };
          this.apply(true);
        });
      }
    }

    /** Compare two cells: numbers by size, anything else as text, and what has none comes last. */
    compare(a, b) {
      const [one, two] = [a, b].map((cell) => cell.dataset.sort ?? cell.textContent);
      if (!one || !two) return one ? -1 : two ? 1 : 0;
      const down = this.sort.down ? -1 : 1;
      const [first, second] = [Number(one), Number(two)];
      return down * (isFinite(first) && isFinite(second) ? first - second : collator.compare(one, two));
    }

    clear() {
      this.find.value = "";
      for (const { list } of this.filters) list.value = "";
      this.sort = { column: "", down: false };
    }

    apply(write) {
      const words = this.find.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of this.rows) {
        const text = this.texts.get(row);
        row.hidden =
          this.filters.some(({ key, list }) => list.value && row.dataset[key] !== list.value) ||
          !words.every((word) => text.includes(word));
        shown += !row.hidden;
      }
      const { column, down } = this.sort;
      const sorted = [...this.rows];
      if (column) {
        const heads = [...this.root.querySelectorAll("thead th")];
        const at = heads.findIndex((head) => head.dataset.name === column);
        sorted.sort((a, b) => this.compare(a.cells[at], b.cells[at]));
      }
      if (sorted.some((row, at) => row !== this.body.rows[at])) this.body.append(...sorted);
      for (const head of this.heads) {
        const here = head.dataset.name === column;
        head.setAttribute("aria-sort", here ? (down ? "descending" : "ascending") : "none");
        head.querySelector("span").textContent = here ? (down ? " ▼" : " ▲") : "";
      }
      this.count.textContent = `${shown} of ${this.rows.length} ${this.noun}`;
      if (write) this.writeAddress();
    }

    writeAddress() {
      if (document.body.dataset.jpThemeLight) return; // a notebook's address is not ours
      const state = new URLSearchParams();
      for (const [key, value] of this.state()) if (value) state.set(key, value);
      const query = `${state}`;
      try {
        history.replaceState(history.state, "", `#${this.root.id}${query && `?${query}`}`);
      } catch {
        // A page without an address of its own keeps the one it has.
      }
    }

    state() {
      const { column, down } = this.sort;
      return [
        ...this.filters.map(({ key, list }) => [key, list.value]),
        ["find", this.find.value.trim()],
        ["sort", column && (down ? `-${column}` : column)],
      ];
    }

    /** Take the choice from the address, or make sure that the row it names is to be seen. */
    readAddress() {
      let address = location.hash.slice(1);
      try {
        address = decodeURI(address);
      } catch {
        return; // no address that this table wrote
      }
      const [id, query] = address.split("?");
      const row = this.rows.find((one) => one.id === id);
      if (row?.hidden) {
        this.clear();
        this.apply(false);
        row.scrollIntoView();
      }
      if (id !== this.root.id || query === undefined) return;
      const state = new URLSearchParams(query);
      this.clear();
      for (const { key, list } of this.filters) {
        list.value = state.get(key) ?? "";
        if (list.selectedIndex < 0) list.value = "";
      }
      this.find.value = state.get("find") ?? "";
      const sort = state.get("sort") ?? "";
      const column = sort.replace(/^-/, "");
      if (this.heads.some((head) => head.dataset.name === column)) {
        this.sort = { column, down: sort.startsWith("-") };
      }
      this.apply(false);
      this.root.scrollIntoView();
    }
  }

  const mountAll = () =>
    document
      .querySelectorAll('.simplellm-card[data-kind="table"]:not([data-live])')
      .forEach((root) => new Table(root));
  mountAll();
  document.addEventListener("DOMContentLoaded", mountAll); // a page keeps one script, before its later cards
})();
