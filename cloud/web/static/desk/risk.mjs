// The figures of the book: VaR and ES with their split, where they come from, how they moved, what forwards could do about it.
// @ts-check
import { html } from "../vendor/core.mjs";
import { Plot, course } from "../ui/chart.mjs";
import { address, detail, forecasts, go, place, risk, streamOf, trend } from "./results.mjs";
import { NOTHING, clock, fine, known, month, percent, signed, whole } from "./words.mjs";

/** A link within the page: to a place that can be shared, without loading anything again. @param {any} properties */
export function To({ to, children, ...more }) {
  const follow = (/** @type {MouseEvent} */ event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    go(to);
  };
  return html`<a href=${address(to)} onClick=${follow} ...${more}>${children}</a>`;
}

/** A share of the largest amount as a bar: what is above zero to the right. @param {{ value: unknown, most: number }} properties */
export function Bar({ value, most }) {
  const length = known(value) && most > 0 ? Math.min(100, (100 * Math.abs(value)) / most) : 0;
  return html`<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
    <rect class=${known(value) && value < 0 ? "hollow" : "full"} x="0" y="1" width=${length} height="6" /></svg>`;
}

/** @param {unknown[]} values */
const largest = (values) => Math.max(0, ...values.filter(known).map(Math.abs));

export const basis = (/** @type {any} */ output) =>
  `${percent(output.level, output.level > 0.99 ? 2 : 0)} over ${output.days} days, loss against ${output.reference === "plan" ? "the plan" : "the mean"}, ${output.currency}`;

function Figure({ name, value, error, unit }) {
  return html`<div class="figure"><span class="muted">${name}</span><strong>${whole(value)}</strong>
    <span class="muted">${unit}${known(error) ? ` ± ${whole(error)}` : ""}</span></div>`;
}

const PARTS = [
  ["price", "price alone", "volumes at their mean"],
  ["volume", "volume alone", "prices at the forward"],
  ["joint", "joint", "both as they move together"],
  ["interaction", "interaction", "joint less the root of the sum of squares"],
];

function Split({ output }) {
  const rows = [...PARTS.map(([key, name, means]) => [name, means, output.split[key]]), ["data quality", "added by missing and stale tags, within the joint VaR", output.quality.add_on]];
  const most = largest(rows.map((row) => row[2]));
  return html`<table class="even"><caption>VaR by cause</caption>
    <thead><tr><th>part</th><th class="number">VaR [${output.currency}]</th><td class="drawn"></td></tr></thead>
    <tbody>${rows.map(([name, means, value]) => html`<tr key=${name}><td title=${means}>${name}</td>
      <td class="number">${whole(value)}</td><td class="drawn"><${Bar} value=${value} most=${most} /></td></tr>`)}</tbody></table>`;
}

const COMMITMENT = "commitment ";
/** Where a component leads: an asset's or a commitment's stream. @param {string} name */
function lead(name) {
  const stream = name.startsWith(COMMITMENT) ? name.slice(COMMITMENT.length) : streamOf(name);
  return stream && forecasts.value.some((found) => found.subject === stream) ? { line: name, stream } : null;
}

const MOST_LINES = 40;
/** Every line in an order that does not jump while figures change; of very many the largest, and what the others add up to. @param {any} output */
function lines(output) {
  const order = forecasts.value.flatMap((found) => found.output.units);
  const rank = new Map(order.map((name, at) => [name, at]));
  const all = /** @type {[string, number][]} */ (Object.entries(output.units));
  const size = (/** @type {[string, number]} */ part) => (part[0] === place.value.line ? Infinity : Math.abs(part[1]));
  const kept = all.length <= MOST_LINES ? all : [...all].sort((a, b) => size(b) - size(a)).slice(0, MOST_LINES);
  const shown = [...kept].sort((a, b) => (rank.get(a[0]) ?? Infinity) - (rank.get(b[0]) ?? Infinity) || a[0].localeCompare(b[0]));
  const rest = all.filter((part) => !kept.includes(part));
  return rest.length ? [...shown, [`${rest.length} others`, rest.reduce((sum, part) => sum + part[1], 0)]] : shown;
}

