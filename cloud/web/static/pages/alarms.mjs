// Alarms as ISA-18.2 lists them: what sounds first, by priority, then age; state x acknowledged; acknowledge, shelve, in bulk; the journal.
// Nothing here reaches a device: it changes how an alarm is shown to people.
// @ts-check
import { html, signal, useEffect, useState } from "../vendor/core.mjs";
import { get, listen, may, model, now, send, standing } from "../hub.mjs";
import { To, place, range, site, turn, window_us } from "../place.mjs";
import { Field, Dialog, Figure, Priority, Table, Trouble, toast, useRead } from "../ui.mjs";
import { Plain, clock, fine, fixed2, lasting, moment, percent, t, whole } from "../words.mjs";

const MOST_AT_ONCE = 200;
const SIDE_BY_SIDE = 8;
const DAY_S = 86_400;
const MOST_DAYS_S = 31 * DAY_S;
const SHELVE_MIN = [15, 30, 60, 120, 240, 480];
const PAGE = 100;
/** Which are ticked, by `idOf`. */
const ticked = signal(/** @type {Set<string>} */ (new Set()));
const said = signal(""); // the last transition, for those who listen
const stirred = signal(0); // moves after transitions, at most so often that a flood does not become one of requests
const SETTLE_MS = 1_000;
let settling = 0;
function stir() {
  settling ||= setTimeout(() => { settling = 0; stirred.value += 1; }, SETTLE_MS);
}
/** Those that somebody else was faster with: what they are now. */
const losers = signal(/** @type {string[]} */ ([]));

/** @param {any} one */
const idOf = (one) => `${one.asset}/${one.alarm}`;
const pathOf = (/** @type {any} */ one, /** @type {string} */ action) => `/v1/alarms/${encodeURIComponent(one.asset)}/${encodeURIComponent(one.alarm)}/${action}`;
const ALLOWS = /** @type {Record<string, string[]>} */ ({ acknowledge: ["unacknowledged", "returned unacknowledged"], shelve: ["normal", "unacknowledged", "acknowledged", "returned unacknowledged"], unshelve: ["shelved"] });
const allowed = (/** @type {any} */ one, /** @type {string} */ action) => ALLOWS[action].includes(one.state);

/** The same for many, a few at a time. Whoever is too late is told what the alarm is now. @param {any[]} rows @param {"acknowledge"|"shelve"|"unshelve"} action @param {any} body */
async function act(rows, action, body = undefined) {
  const waiting = rows.slice(0, MOST_AT_ONCE);
  let done = 0;
  const late = /** @type {string[]} */ ([]);
  const work = async () => {
    for (let one = waiting.shift(); one; one = waiting.shift()) {
      try { await send("POST", pathOf(one, action), body); done += 1; } catch (error) {
        const { slug, problem, message } = /** @type {any} */ (error);
        late.push(slug === "alarm-state" ? t("{asset}, {alarm}: is {state} now, which does not allow this", { asset: one.asset, alarm: t(one.alarm), state: t(problem.state) }) : `${one.asset}, ${t(one.alarm)}: ${message}`);
      }
    }
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, work));
  losers.value = late;
  ticked.value = new Set();
  const words = { acknowledge: "{n} alarm acknowledged|{n} alarms acknowledged", shelve: "{n} alarm shelved|{n} alarms shelved", unshelve: "{n} alarm unshelved|{n} alarms unshelved" };
  if (done) toast(t(words[action], { n: done }));
}
// said: {n} alarm acknowledged|{n} alarms acknowledged, {n} alarm shelved|{n} alarms shelved, {n} alarm unshelved|{n} alarms unshelved

/** @param {{ rows: any[], close: () => void }} properties */
function Shelve({ rows, close }) {
  const [fault, tell] = useState("");
  const submit = async (/** @type {any} */ event) => {
    event.preventDefault();
    const { minutes, reason, once } = event.target.elements;
    if (!reason.value.trim()) { tell(t("Say why: whoever comes after you has to know")); return; }
    close();
    await act(rows, "shelve", { until_us: Math.round((now.value + Number(minutes.value) * 60_000) * 1e3) - 1_000_000, reason: reason.value.trim(), once: once.checked });
  };
  return html`<${Dialog} title=${t("Shelve {n} alarm|Shelve {n} alarms", { n: rows.length })} close=${close}><form onSubmit=${submit}>
    <p class="muted">${rows.slice(0, 5).map((one) => html`<${Plain} key=${idOf(one)}>${one.asset}<//> ${t(one.alarm)}; `)}${rows.length > 5 ? "…" : ""}</p>
    <${Field} label=${t("For how long")}><select name="minutes">${SHELVE_MIN.map((minutes) => html`<option key=${minutes} value=${minutes} selected=${minutes === 60}>${lasting(minutes * 60)}</option>`)}</select><//>
    <${Field} label=${t("Reason")} fault=${fault} hint=${t("It stands in the journal with your name")}><input name="reason" maxlength="500" autofocus autocomplete="off" /><//>
    <label class="check"><input type="checkbox" name="once" /> ${t("Only until the condition clears")}</label>
    <p class="acts"><button type="submit" class="act">${t("Shelve")}</button><button type="button" class="quiet" onClick=${close}>${t("Cancel")}</button></p></form><//>`;
}

