// The page of risk: what the book may lose, why, how that moved, what forwards could do about it; and the way down to the signed batches.
// @ts-check
import { html, useEffect, useState } from "../vendor/core.mjs";
import { may, now } from "../hub.mjs";
import { Bar, Drawn, Signed, State, Step, detail, forecasts, healths, held_us, largest, latency, problem, risk, state, streamOf, trail, trend } from "../trade/book.mjs";
import { Empty, Figure, Freshness, Table, useRead } from "../ui.mjs";
import { Plain, clock, fine, fixed2, known, lasting, moment, percent, t, whole } from "../words.mjs";

const MOST_LINES = 40;
const COMMITMENT = "commitment ";
const CAUSE_MS = 5_000;

/** Confidence, horizon, reference and currency of the figures. @param {any} output */
const basis = (output) => {
  const given = { level: percent(output.level), n: output.days, currency: output.currency };
  if (output.reference === "plan") return t("{level} over {n} day, loss against the plan, {currency}|{level} over {n} days, loss against the plan, {currency}", given);
  return t("{level} over {n} day, loss against the mean, {currency}|{level} over {n} days, loss against the mean, {currency}", given);
};

// said: price alone, volume alone, joint, interaction, data quality
// said: volumes at their mean, prices at the forward, both as they move together, joint less the root of the sum of squares
const PARTS = [
  ["price", "price alone", "volumes at their mean"],
  ["volume", "volume alone", "prices at the forward"],
  ["joint", "joint", "both as they move together"],
  ["interaction", "interaction", "joint less the root of the sum of squares"],
];

function Split({ output }) {
  const rows = [...PARTS.map(([key, name, means]) => [t(name), t(means), output.split[key]]), [t("data quality"), t("what missing and stale tags add within the joint VaR"), output.quality.add_on]];
  const most = largest(rows.map((row) => row[2]));
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${t("VaR by cause")}><table><caption>${t("VaR by cause")}</caption>
    <thead><tr><th scope="col">${t("part")}</th><th scope="col" class="number">VaR <${Plain} class="unit">[${output.currency}]<//></th><td class="drawn"></td></tr></thead>
    <tbody>${rows.map(([name, means, value]) => html`<tr key=${name}><th scope="row" title=${means}>${name}</th><td class="number"><${Plain}>${whole(value)}<//></td><td class="drawn"><${Bar} value=${value} most=${most} /></td></tr>`)}</tbody></table></div>`;
}

/** Where a component leads: an asset's or a commitment's stream. @param {string} name */
function lead(name) {
  const stream = name.startsWith(COMMITMENT) ? name.slice(COMMITMENT.length) : streamOf(name);
  return stream && forecasts.value.some((found) => found.subject === stream) ? { line: name, stream } : null;
}

/** Every line in an order that does not jump while figures change; of very many the largest, and what the others add up to. @param {any} output */
function lines(output) {
  const rank = new Map(forecasts.value.flatMap((found) => found.output.units).map((name, at) => [name, at]));
  const all = /** @type {[string, number][]} */ (Object.entries(output.units));
  const size = (/** @type {[string, number]} */ part) => (part[0] === trail.value.line ? Infinity : Math.abs(part[1]));
  const kept = all.length <= MOST_LINES ? all : [...all].sort((a, b) => size(b) - size(a)).slice(0, MOST_LINES);
  const shown = [...kept].sort((a, b) => (rank.get(a[0]) ?? Infinity) - (rank.get(b[0]) ?? Infinity) || a[0].localeCompare(b[0]));
  const rest = all.filter((part) => !kept.includes(part));
  return /** @type {[string, number][]} */ (rest.length ? [...shown, [t("{n} other|{n} others", { n: rest.length }), rest.reduce((sum, part) => sum + part[1], 0)]] : shown);
}

function Lines({ output }) {
  const parts = lines(output);
  const most = largest(parts.map((part) => part[1]));
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${t("ES by unit")}><table><caption>${t("ES by unit; the lines add up to ES")}</caption>
    <thead><tr><th scope="col">${t("line")}</th><th scope="col" class="number">ES <${Plain} class="unit">[${output.currency}]<//></th><td class="drawn"></td></tr></thead>
    <tbody>${parts.map(([name, value]) => {
      const to = lead(name);
      return html`<tr key=${name} aria-current=${trail.value.line === name ? "true" : undefined}><th scope="row">${to ? html`<${Step} to=${to}><${Plain}>${name}<//><//>` : html`<${Plain}>${name}<//>`}</th>
        <td class="number"><${Plain}>${whole(value)}<//></td><td class="drawn"><${Bar} value=${value} most=${most} /></td></tr>`;
    })}<tr class="sum"><th scope="row">ES</th><td class="number"><${Plain}>${whole(output.es)}<//></td><td class="drawn"></td></tr></tbody></table></div>`;
}

