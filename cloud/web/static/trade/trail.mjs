// From a line of the risk figures down to the signed batches it was made from: line, stream, asset, tag, batches.
// The last step is fixed to the result it was asked of, so that a shared address shows the same proof for as long as it is kept.
// @ts-check
import { html, useEffect, useRef, useState } from "../vendor/core.mjs";
import { download, get, latest, tags, tick } from "../hub.mjs";
import { To } from "../place.mjs";
import { Trouble, useRead } from "../ui.mjs";
import { Plain, clock, fine, fixed2, known, moment, percent, severity, t, whole } from "../words.mjs";
import { Bar, Drawn, Gauge, State, Step, evidence, forecasts, healths, largest, risk, streamOf, tagRow, tagsOf, trail } from "./book.mjs";
import { Stream } from "../pages/supply.mjs";

const CHART_S = 900;
const REFRESH_MS = 3000;
const MOST_BACK = 40; // rows of health looked through for the newest batch of a tag's gateway
const gatewayOf = (/** @type {string} */ tag) => tag.split("/")[0];
const lastPart = (/** @type {string} */ urn) => urn.slice(urn.lastIndexOf(":") + 1);

function Crumbs() {
  const { line, stream, asset, tag, proof } = trail.value;
  /** @type {[any, Record<string, string>][]} */
  const steps = [[t("Risk"), {}]];
  if (stream) steps.push([t("stream {name}", { name: stream }), { line, stream }]);
  if (asset) steps.push([html`<${Plain}>${asset}<//>`, { line, stream, asset }]);
  if (tag) steps.push([html`<${Plain}>${tag}<//>`, { line, stream, asset, tag }]);
  if (proof) steps.push([t("signed batches"), { line, stream, asset, tag, proof }]);
  return html`<nav aria-label=${t("Drill-down")}><ol class="crumbs">${steps.map(([name, to], at) => html`<li key=${at}>${at === steps.length - 1 ? html`<span aria-current="step">${name}</span>` : html`<${Step} to=${to}>${name}<//>`}</li>`)}</ol></nav>`;
}

/** @param {{ title: string, heads: any[], children?: any }} properties */
const Sheet = ({ title, heads, children }) => html`<div class="scroll" tabindex="0" role="region" aria-label=${title}><table><caption>${title}</caption><thead><tr>${heads.map(([head, kind], at) => html`<th key=${at} scope="col" class=${kind ?? ""}>${head}</th>`)}</tr></thead><tbody>${children}</tbody></table></div>`;

function OfStream({ name }) {
  const found = forecasts.value.find((one) => one.subject === name);
  if (!found) return html`<p class="note">${t("There is no forecast of the stream {name}.", { name })}</p>`;
  const output = risk.value?.output;
  const parts = found.output.units.map((/** @type {string} */ unit) => output?.units[unit]);
  return html`<div class="halves"><${Stream} found=${found} /><${Sheet} title=${t("Assets of {name}", { name })} heads=${[[t("asset")], [`ES [${output?.currency ?? ""}]`, "number"], [t("share")], [t("uptime"), "number"], [t("state")]]}>
    ${found.output.units.map((/** @type {string} */ unit, /** @type {number} */ at) => {
      const health = healths.value.find((one) => one.name === unit);
      return html`<tr key=${unit} aria-current=${trail.value.line === unit ? "true" : undefined}><td><${Step} to=${{ line: trail.value.line, stream: name, asset: unit }}><${Plain}>${unit}<//><//></td>
        <td class="number"><${Plain}>${whole(parts[at])}<//></td><td class="drawn"><${Bar} value=${parts[at]} most=${largest(parts)} /></td>
        <td class="number"><${Plain}>${percent(found.output.uptime[at])}<//></td><td>${health ? html`<${State} health=${health} />` : html`<span class="muted">${t("no tags")}</span>`}</td></tr>`;
    })}<//></div>`;
}

// said: good, uncertain, bad
function TagLine({ binding, asset, reasons }) {
  tick.value; // values are in a map beside the signals
  const row = tagRow(binding.tag);
  const [at_us, value, quality] = (row && latest.get(row.id)) ?? [null, null, 0];
  const share = reasons.find((/** @type {any} */ reason) => reason[2].includes(binding.tag))?.[1];
  const tone = at_us ? severity(quality) : "muted";
  return html`<tr aria-current=${trail.value.tag === binding.tag ? "true" : undefined}><td><${Step} to=${{ line: trail.value.line, stream: trail.value.stream ?? streamOf(asset), asset, tag: binding.tag }}><${Plain}>${binding.tag}<//><//></td>
    <td class=${`number ${tone}`}><${Plain}>${known(value) ? fine(value) : "–"}<//></td><td><${Plain}>${row?.unit ?? ""}<//></td>
    <td class=${tone}>${at_us ? t(tone) : t("waiting")}</td><td class="long">${binding.role.replaceAll("_", " ")}</td><td class="number"><${Plain}>${known(share) ? percent(share) : ""}<//></td></tr>`;
}

