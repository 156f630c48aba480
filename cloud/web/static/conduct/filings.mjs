// Filings: what was drafted, filed and answered; each with its file, its signed manifest, its layers and the day it was due. Handing a file to an
// authority happens outside of the hub; its answer is told here.
// @ts-check
import { html, useState } from "../vendor/core.mjs";
import { download, get, may, send } from "../hub.mjs";
import { place, To, turn } from "../place.mjs";
import { Dialog, Field, Stamp, Table, Trouble, toast, useRead } from "../ui.mjs";
import { Plain, moment, t, whole } from "../words.mjs";
import { Evidence, Form, Layers, One, Outcome, Said, Small, fact } from "./parts.mjs";

const drafter = () => import("./drafting.mjs"); // fetched with the first draft
const PAGE = 200;

/** @param {{ day: string|null|undefined, status: string|undefined, overdue: boolean, late?: boolean }} properties */
function Due({ day, status, overdue, late }) {
  if (!day) return html`<span class="muted">${t("no day")}</span>`;
  return html`<${Plain}>${day}<//> ${status && status !== "confirmed" && html`<small class="uncertain">${t(status)}</small>`} ${overdue && html`<span class="bad"><span aria-hidden="true">■</span> ${t("overdue")}</span>`}${late && html`<span class="bad"><span aria-hidden="true">■</span> ${t("late")}</span>`}`;
}

const name = (/** @type {string} */ field, /** @type {string} */ title) => ({ name: field, title, value: (/** @type {any} */ one) => one[field], show: (/** @type {any} */ one) => html`<${Plain}>${one[field]}<//>` });
const last = (/** @type {any} */ one) => one.versions.at(-1);
// said: sent, accepted, rejected, cancelled, open, agreed, declined, expired, new, amendment, cancellation, confirmed, unconfirmed, proposed
const FILINGS = () => [
  name("kind", t("kind")), name("subject", t("about")),
  { name: "state", title: t("state"), value: (/** @type {any} */ one) => one.state, show: (/** @type {any} */ one) => t(one.state) },
  { name: "outcome", title: t("layers"), value: (/** @type {any} */ one) => last(one).outcome, show: (/** @type {any} */ one) => html`<${Outcome} of=${last(one).outcome} />` },
  { name: "due", title: t("due"), value: (/** @type {any} */ one) => last(one).due, show: (/** @type {any} */ one) => html`<${Due} day=${last(one).due} status=${last(one).due_status} overdue=${one.overdue} late=${last(one).late} />` },
  { name: "made", title: t("filed"), wide: true, value: (/** @type {any} */ one) => last(one).made_us, show: (/** @type {any} */ one) => html`<${Plain}>${moment(last(one).made_us)}<//>` },
  { name: "versions", title: t("versions"), number: true, wide: true, value: (/** @type {any} */ one) => one.versions.length },
];
const DRAFTS = () => [
  name("kind", t("kind")), name("subject", t("about")),
  { name: "state", title: t("state"), value: (/** @type {any} */ one) => one.state, show: (/** @type {any} */ one) => html`${t(one.state)}${one.cancels ? html` <small>(${t("cancels")})</small>` : ""}` },
  { name: "due", title: t("due"), value: (/** @type {any} */ one) => one.due.day, show: (/** @type {any} */ one) => html`<${Due} day=${one.due.day} status=${one.due.status} overdue=${one.overdue} />` },
  { name: "rows", title: t("rows"), number: true, wide: true, value: (/** @type {any} */ one) => one.rows },
  { name: "made", title: t("drafted"), wide: true, value: (/** @type {any} */ one) => one.made_us, show: (/** @type {any} */ one) => html`<${Plain}>${moment(one.made_us)}<//>` },
];

/** Rows by pages, the newest first. @param {string} path @param {string} field @returns {{ rows: any[]|undefined, error: any, older: any }} */
function useList(path, field) {
  const [more, add] = useState(/** @type {{ rows: any[], next: number|null }|null} */ (null));
  const [fault, fail] = useState(/** @type {any} */ (null));
  const { value, error } = useRead(() => get(`${path}?limit=${PAGE}`), [path], 30_000);
  const next = more ? more.next : value?.next;
  const fetchMore = () => get(`${path}?limit=${PAGE}&before=${next}`).then((found) => add({ rows: [...(more?.rows ?? []), ...found[field]], next: found.next }), fail);
  return { rows: value && [...value[field], ...(more?.rows ?? [])], error: error ?? fault, older: next ? html`<button type="button" class="quiet" onClick=${fetchMore}>${t("Older")}</button>` : null };
}

