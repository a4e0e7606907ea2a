// What the person said so far. Knows nothing of the server or of how it is shown.

const events = new Map(); // item id -> { item_id, title, value | event, event_id }
const listeners = [];

export const said = () => [...events.values()];
export const saidOf = (itemId) => events.get(itemId);
export const onChange = (listener) => listeners.push(listener);

/** `signal` is { value } or { event }. Saying something else of an item takes the place of what was said. */
export function say(item, signal) {
  const { item_id, title } = item;
  events.delete(item_id);
  events.set(item_id, { item_id, title, ...signal, event_id: crypto.getRandomValues(new Uint32Array(4)).join("-") });
  changed();
}

export function unsay(itemId) {
  if (events.delete(itemId)) changed();
}

export function replaceAll(list) {
  events.clear();
  for (const event of list) events.set(event.item_id, event);
  changed();
}

/** As the server wants them, oldest first; without one item's, if told. */
export const asEvents = (without) =>
  said()
    .filter((event) => event.item_id !== without)
    .map(({ item_id, value, event }) => (value === undefined ? { item_id, event } : { item_id, value }));

const changed = () => listeners.forEach((listener) => listener());
