// The tenant's log, read as it is: its checkpoint, an entry by its position with the way to the root, rows of evidence, and the journal.
// @ts-check
import { html, useState } from "../vendor/core.mjs";
import { get, getBytes, may } from "../hub.mjs";
import { place, turn } from "../place.mjs";
import { Field, Table, Trouble, useRead } from "../ui.mjs";
import { Plain, moment, t, whole } from "../words.mjs";

const PAGE = 200;
const prover = () => import("./entry.mjs"); // fetched with the first entry that is asked for

/** @param {{ checkpoint: string }} properties */
function Entry({ checkpoint }) {
  const asked = place.value.query.position ?? "";
  const { value: found, error } = useRead(async () => (asked === "" ? null : (await prover()).entryAt(Number(asked), checkpoint)), [asked, checkpoint]);
  const submit = (/** @type {any} */ event) => { event.preventDefault(); turn({ position: event.target.elements.position.value.trim() || null }); };
  return html`<form onSubmit=${submit} class="acts"><${Field} label=${t("Entry at position")}><input name="position" inputmode="numeric" dir="ltr" value=${asked} /><//><button type="submit" class="act">${t("Show")}</button></form><${Trouble} error=${error} />
    ${found && html`<p class=${found.holds ? "passed" : "failed"}>${found.holds ? t("Position {position}: its way of {n} hash leads to the root of the checkpoint.|Position {position}: its way of {n} hashes leads to the root of the checkpoint.", { position: found.position, n: found.path.length }) : t("Position {position}: its way does not lead to the root of the checkpoint.", { position: found.position })}</p>
      <dl class="facts"><div><dt>${t("leaf hash")}</dt><dd><code dir="ltr">${found.leaf}</code></dd></div><div><dt>${t("root")}</dt><dd><code dir="ltr">${found.root}</code></dd></div></dl>
      <details><summary>${t("The way")}</summary><ol dir="ltr">${found.path.map((/** @type {string} */ one) => html`<li key=${one}><code>${one}</code></li>`)}</ol></details>`}`;
}

const at = (/** @type {any} */ row) => (row.position === null || row.position === undefined ? t("in a moment") : html`<button type="button" class="link" onClick=${() => turn({ position: row.position })}><${Plain}>${whole(row.position)}<//></button>`);
const EVIDENCE = () => [
  { name: "row", title: t("row (SHA-256)"), value: (/** @type {any} */ row) => row.id, show: (/** @type {any} */ row) => html`<code dir="ltr">${row.id.slice(0, 16)}…</code>` },
  { name: "kind", title: t("kind"), value: (/** @type {any} */ row) => row.kind },
  { name: "subject", title: t("subject"), value: (/** @type {any} */ row) => row.subject, show: (/** @type {any} */ row) => html`<${Plain}>${row.subject}<//>` },
  { name: "asof", title: t("as of"), value: (/** @type {any} */ row) => row.as_of_us, show: (/** @type {any} */ row) => html`<${Plain}>${moment(row.as_of_us)}<//>` },
  { name: "position", title: t("position in the log"), number: true, value: (/** @type {any} */ row) => row.position ?? null, show: at },
];
const JOURNAL = () => [
  { name: "at", title: t("time"), value: (/** @type {any} */ row) => row.at_us, show: (/** @type {any} */ row) => html`<${Plain}>${moment(row.at_us)}<//>` },
  { name: "by", title: t("by"), value: (/** @type {any} */ row) => row.by_name ?? row.by, show: (/** @type {any} */ row) => html`<${Plain}>${row.by_name ?? row.by}<//>` },
  { name: "action", title: t("action"), value: (/** @type {any} */ row) => row.action, show: (/** @type {any} */ row) => html`<${Plain}>${row.action}<//>` },
  { name: "subject", title: t("subject"), value: (/** @type {any} */ row) => row.subject_name || row.subject, show: (/** @type {any} */ row) => html`<${Plain}>${row.subject_name || row.subject}<//>` },
  { name: "detail", title: t("detail"), wide: true, value: (/** @type {any} */ row) => JSON.stringify(row.detail ?? {}), show: (/** @type {any} */ row) => html`<code dir="ltr">${JSON.stringify(row.detail ?? {}).slice(0, 80)}</code>` },
  { name: "digest", title: t("digest (SHA-256)"), value: (/** @type {any} */ row) => row.digest, show: (/** @type {any} */ row) => html`<code dir="ltr" title=${row.digest}>${row.digest.slice(0, 16)}…</code>` },
  { name: "position", title: t("position in the log"), number: true, value: (/** @type {any} */ row) => row.position ?? null, show: at },
];

/** Rows by pages, newest first; more are fetched when asked for. @param {{ name: string, title: string, columns: any[], read: (before: any) => Promise<{ rows: any[], next: any }>, id: (row: any) => any, pick?: (row: any) => void }} properties */
export function Pages({ name, title, columns, read, id, pick }) {
  const [older, add] = useState(/** @type {{ rows: any[], next: any }|null} */ (null));
  const [fault, fail] = useState(/** @type {any} */ (null));
  const { value, error } = useRead(() => read(null), [title]);
  const rows = [...(value?.rows ?? []), ...(older?.rows ?? [])];
  const next = older ? older.next : value?.next;
  const more = () => read(next).then((found) => add({ rows: [...(older?.rows ?? []), ...found.rows], next: found.next }), fail);
  if (error ?? fault) return html`<${Trouble} error=${error ?? fault} />`;
  return value ? html`<${Table} name=${name} title=${title} columns=${columns} rows=${rows} id=${id} pick=${pick} height=${300} tools=${next ? html`<button type="button" class="quiet" onClick=${more}>${t("Older")}</button>` : null} empty=${t("Nothing yet.")} />` : html`<div class="skeleton"></div>`;
}

/** The journal of what was done in the hub. */
export function Journal() {
  const read = async (/** @type {any} */ before) => { const found = await get(`/v1/journal?limit=${PAGE}${before ? `&before=${before}` : ""}`); return { rows: found.journal, next: found.next }; };
  return html`<${Pages} name="journal" title=${t("Journal")} columns=${JOURNAL()} read=${read} id=${(row) => row.id} />`;
}

/** @param {{ pick: (id: string) => void }} properties */
export function Part({ pick }) {
  const { value, error } = useRead(() => getBytes("/v1/log/checkpoint"), [], 30_000);
  const text = value ? new TextDecoder().decode(value) : "";
  const [origin, size] = text.split("\n");
  const read = async (/** @type {any} */ before) => { const rows = await get(`/v1/evidence?limit=${PAGE}${before ? `&before=${before}` : ""}`); return { rows, next: rows.length === PAGE ? rows.at(-1).number : null }; };
  return html`<section aria-label=${t("Log")}><h2>${t("Log")} ${text && html`<small><${Plain}>${origin}<//> · ${t("{n} entry|{n} entries", { n: Number(size) })}</small>`}</h2><${Trouble} error=${error} />
    ${text && html`<pre class="note" dir="ltr" tabindex="0" aria-label=${t("Checkpoint")}>${text}</pre>${Number(size) > 0 && html`<${Entry} checkpoint=${text} />`}`}</section>
    <${Pages} name="evidence" title=${t("Evidence")} columns=${EVIDENCE()} read=${read} id=${(row) => row.id} pick=${(row) => pick(row.id)} />
    ${may("read:journal") && html`<${Journal} />`}`;
}
