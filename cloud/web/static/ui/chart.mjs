// The charts: one tag's samples, a stream's forecast band, one number over the session. Each redraws in the theme the reader has.
// Fetched with uPlot and its style sheet when a page first shows one.
// @ts-check
import uPlot from "../vendor/uplot.mjs";
import { html, signal, useEffect, useRef } from "../vendor/core.mjs";

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
function columns(samples) {
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
  const chart = plotted(box, options, columns(samples));
  return { show: (/** @type {Samples} */ newer) => chart.show(columns(newer)), end: chart.end };
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
