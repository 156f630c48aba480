// Everything that is said to and by the hub: who is signed in, requests, and the live stream with what it keeps current.
// The session is a cookie that no script can read; what changes something carries the CSRF token that came with the session.
// @ts-check
import { batch, computed, signal } from "./vendor/core.mjs";

/** @typedef {{ tenant: string, name: string, display?: string, role: string|null, scopes: string[], csrf: string|null, second_factors?: string[], preferences?: Record<string, any> }} Session */

export const session = signal(/** @type {Session|null|undefined} */ (undefined)); // undefined: not asked yet, null: nobody
/** @param {string} scope */
export const may = (scope) => {
  const held = session.value?.scopes ?? [];
  return held.includes(scope) || (held.includes("read") && scope.startsWith("read:") && !["read:people", "read:journal", "read:conduct"].includes(scope));
};

let ahead_ms = 0; // of the hub's clock before this one's
/** The hub's time in ms since the epoch, as far as its answers tell it: to the second, which is what ages are shown in. */
export const hubNow = () => Date.now() + ahead_ms;
export const now = signal(hubNow());
setInterval(() => { now.value = hubNow(); }, 1000);

/** A refusal by the hub: `slug` says which, `correlation` finds it in the hub's logs. */
export class Refusal extends Error {
  /** @param {Response|null} reply @param {any} problem */
  constructor(reply, problem) {
    super(problem.detail ?? problem.title ?? (reply ? `the hub answered ${reply.status}` : "the hub cannot be reached"));
    this.status = reply?.status ?? 0;
    this.slug = String(problem.type ?? "").split(":").pop() ?? "";
    this.problem = problem;
    this.correlation = reply?.headers.get("x-correlation-id") ?? "";
  }
}

/** @type {(factors: string[]) => Promise<Record<string, any>|null>} how a fresh proof is asked for: set by the shell; `session` where the proof was given already */
let askProof = async () => null;
export function askProofBy(/** @type {typeof askProof} */ ask) { askProof = ask; }

/** @param {string} path @param {RequestInit} options @returns {Promise<Response>} */
async function ask(path, options = {}) {
  const writes = options.method && options.method !== "GET";
  const headers = { ...(options.headers ?? {}), ...(writes && session.value?.csrf ? { "x-csrf": session.value.csrf } : {}) };
  const reply = await fetch(path, { credentials: "same-origin", ...options, headers }).catch(() => null);
  if (!reply) throw new Refusal(null, {});
  const told = Date.parse(reply.headers.get("date") ?? "") + 500 - Date.now();
  if (Number.isFinite(told)) ahead_ms = Math.abs(told) > 2000 ? told : 0;
  if (reply.ok) return reply;
  const refusal = new Refusal(reply, await reply.json().catch(() => ({})));
  if (refusal.slug === "unauthorized" && session.value) session.value = null; // it ended: the shell shows the way in, the address stays
  throw refusal;
}

/** @param {string} path */
export const get = async (path) => (await ask(path)).json();
/** @param {string} path */
export const getBytes = async (path) => new Uint8Array(await (await ask(path)).arrayBuffer());

/**
 * Something that changes something. Where a fresh proof is needed it is asked for, and the same request goes once more; the idempotency key
 * makes a double click and a retry the same request.
 * @param {string} method @param {string} path @param {any} body @param {Record<string, string>} headers
 */
export async function send(method, path, body = undefined, headers = {}) {
  const options = { method, headers: { "idempotency-key": crypto.randomUUID(), ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers }, body: body === undefined ? undefined : JSON.stringify(body) };
  try {
    return await read(await ask(path, options));
  } catch (error) {
    if (!(error instanceof Refusal) || error.slug !== "step-up") throw error;
    const proof = await askProof(session.value?.second_factors ?? []);
    if (!proof) throw error;
    session.value = proof.session ?? await read(await ask("/v1/session/step-up", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(proof) }));
    return read(await ask(path, options));
  }
}

/** @param {Response} reply */
const read = async (reply) => (reply.status === 204 ? null : (reply.headers.get("content-type") ?? "").includes("json") ? reply.json() : reply.text());

/** A file, handed to the browser to keep. @param {string} path @param {string} name */
export async function download(path, name) {
  save(await (await ask(path)).blob(), name);
}

