// From a line of the risk figures down to the signed batches it was made from: line, stream, asset, tag, batches.
// The last step is fixed to the result it was asked of, so that a shared address shows the same proof for as long as it is kept.
// @ts-check
import { html, signal, useEffect, useRef, useState } from "../vendor/core.mjs";
import { download, get } from "../api.mjs";
import { Plot, draw } from "../ui/chart.mjs";
import { evidence, forecasts, healths, latest, place, risk, streamOf, tagRow, tagsOf, tick, trouble } from "./results.mjs";
import { Bar, To } from "./risk.mjs";
import { Gauge, State, Stream } from "./supply.mjs";
import { NOTHING, clock, fine, fixed, known, moment, percent, whole } from "./words.mjs";

const CHART_S = 900;
const REFRESH_MS = 3000;
const MOST_BACK = 40; // rows of health looked through for the newest batch of a tag's gateway
const severity = (/** @type {number} */ quality) => ["good", "uncertain", "bad", "bad"][quality >>> 30];
const gatewayOf = (/** @type {string} */ tag) => tag.split("/")[0];
const lastPart = (/** @type {string} */ urn) => urn.slice(urn.lastIndexOf(":") + 1);

function Crumbs() {
  const { line, stream, asset, tag, proof } = place.value;
  const steps = [["risk", {}]];
  if (stream) steps.push([`stream ${stream}`, { line, stream }]);
  if (asset) steps.push([asset, { line, stream, asset }]);
  if (tag) steps.push([tag, { line, stream, asset, tag }]);
  if (proof) steps.push(["signed batches", { line, stream, asset, tag, proof }]);
  return html`<nav aria-label="Drill-down"><ol class="crumbs">${steps.map(([name, to], at) => html`<li key=${name}>
    ${at === steps.length - 1 ? html`<span aria-current="step">${name}</span>` : html`<${To} to=${to}>${name}<//>`}</li>`)}</ol></nav>`;
}

function OfStream({ name }) {
  const found = forecasts.value.find((one) => one.subject === name);
  if (!found) return html`<p class="note">There is no forecast of the stream ${name}.</p>`;
  const output = risk.value?.output;
  const parts = found.output.units.map((/** @type {string} */ unit) => output?.units[unit]);
  const most = Math.max(0, ...parts.filter(known).map(Math.abs));
  return html`<div class="halves"><${Stream} found=${found} /><div class="scroll"><table class="even"><caption>Assets of ${name}</caption>
    <thead><tr><th>asset</th><th class="number">ES [${output?.currency ?? "money"}]</th><td class="drawn"></td><th class="number">uptime</th><th>state</th></tr></thead>
    <tbody>${found.output.units.map((/** @type {string} */ unit, /** @type {number} */ at) => {
      const health = healths.value.find((one) => one.name === unit);
      return html`<tr key=${unit} aria-current=${place.value.line === unit}><td><${To} to=${{ line: place.value.line, stream: name, asset: unit }}>${unit}<//></td>
        <td class="number">${whole(parts[at])}</td><td class="drawn"><${Bar} value=${parts[at]} most=${most} /></td>
        <td class="number">${percent(found.output.uptime[at])}</td><td>${health ? html`<${State} health=${health} />` : html`<span class="muted">no tags</span>`}</td></tr>`;
    })}</tbody></table></div></div>`;
}

function TagLine({ binding, asset, reasons }) {
  tick.value; // values are in a map beside the signals
  const row = tagRow(binding.tag);
  const [at_us, value, quality] = (row && latest.get(row.id)) ?? [null, null, 0];
  const share = reasons.find((/** @type {any} */ reason) => reason[2].includes(binding.tag))?.[1];
  const tone = at_us ? severity(quality) : "muted";
  return html`<tr aria-current=${place.value.tag === binding.tag}><td><${To} to=${{ line: place.value.line, stream: place.value.stream ?? streamOf(asset), asset, tag: binding.tag }}>${binding.tag}<//></td>
    <td class="number ${tone}">${known(value) ? fine(value) : NOTHING}</td><td>${row?.unit ?? ""}</td>
    <td class=${tone}>${at_us ? tone : "waiting"}</td><td class="long">${binding.role.replaceAll("_", " ")}</td><td class="number">${known(share) ? percent(share) : ""}</td></tr>`;
}

