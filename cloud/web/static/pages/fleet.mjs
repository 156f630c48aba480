// Gateways: who is silent, who is behind, who will be full. One of them opens with what it reads, what is missing and its keys.
// @ts-check
import { html } from "../vendor/core.mjs";
import { freshness, gateways, may, now } from "../hub.mjs";
import { To, go, onward } from "../place.mjs";
import { Figure, Freshness, Table } from "../ui.mjs";
import { Clock, Full, Oldest, Sync, Unknown, full_s, oldest_s } from "./gateway.mjs";
import { Plain, bytes, fine, lasting, moment, t, whole } from "../words.mjs";

// said: good, ended
/** Of the key that ends last: "good" has no end, "good until" has one. @param {{ row: any }} properties */
function KeyEnd({ row }) {
  const { key } = row;
  if (!key) return html`<${Unknown} why=${t("being read")} />`;
  if (key.state === "ended") return html`<span class="bad">■ ${t("ended")}</span>`;
  return key.ends_us ? html`<span class="uncertain"><${Plain}>${moment(key.ends_us)}<//></span>` : html`<span class="muted">${t("no end is set")}</span>`;
}

const COLUMNS = () => [
  { name: "name", title: t("Gateway"), value: (/** @type {any} */ row) => row.name, show: (/** @type {any} */ row) => html`<${Plain}>${row.name}<//>` },
  { name: "state", title: t("State"), value: (/** @type {any} */ row) => freshness(row.last_seen_us), show: (/** @type {any} */ row) => html`<${Freshness} state=${freshness(row.last_seen_us)} title=${moment(row.last_seen_us)} />` },
  { name: "seen", title: t("Heard"), number: true, value: (/** @type {any} */ row) => row.last_seen_us, show: (/** @type {any} */ row) => (row.last_seen_us ? html`<${Plain}>${lasting(now.value / 1e3 - row.last_seen_us / 1e6)}<//>` : t("never")) },
  { name: "backlog", title: t("Waiting batches"), number: true, value: (/** @type {any} */ row) => row.backlog, show: (/** @type {any} */ row) => html`<span class=${row.backlog > 0 ? "uncertain" : ""}><${Plain}>${whole(row.backlog)}<//></span>` },
  { name: "oldest", title: t("Oldest waiting"), number: true, wide: true, value: oldest_s, show: (/** @type {any} */ row) => html`<${Oldest} row=${row} />` },
  { name: "full", title: t("Full in"), number: true, wide: true, value: full_s, show: (/** @type {any} */ row) => html`<${Full} row=${row} />` },
  { name: "clock", title: t("Clock off by"), number: true, wide: true, value: (/** @type {any} */ row) => row.clock?.offset_us, show: (/** @type {any} */ row) => html`<${Clock} row=${row} />` },
  { name: "configuration", title: t("Configuration"), wide: true, value: (/** @type {any} */ row) => row.configuration?.state, show: (/** @type {any} */ row) => html`<${Sync} ...${row.configuration ?? {}} />` },
  { name: "key", title: t("Key ends"), wide: true, value: (/** @type {any} */ row) => row.key?.ends_us ?? row.key?.state, show: (/** @type {any} */ row) => html`<${KeyEnd} row=${row} />` },
  { name: "samples", title: t("Samples"), number: true, wide: true, value: (/** @type {any} */ row) => row.samples, show: (/** @type {any} */ row) => html`<${Plain}>${whole(row.samples)}<//>` },
  { name: "size", title: t("Per sample"), unit: "B", number: true, wide: true, value: (/** @type {any} */ row) => (row.samples ? row.bytes / row.samples : null), show: (/** @type {any} */ row) => (row.samples ? html`<${Plain}>${fine(Number((row.bytes / row.samples).toPrecision(3)))}<//>` : html`<${Unknown} why=${t("no sample is stored")} />`) },
];

/** Worst first: silent ones, then those that wait the most. @param {any[]} rows */
const arranged = (rows) => [...rows].sort((a, b) => Number(freshness(a.last_seen_us) === "LIVE") - Number(freshness(b.last_seen_us) === "LIVE") || b.backlog - a.backlog || a.name.localeCompare(b.name));

export function Page() {
  const rows = gateways.value;
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
