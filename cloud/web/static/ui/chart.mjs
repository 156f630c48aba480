// Charts: trends of tags over the range that the address names, a stream's forecast band, one number over the session. Fetched with uPlot when a
// page first shows one. Each redraws in the theme the reader has.
// Trends stand one under the other with one cross-hair; a drag is the range in the address. Bad quality breaks the line, uncertain quality is
// dots, what is missing is hatched. What is drawn is thinned by the hub, extremes kept.
// @ts-check
import uPlot from "../vendor/uplot.mjs";
import { effect, html, signal, useEffect, useRef, useState } from "../vendor/core.mjs";
import { get, save } from "../hub.mjs";
import { address, go, place, range, turn, window_us } from "../place.mjs";
import { Trouble, csv, useRead } from "../ui.mjs";
import { Plain, clock, day, fine, known, language, look, moment, severity, t, whole, zone } from "../words.mjs";

/** @typedef {{ times_us: number[], values: (number|null)[], quality: number[] }} Samples */
/** @typedef {{ show: (newer: any) => void, end: () => void }} Chart */

const HEIGHT = 280;
const LEAST_SPAN_S = 60;
const dark = matchMedia("(prefers-color-scheme: dark)");
const shownTheme = () => `${document.documentElement.dataset.theme ?? ""} ${dark.matches}`;
export const theme = signal(shownTheme());
const retheme = () => { theme.value = shownTheme(); };
dark.addEventListener("change", retheme);
new MutationObserver(retheme).observe(document.documentElement, { attributeFilter: ["data-theme"] });
export const width = (/** @type {HTMLElement} */ box) => Math.max(200, box.clientWidth - 16);
export const colour = (/** @type {string} */ name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
export const part = (/** @type {number} */ from, /** @type {number} */ to) => (/** @type {any} */ plot, /** @type {number[]} */ splits) =>
  splits.map((at) => new Date(at * 1e3).toISOString().slice(from, to));
export const widest = (/** @type {any} */ plot, /** @type {string[]|null} */ texts) => 24 + 7 * Math.max(3, ...(texts ?? []).map((text) => text.length));
const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const number = (/** @type {any} */ plot, /** @type {number|null} */ value) => (value === null || value === undefined ? "--" : grouped.format(value));

export function axis() {
  return { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 0.3 }, ticks: { stroke: colour("--line"), width: 0.5 } };
}

/**
 * Draws into `box` and follows its width; `show` replaces the columns, `end` takes everything away.
 * @param {HTMLElement} box
 * @param {any} options of uPlot, without width
 * @param {any[]} columns
 */
export function plotted(box, options, columns) {
  box.replaceChildren();
  const tzDate = (/** @type {number} */ seconds) => uPlot.tzDate(new Date(seconds * 1e3), "UTC");
  const plot = new uPlot({ height: HEIGHT, tzDate, ...options, width: width(box) }, columns, box);
  const follow = new ResizeObserver(() => {
    if (plot.width !== width(box)) plot.setSize({ width: width(box), height: plot.height });
  });
  follow.observe(box);
  return {
    show: (/** @type {any[]} */ newer) => plot.setData(newer),
    end: () => {
      follow.disconnect();
      plot.destroy();
    },
  };
}

/** @param {Samples} samples */
function lineOf(samples) {
  const uncertain = samples.values.map((value, index) => (samples.quality[index] >>> 30 === 1 ? value : null));
  return [samples.times_us.map((us) => us / 1e6), samples.values, uncertain];
}

/**
 * One tag: a line that breaks where quality is bad, dots where it is uncertain.
 * @param {HTMLElement} box
 * @param {{ name: string, unit: string }} tag
 * @param {Samples} samples
 */
export function draw(box, tag, samples) {
  const options = {
    series: [
      { label: "UTC", value: (/** @type {any} */ plot, /** @type {number|null} */ at) => (at === null ? "--" : new Date(at * 1e3).toISOString().slice(0, 23)) },
      { label: `${tag.name}${tag.unit ? ` [${tag.unit}]` : ""}`, stroke: colour("--trace"), width: 1.5, spanGaps: false },
      { label: "uncertain", stroke: colour("--warn"), paths: () => null, points: { show: true, size: 4, fill: colour("--warn") } },
    ],
    axes: [{ ...axis(), space: 80, values: part(11, 19) }, { ...axis(), size: widest }],
  };
  const chart = plotted(box, options, lineOf(samples));
  return { show: (/** @type {Samples} */ newer) => chart.show(lineOf(newer)), end: chart.end };
}