function OfAsset({ name }) {
  const health = healths.value.find((one) => one.name === name);
  const bindings = tagsOf(name);
  return html`${health ? html`<dl class="facts"><div><dt>health</dt><dd>${fixed(health.index)} (${fixed(health.low)} to ${fixed(health.high)})</dd></div>
      <div><dt>interval</dt><dd class="gauged"><${Gauge} health=${health} /></dd></div><div><dt>state</dt><dd><${State} health=${health} /></dd></div>
      <div><dt>trust in data</dt><dd>${percent(health.trust)}</dd></div><div><dt>evidence (-log10 p)</dt><dd>${fixed(health.evidence, 1)}</dd></div>
      <div><dt>as of (UTC)</dt><dd>${clock(health.as_of_us)}</dd></div></dl>
      ${health.stale.length > 0 && html`<p class="uncertain">▲ stale: ${health.stale.join(", ")}</p>`}` : html`<p class="note">The health of ${name} is not known.</p>`}
    ${bindings.length ? html`<div class="scroll"><table><caption>Tags of ${name}</caption><thead><tr><th>tag</th><th class="number">value</th><th>unit</th><th>quality</th><th>role</th><th class="number">share of evidence</th></tr></thead>
      <tbody>${bindings.map((/** @type {any} */ binding) => html`<${TagLine} key=${binding.tag} binding=${binding} asset=${name} reasons=${health?.reasons ?? []} />`)}</tbody></table></div>` : html`<p class="note">No tag is bound to ${name}.</p>`}`;
}

function OfTag({ name }) {
  const row = tagRow(name);
  const [samples, show] = useState(/** @type {any} */ (null));
  const [make, remake] = useState(/** @type {any} */ (null));
  useEffect(() => {
    if (!row) return undefined;
    let gone = false;
    remake(() => (/** @type {HTMLElement} */ box, /** @type {any} */ given) => draw(box, { name, unit: row.unit }, given));
    const refresh = async () => {
      const newest = latest.get(row.id)?.[0] || Date.now() * 1e3;
      const found = await get(`/v1/tags/${row.id}/samples?from_us=${newest - CHART_S * 1e6}&to_us=${newest + 1}&points=800`).catch((error) => { trouble.value = error.message; });
      if (found && !gone) show(found);
    };
    refresh();
    const timer = setInterval(refresh, REFRESH_MS);
    return () => { gone = true; clearInterval(timer); };
  }, [row?.id]);
  const { line, stream, asset } = place.value;
  const id = risk.value?.id;
  return html`<h3>${name} <span class="muted">newest ${CHART_S / 60} minutes, UTC</span></h3>
    ${!row ? html`<p class="note">The hub has no samples of this tag.</p>` : samples && make ? html`<${Plot} make=${make} given=${samples} label=${`samples of ${name}`} />` : html`<div class="chart"></div>`}
    ${id && !place.value.proof && html`<p><${To} class="step" to=${{ line, stream, asset, tag: name, proof: id }}>Signed batches behind the VaR<//></p>`}`;
}

/**
 * The rows from the risk figure to the health it rests on, and the batches of the tag's gateway: of the health row itself, or of the
 * nearest one before it in its chain, because a row holds only what had come since the one before.
 * @param {string} id
 * @param {string} stream
 * @param {string} tag
 */
async function pedigree(id, stream, tag) {
  const valued = await evidence(id);
  const foreseen = valued.inputs.rows[stream] && (await evidence(valued.inputs.rows[stream]));
  if (!foreseen) throw new Error(`the figure ${id.slice(0, 16)} was not made from a forecast of ${stream}`);
  const healthy = await evidence(foreseen.inputs.rows.health);
  let [row, back] = [healthy, 0];
  const mine = () => row.inputs.batches.filter((/** @type {any} */ batch) => lastPart(batch.gateway) === gatewayOf(tag));
  while (!mine().length && row.inputs.rows.previous && back < MOST_BACK) {
    row = await evidence(row.inputs.rows.previous);
    back += 1;
  }
  return { valued, foreseen, healthy, row, back, batches: mine() };
}

