// Evidence for controls: what the hub can answer of an audit, asked now and kept with its hash, looked at and signed off by a person. Evidence
// for a control and no certificate. Below it the register of what is done with personal data.
// @ts-check
import { html } from "../vendor/core.mjs";
import { get, may, send } from "../hub.mjs";
import { place, turn } from "../place.mjs";
import { Field, Seen, Table, Trouble, toast, useRead } from "../ui.mjs";
import { Plain, moment, t, whole } from "../words.mjs";
import { Evidence, Form, One, Said, Small, fact } from "./parts.mjs";

const clauses = (/** @type {any} */ one) => Object.entries(one.references).map(([name, found]) => `${name}: ${/** @type {string[]} */ (found).join(", ") || "–"}`).join("; ");
const state = (/** @type {any} */ one) => (one.not_answered ? "not answered here" : !one.last ? "never asked" : one.overdue ? "to be asked again" : one.last.signed_by ? "signed off" : "not looked at");
// said: not answered here, never asked, to be asked again, signed off, not looked at
const COLUMNS = () => [
  { name: "id", title: t("control"), value: (/** @type {any} */ one) => one.id, show: (/** @type {any} */ one) => html`<${Plain}>${one.id}<//>` },
  { name: "title", title: t("title"), value: (/** @type {any} */ one) => one.title, show: (/** @type {any} */ one) => html`<${Said}>${one.title}<//>` },
  { name: "state", title: t("state"), value: state, show: (/** @type {any} */ one) => html`<span class=${one.overdue ? "uncertain" : ""}>${one.overdue && html`<span aria-hidden="true">▲ </span>`}${t(state(one))}</span>` },
  { name: "last", title: t("last asked"), value: (/** @type {any} */ one) => one.last?.as_of_us ?? null, show: (/** @type {any} */ one) => html`<${Plain}>${one.last ? moment(one.last.as_of_us) : "–"}<//>` },
  { name: "rows", title: t("rows"), number: true, wide: true, value: (/** @type {any} */ one) => one.last?.rows ?? null },
  { name: "clauses", title: t("evidence for (our reading)"), wide: true, value: clauses, show: (/** @type {any} */ one) => html`<${Said}>${clauses(one)}<//>` },
];

const cell = (/** @type {any} */ value) => (value === true ? t("yes") : value === false ? html`<span class="uncertain">${t("no")}</span>` : typeof value === "number" && Math.abs(value) > 1e14 ? html`<${Plain}>${moment(value)}<//>` : html`<${Plain}>${value === null || value === undefined ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value)}<//>`);

/** @param {{ of: string }} properties */
function Result({ of }) {
  const { value: one, error } = useRead(() => get(`/v1/controls/${of}/result`), [of]);
  if (!one) return html`<${Trouble} error=${error} />${!error && html`<div class="skeleton" aria-busy="true"></div>`}`;
  const names = [...new Set(one.found.flatMap((/** @type {any} */ row) => Object.keys(row)))];
  const columns = names.map((/** @type {any} */ name) => ({ name, title: name.replace(/_us$/, "").replaceAll("_", " "), value: (/** @type {any} */ row) => (typeof row[name] === "object" && row[name] !== null ? JSON.stringify(row[name]) : row[name]), show: (/** @type {any} */ row) => cell(row[name]) }));
  return html`<${Table} name="result" title=${t("What was found")} columns=${columns} rows=${one.found.map((/** @type {any} */ row, /** @type {number} */ at) => ({ ...row, at }))} id=${(/** @type {any} */ row) => row.at} height=${360} empty=${t("No row answers to it.")} />`;
}

