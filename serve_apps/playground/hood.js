// Under the hood: who answered, from how much, and where the time went.

import { find, h } from "./dom.js";

const NAMES = {
  parse: "read the request", store: "fetch stored events", adapt: "adapt to you", score: "score the catalogue",
  top_k: "choose the best", rank: "choose the best", explain: "explain", uncertainty: "say how sure",
};
const ms = (duration) => `${duration < 10 ? duration.toFixed(1) : Math.round(duration)} ms`;
let about = {};

export const setAbout = (model) => (about = model);

export function showHood({ answer, total, phases, paint, all }) {
  const server = phases.length ? phases : [["adapt and rank", answer.latency_ms]];
  const inside = server.reduce((sum, [, duration]) => sum + duration, 0);
  const steps = [...server.map(([name, d]) => [NAMES[name] ?? name, d]), ["to the server and back", total - inside], ["paint", paint]];
  const longest = Math.max(...steps.map(([, duration]) => duration));
  const { shots, model_version: version } = answer;
  find("hood-line").textContent = `${ms(all)} from click to list · ${shots} ${shots === 1 ? "shot" : "shots"} · model ${version}`;
  find("hood-list").replaceChildren(
    ...steps.flatMap(([name, duration]) => [h("dt", {}, name), h("dd", {}, bar(duration / longest), ms(Math.max(duration, 0)))]),
    h("dt", {}, "items ranked"), h("dd", {}, about.n_items.toLocaleString("en")));
}

function bar(share) {
  const element = h("span", { class: "bar", "aria-hidden": "true" });
  element.style.width = `${Math.max(share, 0) * 8}rem`;
  return element;
}
