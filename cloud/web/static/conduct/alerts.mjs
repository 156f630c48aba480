// Alerts of conduct: what was found in the order events, and what people did about it. An alert is for somebody to look at and decide; it is
// no verdict. For those who may see conduct: the desk may not.
// @ts-check
import { html, useState } from "../vendor/core.mjs";
import { get, may, send, session } from "../hub.mjs";
import { address, go, onward, place, turn } from "../place.mjs";
import { Dialog, Field, Stamp, Table, Trouble, toast, useRead } from "../ui.mjs";
import { Plain, fine, moment, t, whole } from "../words.mjs";
import { Evidence, Form, One, Said, Small, fact } from "./parts.mjs";

const PAGE = 200;
const me = () => /** @type {any} */ (session.value)?.person;
const who = (/** @type {number|null} */ person) => (person === null || person === undefined ? "–" : person === me() ? t("you") : t("person {number}", { number: String(person) }));

// said: open, assigned, to be reported, closed, assign, note, decide, STOR, no further action
const COLUMNS = () => [
  { name: "id", title: t("alert"), value: (/** @type {any} */ one) => one.id, show: (/** @type {any} */ one) => html`<${Plain}>${one.id}<//>` },
  { name: "pattern", title: t("pattern"), value: (/** @type {any} */ one) => one.pattern, show: (/** @type {any} */ one) => html`<${Said}>${one.pattern}<//>` },
  { name: "state", title: t("state"), value: (/** @type {any} */ one) => one.state, show: (/** @type {any} */ one) => t(one.state) },
  { name: "first", title: t("from"), value: (/** @type {any} */ one) => one.first_us, show: (/** @type {any} */ one) => html`<${Plain}>${moment(one.first_us)}<//>` },
  { name: "grade", title: t("grade"), wide: true, value: (/** @type {any} */ one) => one.grade, show: (/** @type {any} */ one) => html`<${Plain}>${one.grade}<//>` },
  { name: "guard", title: t("speaks against it"), wide: true, value: (/** @type {any} */ one) => one.guard ?? "", show: (/** @type {any} */ one) => html`<${Said}>${one.guard || "–"}<//>` },
  { name: "owner", title: t("owner"), wide: true, value: (/** @type {any} */ one) => one.owner, show: (/** @type {any} */ one) => html`<${Plain}>${one.owner}<//>` },
  { name: "analyst", title: t("analyst"), wide: true, value: (/** @type {any} */ one) => one.analyst, show: (/** @type {any} */ one) => who(one.analyst) },
];

function List() {
  const [more, add] = useState(/** @type {{ rows: any[], next: number|null }|null} */ (null));
  const [fault, fail] = useState(/** @type {any} */ (null));
  const { value, error } = useRead(() => get(`/v1/conduct/alerts?limit=${PAGE}`), [], 30_000);
  const next = more ? more.next : value?.next;
  const older = () => get(`/v1/conduct/alerts?limit=${PAGE}&before=${next}`).then((found) => add({ rows: [...(more?.rows ?? []), ...found.alerts], next: found.next }), fail);
  const rows = [...(value?.alerts ?? []), ...(more?.rows ?? [])];
  return html`<p class="muted">${t("An alert is for somebody to look at and decide. It is no verdict, and the desk does not see it.")}</p><${Trouble} error=${error ?? fault} />
    ${value ? html`<${Table} name="alerts" title=${t("Alerts")} columns=${COLUMNS()} rows=${rows} id=${(/** @type {any} */ one) => one.id} open=${(/** @type {any} */ one) => turn({ alert: one.id })} tools=${next ? html`<button type="button" class="quiet" onClick=${older}>${t("Older")}</button>` : null} empty=${t("No order event has raised an alert.")} />` : !error && html`<div class="skeleton" aria-busy="true"></div>`}`;
}

/** @param {{ one: any, close: () => void }} properties */
function Report({ one, close }) {
  const [persons, list] = useState([{ name: one.owner, lei: "", identifier: "" }]);
  const set = (/** @type {number} */ at, /** @type {string} */ name) => (/** @type {any} */ event) => list(persons.map((person, n) => (n === at ? { ...person, [name]: event.target.value } : person)));
  const act = (/** @type {any} */ given) => send("POST", `/v1/conduct/alerts/${one.id}/stor`, { authority: given.authority.value.trim(), capacity: given.capacity.value.trim(), contact: given.contact.value.trim(), persons }).then((made) => {
    toast(t("Drafted. Somebody else agrees to file it."));
    close();
    go(onward("/compliance", { tab: "filings", draft: made.id }));
  });
  return html`<${Dialog} title=${t("Draft a report to the authority (STOR)")} close=${close}><${Form} act=${act} word=${t("Draft")} close=${close}>
    <${Field} label=${t("authority")}><input name="authority" maxlength="200" required autofocus /><//>
    <${Field} label=${t("in which capacity we dealt")}><input name="capacity" maxlength="200" required /><//>
    <${Field} label=${t("whom the authority may ask")}><input name="contact" maxlength="200" required /><//>
    ${persons.map((person, at) => html`<fieldset key=${at}><legend>${t("Person {number}", { number: at + 1 })}</legend><${Field} label=${t("name")}><input required maxlength="200" value=${person.name} onInput=${set(at, "name")} /><//>
      <${Field} label=${t("LEI, where it is a company")}><input dir="ltr" maxlength="20" value=${person.lei} onInput=${set(at, "lei")} /><//><${Field} label=${t("or another identifier, such as the account")}><input dir="ltr" maxlength="200" value=${person.identifier} onInput=${set(at, "identifier")} /><//></fieldset>`)}
    <p><button type="button" class="quiet" onClick=${() => list([...persons, { name: "", lei: "", identifier: "" }])}>${t("Another person")}</button></p><//><//>`;
}

