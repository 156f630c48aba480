// Health of assets as it is shown everywhere: state by mark and word, the index within its interval on a gauge with the normal range.
// Also what is known of assets put together from the model, the results and the alarms. Nothing is computed that the hub does not say.
// @ts-check
import { computed, html } from "../vendor/core.mjs";
import { alarms, freshness, latest, model, results, tagByName, tags } from "../hub.mjs";
import { Plain, fixed2, t } from "../words.mjs";

/** @typedef {{ name: string, site: string, class?: string, nameplate?: number, unit?: string, criticality?: string, tags: any[], health: any|null, row: string, as_of_us: number|null }} AssetView */

// said: good, watch, warning, critical, not evaluated
const MARKS = { good: ["", ""], watch: ["▼", "uncertain"], warning: ["▲", "uncertain"], critical: ["■", "bad"], "not evaluated": ["◇", "uncertain"] };
/** The normal range of the index, as the hub judges it: below it an asset is watched. */
export const NORMAL_FROM = 0.8;
export const WORST_FIRST = ["critical", "warning", "watch", "not evaluated", "good"];
export const RANK = { high: 2, medium: 3, low: 4 };

/** @param {{ state: string|undefined }} properties */
export function HealthState({ state }) {
  const [mark, tone] = MARKS[/** @type {keyof typeof MARKS} */ (state)] ?? MARKS["not evaluated"];
  return html`<span class=${tone}>${mark && html`<span aria-hidden="true">${mark}</span> `}${t(state ?? "not evaluated")}</span>`;
}

/** The index as a mark in its interval, on a scale of 0 to 1 with the normal range framed. Without an evaluation there is no mark. @param {{ health: any }} properties */
export function Gauge({ health }) {
  const at = (/** @type {number} */ value) => 100 * Math.min(1, Math.max(0, value));
  const evaluated = health && health.state !== "not evaluated";
  const label = evaluated ? t("health {index}, between {low} and {high}", { index: fixed2(health.index), low: fixed2(health.low), high: fixed2(health.high) }) : t("not evaluated");
  return html`<svg class="gauge" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label=${label}><rect class="scale" x="0" y="4" width="100" height="2" />
    <rect class="normal" x=${at(NORMAL_FROM)} y="0.5" width=${at(1 - NORMAL_FROM)} height="9" />
    ${evaluated && html`<rect class="span" x=${at(health.low)} y="2" width=${Math.max(0.5, at(health.high) - at(health.low))} height="6" />
    <rect class="mark" x=${Math.min(98, Math.max(0, at(health.index) - 1))} y="0" width="2" height="10" />`}</svg>`;
}

/** Index and interval in digits, left to right; a dash where nothing is claimed. @param {{ health: any }} properties */
export const Index = ({ health }) => (health && health.state !== "not evaluated" ? html`<${Plain}>${fixed2(health.index)} <span class="muted">(${fixed2(health.low)}–${fixed2(health.high)})</span><//>` : html`<span class="muted">–</span>`);

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
