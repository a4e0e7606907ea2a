// Finding items: a search field over a list that begins with what is popular.

import { call } from "./api.js";
import { find, h } from "./dom.js";
import { features, keep } from "./features.js";
import { rating, titleOf } from "./rating.js";

const STEP = 8;
const MOST = 96;
const WAIT_MS = 120;
let limit = STEP;
let asked = 0;
let timer;

export async function browse() {
  const turn = ++asked;
  const query = find("query").value.trim();
  const parameters = new URLSearchParams({ query, limit, features: true });
  const { items } = await call("GET", `v1/items?${parameters}`);
  if (turn !== asked) return;
  keep(items);
  find("browse-title").textContent = query ? (items.length ? "Found" : `Nothing is called “${query}”`) : "Popular now";
  find("browse").replaceChildren(...items.map(row));
  find("more").hidden = items.length < limit || limit >= MOST;
}

const row = (item) =>
  h("li", {}, h("div", {}, h("p", { class: "title" }, titleOf(item)), features(item.item_id)), rating(item));

export function startBrowsing(report) {
  find("query").addEventListener("input", () => {
    limit = STEP;
    clearTimeout(timer);
    timer = setTimeout(() => browse().catch(report), WAIT_MS);
  });
  find("more").addEventListener("click", () => {
    limit += STEP;
    browse().catch(report);
  });
}
