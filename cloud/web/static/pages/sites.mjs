// Sites at a glance: grey unless something is abnormal. A tile leads to the assets of its site and keeps it as the scope of every page.
// @ts-check
import { html } from "../vendor/core.mjs";
import { assets, freshness, model, newestOf, results, standing, tick, worstOf } from "../hub.mjs";
import { To, site as scope } from "../place.mjs";
import { Empty, Freshness, Gauge, HealthState, Priority, WORST_FIRST } from "../ui.mjs";
import { Plain, fixed2, percent, t, whole } from "../words.mjs";

/** Mean expected uptime of the assets that have a forecast, where this role may see forecasts; null elsewhere. @param {Set<string>} names */
function uptime(names) {
  const found = Object.values(results.value).filter((one) => one.kind === "forecast")
    .flatMap((one) => one.output.units.map((/** @type {string} */ unit, /** @type {number} */ at) => [unit, one.output.uptime[at]])).filter(([unit, value]) => names.has(unit) && typeof value === "number");
  return found.length ? found.reduce((sum, [, value]) => sum + value, 0) / found.length : null;
}

/** What a tile says of a site. @param {string} name */
export function summary(name) {
  const own = (assets.value ?? []).filter((asset) => asset.site === name);
  const names = new Set(own.map((asset) => asset.name));
  const evaluated = own.filter((asset) => asset.health && asset.health.state !== "not evaluated");
  const found = standing.value.filter((one) => names.has(one.asset));
  const newest = Math.max(0, ...own.map(newestOf));
  const state = WORST_FIRST.find((one) => own.some((asset) => (asset.health?.state ?? "not evaluated") === one)) ?? "not evaluated";
  return {
    name, own, evaluated, state, newest, uptime: uptime(names), fresh: freshness(newest || null), worst: worstOf(found),
    lowest: [...evaluated].sort((a, b) => a.health.index - b.health.index)[0], sounding: found.filter((one) => one.state === "unacknowledged"), active: found.filter((one) => one.active),
  };
}

function Tile({ name }) {
  tick.value; // freshness moves with the samples
  const found = summary(name);
  const abnormal = found.state !== "good" || found.sounding.length > 0 || found.fresh !== "LIVE";
  return html`<${To} path="/assets" query=${{ site: name }} class=${`tile site ${abnormal ? "abnormal" : ""}`} aria-current=${scope.value === name ? "true" : undefined}>
    <h2><${Plain}>${name}<//></h2>
    <dl class="facts"><div><dt>${t("lowest health")}</dt><dd>${found.lowest ? html`<${Plain}>${fixed2(found.lowest.health.index)}<//> <small><${Plain}>${found.lowest.name}<//></small><${Gauge} health=${found.lowest.health} />` : html`<span class="uncertain"><span aria-hidden="true">◇</span> ${t("not evaluated")}</span>`}</dd></div>
      <div><dt>${t("worst state")}</dt><dd><${HealthState} state=${found.state} /></dd></div>
      <div><dt>${t("assets evaluated")}</dt><dd class=${found.evaluated.length < found.own.length ? "uncertain" : ""}><${Plain}>${whole(found.evaluated.length)} / ${whole(found.own.length)}<//></dd></div>
      <div><dt>${t("alarms")}</dt><dd>${found.worst && html`<${Priority} priority=${found.worst.priority} /> `}<${Plain}>${whole(found.sounding.length)}<//> ${t("not acknowledged")}, <${Plain}>${whole(found.active.length)}<//> ${t("active")}</dd></div>
      ${found.uptime !== null && html`<div><dt>${t("expected availability")}</dt><dd><${Plain}>${percent(found.uptime)}<//></dd></div>`}
      <div><dt>${t("samples")}</dt><dd><${Freshness} state=${found.fresh} /></dd></div></dl><//>`;
}

export function Page() {
  if (!model.value) return html`<h1>${t("Sites")}</h1><div class="skeleton" aria-busy="true"></div>`;
  const names = /** @type {string[]} */ (model.value.sites ?? []);
  return html`<h1>${t("Sites")}</h1>${names.length ? html`<div class="sites">${names.map((name) => html`<${Tile} key=${name} name=${name} />`)}</div>`
    : html`<${Empty} next=${html`<a href="/docs/reference/asset-model/">${t("How a model of the assets is written")}</a>`}>${t("No model of the assets was handed in yet.")}<//>`}`;
}
