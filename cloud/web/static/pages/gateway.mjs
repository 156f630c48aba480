// One gateway: what it reads now, what is missing of the range and why, its events and keys, and the end of its keys.
// @ts-check
import { html, useEffect, useState } from "../vendor/core.mjs";
import { freshness, gateways, get, latest, listen, may, now, send, tags, tick } from "../hub.mjs";
import { To, place, range, turn, window_us } from "../place.mjs";
import { Dialog, Empty, Field, Figure, Freshness, Later, Seen, Table, Trouble, toast, useRead } from "../ui.mjs";
import { Plain, bytes, fine, known, lasting, moment, severity, t, whole } from "../words.mjs";

const SPARK_POINTS = 60;
const MOST_EVENTS = 50;
const SOON_S = 86_400;
const OFF_US = 100_000; // a clock further off than this is told
const trends = () => import("../ui/chart.mjs").then((module) => module.Trends);

// said: good, uncertain, bad, last usable value, substituted, sensor not accurate, beyond its units, timeout, no communication, no value yet, unknown node, out of range, not readable, wrong type, configuration, not connected, device failure, sensor failure, out of service
const REASONS = /** @type {Record<number, string>} */ ({
  0x4090: "last usable value", 0x4091: "substituted", 0x4093: "sensor not accurate", 0x4094: "beyond its units", 0x800a: "timeout", 0x8031: "no communication", 0x8032: "no value yet", 0x8034: "unknown node",
  0x803c: "out of range", 0x8038: "not readable", 0x8074: "wrong type", 0x8089: "configuration", 0x808a: "not connected", 0x808b: "device failure", 0x808c: "sensor failure", 0x808d: "out of service",
}); // by the upper half of an OPC UA StatusCode, as protocols/quality.py names them
/** The quality in words: good, uncertain or bad, and why where the code says. @param {{ code: number }} properties */
export function Quality({ code }) {
  const word = severity(code);
  const why = REASONS[code >>> 16];
  return html`<span class=${word === "good" ? "muted" : word} title=${`0x${code.toString(16).padStart(8, "0")}`}>${word === "bad" ? "■ " : word === "uncertain" ? "▲ " : ""}${t(word)}${why && html` <small>${t(why)}</small>`}</span>`;
}

/** A dash that says why there is no figure. @param {{ why: string }} properties */
export const Unknown = ({ why }) => html`<span class="muted" title=${why}>–<span class="said"> ${why}</span></span>`;

// said: IN_SYNC, PENDING, FAILED
/** @param {{ state: string|undefined, reason?: string }} properties */
export const Sync = ({ state, reason }) => (state ? html`<span class=${{ IN_SYNC: "muted", PENDING: "uncertain", FAILED: "bad" }[state] ?? ""} title=${reason}>${state === "FAILED" ? "■ " : state === "PENDING" ? "▲ " : ""}${t(state)}</span>` : html`<${Unknown} why=${t("being read")} />`);

const toldNothing = () => t("the gateway has not told since the hub started");
/** Age of the oldest batch that waits, in seconds; 0 when none does, undefined when it was not told. @param {any} row */
export const oldest_s = (row) => (row.backlog === 0 ? 0 : row.oldest_us ? Math.max(0, now.value / 1e3 - row.oldest_us / 1e6) : undefined);
/** @param {{ row: any }} properties */
export function Oldest({ row }) {
  const age_s = oldest_s(row);
  return age_s === undefined ? html`<${Unknown} why=${toldNothing()} />` : age_s === 0 ? html`<span class="muted">${t("none waits")}</span>` : html`<${Plain}>${lasting(age_s)}<//>`;
}
/** Seconds until the buffer is full, as the gateway foresaw it; null when it does not fill or has not told. @param {any} row */
export const full_s = (row) => (row.full_us ? Math.max(0, row.full_us / 1e6 - now.value / 1e3) : null);
/** @param {{ row: any }} properties */
export function Full({ row }) {
  const left_s = full_s(row);
  if (left_s !== null) return html`<span class=${left_s < SOON_S ? "bad" : ""}><${Plain}>${lasting(left_s)}<//></span>`;
  return row.told_us ? html`<span class="muted">${t("does not fill")}</span>` : html`<${Unknown} why=${toldNothing()} />`;
}
/** @param {{ row: any }} properties */
export function Clock({ row }) {
  if (!row.clock) return html`<${Unknown} why=${toldNothing()} />`;
  if (row.clock.source === "unknown") return html`<${Unknown} why=${t("the gateway's system does not say")} />`;
  const off = row.clock.source !== "synchronised" || Math.abs(row.clock.offset_us) > OFF_US;
  return html`<span class=${off ? "uncertain" : ""}><${Plain}>${fine(row.clock.offset_us / 1e3)} ms<//>${row.clock.source === "synchronised" ? "" : html` ${t("not synchronised")}`}</span>`;
}

