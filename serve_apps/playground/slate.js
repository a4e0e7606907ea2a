// The slate: asks for it whenever something changes, and shows what moved, why, and how sure the model is.

import { timedCall } from "./api.js";
import { arrange, fill, find, h, painted, unseen } from "./dom.js";
import { features, learn } from "./features.js";
import { showHood } from "./hood.js";
import { asEvents, saidOf, unsay } from "./person.js";
import { inWords, rating, titleOf, wanted } from "./rating.js";

const K = 10;
const REASONS = 2;
const rows = new Map(); // item id -> its element
let before = null; // ids of the list before
let without = null; // the event left out for a look
let can = {};
let report = () => {};
let running;
let turn = 0;

/** Asks for the slate and shows it. Time counts from the person's act, the event that is being handled. */
export async function refresh() {
  const since = window.event?.timeStamp ?? performance.now();
  running?.abort();
  running = new AbortController();
  const strength = Number(find("explore").value);
  const request = { events: asEvents(without?.item_id), k: K, explain: true };
  if (can.uncertainty) request.uncertainty = true;
  if (can.explore && strength) request.explore = { method: "ucb", strength };
  try {
    const reply = await timedCall("POST", "v1/recommend", request, running.signal);
    const arrived = performance.now();
    show(reply.answer);
    await painted();
    finish(reply, arrived, since);
    await learn(reply.answer.items.map((item) => item.item_id));
  } catch (error) {
    if (error.name !== "AbortError") report(error);
  }
}

function finish({ answer, total, phases }, arrived, since) {
  const now = performance.now();
  const slate = find("slate");
  slate.dataset.turn = ++turn;
  slate.dataset.ms = (now - since).toFixed(1);
  showHood({ answer, total, phases, paint: now - arrived, all: now - since });
}

function show({ items, shots }) {
  const ids = items.map((item) => item.item_id);
  const axis = axisOf(items);
  const shown = items.map((item, at) => fillRow(item, at, axis));
  arrange(find("slate"), shown);
  for (const id of rows.keys()) if (!ids.includes(id)) rows.delete(id);
  find("lead").textContent = shots
    ? `Ranked for you from ${shots} ${shots === 1 ? "answer" : "answers"}.`
    : "This is what it shows to a stranger. Say what you like, and watch it change.";
  announce(items, ids);
  before = ids;
}

function announce(items, ids) {
  const first = titleOf(items[0] ?? { item_id: "none" });
  const fresh = before ? ids.filter((id) => !before.includes(id)).length : 0;
  find("live").textContent = before ? `New list. First is ${first}. ${fresh} of ${ids.length} are new.` : "";
  find("jump").hidden = !items.length;
  find("jump").replaceChildren(h("span", {}, "First for you"), h("strong", {}, first));
}

/** Scores with their deviations on one axis for the whole slate. */
function axisOf(items) {
  const spread = (item) => item.uncertainty ?? 0;
  const low = Math.min(...items.map((item) => item.score - spread(item)));
  const high = Math.max(...items.map((item) => item.score + spread(item)));
  return (score) => `${((score - low) / (high - low || 1)) * 100}%`;
}

function fillRow(item, at, axis) {
  const row = rows.get(item.item_id) ?? makeRow(item);
  rows.set(item.item_id, row);
  fill(row.querySelector(".place"), h("span", {}, at + 1), movement(item.item_id, at));
  row.querySelector(".why").replaceChildren(...reasons(item));
  row.querySelector(".sure").replaceChildren(...sureness(item, axis));
  return row;
}

const makeRow = (item) =>
  h("li", {},
    h("p", { class: "place" }),
    h("div", { class: "what" }, h("h2", { class: "title" }, titleOf(item)), features(item.item_id), h("p", { class: "why" })),
    h("div", { class: "side" }, h("div", { class: "sure" }), rating(item)));

function movement(id, at) {
  if (!before) return null;
  const from = before.indexOf(id);
  if (from === at) return null;
  if (from < 0) return h("span", { class: "moved new" }, "new");
  const by = Math.abs(from - at);
  const up = from > at;
  return h("span", { class: `moved ${up ? "up" : "down"}` },
    h("span", { "aria-hidden": "true" }, `${up ? "▲" : "▼"}${by}`), unseen(` ${up ? "up" : "down"} ${by}`));
}

const isLiking = (event) => wanted(event) && (event.value !== undefined || inWords(event) === "Like");

function reasons({ because = [] }) {
  const strongest = because.filter((reason) => reason.score_change > 0 && saidOf(reason.item_id)).slice(0, REASONS);
  if (!strongest.length) return [];
  const liked = strongest.every((reason) => isLiking(saidOf(reason.item_id)));
  const link = (reason) =>
    h("button", { class: "reason", title: `Without it: number ${reason.rank_without}`, onclick: () => lookWithout(reason) },
      titleOf(reason), unseen(": see the list without it"));
  return [liked ? "because you liked " : "because of ", ...strongest.flatMap((reason, at) => (at ? [" and ", link(reason)] : [link(reason)]))];
}

function sureness({ score, uncertainty, prediction }, axis) {
  const parts = [];
  if (uncertainty != null) {
    const whisker = h("span", { class: "whisker" });
    whisker.style.left = axis(score - uncertainty);
    whisker.style.right = `calc(100% - ${axis(score + uncertainty)})`;
    const dot = h("span", { class: "dot" });
    dot.style.left = axis(score);
    parts.push(h("span", { class: "axis", "aria-hidden": "true" }, whisker, dot));
  }
  const told = prediction == null ? score.toFixed(1) : prediction <= 1 ? `${Math.round(prediction * 100)} %` : prediction.toFixed(1);
  const range = uncertainty == null ? "" : ` ± ${uncertainty.toFixed(1)}`;
  parts.push(h("span", { class: "score" }, unseen("Score "), prediction == null ? `${told}${range}` : told));
  return parts;
}

/** The list as it would be had one thing not been said. */
function lookWithout(reason) {
  without = reason;
  const name = h("em", {}, titleOf(reason));
  find("without").replaceChildren(
    h("p", {}, "The list without ", name),
    h("p", { class: "acts" },
      h("button", { class: "link", id: "put-back", onclick: putBack }, "Put it back"),
      h("button", { class: "link", onclick: () => unsay(reason.item_id) }, "Take it back for good")));
  find("without").hidden = false;
  find("put-back").focus();
  refresh();
}

function putBack() {
  endLook();
  find("slate-title").focus();
  refresh();
}

export function endLook() {
  without = null;
  find("without").hidden = true;
}

export function startSlate(abilities, onError) {
  can = abilities;
  report = onError;
  find("legend").hidden = !can.uncertainty;
  find("exploring").hidden = !can.explore;
  find("explore").addEventListener("input", () => refresh());
  const says = () => (find("explore-says").textContent = ["not at all", "a little", "more", "a lot"][Math.ceil(find("explore").value / 0.75)]);
  find("explore").addEventListener("input", says);
  says();
  new IntersectionObserver(([slate]) => find("jump").classList.toggle("there", slate.isIntersecting)).observe(find("slate"));
}
