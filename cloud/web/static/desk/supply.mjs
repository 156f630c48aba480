// What the assets will deliver and what is owed: forecast bands beside commitments, health of the assets, positions by month.
// @ts-check
import { computed, html } from "../vendor/core.mjs";
import { Plot, band } from "../ui/chart.mjs";
import { forecasts, healths, place, positions, risk, streamOf } from "./results.mjs";
import { To } from "./risk.mjs";
import { clock, day, exact, exactly, fixed, known, month, percent, plus, rounded, whole } from "./words.mjs";

const DAY_S = 86_400;
const DAY_US = DAY_S * 1e6;
const HOURS_US = 7_200e6; // by which a change of clocks makes a day or month longer, with an hour to spare
const MOST_MONTHS = 60;
const makers = new Map();
/** One maker per unit, so that a chart lives as long as its stream. @param {string} unit */
const bandOf = (unit) => makers.get(unit) ?? makers.set(unit, band(unit)).get(unit);

const drawn = new WeakMap();
/** Columns of the band: each day's quantiles, and what is owed on it where the figures know. @param {any} found @param {any} valued */
function columns(found, valued) {
  const known_ = drawn.get(found);
  if (known_?.valued === valued) return known_.columns;
  const { start_us, quantiles, nameplate } = found.output;
  const days = nameplate.map((/** @type {number} */ _, /** @type {number} */ at) => start_us / 1e6 + at * DAY_S);
  const owed = valued?.output.committed[found.subject];
  const shift = valued ? Math.round((start_us - valued.as_of_us + (valued.as_of_us % DAY_US)) / DAY_US) : 0;
  const made = [days, quantiles[4], quantiles[0], quantiles[2], days.map((/** @type {number} */ _, /** @type {number} */ at) => owed?.[at + shift] ?? null), nameplate];
  drawn.set(found, { valued, columns: made });
  return made;
}

const sum = (/** @type {number[]|undefined} */ values) => values?.reduce((total, value) => total + value, 0);

export function Stream({ found }) {
  const { total, unit, product, place: where, nameplate } = found.output;
  const owed = sum(risk.value?.output.committed[found.subject]);
  const short = known(owed) ? owed - total.p5 : null;
  return html`<div class="stream"><h3><${To} to=${{ stream: found.subject }}>${found.subject}<//> <span class="muted">${product} at ${where}, ${nameplate.length} days from ${day(found.output.start_us)}</span></h3>
    <${Plot} make=${bandOf(`${unit}/d`)} given=${columns(found, risk.value)} label=${`volume per day of ${found.subject}, 5 to 95 %`} />
    <dl class="facts"><div><dt>5 %</dt><dd>${whole(total.p5)} ${unit}</dd></div><div><dt>median</dt><dd>${whole(total.p50)} ${unit}</dd></div>
      <div><dt>95 %</dt><dd>${whole(total.p95)} ${unit}</dd></div><div><dt>committed</dt><dd>${whole(owed)} ${known(owed) ? unit : ""}</dd></div>
      <div><dt>nameplate</dt><dd>${whole(sum(nameplate))} ${unit}</dd></div>
      <div><dt>short at 5 %</dt><dd class=${known(short) && short > 0 ? "uncertain" : ""}>${known(short) && short <= 0 ? "nothing" : `${whole(short)} ${known(short) ? unit : ""}`}</dd></div></dl></div>`;
}

export function Supply() {
  return html`<section aria-label="Supply"><h2>Supply <span class="muted">forecast volume per day beside what is owed</span></h2>
    ${forecasts.value.length ? html`<div class="streams">${forecasts.value.map((found) => html`<${Stream} key=${found.subject} found=${found} />`)}</div>` : html`<p class="note">No forecast yet.</p>`}</section>`;
}

const LEVELS = { good: ["", "muted"], watch: ["▼ ", "uncertain"], warning: ["▲ ", "uncertain"], critical: ["■ ", "bad"] };
const level = (/** @type {string} */ name) => LEVELS[/** @type {keyof typeof LEVELS} */ (name)] ?? ["◇ ", "muted"];

