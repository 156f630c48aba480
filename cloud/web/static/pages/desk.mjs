// The trader's page: positions by product, place and delivery month, the deals they come from, and the quotes they are valued with.
// @ts-check
import { html } from "../vendor/core.mjs";
import { get, may } from "../hub.mjs";
import { place, turn } from "../place.mjs";
import { cell, exact, exactly, forecasts, matrix, months, produced, risk, rounded } from "../trade/book.mjs";
import { Dialog, Empty, Seen, Table, Trouble, useRead } from "../ui.mjs";
import { Plain, moment, t } from "../words.mjs";

const BOOKED_MS = 5_000; // deals move seldom, and netting them is work for the hub
const QUOTES_MS = 15_000;
// said: net, expected, open, bought, sold
const MEASURES = /** @type {const} */ (["net", "expected", "open", "bought", "sold"]);
const ROUNDED = ["expected", "open"]; // sums that hold an estimate

const told = (/** @type {any} */ value, /** @type {string} */ measure) => (ROUNDED.includes(measure) ? rounded(value) : exactly(value));
/** Net and open have a direction: long is plus. @param {{ value: any, measure: string }} properties */
function Amount({ value, measure }) {
  if (value === undefined) return null;
  const long = value && value.digits > 0n && (measure === "net" || measure === "open");
  return html`<${Plain} title=${exactly(value)}>${long ? "+" : ""}${told(value, measure)}<//>`;
}

function Matrix({ lines }) {
  const measure = MEASURES.find((one) => one === place.value.query.measure) ?? "net";
  const { periods, rows } = matrix(lines, measure);
  const title = t("Positions by product, place and month");
  return html`<section aria-label=${title}><div class="tools"><h2>${title} <small>${t("delivery months of UTC; plus is long")}</small></h2>
      <label>${t("Measure")} <select value=${measure} onChange=${(/** @type {any} */ event) => turn({ measure: event.target.value === "net" ? null : event.target.value })}>${MEASURES.map((one) => html`<option key=${one} value=${one}>${t(one)}</option>`)}</select></label></div>
    <div class="scroll" tabindex="0" role="region" aria-label=${title}><table class="matrix"><thead><tr><th scope="col">${t("product")}</th><th scope="col">${t("place")}</th><th scope="col" class="wide">${t("book")}</th><th scope="col">${t("unit of measure")}</th>${periods.map((period) => html`<th key=${period} scope="col" class="number"><${Plain}>${period}<//></th>`)}</tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${row.key}><th scope="row"><${Plain}>${row.product}<//></th><td><${Plain}>${row.place}<//></td><td class="wide"><${Plain}>${row.book}<//></td><td><${Plain}>${row.unit}<//></td>${periods.map((period) => html`<td key=${period} class="number"><${Amount} value=${row.cells[period]} measure=${measure} /></td>`)}</tr>`)}</tbody></table></div></section>`;
}

const amount = (/** @type {string} */ measure) => ({ name: measure, title: t(measure), number: true, value: (/** @type {any} */ line) => cell(line[measure]), show: (/** @type {any} */ line) => html`<${Amount} value=${line[measure]} measure=${measure} />` });
const LINES = () => [
  { name: "month", title: t("month"), value: (/** @type {any} */ line) => [line.period, line.days].filter(Boolean).join(" "), show: (/** @type {any} */ line) => html`<${Plain}>${line.period} <span class="muted">${line.days}</span><//>` },
  { name: "product", title: t("product"), value: (/** @type {any} */ line) => line.product },
  { name: "place", title: t("place"), wide: true, value: (/** @type {any} */ line) => line.place },
  { name: "book", title: t("book"), wide: true, value: (/** @type {any} */ line) => line.book },
  ...["bought", "sold", "net", "expected", "open"].map(amount),
  { name: "unit", title: t("unit of measure"), value: (/** @type {any} */ line) => line.unit },
];

function Faults({ faults }) {
  return html`<ul class="refused" aria-label=${t("Deals that are left out")}>${faults.map((/** @type {any} */ fault) => html`<li key=${fault.deal}><span class="uncertain">▲</span> ${t("{deal} is left out:", { deal: fault.deal })} <${Plain}>${fault.cause}${fault.detail ? `: ${fault.detail}` : ""}<//></li>`)}</ul>`;
}

