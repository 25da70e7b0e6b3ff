// Elements of the page, in one expression each.

/** make("label", {text: "…", onclick: …}, child, …): a DOM element in one expression. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** Put words there if they are others than those that stand there: a voice reads what is written. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** An element in as much room as the longest text needs that it may get: nothing beside it jumps. */
export const roomFor = (element, longest, tag = "span") => make(tag, { className: "room", "data-longest": longest }, element);
