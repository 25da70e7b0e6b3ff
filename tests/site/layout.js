// What is wrong with a page at the width that it has now: what sticks out of the page, what its own
// box cuts, what spills over a box that one can see. What is hidden on purpose is left out.
() => {
  const root = document.documentElement, room = root.clientWidth;
  const wrong = root.scrollWidth > room ? [`the page scrolls sideways: ${root.scrollWidth} of ${room}`] : [];
  const say = (what, e, by) => wrong.push(`${what} ${Math.round(by)} px: ${e.outerHTML.slice(0, 120)}`);

  const some = (e, test) => {
    for (let at = e; at && at !== document.body; at = at.parentElement) if (test(getComputedStyle(at))) return true;
    return false;
  };
  const scrolls = (value) => value === "auto" || value === "scroll";
  const hides = (value) => value === "hidden" || value === "clip";
  // for screen readers alone, or not there yet
  const unseen = (e) => some(e, (s) => s.clipPath !== "none" || s.clip !== "auto" || s.visibility === "hidden");
  const isSeen = (s) => s.backgroundColor !== "rgba(0, 0, 0, 0)" || s.backgroundImage !== "none"
    || ["Top", "Right", "Bottom", "Left"].some((side) => parseFloat(s[`border${side}Width`]) > 0);

  for (const e of document.querySelectorAll("body *:not(script, style, option, pre *, svg *, math *)")) {
    const { left, right, width } = e.getBoundingClientRect();
    if (!width) continue;
    const off = Math.max(right - room, e.closest(".bd-content") ? -left : 0);
    if (off > 1 && !some(e.parentElement, (s) => scrolls(s.overflowX)) && !unseen(e)) say("beyond the page by", e, off);

    const wide = e.scrollWidth - e.clientWidth, tall = e.scrollHeight - e.clientHeight;
    if (wide <= 1 && tall <= 1) continue;
    const s = getComputedStyle(e);
    if (s.display === "inline" || s.display === "contents") continue;  // its box is its line's
    for (const [over, value, what] of [[wide, s.overflowX, "width"], [tall, s.overflowY, "height"]]) {
      if (over <= 1 || scrolls(value) || !(hides(value) || isSeen(s)) || !e.textContent.trim() || unseen(e)) continue;
      say(`${hides(value) ? "cut" : "spills over"} its ${what} by`, e, over);
    }
  }
  return wrong;
}