/**
 * Volume per day: [seconds, 95 %, 5 %, median, committed, nameplate]. A commitment is a step per day, the nameplate dashed.
 * @param {string} unit
 */
export const band = (unit) => (/** @type {HTMLElement} */ box, /** @type {any[]} */ given) => {
  const line = { value: number, points: { show: false } };
  const edge = { ...line, stroke: colour("--trace"), width: 0.5 };
  const steps = uPlot.paths.stepped({ align: 1 });
  const options = {
    height: 240,
    scales: { y: { range: (/** @type {any} */ plot, /** @type {number} */ low, /** @type {number} */ high) => [Math.min(0, low), high * 1.05 || 1] } },
    bands: [{ series: [1, 2], fill: colour("--band") }],
    series: [
      { label: "day (UTC)", value: (/** @type {any} */ plot, /** @type {number|null} */ at) => (at === null ? "--" : new Date(at * 1e3).toISOString().slice(0, 10)) },
      { label: `95 % [${unit}]`, ...edge },
      { label: "5 %", ...edge },
      { ...line, label: "median", stroke: colour("--trace"), width: 2 },
      { ...line, label: "committed", stroke: colour("--text"), width: 2, paths: steps },
      { ...line, label: "nameplate", stroke: colour("--muted"), width: 1, dash: [6, 4] },
    ],
    axes: [{ ...axis(), values: part(5, 10) }, { ...axis(), size: widest, values: (/** @type {any} */ plot, /** @type {number[]} */ splits) => splits.map((at) => grouped.format(at)) }],
  };
  return plotted(box, options, given);
};

/**
 * One number over the session: [seconds, value].
 * @param {string} label
 */
export const course = (label) => (/** @type {HTMLElement} */ box, /** @type {any[]} */ given) => {
  const span = (/** @type {any} */ plot, /** @type {number} */ low, /** @type {number} */ high) => [Math.min(low, high - LEAST_SPAN_S), high];
  const alone = (/** @type {any} */ plot) => plot.data[0].length < 2;
  const options = {
    height: 170,
    scales: { x: { range: span } },
    series: [
      { label: "UTC", value: (/** @type {any} */ plot, /** @type {number|null} */ at) => (at === null ? "--" : new Date(at * 1e3).toISOString().slice(11, 19)) },
      { label, stroke: colour("--trace"), width: 1.5, value: number, paths: uPlot.paths.stepped({ align: 1 }), points: { show: alone } },
    ],
    axes: [{ ...axis(), space: 80, values: part(11, 19) }, { ...axis(), size: widest, values: (/** @type {any} */ plot, /** @type {number[]} */ splits) => splits.map((at) => grouped.format(at)) }],
  };
  return plotted(box, options, given);
};

/**
 * A chart as a component. `make` stays the same function for as long as the chart is of the same thing.
 * @param {{ make: (box: HTMLElement, given: any) => Chart, given: any, label: string, small?: boolean }} properties
 */
export function Plot({ make, given, label, small }) {
  const box = useRef(/** @type {HTMLElement|null} */ (null));
  const chart = useRef(/** @type {Chart|null} */ (null));
  useEffect(() => {
    if (!box.current) return undefined;
    chart.current = make(box.current, given);
    return () => { chart.current?.end(); chart.current = null; };
  }, [make, theme.value]);
  useEffect(() => chart.current?.show(given), [given]);
  return html`<div class=${small ? "chart small" : "chart"} dir="ltr" role="img" aria-label=${label} ref=${box}></div>`;
}

/** @typedef {{ id: number, name: string, unit: string }} Tag */
/** @typedef {{ times_us: number[], values: (number|null)[], quality: number[], samples: number }} Samples */
/** @typedef {{ from_us: number, to_us: number, cause: string, duration_s: number }} Gap */
/** @typedef {{ columns: any[], gaps: Gap[], from_s: number, to_s: number, compared: boolean }} Given */

const POINTS = 1000;
const MOST_TAGS = 24; // in one request
const DAY_S = 86_400;
const LEAST_S = 1;
const AXIS_PX = 88; // the same for all, so that one time stands under the other
const NONE = /** @type {Gap[]} */ ([]);
/** Addresses before each zoom, so that a double click goes back. @type {string[]} */
const before = [];

/** @param {number} from_s @param {number} to_s */
function zoom(from_s, to_s) {
  if (to_s - from_s < LEAST_S) return;
  const iso = (/** @type {number} */ seconds) => new Date(Math.round(seconds) * 1e3).toISOString().replace(".000Z", "Z");
  const [here, to] = [location.pathname + location.search, address(place.value.path, { ...place.value.query, range: null, from: iso(from_s), to: iso(to_s) })];
  if (to === here) return; // charts with one cross-hair all tell of the same drag
  before.push(here);
  go(to);
}

