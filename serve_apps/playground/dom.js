// Makes and finds elements. Knows nothing of the page.

export const find = (id) => document.getElementById(id);

/** h("p", { class: "lead", onclick: act }, "text", child): text is never read as HTML. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

export const unseen = (text) => h("span", { class: "unseen" }, text);

/** Fills an element anew; null stands for nothing. */
export const fill = (element, ...children) => element.replaceChildren(...children.filter((child) => child != null));

/** Resolves when what was changed has been painted. */
export const painted = () =>
  new Promise((done) => requestAnimationFrame(() => setTimeout(done)));

/**
 * Puts `rows` into `list`, moving those that stay to their new places, without losing the focus.
 * Rows glide unless less motion is asked for.
 */
export function arrange(list, rows) {
  const focused = document.activeElement;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const before = new Map(still ? [] : [...list.children].map((row) => [row, row.offsetTop]));
  for (const row of [...list.children]) if (!rows.includes(row)) row.remove();
  rows.forEach((row, at) => {
    if (list.children[at] !== row) list.insertBefore(row, list.children[at] ?? null);
  });
  if (list.contains(focused)) focused.focus({ preventScroll: true });
  if (still) return;
  for (const row of rows) {
    const from = before.get(row);
    const by = from === undefined ? 12 : from - row.offsetTop;
    if (by === 0) continue;
    row.animate(
      [{ transform: `translateY(${by}px)`, opacity: from === undefined ? 0 : 1 }, {}],
      { duration: 260, easing: "cubic-bezier(.2,.7,.2,1)" },
    );
  }
}