/** What the reader may do now. @param {{ one: any, again: () => void }} properties */
function Acts({ one, again }) {
  const [reporting, report] = useState(false);
  if (!may("write:compliance")) return null;
  const ask = (/** @type {string} */ what, /** @type {any} */ body, /** @type {string} */ done) => send("POST", `/v1/conduct/alerts/${one.id}/${what}`, body).then(() => { toast(done); again(); });
  const undecided = one.state === "open" || one.state === "assigned";
  const note = (/** @type {any} */ given) => ask("notes", { text: given.text.value.trim() }, t("Noted.")).then(() => { given.text.value = ""; });
  return html`<section class="panel" aria-label=${t("What to do")}><h3>${t("What to do")}</h3>
    ${undecided && one.analyst !== me() && html`<${Form} act=${() => ask("assignment", {}, t("The alert is yours."))} word=${t("Assign to me")}><p class="muted">${t("Only the analyst it is assigned to decides.")}</p><//>`}
    ${undecided && one.analyst === me() && html`<${Form} act=${(/** @type {any} */ given) => ask("decision", { decision: given.decision.value, reasons: given.reasons.value.trim() }, t("Decided."))} word=${t("Decide")}>
      <${Field} label=${t("decision")} hint=${t("once; it is kept either way")}><select name="decision"><option value="no further action">${t("no further action")}</option><option value="STOR">${t("STOR")}</option></select><//>
      <${Field} label=${t("Reasons")}><textarea name="reasons" rows="3" maxlength="2000" required></textarea><//><//>`}
    ${one.state === "to be reported" && html`<p class="acts"><button type="button" class="act" onClick=${() => report(true)}>${t("Draft a report to the authority (STOR)")}</button></p>`}
    <${Form} act=${note} word=${t("Add a note")}><${Field} label=${t("Note")}><textarea name="text" rows="2" maxlength="2000" required></textarea><//><//>
    ${reporting && html`<${Report} one=${one} close=${() => report(false)} />`}</section>`;
}

/** @param {{ one: any }} properties */
function Course({ one }) {
  const rows = one.steps.map((/** @type {any} */ step) => [html`<${Stamp} at_us=${step.at_us} />`, html`<${Plain}>${step.by === `person/${me()}` ? t("you") : step.by}<//>`, t(step.step), html`${step.person !== null && who(step.person)} ${step.decision && html`<strong>${t(step.decision)}</strong>`} ${step.text}`]);
  return rows.length ? html`<${Small} title=${t("What happened")} heads=${[t("time"), t("by"), t("step"), t("detail")]} rows=${rows} />` : html`<p class="muted">${t("Nobody has looked at it yet.")}</p>`;
}

const told = (/** @type {any} */ value) => (typeof value === "number" ? (Math.abs(value) > 1e14 ? moment(value) : fine(value)) : typeof value === "object" && value !== null ? JSON.stringify(value) : String(value ?? "–"));

/** @param {{ found: any }} properties */
function Found({ found }) {
  const lists = new Set(["measures", "orders", "events", "accounts", "grade", "guard", "owner", "pattern", "first_us", "last_us"]); // shown elsewhere
  const rest = Object.entries(found).filter(([name]) => !lists.has(name));
  return html`<dl class="facts">${rest.map(([name, value]) => fact(name.replace(/_us$/, "").replaceAll("_", " "), told(value)))}</dl>
    ${found.measures && html`<${Small} title=${t("Measures")} heads=${[t("measure"), t("value")]} numbers=${[1]} rows=${Object.entries(found.measures).map(([name, value]) => [html`<${Said}>${name}<//>`, html`<${Plain}>${told(value)}<//>`])} />`}
    <p><strong>${t("Orders")}</strong> <${Plain}>${(found.orders ?? []).join(", ") || "–"}<//></p><p><strong>${t("Accounts")}</strong> <${Plain}>${(found.accounts ?? []).join(", ") || "–"}<//></p>
    <details><summary>${t("{n} order event|{n} order events", { n: (found.events ?? []).length })}</summary><p><${Plain}>${(found.events ?? []).map((/** @type {any} */ one) => `${one.source} ${whole(one.sequence)}`).join(", ")}<//></p></details>`;
}

/** @param {{ id: string }} properties */
function Alert({ id }) {
  const { value: one, error, again } = useRead(() => get(address(`/v1/conduct/alerts/${encodeURIComponent(id)}`)), [id], 30_000);
  return html`<${One} back=${{ alert: null }} title=${html`${t("Alert {number}", { number: id })} ${one && html`<small><${Said}>${one.pattern}<//> · ${t(one.state)}</small>`}`}><${Trouble} error=${error} />
    ${!one && !error && html`<div class="skeleton" aria-busy="true"></div>`}${one && html`<dl class="facts">${fact(t("from"), moment(one.first_us))}${fact(t("to"), moment(one.last_us))}${fact(t("found"), moment(one.made_us))}${fact(t("grade"), one.grade)}${fact(t("owner"), one.owner)}<div><dt>${t("analyst")}</dt><dd>${who(one.analyst)}</dd></div><div><dt>${t("evidence")}</dt><dd><${Evidence} row=${one.evidence} /></dd></div></dl>
      ${one.guard && html`<p class="uncertain">▲ ${t("This speaks against it:")} <${Said}>${one.guard}<//></p>`}
      <div class="halves"><section aria-label=${t("What was found")}><h3>${t("What was found")}</h3><${Found} found=${one.found} /></section><div><${Acts} one=${one} again=${again} /><${Course} one=${one} /></div></div>`}<//>`;
}

export function Part() {
  const { alert } = place.value.query;
  return alert ? html`<${Alert} key=${alert} id=${alert} />` : html`<${List} />`;
}