function back() {
  const to = before.pop();
  if (to) go(to, true); else turn({ range: null, from: null, to: null }, true);
}

/** The range moved or made wider by a factor, for those who do not drag. @param {number} by @param {number} factor */
function shift(by, factor = 1) {
  const [from_us, to_us] = window_us();
  const [middle, half] = [(from_us + to_us) / 2e6 + (by * (to_us - from_us)) / 1e6, ((to_us - from_us) / 2e6) * factor];
  zoom(middle - half, middle + half);
}

/** Spans without data as stripes behind the line. @param {any} plot @param {Gap[]} gaps */
function hatch(plot, gaps) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  for (const gap of gaps) {
    const [x0, x1] = [gap.from_us, gap.to_us].map((us) => Math.min(bbox.left + bbox.width, Math.max(bbox.left, plot.valToPos(us / 1e6, "x", true))));
    if (x1 > x0) ctx.rect(x0, bbox.top, Math.max(2, x1 - x0), bbox.height);
  }
  ctx.clip();
  ctx.strokeStyle = colour("--line");
  ctx.lineWidth = 1;
  ctx.beginPath();
  for (let x = bbox.left - bbox.height; x < bbox.left + bbox.width; x += 9 * devicePixelRatio) {
    ctx.moveTo(x, bbox.top + bbox.height);
    ctx.lineTo(x + bbox.height, bbox.top);
  }
  if (gaps.length) ctx.stroke();
  ctx.restore();
}

/** @param {Tag} tag @param {boolean} compared @param {number} height */
const maker = (tag, compared, height) => (/** @type {HTMLElement} */ box, /** @type {Given} */ given) => {
  let shown = given;
  const stamp = (/** @type {number|null|undefined} */ at) => (at === null || at === undefined ? "–" : moment(at * 1e6));
  const long = () => shown.to_s - shown.from_s > 2 * DAY_S;
  const value = (/** @type {any} */ plot, /** @type {number|null} */ at) => fine(at);
  const options = {
    height,
    tzDate: (/** @type {number} */ seconds) => uPlot.tzDate(new Date(seconds * 1e3), zone()),
    cursor: { sync: { key: "trend" }, drag: { x: true, y: false, setScale: false }, bind: { dblclick: () => () => { back(); return null; } } },
    scales: { x: { range: () => [shown.from_s, shown.to_s] } },
    hooks: {
      drawAxes: [(/** @type {any} */ plot) => hatch(plot, shown.gaps)],
      setSelect: [(/** @type {any} */ plot) => {
        if (plot.select.width < 5) return;
        zoom(plot.posToVal(plot.select.left, "x"), plot.posToVal(plot.select.left + plot.select.width, "x"));
        plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      }],
    },
    series: [
      { label: zone(), value: (/** @type {any} */ plot, /** @type {number|null} */ at) => stamp(at) },
      { label: `${tag.name}${tag.unit ? ` [${tag.unit}]` : ""}`, stroke: colour("--trace"), width: 1.5, spanGaps: false, value },
      { label: t("uncertain"), stroke: colour("--warn"), paths: () => null, points: { show: true, size: 4, fill: colour("--warn") }, value },
      ...(compared ? [{ label: t("period before"), stroke: colour("--muted"), width: 1, dash: [5, 4], spanGaps: false, points: { show: false }, value }] : []),
    ],
    axes: [
      { ...axis(), space: 90, values: (/** @type {any} */ plot, /** @type {number[]} */ splits) => splits.map((at) => (long() ? day(at * 1e6).slice(5) : clock(at * 1e6))) },
      { ...axis(), size: AXIS_PX, values: (/** @type {any} */ plot, /** @type {number[]} */ splits) => splits.map((at) => fine(at)) },
    ],
  };
  const chart = plotted(box, options, given.columns);
  return { show: (/** @type {Given} */ newer) => { shown = newer; chart.show(newer.columns); }, end: chart.end };
};