/** @param {Blob} blob @param {string} name */
export function save(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Who is signed in. A hub that cannot be reached leaves what was known. */
export async function askSession() {
  try {
    session.value = await get("/v1/session");
  } catch (error) {
    if (/** @type {Refusal} */ (error).status === 401) session.value = null;
    else throw error;
  }
}

// What the live stream keeps current. `latest` is a map beside the signals, because it moves four times a second: `tick` tells that it did.
export const gateways = signal(/** @type {any[]|null} */ (null));
export const tags = signal(/** @type {any[]|null} */ (null));
export const model = signal(/** @type {any} */ (null)); // { version, sites, assets, streams }
export const results = signal(/** @type {Record<string, any>} */ ({}));
export const alarms = signal(/** @type {Record<string, any>} */ ({}));
export const latest = new Map(); // tag id -> [time_us, value or null, quality]
export const tick = signal(0);
export const tagByName = computed(() => new Map((tags.value ?? []).map((tag) => [tag.name, tag])));
export const tagsById = computed(() => new Map((tags.value ?? []).map((tag) => [tag.id, tag])));

export const connected = signal(/** @type {boolean|null} */ (null));
export const heard_ms = signal(0); // when the stream last said anything
const DELAYED_S = 5;
const STALE_S = 30;
/** LIVE, DELAYED or STALE by when the hub was last heard, OFFLINE when there is no stream. */
export const liveness = computed(() => {
  if (connected.value === false) return "OFFLINE";
  if (connected.value === null) return "CONNECTING";
  const age_s = (now.value - ahead_ms - heard_ms.value) / 1000;
  return age_s > STALE_S ? "STALE" : age_s > DELAYED_S ? "DELAYED" : "LIVE";
});
/** The same for one thing by the time of its newest sample. @param {number|null|undefined} us */
export function freshness(us) {
  if (connected.value === false) return "OFFLINE";
  if (!us) return "WAITING";
  const age_s = now.value / 1e3 - us / 1e6;
  return age_s > STALE_S ? "STALE" : age_s > DELAYED_S ? "DELAYED" : "LIVE";
}

// Assets put together from the model, the results, the tags and the alarms. Nothing is computed that the hub does not say.
/** @typedef {{ name: string, site: string, class?: string, nameplate?: number, unit?: string, criticality?: string, tags: any[], health: any|null, row: string, as_of_us: number|null }} AssetView */
export const RANK = { high: 2, medium: 3, low: 4 };

/** Every asset of the model with its newest health; one without health is there and is not evaluated. @type {{ value: AssetView[]|null }} */
export const assets = computed(() => {
  if (!model.value?.assets) return null;
  const newest = new Map(Object.values(results.value).filter((one) => one.kind === "health").flatMap((one) => Object.entries(one.output.assets).map(([name, health]) => [name, { health, row: one.id, as_of_us: one.as_of_us }])));
  return model.value.assets.map((/** @type {any} */ asset) => ({ ...asset, ...(newest.get(asset.name) ?? { health: null, row: "", as_of_us: null }) }));
});

/** The tag that a binding of the model names, "gateway/device.tag". */
const boundTags = computed(() => new Map((tags.value ?? []).map((tag) => [`${tag.gateway}/${tag.name}`, tag])));
export const boundTag = (/** @type {string} */ name) => boundTags.value.get(name) ?? tagByName.value.get(name);

/** Time of the newest sample of any tag of an asset, 0 when there is none. @param {AssetView} asset */
export const newestOf = (asset) => Math.max(0, ...asset.tags.map((/** @type {any} */ one) => latest.get(boundTag(one.tag)?.id)?.[0] ?? 0));
export const freshnessOf = (/** @type {AssetView} */ asset) => freshness(newestOf(asset) || null);

/** Share of an asset's tags that have a good sample that is new enough. @param {AssetView} asset */
export const coverage = (asset) => (asset.health && asset.tags.length ? 1 - asset.health.stale.length / asset.tags.length : null);

/** Alarms that are not at rest. Those that sound come first, then by priority, then the oldest, as the hub lists them. */
export const standing = computed(() => Object.values(alarms.value).filter((one) => one.asset && one.state !== "normal")
  .sort((a, b) => Number(a.state !== "unacknowledged") - Number(b.state !== "unacknowledged") || rank(a) - rank(b) || a.since_us - b.since_us));
const rank = (/** @type {any} */ one) => RANK[/** @type {keyof typeof RANK} */ (one.priority)] ?? 5;

/** Of some alarms the one that needs somebody first. @param {any[]} found */
export const worstOf = (found) => found.filter((one) => one.state === "unacknowledged" || one.active).sort((a, b) => rank(a) - rank(b))[0];

/** @type {Map<string, Set<(data: any) => void>>} */
const listeners = new Map();
/** Events that are not conflated, for pages that want each one. Returns how to stop. @param {string} event @param {(data: any) => void} take */
export function listen(event, take) {
  listeners.set(event, (listeners.get(event) ?? new Set()).add(take));
  return () => { listeners.get(event)?.delete(take); };
}

/** @type {Record<string, (data: any) => void>} */
const TAKE = {
  latest: (data) => {
    for (const [id, value] of Object.entries(data)) latest.set(Number(id), value);
    tick.value += 1;
  },
  gateways: (data) => { gateways.value = data; },
  tags: (data) => { tags.value = data; },
  model: (data) => { model.value = data; },
  result: (data) => {
    const key = `${data.kind} ${data.subject}`;
    const before = results.value[key];
    if (!before || (before.id !== data.id && before.as_of_us <= data.as_of_us)) results.value = { ...results.value, [key]: data };
  },
  alarm: (data) => { alarms.value = { ...alarms.value, [`${data.asset} ${data.alarm}`]: data }; },
  alive: () => {},
};

/** @param {string} event @param {any} data */
function heard(event, data) {
  batch(() => {
    heard_ms.value = Date.now();
    connected.value = true;
    TAKE[event]?.(data);
    for (const one of listeners.get(event) ?? []) one(data);
  });
}

// A browser opens at most six connections to a hub, so one tab follows the stream for all of them: the one that holds the lock. It tells the
// others what it hears, and a new one everything that is known. One that has heard nothing for SILENT_MS takes the lock over.
const SILENT_MS = 12_000;
/** @type {(() => void)|null} ends following */
let stop = null;

/** Follow the hub's stream until `unfollow`. The browser connects again by itself and says what it has heard last. */
export function follow() {
  unfollow();
  const ended = new AbortController();
  stop = () => ended.abort();
  if (!navigator.locks || typeof BroadcastChannel === "undefined") { listenTo(ended.signal, () => {}); return; }
  const name = `qz ${session.value?.tenant} ${session.value?.name}`;
  const others = new BroadcastChannel(name);
  let leads = false;
  const lead = (/** @type {LockOptions} */ options) => navigator.locks.request(name, options, () => {
    leads = true;
    const mine = new AbortController();
    ended.signal.addEventListener("abort", () => mine.abort());
    listenTo(mine.signal, (event, data) => others.postMessage({ event, data }));
    return new Promise((end) => { ended.signal.addEventListener("abort", end); ended.signal.addEventListener("stolen", end); }).finally(() => mine.abort());
  }).catch(() => { leads = false; ended.signal.dispatchEvent(new Event("stolen")); if (!ended.signal.aborted) lead({ signal: ended.signal }); });
  others.onmessage = ({ data: told }) => {
    if (told.ask && leads) others.postMessage({ all: everything() });
    else if (told.all && !leads && connected.value === null) for (const [event, data] of told.all) heard(event, data);
    else if (told.event && !leads) heard(told.event, told.data);
    else if (told.lost && !leads) connected.value = false;
  };
  others.postMessage({ ask: true });
  const watch = setInterval(() => { if (!leads && Date.now() - heard_ms.value > SILENT_MS) lead({ steal: true }); }, SILENT_MS);
  ended.signal.addEventListener("abort", () => { clearInterval(watch); others.close(); });
  heard_ms.value = Date.now();
  lead({ signal: ended.signal });
}

const everything = () => [
  ["gateways", gateways.value], ["tags", tags.value], ["model", model.value], ["latest", Object.fromEntries(latest)],
  ...Object.values(results.value).map((one) => ["result", one]), ...Object.values(alarms.value).map((one) => ["alarm", one]),
].filter(([, data]) => data !== null);

/** @param {AbortSignal} ended @param {(event: string, data: any) => void} tell */
function listenTo(ended, tell) {
  alarms.value = {}; // a new stream begins with all that stand
  const source = new EventSource("/v1/stream");
  source.onopen = () => batch(() => { connected.value = true; heard_ms.value = Date.now(); });
  source.onerror = () => {
    connected.value = false;
    if (source.readyState === EventSource.CLOSED && !ended.aborted) setTimeout(() => { if (session.value && !ended.aborted) askSession().then(follow, follow); }, 3000);
  };
  for (const event of Object.keys(TAKE)) {
    source.addEventListener(event, (/** @type {MessageEvent} */ message) => {
      const data = JSON.parse(message.data);
      heard(event, data);
      tell(event, data);
    });
  }
  ended.addEventListener("abort", () => source.close());
}

export function unfollow() {
  stop?.();
  stop = null;
  connected.value = null;
}