/** Values heard since the page was opened, by tag: [time_us, value][]. @type {Map<number, [number, number|null][]>} */
const trails = new Map();
function heard(/** @type {Record<string, [number, number|null, number]>} */ data) {
  for (const [id, [at_us, value, code]] of Object.entries(data)) {
    const trail = trails.get(Number(id)) ?? [];
    trails.set(Number(id), [...trail.slice(-SPARK_POINTS + 1), [at_us, severity(code) === "bad" ? null : value]]);
  }
}

/** The last values as a line, as high as they move; a break where there was none. @param {{ id: number }} properties */
function Spark({ id }) {
  tick.value;
  const trail = trails.get(id) ?? [];
  const values = trail.map(([, value]) => value).filter(known);
  if (values.length < 2) return html`<span class="muted">–</span>`;
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const [start, end] = [trail[0][0], trail[trail.length - 1][0]];
  const point = (/** @type {[number, number|null]} */ [at, value]) => `${((100 * (at - start)) / (end - start || 1)).toFixed(1)} ${(18 - (16 * (Number(value) - low)) / (high - low || 1)).toFixed(1)}`;
  const path = trail.map((one, at) => (known(one[1]) ? `${at && known(trail[at - 1][1]) ? "L" : "M"}${point(one)}` : "")).join("");
  return html`<svg class="spark" viewBox="0 0 100 20" preserveAspectRatio="none" aria-hidden="true"><path d=${path} /></svg>`;
}

/** @param {any} tag */
const newest = (tag) => latest.get(tag.id) ?? [null, null, 0x80320000];
const COLUMNS = () => [
  { name: "tag", title: t("Tag"), value: (/** @type {any} */ tag) => tag.name, show: (/** @type {any} */ tag) => html`<${Plain}>${tag.name}<//>` },
  { name: "value", title: t("Value"), number: true, value: (/** @type {any} */ tag) => newest(tag)[1], show: (/** @type {any} */ tag) => html`<${Plain} class=${`held ${freshness(newest(tag)[0]).toLowerCase()}`}>${fine(newest(tag)[1])}<//>` },
  { name: "unit", title: t("Unit"), value: (/** @type {any} */ tag) => tag.unit, show: (/** @type {any} */ tag) => html`<${Plain} class="unit">${tag.unit}<//>` },
  { name: "quality", title: t("Quality"), value: (/** @type {any} */ tag) => severity(newest(tag)[2]), show: (/** @type {any} */ tag) => html`<${Quality} code=${newest(tag)[2]} />` },
  { name: "age", title: t("Age"), number: true, value: (/** @type {any} */ tag) => newest(tag)[0] && now.value / 1e3 - newest(tag)[0] / 1e6, show: (/** @type {any} */ tag) => (newest(tag)[0] ? html`<span class=${freshness(newest(tag)[0]) === "STALE" ? "bad" : freshness(newest(tag)[0]) === "DELAYED" ? "uncertain" : "muted"}><${Plain}>${lasting(now.value / 1e3 - newest(tag)[0] / 1e6)}<//></span>` : html`<span class="muted">${t("no sample yet")}</span>`) },
  { name: "course", title: t("Since opened"), wide: true, value: () => "", show: (/** @type {any} */ tag) => html`<${Spark} id=${tag.id} />` },
  { name: "asset", title: t("Asset"), wide: true, value: (/** @type {any} */ tag) => tag.asset, show: (/** @type {any} */ tag) => html`<${Plain}>${tag.asset}<//>` },
  { name: "protocol", title: t("Protocol"), wide: true, value: (/** @type {any} */ tag) => tag.protocol, show: (/** @type {any} */ tag) => html`<${Plain}>${tag.protocol}<//>` },
];