function List() {
  const filings = useList("/v1/filings", "filings");
  const drafts = useList("/v1/filing-drafts", "drafts");
  const [Drafting, open] = useState(/** @type {any} */ (null));
  const [fault, fail] = useState(/** @type {any} */ (null));
  const draft = may("write:compliance") && html`<button type="button" class="act" onClick=${() => drafter().then((made) => open(() => made.Drafting), fail)}>${t("Draft a report")}</button>`;
  const waiting = html`<div class="skeleton" aria-busy="true"></div>`;
  return html`<${Trouble} error=${filings.error ?? drafts.error ?? fault} />
    ${filings.rows ? html`<${Table} name="filings" title=${t("Filings")} columns=${FILINGS()} rows=${filings.rows} id=${(/** @type {any} */ one) => one.id} open=${(/** @type {any} */ one) => turn({ filing: one.id })} height=${360} tools=${filings.older} empty=${t("Nothing was filed or published yet.")} />` : !filings.error && waiting}
    ${drafts.rows ? html`<${Table} name="drafts" title=${t("Drafts")} columns=${DRAFTS()} rows=${drafts.rows} id=${(/** @type {any} */ one) => one.id} open=${(/** @type {any} */ one) => turn({ draft: one.id })} height=${300} tools=${html`${draft}${drafts.older}`} empty=${t("Nothing was drafted yet.")} />` : !drafts.error && waiting}
    ${Drafting && html`<${Drafting} close=${() => open(null)} />`}`;
}

/** What the authority said, as somebody tells it. @param {{ one: any, close: () => void, again: () => void }} properties */
function Answering({ one, close, again }) {
  const [reasons, list] = useState(/** @type {{ code: string, place: string, message: string }[]} */ ([]));
  const set = (/** @type {number} */ at, /** @type {string} */ field) => (/** @type {any} */ event) => list(reasons.map((reason, n) => (n === at ? { ...reason, [field]: event.target.value } : reason)));
  const act = (/** @type {any} */ given) => send("POST", `/v1/filings/${one.id}/answers`, { version: last(one).version, reference: given.reference.value.trim(), reasons }).then(() => { toast(reasons.length ? t("Kept: rejected.") : t("Kept: accepted.")); close(); again(); });
  return html`<${Dialog} title=${t("What the authority answered")} close=${close}><${Form} act=${act} word=${reasons.length ? t("It was rejected") : t("It was accepted")} close=${close}>
    <${Field} label=${t("reference of the answer")}><input name="reference" dir="ltr" maxlength="200" required autofocus /><//>
    ${reasons.map((reason, at) => html`<fieldset key=${at}><legend>${t("Reason {number}", { number: at + 1 })}</legend><${Field} label=${t("code")}><input dir="ltr" required maxlength="200" value=${reason.code} onInput=${set(at, "code")} /><//>
      <${Field} label=${t("place in the file")}><input dir="ltr" required maxlength="200" value=${reason.place} onInput=${set(at, "place")} /><//><${Field} label=${t("message")}><input dir="auto" required maxlength="1000" value=${reason.message} onInput=${set(at, "message")} /><//>
      <p><button type="button" class="quiet" onClick=${() => list(reasons.filter((_, n) => n !== at))}>${t("Remove")}</button></p></fieldset>`)}
    <p><button type="button" class="quiet" onClick=${() => list([...reasons, { code: "", place: "", message: "" }])}>${t("Add a reason for the rejection")}</button></p><//><//>`;
}

const ending = (/** @type {string} */ kind) => (kind === "FERC-EQR" ? "csv" : "xml");