/** What a leg costs, in words of the deal. @param {any} price */
function priced(price) {
  const each = (/** @type {any} */ money) => `${money.value} ${money.currency}/${money.unit}`;
  if (price.fixed) return each(price.fixed);
  const differential = price.differential ? ` ${String(price.differential.value).startsWith("-") ? "" : "+"}${each(price.differential)}` : "";
  return price.index ? `${price.index}${differential}` : JSON.stringify(price);
}

/** One line per leg. @param {any[]} deals */
const legs = (deals) => deals.flatMap((deal) => deal.legs.map((/** @type {any} */ leg, /** @type {number} */ at) => ({ ...leg, deal, key: `${deal.id} ${at}` })));
// said: buy, sell, spot, forward, future, option, swap, transport, storage, cancelled
const DEALS = () => [
  { name: "deal", title: t("deal"), value: (/** @type {any} */ leg) => leg.deal.id, show: (/** @type {any} */ leg) => html`<${Plain}>${leg.deal.id}<//>` },
  { name: "kind", title: t("kind"), value: (/** @type {any} */ leg) => leg.deal.kind, show: (/** @type {any} */ leg) => html`${t(leg.deal.kind)}${leg.deal.cancelled ? html` <span class="uncertain">${t("cancelled")}</span>` : ""}` },
  { name: "side", title: t("side"), value: (/** @type {any} */ leg) => leg.side, show: (/** @type {any} */ leg) => t(leg.side) },
  { name: "product", title: t("product"), value: (/** @type {any} */ leg) => leg.product },
  { name: "place", title: t("place"), wide: true, value: (/** @type {any} */ leg) => leg.place },
  { name: "volume", title: t("volume"), number: true, value: (/** @type {any} */ leg) => cell(exact(leg.volume.value)), show: (/** @type {any} */ leg) => html`<${Plain}>${exactly(exact(leg.volume.value))} ${leg.volume.unit}<//>` },
  { name: "first", title: t("first day"), value: (/** @type {any} */ leg) => leg.first, show: (/** @type {any} */ leg) => html`<${Plain}>${leg.first}<//>` },
  { name: "last", title: t("last day"), value: (/** @type {any} */ leg) => leg.last, show: (/** @type {any} */ leg) => html`<${Plain}>${leg.last}<//>` },
  { name: "price", title: t("price"), value: (/** @type {any} */ leg) => priced(leg.price), show: (/** @type {any} */ leg) => html`<${Plain}>${priced(leg.price)}<//>` },
  { name: "counterparty", title: t("counterparty"), value: (/** @type {any} */ leg) => leg.deal.counterparty },
  { name: "book", title: t("book"), wide: true, value: (/** @type {any} */ leg) => leg.deal.book },
  { name: "known", title: t("known since"), wide: true, value: (/** @type {any} */ leg) => leg.deal.known_us, show: (/** @type {any} */ leg) => html`<${Plain}>${moment(leg.deal.known_us)}<//>` },
];

/** A deal with its terms and every version of it. @param {{ id: string }} properties */
function Deal({ id }) {
  const { value, error } = useRead(() => get(`/v1/deals/${encodeURIComponent(id)}/versions`), [id]);
  const versions = /** @type {any[]|undefined} */ (value?.versions.map((/** @type {any} */ one) => ({ ...one.deal, sha256: one.sha256 })));
  return html`<${Dialog} title=${t("Deal {id}", { id })} close=${() => turn({ deal: null })}><${Trouble} error=${error} />
    ${versions?.map((/** @type {any} */ one) => html`<section key=${one.version}><h3>${t("version {n}", { n: one.version })} <small><${Plain}>${moment(one.known_us)}<//></small></h3><p class="note">SHA-256 <code dir="ltr">${one.sha256}</code></p>
      <dl class="facts"><div><dt>${t("kind")}</dt><dd>${t(one.kind)}${one.cancelled ? ` (${t("cancelled")})` : ""}</dd></div><div><dt>${t("counterparty")}</dt><dd><${Plain}>${one.counterparty}<//></dd></div>
      ${Object.entries({ ...(one.terms ?? {}), ...(one.option ?? {}) }).map(([name, given]) => html`<div key=${name}><dt><${Plain}>${name.replaceAll("_", " ")}<//></dt><dd><${Plain}>${typeof given === "object" && given ? `${given.value} ${given.currency}/${given.unit}` : String(given)}<//></dd></div>`)}</dl>
      <ul>${one.legs.map((/** @type {any} */ leg, /** @type {number} */ at) => html`<li key=${at}>${t(leg.side)} <${Plain}>${exactly(exact(leg.volume.value))} ${leg.volume.unit} ${leg.product}, ${leg.place}, ${leg.first} – ${leg.last}, ${priced(leg.price)}<//></li>`)}</ul></section>`)}
    <p class="acts"><button type="button" class="quiet" onClick=${() => turn({ deal: null })}>${t("Close")}</button></p><//>`;
}

