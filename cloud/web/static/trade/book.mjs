// What the pages of the desk have in common: the newest results with what belongs to them, rows of evidence, and small drawings.
// The results come by the stream (hub.mjs); nothing here asks the hub for them. Decimals that stay exact are in volumes.mjs.
// @ts-check
import { computed, effect, html, signal, useEffect, useState } from "../vendor/core.mjs";
import { connected, get, listen, model, now, results, tagByName, tags } from "../hub.mjs";
import { To, onward, place } from "../place.mjs";
import { Plain, fixed2, known, t, whole } from "../words.mjs";

/** @typedef {{ kind: string, subject: string, id: string, as_of_us: number, made_us: number, sensed_us: [number, number]|null, output: any }} Result */

const DELAYED_S = 10;
const HELD_S = 75; // a figure whose inputs stand still is valued again each minute
const MOST_POINTS = 3600;

export const trend = signal(/** @type {[number, number][]} */ ([])); // of joint VaR: seconds, money
export const latency = signal(/** @type {number|null} */ (null)); // seconds from the oldest new sample to the VaR made from it

/** @param {string} kind @returns {Result[]} */
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

/** Site, name, health and as of when of every asset, in the order of the results. */
export const healths = computed(() => {
  const sites = model.value?.assets && new Set(model.value.assets.map((/** @type {any} */ asset) => asset.site));
  return ofKind("health").filter((found) => !sites || sites.has(found.subject)).sort((a, b) => a.subject.localeCompare(b.subject))
    .flatMap((found) => Object.entries(found.output.assets).map(([name, health]) => ({ site: found.subject, name, as_of_us: found.as_of_us, .../** @type {any} */ (health) })));
});

/** Why the newest inputs give no figure; empty when they do. */
export const problem = computed(() => String(ofKind("problem")[0]?.output.reason ?? ""));

/** When the figure was last known to hold: made, or looked at again and found unmoved. */
export const held_us = computed(() => {
  if (!risk.value) return null;
  const looked = Math.max(risk.value.as_of_us, ...ofKind("health").map((found) => found.as_of_us));
  return now.value * 1e3 - risk.value.as_of_us < HELD_S * 1e6 ? looked : risk.value.as_of_us;
});

/** Of the figures, which may be late while the stream is not. */
export const state = computed(() => {
  if (connected.value === false) return "OFFLINE";
  if (held_us.value === null) return "WAITING";
  return problem.value || now.value / 1e3 - held_us.value / 1e6 > DELAYED_S ? "DELAYED" : "LIVE";
});

effect(() => {
  const found = risk.value;
  const joint = found?.output.split.joint;
  if (!found || !known(joint) || trend.peek().at(-1)?.[0] === found.as_of_us / 1e6) return;
  const kept = trend.peek().length < MOST_POINTS ? trend.peek() : trend.peek().filter((_, at) => at % 2);
  trend.value = [...kept, [found.as_of_us / 1e6, joint]];
});
listen("result", (data) => {
  if (data.kind === "risk" && data.sensed_us) latency.value = (data.made_us - data.sensed_us[0]) / 1e6; // the sample that waited longest
});

/** @param {string} asset @returns {string|undefined} the stream that it delivers into */
export const streamOf = (asset) => forecasts.value.find((found) => found.output.units.includes(asset))?.subject;

/** Tags of an asset with the role each plays; of an unknown model those that its health names. @param {string} asset */
export function tagsOf(asset) {
  const bound = model.value?.assets?.find((/** @type {any} */ one) => one.name === asset)?.tags;
  if (bound) return bound;
  const found = healths.value.find((one) => one.name === asset);
  return (found?.reasons ?? []).flatMap((/** @type {any} */ reason) => reason[2].map((/** @type {string} */ tag) => ({ tag, role: reason[0] })));
}

/** @param {string} name "gateway/device.tag" */
export const tagRow = (name) => (tags.value ?? []).find((tag) => `${tag.gateway}/${tag.name}` === name) ?? tagByName.value.get(name);

const rows = new Map();
/** An evidence row; it never changes, so it is asked for once. @param {string} id @returns {Promise<any>} */
export function evidence(id) {
  if (!rows.has(id)) rows.set(id, get(`/v1/evidence/${id}`).catch((error) => { rows.delete(id); throw error; }));
  return rows.get(id);
}