/** @param {{ id: string }} properties */
function Filing({ id }) {
  const { value: one, error, again } = useRead(() => get(`/v1/filings/${encodeURIComponent(id)}`), [id], 30_000);
  const row = one && last(one).evidence;
  const judged = useRead(() => (row ? get(`/v1/evidence/${row}`) : Promise.resolve(null)), [row]);
  const [answering, answer] = useState(false);
  const [fault, fail] = useState(/** @type {any} */ (null));
  const cancel = () => send("POST", `/v1/filings/${one.id}/cancellation`).then((made) => { toast(t("Drafted. Somebody else agrees to file it.")); turn({ filing: null, draft: made.id }); }, fail);
  const file = (/** @type {any} */ version, /** @type {string} */ what, /** @type {string} */ end) => html`<button type="button" class="link" onClick=${() => download(`/v1/filings/${one.id}/${what}?version=${version.version}`, `${one.kind.toLowerCase()}-${one.id}-${version.version}.${end}`).catch(fail)}>${what === "file" ? t("file") : t("manifest")}</button>`;
  const versions = one?.versions.map((/** @type {any} */ version) => [version.version, t(version.action), html`<${Stamp} at_us=${version.made_us} by=${version.by} />`, html`<${Outcome} of=${version.outcome} />`, html`<${Due} day=${version.due} status=${version.due_status} overdue=${false} late=${version.late} />`, version.rows, html`<span class="acts">${file(version, "file", ending(one.kind))} ${file(version, "manifest", "json")} <${Evidence} row=${version.evidence} /></span>`, html`<code dir="ltr" title=${version.sha256}>${version.sha256.slice(0, 16)}…</code>`]);
  const answers = one?.answers.map((/** @type {any} */ given) => [given.version, html`<${Stamp} at_us=${given.received_us} />`, given.accepted ? t("accepted") : html`<span class="bad">■ ${t("rejected")}</span>`, html`<${Plain}>${given.reference}<//>`, given.reasons.map((/** @type {any} */ reason) => html`<div key=${reason.code + reason.place}><${Said}>${reason.code} ${reason.place}: ${reason.message}<//></div>`)]);
  return html`<${One} back=${{ filing: null }} title=${one ? html`<${Plain}>${one.kind}<//> ${one.subject} <small>${t(one.state)}</small>` : t("Filing {number}", { number: id })}><${Trouble} error=${error ?? fault ?? judged.error} />
    ${!one && !error && html`<div class="skeleton" aria-busy="true"></div>`}${one && html`${one.overdue && html`<p class="bad">■ ${t("overdue")}</p>`}
      ${may("write:compliance") && one.kind !== "UMM" && html`<p class="acts">${one.state === "sent" && html`<button type="button" class="act" onClick=${() => answer(true)}>${t("Tell the answer")}</button>`}${one.state === "accepted" && html`<button type="button" class="act" onClick=${cancel}>${t("Draft the cancellation")}</button>`}</p>`}
      ${one.kind === "UMM" && html`<p class="muted">${t("It was published; no authority answers it.")}</p>`}
      <${Small} title=${t("Versions")} heads=${[t("version"), t("action"), t("filed"), t("layers"), t("due"), t("rows"), t("to download"), "SHA-256"]} numbers=${[0, 5]} rows=${versions} />
      ${answers.length > 0 && html`<${Small} title=${t("Answers")} heads=${[t("version"), t("time"), t("answer"), t("reference"), t("reasons")]} numbers=${[0]} rows=${answers} />`}
      ${judged.value && html`<${Layers} layers=${judged.value.output.layers} />${judged.value.output.due?.reason && html`<p class="muted">${t("The day it was due:")} <${Said}>${judged.value.output.due.reason}<//></p>`}`}`}
    ${answering && html`<${Answering} one=${one} close=${() => answer(false)} again=${again} />`}<//>`;
}

/** @param {{ id: string }} properties */
function Draft({ id }) {
  const { value: one, error } = useRead(() => get(`/v1/filing-drafts/${encodeURIComponent(id)}`), [id], 30_000);
  const [fault, fail] = useState(/** @type {any} */ (null));
  return html`<${One} back=${{ draft: null }} title=${html`${t("Draft {number}", { number: id })} ${one && html`<small><${Plain}>${one.kind}<//> ${one.subject} · ${t(one.state)}</small>`}`}><${Trouble} error=${error ?? fault} />
    ${!one && !error && html`<div class="skeleton" aria-busy="true"></div>`}${one && html`<dl class="facts">${fact(t("drafted"), moment(one.made_us))}${fact(t("by"), one.by)}${fact(t("rows"), whole(one.rows))}${fact(t("cancels"), one.cancels ? t("yes") : t("no"))}<div><dt>${t("due")}</dt><dd><${Due} day=${one.due.day} status=${one.due.status} overdue=${one.overdue} /> ${one.due.reference ?? one.due.reason ? html`<small class="muted"><${Said}>${one.due.reference ?? one.due.reason}<//></small>` : ""}</dd></div>
        <div><dt>SHA-256</dt><dd><code dir="ltr" title=${one.sha256}>${one.sha256.slice(0, 16)}…</code></dd></div></dl>
      ${one.state === "open" && html`<p class="note">${t("Waits for a second person; agreeing files exactly these bytes.")} ${may("approve") && html`<${To} path="/approvals" query=${{ approval: one.approval }}>${t("Approvals")}<//>`}</p>`}
      <p class="acts"><button type="button" class="act" onClick=${() => download(`/v1/filing-drafts/${one.id}/file`, `${one.kind.toLowerCase()}-draft-${one.id}.${ending(one.kind)}`).catch(fail)}>${t("Download the file")}</button></p><${Layers} layers=${one.layers} />`}<//>`;
}

export function Part() {
  const { filing, draft } = place.value.query;
  return filing ? html`<${Filing} key=${filing} id=${filing} />` : draft ? html`<${Draft} key=${draft} id=${draft} />` : html`<${List} />`;
}