const fetched = signal(/** @type {Record<string, boolean>} */ ({}));

function Proof({ id, what, children }) {
  const fetchIt = async () => {
    fetched.value = { ...fetched.value, [id]: true };
    await download(`/v1/evidence/${id}/bundle`, `${what}-${id.slice(0, 16)}.qzb`).catch((error) => { trouble.value = error.message; });
    fetched.value = { ...fetched.value, [id]: false };
  };
  return html`<button type="button" class="act" disabled=${fetched.value[id]} onClick=${fetchIt}>${children}</button>`;
}

function OfProof({ id, stream, tag }) {
  const [found, show] = useState(/** @type {any} */ (null));
  const [failed, fail] = useState("");
  useEffect(() => {
    let gone = false;
    show(null);
    fail("");
    pedigree(id, stream, tag).then((made) => { if (!gone) show(made); }, (error) => { if (!gone) fail(error.message); });
    return () => { gone = true; };
  }, [id, stream, tag]);
  if (failed) return html`<p class="bad" role="alert">■ ${failed}</p>`;
  if (!found) return html`<p class="note waits">Reading the pedigree ...</p>`;
  const steps = [["VaR", found.valued], ["forecast", found.foreseen], ["health", found.healthy], ...(found.back ? [[`health, ${found.back} back`, found.row]] : [])];
  return html`<h3>Signed batches <span class="muted">behind the VaR of ${moment(found.valued.as_of_us)} UTC</span></h3>
    <div class="scroll"><table><thead><tr><th>gateway</th><th>stream</th><th class="number">epoch</th><th class="number">number</th><th>entry hash (SHA-256)</th></tr></thead>
    <tbody>${found.batches.map((/** @type {any} */ batch) => html`<tr key=${batch.entry}><td>${batch.gateway}</td><td>${batch.stream}</td><td class="number">${batch.epoch}</td>
      <td class="number">${batch.seq.toLocaleString("en")}</td><td class="hash">${batch.entry}</td></tr>`)}</tbody></table></div>
    ${!found.batches.length && html`<p class="note">The newest ${found.back + 1} health rows hold no batch of ${gatewayOf(tag)}; the proof below has the whole chain.</p>`}
    <div class="scroll"><table><caption>The way there</caption><thead><tr><th>result</th><th>as of (UTC)</th><th>position in the log</th><th>row (SHA-256)</th></tr></thead>
    <tbody>${steps.map(([name, row]) => html`<tr key=${name}><td>${name} ${row.subject}</td><td>${moment(row.as_of_us)}</td><td class="number">${row.position ?? "in a moment"}</td><td class="hash">${row.id}</td></tr>`)}</tbody></table></div>
    <p><${Proof} id=${id} what="var">Download the proof of this VaR<//> <${Proof} id=${found.healthy.id} what="health">Download the proof of the health<//></p>
    <p class="note">Check it anywhere: <code>qenergyz verify --recompute FILE</code></p>`;
}

export function Trail() {
  const { line, stream, asset, tag, proof } = place.value;
  const box = useRef(/** @type {HTMLElement|null} */ (null));
  const depth = [stream, asset, tag, proof].filter(Boolean).join("\n");
  useEffect(() => {
    box.current?.scrollIntoView({ block: "nearest" });
    box.current?.focus({ preventScroll: true });
  }, [depth]);
  if (!depth) return null;
  const own = stream ?? (asset && streamOf(asset));
  return html`<section class="trail" aria-label="Drill-down" tabindex="-1" ref=${box}><${Crumbs} />
    ${line && known(risk.value?.output.units[line]) && html`<p>${line} brings <strong>${whole(risk.value?.output.units[line])} ${risk.value?.output.currency}</strong> of the ES.</p>`}
    ${!asset && stream && html`<${OfStream} name=${stream} />`}
    ${asset && !tag && html`<${OfAsset} name=${asset} />`}
    ${tag && !proof && html`<${OfTag} name=${tag} />`}
    ${proof && own && tag && html`<${OfProof} id=${proof} stream=${own} tag=${tag} />`}</section>`;
}
