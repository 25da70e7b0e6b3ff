// Sorts and filters the table of claims. Without this script it is a plain table.
//
// The page's address carries the choice: #claims?verdict=holds&chapter=3&find=text&sort=Verdict
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
      this.body = root.querySelector("tbody");
      this.rows = [...this.body.rows];
      this.sort = { column: "", down: false };
      this.find = suppress(make("input", { type: "search", size: 18 }));
      this.verdict = this.choice("all verdicts", "verdict");
      this.chapter = this.choice("all chapters", "chapter");
      this.reset = suppress(make("button", { type: "button" }, "Show all"));
      this.count = make("p", { className: "count" });
      this.count.setAttribute("role", "status");
      const controls = make(
        "div",
        { className: "controls" },
        this.named("Search", this.find),
        this.named("Verdict", this.verdict),
        this.named("Chapter", this.chapter),
        this.reset,
        this.count,
      );
      root.prepend(controls);
      this.headers();
      for (const control of [this.find, this.verdict, this.chapter]) {
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

    /** A choice among what stands in the rows, in their order. */
    choice(all, key) {
      const values = [...new Set(this.rows.map((row) => row.dataset[key]))];
      const options = ["", ...values].map((value) => make("option", { value }, value || all));
      return suppress(make("select", {}, ...options));
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

    /** What a row is sorted by: the verdict's order is that of the choice, the rest is text. */
    key(row, column) {
      const at = [...this.root.querySelectorAll("thead th")].findIndex(
        (head) => (head.dataset.name ?? head.textContent) === column,
      );
      if (column === "Verdict") return ["holds", "holds if", "does not hold", "not settled here"].indexOf(row.dataset.verdict) + "";
      const cell = row.cells[at];
      return (cell.querySelector(".claim") ?? cell).textContent;
    }

    clear() {
      this.find.value = this.verdict.value = this.chapter.value = "";
      this.sort = { column: "", down: false };
    }

    apply(write) {
      const words = this.find.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of this.rows) {
        const text = row.textContent.toLowerCase();
        row.hidden =
          (this.verdict.value && row.dataset.verdict !== this.verdict.value) ||
          (this.chapter.value && row.dataset.chapter !== this.chapter.value) ||
          !words.every((word) => text.includes(word));
        shown += !row.hidden;
      }
      const { column, down } = this.sort;
      const sorted = [...this.rows];
      if (column) {
        const keys = new Map(sorted.map((row) => [row, this.key(row, column)]));
        sorted.sort((a, b) => (down ? -1 : 1) * collator.compare(keys.get(a), keys.get(b)));
      }
      this.body.append(...sorted);
      for (const head of this.heads) {
        const here = head.dataset.name === column;
        head.setAttribute("aria-sort", here ? (down ? "descending" : "ascending") : "none");
        head.querySelector("span").textContent = here ? (down ? " ▼" : " ▲") : "";
      }
      this.count.textContent = `${shown} of ${this.rows.length} claims`;
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
        ["verdict", this.verdict.value],
        ["chapter", this.chapter.value],
        ["find", this.find.value.trim()],
        ["sort", column && (down ? `-${column}` : column)],
      ];
    }

    /** Take the choice from the address, or make sure that the row it names is to be seen. */
    readAddress() {
      const [id, query] = decodeURI(location.hash.slice(1)).split("?");
      const row = this.rows.find((one) => one.id === id);
      if (row?.hidden) {
        this.clear();
        this.apply(false);
        row.scrollIntoView();
      }
      if (id !== this.root.id || query === undefined) return;
      const state = new URLSearchParams(query);
      this.clear();
      this.verdict.value = state.get("verdict") ?? "";
      this.chapter.value = state.get("chapter") ?? "";
      if (this.verdict.selectedIndex < 0) this.verdict.value = "";
      if (this.chapter.selectedIndex < 0) this.chapter.value = "";
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

  document
    .querySelectorAll('.simplellm-claims[data-kind="table"]:not([data-live])')
    .forEach((root) => new Table(root));
})();