/** Bad values are no values; a gap breaks the line even where no bad sample tells of it. @param {Samples} samples @param {Gap[]} gaps @param {number} shift_s */
export function columns(samples, gaps, shift_s = 0) {
  const rows = samples.times_us.map((us, at) => [us / 1e6 + shift_s, severity(samples.quality[at]) === "bad" ? null : samples.values[at], samples.quality[at]]);
  const breaks = gaps.filter((gap) => gap.to_us > gap.from_us).map((gap) => [(gap.from_us + gap.to_us) / 2e6 + shift_s, null, 0]);
  const all = [...rows, ...breaks].sort((a, b) => Number(a[0]) - Number(b[0]));
  return [all.map((row) => row[0]), all.map((row) => row[1]), all.map((row) => (Number(row[2]) >>> 30 === 1 ? row[1] : null))];
}

/** Of each tag by its id what the hub says, and the range. @param {string} path @param {number[]} ids @param {string} more of the query */
async function read(path, ids, more = "", back_of = 0) {
  const [from_us, to_us] = window_us().map(Math.round);
  const low = from_us - back_of * (to_us - from_us);
  const parts = Array.from({ length: Math.ceil(ids.length / MOST_TAGS) }, (_, at) => ids.slice(at * MOST_TAGS, (at + 1) * MOST_TAGS));
  const found = await Promise.all(parts.map((part) => get(`${path}?tags=${part.join(",")}&from_us=${low}&to_us=${low + to_us - from_us}${more}`)));
  return new Map(found.flat().map((one, at) => [ids[at], { from_us, to_us, ...one }]));
}

/** How often a range that moves is read again: about a pixel's worth of it. */
export const every_ms = () => (range.value.live ? Math.min(60_000, Math.max(3_000, range.value.span_s)) : 0);

/** What is drawn of some tags, read together: samples, gaps, and the samples of the period before. @param {Tag[]} tags @param {boolean} compared */
function useSamples(tags, compared) {
  const { name, from_us, to_us } = range.value;
  const ids = tags.map((tag) => tag.id);
  const [keys, thinned] = [[ids.join(","), name, from_us, to_us], `&points=${POINTS}`];
  const told = useRef({ key: "", turn: 0, gaps: new Map() });
  const { value: samples, error } = useRead(async () => {
    const key = keys.join(" ");
    const anew = told.current.key !== key || ++told.current.turn % 2 === 0; // gaps move slower, and finding them is work for the hub
    const found = await read("/v1/samples", ids, anew ? `${thinned}&gaps=true` : thinned);
    if (anew) told.current = { key, turn: 0, gaps: new Map([...found].map(([id, one]) => [id, one.gaps])) };
    for (const [id, one] of found) one.gaps ??= told.current.gaps.get(id) ?? NONE;
    return found;
  }, keys, every_ms());
  const { value: earlier } = useRead(() => (compared ? read("/v1/samples", ids, thinned, 1) : Promise.resolve(null)), [...keys, compared], 4 * every_ms());
  return { error, of: (/** @type {Tag} */ tag) => ({ found: samples?.get(tag.id), gaps: samples?.get(tag.id)?.gaps ?? NONE, earlier: earlier?.get(tag.id) }) };
}

