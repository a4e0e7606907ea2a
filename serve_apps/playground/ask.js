// "Ask me": the question, of a few drawn, whose answer would tell the model most.

import { call } from "./api.js";
import { find, h } from "./dom.js";
import { features, learn } from "./features.js";
import { asEvents, onChange, saidOf } from "./person.js";
import { rating, titleOf } from "./rating.js";

const asked = [];
let current = null;

async function ask() {
  const { items } = await call("POST", "v1/elicit", { events: asEvents(), k: 1, asked });
  current = items[0] ?? null;
  if (!current) return close();
  find("question").replaceChildren(
    h("p", { class: "ask" }, "Your view of this would tell much"),
    h("p", { class: "title" }, titleOf(current)),
    features(current.item_id),
    rating(current),
    h("p", { class: "acts" },
      h("button", { class: "link", onclick: skip }, "I do not know it"),
      h("button", { class: "link", onclick: close }, "Enough questions")));
  find("question").hidden = false;
  await learn([current.item_id]);
}

let guarded = ask;

function skip() {
  asked.push(current.item_id);
  guarded();
}

function close() {
  current = null;
  find("question").hidden = true;
  find("ask").focus();
}

/** Offered where the server can; an answer brings the next question. */
export function startAsking(can, report) {
  guarded = () => ask().catch(report);
  find("ask").hidden = !can;
  find("ask").addEventListener("click", guarded);
  onChange(() => {
    if (current && saidOf(current.item_id)) guarded();
  });
}

export function stopAsking() {
  asked.length = 0;
  current = null;
  find("question").hidden = true;
}
