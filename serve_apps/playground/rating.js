// The control to say something of an item, as the data's signals have it: stars, numbers, or names of events.
// Knows nothing of the server.

import { h, unseen } from "./dom.js";
import { onChange, say, saidOf } from "./person.js";

const STARS_MOST = 7;
const BUTTONS_MOST = 5;
let numbers = [];
let names = [];
let serial = 0;

export function setSignals(signals) {
  numbers = signals.filter((signal) => signal.value != null);
  names = signals.filter((signal) => signal.event != null);
}

/** Whether something that was said counts as wanting the item. */
export const wanted = ({ value, event }) =>
  (value === undefined ? names.find((s) => s.event === event) : numbers.find((s) => s.value === value))?.wanted ?? false;

/** "★ 4", "Bookmark". */
export const inWords = ({ value, event }) => (value === undefined ? nice(event) : `★ ${short(value)}`);

export const titleOf = ({ title, item_id }) => title ?? `Item ${item_id}`;

const nice = (event) =>
  event === "event" ? "Like" : (event.charAt(0).toUpperCase() + event.slice(1).toLowerCase()).replaceAll("_", " ");
const short = (value) => String(Math.round(value * 10) / 10);

export function rating(item) {
  const parts = [];
  if (numbers.length) parts.push(numbers.length <= STARS_MOST ? stars(item) : choice(item, numbers));
  if (names.length) parts.push(...(names.length <= BUTTONS_MOST ? names.map((s) => button(item, s)) : [choice(item, names)]));
  const control = h("div", { class: "rating" }, ...parts);
  control.item = item;
  show(control);
  return control;
}

function stars(item) {
  const group = `stars-${serial++}`;
  const star = ({ value }) =>
    h("label", {},
      h("input", { type: "radio", name: group, value, onchange: () => say(item, { value }) }),
      h("span", { "aria-hidden": "true" }, "★"),
      unseen(`${short(value)} of ${short(numbers.at(-1).value)}`));
  return h("fieldset", { class: "stars" }, h("legend", { class: "unseen" }, `Rate ${titleOf(item)}`), ...numbers.map(star));
}

function button(item, { event }) {
  return h("button", { type: "button", class: "pick", "data-event": event, onclick: () => say(item, { event }) },
    nice(event), unseen(` ${titleOf(item)}`));
}

function choice(item, signals) {
  const options = signals.map((s, at) => h("option", { value: at }, s.value == null ? nice(s.event) : short(s.value)));
  const choose = ({ target }) => {
    const { value, event } = signals[target.value];
    say(item, value == null ? { event } : { value });
  };
  return h("select", { onchange: choose, "aria-label": `Rate ${titleOf(item)}` },
    h("option", { value: "", disabled: true, selected: true }, "Rate"), ...options);
}

function show(control) {
  const told = saidOf(control.item.item_id);
  for (const input of control.querySelectorAll("input")) {
    input.checked = told?.value === Number(input.value);
    input.parentElement.classList.toggle("on", Number(input.value) <= told?.value);
  }
  for (const pick of control.querySelectorAll(".pick")) {
    pick.setAttribute("aria-pressed", String(told !== undefined && told.event === pick.dataset.event));
  }
  if (!told) for (const select of control.querySelectorAll("select")) select.selectedIndex = 0;
}

onChange(() => document.querySelectorAll(".rating").forEach(show));
