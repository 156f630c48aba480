// What the page knows: the newest results by kind and subject, the model behind them, and which line the trader is following.
// Nothing is drawn here. The address holds what is being followed, so that every step can be shared, reloaded and gone back from.
// @ts-check
import { computed, signal } from "../vendor/core.mjs";
import { get, hubNow } from "../api.mjs";

/** @typedef {{ kind: string, subject: string, id: string, as_of_us: number, made_us: number, sensed_us: [number, number]|null, output: any }} Result */
/** @typedef {{ line?: string, stream?: string, asset?: string, tag?: string, proof?: string }} Place */

export const DELAYED_S = 10;
const HELD_S = 75; // a figure whose inputs stand still is valued again each minute
const MOST_POINTS = 3600;

export const results = signal(/** @type {Record<string, Result>} */ ({}));
export const model = signal(/** @type {any} */ (null)); // null: not handed in, or this hub does not tell it
export const tags = signal(/** @type {any[]} */ ([]));
export const positions = signal(/** @type {any} */ (null));
export const connected = signal(/** @type {boolean|null} */ (null)); // null: not yet tried
export const trouble = signal("");
export const now = signal(hubNow());
export const trend = signal(/** @type {[number, number][]} */ ([])); // of joint VaR: seconds, money
export const latency = signal(/** @type {number|null} */ (null)); // seconds from the oldest new sample to the VaR made from it
export const tick = signal(0); // moves when `latest` does
export const latest = new Map(); // tag id -> [time_us, value or null, quality]

/** @param {string} kind */
const ofKind = (kind) => Object.values(results.value).filter((found) => found.kind === kind);
/** @param {Result[]} found */
const newest = (found) => found.reduce((best, one) => (one.as_of_us >= (best?.as_of_us ?? -Infinity) ? one : best), /** @type {Result|null} */ (null));

export const risk = computed(() => newest(ofKind("risk")));
export const detail = computed(() => newest(ofKind("detail").filter((one) => one.subject === risk.value?.subject)));

/** Forecasts of the model's streams; results of a stream that is no more are left out. */
export const forecasts = computed(() => {
  const names = model.value?.streams?.map((/** @type {any} */ stream) => stream.name);
  return ofKind("forecast").filter((found) => !names || names.includes(found.subject)).sort((a, b) => a.subject.localeCompare(b.subject));
});

/** [site, asset, health as of which, its members] of every asset, in the order of the results. */
export const healths = computed(() => {
  const sites = model.value?.assets && new Set(model.value.assets.map((/** @type {any} */ asset) => asset.site));
  return ofKind("health").filter((found) => !sites || sites.has(found.subject)).sort((a, b) => a.subject.localeCompare(b.subject))
    .flatMap((found) => Object.entries(found.output.assets).map(([name, health]) => ({ site: found.subject, name, as_of_us: found.as_of_us, ...health })));
});

/** Why the newest inputs give no figure; empty when they do. */
export const problem = computed(() => String(ofKind("problem")[0]?.output.reason ?? ""));

/** When the figure was last known to hold: made, or looked at again and found unmoved. */
export const held_us = computed(() => {
  if (!risk.value) return null;
  const looked = Math.max(risk.value.as_of_us, ...ofKind("health").map((found) => found.as_of_us));
  return now.value * 1e3 - risk.value.as_of_us < HELD_S * 1e6 ? looked : risk.value.as_of_us;
});

export const state = computed(() => {
  if (connected.value === false) return "OFFLINE";
  if (held_us.value === null) return "waiting";
  if (problem.value) return "DELAYED";
  return now.value / 1e3 - held_us.value / 1e6 > DELAYED_S ? "DELAYED" : connected.value ? "live" : "connecting";
});

/** @param {Result} result */
export function take(result) {
  const key = `${result.kind} ${result.subject}`;
  const before = results.value[key];
  if (before && (before.id === result.id || before.as_of_us > result.as_of_us)) return;
  results.value = { ...results.value, [key]: result };
  if (result.kind !== "risk") return;
  if (result.sensed_us) latency.value = (result.made_us - result.sensed_us[0]) / 1e6; // the sample that waited longest
  const point = /** @type {[number, number]} */ ([result.as_of_us / 1e6, result.output.split.joint]);
  const kept = trend.value.length < MOST_POINTS ? trend.value : trend.value.filter((_, at) => at % 2);
  trend.value = [...kept, point];
}

/** @param {string} unit the stream that an asset delivers into */
export const streamOf = (unit) => forecasts.value.find((found) => found.output.units.includes(unit))?.subject;

/** Tags of an asset with the role each plays; of an unknown model those that its health names. @param {string} asset */
export function tagsOf(asset) {
  const bound = model.value?.assets?.find((/** @type {any} */ one) => one.name === asset)?.tags;
  if (bound) return bound;
  const found = healths.value.find((one) => one.name === asset);
  return (found?.reasons ?? []).flatMap((/** @type {any} */ reason) => reason[2].map((/** @type {string} */ tag) => ({ tag, role: reason[0] })));
}

/** @param {string} name "gateway/device.tag" */
export const tagRow = (name) => tags.value.find((tag) => `${tag.gateway}/${tag.name}` === name);

const STEPS = /** @type {const} */ (["line", "stream", "asset", "tag", "proof"]);
const read = () => {
  const query = new URLSearchParams(location.search);
  return /** @type {Place} */ (Object.fromEntries(STEPS.flatMap((step) => (query.get(step) ? [[step, query.get(step)]] : []))));
};
export const place = signal(read());
addEventListener("popstate", () => { place.value = read(); });

/** @param {Place} to */
export function address(to) {
  const query = new URLSearchParams();
  for (const step of STEPS) if (to[step]) query.set(step, /** @type {string} */ (to[step]));
  return `?${query}`;
}

/** @param {Place} to */
export function go(to) {
  history.pushState(null, "", address(to));
  place.value = read();
}

const rows = new Map();
/** An evidence row; it never changes, so it is asked for once. @param {string} id @returns {Promise<any>} */
export function evidence(id) {
  if (!rows.has(id)) rows.set(id, get(`/v1/evidence/${id}`).catch((error) => { rows.delete(id); throw error; }));
  return rows.get(id);
}
