// Gateways: who is silent, who is behind, who will be full. One of them opens with what it reads, what is missing and its keys.
// @ts-check
import { html, signal, useEffect } from "../vendor/core.mjs";
import { freshness, gateways, get, may, now } from "../hub.mjs";
import { To, go, onward } from "../place.mjs";
import { Figure, Freshness, Later, Table } from "../ui.mjs";
import { Plain, bytes, fine, lasting, moment, t, whole } from "../words.mjs";

const EVERY_MS = 15_000;
const MOST_READ = 50; // gateways whose configuration is read without being opened
const SOON_S = 86_400;
const OFF_US = 100_000; // a clock further off than this is told
/** What GET /v1/gateways/{name}/configuration and /keys said last. */
export const configurations = signal(/** @type {Record<string, any>} */ ({}));
const keys = signal(/** @type {Record<string, any>} */ ({}));
const ofGateway = () => import("./gateway.mjs").then((module) => module.Gateway);

/** @param {string[]} names */
export async function readDetails(names) {
  const read = async (/** @type {string} */ what, /** @type {typeof keys} */ into) => {
    const found = await Promise.all(names.map((name) => get(`/v1/gateways/${encodeURIComponent(name)}/${what}`).catch(() => null)));
    into.value = { ...into.value, ...Object.fromEntries(names.flatMap((name, at) => (found[at] ? [[name, found[at]]] : []))) };
  };
  await Promise.all([read("configuration", configurations), read("keys", keys)]);
}

/** Of a gateway: "good" (no end is set), "good until" with the end, "ended", or undefined while it is read. @param {any} row */
function keyOf(row) {
  const held = keys.value[row.name]?.keys;
  return held && (held.find((/** @type {any} */ one) => one.state === "good") ?? held.filter((/** @type {any} */ one) => one.state !== "ended").sort((/** @type {any} */ a, /** @type {any} */ b) => b.ends_us - a.ends_us)[0] ?? { state: "ended", ends_us: null });
}
// said: good, ended
/** @param {{ row: any }} properties */
function KeyEnd({ row }) {
  const key = keyOf(row);
  if (!key) return html`<${Unknown} why=${t("being read")} />`;
  if (key.state === "ended") return html`<span class="bad">■ ${t("ended")}</span>`;
  return key.ends_us ? html`<span class="uncertain"><${Plain}>${moment(key.ends_us)}<//></span>` : html`<span class="muted">${t("no end is set")}</span>`;
}

/** A dash that says why there is no figure. @param {{ why: string }} properties */
export const Unknown = ({ why }) => html`<span class="muted" title=${why}>–<span class="said"> ${why}</span></span>`;

// said: IN_SYNC, PENDING, FAILED
/** @param {{ state: string|undefined, reason?: string }} properties */
export const Sync = ({ state, reason }) => (state ? html`<span class=${{ IN_SYNC: "muted", PENDING: "uncertain", FAILED: "bad" }[state] ?? ""} title=${reason}>${state === "FAILED" ? "■ " : state === "PENDING" ? "▲ " : ""}${t(state)}</span>` : html`<${Unknown} why=${t("being read")} />`);

export const toldNothing = () => t("the gateway has not told since the hub started");
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

