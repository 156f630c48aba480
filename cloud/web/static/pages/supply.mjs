// What the streams will deliver beside what is owed: forecast bands, commitments, nameplates, and the assets behind them.
// @ts-check
import { html } from "../vendor/core.mjs";
import { Drawn, State, Step, forecasts, healths, problem, risk } from "../trade/book.mjs";
import { Empty } from "../ui.mjs";
import { Plain, known, percent, t, whole } from "../words.mjs";
import { site } from "../place.mjs";
import { model } from "../hub.mjs";

const DAY_S = 86_400;
const DAY_US = DAY_S * 1e6;
const day = (/** @type {number} */ us) => new Date(us / 1e3).toISOString().slice(0, 10); // delivery days are days of UTC

const drawn = new WeakMap();
/** Columns of the band: each day's quantiles, and what is owed on it where the figures know. @param {any} found @param {any} valued */
function columns(found, valued) {
  const before = drawn.get(found);
  if (before?.valued === valued) return before.columns;
  const { start_us, quantiles, nameplate } = found.output;
  const days = nameplate.map((/** @type {number} */ _, /** @type {number} */ at) => start_us / 1e6 + at * DAY_S);
  const owed = valued?.output.committed[found.subject];
  const shift = valued ? Math.round((start_us - valued.as_of_us + (valued.as_of_us % DAY_US)) / DAY_US) : 0;
  const made = [days, quantiles[4], quantiles[0], quantiles[2], days.map((/** @type {number} */ _, /** @type {number} */ at) => owed?.[at + shift] ?? null), nameplate];
  drawn.set(found, { valued, columns: made });
  return made;
}

const sum = (/** @type {number[]|undefined} */ values) => values?.reduce((total, value) => total + value, 0);

/** A stream's band with its sums. @param {{ found: any }} properties */
export function Stream({ found }) {
  const { total, unit, product, place: where, nameplate, start_us } = found.output;
  const owed = sum(risk.value?.output.committed[found.subject]);
  const short = known(owed) ? /** @type {number} */ (owed) - total.p5 : null;
  const fact = (/** @type {string} */ label, /** @type {any} */ value, tone = "") => html`<div><dt>${label}</dt><dd class=${tone}><${Plain}>${known(value) ? `${whole(value)} ${unit}` : value ?? "–"}<//></dd></div>`;
  return html`<div class="stream"><h3><${Step} to=${{ stream: found.subject }}><${Plain}>${found.subject}<//><//> <small>${t("{product} at {place}, {n} day from {day}|{product} at {place}, {n} days from {day}", { product, place: where, n: nameplate.length, day: day(start_us) })}</small></h3>
    <${Drawn} make="band" of=${[`${unit}/d`]} given=${columns(found, risk.value)} label=${t("volume per day of {stream}, 5 to 95 %", { stream: found.subject })} />
    <dl class="facts">${fact("5 %", total.p5)}${fact(t("median"), total.p50)}${fact("95 %", total.p95)}${fact(t("committed"), owed)}${fact(t("nameplate"), sum(nameplate))}
      ${known(short) && /** @type {number} */ (short) > 0 ? fact(t("short at 5 %"), short, "uncertain") : fact(t("short at 5 %"), known(short) ? t("nothing") : null)}</dl></div>`;
}

/** The assets that deliver into a stream. @param {{ found: any }} properties */
function Behind({ found }) {
  const name = found.subject;
  const title = t("Assets behind {stream}", { stream: name });
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${title}><table><caption>${title}</caption><thead><tr><th scope="col">${t("asset")}</th><th scope="col" class="number">${t("uptime")}</th><th scope="col">${t("state")}</th><th scope="col" class="number">ES <${Plain} class="unit">[${risk.value?.output.currency ?? ""}]<//></th></tr></thead>
    <tbody>${found.output.units.map((/** @type {string} */ unit, /** @type {number} */ at) => {
      const health = healths.value.find((one) => one.name === unit);
      return html`<tr key=${unit}><th scope="row"><${Step} to=${{ stream: name, asset: unit }}><${Plain}>${unit}<//><//></th><td class="number"><${Plain}>${percent(found.output.uptime[at])}<//></td>
        <td>${health ? html`<${State} health=${health} />` : html`<span class="muted">${t("no tags")}</span>`}</td><td class="number"><${Plain}>${whole(risk.value?.output.units[unit])}<//></td></tr>`;
    })}</tbody></table></div>`;
}

export function Page() {
  const sites = new Map((model.value?.streams ?? []).map((/** @type {any} */ stream) => [stream.name, stream.site]));
  const shown = forecasts.value.filter((found) => !site.value || !sites.has(found.subject) || sites.get(found.subject) === site.value);
  return html`<h1>${t("Supply")} <small class="muted">${t("forecast volume per day beside what is owed")}</small></h1>
    ${problem.value && html`<p class="uncertain">▲ <${Plain}>${problem.value}<//></p>`}
    ${shown.length ? shown.map((found) => html`<section key=${found.subject} class="halves" aria-label=${found.subject}><${Stream} found=${found} /><${Behind} found=${found} /></section>`)
      : html`<${Empty} next=${t("It is made as soon as the hub has an asset model with streams, and samples of its tags.")}>${t("No forecast yet.")}<//>`}`;
}