/** @param {{ name: string, path: string, read_ms: number }} properties path: of the completeness of a gateway or a tag */
function Completeness({ name, path, read_ms }) {
  const { name: preset, from_us, to_us } = range.value;
  const { value: told, error } = useRead(() => {
    const [from, to] = window_us().map(Math.round);
    return get(`${path}?from_us=${from}&to_us=${to}`);
  }, [path, preset, from_us, to_us], read_ms);
  const missing_s = (told?.gaps ?? []).reduce((/** @type {number} */ sum, /** @type {any} */ gap) => sum + gap.duration_s, 0);
  return html`<h3><${Plain}>${name}<//> ${told && html`<small class=${told.complete ? "" : "uncertain"}>${told.complete ? t("all present") : t("{n} gap|{n} gaps", { n: told.gaps.length })}${missing_s > 0 && html`, <${Plain}>${lasting(missing_s)}<//>`}</small>`}</h3><${Trouble} error=${error} />
    ${told && !told.complete && html`<div class="scroll" tabindex="0" role="region" aria-label=${t("What is missing in the range, and why")}><table><caption>${t("What is missing in the range, and why")}</caption><thead><tr><th scope="col">${t("from")}</th><th scope="col">${t("until")}</th><th scope="col" class="number">${t("for")}</th><th scope="col">${t("Cause")}</th></tr></thead>
      <tbody>${told.gaps.slice(0, 100).map((/** @type {any} */ gap) => html`<tr key=${`${gap.from_us} ${gap.cause}`}><td><${Plain}>${moment(gap.from_us)}<//></td><td><${Plain}>${moment(gap.to_us)}<//></td><td class="number"><${Plain}>${lasting(gap.duration_s)}<//></td><td class="long"><${Plain}>${gap.cause}<//></td></tr>`)}</tbody></table></div>`}`;
}

// said: alarm, text, write, clock, device, unknown
function Events({ name }) {
  const { value: found, error } = useRead(() => get(`/v1/events?gateway=${encodeURIComponent(name)}&limit=${MOST_EVENTS}`), [name], 10_000);
  const [older, more] = useState(/** @type {any} */ (null));
  const rows = [...(found?.events ?? []), ...(older?.events ?? [])];
  const next = older ? older.next : found?.next;
  const page = () => get(`/v1/events?gateway=${encodeURIComponent(name)}&limit=${MOST_EVENTS}&before=${next}`).then((got) => more({ events: [...(older?.events ?? []), ...got.events], next: got.next }), (fault) => toast(fault.message));
  return html`<section aria-label=${t("Events")}><div class="tools"><h2>${t("Events")}</h2></div><${Trouble} error=${error} />
    ${found && (rows.length ? html`<div class="scroll" tabindex="0" role="region" aria-label=${t("Newest first, each from a signed batch")}><table><caption>${t("Newest first, each from a signed batch")}</caption><thead><tr><th scope="col">${t("at")}</th><th scope="col">${t("kind")}</th><th scope="col">${t("device")}</th><th scope="col">${t("what")}</th></tr></thead>
      <tbody>${rows.map((one, at) => html`<tr key=${`${one.batch.entry} ${at}`}><td><${Plain}>${moment(one.source_us)}<//></td><td>${t(one.kind)}</td><td><${Plain}>${one.device} ${one.source}<//></td><td class="long"><${Plain}>${one.message}<//></td></tr>`)}</tbody></table></div>` : html`<p class="note">${t("This gateway has reported no event.")}</p>`)}
    ${next && html`<p><button type="button" class="act" onClick=${page}>${t("Older")}</button></p>`}</section>`;
}

