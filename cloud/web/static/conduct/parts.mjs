// What the pages of outages and of compliance share.
// @ts-check
import { html, useState } from "../vendor/core.mjs";
import { To, turn } from "../place.mjs";
import { Field, Trouble } from "../ui.mjs";
import { Plain, lasting, t } from "../words.mjs";

// said: pass, fail, not applicable, indeterminate
const MARKS = { PASS: ["●", "good"], FAIL: ["■", "bad"], INDETERMINATE: ["▲", "uncertain"], NOT_APPLICABLE: ["◇", "muted"] };
export const OUTCOMES = ["FAIL", "INDETERMINATE", "PASS", "NOT_APPLICABLE"];

/** @param {string} outcome */
export const outcomeWord = (outcome) => t(outcome.toLowerCase().replace("_", " "));

/** An outcome by mark and word. @param {{ of: string }} properties */
export function Outcome({ of }) {
  const [mark, tone] = MARKS[/** @type {keyof typeof MARKS} */ (of)] ?? MARKS.INDETERMINATE;
  return html`<span class=${tone}><span aria-hidden="true">${mark}</span> ${outcomeWord(of)}</span>`;
}

/** What the hub says in its own words, which are English. */
export const Said = ({ children }) => html`<span lang="en" dir="ltr">${children}</span>`;

/** A link to the proof of an evidence row. @param {{ row: string }} properties */
export const Evidence = ({ row }) => html`<${To} path="/verify" query=${{ evidence: row }}>${t("evidence")} <${Plain}>${row.slice(0, 8)}<//><//>`;

/** @param {string} label @param {any} value */
export const fact = (label, value) => html`<div><dt>${label}</dt><dd><${Plain}>${value ?? "–"}<//></dd></div>`;

export const change = (/** @type {string} */ name) => (/** @type {any} */ event) => turn({ [name]: event.target.value || null });

/** A choice of the day of law and of a scenario, for whatever is judged by them. @param {{ now: { as_of: string, scenario: string }, known: string[] }} properties */
export function LawOf({ now, known }) {
  const names = [...new Set([...known, now.scenario])].filter(Boolean);
  return html`<${Field} label=${t("law as of")} hint=${t("empty: today")}><input type="date" value=${now.as_of} onChange=${change("as_of")} /><//>
    <${Field} label=${t("scenario")} hint=${t("as-stated: as if unconfirmed figures held")}><select value=${now.scenario} onChange=${change("scenario")}><option value="">${t("law as it is")}</option>${names.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}</select><//>`;
}

/** A section for one thing, with the way back to all of them. @param {{ back: Record<string, null>, title: any, children?: any }} properties back: what goes from the query */
export const One = ({ back, title, children }) => html`<p><button type="button" class="quiet" onClick=${() => turn(back)}><span aria-hidden="true">↑</span> ${t("Back to the list")}</button></p><h2>${title}</h2>${children}`;

/**
 * A table without sorting, for a few rows of one thing. @param {{ title: string, heads: any[], rows: any[][], numbers?: number[] }} properties numbers: columns that are numbers
 */
export function Small({ title, heads, rows, numbers = [] }) {
  const kind = (/** @type {number} */ at) => (numbers.includes(at) ? "number" : "long");
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${title}><table><caption>${title}</caption><thead><tr>${heads.map((head, at) => html`<th key=${at} scope="col" class=${kind(at)}>${head}</th>`)}</tr></thead>
    <tbody>${rows.map((row, at) => html`<tr key=${at}>${row.map((cell, n) => html`<td key=${n} class=${kind(n)}>${cell ?? "–"}</td>`)}</tr>`)}</tbody></table></div>`;
}

/** The four layers of a file: what was checked and what was found. @param {{ layers: any[] }} properties */
// said: schema, checksum, cross-field, reference data
export function Layers({ layers }) {
  return html`<section aria-label=${t("Layers")}><h3>${t("Layers")}</h3><ul class="findings">${layers.map((one) => html`<li key=${one.layer}><${Outcome} of=${one.outcome} /> <strong>${t(one.layer)}</strong> ${one.reason && html`<${Said}>${one.reason}<//>`}
      ${one.faults.length > 0 && html`<${Small} title=${t("{n} fault|{n} faults", { n: one.found })} heads=${[t("check"), t("place"), t("line"), t("message")]} numbers=${[2]} rows=${one.faults.map((/** @type {any} */ fault) => [html`<${Plain}>${fault.check}<//>`, html`<${Plain}>${fault.place}<//>`, fault.line || "–", html`<${Said}>${fault.message}<//>`])} />`}</li>`)}</ul></section>`;
}

/** A form that sends, says what went wrong and closes. @param {{ act: (given: any) => Promise<any>, word: string, close?: () => void, children?: any, told?: (error: any) => any }} properties told: more of a refusal */
export function Form({ act, word, close, children, told }) {
  const [error, fail] = useState(/** @type {any} */ (null));
  const [busy, work] = useState(false);
  const submit = (/** @type {any} */ event) => {
    event.preventDefault();
    work(true);
    fail(null);
    Promise.resolve(act(event.target.elements)).catch(fail).finally(() => work(false));
  };
  return html`<form onSubmit=${submit}>${children}<${Trouble} error=${error} />${error && told?.(error)}
    <p class="acts"><button type="submit" class="act" disabled=${busy}>${word}</button>${close && html`<button type="button" class="quiet" onClick=${close}>${t("Cancel")}</button>`}</p></form>`;
}

/** What is left until a message must be out. @param {{ of: any }} properties of: the clock of an outage */
export function Clock({ of }) {
  if (!of) return html`<span class="muted">–</span>`;
  if (of.due_us === null) return html`<span>${t("not confirmed yet")}</span>`;
  const mark = of.overdue ? html`<span class="bad"><span aria-hidden="true">■</span> ${t("overdue by {time}", { time: lasting(-of.left_s) })}</span>` : html`<span class="uncertain"><span aria-hidden="true">▼</span> ${t("{time} left", { time: lasting(of.left_s) })}</span>`;
  return html`${mark}${of.status === "confirmed" ? "" : html` <small class="muted">(${t("term unconfirmed")})</small>`}`;
}
