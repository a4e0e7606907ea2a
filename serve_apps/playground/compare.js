// Side by side: what simpler methods would show to the same person.

import { call } from "./api.js";
import { find, h } from "./dom.js";
import { asEvents } from "./person.js";
import { titleOf } from "./rating.js";

const K = 10;
const ABOUT = {
  popularity: "The same for everyone",
  "item-kNN": "Similar to what you liked; not tuned",
  firstclick: "Adapted to you",
};

export const isComparing = () => find("compare").getAttribute("aria-pressed") === "true";

export async function compare() {
  if (!isComparing()) return;
  const events = asEvents();
  const [others, ours] = await Promise.all([
    call("POST", "v1/compare", { events, k: K }),
    call("POST", "v1/recommend", { events, k: K }),
  ]);
  const lists = [...others.lists, { method: "firstclick", items: ours.items }];
  const count = new Map();
  for (const { items } of lists) for (const { item_id } of items) count.set(item_id, (count.get(item_id) ?? 0) + 1);
  find("lists").replaceChildren(...lists.map((list) => column(list, (id) => count.get(id) === 1)));
}

const column = ({ method, items }, isAlone) =>
  h("section", { class: method === "firstclick" ? "ours" : false, "aria-label": method },
    h("h2", {}, method), h("p", { class: "features" }, ABOUT[method] ?? ""),
    h("ol", {}, ...items.map((item) => h("li", { class: isAlone(item.item_id) ? "alone" : false }, titleOf(item)))));

export function startComparing(can, report) {
  find("compare").hidden = !can;
  find("compare").addEventListener("click", () => {
    const on = !isComparing();
    find("compare").setAttribute("aria-pressed", String(on));
    document.querySelector(".give").classList.toggle("comparing", on);
    find("lists").hidden = !on;
    find("slate").hidden = on;
    compare().catch(report);
  });
}