let drawn = { points: /** @type {any} */ (null), columns: /** @type {number[][]} */ ([[], []]) };
/** The same columns for the same points, so that nothing is drawn again. @param {[number, number][]} points */
function columns(points) {
  if (drawn.points !== points) drawn = { points, columns: [points.map((point) => point[0]), points.map((point) => point[1])] };
  return drawn.columns;
}

function Refused({ rows }) {
  return html`<section class="refused" aria-label=${t("Not in these figures")}><h3 class="uncertain">▲ ${t("Not in these figures: {n} item|Not in these figures: {n} items", { n: rows.length })}</h3>
    <ul>${rows.map(([name, cause, told]) => html`<li key=${name + told}><strong><${Plain}>${name}<//></strong>: <${Plain}>${cause}${told && told !== cause ? ` (${told})` : ""}<//></li>`)}</ul></section>`;
}

/** When the figures are of, when they were last known to hold, and how long a sensor's value took to get into them. */
function Standing() {
  const found = risk.value;
  const late = state.value === "DELAYED" || state.value === "WAITING";
  const cause = useRead(async () => {
    if (!late) return "";
    const told = await fetch("/health").then((reply) => reply.json());
    return Object.values(told.components ?? {}).map((/** @type {any} */ one) => one.cause).filter(Boolean).join("; ");
  }, [late], CAUSE_MS).value;
  const why = [problem.value, late ? cause : ""].filter(Boolean).join("; ");
  return html`<p class="stand"><${Freshness} state=${state.value} />${" "}${found && html`<span class="muted">${t("VaR of {moment}, known to hold {age} ago", { moment: moment(found.as_of_us), age: lasting(now.value / 1e3 - (held_us.value ?? 0) / 1e6) })};${" "}
    ${t("sensor to VaR")} <strong><${Plain}>${latency.value === null ? "–" : t("{v} s", { v: fixed2(latency.value) })}<//></strong>; ${t("row")} <code dir="ltr" title=${found.id}>${found.id.slice(0, 12)}</code></span>`}
    ${why && html` <span class="uncertain">▲ <${Plain}>${why}<//></span>`}</p>`;
}

function Figures({ output }) {
  const error = (/** @type {number|null} */ value) => (known(value) ? html`<${Plain}>± ${whole(value)}<//>` : "");
  return html`<div class="figures"><${Figure} label="VaR" value=${whole(output.var)} unit=${output.currency} note=${error(output.var_error)} />
    <${Figure} label="ES" value=${whole(output.es)} unit=${output.currency} note=${error(output.es_error)} />
    <${Figure} label=${t("expected P&L")} value=${html`<${Signed} value=${output.expected} />`} unit=${output.currency} />
    <${Figure} label=${t("plan")} value=${html`<${Signed} value=${output.plan} />`} unit=${output.currency} /></div>`;
}

const unitOf = (/** @type {string} */ product) => forecasts.value.find((found) => found.output.product === product)?.output.unit ?? "";
const monthOf = (/** @type {number|undefined} */ us) => (known(us) ? new Date(/** @type {number} */ (us) / 1e3).toISOString().slice(0, 7) : "–");

