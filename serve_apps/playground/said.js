// The list of what the person said, each with a way to take it back.

import { find, h } from "./dom.js";
import { onChange, replaceAll, said, unsay } from "./person.js";
import { inWords, titleOf } from "./rating.js";

function show() {
  const events = said();
  find("said").hidden = events.length === 0;
  find("said-count").textContent = events.length;
  find("said-list").replaceChildren(...events.reverse().map(row));
}

const row = (event) =>
  h("li", {},
    h("span", { class: "title" }, titleOf(event)),
    h("span", { class: "told" }, inWords(event)),
    h("button", { class: "remove", "aria-label": `Take back ${titleOf(event)}`, onclick: () => takeBack(event) }, "×"));

function takeBack(event) {
  unsay(event.item_id);
  (document.querySelector("#said-list .remove") ?? find("query")).focus();
}

export function startSaid() {
  onChange(show);
  find("reset").addEventListener("click", () => {
    replaceAll([]);
    find("query").focus();
  });
}