function Lines({ output }) {
  const parts = /** @type {[string, number][]} */ (lines(output));
  const most = largest(parts.map((part) => part[1]));
  return html`<table class="even"><caption>ES by unit; the lines add up to ES</caption>
    <thead><tr><th>line</th><th class="number">ES [${output.currency}]</th><td class="drawn"></td></tr></thead>
    <tbody>${parts.map(([name, value]) => {
      const to = lead(name);
      return html`<tr key=${name} aria-current=${place.value.line === name}><td>${to ? html`<${To} to=${to}>${name}<//>` : name}</td>
        <td class="number">${whole(value)}</td><td class="drawn"><${Bar} value=${value} most=${most} /></td></tr>`;
    })}
    <tr class="sum"><td>ES</td><td class="number">${whole(output.es)}</td><td class="drawn"></td></tr></tbody></table>`;
}

const coursed = course("joint VaR");

export function Risk() {
  const found = risk.value;
  if (!found) {
    return html`<section><h2>Risk</h2><p class="note">No figure yet. It appears as soon as the hub has an asset model, settings of the desk,
      deals, quotes, and samples from a gateway of the model.</p></section>`;
  }
  const output = found.output;
  const points = trend.value;
  return html`<section aria-label="Risk"><h2>Risk of book ${found.subject} <span class="muted">${basis(output)}</span></h2>
    <div class="figures">
      <${Figure} name="VaR" value=${output.var} error=${output.var_error} unit=${output.currency} />
      <${Figure} name="ES" value=${output.es} error=${output.es_error} unit=${output.currency} />
      <${Figure} name="expected P&L" value=${output.expected} unit=${output.currency} />
      <${Figure} name="plan" value=${output.plan} unit=${output.currency} />
    </div>
    <div class="thirds"><${Split} output=${output} /><${Lines} output=${output} />
      <div><p class="caption">Joint VaR since this page was opened [${output.currency}]</p>
        <${Plot} small make=${coursed} given=${columns(points)} label=${`joint VaR, now ${whole(output.split.joint)} ${output.currency}`} /></div></div>
    ${output.refused.length > 0 && html`<${Refused} rows=${output.refused} />`}</section>`;
}

let drawn = { points: /** @type {any} */ (null), columns: /** @type {number[][]} */ ([[], []]) };
/** The same columns for the same points, so that nothing is drawn again. @param {[number, number][]} points */
function columns(points) {
  if (drawn.points !== points) drawn = { points, columns: [points.map((point) => point[0]), points.map((point) => point[1])] };
  return drawn.columns;
}

function Refused({ rows }) {
  return html`<div class="refused"><h3 class="uncertain">▲ Not in these figures: ${rows.length} item${rows.length > 1 ? "s" : ""}</h3>
    <ul>${rows.map(([name, cause, told]) => html`<li key=${name + told}><strong>${name}</strong>: ${cause}${told && told !== cause ? html` <span class="muted">(${told})</span>` : ""}</li>`)}</ul></div>`;
}

function Volumes({ found, output }) {
  return html`<table class="even"><thead><tr><th>product</th><th>month</th><th class="number">forward volume</th></tr></thead>
    <tbody>${found.volumes.map(([product, at, volume]) => html`<tr key=${product + at}><td>${product}</td>
      <td>${known(output.months_us[at]) ? month(output.months_us[at]) : NOTHING}</td>
      <td class="number">${known(volume) ? (volume < 0 ? "sell " : "buy ") + whole(Math.abs(volume)) : NOTHING} ${unitOf(product)}</td></tr>`)}</tbody></table>`;
}

const unitOf = (/** @type {string} */ product) => forecasts.value.find((found) => found.output.product === product)?.output.unit ?? "";

