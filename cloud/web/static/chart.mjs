// One chart of one tag: a line that breaks where quality is bad, dots where it is uncertain.
// @ts-check
import uPlot from "./vendor/uplot.mjs";

/** @typedef {{ times_us: number[], values: (number|null)[], quality: number[] }} Samples */

/** @param {Samples} samples */
function columns(samples) {
  const uncertain = samples.values.map((value, index) => (samples.quality[index] >>> 30 === 1 ? value : null));
  return [samples.times_us.map((us) => us / 1e6), samples.values, uncertain];
}

const HEIGHT = 280;
const width = (/** @type {HTMLElement} */ box) => Math.max(200, box.clientWidth - 16);

/**
 * Draws into `box` and follows its width; `show` replaces the samples, `end` takes everything away.
 * @param {HTMLElement} box
 * @param {{ name: string, unit: string }} tag
 * @param {Samples} samples
 */
export function draw(box, tag, samples) {
  const style = getComputedStyle(document.documentElement);
  const colour = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  const clock = (/** @type {any} */ plot, /** @type {number[]} */ splits) => splits.map((at) => new Date(at * 1e3).toISOString().slice(11, 19));
  const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 0.3 }, ticks: { stroke: colour("--line"), width: 0.5 } };
  const widest = (/** @type {any} */ plot, /** @type {string[]|null} */ texts) => 24 + 7 * Math.max(3, ...(texts ?? []).map((text) => text.length));
  const options = {
    width: width(box),
    height: HEIGHT,
    tzDate: (/** @type {number} */ seconds) => uPlot.tzDate(new Date(seconds * 1e3), "UTC"),
    series: [
      { label: "UTC", value: (/** @type {any} */ plot, /** @type {number|null} */ at) => (at === null ? "--" : new Date(at * 1e3).toISOString().slice(0, 23)) },
      { label: `${tag.name}${tag.unit ? ` [${tag.unit}]` : ""}`, stroke: colour("--trace"), width: 1.5, spanGaps: false },
      { label: "uncertain", stroke: colour("--warn"), paths: () => null, points: { show: true, size: 4, fill: colour("--warn") } },
    ],
    axes: [{ ...axis, values: clock }, { ...axis, size: widest }],
  };
  box.replaceChildren();
  const plot = new uPlot(options, columns(samples), box);
  const follow = new ResizeObserver(() => {
    if (plot.width !== width(box)) plot.setSize({ width: width(box), height: HEIGHT });
  });
  follow.observe(box);
  return {
    show: (/** @type {Samples} */ newer) => plot.setData(columns(newer)),
    end: () => {
      follow.disconnect();
      plot.destroy();
    },
  };
}
