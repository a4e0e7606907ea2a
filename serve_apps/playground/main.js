// Puts the page together: asks what the server can, then starts each part.

import { abilities, setKey } from "./api.js";
import { startAsking, stopAsking } from "./ask.js";
import { browse, startBrowsing } from "./browse.js";
import { compare, startComparing } from "./compare.js";
import { find } from "./dom.js";
import { setAbout } from "./hood.js";
import { onChange, said } from "./person.js";
import { setSignals } from "./rating.js";
import { startRemembering } from "./remember.js";
import { startSaid } from "./said.js";
import { endLook, refresh, startSlate } from "./slate.js";

function report(error) {
  find("alert").textContent = error.status === 401 ? "This server does not know the key." : error.message;
  if (error.status === 401) find("key").hidden = false;
}

async function start() {
  const can = await abilities();
  if (can.needsKey) {
    find("key").hidden = false;
    return;
  }
  const { n_items: items, manifest } = can.model;
  const users = manifest.users?.train;
  find("about").textContent =
    `${items.toLocaleString("en")} items` + (users ? `, learned from ${users.toLocaleString("en")} people` : "");
  setAbout(can.model);
  setSignals(can.model.signals);
  startBrowsing(report);
  startSaid();
  startSlate(can, report);
  startComparing(can.compare, report);
  startAsking(can.elicit, report);
  await startRemembering(can.store, report).catch(report);
  onChange(() => {
    find("alert").textContent = "";
    endLook();
    refresh();
    compare().catch(report);
    if (!said().length) stopAsking();
  });
  find("stage").hidden = false;
  await Promise.all([browse(), refresh()]);
}

find("key").addEventListener("submit", (event) => {
  event.preventDefault();
  setKey(find("key-text").value);
  location.reload();
});

start().catch(report);