/** A fingerprint in groups of four, as it is compared. @param {{ kid: string }} properties */
export const Fingerprint = ({ kid }) => html`<${Plain} class="hash">${(kid.slice(0, 32).match(/.{1,4}/g) ?? []).join(" ")}<//>`;

/** @param {any} key */
export const keyEnded = (key) => Boolean(key.ends_us && key.ends_us <= now.value * 1e3);

function Keys({ name }) {
  const { value: found, error } = useRead(() => get(`/v1/gateways/${encodeURIComponent(name)}/keys`), [name], 30_000);
  const keys = found?.keys ?? [];
  return html`<section aria-label=${t("Keys")}><div class="tools"><h2>${t("Keys")}</h2></div>
    ${error?.status === 404 ? html`<p class="note">${t("This hub does not list keys.")}</p>` : html`<${Trouble} error=${error} />`}
    ${keys.length > 0 && html`<div class="scroll" tabindex="0" role="region" aria-label=${t("What the gateway signs with; compare the fingerprint with what it prints itself")}><table><caption>${t("What the gateway signs with; compare the fingerprint with what it prints itself")}</caption><thead><tr><th scope="col">${t("fingerprint")}</th><th scope="col">${t("since")}</th><th scope="col">${t("ends")}</th></tr></thead>
      <tbody>${keys.map((/** @type {any} */ key) => html`<tr key=${key.kid}><td><${Fingerprint} kid=${key.kid} /></td><td><${Plain}>${moment(key.not_before_us)}<//></td>
        <td>${key.ends_us ? html`<span class=${keyEnded(key) ? "bad" : ""}><${Plain}>${moment(key.ends_us)}<//> ${keyEnded(key) ? t("ended") : ""}</span>` : html`<span class="muted">${t("open")}</span>`}</td></tr>`)}</tbody></table></div>`}</section>`;
}

/** Ends every key of a gateway after its name was typed. @param {{ name: string, close: () => void }} properties */
export function Revoke({ name, close }) {
  const [typed, type] = useState("");
  const [error, tell] = useState(/** @type {any} */ (null));
  const [busy, work] = useState(false);
  const revoke = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (typed !== name) { tell(new Error(t("Type the name of the gateway exactly: {name}", { name }))); return; }
    work(true);
    try {
      const done = await send("POST", `/v1/gateways/${encodeURIComponent(name)}/revocation`);
      toast(t("{n} key ended|{n} keys ended", { n: done.revoked }));
      close();
    } catch (fault) { tell(fault); work(false); }
  };
  return html`<${Dialog} title=${t("Revoke the keys of {name}", { name })} close=${close}><form onSubmit=${revoke}>
    <p>${t("The hub will refuse everything that this gateway sends, from now on and for good. What it holds stays in its buffer; to go on it has to be enrolled again.")}</p>
    <${Field} label=${t("Name of the gateway")} hint=${t("Type {name} to confirm", { name })}><input name="confirm" autocomplete="off" autofocus value=${typed} onInput=${(/** @type {any} */ event) => type(event.target.value)} /><//>
    <${Trouble} error=${error} />
    <p class="acts"><button type="submit" class="act danger" disabled=${busy}>${t("Revoke")}</button><button type="button" class="quiet" onClick=${close}>${t("Cancel")}</button></p></form><//>`;
}

function Facts({ row }) {
  return html`<dl class="facts">
    <div><dt>${t("State")}</dt><dd><${Freshness} state=${freshness(row.last_seen_us)} /></dd></div>
    <div><dt>${t("Heard")}</dt><dd>${row.last_seen_us ? html`<${Plain}>${moment(row.last_seen_us)}<//>` : t("never")}</dd></div>
    <div><dt>${t("Last receipt")}</dt><dd><${Plain}>${moment(row.receipt_us)}<//></dd></div>
    <div><dt>${t("Waiting batches")}</dt><dd><${Plain}>${whole(row.backlog)}<//></dd></div>
    <div><dt>${t("Oldest waiting")}</dt><dd><${Oldest} row=${row} /></dd></div>
    <div><dt>${t("Full in")}</dt><dd><${Full} row=${row} /></dd></div>
    <div><dt>${t("Clock off by")}</dt><dd><${Clock} row=${row} /></dd></div>
    <div><dt>${t("Configuration")}</dt><dd><${Sync} ...${row.configuration ?? {}} /></dd></div>
    <div><dt>${t("Enrolled")}</dt><dd><${Plain}>${moment(row.enrolled_us)}<//></dd></div></dl>`;
}

/** @param {{ parts: string[] }} properties */
export function Page({ parts: [name] }) {
  const [revoking, revoke] = useState(false);
  useEffect(() => { trails.clear(); heard(Object.fromEntries(latest)); return listen("latest", heard); }, [name]);
  const row = gateways.value?.find((one) => one.name === name);
  if (!gateways.value) return html`<h1><${Plain}>${name}<//></h1><div class="skeleton" aria-busy="true"></div>`;
  if (!row) return html`<h1><${Plain}>${name}<//></h1><${Empty} next=${html`<${To} path="/fleet">${t("All gateways")}<//>`}>${t("There is no gateway of this name.")}<//>`;
  tick.value;
  const own = (tags.value ?? []).filter((tag) => tag.gateway_id === row.id);
  const picked = own.find((tag) => tag.name === place.value.query.tag) ?? own.find((tag) => severity(newest(tag)[2]) === "good") ?? own[0];
  const bad = own.filter((tag) => severity(newest(tag)[2]) === "bad").length;
  const heard_ms = range.value.live ? 10_000 : 0;
  const { configuration } = row;
  return html`<nav aria-label=${t("Where this is")}><ol class="crumbs"><li><${To} path="/fleet">${t("Fleet")}<//></li><li><span aria-current="page"><${Plain}>${name}<//></span></li></ol></nav>
    <h1><${Plain}>${name}<//></h1>
    <div class="figures"><${Figure} label=${t("tags")} value=${whole(own.length)} /><${Figure} label=${t("tags of bad quality")} value=${whole(bad)} tone=${bad ? "abnormal" : ""} />
      <${Figure} label=${t("samples stored")} value=${whole(row.samples)} note=${t("in {n} batch|in {n} batches", { n: row.batches })} />
      <${Figure} label=${t("per sample")} value=${row.samples ? fine(Number((row.bytes / row.samples).toPrecision(3))) : "–"} unit="B" note=${bytes(row.bytes)} /></div>
    <${Facts} row=${row} />
    ${configuration && configuration.state !== "IN_SYNC" && html`<p class="note">${t("Configuration")}: <${Plain}>${configuration.reason}<//></p>`}
    <${Table} name="tags" title=${t("Live tags")} columns=${COLUMNS()} rows=${own} id=${(/** @type {any} */ tag) => tag.name} picked=${picked?.name} pick=${(/** @type {any} */ tag) => turn({ tag: tag.name }, true)} height=${360}
      empty=${html`<p>${t("This gateway has sent no tag table yet; it does so with its first batch.")}</p>`} />
    ${picked && html`<${Seen} title=${t("Trend")} height=${400}><${Later} load=${trends} title=${t("Trend")} tags=${[picked]} height=${260} /><//>`}
    <${Seen} title=${t("Completeness")}><section aria-label=${t("Completeness")}><div class="tools"><h2>${t("Completeness")}</h2></div><${Completeness} name=${name} path=${`/v1/gateways/${row.id}/completeness`} read_ms=${heard_ms} />
      ${picked && html`<${Seen} title=${picked.name}><${Completeness} name=${picked.name} path=${`/v1/tags/${picked.id}/completeness`} read_ms=${heard_ms} /><//>`}</section><//>
    <${Seen} title=${t("Events")}><${Events} name=${name} /><//><${Seen} title=${t("Keys")}><${Keys} name=${name} /><//>
    ${may("write:gateways") && html`<p class="acts"><button type="button" class="act danger" onClick=${() => revoke(true)}>${t("Revoke …")}</button></p>`}
    ${revoking && html`<${Revoke} name=${name} close=${() => revoke(false)} />`}`;
}