/** @param {{ tag: Tag, found: any, gaps: Gap[], earlier: any, compared: boolean, height: number, title?: any }} properties */
function Trend({ tag, found, gaps, earlier, compared, height, title }) {
  const box = useRef(/** @type {HTMLElement|null} */ (null));
  const chart = useRef(/** @type {any} */ (null));
  const [given, give] = useState(/** @type {Given|null} */ (null));
  useEffect(() => {
    if (!found) return;
    const now = columns(found, gaps);
    const past = compared && earlier ? columns(earlier, NONE, (found.to_us - found.from_us) / 1e6).slice(0, 2) : [[], []];
    give({ compared, columns: compared ? uPlot.join([now, past]) : now, gaps, from_s: found.from_us / 1e6, to_s: found.to_us / 1e6 });
  }, [found, gaps, earlier, compared]);
  const drawn = Boolean(given);
  useEffect(() => {
    if (!box.current || !given) return undefined;
    const at = box.current;
    let made = /** @type {any} */ (null);
    const end = effect(() => {
      theme.value; look.value; language.value; // what a canvas does not follow by itself
      const present = chart.current?.given ?? given;
      made?.end();
      made = maker(tag, present.compared, height)(at, present);
      chart.current = { ...made, given: present };
    });
    return () => { end(); made?.end(); chart.current = null; };
  }, [tag.id, given?.compared, height, drawn]);
  useEffect(() => { if (given && chart.current) { chart.current.given = given; chart.current.show(given); } }, [given]);
  return html`<figure class="trend"><figcaption>${title ?? html`<${Plain}>${tag.name}<//>`} <small>${found && html`<${Summary} samples=${found} gaps=${gaps} />`}</small>
      <button type="button" class="quiet" aria-label=${t("CSV of {what}", { what: tag.name })} disabled=${!found} onClick=${() => found && keep(tag, found)}>CSV</button></figcaption>
    <div class="chart slim" dir="ltr" role="img" aria-label=${t("trend of {tag}", { tag: tag.name })} ref=${box}></div></figure>`;
}

/** @param {{ samples: any, gaps: Gap[] }} properties */
function Summary({ samples, gaps }) {
  const { from_us, to_us } = samples;
  const values = samples.values.filter((/** @type {any} */ value, /** @type {number} */ at) => known(value) && severity(samples.quality[at]) !== "bad");
  const missing_s = gaps.reduce((/** @type {number} */ sum, /** @type {Gap} */ gap) => sum + Math.max(0, Math.min(gap.to_us, to_us) - Math.max(gap.from_us, from_us)) / 1e6, 0);
  return html`${t("{n} sample|{n} samples", { n: samples.samples })}${values.length > 0 && html`, <${Plain}>${fine(values.reduce((/** @type {number} */ a, /** @type {number} */ b) => Math.min(a, b)))} … ${fine(values.reduce((/** @type {number} */ a, /** @type {number} */ b) => Math.max(a, b)))}<//>`}${!values.length && samples.samples > 0 && html`, <span class="uncertain">${t("none with a value")}</span>`}${missing_s > 0 && html`, <span class="uncertain">${t("{s} s missing", { s: Math.round(missing_s) })}</span>`}`;
}

/** What is drawn, said to be thinned where it is. @param {Tag} tag @param {any} found */
function keep(tag, found) {
  const rows = found.times_us.map((/** @type {number} */ us, /** @type {number} */ at) => ({ us, value: found.values[at], quality: found.quality[at] }));
  const thinned = rows.length < found.samples ? (found.read?.from === "minutes" ? t("lowest and highest of {s} s each, of {all} samples", { s: found.read.bucket_us / 1e6, all: whole(found.samples) }) : t("{shown} of {all} samples, extremes kept", { shown: whole(rows.length), all: whole(found.samples) })) : t("all samples");
  const text = csv([
    { name: "time", title: `${t("time")} (${zone()})`, value: (row) => moment(row.us) }, { name: "us", title: "time_us", value: (row) => row.us },
    { name: "value", title: tag.name, unit: tag.unit, value: (row) => row.value }, { name: "quality", title: t("quality"), value: (row) => `${severity(row.quality)} 0x${row.quality.toString(16).padStart(8, "0")}` },
  ], rows);
  save(new Blob(["\ufeff", `# ${thinned}\r\n`, text], { type: "text/csv" }), `${tag.name}.csv`);
}

/** Trends of several tags with one cross-hair, and how to move the range without dragging. @param {{ tags: (Tag & { said?: string })[], title: string, height?: number, compare?: boolean }} properties */
export function Trends({ tags, title, height = 170, compare = true }) {
  const compared = compare && place.value.query.compare === "before";
  const { error, of } = useSamples(tags, compared);
  return html`<section aria-label=${title}><div class="tools"><h2>${title}</h2>
      ${compare && html`<label class="check"><input type="checkbox" checked=${compared} onChange=${() => turn({ compare: compared ? null : "before" }, true)} /> ${t("period before")}</label>`}
      <button type="button" class="quiet" aria-label=${t("Earlier")} title=${t("Earlier")} onClick=${() => shift(-0.5)}><${Plain}>←<//></button>
      <button type="button" class="quiet" aria-label=${t("Later")} title=${t("Later")} onClick=${() => shift(0.5)}><${Plain}>→<//></button>
      <button type="button" class="quiet" aria-label=${t("Nearer")} title=${t("Nearer")} onClick=${() => shift(0, 0.5)}>+</button>
      <button type="button" class="quiet" aria-label=${t("Wider")} title=${t("Wider")} onClick=${() => shift(0, 2)}>−</button>
      <button type="button" class="quiet" onClick=${back}>${t("Back")}</button></div>
    <${Trouble} error=${error} /><div class=${`trends ${tags.length > 1 ? "many" : ""}`}>${tags.map((tag) => html`<${Trend} key=${tag.id} tag=${tag} ...${of(tag)} compared=${compared} height=${height} title=${tag.said && html`<${Plain}>${tag.name}<//> <span class="muted">${tag.said}</span>`} />`)}</div>
    <p class="note">${t("Drag over a chart to look closer, double click to go back. Hatched: nothing came. Dots: quality uncertain.")}</p></section>`;
}
