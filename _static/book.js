// A formula wider than the page scrolls in its own box. Give such a box a tab stop, so that the
// keyboard can scroll it too (the theme does the same for code and tables).
window.addEventListener("load", async () => {
  if (!window.MathJax?.startup) return;
  await MathJax.startup.promise;
  const boxes = document.querySelectorAll("div.math mjx-container");
  const update = () => boxes.forEach((box) => {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  });
  new ResizeObserver(update).observe(document.querySelector("article"));
});

// What a search leaves for the page it leads to: Sphinx marks the words, wherever they stand. Two
// things are added. It also "marks" styles, formulas that are not typeset yet and live heatmaps,
// and breaks them: they are taken out of its reach, by the class that it looks for on the element
// around a text. And the page opens at the first mark, unless its address names a place.
if (typeof Search === "undefined" && localStorage.getItem("sphinx_highlight_terms")) {
  document.addEventListener("DOMContentLoaded", () => {
    const kept = "script, style, .math, .math *, [data-state], [data-state] *, .bd-sidebar *, .prev-next-footer *";
    document.querySelectorAll(kept).forEach((part) => part.classList.add("nohighlight"));
    const go = () => {
      const mark = document.querySelector("article .highlighted");
      if (!mark || location.hash) return;
      for (let fold = mark.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
      mark.scrollIntoView({ block: "center" });
    };
    setTimeout(go, 50);  // Sphinx marks after 10
    window.addEventListener("load", async () => {  // formulas and pictures above have their size now
      await window.MathJax?.startup?.promise;
      go();
    });
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") SphinxHighlight.hideSearchWords();
  });
}
