// The parts that pages are made of: table, dialog, chips, messages. Nothing here knows what it shows.
// @ts-check
import { html, signal, useEffect, useRef, useState } from "./vendor/core.mjs";
import { save, session } from "./hub.mjs";
import { place, turn } from "./place.mjs";
import { Plain, fixed2, moment, t, zone } from "./words.mjs";

/** @typedef {{ name: string, title: string, unit?: string, value: (row: any) => any, show?: (row: any) => any, number?: boolean, wide?: boolean, control?: boolean }} Column */
// control: the cell holds a control of its own; it is neither in the file nor the row's link

const ROW_PX = 32;
const SPARE = 8; // rows kept above and below what is seen
const MOST_NODES = 60;

/** Order of any two values of a column; what is missing comes last. @param {any} a @param {any} b */
function order(a, b) {
  const [none, other] = [a === null || a === undefined || a === "", b === null || b === undefined || b === ""];
  if (none || other) return Number(none) - Number(other);
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
}

/** The rows as they are shown: filtered by every word in any column, then sorted. @param {any[]} rows @param {Column[]} columns @param {string} filter @param {string} sort */
export function arranged(rows, columns, filter, sort) {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const texts = (/** @type {any} */ row) => columns.map((column) => String(column.value(row) ?? "").toLowerCase()).join(" ");
  const kept = words.length ? rows.filter((row) => { const text = texts(row); return words.every((word) => text.includes(word)); }) : rows;
  const column = columns.find((one) => one.name === sort.replace(/^-/, ""));
  if (!column) return kept;
  const values = new Map(kept.map((row) => [row, column.value(row)]));
  const sign = sort.startsWith("-") ? -1 : 1;
  return [...kept].sort((a, b) => {
    const [x, y] = [values.get(a), values.get(b)];
    const missing = [x, y].some((value) => value === null || value === undefined || value === "");
    return missing ? order(x, y) : sign * order(x, y);
  });
}

