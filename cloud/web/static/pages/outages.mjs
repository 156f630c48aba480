// Outages that the market has to be told of: what waits, how long, and what is out. The newest first.
// @ts-check
import { html, useState } from "../vendor/core.mjs";
import { get, may, results, send } from "../hub.mjs";
import { go, onward } from "../place.mjs";
import { Clock } from "../conduct/parts.mjs";
import { Dialog, Field, Table, Trouble, toast, useRead } from "../ui.mjs";
import { Plain, moment, t } from "../words.mjs";

// said: draft, confirmed, publication asked, published, ended, withdrawn, dismissed, disclose, review
const ORDER = ["draft", "confirmed", "publication asked", "published", "ended", "withdrawn", "dismissed"];

const COLUMNS = () => [
  { name: "event", title: t("event"), value: (/** @type {any} */ one) => one.event, show: (/** @type {any} */ one) => html`<${Plain}>${one.event}<//>` },
  { name: "unit", title: t("unit"), value: (/** @type {any} */ one) => one.unit, show: (/** @type {any} */ one) => html`<${Plain}>${one.unit}<//>` },
  { name: "asset", title: t("asset"), wide: true, value: (/** @type {any} */ one) => one.asset, show: (/** @type {any} */ one) => html`<${Plain}>${one.asset || "–"}<//>` },
  { name: "state", title: t("state"), value: (/** @type {any} */ one) => ORDER.indexOf(one.state), show: (/** @type {any} */ one) => t(one.state) },
  { name: "lost", title: t("unavailable"), number: true, value: (/** @type {any} */ one) => Number(one.message.unavailable), show: (/** @type {any} */ one) => html`<${Plain}>${one.message.unavailable} / ${one.message.installed} ${one.message.unit}<//>` },
  { name: "since", title: t("since"), wide: true, value: (/** @type {any} */ one) => one.message.start, show: (/** @type {any} */ one) => html`<${Plain}>${moment(Date.parse(one.message.start) * 1e3)}<//>` },
  { name: "clock", title: t("to be published"), value: (/** @type {any} */ one) => one.clock?.left_s ?? null, show: (/** @type {any} */ one) => html`<${Clock} of=${one.clock} />` },
];

const micros = (/** @type {string} */ text) => Date.parse(`${text}:00Z`) * 1e3; // the field is said to be UTC

/** Planned work, as somebody knows it. @param {{ close: () => void }} properties */
function Declare({ close }) {
  const [error, fail] = useState(/** @type {any} */ (null));
  const { value: profile } = useRead(() => get("/v1/compliance/profile"), []);
  const save = (/** @type {any} */ event) => {
    event.preventDefault();
    const given = event.target.elements;
    const body = { unit: given.unit.value, start_us: micros(given.start.value), stop_us: micros(given.stop.value), unavailable: given.unavailable.value, planned: given.planned.checked, reason: given.reason.value.trim() };
    send("POST", "/v1/outages", body).then((made) => { toast(t("Entered. Ask for its publication next.")); close(); go(onward(`/outages/${made.event}`)); }, fail);
  };
  return html`<${Dialog} title=${t("Enter an outage")} close=${close}><${Trouble} error=${error} /><form onSubmit=${save}>
    <${Field} label=${t("unit")}><select name="unit" required>${(profile?.units ?? []).map((/** @type {any} */ one) => html`<option key=${one.name} value=${one.name}>${one.name}</option>`)}</select><//>
    <${Field} label=${t("from (UTC)")}><input type="datetime-local" name="start" required /><//><${Field} label=${t("to (UTC)")}><input type="datetime-local" name="stop" required /><//>
    <${Field} label=${t("unavailable capacity")} hint=${t("in the measure of the unit")}><input name="unavailable" inputmode="decimal" pattern="[0-9]{1,9}(\\.[0-9]{1,6})?" required /><//>
    <label class="check"><input type="checkbox" name="planned" checked /> ${t("planned")}</label>
    <${Field} label=${t("Reason")}><input name="reason" maxlength="500" required /><//>
    <p class="acts"><button type="submit" class="act">${t("Enter")}</button><button type="button" class="quiet" onClick=${close}>${t("Cancel")}</button></p></form><//>`;
}

export function Page() {
  const live = Object.values(results.value).filter((one) => one.kind === "outage").map((one) => one.made_us).join();
  const { value, error } = useRead(() => get("/v1/outages?limit=500"), [live], 10_000);
  const [entering, enter] = useState(false);
  const tools = may("write:outages") && html`<button type="button" class="act" onClick=${() => enter(true)}>${t("Enter an outage")}</button>`;
  return html`<h1>${t("Outages")} <small class="muted">${t("from the asset's state to the published message")}</small></h1><${Trouble} error=${error} />
    ${value?.problems.map((/** @type {string} */ problem) => html`<p key=${problem} class="uncertain">▲ <${Plain}>${problem}<//></p>`)}
    ${value ? html`<${Table} name="outages" title=${t("Outages")} columns=${COLUMNS()} rows=${value.outages} id=${(/** @type {any} */ one) => one.event} open=${(/** @type {any} */ one) => go(onward(`/outages/${one.event}`))} tools=${tools} empty=${t("No unit has lost capacity.")} />` : html`<div class="skeleton"></div>`}
    ${entering && html`<${Declare} close=${() => enter(false)} />`}`;
}
