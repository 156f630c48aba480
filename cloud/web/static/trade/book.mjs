// What the pages of the desk have in common: the newest results with what belongs to them, rows of evidence, and small drawings.
// The results come by the stream (hub.mjs); nothing here asks the hub for them.
// Also volumes: decimals that stay exact (text, added up as whole numbers, never floating point), and positions by delivery month, with expected
// production beside the sales of the same days, as lines and as a matrix of product, place and month.
// @ts-check
import { computed, effect, html, signal, useEffect, useState } from "../vendor/core.mjs";
import { connected, get, listen, model, now, results, tagByName, tags } from "../hub.mjs";
import { To, onward, place } from "../place.mjs";
import { Plain, fine, fixed2, known, t, whole } from "../words.mjs";

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

const NOTHING = fine(null);
const DAY_US = 86_400e6;
const HOURS_US = 7_200e6; // by which a change of clocks makes a day or month longer, with an hour to spare
const COLUMNS = ["bought", "sold", "net"];

/** @typedef {{ digits: bigint, places: number }} Exact   digits / 10 ** places */

/** "-12.50", "1E+3" as an exact number; null for what is none. @param {unknown} text @returns {Exact|null} */
export function exact(text) {
  const found = /^([+-]?)(\d+)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?$/.exec(String(text));
  if (!found) return null;
  const [, sign, integer, fraction = "", exponent = "0"] = found;
  const digits = BigInt(`${sign === "-" ? "-" : ""}${integer}${fraction}`);
  const places = fraction.length - Number(exponent);
  return places >= 0 ? { digits, places } : { digits: digits * 10n ** BigInt(-places), places: 0 };
}

/** @param {Exact|null} one @param {Exact|null} two @returns {Exact|null} */
export function plus(one, two) {
  if (!one || !two) return null;
  const places = Math.max(one.places, two.places);
  const scaled = (/** @type {Exact} */ value) => value.digits * 10n ** BigInt(places - value.places);
  return { digits: scaled(one) + scaled(two), places };
}

/** Every digit, thousands separated, zeros at the end left out. @param {Exact|null} value */
export function exactly(value) {
  if (!value) return NOTHING;
  const text = String(value.digits < 0n ? -value.digits : value.digits).padStart(value.places + 1, "0");
  const cut = text.length - value.places;
  const fraction = text.slice(cut).replace(/0+$/, "");
  return `${value.digits < 0n ? "-" : ""}${BigInt(text.slice(0, cut)).toLocaleString("en")}${fraction && `.${fraction}`}`;
}

/** Rounded to a whole number, half away from zero: for sums that hold an estimate. @param {Exact|null} value */
export function rounded(value) {
  if (!value) return NOTHING;
  const unit = 10n ** BigInt(value.places);
  const size = ((value.digits < 0n ? -value.digits : value.digits) * 2n + unit) / (2n * unit);
  return exactly({ digits: value.digits < 0n ? -size : size, places: 0 });
}

/** For sorting and for CSV: a number where it is exactly that, else the text. @param {Exact|null} value */
export function cell(value) {
  if (!value) return null;
  const text = exactly(value).replaceAll(",", "");
  return Math.abs(Number(text)) <= Number.MAX_SAFE_INTEGER && String(Number(text)) === text ? Number(text) : text;
}

const ZERO = exact("0");
const day = (/** @type {number} */ us) => new Date(us / 1e3).toISOString().slice(0, 10); // delivery periods are of UTC
const month = (/** @type {number} */ us) => day(us).slice(0, 7);
const where = (/** @type {any} */ row) => [row.book, row.product, row.place, row.unit].join("\n");

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
  for (const row of [...booked, ...foreseen]) add(found, covers, row);
  const lines = [...found.values()].sort((a, b) => where(a).localeCompare(where(b)) || a.middle - b.middle);
  const halves = new Set(lines.filter((line, at) => lines[at - 1]?.name === line.name).map((line) => line.name));
  return lines.map((line) => ({ ...line, days: halves.has(line.name) ? `${day(line.start_us).slice(8)}–${day(line.end_us - 1).slice(8)}` : "", open: plus(line.net, line.expected) }));
}

/** @param {Map<string, any>} found @param {Map<string, [number, number]>} covers @param {any} row */
function add(found, covers, row) {
  const middle = (row.start_us + row.end_us) / 2;
  const [low, high] = covers.get(where(row)) ?? [-Infinity, Infinity];
  const length = row.end_us - row.start_us;
  const covered = length > DAY_US + HOURS_US ? low <= row.start_us && row.end_us <= high : low <= middle && middle < high;
  const period = length > 31 * DAY_US + HOURS_US ? `${day(row.start_us)} – ${day(row.end_us - 1)}` : month(middle);
  const name = [where(row), period].join("\n");
  const key = `${name}\n${covered ? 1 : middle < low ? 0 : 2}`;
  const line = found.get(key) ?? { ...row, key, name, period, middle, bought: ZERO, sold: ZERO, net: ZERO, expected: covered ? ZERO : null };
  for (const column of COLUMNS) line[column] = plus(line[column], exact(row[column]));
  if (covered) line.expected = plus(line.expected, row.foreseen ?? (covers.has(where(row)) ? ZERO : exact(row.expected)));
  line.start_us = Math.min(line.start_us, row.start_us);
  line.end_us = Math.max(line.end_us, row.end_us);
  found.set(key, line);
}

/**
 * One row per book, product and place, one column per period, of one measure. A cell without a line is undefined; one whose value is not known is null.
 * @param {any[]} lines of `months`
 * @param {"net"|"expected"|"open"|"bought"|"sold"} measure
 */
export function matrix(lines, measure) {
  const periods = [...new Set(lines.map((line) => line.period))].sort();
  const rows = new Map();
  for (const line of lines) {
    const row = rows.get(where(line)) ?? { key: where(line), book: line.book, product: line.product, place: line.place, unit: line.unit, cells: /** @type {Record<string, any>} */ ({}) };
    const before = row.cells[line.period];
    row.cells[line.period] = line.period in row.cells ? plus(before, line[measure]) : line[measure];
    rows.set(where(line), row);
  }
  return { periods, rows: [...rows.values()] };
}