/** @param {{ health: any }} properties */
export function State({ health }) {
  const [mark, tone] = level(health.state);
  return html`<span class=${tone}>${mark}${health.state}</span>`;
}

/** Index as a mark within its interval, 0 to 1. @param {{ health: any }} properties */
export function Gauge({ health }) {
  const at = (/** @type {unknown} */ value) => (known(value) ? 100 * Math.min(1, Math.max(0, value)) : 0);
  return html`<svg class="gauge" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"><rect class="scale" x="0" y="4" width="100" height="2" />
    <rect class="span" x=${at(health.low)} y="2" width=${Math.max(0.5, at(health.high) - at(health.low))} height="6" />
    ${known(health.index) && html`<rect class="mark" x=${Math.min(98, at(health.index) - 1)} y="0" width="2" height="10" />`}</svg>`;
}

const reasons = (/** @type {any} */ health) =>
  health.state === "good" ? "" : health.reasons.slice(0, 3).map((/** @type {any} */ [role, share]) => `${role.replaceAll("_", " ")} ${percent(share)}`).join(", ");

const MOST_ASSETS = 200;
const WORST_FIRST = ["critical", "warning", "watch", "not evaluated", "good"];
/** Of very many assets those that are worst. */
function shownAssets() {
  const all = healths.value;
  return all.length <= MOST_ASSETS ? all : [...all].sort((a, b) => WORST_FIRST.indexOf(a.state) - WORST_FIRST.indexOf(b.state)).slice(0, MOST_ASSETS);
}

export function Assets() {
  const count = healths.value.length;
  return html`<section aria-label="Assets"><h2>Assets <span class="muted">health 0 to 1, in an interval that widens as data is missing</span></h2>
    ${count ? html`<div class="scroll"><table class="assets"><thead><tr><th>asset</th><th class="wide">site</th><th>state</th><th class="number">health</th>
      <td class="drawn wide"></td><th>reasons</th><th class="number wide">trust in data</th><th class="wide">stale tags</th><th class="wide">as of (UTC)</th></tr></thead>
    <tbody>${shownAssets().map((health) => html`<tr key=${health.site + health.name} aria-current=${place.value.asset === health.name}>
      <td><${To} to=${{ stream: streamOf(health.name), asset: health.name }}>${health.name}<//></td><td class="wide muted">${health.site}</td>
      <td><${State} health=${health} /></td><td class="number">${fixed(health.index)} <span class="muted">(${fixed(health.low)} to ${fixed(health.high)})</span></td>
      <td class="drawn wide"><${Gauge} health=${health} /></td><td class="long">${reasons(health)}</td><td class="number wide">${percent(health.trust)}</td>
      <td class="wide ${health.stale.length ? "uncertain" : "muted"}">${health.stale.length || "none"}</td><td class="wide muted">${clock(health.as_of_us)}</td></tr>`)}</tbody></table></div>
      ${count > MOST_ASSETS && html`<p class="note">The ${MOST_ASSETS} worst of ${whole(count)} assets; all are at /v1/results.</p>`}` : html`<p class="note">No health yet.</p>`}</section>`;
}

const COLUMNS = ["bought", "sold", "net"];
const ZERO = exact("0");

/**
 * Expected production per product and place of the desk's book, as rows of one day each; it holds for these days and for no others.
 * @param {any[]} found forecasts
 * @param {string} book
 */
export const produced = (found, book) => found.flatMap(({ output }) => output.expected.map((/** @type {number} */ volume, /** @type {number} */ at) => {
  const start_us = output.start_us + at * DAY_US;
  return { book, product: output.product, place: output.place, unit: output.unit, start_us, end_us: start_us + DAY_US, bought: "0", sold: "0", net: "0", foreseen: exact(volume.toFixed(3)) };
}));

/**
 * Buckets added up to months of UTC by their middle; a bucket longer than a month keeps its own line. A month that the forecast covers
 * in part is two lines, so that production stands beside the sales of the same days; outside it production is not known.
 * @param {any[]} booked rows of positions
 * @param {any[]} foreseen rows of `produced`
 */