function Proposal({ name, found, output }) {
  if (!found) return html`<div><h3>${name}</h3><p class="note">${t("No price moves, so there is nothing to hedge with.")}</p></div>`;
  const step = (/** @type {number} */ from, /** @type {number} */ to) => html`<${Plain}><strong>${whole(from)}</strong> → <strong>${whole(to)}</strong> ${output.currency}<//>`;
  return html`<div><h3>${name}</h3><p>VaR ${step(found.var_before, found.var_after)}; ES ${step(found.es_before, found.es_after)} (${t("against the mean")})</p>
    <p lang="en" dir="ltr">${found.statement[0].toUpperCase() + found.statement.slice(1)}.</p>
    <details open=${found.volumes.length <= 4}><summary>${t("Volumes by month")}</summary><table><thead><tr><th scope="col">${t("product")}</th><th scope="col">${t("month")}</th><th scope="col" class="number">${t("forward volume")}</th></tr></thead>
    <tbody>${found.volumes.map(([product, at, volume]) => html`<tr key=${product + at}><td><${Plain}>${product}<//></td><td><${Plain}>${monthOf(output.months_us[at])}<//></td>
      <td class="number">${known(volume) ? html`${volume < 0 ? t("sell") : t("buy")} <${Plain}>${whole(Math.abs(volume))} ${unitOf(product)}<//>` : "–"}</td></tr>`)}</tbody></table></details></div>`;
}

function Hedge({ output }) {
  const deeper = detail.value?.output.cvar_hedge;
  return html`<section aria-label=${t("Hedge")}><h2>${t("Hedge")} <small>${t("proposed, nothing is traded")}</small></h2><div class="halves">
    <${Proposal} name=${t("Least variance")} found=${output.hedge} output=${output} />
    ${deeper && html`<${Proposal} name=${t("Least ES, as of {clock}", { clock: clock(detail.value?.as_of_us) })} found=${deeper} output=${output} />`}</div></section>`;
}

/** A table of names and amounts. @param {{ caption: string, first: string, heads: string[], rows: any[][] }} properties */
function Amounts({ caption, first, heads, rows }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${caption}><table><caption>${caption}</caption><thead><tr><th scope="col">${first}</th>${heads.map((head) => html`<th key=${head} scope="col" class="number">${head}</th>`)}</tr></thead>
    <tbody>${rows.map(([name, ...cells], at) => html`<tr key=${at}><th scope="row"><${Plain}>${name}<//></th>${cells.map((cell, n) => html`<td key=${n} class="number">${cell}</td>`)}</tr>`)}</tbody></table></div>`;
}

// said: price-volume correlation, price jump at an outage
const ASSUMPTIONS = { rho_PV: "price-volume correlation", J: "price jump at an outage" };

function Details({ output }) {
  const found = detail.value;
  const money = (/** @type {string} */ text) => `${text} [${output.currency}]`;
  const plain = (/** @type {any} */ value) => html`<${Plain}>${value}<//>`;
  const step = (/** @type {any} */ value) => (known(value) ? value / 10 : value);
  return html`<section aria-label=${t("More about the risk")}><h2>${t("More about the risk")}</h2><div class="halves">
    <${Amounts} caption=${t("ES by deal")} first=${t("deal")} heads=${[money("ES")]} rows=${output.deals.map(([name, value]) => [name, plain(whole(value))])} />
    <${Amounts} caption=${t("If an assumption changes")} first=${t("assumption")} heads=${[t("value"), money("VaR"), money("ES")]}
      rows=${output.sensitivities.map(([name, value, var_, es]) => [ASSUMPTIONS[/** @type {keyof typeof ASSUMPTIONS} */ (name)] ? t(ASSUMPTIONS[/** @type {keyof typeof ASSUMPTIONS} */ (name)]) : name, plain(fine(value)), plain(whole(var_)), plain(whole(es))])} />
    ${found && html`<${Amounts} caption=${t("Change by a repair now, and of VaR by wear, as of {clock}", { clock: clock(found.as_of_us) })} first=${t("unit")} heads=${[money("VaR"), money("ES"), t("per 0.1 wear")]}
      rows=${found.output.health.map(([unit, by, var_, es]) => [unit, ...[var_, es, step(by)].map((value) => plain(known(value) && value >= 0.5 ? `+${whole(value)}` : whole(value)))])} />
    <${Amounts} caption=${t("Named stresses, loss against the plan")} first=${t("scenario")} heads=${[t("loss [{currency}]", { currency: output.currency })]} rows=${found.output.stress.map(([name, loss]) => [name, plain(whole(loss))])} />`}</div>
    <p class="note">${t("Sampling errors are one standard error. Data quality is the VaR as it is less the VaR with every tag fresh and good ({certain}).", { certain: `${whole(output.quality.var_certain)} ${output.currency}` })}
      ${output.outside ? t("{n} delivery lies outside the horizon.|{n} deliveries lie outside the horizon.", { n: output.outside }) : ""}</p></section>`;
}

