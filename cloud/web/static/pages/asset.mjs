// One asset: how well it is and how sure that is, which tags say so, its alarms, the trends of its tags, and the signed batches behind it.
// @ts-check
import { html, useState } from "../vendor/core.mjs";
import { assets, boundTag, coverage, download, freshnessOf, get, latest, may, model, newestOf, now, standing, tagsById, tick } from "../hub.mjs";
import { To, place, turn } from "../place.mjs";
import { Empty, Freshness, Gauge, HealthState, Later, NORMAL_FROM, Priority, Seen, Trouble, useRead } from "../ui.mjs";
import { Plain, fine, fixed2, known, lasting, moment, percent, severity, t, whole } from "../words.mjs";

const MOST_BATCHES = 50;
const trends = () => import("../ui/chart.mjs").then((module) => module.Trends);
const spoken = (/** @type {string} */ role) => role.replaceAll("_", " ");

/** @param {{ asset: any }} properties */
function Wellness({ asset }) {
  const { health } = asset;
  const evaluated = health && health.state !== "not evaluated";
  return html`<section class="panel" aria-label=${t("Health")}><div class="wellness"><div><span class="label">${t("Health")}</span>
      <strong class="big">${evaluated ? html`<${Plain}>${fixed2(health.index)}<//>` : "–"}</strong> <${HealthState} state=${health?.state} /></div>
      <div class="gauged"><${Gauge} health=${health} /><small>${evaluated ? html`${t("between")} <${Plain}>${fixed2(health.low)}<//> ${t("and")} <${Plain}>${fixed2(health.high)}<//>; ` : ""}${t("normal from {low}", { low: fixed2(NORMAL_FROM) })}</small></div></div>
    ${!evaluated && html`<p class="uncertain"><span aria-hidden="true">◇</span> ${t("Not evaluated: less than half of the required tags have usable data, so nothing is claimed of this asset.")}</p>`}
    <dl class="facts"><div><dt>${t("trust in data")}</dt><dd><${Plain}>${percent(health?.trust)}<//></dd></div><div><dt>${t("tags covered")}</dt><dd class=${(coverage(asset) ?? 1) < 1 ? "uncertain" : ""}><${Plain}>${percent(coverage(asset))}<//></dd></div>
      <div><dt>${t("as of")}</dt><dd><${Plain}>${moment(asset.as_of_us)}<//></dd></div><div><dt>${t("samples")}</dt><dd><${Freshness} state=${freshnessOf(asset)} title=${newestOf(asset) ? lasting(now.value / 1e3 - newestOf(asset) / 1e6) : ""} /></dd></div>
      <div><dt>${t("model version")}</dt><dd><${Plain}>${model.value?.model?.version ?? "–"}<//> <span class="hash muted" title=${model.value?.model?.sha256}>${model.value?.model?.sha256?.slice(0, 8)}</span></dd></div>
      <div><dt>${t("class")}</dt><dd><${Plain}>${asset.class}<//></dd></div><div><dt>${t("nameplate")}</dt><dd><${Plain}>${whole(asset.nameplate)} <span class="unit">${asset.unit}</span><//></dd></div>
      ${known(health?.wear?.[0]) && html`<div><dt>${t("wear expected per day")}</dt><dd><${Plain}>${fine(health.wear[0])}<//></dd></div>`}</dl>
    ${health?.stale.length > 0 && html`<p class="uncertain"><span aria-hidden="true">▲</span> ${t("no good sample for too long")}: <${Plain}>${health.stale.join(", ")}<//></p>`}</section>`;
}

/** The roles that speak against the asset with their share, and every bound tag with its value. @param {{ asset: any }} properties */
function Contributions({ asset }) {
  tick.value;
  const shares = new Map((asset.health?.reasons ?? []).flatMap((/** @type {any} */ [role, share, names]) => names.map((/** @type {string} */ name) => [name, share])));
  const rows = [...asset.tags].sort((a, b) => (shares.get(b.tag) ?? 0) - (shares.get(a.tag) ?? 0));
  const picked = place.value.query.tag;
  return html`<section aria-label=${t("Contributions")}><div class="tools"><h2>${t("Contributions")}</h2></div><div class="scroll" tabindex="0" role="region" aria-label=${t("Share of what speaks against the asset; pick a tag to see it alone")}><table><caption>${t("Share of what speaks against the asset; pick a tag to see it alone")}</caption>
    <thead><tr><th scope="col">${t("role")}</th><th scope="col">${t("tag")}</th><th scope="col" class="number">${t("share")}</th><th scope="col" class="wide"><span class="said">${t("share")}</span></th><th scope="col" class="number">${t("value")}</th><th scope="col" class="wide">${t("quality")}</th></tr></thead>
    <tbody>${rows.map((one) => {
      const tag = boundTag(one.tag);
      const [at_us, value, code] = latest.get(tag?.id) ?? [null, null, 0];
      const share = shares.get(one.tag);
      return html`<tr key=${one.tag} aria-current=${picked === one.tag ? "true" : undefined}><td>${spoken(one.role)}${one.required ? "" : html` <small>${t("optional")}</small>`}</td>
        <td><button type="button" class="link" aria-pressed=${picked === one.tag} onClick=${() => turn({ tag: picked === one.tag ? null : one.tag }, true)}><${Plain}>${one.tag}<//></button></td>
        <td class="number"><${Plain}>${known(share) ? percent(share) : "–"}<//></td><td class="wide">${known(share) && html`<svg class="bar-cell" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"><rect class="full" x="0" y="1" width=${100 * share} height="8" /></svg>`}</td>
        <td class="number"><${Plain}>${fine(value)} <span class="unit">${tag?.unit ?? ""}</span><//></td><td class=${`wide ${at_us ? severity(code) : "muted"}`}>${at_us ? t(severity(code)) : t("no sample yet")}</td></tr>`;
    })}</tbody></table></div></section>`;
}

// said: good, uncertain, bad, raise, clear, re-alarm, acknowledge, shelve, unshelve, suppress, unsuppress, remove from service, restore to service, health, stale tags
function Alarms({ name }) {
  const found = standing.value.filter((one) => one.asset === name);
  const { value: told, error } = useRead(() => get(`/v1/alarms/journal?asset=${encodeURIComponent(name)}&limit=20`), [name, found.map((one) => one.id ?? one.since_us).join(" ")]);
  return html`<section aria-label=${t("Alarms")}><div class="tools"><h2>${t("Alarms")}</h2><${To} path="/alarms" query=${{ "alarms.find": name }}>${t("In the list")}<//></div><${Trouble} error=${error} />
    ${found.length ? html`<ul class="plain">${found.map((one) => html`<li key=${one.alarm}><${Priority} priority=${one.priority} /> ${t(one.alarm)}: ${t(one.state)} <${Plain}>${moment(one.since_us)}<//> <span class="muted">${one.cause}</span></li>`)}</ul>` : html`<p class="note">${t("No alarm of this asset stands.")}</p>`}
    ${told?.journal.length > 0 && html`<div class="scroll" tabindex="0" role="region" aria-label=${t("Last transitions")}><table><caption>${t("Last transitions")}</caption><thead><tr><th scope="col">${t("at")}</th><th scope="col">${t("alarm")}</th><th scope="col">${t("event")}</th><th scope="col">${t("by")}</th><th scope="col">${t("state after")}</th></tr></thead>
      <tbody>${told.journal.map((/** @type {any} */ one) => html`<tr key=${one.id}><td><${Plain}>${moment(one.at_us)}<//></td><td>${t(one.alarm)}</td><td>${t(one.event)}</td><td><${Plain}>${one.by}<//></td><td>${t(one.state)}</td></tr>`)}</tbody></table></div>`}</section>`;
}

/** The row of evidence that the shown health is, its signed batches, and the file that proves it. @param {{ asset: any }} properties */
function Evidence({ asset }) {
  const [row, show] = useState(/** @type {any} */ (null));
  const [error, tell] = useState(/** @type {any} */ (null));
  const [busy, work] = useState(false);
  if (!asset.row || !may("read:evidence")) return null;
  const run = async (/** @type {() => Promise<any>} */ what) => { work(true); tell(null); try { await what(); } catch (fault) { tell(fault); } work(false); };
  const open = () => run(async () => show(await get(`/v1/evidence/${asset.row}`)));
  const keep = (/** @type {string} */ id) => run(() => download(`/v1/evidence/${id}/bundle`, `health-${id.slice(0, 16)}.qzb`));
  const batches = row?.inputs.batches ?? [];
  return html`<section aria-label=${t("Evidence")}><div class="tools"><h2>${t("Evidence")}</h2></div><${Trouble} error=${error} />
    <p class="acts"><button type="button" class="act" disabled=${busy} onClick=${() => keep(row?.id ?? asset.row)}>${t("Download the proof of this health")}</button>
      <button type="button" class="act" disabled=${busy} onClick=${open}>${t("Signed batches")}</button><${To} path="/verify" query=${{ evidence: row?.id ?? asset.row }} class="act">${t("Check it here")}<//></p>
    ${row && html`<p>${t("Health of")} <${Plain}>${row.subject}<//>, <${Plain}>${moment(row.as_of_us)}<//>: <${Plain} class="hash">${row.id}<//> ${row.position === null ? t("in the log in a moment") : html`${t("in the log at")} <${Plain}>${whole(row.position)}<//>`}</p>
      ${batches.length ? html`<div class="scroll" tabindex="0" role="region" aria-label=${t("Signed batches that came since the health before")}><table><caption>${t("Signed batches that came since the health before")}</caption><thead><tr><th scope="col">${t("gateway")}</th><th scope="col">${t("stream")}</th><th scope="col" class="number">${t("epoch")}</th><th scope="col" class="number">${t("number")}</th><th scope="col">${t("entry hash (SHA-256)")}</th></tr></thead>
        <tbody>${batches.slice(0, MOST_BATCHES).map((/** @type {any} */ one) => html`<tr key=${one.entry}><td><${Plain}>${one.gateway}<//></td><td><${Plain}>${one.stream}<//></td><td class="number"><${Plain}>${one.epoch}<//></td><td class="number"><${Plain}>${whole(one.seq)}<//></td><td class="hash"><${Plain}>${one.entry}<//></td></tr>`)}</tbody></table></div>` : html`<p class="note">${t("No batch came between this health and the one before.")}</p>`}
      ${row.inputs.rows.previous && html`<p><button type="button" class="act" disabled=${busy} onClick=${() => run(async () => show(await get(`/v1/evidence/${row.inputs.rows.previous}`)))}>${t("The health before")}</button></p>`}`}</section>`;
}

/** @param {{ parts: string[] }} properties */
export function Page({ parts }) {
  const name = parts.join("/");
  if (!assets.value) return html`<h1><${Plain}>${name}<//></h1><div class="skeleton" aria-busy="true"></div>`;
  const asset = assets.value.find((one) => one.name === name);
  if (!asset) return html`<h1><${Plain}>${name}<//></h1><${Empty} next=${html`<${To} path="/assets">${t("All assets")}<//>`}>${t("There is no asset of this name in the model.")}<//>`;
  const picked = place.value.query.tag;
  const shown = asset.tags.filter((/** @type {any} */ one) => !picked || one.tag === picked).flatMap((/** @type {any} */ one) => {
    const tag = boundTag(one.tag);
    return tag ? [{ id: tag.id, name: one.tag, unit: tagsById.value.get(tag.id)?.unit ?? "", said: spoken(one.role) }] : [];
  });
  return html`<nav aria-label=${t("Where this is")}><ol class="crumbs"><li><${To} path="/sites">${t("Sites")}<//></li><li><${To} path="/assets" query=${{ site: asset.site }}><${Plain}>${asset.site}<//><//></li><li><span aria-current="page"><${Plain}>${name}<//></span></li></ol></nav>
    <h1><${Plain}>${name}<//></h1><div class="halves uneven"><${Wellness} asset=${asset} /><${Contributions} asset=${asset} /></div>
    ${shown.length > 0 && html`<${Seen} title=${t("Trends")} height=${340}><${Later} load=${trends} title=${t("Trends")} tags=${shown} /><//>`}
    <${Seen} title=${t("Alarms")}><${Alarms} name=${name} /><//><${Evidence} asset=${asset} />`;
}
