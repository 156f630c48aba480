// Assets of a site or of all: health with its interval, how far the data can be trusted, what sounds. One of them opens with its reasons.
// @ts-check
import { html } from "../vendor/core.mjs";
import { assets, coverage, freshnessOf, model, newestOf, now, standing, tick, worstOf } from "../hub.mjs";
import { go, onward, site } from "../place.mjs";
import { Empty, Figure, Freshness, Gauge, HealthState, Index, Priority, Table, WORST_FIRST } from "../ui.mjs";
import { Plain, fixed2, known, lasting, percent, t, whole } from "../words.mjs";

/** @typedef {import("../hub.mjs").AssetView} AssetView */
const stateOf = (/** @type {AssetView} */ asset) => asset.health?.state ?? "not evaluated";
const evaluated = (/** @type {AssetView} */ asset) => asset.health && asset.health.state !== "not evaluated";
const alarmsOf = (/** @type {AssetView} */ asset) => standing.value.filter((one) => one.asset === asset.name);

// said: low, medium, high
const COLUMNS = () => [
  { name: "asset", title: t("Asset"), value: (/** @type {AssetView} */ one) => one.name, show: (/** @type {AssetView} */ one) => html`<${Plain}>${one.name}<//>` },
  { name: "state", title: t("State"), value: (/** @type {AssetView} */ one) => stateOf(one), show: (/** @type {AssetView} */ one) => html`<${HealthState} state=${stateOf(one)} />` },
  { name: "health", title: t("Health"), number: true, value: (/** @type {AssetView} */ one) => (evaluated(one) ? one.health.index : null), show: (/** @type {AssetView} */ one) => html`<${Index} health=${one.health} />` },
  { name: "low", title: t("Interval from"), number: true, wide: true, value: (/** @type {AssetView} */ one) => (evaluated(one) ? one.health.low : null), show: (/** @type {AssetView} */ one) => html`<${Plain}>${evaluated(one) ? fixed2(one.health.low) : "–"}<//>` },
  { name: "gauge", title: t("In its range"), wide: true, value: () => "", show: (/** @type {AssetView} */ one) => html`<${Gauge} health=${one.health} />` },
  { name: "alarms", title: t("Alarms"), value: (/** @type {AssetView} */ one) => alarmsOf(one).length || null, show: (/** @type {AssetView} */ one) => { const worst = worstOf(alarmsOf(one)); return worst ? html`<${Priority} priority=${worst.priority} />` : html`<span class="muted">–</span>`; } },
  { name: "trust", title: t("Trust in data"), number: true, wide: true, value: (/** @type {AssetView} */ one) => one.health?.trust, show: (/** @type {AssetView} */ one) => html`<${Plain}>${percent(one.health?.trust)}<//>` },
  { name: "coverage", title: t("Tags covered"), number: true, wide: true, value: coverage, show: (/** @type {AssetView} */ one) => html`<span class=${(coverage(one) ?? 1) < 1 ? "uncertain" : ""}><${Plain}>${percent(coverage(one))}<//></span>` },
  { name: "samples", title: t("Samples"), wide: true, value: freshnessOf, show: (/** @type {AssetView} */ one) => html`<${Freshness} state=${freshnessOf(one)} title=${newestOf(one) ? lasting(now.value / 1e3 - newestOf(one) / 1e6) : ""} />` },
  { name: "class", title: t("Class"), wide: true, value: (/** @type {AssetView} */ one) => one.class, show: (/** @type {AssetView} */ one) => html`<${Plain}>${one.class}<//>` },
  { name: "site", title: t("Site"), wide: true, value: (/** @type {AssetView} */ one) => one.site, show: (/** @type {AssetView} */ one) => html`<${Plain}>${one.site}<//>` },
  { name: "nameplate", title: t("Nameplate"), number: true, wide: true, value: (/** @type {AssetView} */ one) => one.nameplate, show: (/** @type {AssetView} */ one) => html`<${Plain}>${whole(one.nameplate)} <span class="unit">${one.unit}</span><//>` },
  { name: "criticality", title: t("Criticality"), wide: true, value: (/** @type {AssetView} */ one) => one.criticality, show: (/** @type {AssetView} */ one) => t(one.criticality ?? "low") },
];

export function Page() {
  tick.value;
  if (!assets.value) return html`<h1>${t("Assets")}</h1>${model.value ? html`<${Empty}>${t("No model of the assets was handed in yet.")}<//>` : html`<div class="skeleton" aria-busy="true"></div>`}`;
  const rows = assets.value.filter((one) => !site.value || one.site === site.value)
    .sort((a, b) => WORST_FIRST.indexOf(stateOf(a)) - WORST_FIRST.indexOf(stateOf(b)) || (a.health?.index ?? 1) - (b.health?.index ?? 1) || a.name.localeCompare(b.name));
  const unwell = rows.filter((one) => ["watch", "warning", "critical"].includes(stateOf(one))).length;
  const blind = rows.filter((one) => !evaluated(one)).length;
  const trust = rows.map((one) => one.health?.trust).filter(known);
  return html`<h1>${t("Assets")}</h1><div class="figures"><${Figure} label=${t("assets")} value=${whole(rows.length)} note=${`${t("model version")} ${model.value.model?.version ?? "–"}`} />
      <${Figure} label=${t("not well")} value=${whole(unwell)} tone=${unwell ? "abnormal" : ""} /><${Figure} label=${t("not evaluated")} value=${whole(blind)} tone=${blind ? "abnormal" : ""} />
      <${Figure} label=${t("trust in data, mean")} value=${trust.length ? percent(trust.reduce((a, b) => a + b, 0) / trust.length) : "–"} /></div>
    <${Table} name="assets" title=${t("Assets")} columns=${COLUMNS()} rows=${rows} id=${(/** @type {AssetView} */ one) => one.name} open=${(/** @type {AssetView} */ one) => go(onward(`/assets/${encodeURIComponent(one.name)}`))}
      empty=${html`<p>${t("There is no asset in this scope.")}</p>`} />`;
}
