// The form of a report to an authority: about which deals, and what is stated of them beside what was booked. What is missing comes back by deal
// and field, and becomes rows to fill in.
// @ts-check
import { html, useState } from "../vendor/core.mjs";
import { send } from "../hub.mjs";
import { turn } from "../place.mjs";
import { Dialog, Field, toast } from "../ui.mjs";
import { Plain, t } from "../words.mjs";
import { Form, Layers, Said, Small } from "./parts.mjs";

const KINDS = ["REMIT-1", "EMIR", "CFTC-45", "CFTC-43", "FERC-EQR"];
/** @typedef {{ deal: string, field: string, value: string }} Row deal: empty for what is stated of all */

/** Stated fields by deal; deals that nothing is stated of are there too. @param {string[]} deals @param {Row[]} rows */
const told = (deals, rows) => deals.map((deal) => ({ deal, told: Object.fromEntries(rows.filter((row) => row.deal === deal && row.field).map((row) => [row.field, row.value])) }));

/** @param {{ close: () => void }} properties */
export function Drafting({ close }) {
  const [by, choose] = useState("deals");
  const [deals, name] = useState("");
  const [rows, list] = useState(/** @type {Row[]} */ ([]));
  const named = [...new Set(deals.split(/[\s,]+/).filter(Boolean))];
  const set = (/** @type {number} */ at, /** @type {keyof Row} */ field) => (/** @type {any} */ event) => list(rows.map((row, n) => (n === at ? { ...row, [field]: event.target.value.trim() } : row)));
  const act = async (/** @type {any} */ given) => {
    const common = Object.fromEntries(rows.filter((row) => !row.deal && row.field).map((row) => [row.field, row.value]));
    const what = by === "deals" ? { deals: told(named, rows) } : { period: { first: given.first.value, last: given.last.value, ...(given.book.value.trim() && { book: given.book.value.trim() }) } };
    const made = await send("POST", "/v1/filings", { kind: given.kind.value, subject: given.subject.value.trim(), common, ...what });
    toast(t("Drafted. Somebody else agrees to file it."));
    close();
    turn({ draft: made.id });
  };
  const lacking = (/** @type {any} */ error) => {
    const gaps = error.problem?.gaps ?? [];
    const missing = gaps.filter((/** @type {any} */ gap) => gap.expected.startsWith("missing") && !rows.some((row) => row.field === gap.field && (row.deal === gap.deal || !row.deal)));
    return html`${gaps.length > 0 && html`<${Small} title=${t("What is missing or wrong")} heads=${[t("deal"), t("field"), t("expected")]} rows=${gaps.map((/** @type {any} */ gap) => [html`<${Plain}>${gap.deal || "–"}<//>`, html`<${Plain}>${gap.field}<//>`, html`<${Said}>${gap.expected}<//>`])} />
      ${missing.length > 0 && html`<p><button type="button" class="act" onClick=${() => list([...rows, ...missing.map((/** @type {any} */ gap) => ({ deal: by === "deals" ? gap.deal : "", field: gap.field, value: "" }))])}>${t("Add these fields to fill in")}</button></p>`}`}
      ${error.problem?.layers && html`<${Layers} layers=${error.problem.layers} />`}`;
  };
  return html`<${Dialog} title=${t("Draft a report")} close=${close}><p class="muted">${t("Nothing is guessed: what a deal, the register of facts and the profile do not say is asked for.")}</p><${Form} act=${act} word=${t("Draft")} close=${close} told=${lacking}>
    <${Field} label=${t("kind")}><select name="kind">${KINDS.map((kind) => html`<option key=${kind} value=${kind}>${kind}</option>`)}</select><//>
    <${Field} label=${t("name of the filing")} hint=${t("The same name again amends what was filed under it.")}><input name="subject" maxlength="200" required autofocus /><//>
    <${Field} label=${t("about")}><select value=${by} onChange=${(/** @type {any} */ event) => choose(event.target.value)}><option value="deals">${t("deals by their names")}</option><option value="period">${t("all deals of a period")}</option></select><//>
    ${by === "deals" ? html`<${Field} label=${t("deals")} hint=${t("separated by spaces or commas")}><textarea dir="ltr" rows="2" required value=${deals} onInput=${(/** @type {any} */ event) => name(event.target.value)}></textarea><//>` : html`<${Field} label=${t("first day")}><input type="date" name="first" required /><//><${Field} label=${t("last day")}><input type="date" name="last" required /><//><${Field} label=${t("book")} hint=${t("empty: all")}><input name="book" dir="ltr" maxlength="200" /><//>`}
    ${rows.map((row, at) => html`<fieldset key=${at}><legend>${row.deal ? html`<${Plain}>${row.deal}<//>` : t("of all deals")}</legend>${by === "deals" && html`<${Field} label=${t("deal")}><select value=${row.deal} onChange=${set(at, "deal")}><option value="">${t("of all deals")}</option>${[...new Set([...named, row.deal])].filter(Boolean).map((one) => html`<option key=${one} value=${one}>${one}</option>`)}</select><//>`}
      <${Field} label=${t("field")}><input dir="ltr" required maxlength="40" pattern="[a-z_]+" value=${row.field} onInput=${set(at, "field")} /><//><${Field} label=${t("value")}><input dir="ltr" required maxlength="200" value=${row.value} onInput=${set(at, "value")} /><//>
      <p><button type="button" class="quiet" onClick=${() => list(rows.filter((_, n) => n !== at))}>${t("Remove")}</button></p></fieldset>`)}
    <p><button type="button" class="quiet" onClick=${() => list([...rows, { deal: "", field: "", value: "" }])}>${t("State a field")}</button></p><//><//>`;
}
