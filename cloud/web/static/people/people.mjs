// People of the tenant: invite, change, disable, reset, hold and erase. What a role may is told by the hub.
// @ts-check
import { html, useState } from "../vendor/core.mjs";
import { get, may, save, send, session } from "../hub.mjs";
import { place, turn } from "../place.mjs";
import { Dialog, Field, Stamp, Table, Trouble, toast, useRead } from "../ui.mjs";
import { Plain, moment, roleName, t } from "../words.mjs";
import { Meanwhile, Secret, Typed, changed, waits } from "./parts.mjs";

const PAGE = 500;
const ROLES = ["field_engineer", "operator", "trader", "risk_manager", "compliance_officer", "esg_analyst", "auditor", "admin"];
// said: active, invited, locked, disabled, passkey, totp, person, erased
const LABELS = () => ({ display: t("Shown as"), role: t("Role"), disabled_us: t("disabled"), held_reason: t("legal hold") });

/** Everybody, page by page. */
async function everybody() {
  const found = [];
  for (let after = ""; after !== null;) {
    const page = await get(`/v1/people?limit=${PAGE}${after ? `&after=${encodeURIComponent(after)}` : ""}`);
    found.push(...page.people);
    after = page.next;
  }
  return found;
}

const address = (/** @type {string} */ invitation) => `${location.origin}/welcome?tenant=${encodeURIComponent(session.value?.tenant ?? "")}#invitation=${invitation}`;
/** @param {{ invited: any, close: () => void }} properties */
const Invited = ({ invited, close }) => html`<${Secret} title=${t("Address of the invitation")} secret=${address(invited.invitation)} close=${close}>
  <p>${t("Send this address to {name} on a way that nobody else reads. It is good until {moment}, once.", { name: invited.person.name, moment: moment(invited.ends_us) })}</p>
  ${invited.approval && html`<p class="uncertain">▲ ${t("It opens only after a second person has agreed.")}</p>`}<//>`;

const Roles = ({ value }) => html`<select name="role" value=${value}>${ROLES.map((role) => html`<option key=${role} value=${role}>${roleName(role)}</option>`)}</select>`;

function Invite({ close, done }) {
  const [error, fail] = useState(/** @type {any} */ (null));
  const submit = async (/** @type {any} */ event) => {
    event.preventDefault();
    const { name, display, role } = event.target.elements;
    await send("POST", "/v1/people", { name: name.value.trim(), display: display.value.trim(), role: role.value }).then(done, fail);
  };
  return html`<${Dialog} title=${t("Invite somebody")} close=${close}><form onSubmit=${submit}><${Trouble} error=${error} />
    <${Field} label=${t("Name to sign in with")}><input name="name" required maxlength="64" dir="ltr" autocomplete="off" autofocus /><//>
    <${Field} label=${t("Shown as")}><input name="display" required maxlength="100" autocomplete="off" /><//>
    <${Field} label=${t("Role")} hint=${t("An admin needs the agreement of a second person.")}><${Roles} value="operator" /><//>
    <p class="acts"><button type="submit" class="act">${t("Invite")}</button><button type="button" class="quiet" onClick=${close}>${t("Cancel")}</button></p></form><//>`;
}