const QUOTES = () => [
  { name: "product", title: t("product"), value: (/** @type {any} */ one) => one.product },
  { name: "place", title: t("place"), value: (/** @type {any} */ one) => one.place },
  { name: "from", title: t("from"), value: (/** @type {any} */ one) => one.start_us, show: (/** @type {any} */ one) => html`<${Plain}>${new Date(one.start_us / 1e3).toISOString().slice(0, 10)}<//>` },
  { name: "to", title: t("to"), wide: true, value: (/** @type {any} */ one) => one.end_us, show: (/** @type {any} */ one) => html`<${Plain}>${new Date((one.end_us - 1) / 1e3).toISOString().slice(0, 10)}<//>` },
  { name: "price", title: t("price"), number: true, value: (/** @type {any} */ one) => cell(exact(one.price)), show: (/** @type {any} */ one) => html`<${Plain}>${one.price} ${one.currency}/${one.unit}<//>` },
  { name: "profile", title: t("profile"), wide: true, value: (/** @type {any} */ one) => one.profile },
  { name: "asof", title: t("as of"), value: (/** @type {any} */ one) => one.as_of_us, show: (/** @type {any} */ one) => html`<${Plain}>${moment(one.as_of_us)}<//>` },
];

function Deals() {
  const { value, error } = useRead(() => get("/v1/deals"), [], BOOKED_MS);
  if (error) return html`<${Trouble} error=${error} />`;
  return value ? html`<${Table} name="deals" title=${t("Deals")} columns=${DEALS()} rows=${legs(value.deals)} id=${(/** @type {any} */ leg) => leg.key} pick=${(/** @type {any} */ leg) => turn({ deal: leg.deal.id })} height=${320} empty=${t("No deal has been booked yet.")} />` : html`<div class="skeleton"></div>`;
}

function Quotes() {
  const { value, error } = useRead(() => get("/v1/quotes"), [], QUOTES_MS);
  if (error) return html`<${Trouble} error=${error} />`;
  return value ? html`<${Table} name="quotes" title=${t("Quotes")} columns=${QUOTES()} rows=${value.quotes} id=${(/** @type {any} */ one) => `${one.product} ${one.place} ${one.profile} ${one.start_us}`} height=${260} empty=${t("No quote has been handed in yet.")} />` : html`<div class="skeleton"></div>`;
}

export function Page() {
  const booked = useRead(() => get("/v1/positions"), [], BOOKED_MS);
  const lines = booked.value ? months(booked.value.positions, produced(forecasts.value, risk.value?.subject ?? "")) : null;
  return html`<h1>${t("Desk")}</h1><${Trouble} error=${booked.error} />
    ${!lines ? html`<div class="skeleton" aria-busy="true"></div>` : lines.length === 0 ? html`<${Empty} next=${t("Deals are booked through POST /v1/deals.")}>${t("No deals, and no production is expected.")}<//>`
      : html`<${Matrix} lines=${lines} /><${Table} name="positions" title=${t("Positions")} columns=${LINES()} rows=${lines} id=${(/** @type {any} */ line) => line.key} height=${400} />
        <p class="note">${t("Open is net with expected production, where the forecast reaches.")}</p>`}
    ${booked.value?.faults?.length > 0 && html`<${Faults} faults=${booked.value.faults} />`}
    ${lines && html`<${Seen} title=${t("Deals")}><${Deals} /><//>${may("read:market") && html`<${Seen} title=${t("Quotes")}><${Quotes} /><//>`}`}${place.value.query.deal && html`<${Deal} id=${place.value.query.deal} />`}`;
}
