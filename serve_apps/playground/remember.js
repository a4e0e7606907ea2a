// Keeping answers on the server under a random id, only if the person wants that, and deleting them.

import { call } from "./api.js";
import { find } from "./dom.js";
import { onChange, replaceAll, said } from "./person.js";

const ID = "firstclick-person";
let report = () => {};
let kept = new Set(); // ids of events that the server has
let pending = Promise.resolve();

const personId = () => localStorage.getItem(ID);
const path = () => `v1/users/${encodeURIComponent(personId())}`;

/** One change after the other. What was taken back is deleted by keeping only the rest. */
const inTurn = (act) => (pending = pending.then(act).catch(report));

async function keepAll() {
  if (!personId()) return;
  const events = said();
  const ids = new Set(events.map((event) => event.event_id));
  if ([...kept].some((id) => !ids.has(id))) {
    await call("DELETE", path());
    kept = new Set();
  }
  const fresh = events.filter((event) => !kept.has(event.event_id));
  if (fresh.length) await call("POST", "v1/events", fresh.map(({ title, ...event }) => ({ ...event, user_id: personId() })));
  kept = ids;
}

async function forget() {
  if (personId()) await call("DELETE", path());
  localStorage.removeItem(ID);
  kept = new Set();
  find("remember").querySelector("input").checked = false;
  find("forget").hidden = true;
  replaceAll([]);
  find("live").textContent = "You are forgotten.";
}

async function restore() {
  const { events } = await call("GET", `${path()}/events`);
  if (!events.length) return;
  const query = new URLSearchParams(events.map((event) => ["id", event.item_id]).slice(-100));
  const { items } = await call("GET", `v1/items?${query}`);
  const titles = new Map(items.map((item) => [item.item_id, item.title]));
  kept = new Set(events.map((event) => event.event_id));
  replaceAll(events.map(({ timestamp, ...event }) => ({ ...event, title: titles.get(event.item_id) })));
}

function change({ target }) {
  if (target.checked) localStorage.setItem(ID, `playground-${crypto.getRandomValues(new Uint32Array(4)).join("-")}`);
  find("forget").hidden = !target.checked;
  inTurn(target.checked ? keepAll : forget);
}

export async function startRemembering(can, onError) {
  report = onError;
  find("remember").hidden = !can;
  if (!can) return;
  find("remember").querySelector("input").addEventListener("change", change);
  find("forget").addEventListener("click", () => inTurn(forget));
  if (personId()) {
    find("remember").querySelector("input").checked = true;
    find("forget").hidden = false;
    await restore();
  }
  onChange(() => inTurn(keepAll));
}