/** @param {{ given: any, close: () => void, again: () => void, invited: (found: any) => void }} properties */
function Person({ given, close, again, invited }) {
  const [one, show] = useState(given);
  const [lost, lose] = useState(/** @type {any} */ (null));
  const [error, fail] = useState(/** @type {any} */ (null));
  const [asked, ask] = useState(/** @type {string|null} */ (null));
  const me = session.value;
  const own = me?.name === one.name;
  const read = () => get(`/v1/people/${one.id}`);
  const change = async (/** @type {any} */ body) => {
    fail(null);
    try {
      const { done, now } = await changed("PATCH", `/v1/people/${one.id}`, body, one.version, read);
      if (now) { lose({ before: one, now }); show(now); } else { lose(null); show(done.person); toast(t("Kept")); waits(done.approval); }
      again();
    } catch (fault) { fail(fault); }
  };
  const submit = (/** @type {any} */ event) => {
    event.preventDefault();
    const { display, role } = event.target.elements;
    const body = { ...(display.value.trim() === one.display ? {} : { display: display.value.trim() }), ...(role.value === one.role ? {} : { role: role.value }) };
    if (Object.keys(body).length) change(body);
  };
  const reset = async () => { const found = await send("POST", `/v1/people/${one.id}/reset`); again(); close(); invited(found); };
  const erase = async () => { const found = await send("POST", `/v1/people/${one.id}/erasure`); waits(found.approval); again(); };
  const data = () => get(`/v1/people/${one.id}/data`).then((found) => save(new Blob([JSON.stringify(found, null, 2)], { type: "application/json" }), `${one.name}.json`), fail);
  const endHold = () => send("DELETE", `/v1/people/${one.id}/hold`).then(async () => { show(await read()); again(); }, fail);
  const hold = async (/** @type {any} */ event) => { event.preventDefault(); await send("PUT", `/v1/people/${one.id}/hold`, { reason: event.target.elements.reason.value.trim() }).then(async () => { ask(null); show(await read()); again(); }, fail); };
  const writes = may("write:people");
  return html`<${Dialog} title=${one.name} close=${close}><${Trouble} error=${error} />${lost && html`<${Meanwhile} ...${lost} labels=${LABELS()} />`}
    <dl class="facts"><div><dt>${t("State")}</dt><dd>${t(one.state)}</dd></div><div><dt>${t("second factors")}</dt><dd>${one.second_factors.length ? one.second_factors.map((/** @type {string} */ factor) => t(factor)).join(", ") : t("none")}</dd></div>
      <div><dt>${t("since")}</dt><dd><${Stamp} at_us=${one.created_us} /></dd></div>${one.held_us && html`<div><dt>${t("legal hold")}</dt><dd>${one.held_reason}</dd></div>`}</dl>
    ${writes && html`<form key=${one.version} onSubmit=${submit}><${Field} label=${t("Shown as")}><input name="display" value=${one.display} required maxlength="100" /><//>
      <${Field} label=${t("Role")} hint=${own ? t("Nobody changes their own role.") : t("An admin needs the agreement of a second person.")}><${Roles} value=${one.role} /><//>
      <p class="acts"><button type="submit" class="act">${t("Keep")}</button></p></form>
    <p class="acts">${one.disabled_us ? html`<button type="button" class="act" onClick=${() => change({ disabled: false })}>${t("Enable")}</button>` : html`<button type="button" class="act" disabled=${own} onClick=${() => change({ disabled: true })}>${t("Disable")}</button>`}
      <button type="button" class="act" disabled=${own || one.disabled_us} onClick=${() => ask("reset")}>${t("Reset")}</button><button type="button" class="act" onClick=${data}>${t("Data held about them")}</button>
      ${may("write:tenant") && (one.held_us ? html`<button type="button" class="act" onClick=${endHold}>${t("End the legal hold")}</button>` : html`<button type="button" class="act" onClick=${() => ask("hold")}>${t("Legal hold")}</button>`)}
      <button type="button" class="act" disabled=${own || one.held_us} onClick=${() => ask("erase")}>${t("Erase")}</button></p>`}
    ${asked === "hold" && html`<form onSubmit=${hold}><${Field} label=${t("Reason of the hold")}><input name="reason" required maxlength="300" autofocus /><//><p class="acts"><button type="submit" class="act">${t("Hold")}</button></p></form>`}
    <p class="acts"><button type="button" class="quiet" onClick=${close}>${t("Close")}</button></p>
    ${asked === "reset" && html`<${Typed} title=${t("Reset")} word=${one.name} act=${reset} close=${() => ask(null)}><p>${t("Password and second factors are taken away, every session ends, and a new invitation is made.")}</p><//>`}
    ${asked === "erase" && html`<${Typed} title=${t("Erase")} word=${one.name} act=${erase} close=${() => ask(null)}><p>${t("When a second person has agreed, name and factors are replaced by a pseudonym. The journal keeps its digests.")}</p><//>`}<//>`;
}

const COLUMNS = () => [
  { name: "name", title: t("Name"), value: (/** @type {any} */ one) => one.name, show: (/** @type {any} */ one) => html`<${Plain}>${one.name}<//>` },
  { name: "display", title: t("Shown as"), wide: true, value: (/** @type {any} */ one) => one.display },
  { name: "role", title: t("Role"), value: (/** @type {any} */ one) => roleName(one.role) },
  { name: "state", title: t("State"), value: (/** @type {any} */ one) => t(one.state), show: (/** @type {any} */ one) => html`<span class=${one.state === "locked" ? "uncertain" : one.state === "active" ? "" : "muted"}>${one.state === "locked" ? "▲ " : ""}${t(one.state)}</span>` },
  { name: "factors", title: t("second factors"), wide: true, value: (/** @type {any} */ one) => one.second_factors.map((/** @type {string} */ factor) => t(factor)).join(", "), show: (/** @type {any} */ one) => one.second_factors.map((/** @type {string} */ factor) => t(factor)).join(", ") || html`<span class="muted">${t("none")}</span>` },
];

export function People() {
  const { value, error, again } = useRead(everybody, [], 30_000);
  const [inviting, invite] = useState(false);
  const [invited, show] = useState(/** @type {any} */ (null));
  const chosen = value?.find((/** @type {any} */ one) => one.name === place.value.query.person);
  const tools = may("write:people") && html`<button type="button" class="act" onClick=${() => invite(true)}>${t("Invite somebody")}</button>`;
  return html`<${Trouble} error=${error} />${value ? html`<${Table} name="people" title=${t("People")} columns=${COLUMNS()} rows=${value} id=${(/** @type {any} */ one) => one.name} pick=${(/** @type {any} */ one) => turn({ person: one.name })} sort="name" tools=${tools} />` : html`<div class="skeleton"></div>`}
    ${inviting && html`<${Invite} close=${() => invite(false)} done=${(/** @type {any} */ found) => { invite(false); show(found); again(); waits(found.approval); }} />`}
    ${chosen && html`<${Person} key=${chosen.id} given=${chosen} close=${() => turn({ person: null })} again=${again} invited=${show} />`}
    ${invited && html`<${Invited} invited=${invited} close=${() => show(null)} />`}`;
}
