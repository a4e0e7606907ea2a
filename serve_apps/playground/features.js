// The line below a title: an item's features in a few words, asked for once an item.

import { call } from "./api.js";
import { h } from "./dom.js";

const MOST = 4;
const known = new Map();

const words = ([name, value]) => {
  if (Array.isArray(value)) return value;
  if (typeof value === "boolean") return value ? [name] : [];
  if (typeof value === "number" && !/year|date/i.test(name)) return [`${name} ${Math.round(value * 100) / 100}`];
  return [String(value)];
};

export const keep = (items) => items.forEach(({ item_id, features }) => known.set(item_id, features ?? {}));

/** An element that fills itself as soon as the features are there. */
export function features(itemId) {
  const line = h("p", { class: "features", "data-item": itemId });
  fill(line);
  return line;
}

function fill(line) {
  const texts = Object.entries(known.get(line.dataset.item) ?? {}).flatMap(words).slice(0, MOST);
  line.replaceChildren(...texts.flatMap((text) => [h("span", {}, text), " "]));
}

/** Asks for those of these items that are not known yet, and fills their lines. */
export async function learn(itemIds) {
  const missing = itemIds.filter((id) => !known.has(id));
  if (!missing.length) return;
  const query = new URLSearchParams([["features", "true"], ...missing.map((id) => ["id", id])]);
  keep((await call("GET", `v1/items?${query}`)).items);
  for (const line of document.querySelectorAll(".features[data-item]")) if (missing.includes(line.dataset.item)) fill(line);
}