// said: normal, unacknowledged, acknowledged, returned unacknowledged, shelved, suppressed by design, out of service, health, stale tags
const tick = (/** @type {any} */ one) => { const next = new Set(ticked.value); if (!next.delete(idOf(one))) next.add(idOf(one)); ticked.value = next; };
const WORKS = { name: "tick", title: t("Ticked"), control: true, value: () => "", show: (/** @type {any} */ one) => html`<label class="tick" onClick=${(/** @type {Event} */ event) => event.stopPropagation()}><input type="checkbox" checked=${ticked.value.has(idOf(one))} onChange=${() => tick(one)} aria-label=${t("Tick {asset} {alarm}", { asset: one.asset, alarm: t(one.alarm) })} /></label>` };
const COLUMNS = () => [
  ...(may("write:alarms") ? [{ ...WORKS, title: t("Ticked") }] : []),
  { name: "asset", title: t("Asset"), value: (/** @type {any} */ one) => one.asset, show: (/** @type {any} */ one) => html`<${Plain}>${one.asset}<//>` },
  { name: "alarm", title: t("Alarm"), value: (/** @type {any} */ one) => one.alarm, show: (/** @type {any} */ one) => t(one.alarm) },
  { name: "priority", title: t("Priority"), value: (/** @type {any} */ one) => one.priority, show: (/** @type {any} */ one) => (one.state === "unacknowledged" || one.active ? html`<${Priority} priority=${one.priority} />` : html`<span class="muted">${t(one.priority)}</span>`) },
  { name: "condition", title: t("Condition"), value: (/** @type {any} */ one) => (one.active ? "active" : "cleared"), show: (/** @type {any} */ one) => (one.active ? html`<strong>${t("active")}</strong>` : html`<span class="muted">${t("cleared")}</span>`) },
  { name: "state", title: t("State"), value: (/** @type {any} */ one) => one.state, show: (/** @type {any} */ one) => t(one.state) },
  { name: "since", title: t("Since"), value: (/** @type {any} */ one) => one.since_us, show: (/** @type {any} */ one) => html`<${Plain} title=${moment(one.since_us)}>${clock(one.since_us)} <span class="muted">${lasting(now.value / 1e3 - one.since_us / 1e6)}</span><//>` },
  { name: "until", title: t("Until"), wide: true, value: (/** @type {any} */ one) => one.until_us, show: (/** @type {any} */ one) => (one.until_us ? html`<${Plain} title=${one.reason}>${clock(one.until_us)}<//> ${one.once ? t("once") : ""}` : "–") },
  { name: "cause", title: t("Cause"), wide: true, value: (/** @type {any} */ one) => one.cause, show: (/** @type {any} */ one) => html`<${Plain}>${one.cause}<//>` },
];

/** The rows to act on: those that are ticked, else the one that is picked. @param {any[]} rows */
const meant = (rows) => (ticked.value.size ? rows.filter((one) => ticked.value.has(idOf(one))) : rows.filter((one) => idOf(one) === place.value.query.alarm));

