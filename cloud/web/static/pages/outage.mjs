// One outage: the message as it stands, what may be done about it and by whom, every step taken, and what each of them rests on.
// @ts-check
import { html, useState } from "../vendor/core.mjs";
import { download, get, may, results, send, session } from "../hub.mjs";
import { To } from "../place.mjs";
import { Dialog, Field, Figure, Stamp, Trouble, toast, useRead } from "../ui.mjs";
import { Plain, moment, t } from "../words.mjs";
import { Clock, Outcome } from "../conduct/parts.mjs";

const time = (/** @type {string|null} */ text) => (text ? moment(Date.parse(text) * 1e3) : "–");

// said: Planned, Unplanned, Active, Dismissed, Inactive, Production unavailability, Consumption unavailability, Connection unavailability, Other unavailability
/** @param {{ message: any }} properties */
function Message({ message }) {
  const plain = (/** @type {string} */ label, /** @type {any} */ value) => html`<div><dt>${label}</dt><dd><${Plain}>${value || "–"}<//></dd></div>`;
  return html`<section aria-label=${t("Message")}><h2>${t("Message")} <small><${Plain}>${message.id}<//> ${message.published ? "" : t("(draft)")}</small></h2>
    <dl class="facts">${plain(t("state"), t(message.status))}${plain(t("unavailability"), t(message.unavailability))}${plain(t("event type"), t(message.event_type))}${plain(t("from"), time(message.start))}${plain(t("to"), time(message.stop))}
      ${plain(t("installed"), `${message.installed} ${message.unit}`)}${plain(t("available"), `${message.available} ${message.unit}`)}${plain(t("unavailable"), `${message.unavailable} ${message.unit}`)}
      ${plain(t("Reason"), message.reason)}${plain(t("asset"), message.asset)}${plain("EIC", message.asset_eic)}${plain(t("bidding zone"), message.bidding_zone)}${plain(t("fuel"), message.fuel)}
      ${plain(t("market participant"), `${message.participant} ${message.acer_code}`)}${plain(t("decided"), time(message.decided))}${plain(t("published"), time(message.published))}</dl>
    ${message.remarks && html`<p><${Plain}>${message.remarks}<//></p>`}
    ${message.intervals.length > 0 && html`<div class="scroll" tabindex="0" role="region" aria-label=${t("Intervals")}><table><caption>${t("Intervals")}</caption><thead><tr><th scope="col">${t("from")}</th><th scope="col">${t("to")}</th><th scope="col" class="number">${t("available")}</th><th scope="col" class="number">${t("unavailable")}</th></tr></thead>
      <tbody>${message.intervals.map((/** @type {string[]} */ [from, to, left, gone]) => html`<tr key=${from}><td><${Plain}>${time(from)}<//></td><td><${Plain}>${time(to)}<//></td><td class="number"><${Plain}>${left} ${message.unit}<//></td><td class="number"><${Plain}>${gone} ${message.unit}<//></td></tr>`)}</tbody></table></div>`}</section>`;
}

/** What the reader may do now. @param {{ one: any, again: () => void }} properties */
function Acts({ one, again }) {
  const [error, fail] = useState(/** @type {any} */ (null));
  const [asked, ask] = useState("");
  if (!may("write:outages")) return null;
  const act = (/** @type {string} */ what, /** @type {any} */ body, /** @type {string} */ done) => send("POST", `/v1/outages/${one.event}/${what}`, body, { "if-match": `"${one.step}"` }).then(() => { toast(done); ask(""); fail(null); again(); }, fail);
  const over = ["ended", "withdrawn", "dismissed"].includes(one.state);
  const unpublished = ["draft", "confirmed", "publication asked"].includes(one.state);
  const waiting = one.approvals.at(-1);
  const mayAsk = one.state === "confirmed" || (one.state === "publication asked" && waiting?.state !== "open");
  return html`<section aria-label=${t("What to do")}><h2>${t("What to do")}</h2><${Trouble} error=${error} />
    ${over ? html`<p class="muted">${t("This event is over.")}</p>` : html`<p class="acts">
      ${(one.state === "draft" || one.state === "published") && html`<button type="button" class="act" onClick=${() => ask("confirm")}>${one.state === "draft" ? t("Confirm or correct") : t("Tell what has changed")}</button>`}
      ${mayAsk && html`<button type="button" class="act" onClick=${() => act("publication", undefined, t("Asked. Somebody else agrees."))}>${t("Ask for publication")}</button>`}
      <button type="button" class="quiet" onClick=${() => ask("dismiss")}>${unpublished ? t("Withdraw") : t("Dismiss")}</button></p>`}
    ${one.state === "publication asked" && html`<p class="note">${waiting?.state === "open" ? t("Waits for a second person.") : html`${t("It was not agreed to:")} <${Plain}>${waiting?.reason ?? ""}<//>`} ${may("approve") && html`<${To} path="/approvals" query=${{ approval: one.approval }}>${t("Approvals")}<//>`}</p>`}
    ${asked === "confirm" && html`<${Confirm} one=${one} act=${act} close=${() => ask("")} error=${error} />`}
    ${asked === "dismiss" && html`<${Dialog} title=${unpublished ? t("Withdraw") : t("Dismiss")} close=${() => ask("")}><${Trouble} error=${error} /><form onSubmit=${(/** @type {any} */ event) => { event.preventDefault(); act(unpublished ? "withdrawal" : "dismissal", { reason: event.target.elements.reason.value.trim() }, t("Done.")); }}>
      <${Field} label=${t("Reason")}><input name="reason" maxlength="500" required autofocus /><//><p class="acts"><button type="submit" class="act">${t("Confirm")}</button><button type="button" class="quiet" onClick=${() => ask("")}>${t("Cancel")}</button></p></form><//>`}</section>`;
}

/** The fact, with what the draft has wrong. @param {{ one: any, act: any, close: () => void, error: any }} properties */
function Confirm({ one, act, close, error }) {
  const { message } = one;
  const save = (/** @type {any} */ event) => {
    event.preventDefault();
    const given = event.target.elements;
    /** @type {any} */ const body = {};
    if (given.planned.checked !== (message.unavailability === "Planned")) body.planned = given.planned.checked;
    if (given.unavailable.value !== message.unavailable) body.unavailable = given.unavailable.value;
    if (given.stop.value && given.stop.value !== message.stop.slice(0, 16)) body.stop_us = Date.parse(`${given.stop.value}:00Z`) * 1e3;
    if (given.reason.value.trim() !== message.reason) body.reason = given.reason.value.trim();
    if (given.remarks.value.trim() && given.remarks.value.trim() !== message.remarks) body.remarks = given.remarks.value.trim();
    act("confirmation", body, t("Confirmed. The time to publication runs."));
  };
  return html`<${Dialog} title=${t("Confirm or correct")} close=${close}><${Trouble} error=${error} /><form onSubmit=${save}>
    <label class="check"><input type="checkbox" name="planned" defaultChecked=${message.unavailability === "Planned"} /> ${t("planned")}</label>
    <${Field} label=${t("unavailable capacity")} hint=${message.unit}><input name="unavailable" inputmode="decimal" pattern="[0-9]{1,9}(\\.[0-9]{1,6})?" required defaultValue=${message.unavailable} /><//>
    <${Field} label=${t("expected end (UTC)")}><input type="datetime-local" name="stop" defaultValue=${new Date(message.stop).toISOString().slice(0, 16)} /><//>
    <${Field} label=${t("Reason")}><input name="reason" maxlength="500" required defaultValue=${message.reason} /><//>
    <${Field} label=${t("Remarks")}><input name="remarks" maxlength="500" defaultValue=${message.remarks} /><//>
    <p class="acts"><button type="submit" class="act">${t("Confirm")}</button><button type="button" class="quiet" onClick=${close}>${t("Cancel")}</button></p></form><//>`;
}

// said: find, declare, change, confirm, ask, publish, withdraw, dismiss
/** @param {{ one: any }} properties */
function Course({ one }) {
  return html`<section aria-label=${t("What happened")}><h2>${t("What happened")}</h2><div class="scroll" tabindex="0" role="region" aria-label=${t("What happened")}><table><thead><tr><th scope="col">${t("time")}</th><th scope="col">${t("step")}</th><th scope="col">${t("by")}</th><th scope="col">${t("state")}</th><th scope="col">${t("evidence")}</th></tr></thead>
    <tbody>${one.steps.map((/** @type {any} */ step) => html`<tr key=${step.step}><td><${Stamp} at_us=${step.at_us} /></td><td>${t(step.deed)}</td><td><${Plain}>${step.by === "hub" ? t("the hub") : step.by}<//></td><td>${t(step.state)}</td><td><${To} path="/verify" query=${{ evidence: step.evidence }}><${Plain}>${step.evidence.slice(0, 8)}<//><//></td></tr>`)}</tbody></table></div></section>`;
}

/** @param {{ one: any }} properties */
function Judged({ one }) {
  const stated = new Map(one.findings_as_stated.map((/** @type {any} */ found) => [found.rule, found]));
  return html`<section aria-label=${t("Findings")}><h2>${t("Findings")} <small>${t("law as it is; beside it, as if unconfirmed figures held")}</small></h2><ul class="findings">
    ${one.findings.map((/** @type {any} */ found) => html`<li key=${found.rule}><${Outcome} of=${found.outcome} /> <strong><${Plain}>${found.rule}<//></strong> <${Plain}>${found.why}<//> ${stated.get(found.rule)?.outcome !== found.outcome && html`<small class="muted">(${t("as stated:")} <${Outcome} of=${stated.get(found.rule)?.outcome ?? "INDETERMINATE"} /> <${Plain}>${stated.get(found.rule)?.why}<//>)</small>`} <${To} path="/verify" query=${{ evidence: found.evidence }}>${t("evidence")}<//></li>`)}</ul></section>`;
}

/** @param {{ parts: string[] }} properties */
export function Page({ parts: [event] }) {
  const live = results.value[`outage ${event}`]?.made_us;
  const { value: one, error, again } = useRead(() => get(`/v1/outages/${encodeURIComponent(event)}`), [event, live, session.value?.name], 10_000);
  if (!one) return html`<h1><${Plain}>${event}<//></h1><${Trouble} error=${error} />${!error && html`<div class="skeleton"></div>`}`;
  return html`<h1><${Plain}>${one.unit}<//> <small class="muted"><${Plain}>${one.asset || ""}<//> ${t(one.state)}</small></h1><${Trouble} error=${error} />
    <div class="figures"><${Figure} label=${t("unavailable")} value=${one.message.unavailable} unit=${one.message.unit} note=${t("of {installed} installed", { installed: one.message.installed })} tone=${one.blocks_orders ? "bad" : ""} />
      <${Figure} label=${t("available")} value=${one.message.available} unit=${one.message.unit} /><${Figure} label=${t("to be published")} value=${html`<${Clock} of=${one.clock} />`} />
      <${Figure} label=${t("orders")} value=${one.blocks_orders ? t("blocked") : t("free")} note=${one.blocks.map((/** @type {any} */ block) => block.books.join(", "))[0] ?? ""} tone=${one.blocks_orders ? "bad" : ""} /></div>
    ${one.why && html`<p><${Plain}>${one.why}<//></p>`}
    <div class="halves"><${Message} message=${one.message} /><div><${Acts} one=${one} again=${again} /><${Judged} one=${one} /></div></div><${Course} one=${one} />
    ${one.files.length > 0 && html`<section aria-label=${t("Files")}><h2>${t("Files")}</h2><ul>${one.files.map((/** @type {any} */ file, /** @type {number} */ at) => html`<li key=${file.message}><button type="button" class="link" onClick=${() => download(`/v1/outages/${encodeURIComponent(event)}/files/${Number(file.message.slice(-3)) || at + 1}`, `${file.message}.xml`)}><${Plain}>${file.message}.xml<//></button> <${Stamp} at_us=${file.published_us} /> <small><${Plain}>SHA-256 ${file.sha256.slice(0, 16)}…<//></small></li>`)}</ul></section>`}`;
}
