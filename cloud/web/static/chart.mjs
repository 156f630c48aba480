// One chart of one tag: a line that breaks where quality is bad, dots where it is uncertain.
// @ts-check
import uPlot from "./vendor/uplot.mjs";

/**
 * @param {HTMLElement} box
 * @param {{ name: string, unit: string }} tag
 * @param {{ times_us: number[], values: (number|null)[], quality: number[] }} samples
 */
export function draw(box, tag, samples) {
  const style = getComputedStyle(document.documentElement);
  const colour = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  const times = samples.times_us.map((us) => us / 1e6);
  const uncertain = samples.values.map((value, index) => (samples.quality[index] >>> 30 === 1 ? value : null));
  const hours = (/** @type {any} */ plot, /** @type {number[]} */ splits) => splits.map((at) => new Date(at * 1e3).toISOString().slice(11, 19));
  const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 0.3 }, ticks: { stroke: colour("--line"), width: 0.5 } };
  const options = {
    width: Math.max(280, box.clientWidth - 16),
    height: 280,
    tzDate: (/** @type {number} */ seconds) => uPlot.tzDate(new Date(seconds * 1e3), "UTC"),
    series: [
      { label: "UTC", value: (/** @type {any} */ plot, /** @type {number|null} */ at) => (at === null ? "--" : new Date(at * 1e3).toISOString().slice(0, 23)) },
      { label: `${tag.name}${tag.unit ? ` [${tag.unit}]` : ""}`, stroke: colour("--trace"), width: 1.5, spanGaps: false },
      { label: "uncertain", stroke: colour("--warn"), paths: () => null, points: { show: true, size: 4, fill: colour("--warn") } },
    ],
    axes: [{ ...axis, values: hours }, { ...axis, size: 90 }],
  };
  box.replaceChildren();
  return new uPlot(options, [times, samples.values, uncertain], box);
}