export function months(booked, foreseen) {
  const covers = new Map();
  for (const row of foreseen) {
    const [low, high] = covers.get(where(row)) ?? [Infinity, -Infinity];
    covers.set(where(row), [Math.min(low, row.start_us), Math.max(high, row.end_us)]);
  }
  const found = new Map();
  for (const row of [...booked, ...foreseen]) {
    const middle = (row.start_us + row.end_us) / 2;
    const [low, high] = covers.get(where(row)) ?? [-Infinity, Infinity];
    const length = row.end_us - row.start_us;
    const covered = length > DAY_US + HOURS_US ? low <= row.start_us && row.end_us <= high : low <= middle && middle < high;
    const long = length > 31 * DAY_US + HOURS_US;
    const period = long ? `${day(row.start_us)} to ${day(row.end_us - 1)}` : month(middle);
    const name = [where(row), period].join("\n");
    const key = `${name}\n${covered ? 1 : middle < low ? 0 : 2}`;
    const line = found.get(key) ?? { ...row, key, name, period, middle, bought: ZERO, sold: ZERO, net: ZERO, expected: covered ? ZERO : null };
    for (const column of COLUMNS) line[column] = plus(line[column], exact(row[column]));
    if (covered) line.expected = plus(line.expected, row.foreseen ?? (covers.has(where(row)) ? ZERO : exact(row.expected)));
    line.start_us = Math.min(line.start_us, row.start_us);
    line.end_us = Math.max(line.end_us, row.end_us);
    found.set(key, line);
  }
  return [...found.values()].sort((a, b) => where(a).localeCompare(where(b)) || a.middle - b.middle);
}

const where = (/** @type {any} */ row) => [row.book, row.product, row.place, row.unit].join("\n");

const lines = computed(() => {
  const rows = months(positions.value?.positions ?? [], produced(forecasts.value, risk.value?.subject ?? ""));
  const halves = new Set(rows.filter((row, at) => rows[at - 1]?.name === row.name).map((row) => row.name));
  return rows.map((row) => (halves.has(row.name) ? { ...row, days: `${day(row.start_us).slice(8)} to ${day(row.end_us - 1).slice(8)}` } : row));
});

function Line({ row }) {
  const open = plus(row.net, row.expected);
  return html`<tr><td>${row.period}${row.days && html` <span class="muted">${row.days}</span>`}</td><td>${row.product}</td><td class="wide">${row.place}</td><td class="wide">${row.book}</td>
    <td class="number">${exactly(row.bought)}</td><td class="number">${exactly(row.sold)}</td><td class="number">${exactly(row.net)}</td>
    <td class="number ${row.expected ? "" : "muted"}" title=${exactly(row.expected)}>${rounded(row.expected)}</td>
    <td class="number ${open ? "" : "muted"}" title=${exactly(open)}>${rounded(open)}</td><td>${row.unit}</td></tr>`;
}

export function Positions() {
  const given = positions.value;
  if (!given) return html`<section aria-label="Positions"><h2>Positions</h2><p class="note">Not read yet.</p></section>`;
  const rows = lines.value;
  return html`<section aria-label="Positions"><h2>Positions <span class="muted">by delivery month (UTC); plus is long; open is net with expected production, where the forecast reaches</span></h2>
    ${rows.length ? html`<div class="scroll"><table><thead><tr><th>month</th><th>product</th><th class="wide">place</th><th class="wide">book</th><th class="number">bought</th><th class="number">sold</th>
      <th class="number">net</th><th class="number">expected</th><th class="number">open</th><th>unit</th></tr></thead>
    <tbody>${rows.slice(0, MOST_MONTHS).map((row) => html`<${Line} key=${row.key} row=${row} />`)}</tbody></table></div>
      ${rows.length > MOST_MONTHS && html`<p class="note">The first ${MOST_MONTHS} of ${rows.length} lines; all are at /v1/positions.</p>`}` : html`<p class="note">No deals, and no production is expected.</p>`}
    ${given.faults?.length > 0 && html`<ul class="refused">${given.faults.map((/** @type {any} */ fault) => html`<li key=${fault.deal}><span class="uncertain">▲</span> <strong>${fault.deal}</strong> is left out: ${fault.cause}${fault.detail ? `: ${fault.detail}` : ""}</li>`)}</ul>`}</section>`;
}
