// Writes the sentence of a sign on a line of its own. Without this script each sign is a link.
//
// The strip is one stop of the Tab key; within it arrows move. A finger's first tap reads, the
// second follows.
(() => {
  class Strip {
    constructor(root) {
      root.dataset.live = "";
      this.lines = [...root.querySelectorAll(".cells")].map((list) => [...list.querySelectorAll("a")]);
      this.signs = this.lines.flat();
      this.said = root.querySelector(".said");
      this.said.textContent =
        "Point at a sign, tap it, or move with Tab and the arrow keys, and read its sentence here.";
      this.chosen = null;
      for (const sign of this.signs) {
        sign.tabIndex = sign === this.signs[0] ? 0 : -1;
        sign.removeAttribute("title"); // the line says it
        // JupyterLab and Notebook 7 take single keys for themselves wherever this is not set.
        sign.dataset.lmSuppressShortcuts = "true";
        sign.addEventListener("focus", () => this.choose(sign));
        sign.addEventListener("pointerenter", () => this.say(sign));
        sign.addEventListener("pointerleave", () => this.say(this.chosen ?? sign));
        sign.addEventListener("pointerdown", ({ pointerType }) => {
          this.reads = pointerType === "touch" && sign !== this.chosen;
        });
        sign.addEventListener("click", (event) => {
          if (this.reads) event.preventDefault();
          this.reads = false;
          this.choose(sign);
        });
        sign.addEventListener("keydown", (event) => {
          event.stopPropagation();
          const next = this.after(sign, event);
          if (!next) return;
          event.preventDefault();
          next.focus();
        });
      }
    }

    say(sign) {
      this.said.textContent = sign.querySelector(".unseen").textContent;
    }

    /** Say it, and let the Tab key come back to it. */
    choose(sign) {
      for (const other of this.signs) other.tabIndex = other === sign ? 0 : -1;
      this.chosen = sign;
      this.say(sign);
    }

    /** The sign that a key leads to, if it leads to any. */
    after(sign, { key, altKey, ctrlKey, metaKey }) {
      if (altKey || ctrlKey || metaKey) return null;
      const at = this.signs.indexOf(sign);
      const line = this.lines.findIndex((signs) => signs.includes(sign));
      const beside = (step) => {
        const signs = this.lines[line + step];
        return signs?.[Math.min(this.lines[line].indexOf(sign), signs.length - 1)];
      };
      return {
        ArrowRight: () => this.signs[at + 1],
        ArrowLeft: () => this.signs[at - 1],
        ArrowDown: () => beside(1),
        ArrowUp: () => beside(-1),
        Home: () => this.signs[0],
        End: () => this.signs.at(-1),
      }[key]?.() ?? (key.startsWith("Arrow") ? sign : null);
    }
  }

  const mountAll = () =>
    document
      .querySelectorAll('.simplellm-card[data-kind="strip"]:not([data-live])')
      .forEach((root) => new Strip(root));
  mountAll();
  document.addEventListener("DOMContentLoaded", mountAll); // a page keeps one script, before its later cards
})();
