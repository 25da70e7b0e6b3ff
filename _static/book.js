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