function OfAsset({ name }) {
  const health = healths.value.find((one) => one.name === name);
  const bindings = tagsOf(name);
  const fact = (/** @type {string} */ label, /** @type {any} */ value) => html`<div><dt>${label}</dt><dd>${value}</dd></div>`;
  return html`${health ? html`<dl class="facts">${fact(t("health"), html`<${Plain}>${fixed2(health.index)} (${fixed2(health.low)}–${fixed2(health.high)})<//>`)}${fact(t("interval"), html`<${Gauge} health=${health} />`)}${fact(t("state"), html`<${State} health=${health} />`)}
      ${fact(t("trust in data"), html`<${Plain}>${percent(health.trust)}<//>`)}${fact(t("evidence (-log10 p)"), html`<${Plain}>${fixed2(health.evidence)}<//>`)}${fact(t("as of"), html`<${Plain}>${clock(health.as_of_us)}<//>`)}</dl>
      ${health.stale.length > 0 && html`<p class="uncertain">▲ ${t("stale tags")}: <${Plain}>${health.stale.join(", ")}<//></p>`}` : html`<p class="note">${t("The health of {name} is not known.", { name })}</p>`}
    ${bindings.length ? html`<${Sheet} title=${t("Tags of {name}", { name })} heads=${[[t("tag")], [t("value"), "number"], [t("unit of measure")], [t("quality")], [t("role of the tag")], [t("share of evidence"), "number"]]}>
      ${bindings.map((/** @type {any} */ binding) => html`<${TagLine} key=${binding.tag} binding=${binding} asset=${name} reasons=${health?.reasons ?? []} />`)}<//>` : html`<p class="note">${t("No tag is bound to {name}.", { name })}</p>`}`;
}