function List() {
  const [shelving, shelve] = useState(/** @type {any[]|null} */ (null));
  const inScope = new Set((model.value?.assets ?? []).filter((/** @type {any} */ one) => one.site === site.value).map((/** @type {any} */ one) => one.name));
  const rows = standing.value.filter((one) => !site.value || inScope.has(one.asset));
  const chosen = meant(rows);
  const works = may("write:alarms");
  const on = (/** @type {"acknowledge"|"shelve"|"unshelve"} */ action) => {
    const fit = meant(rows).filter((one) => allowed(one, action));
    if (!fit.length) return;
    if (fit.length > MOST_AT_ONCE) toast(t("The first {n} of them: no more at once", { n: MOST_AT_ONCE }));
    if (action === "shelve") shelve(fit.slice(0, MOST_AT_ONCE)); else act(fit, action);
  };
  useEffect(() => {
    const onKey = (/** @type {KeyboardEvent} */ event) => {
      if (!works || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || /** @type {HTMLElement} */ (event.target).closest("input:not([type=checkbox]), select, textarea, dialog")) return;
      if (event.key === "a") on("acknowledge");
      else if (event.key === "s") { event.preventDefault(); on("shelve"); }
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  });
  const button = (/** @type {"acknowledge"|"shelve"|"unshelve"} */ action, /** @type {string} */ text, /** @type {string} */ key) => html`<button type="button" class="act" disabled=${!chosen.some((one) => allowed(one, action))} aria-keyshortcuts=${key} onClick=${() => on(action)}>${text}${key && html` <kbd>${key}</kbd>`}</button>`;
  return html`${works && html`<div class="acts bulk" role="group" aria-label=${t("With the alarms that are ticked, or the picked one")}>${button("acknowledge", t("Acknowledge"), "a")}${button("shelve", t("Shelve …"), "s")}${button("unshelve", t("Unshelve"), "")}
      <button type="button" class="quiet" onClick=${() => { ticked.value = new Set(ticked.value.size ? [] : rows.filter((one) => one.state !== "shelved").slice(0, MOST_AT_ONCE).map(idOf)); }}>${ticked.value.size ? t("Untick all") : t("Tick all")}</button>
      <span class="muted">${t("{n} chosen|{n} chosen", { n: chosen.length })}</span></div>`}
    ${losers.value.length > 0 && html`<div class="trouble" role="alert"><span aria-hidden="true">■</span><span> ${t("Somebody was faster, or it changed:")}</span><ul>${losers.value.map((one) => html`<li key=${one}>${one}</li>`)}</ul><button type="button" class="quiet" onClick=${() => { losers.value = []; }}>${t("Understood")}</button></div>`}
    <${Table} name="alarms" title=${t("Standing alarms")} columns=${COLUMNS()} rows=${rows} id=${idOf} picked=${place.value.query.alarm} pick=${(/** @type {any} */ one) => turn({ alarm: idOf(one) }, true)}
      tone=${(/** @type {any} */ one) => (one.state === "unacknowledged" ? "sounds" : "")} empty=${html`<p>${t("No alarm stands.")}</p>`} />
    ${chosen.length === 1 && html`<p class="note"><${To} path=${`/assets/${encodeURIComponent(chosen[0].asset)}`}><${Plain}>${chosen[0].asset}<//><//>: ${chosen[0].cause}${chosen[0].reason ? html`; ${chosen[0].by}: ${chosen[0].reason}` : ""}</p>`}
    ${shelving && html`<${Shelve} rows=${shelving} close=${() => shelve(null)} />`}`;
}

/** The flood that lasts, and what came first in it. */
function Flood() {
  const { value: told, error } = useRead(() => get("/v1/alarms"), [stirred.value], 10_000);
  if (error) return html`<${Trouble} error=${error} />`;
  if (!told?.flood) return null;
  const { first, from_us } = told.flood;
  return html`<div class="flood" role="status"><strong><span aria-hidden="true">▲</span> ${t("Flood of alarms")}</strong> ${t("since")} <${Plain}>${moment(from_us)}<//>. ${t("First out:")} <button type="button" class="link" onClick=${() => turn({ alarm: idOf(first) }, true)}><${Plain}>${first.asset}<//> ${t(first.alarm)}</button></div>`;
}

/** The figures that ISA-18.2 and EEMUA 191 ask for; of the range where it is longer than a day, else of the last day. */
function Figures() {
  const { name, from_us, to_us, span_s, live } = range.value;
  const ofRange = !live || span_s > DAY_S;
  const [low, high] = window_us().map(Math.round);
  const path = ofRange && span_s <= MOST_DAYS_S ? `/v1/alarms/kpis?from_us=${low}&to_us=${high}` : "/v1/alarms/kpis";
  const { value: found, error } = useRead(() => get(path), [name, from_us, to_us, stirred.value], 60_000);
  if (!found) return html`<${Trouble} error=${error} />`;
  const { annunciations, by_priority } = found;
  return html`<section aria-label=${t("Figures")}><div class="tools"><h2>${t("Figures")} <small><${Plain}>${moment(found.from_us)}<//> – <${Plain}>${moment(found.to_us)}<//></small></h2></div>
    <div class="figures"><${Figure} label=${t("alarms")} value=${whole(annunciations)} note=${html`<${Plain}>${fine(Number(found.per_day.toPrecision(3)))}<//> ${t("per day")}`} /><${Figure} label=${t("per 10 minutes")} value=${fixed2(found.per_10_min)} note=${t("at most {n}", { n: found.most_per_10_min })} />
      <${Figure} label=${t("time in flood")} value=${percent(found.share_in_flood)} note=${t("{n} flood|{n} floods", { n: found.floods.length })} tone=${found.share_in_flood > 0.01 ? "abnormal" : ""} />
      <${Figure} label=${t("chattering")} value=${whole(found.chattering.length)} tone=${found.chattering.length ? "abnormal" : ""} /><${Figure} label=${t("standing for a day")} value=${whole(found.stale.length)} tone=${found.stale.length ? "abnormal" : ""} /></div>
    <div class="halves"><div class="scroll" tabindex="0" role="region" aria-label=${t("Most frequent")}><table><caption>${t("Most frequent")}</caption><thead><tr><th scope="col">${t("asset")}</th><th scope="col">${t("alarm")}</th><th scope="col" class="number">${t("count")}</th><th scope="col" class="number">${t("share")}</th></tr></thead>
        <tbody>${found.top.map((/** @type {any} */ one) => html`<tr key=${idOf(one)}><td><${Plain}>${one.asset}<//></td><td>${t(one.alarm)}</td><td class="number"><${Plain}>${whole(one.count)}<//></td><td class="number"><${Plain}>${percent(one.share)}<//></td></tr>`)}</tbody></table></div>
      <div class="scroll" tabindex="0" role="region" aria-label=${t("By priority")}><table><caption>${t("By priority")}</caption><thead><tr><th scope="col">${t("priority")}</th><th scope="col" class="number">${t("count")}</th><th scope="col" class="number">${t("share")}</th></tr></thead>
        <tbody>${Object.entries(by_priority).reverse().map(([priority, count]) => html`<tr key=${priority}><td>${t(priority)}</td><td class="number"><${Plain}>${whole(count)}<//></td><td class="number"><${Plain}>${percent(annunciations ? Number(count) / annunciations : null)}<//></td></tr>`)}</tbody></table></div></div></section>`;
}

// said: raise, clear, re-alarm, acknowledge, shelve, unshelve, suppress, unsuppress, remove from service, restore to service
function Journal() {
  const [pages, keep] = useState(/** @type {any[][]} */ ([]));
  const [next, go] = useState(/** @type {number|null} */ (null));
  const { value: newest, error } = useRead(() => get(`/v1/alarms/journal?limit=${PAGE}`), [stirred.value]);
  const listed = newest?.journal ?? [];
  const last = listed.length ? listed[listed.length - 1].id : 0;
  const rows = [...listed, ...pages.flat().filter((one) => one.id < last)];
  const before = pages.length ? next : newest?.next;
  const older = () => get(`/v1/alarms/journal?limit=${PAGE}&before=${pages.length ? next : newest?.next}`).then((found) => { keep([...pages, found.journal]); go(found.next); }, (fault) => toast(fault.message));
  return html`<${Trouble} error=${error} /><${Table} name="journal" title=${t("Journal")} rows=${rows} id=${(/** @type {any} */ one) => one.id} height=${320} columns=${[
    { name: "at", title: t("At"), value: (one) => one.at_us, show: (one) => html`<${Plain}>${moment(one.at_us)}<//>` },
    { name: "asset", title: t("Asset"), value: (one) => one.asset, show: (one) => html`<${Plain}>${one.asset}<//>` },
    { name: "alarm", title: t("Alarm"), value: (one) => one.alarm, show: (one) => t(one.alarm) },
    { name: "event", title: t("Event"), value: (one) => one.event, show: (one) => t(one.event) },
    { name: "by", title: t("By"), value: (one) => one.by, show: (one) => html`<${Plain}>${one.by}<//>` },
    { name: "state", title: t("State after"), wide: true, value: (one) => one.state, show: (one) => t(one.state) },
    { name: "reason", title: t("Reason"), wide: true, value: (one) => one.reason || one.cause, show: (one) => html`<${Plain}>${one.reason || one.cause}<//>` },
  ]} empty=${html`<p>${t("Nothing has happened yet.")}</p>`} />${before && html`<p><button type="button" class="act" onClick=${older}>${t("Older")}</button></p>`}`;
}

export function Page() {
  useEffect(() => listen("alarm", (one) => { said.value = `${t(one.priority)}: ${one.asset}, ${t(one.alarm)}, ${t(one.state)}`; stir(); }), []);
  return html`<h1>${t("Alarms")}</h1><p class="said" aria-live="polite">${said.value}</p><${Flood} /><${List} /><${Figures} /><${Journal} />`;
}