const STEPS = /** @type {const} */ (["line", "stream", "asset", "tag", "proof"]);
/** Where the drill-down stands: parts of the address of the page of risk. */
export const trail = computed(() => /** @type {Record<string, string>} */ (Object.fromEntries(STEPS.flatMap((step) => (place.value.query[step] ? [[step, place.value.query[step]]] : [])))));
/** A step of the drill-down, which can be shared and gone back to. */
export const Step = ({ to, children, ...more }) => html`<${To} path="/risk" query=${to} ...${more}>${children}<//>`;
/** @param {Record<string, any>} to */
export const stepAddress = (to) => onward("/risk", to);

/** A number with its direction: sign, arrow and the colour that the reader has chosen for gains and losses. @param {{ value: number|null|undefined }} properties */
export function Signed({ value }) {
  if (!known(value)) return html`<${Plain}>${whole(null)}<//>`;
  const size = whole(Math.abs(/** @type {number} */ (value)));
  const sign = Math.abs(/** @type {number} */ (value)) < 0.5 ? 0 : Math.sign(/** @type {number} */ (value));
  return html`<${Plain} class=${["loss", "", "gain"][sign + 1]}>${["▼ −", "", "▲ +"][sign + 1]}${size}<//>`;
}

/** A share of the largest amount as a bar: below zero it is hollow. @param {{ value: any, most: number }} properties */
export function Bar({ value, most }) {
  const length = known(value) && most > 0 ? Math.min(100, (100 * Math.abs(value)) / most) : 0;
  return html`<svg class="bar-cell" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect class=${known(value) && value < 0 ? "hollow" : "full"} x="0" y="1" width=${length} height="6" /></svg>`;
}
/** @param {any[]} values */
export const largest = (values) => Math.max(0, ...values.filter(known).map(Math.abs));

// said: good, watch, warning, critical, not evaluated
const LEVELS = { good: ["", "muted"], watch: ["▼ ", "uncertain"], warning: ["▲ ", "uncertain"], critical: ["■ ", "bad"] };
/** State of an asset's health by mark, word and tone. @param {{ health: any }} properties */
export function State({ health }) {
  const [mark, tone] = LEVELS[/** @type {keyof typeof LEVELS} */ (health.state)] ?? ["◇ ", "muted"];
  return html`<span class=${tone}><span aria-hidden="true">${mark}</span>${t(health.state)}</span>`;
}

/** Index as a mark within its interval, 0 to 1. @param {{ health: any }} properties */
export function Gauge({ health }) {
  const at = (/** @type {any} */ value) => (known(value) ? 100 * Math.min(1, Math.max(0, value)) : 0);
  return html`<svg class="gauge" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label=${`${fixed2(health.low)} – ${fixed2(health.high)}`}><rect class="scale" x="0" y="4" width="100" height="2" />
    <rect class="span" x=${at(health.low)} y="2" width=${Math.max(0.5, at(health.high) - at(health.low))} height="6" />
    ${known(health.index) && html`<rect class="mark" x=${Math.min(98, at(health.index) - 1)} y="0" width="2" height="10" />`}</svg>`;
}

/** A drawing, fetched with its library when it is first shown. `make` names one of the charts (ui/chart.mjs); `of` is what it is made for. @param {{ make: string, of: any[], given: any, label: string, small?: boolean }} properties */
export function Drawn({ make, of, given, label, small }) {
  const [made, keep] = useState(/** @type {any} */ (null));
  const key = `${make} ${of.join(" ")}`;
  useEffect(() => {
    let gone = false;
    import("../ui/chart.mjs").then((charts) => {
      const build = make === "draw" ? (/** @type {HTMLElement} */ box, /** @type {any} */ data) => charts.draw(box, { name: of[0], unit: of[1] }, data) : /** @type {any} */ (charts)[make](...of);
      if (!gone) keep({ Plot: charts.Plot, build, key });
    });
    return () => { gone = true; };
  }, [key]);
  if (!made || made.key !== key || !given) return html`<div class=${small ? "chart small" : "chart"} aria-busy="true"></div>`;
  return html`<${made.Plot} key=${key} make=${made.build} given=${given} label=${label} small=${small} />`;
}
