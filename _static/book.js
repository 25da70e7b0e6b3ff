// A formula wider than the page scrolls in its own box. Give such a box a tab stop, so that the
// keyboard can scroll it too (the theme does the same for code and tables).
window.addEventListener("load", () => {
  const boxes = document.querySelectorAll(".math");
  const article = document.querySelector("article");
  if (!boxes.length || !article) return;
  const update = () => boxes.forEach((box) => {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  });
  new ResizeObserver(update).observe(article);
});

// A search leaves its words for the page it leads to. Sphinx would mark them in every text of the
// page, and break what it finds in styles, formulas and heatmaps. So they are taken before it looks:
// they are marked in the article's prose and code alone, and the page opens at the first of them, of
// the section that its address names. Escape takes the marks away.
(() => {
  const searching = /\/search(\.html)?$/.test(location.pathname);
  const words = searching ? "" : localStorage.getItem("sphinx_highlight_terms") || "";
  if (!words.trim()) return;
  localStorage.removeItem("sphinx_highlight_terms");
  const each = words.trim().toLowerCase().split(/\s+/);
  const wanted = new RegExp(`(${each.map((word) => word.replace(/[^\p{L}\p{N}_]/gu, "\\$&")).join("|")})`, "iu");

  const mark = (article) => {
    const kept = "script, style, svg, .math, [data-state], button, input, select, textarea";
    const texts = document.createTreeWalker(article, NodeFilter.SHOW_TEXT, (text) =>
      wanted.test(text.data) && !text.parentElement.closest(kept)
        ? NodeFilter.FILTER_ACCEPT : NodeFilter.FILTER_REJECT);
    const found = [];
    while (texts.nextNode()) found.push(texts.currentNode);
    for (const text of found) {
      const parts = text.data.split(wanted).map((part, at) => {
        if (at % 2 === 0) return part;
        const piece = document.createElement("mark");
        piece.textContent = part;
        return piece;
      });
      text.replaceWith(...parts);
    }
  };

  document.addEventListener("DOMContentLoaded", () => {
    const article = document.querySelector("article");
    if (!article) return;
    mark(article);
    const place = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const marks = [...(place || article).querySelectorAll("mark")];
    const open = marks.filter((one) => !one.closest("details:not([open])"));
    const together = (one) => {  // all words in one paragraph
      const text = one.closest("p, li, td, th, dt, dd, h1, h2, h3, h4, pre")?.textContent.toLowerCase() ?? "";
      return each.every((word) => text.includes(word));
    };
    const first = open.find(together) ?? marks.find(together) ?? open[0] ?? marks[0];
    let moved = !first;  // or the reader has moved on meanwhile
    for (const what of ["wheel", "touchmove", "keydown", "pointerdown"])
      addEventListener(what, () => { moved = true; }, { once: true, passive: true });
    const go = () => {
      if (moved) return;
      for (let fold = first.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
      first.scrollIntoView({ block: "center", behavior: "instant" });
    };
    // pictures and heatmaps above it get their size while the page loads
    const growing = new ResizeObserver(go);
    growing.observe(article);
    addEventListener("load", () => setTimeout(() => growing.disconnect(), 1000));
    addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      article.querySelectorAll("mark").forEach((one) => one.replaceWith(one.textContent));
      article.normalize();
    });
  });
})();

// From the disk, a browser shows a notebook or Markdown as text, whatever the link says of saving it.
// A zip it saves; one stands beside each of them (_ext/book_downloads.py).
document.addEventListener("DOMContentLoaded", () => {
  if (location.protocol !== "file:") return;
  for (const link of document.querySelectorAll('a[download$=".ipynb"], a[download$=".md"]')) {
    link.href += ".zip";
    link.download += ".zip";
  }
});