function OfTag({ name }) {
  const row = tagRow(name);
  const read = async () => {
    if (!row) return null;
    const newest = latest.get(row.id)?.[0] || Date.now() * 1e3;
    return get(`/v1/tags/${row.id}/samples?from_us=${newest - CHART_S * 1e6}&to_us=${newest + 1}&points=800`);
  };
  const { value: samples, error } = useRead(read, [row?.id], REFRESH_MS);
  const { line, stream, asset, proof } = trail.value;
  const id = risk.value?.id;
  return html`<h3><${Plain}>${name}<//> <small>${t("newest {n} minute|newest {n} minutes", { n: CHART_S / 60 })}, UTC</small></h3><${Trouble} error=${error} />
    ${!tags.value ? html`<div class="skeleton" aria-busy="true"></div>` : !row ? html`<p class="note">${t("The hub has no samples of this tag.")}</p>` : html`<${Drawn} make="draw" of=${[name, row.unit]} given=${samples} label=${t("samples of {name}", { name })} />`}
    <p class="acts">${samples?.times_us.length > 0 && html`<${To} class="act" path="/verify" query=${{ tag: row.id, from_us: samples.times_us[0], to_us: samples.times_us.at(-1) + 1 }}>${t("Prove these samples")}<//>`}
    ${id && !proof && html`<${Step} class="act" to=${{ line, stream, asset, tag: name, proof: id }}>${t("Signed batches behind the VaR")}<//>`}</p>`;
}

/**
 * The rows from the risk figure to the health it rests on, and the batches of the tag's gateway: of the health row itself, or of the
 * nearest one before it in its chain, because a row holds only what had come since the one before.
 * @param {string} id @param {string} stream @param {string} tag
 */
async function pedigree(id, stream, tag) {
  const valued = await evidence(id);
  const foreseen = valued.inputs.rows[stream] && (await evidence(valued.inputs.rows[stream]));
  if (!foreseen) throw new Error(t("the figure {id} was not made from a forecast of {stream}", { id: id.slice(0, 16), stream }));
  const healthy = await evidence(foreseen.inputs.rows.health);
  let [row, back] = [healthy, 0];
  const mine = () => row.inputs.batches.filter((/** @type {any} */ batch) => lastPart(batch.gateway) === gatewayOf(tag));
  while (!mine().length && row.inputs.rows.previous && back < MOST_BACK) {
    row = await evidence(row.inputs.rows.previous);
    back += 1;
  }
  return { valued, foreseen, healthy, row, back, batches: mine() };
}

function Proof({ id, what, children }) {
  const [busy, keep] = useState(false);
  const [error, fail] = useState(/** @type {any} */ (null));
  const fetchIt = () => { keep(true); fail(null); download(`/v1/evidence/${id}/bundle`, `${what}-${id.slice(0, 16)}.qzb`).catch(fail).finally(() => keep(false)); };
  return html`<button type="button" class="act" disabled=${busy} onClick=${fetchIt}>${children}</button><${Trouble} error=${error} />`;
}

function OfProof({ id, stream, tag }) {
  const { value: found, error } = useRead(() => pedigree(id, stream, tag), [id, stream, tag]);
  if (error) return html`<${Trouble} error=${error} />`;
  if (!found || found.valued.id !== id) return html`<p class="note" aria-busy="true">${t("Reading the pedigree …")}</p>`;
  const steps = [["VaR", found.valued], [t("forecast"), found.foreseen], [t("health"), found.healthy], ...(found.back ? [[t("health, {n} back", { n: found.back }), found.row]] : [])];
  return html`<h3>${t("Signed batches")} <small>${t("behind the VaR of {moment}", { moment: moment(found.valued.as_of_us) })}</small></h3>
    <${Sheet} title=${t("Signed batches")} heads=${[[t("gateway")], [t("stream")], [t("epoch"), "number"], [t("number"), "number"], [t("entry hash (SHA-256)")]]}>
      ${found.batches.map((/** @type {any} */ batch) => html`<tr key=${batch.entry}><td><${Plain}>${batch.gateway}<//></td><td><${Plain}>${batch.stream}<//></td><td class="number"><${Plain}>${batch.epoch}<//></td>
        <td class="number"><${Plain}>${whole(batch.seq)}<//></td><td class="hash"><${Plain}>${batch.entry}<//></td></tr>`)}<//>
    ${!found.batches.length && html`<p class="note">${t("The newest {n} row of health holds no batch of {gateway}; the proof below has the whole chain.|The newest {n} rows of health hold no batch of {gateway}; the proof below has the whole chain.", { n: found.back + 1, gateway: gatewayOf(tag) })}</p>`}
    <${Sheet} title=${t("The way there")} heads=${[[t("result")], [t("as of")], [t("position in the log"), "number"], [t("row (SHA-256)")]]}>
      ${steps.map(([name, row]) => html`<tr key=${row.id}><td>${name} <${Plain}>${row.subject}<//></td><td><${Plain}>${moment(row.as_of_us)}<//></td><td class="number">${row.position === null || row.position === undefined ? t("in a moment") : html`<${Plain}>${row.position}<//>`}</td><td class="hash"><${Plain}>${row.id}<//></td></tr>`)}<//>
    <p class="acts"><${To} class="act" path="/verify" query=${{ evidence: id }}>${t("Check this proof here")}<//><${Proof} id=${id} what="var">${t("Download the proof of this VaR")}<//><${Proof} id=${found.healthy.id} what="health">${t("Download the proof of the health")}<//></p>
    <p class="note">${t("Check it anywhere:")} <code dir="ltr">qenergyz verify --recompute FILE</code></p>`;
}

export function Trail() {
  const { line, stream, asset, tag, proof } = trail.value;
  const box = useRef(/** @type {HTMLElement|null} */ (null));
  const own = stream ?? (asset && streamOf(asset));
  useEffect(() => {
    box.current?.scrollIntoView({ block: "nearest" });
    box.current?.focus({ preventScroll: true });
  }, [stream, asset, tag, proof]);
  const brings = line ? risk.value?.output.units[line] : null;
  return html`<section class="trail" aria-label=${t("Drill-down")} tabindex="-1" ref=${box}><${Crumbs} />
    ${known(brings) && html`<p>${t("{line} brings {v} of the ES.", { line, v: `${whole(brings)} ${risk.value?.output.currency}` })}</p>`}
    ${!asset && stream && html`<${OfStream} name=${stream} />`}
    ${asset && !tag && html`<${OfAsset} name=${asset} />`}
    ${tag && !proof && html`<${OfTag} name=${tag} />`}
    ${proof && own && tag && html`<${OfProof} id=${proof} stream=${own} tag=${tag} />`}</section>`;
}