const COLUMNS = () => [
  { name: "name", title: t("Gateway"), value: (/** @type {any} */ row) => row.name, show: (/** @type {any} */ row) => html`<${Plain}>${row.name}<//>` },
  { name: "state", title: t("State"), value: (/** @type {any} */ row) => freshness(row.last_seen_us), show: (/** @type {any} */ row) => html`<${Freshness} state=${freshness(row.last_seen_us)} title=${moment(row.last_seen_us)} />` },
  { name: "seen", title: t("Heard"), number: true, value: (/** @type {any} */ row) => row.last_seen_us, show: (/** @type {any} */ row) => (row.last_seen_us ? html`<${Plain}>${lasting(now.value / 1e3 - row.last_seen_us / 1e6)}<//>` : t("never")) },
  { name: "backlog", title: t("Waiting batches"), number: true, value: (/** @type {any} */ row) => row.backlog, show: (/** @type {any} */ row) => html`<span class=${row.backlog > 0 ? "uncertain" : ""}><${Plain}>${whole(row.backlog)}<//></span>` },
  { name: "oldest", title: t("Oldest waiting"), number: true, wide: true, value: oldest_s, show: (/** @type {any} */ row) => html`<${Oldest} row=${row} />` },
  { name: "full", title: t("Full in"), number: true, wide: true, value: full_s, show: (/** @type {any} */ row) => html`<${Full} row=${row} />` },
  { name: "clock", title: t("Clock off by"), number: true, wide: true, value: (/** @type {any} */ row) => row.clock?.offset_us, show: (/** @type {any} */ row) => html`<${Clock} row=${row} />` },
  { name: "configuration", title: t("Configuration"), wide: true, value: (/** @type {any} */ row) => configurations.value[row.name]?.state, show: (/** @type {any} */ row) => html`<${Sync} ...${configurations.value[row.name] ?? {}} />` },
  { name: "key", title: t("Key ends"), wide: true, value: (/** @type {any} */ row) => keyOf(row)?.ends_us ?? keyOf(row)?.state, show: (/** @type {any} */ row) => html`<${KeyEnd} row=${row} />` },
  { name: "samples", title: t("Samples"), number: true, wide: true, value: (/** @type {any} */ row) => row.samples, show: (/** @type {any} */ row) => html`<${Plain}>${whole(row.samples)}<//>` },
  { name: "size", title: t("Per sample"), unit: "B", number: true, wide: true, value: (/** @type {any} */ row) => (row.samples ? row.bytes / row.samples : null), show: (/** @type {any} */ row) => (row.samples ? html`<${Plain}>${fine(Number((row.bytes / row.samples).toPrecision(3)))}<//>` : html`<${Unknown} why=${t("no sample is stored")} />`) },
];

/** Worst first: silent ones, then those that wait the most. @param {any[]} rows */
const arranged = (rows) => [...rows].sort((a, b) => Number(freshness(a.last_seen_us) === "LIVE") - Number(freshness(b.last_seen_us) === "LIVE") || b.backlog - a.backlog || a.name.localeCompare(b.name));

function Fleet() {
  const rows = gateways.value;
  const names = (rows ?? []).map((row) => row.name).slice(0, MOST_READ);
  useEffect(() => {
    if (!names.length) return undefined;
    const read = () => { if (!document.hidden) readDetails(names); };
    const [soon, timer] = [setTimeout(read, 500), setInterval(read, EVERY_MS)];
    return () => { clearTimeout(soon); clearInterval(timer); };
  }, [names.join(" ")]);
  if (!rows) return html`<h1>${t("Fleet")}</h1><div class="skeleton" aria-busy="true"></div>`;
  const silent = rows.filter((row) => freshness(row.last_seen_us) !== "LIVE");
  const behind = rows.reduce((sum, row) => sum + row.backlog, 0);
  return html`<h1>${t("Fleet")}</h1><div class="figures">
      <${Figure} label=${t("gateways")} value=${whole(rows.length)} />
      <${Figure} label=${t("not heard now")} value=${whole(silent.length)} tone=${silent.length ? "abnormal" : ""} />
      <${Figure} label=${t("batches waiting")} value=${whole(behind)} tone=${behind ? "abnormal" : ""} />
      <${Figure} label=${t("stored")} value=${bytes(rows.reduce((sum, row) => sum + row.bytes, 0))} note=${t("{n} sample|{n} samples", { n: rows.reduce((sum, row) => sum + row.samples, 0) })} /></div>
    <${Table} name="fleet" title=${t("Gateways")} columns=${COLUMNS()} rows=${arranged(rows)} id=${(/** @type {any} */ row) => row.name} 
      open=${(/** @type {any} */ row) => go(onward(`/fleet/${encodeURIComponent(row.name)}`))}
      tone=${(/** @type {any} */ row) => (freshness(row.last_seen_us) === "LIVE" ? "" : "stale")}
      tools=${may("write:gateways") && html`<${To} path="/enrol" class="act">${t("Enrol a gateway")}<//>`}
      empty=${html`<p>${t("No gateway is enrolled yet.")}</p>${may("write:gateways") && html`<p><${To} path="/enrol">${t("Enrol the first one")}<//></p>`}`} />`;
}

export function Page({ parts }) {
  return parts.length ? html`<${Later} load=${ofGateway} name=${parts[0]} />` : html`<${Fleet} />`;
}
