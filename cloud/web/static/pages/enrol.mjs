// A gateway from its name to its first value: name, voucher with the commands to paste, its key to compare, first batch, first value.
// The voucher is shown once and kept nowhere; all else stands in the address, so that a phone that slept goes on where it was.
// @ts-check
import { html, signal, useEffect, useState } from "../vendor/core.mjs";
import { gateways, get, latest, may, now, send, tags, tick } from "../hub.mjs";
import { To, place, turn } from "../place.mjs";
import { Empty, Field, Later, Trouble, toast, useRead } from "../ui.mjs";
import { Plain, fine, known, lasting, moment, severity, t } from "../words.mjs";
import { Fingerprint, Quality, Revoke, keyEnded } from "./gateway.mjs";

const EVERY_MS = 2_000;
const HOURS = 24;
const NAME = /^[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?$/;
const trends = () => import("../ui/chart.mjs").then((module) => module.Trends);
const made = signal(/** @type {{ voucher: string, gateway: string, ends_us: number }|null} */ (null));

// said: Name, Voucher, Key, First batch, First value
const STEPS = ["Name", "Voucher", "Key", "First batch", "First value"];
/** @param {{ at: number }} properties */
const Steps = ({ at }) => html`<ol class="steps" aria-label=${t("Steps")}>${STEPS.map((step, n) => html`<li key=${step} class=${n < at ? "passed" : ""} aria-current=${n === at ? "step" : undefined}>${n + 1}. ${t(step)}</li>`)}</ol>`;

/** @param {string} name */
async function makeVoucher(name) {
  made.value = await send("POST", "/v1/vouchers", { gateway: name, hours: HOURS });
  turn({ gateway: name, ends: made.value?.ends_us, compared: null });
}

function Name() {
  const [fault, tell] = useState("");
  const [error, fail] = useState(/** @type {any} */ (null));
  const [busy, work] = useState(false);
  const submit = async (/** @type {any} */ event) => {
    event.preventDefault();
    const name = event.target.elements.gateway.value.trim();
    if (!NAME.test(name)) { tell(t("Expected small letters, digits, dots, hyphens and underscores, at most 63, such as rig7")); return; }
    tell("");
    work(true);
    try { await makeVoucher(name); } catch (problem) { fail(problem); }
    work(false);
  };
  return html`<form onSubmit=${submit} class="card wide-card"><${Field} label=${t("Name of the gateway")} hint=${t("Small letters and digits; it stands before every tag and is never changed")} fault=${fault}><input name="gateway" autocomplete="off" autocapitalize="none" spellcheck=${false} maxlength="63" autofocus /><//>
    <${Trouble} error=${error} /><p class="acts"><button type="submit" class="act" disabled=${busy}>${t("Make a voucher")}</button></p></form>`;
}

/** @param {{ text: string, label: string }} properties */
function Paste({ text, label }) {
  const copy = () => navigator.clipboard?.writeText(text).then(() => toast(t("Copied")), () => toast(t("Copying is not allowed here: mark and copy by hand")));
  return html`<div class="paste"><pre tabindex="0" aria-label=${label}><${Plain}>${text}<//></pre><button type="button" class="act" onClick=${copy}>${t("Copy")}</button></div>`;
}

/** Asks for the device, so that nothing may be pasted behind it. @param {string} name */
const prepare = (name) => `qenergyz edge init . --name ${name} --hub ${location.origin}`;
/** The voucher goes into a file, so that it stands in no list of processes. @param {string} voucher */
const introduce = (voucher) => `(umask 077 && printf '%s' '${voucher}' > voucher)
qenergyz edge enrol gateway.toml --voucher @voucher && rm voucher
qenergyz edge run gateway.toml`;

/** @param {{ name: string, ends_us: number, used: boolean, again: () => void }} properties */
function Voucher({ name, ends_us, used, again }) {
  const mine = made.value?.gateway === name ? made.value : null;
  const left_s = ends_us / 1e6 - now.value / 1e3;
  const another = html`<button type="button" class="act" onClick=${again}>${t("Make another voucher")}</button>`;
  if (used) return html`<p class="note">${t("The key that came with this voucher was ended. To let the right gateway in, make another voucher.")}</p><p>${another}</p>`;
  if (left_s <= 0) return html`<div class="trouble" role="alert"><span aria-hidden="true">■</span> <span>${t("The voucher ended at {at} without being used. Make another one and paste the commands again; what was set up on the gateway stays.", { at: moment(ends_us) })}</span></div><p>${another}</p>`;
  return html`<p>${t("On the gateway, in an empty folder, write its file; you are asked for the first device and its address:")}</p><${Paste} text=${prepare(name)} label=${t("command that writes the gateway's file")} />
    <p>${t("Then introduce it and start it:")}</p>${mine ? html`<${Paste} text=${introduce(mine.voucher)} label=${t("commands that introduce and start the gateway")} />` : html`<p class="note">${t("The voucher was shown once and is not kept. If it was not used, make another one.")}</p><p>${another}</p>`}
    <p class="muted">${t("It works once, for this name only, and for another {time}.", { time: lasting(left_s) })}</p>
    <p role="status"><span class="waiting" aria-hidden="true"></span>${t("Waiting for the gateway to introduce itself …")}</p>`;
}

/** @param {{ name: string, keys: any[] }} properties */
function Key({ name, keys }) {
  const [other, revoke] = useState(false);
  return html`<p>${t("A gateway has introduced itself with this key. Compare it with what `qenergyz edge enrol` printed on the gateway:")}</p>
    ${keys.map((key) => html`<p key=${key.kid} class="fingerprint"><${Fingerprint} kid=${key.kid} /></p>`)}
    <p class="acts"><button type="button" class="act" onClick=${() => turn({ compared: "yes" })}>${t("It is the same")}</button><button type="button" class="act danger" onClick=${() => revoke(true)}>${t("It is another: revoke …")}</button></p>
    ${other && html`<${Revoke} name=${name} close=${() => revoke(false)} />`}`;
}

/** @param {{ row: any }} properties */
function First({ row }) {
  tick.value;
  const own = (tags.value ?? []).filter((tag) => tag.gateway_id === row.id);
  const heard = own.filter((tag) => latest.has(tag.id));
  const shown = heard.find((tag) => known(latest.get(tag.id)[1]) && severity(latest.get(tag.id)[2]) === "good") ?? heard[0];
  if (!shown) return html`<p role="status"><span class="waiting" aria-hidden="true"></span>${row.batches ? t("The first batch is stored; its values come in a moment …") : t("Waiting for the first batch: start the agent with `qenergyz edge run gateway.toml` …")}</p>`;
  const [at_us, value, code] = latest.get(shown.id);
  return html`<div class="panel" role="status"><span class="label"><${Plain}>${shown.name}<//></span> <strong class="big"><${Plain}>${fine(value)} <span class="unit">${shown.unit}</span><//></strong> <${Quality} code=${code} /> <small><${Plain}>${moment(at_us)}<//></small></div>
    ${!known(value) && html`<p class="note">${t("The gateway is heard, its device is not: run `qenergyz edge test gateway.toml` there.")}</p>`}
    <${Later} load=${trends} title=${t("First values")} tags=${[shown]} height=${220} compare=${false} />
    <p class="acts"><${To} path=${`/fleet/${encodeURIComponent(row.name)}`} class="act">${t("Open {name}", { name: row.name })}<//><button type="button" class="quiet" onClick=${() => { made.value = null; turn({ gateway: null, ends: null, compared: null }); }}>${t("Enrol another")}</button></p>`;
}

/** @param {{ name: string }} properties */
function Wait({ name }) {
  const { query } = place.value;
  const [error, tell] = useState(/** @type {any} */ (null));
  const { value: listed } = useRead(() => get("/v1/gateways"), [name], EVERY_MS);
  const row = (gateways.value ?? listed ?? []).find((/** @type {any} */ one) => one.name === name) ?? listed?.find((/** @type {any} */ one) => one.name === name);
  const ends_us = Number(query.ends) || 0;
  const { value: found } = useRead(() => (row ? get(`/v1/gateways/${encodeURIComponent(name)}/keys`) : Promise.resolve(null)), [name, Boolean(row)], EVERY_MS);
  const made_us = ends_us - HOURS * 3.6e9;
  const all = found?.keys ?? [];
  const keys = all.filter((/** @type {any} */ key) => !keyEnded(key));
  const used = all.some((/** @type {any} */ key) => keyEnded(key) && key.not_before_us > made_us);
  const again = () => makeVoucher(name).catch(tell);
  const known_before = row && row.enrolled_us < made_us - 1e6; // then its new key is waited for
  const introduced = row && keys.length > 0 && (!known_before || keys.some((/** @type {any} */ key) => key.not_before_us > made_us));
  const at = !introduced ? 1 : query.compared !== "yes" ? 2 : latest.size && row.batches ? 4 : 3;
  return html`<${Steps} at=${at} /><h2><${Plain}>${name}<//></h2><${Trouble} error=${error} />
    ${at === 1 ? html`<${Voucher} name=${name} ends_us=${ends_us} used=${used} again=${again} />` : at === 2 ? html`<${Key} name=${name} keys=${keys} />` : html`<${First} row=${row} />`}`;
}

export function Page() {
  useEffect(() => () => { made.value = null; }, []);
  const name = place.value.query.gateway;
  if (!may("write:gateways")) return html`<h1>${t("Enrol a gateway")}</h1><${Empty}>${t("Field engineers and admins let gateways in.")}<//>`;
  return html`<h1>${t("Enrol a gateway")}</h1>${name ? html`<${Wait} key=${name} name=${name} />` : html`<${Steps} at=${0} /><${Name} />`}`;
}