/** @param {{ one: any, again: () => void }} properties */
function Control({ one, again }) {
  const { last } = one;
  const run = () => send("POST", `/v1/controls/${one.id}/runs`).then(() => { toast(t("Asked and kept.")); again(); });
  const sign = (/** @type {any} */ given) => send("POST", `/v1/controls/${one.id}/sign-off`, { result: last.result, remark: given.remark.value.trim() }).then(() => { toast(t("Signed off.")); again(); });
  return html`<${One} back=${{ control: null }} title=${html`<${Plain}>${one.id}<//> <${Said}>${one.title}<//>`}>
    <dl class="facts">${Object.entries(one.references).map(([name, found]) => fact(name, /** @type {string[]} */ (found).join(", ") || "–"))}${fact(t("asked every"), t("{n} day|{n} days", { n: one.every_days }))}</dl>
    <p>${one.evidence_for ? html`${t("Evidence for the control:")} <${Said}>${one.evidence_for}<//>` : html`${t("The hub does not answer it:")} <${Said}>${one.not_answered}<//>`} <small class="muted">${t("The clauses are our reading, and unconfirmed.")}</small></p>
    ${!one.not_answered && may("write:compliance") && html`<${Form} act=${run} word=${t("Ask now")} />`}
    ${last && html`<dl class="facts">${fact(t("asked"), moment(last.as_of_us))}${Object.entries(last.summary).map(([name, value]) => fact(name, typeof value === "number" ? whole(value) : String(value)))}${fact("SHA-256", html`<code title=${last.sha256}>${last.sha256.slice(0, 16)}…</code>`)}<div><dt>${t("evidence")}</dt><dd><${Evidence} row=${last.result} /></dd></div>${fact(t("signed off by"), last.signed_by ?? "–")}</dl>
      ${!last.signed_by && may("write:compliance") && html`<${Form} act=${sign} word=${t("Sign off")}><${Field} label=${t("What you found when you looked at it")}><input name="remark" maxlength="1000" required /><//><//>`}
      <${Result} key=${last.result} of=${one.id} />`}<//>`;
}

/** What is done with personal data. */
function Register() {
  const { value, error } = useRead(() => get("/v1/privacy/register"), []);
  if (!value) return html`<${Trouble} error=${error} />${!error && html`<div class="skeleton" aria-busy="true"></div>`}`;
  const list = (/** @type {string[]} */ found) => html`<${Said}>${found.join("; ")}<//>`;
  return html`<section aria-label=${t("Register of processing")}><div class="tools"><h2>${t("Register of processing")} <small>${t("personal data in this program (GDPR, art. 30); our reading, unconfirmed")}</small></h2></div>
    <dl class="facts">${fact(t("jurisdiction"), value.jurisdiction)}${fact(t("kept for"), value.retention_days ? t("{n} day|{n} days", { n: value.retention_days }) : t("no limit"))}${fact(t("legal holds"), value.legal_holds.map((/** @type {any} */ held) => `${t("person {number}", { number: String(held.person) })}: ${held.reason}`).join("; ") || "–")}${fact(t("people erased"), whole(value.erased_people))}</dl>
    ${value.activities.map((/** @type {any} */ one) => html`<details key=${one.name}><summary><${Said}>${one.name}<//></summary><dl class="facts">${fact(t("what for"), one.purpose)}${fact(t("on which ground"), one.basis)}${fact(t("of whom"), one.persons)}${fact(t("which data"), list(one.data))}${fact(t("tables"), list(one.tables))}${fact(t("who gets them"), one.recipients)}${fact(t("to other countries"), one.transfers)}${fact(t("kept for"), one.retention)}${fact(t("measures"), list(one.measures))}</dl></details>`)}
    <p class="muted">${t("What a tenant does outside of the hub is not in it.")}</p></section>`;
}

export function Part() {
  const { control } = place.value.query;
  const { value, error, again } = useRead(() => get("/v1/controls"), [], 60_000);
  const one = value?.controls.find((/** @type {any} */ found) => found.id === control);
  if (one) return html`<${Control} key=${one.id} one=${one} again=${again} />`;
  return html`<p class="muted">${t("Evidence for controls of SOC 2, ISO/IEC 27001 and IEC 62443, never a certificate.")}</p><${Trouble} error=${error} />
    ${value ? html`<${Table} name="controls" title=${t("Controls")} columns=${COLUMNS()} rows=${value.controls} id=${(/** @type {any} */ found) => found.id} open=${(/** @type {any} */ found) => turn({ control: found.id })} />` : !error && html`<div class="skeleton" aria-busy="true"></div>`}
    <${Seen} title=${t("Register of processing")}><${Register} /><//>`;
}