function Proposal({ name, found, output }) {
  if (!found) return html`<div><h3>${name}</h3><p class="note">No price moves, so there is nothing to hedge with.</p></div>`;
  return html`<div><h3>${name}</h3><p>VaR <strong>${whole(found.var_before)}</strong> becomes <strong>${whole(found.var_after)}</strong> ${output.currency};
    ES <strong>${whole(found.es_before)}</strong> becomes <strong>${whole(found.es_after)}</strong> ${output.currency}, against the mean.</p>
    <p class="statement">${found.statement[0].toUpperCase() + found.statement.slice(1)}.</p>
    <details open=${found.volumes.length <= 4}><summary>Volumes by month</summary><${Volumes} found=${found} output=${output} /></details></div>`;
}

export function Hedge() {
  const output = risk.value?.output;
  const deeper = detail.value?.output.cvar_hedge;
  return output && html`<section aria-label="Hedge"><h2>Hedge <span class="muted">proposed, nothing is traded</span></h2>
    <div class="halves"><${Proposal} name="Least variance" found=${output.hedge} output=${output} />
      ${deeper && html`<${Proposal} name=${`Least ES, as of ${clock(detail.value?.as_of_us)}`} found=${deeper} output=${output} />`}</div></section>`;
}

function Deals({ output }) {
  return html`<table class="even"><caption>ES by deal</caption><thead><tr><th>deal</th><th class="number">ES [${output.currency}]</th></tr></thead>
    <tbody>${output.deals.map(([name, value]) => html`<tr key=${name}><td>${name}</td><td class="number">${whole(value)}</td></tr>`)}</tbody></table>`;
}

function Sensitivities({ output }) {
  const names = { rho_PV: "price-volume correlation", J: "price jump at an outage" };
  return html`<table class="even"><caption>If an assumption changes</caption>
    <thead><tr><th>assumption</th><th class="number">value</th><th class="number">VaR [${output.currency}]</th><th class="number">ES [${output.currency}]</th></tr></thead>
    <tbody>${output.sensitivities.map(([name, value, var_, es]) => html`<tr key=${name + value}><td>${names[name] ?? name}</td>
      <td class="number">${fine(value)}</td><td class="number">${whole(var_)}</td><td class="number">${whole(es)}</td></tr>`)}</tbody></table>`;
}

function Repair({ found, currency }) {
  return html`<table class="even"><caption>Change by a repair now, and of VaR by wear, as of ${clock(found.as_of_us)}</caption>
    <thead><tr><th>unit</th><th class="number">VaR [${currency}]</th><th class="number">ES [${currency}]</th><th class="number">per 0.1 wear</th></tr></thead>
    <tbody>${found.output.health.map(([unit, step, var_, es]) => html`<tr key=${unit}><td>${unit}</td><td class="number">${signed(var_)}</td>
      <td class="number">${signed(es)}</td><td class="number">${signed(known(step) ? step / 10 : step)}</td></tr>`)}</tbody></table>`;
}

function Stresses({ found, currency }) {
  return html`<table class="even"><caption>Named stresses, loss against the plan</caption><thead><tr><th>scenario</th><th class="number">loss [${currency}]</th></tr></thead>
    <tbody>${found.output.stress.map(([name, loss]) => html`<tr key=${name}><td>${name}</td><td class="number">${whole(loss)}</td></tr>`)}</tbody></table>`;
}

export function Details() {
  const output = risk.value?.output;
  if (!output) return null;
  const found = detail.value;
  return html`<section aria-label="More about the risk"><h2>More about the risk</h2><div class="halves">
    <${Deals} output=${output} /><${Sensitivities} output=${output} />
    ${found && html`<${Repair} found=${found} currency=${output.currency} /><${Stresses} found=${found} currency=${output.currency} />`}</div>
    <p class="note">Sampling errors are one standard error. Data quality is the VaR as it is less the VaR with every tag fresh and good
      (${whole(output.quality.var_certain)} ${output.currency}). ${output.outside ? `${output.outside} deliveries lie outside the horizon.` : ""}</p></section>`;
}