const gap = (/** @type {any} */ health) => (health.state === "good" ? "" : health.reasons.slice(0, 3).map((/** @type {any} */ [role, share]) => `${role.replaceAll("_", " ")} ${percent(share)}`).join(", "));
const COLUMNS = () => [
  { name: "name", title: t("asset"), value: (/** @type {any} */ one) => one.name, show: (/** @type {any} */ one) => html`<${Step} to=${{ stream: streamOf(one.name), asset: one.name }}><${Plain}>${one.name}<//><//>` },
  { name: "site", title: t("site"), wide: true, value: (/** @type {any} */ one) => one.site },
  { name: "state", title: t("state"), value: (/** @type {any} */ one) => ["critical", "warning", "watch", "not evaluated", "good"].indexOf(one.state), show: (/** @type {any} */ one) => html`<${State} health=${one} />` },
  { name: "health", title: t("health"), number: true, value: (/** @type {any} */ one) => one.index, show: (/** @type {any} */ one) => html`<${Plain}>${fixed2(one.index)} (${fixed2(one.low)}–${fixed2(one.high)})<//>` },
  { name: "reasons", title: t("reasons"), value: gap },
  { name: "trust", title: t("trust in data"), number: true, wide: true, value: (/** @type {any} */ one) => one.trust, show: (/** @type {any} */ one) => percent(one.trust) },
  { name: "stale", title: t("stale tags"), number: true, wide: true, value: (/** @type {any} */ one) => one.stale.length, show: (/** @type {any} */ one) => html`<span class=${one.stale.length ? "uncertain" : "muted"}>${one.stale.length || t("none")}</span>` },
  { name: "at", title: t("as of"), wide: true, value: (/** @type {any} */ one) => clock(one.as_of_us) },
];

/** The drill-down has its own module, which is fetched with the first step. */
function Trail() {
  const [made, keep] = useState(/** @type {any} */ (null));
  const deep = Object.keys(trail.value).length > 0;
  useEffect(() => { if (deep && !made) import("../trade/trail.mjs").then(keep); }, [deep]);
  return deep && made ? html`<${made.Trail} />` : null;
}

export function Page() {
  const output = risk.value?.output;
  return html`<h1>${t("Risk")} ${risk.value && html`<small class="muted"><${Plain}>${risk.value.subject}<//> · ${basis(output)}</small>`}</h1><${Standing} />
    ${output ? html`<${Figures} output=${output} /><div class="thirds"><${Split} output=${output} /><${Lines} output=${output} />
      <div><p class="caption">${t("Joint VaR since the pages were opened")} <${Plain}>[${output.currency}]<//></p><${Drawn} small make="course" of=${[t("joint VaR")]} given=${columns(trend.value)} label=${t("joint VaR, now {v}", { v: `${whole(output.split.joint)} ${output.currency}` })} /></div></div>
      ${output.refused.length > 0 && html`<${Refused} rows=${output.refused} />`}` : html`<${Empty} next=${may("read:deals") && t("It appears as soon as the hub has an asset model, settings of the desk, deals, quotes, and samples from a gateway of the model.")}>${t("No figure yet.")}<//>`}
    <${Trail} />
    ${healths.value.length > 0 && html`<${Table} name="assets" title=${t("Assets behind it")} columns=${COLUMNS()} rows=${healths.value} id=${(/** @type {any} */ one) => `${one.site} ${one.name}`} sort="state" height=${320} />`}
    ${output && html`<${Hedge} output=${output} /><${Details} output=${output} />`}`;
}
