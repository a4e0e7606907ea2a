// Calls the server and tells what it can do. Knows nothing of the page.

const KEY = "firstclick-key";
const base = new URL(".", document.baseURI);

export class Refusal extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export const setKey = (text) => sessionStorage.setItem(KEY, text);

/** The answer, and how long it took in parts (milliseconds). */
export async function timedCall(method, path, body, signal) {
  const headers = { "X-Timing": "1" };
  const key = sessionStorage.getItem(KEY);
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body) headers["Content-Type"] = "application/json";
  const started = performance.now();
  const response = await fetch(new URL(path, base), {
    method, headers, signal, body: body && JSON.stringify(body),
  }).catch((error) => {
    throw error.name === "AbortError" ? error : new Refusal(0, "The server does not answer.");
  });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refusal(response.status, answer.detail ?? `The server answered ${response.status}.`);
  return { answer, total: performance.now() - started, phases: phases(response.headers.get("Server-Timing")) };
}

export const call = async (...request) => (await timedCall(...request)).answer;

/** "adapt;dur=0.5, score;dur=2" as [["adapt", 0.5], ["score", 2]]. */
function phases(header) {
  return (header ?? "").split(",").flatMap((entry) => {
    const [name, ...rest] = entry.trim().split(";");
    const duration = rest.map((part) => part.trim()).find((part) => part.startsWith("dur="));
    return name && duration ? [[name, Number(duration.slice(4))]] : [];
  });
}

/** What this server offers; asked once. `needsKey` is told without asking for anything that needs one. */
export async function abilities() {
  const { paths, components } = await call("GET", "openapi.json");
  const asks = components.schemas.RecommendRequest?.properties ?? {};
  const needsKey = Boolean(components.securitySchemes) && !sessionStorage.getItem(KEY);
  const model = needsKey ? null : await call("GET", "v1/model");
  const sure = Boolean(model?.knows_uncertainty);
  return {
    model,
    needsKey,
    uncertainty: sure && "uncertainty" in asks,
    explore: sure && "explore" in asks,
    elicit: sure && "/v1/elicit" in paths,
    compare: "/v1/compare" in paths,
    store: "/v1/events" in paths && "delete" in (paths["/v1/users/{user_id}"] ?? {}),
  };
}