/** Exactly what is shown, with units and the zone of times in the head. @param {Column[]} columns @param {any[]} rows */
export function csv(columns, rows) {
  columns = columns.filter((column) => !column.control);
  const cell = (/** @type {any} */ value) => {
    const text = value === null || value === undefined ? "" : String(value);
    const safe = /^[=+\-@\t\r]/.test(text) && typeof value !== "number" ? `'${text}` : text; // a spreadsheet must not take it for a formula
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const head = columns.map((column) => cell(column.unit ? `${column.title} [${column.unit}]` : column.title)).join(",");
  const made = `# ${new Date().toISOString()} ${session.value?.tenant ?? ""} ${session.value?.name ?? ""} ${location.pathname}${location.search} ${zone()}`;
  return [made.replaceAll("\n", " "), head, ...rows.map((row) => columns.map((column) => cell(column.value(row))).join(","))].join("\r\n");
}

/**
 * A table of any length: at most 60 rows are in the page. Sorted and filtered by the query (`<name>.sort`, `<name>.find`), walked with j and k;
 * the first table of a page wherever the focus is. `open` is what a click and Enter do; without it they pick. What is picked stands in the query.
 * @param {{ name: string, title: string, columns: Column[], rows: any[], id: (row: any) => string|number, pick?: (row: any) => void, open?: (row: any) => void, picked?: string|number|null, height?: number, tools?: any, empty?: any, tone?: (row: any) => string, sort?: string }} properties
 */
export function Table({ name, title, columns, rows, id, pick, open, picked, height = 480, tools, empty, tone, sort: natural = "" }) {
  const box = useRef(/** @type {HTMLElement|null} */ (null));
  const [top, scrollTo] = useState(0);
  const query = place.value.query;
  const [find, sort] = [query[`${name}.find`] ?? "", query[`${name}.sort`] ?? natural];
  if (open) { pick ??= (row) => turn({ [`${name}.pick`]: id(row) }, true); picked ??= query[`${name}.pick`]; }
  const act = open ?? pick;
  const shown = arranged(rows, columns, find, sort);
  const seen = Math.min(MOST_NODES - 2 * SPARE, Math.ceil(height / ROW_PX));
  const first = Math.max(0, Math.min(shown.length - seen, Math.floor(top / ROW_PX)) - SPARE);
  const last = Math.min(shown.length, first + seen + 2 * SPARE);
  const turned = (/** @type {string} */ to) => turn({ [`${name}.sort`]: sort === to ? `-${to}` : sort === `-${to}` ? null : to }, true);
  const walk = (/** @type {KeyboardEvent} */ event) => {
    if (!pick || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = shown.findIndex((row) => String(id(row)) === String(picked));
    if (event.key === "Enter" && open && at >= 0 && !(/** @type {HTMLElement} */ (event.target).closest("button, a, input"))) { open(shown[at]); return; }
    if (!["j", "k", "ArrowDown", "ArrowUp"].includes(event.key)) return;
    const next = shown[Math.max(0, Math.min(shown.length - 1, at + (event.key === "j" || event.key === "ArrowDown" ? 1 : -1)))];
    if (!next) return;
    event.preventDefault();
    pick(next);
    const offset = shown.indexOf(next) * ROW_PX;
    if (box.current && (offset < box.current.scrollTop || offset > box.current.scrollTop + height - 2 * ROW_PX)) box.current.scrollTop = Math.max(0, offset - height / 2);
  };
  const walking = useRef(walk);
  walking.current = walk;
  useEffect(() => {
    const onKey = (/** @type {KeyboardEvent} */ event) => {
      const target = /** @type {HTMLElement} */ (event.target);
      if (event.defaultPrevented || event.key.startsWith("Arrow") || target.closest("input, select, textarea, dialog, .rows, .chart")) return;
      if (box.current && document.querySelector("main .rows") === box.current) walking.current(event);
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
  const keep = () => save(new Blob(["\ufeff", csv(columns, shown)], { type: "text/csv" }), `${name}.csv`);
  const main = columns.findIndex((column) => !column.control);
  return html`<section class="table" aria-label=${title}>
    <div class="tools"><h2>${title} <small>${shown.length === rows.length ? t("{n} row|{n} rows", { n: rows.length }) : t("{n} of {all}", { n: shown.length, all: rows.length })}</small></h2>
      <input type="search" value=${find} placeholder=${t("Find")} aria-label=${t("Find in {what}", { what: title })} onInput=${(/** @type {any} */ event) => turn({ [`${name}.find`]: event.target.value }, true)} />
      ${tools}<button type="button" class="quiet" onClick=${keep}>CSV</button></div>
    ${rows.length === 0 && empty ? html`<div class="empty">${empty}</div>` : html`<div class="rows" ref=${box} style=${{ maxBlockSize: `${height}px` }} onScroll=${(/** @type {any} */ event) => scrollTo(event.target.scrollTop)} onKeyDown=${walk} tabindex="0" role="region" aria-label=${title}>
      <table aria-rowcount=${shown.length + 1}><thead><tr>${columns.map((column) => html`<th key=${column.name} scope="col" class=${kind(column)} aria-sort=${column.control ? undefined : sort === column.name ? "ascending" : sort === `-${column.name}` ? "descending" : "none"}>
        ${column.control ? html`<span class="said">${column.title}</span>` : html`<button type="button" onClick=${() => turned(column.name)}>${column.title}${column.unit ? html` <${Plain} class="unit">[${column.unit}]<//>` : ""}<span aria-hidden="true">${sort === column.name ? " ↑" : sort === `-${column.name}` ? " ↓" : ""}</span></button>`}</th>`)}</tr></thead>
      <tbody>${first > 0 && html`<tr class="room" aria-hidden="true"><td colspan=${columns.length} style=${{ blockSize: `${first * ROW_PX}px` }}></td></tr>`}
        ${shown.slice(first, last).map((row, at) => html`<tr key=${id(row)} class=${`${act ? "pick" : ""} ${tone?.(row) ?? ""}`} aria-rowindex=${first + at + 2} aria-current=${pick && String(id(row)) === String(picked) ? "true" : undefined} onClick=${act && (() => act(row))}>
          ${columns.map((column, n) => html`<td key=${column.name} class=${kind(column)}>${n === main && act ? html`<button type="button" class="link" onClick=${(/** @type {Event} */ event) => { event.stopPropagation(); act(row); }}>${cellOf(column, row)}</button>` : cellOf(column, row)}</td>`)}</tr>`)}
        ${last < shown.length && html`<tr class="room" aria-hidden="true"><td colspan=${columns.length} style=${{ blockSize: `${(shown.length - last) * ROW_PX}px` }}></td></tr>`}</tbody></table></div>`}
  </section>`;
}

const kind = (/** @type {Column} */ column) => `${column.number ? "number" : ""} ${column.wide ? "wide" : ""}`;
const cellOf = (/** @type {Column} */ column, /** @type {any} */ row) => (column.show ? column.show(row) : column.value(row) ?? "–");

// said: urgent, critical, high, medium, low, LIVE, DELAYED, STALE, OFFLINE, WAITING, CONNECTING
/** Priority by shape, number and word; colour comes on top. @param {{ priority: string|number }} properties */
export function Priority({ priority }) {
  const rank = { urgent: 1, critical: 1, high: 2, medium: 3, low: 4, 1: 1, 2: 2, 3: 3, 4: 4 }[String(priority)] ?? 4;
  return html`<span class=${`chip p${rank}`}><span aria-hidden="true">${"■▲▼◆"[rank - 1]}</span> <${Plain}>P${rank}<//> ${t(String(priority))}</span>`;
}

/** LIVE, DELAYED, STALE, OFFLINE, in words and tone. @param {{ state: string, title?: string }} properties */
export const Freshness = ({ state, title }) => html`<span class=${`fresh ${state.toLowerCase()}`} title=${title}>${t(state)}</span>`;

/** Says what is missing and the next step. */
export const Empty = ({ children, next }) => html`<div class="empty"><p>${children}</p>${next && html`<p>${next}</p>`}</div>`;

/** What went wrong, why, and what finds it in the hub's logs. @param {{ error: any }} properties */
export function Trouble({ error }) {
  if (!error) return null;
  return html`<div class="trouble" role="alert"><span aria-hidden="true">■</span> <span>${error.message ?? String(error)}</span>
    ${error.correlation && html`<button type="button" class="quiet" onClick=${() => navigator.clipboard?.writeText(error.correlation)}>${t("Copy")} <${Plain}>${error.correlation.slice(0, 8)}<//></button>`}</div>`;
}

/** A dialog that is open while it is in the page; Escape and the backdrop close it. @param {{ title: string, close: () => void, children?: any }} properties */
export function Dialog({ title, close, children }) {
  const box = useRef(/** @type {HTMLDialogElement|null} */ (null));
  useEffect(() => {
    const before = /** @type {HTMLElement|null} */ (document.activeElement);
    box.current?.showModal();
    return () => before?.focus();
  }, []);
  return html`<dialog ref=${box} aria-label=${title} onCancel=${(/** @type {Event} */ event) => { event.preventDefault(); close(); }} onClick=${(/** @type {any} */ event) => { if (event.target === box.current) close(); }}>
    <div class="inside"><h2>${title}</h2>${children}</div></dialog>`;
}

/** A field with its label, hint and fault. */
export function Field({ label, hint, fault, children }) {
  return html`<label class="field"><span>${label}</span>${children}${hint && html`<small>${hint}</small>`}${fault && html`<small class="bad" role="alert">■ ${fault}</small>`}</label>`;
}

/** One figure with its unit and what it means. @param {{ label: string, value: any, unit?: string, note?: any, tone?: string }} properties */
export const Figure = ({ label, value, unit, note, tone = "" }) => html`<div class=${`figure ${tone}`}><span class="label">${label}</span><strong><${Plain}>${value}${unit && html` <span class="unit">${unit}</span>`}<//></strong>${note && html`<small>${note}</small>`}</div>`;

// Health by mark and word, the index within its interval on a gauge with the normal range.
// said: good, watch, warning, critical, not evaluated
const MARKS = { good: ["", ""], watch: ["▼", "uncertain"], warning: ["▲", "uncertain"], critical: ["■", "bad"], "not evaluated": ["◇", "uncertain"] };
/** The normal range of the index, as the hub judges it: below it an asset is watched. */
export const NORMAL_FROM = 0.8;
export const WORST_FIRST = ["critical", "warning", "watch", "not evaluated", "good"];

/** @param {{ state: string|undefined }} properties */
export function HealthState({ state }) {
  const [mark, tone] = MARKS[/** @type {keyof typeof MARKS} */ (state)] ?? MARKS["not evaluated"];
  return html`<span class=${tone}>${mark && html`<span aria-hidden="true">${mark}</span> `}${t(state ?? "not evaluated")}</span>`;
}

/** The index as a mark in its interval, on a scale of 0 to 1 with the normal range framed. Without an evaluation there is no mark. @param {{ health: any }} properties */
export function Gauge({ health }) {
  const at = (/** @type {number} */ value) => 100 * Math.min(1, Math.max(0, value));
  const evaluated = health && health.state !== "not evaluated";
  const label = evaluated ? t("health {index}, between {low} and {high}", { index: fixed2(health.index), low: fixed2(health.low), high: fixed2(health.high) }) : t("not evaluated");
  return html`<svg class="gauge" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label=${label}><rect class="scale" x="0" y="4" width="100" height="2" />
    <rect class="normal" x=${at(NORMAL_FROM)} y="0.5" width=${at(1 - NORMAL_FROM)} height="9" />
    ${evaluated && html`<rect class="span" x=${at(health.low)} y="2" width=${Math.max(0.5, at(health.high) - at(health.low))} height="6" />
    <rect class="mark" x=${Math.min(98, Math.max(0, at(health.index) - 1))} y="0" width="2" height="10" />`}</svg>`;
}

/** Index and interval in digits, left to right; a dash where nothing is claimed. @param {{ health: any }} properties */
export const Index = ({ health }) => (health && health.state !== "not evaluated" ? html`<${Plain}>${fixed2(health.index)} <span class="muted">(${fixed2(health.low)}–${fixed2(health.high)})</span><//>` : html`<span class="muted">–</span>`);

const toasts = signal(/** @type {{ id: number, text: string, undo?: () => void, act?: string }[]} */ ([]));
let count = 0;
/** A short message; where `undo` is given it can be taken back for ten seconds, or, with `act` as its word, done for a minute. @param {string} text @param {() => void} [undo] @param {string} [act] */
export function toast(text, undo, act) {
  const id = ++count;
  toasts.value = [...toasts.value, { id, text, undo, act }];
  setTimeout(() => { toasts.value = toasts.value.filter((one) => one.id !== id); }, act ? 60_000 : undo ? 10_000 : 5_000);
}
export const Toasts = () => html`<div class="toasts" role="status" aria-live="polite">${toasts.value.map((one) => html`<div key=${one.id} class="toast">${one.text}
  ${one.undo && html`<button type="button" onClick=${() => { one.undo?.(); toasts.value = toasts.value.filter((other) => other.id !== one.id); }}>${one.act ?? t("Undo")}</button>`}</div>`)}</div>`;

/**
 * Reads something once and whenever `keys` change, and again every `every_ms` while the page is seen.
 * @template T @param {() => Promise<T>} read @param {any[]} keys @param {number} every_ms
 * @returns {{ value: T|undefined, error: any, again: () => void }}
 */
export function useRead(read, keys, every_ms = 0) {
  const [found, keep] = useState(/** @type {{ value: any, error: any }} */ ({ value: undefined, error: null }));
  const [turnOf, again] = useState(0);
  useEffect(() => {
    let gone = false;
    const once = () => read().then((value) => { if (!gone) keep({ value, error: null }); }, (error) => { if (!gone) keep((before) => ({ ...before, error })); });
    once();
    const timer = every_ms ? setInterval(() => { if (!document.hidden) once(); }, every_ms) : 0;
    return () => { gone = true; clearInterval(timer); };
  }, [...keys, turnOf]);
  return { ...found, again: () => again(turnOf + 1) };
}

const modules = new Map();
/**
 * A component of a module that is fetched when it is first shown: charts, parts of a page that few open.
 * @param {{ load: () => Promise<any> } & Record<string, any>} properties load: the same function every time; gives the component
 */
export function Later({ load, ...given }) {
  const [error, tell] = useState(/** @type {any} */ (null));
  const [, redraw] = useState(0);
  useEffect(() => {
    if (!modules.has(load)) load().then((made) => { modules.set(load, made); redraw((n) => n + 1); }, tell);
  }, [load]);
  const made = modules.get(load);
  return made ? html`<${made} ...${given} />` : error ? html`<${Trouble} error=${error} />` : html`<div class="skeleton" aria-busy="true"></div>`;
}

/**
 * What is further down the page: its title stands there, and it is made when it first comes into sight, so that nothing is read for who does
 * not look. @param {{ title: string, height?: number, children?: any }} properties height: at least, in px, so that what follows stays where it is
 */
export function Seen({ title, height, children }) {
  const box = useRef(/** @type {HTMLElement|null} */ (null));
  const [seen, see] = useState(false);
  useEffect(() => {
    if (seen || !box.current) return undefined;
    const watch = new IntersectionObserver((found) => { if (found.some((one) => one.isIntersecting)) see(true); });
    watch.observe(box.current);
    return () => watch.disconnect();
  }, [seen]);
  return html`<div ref=${box} style=${{ minBlockSize: height && `${height}px` }}>${seen ? children : html`<section class="unseen" aria-label=${title}><div class="tools"><h2>${title}</h2></div></section>`}</div>`;
}

/** When a row was made and by whom, in one line. @param {{ at_us: number, by?: string }} properties */
export const Stamp = ({ at_us, by }) => html`<span class="muted"><${Plain}>${moment(at_us)}<//> ${by ?? ""}</span>`;
