// Findings of the newest run: how many of which outcome in every area of law, the list, and one of them with every step that led to it, so that
// a person who knows the law can check it without the program.
// @ts-check
import { html, useState } from "../vendor/core.mjs";
import { get, may, results, send } from "../hub.mjs";
import { address, place, turn } from "../place.mjs";
import { Field, Table, Trouble, toast, useRead } from "../ui.mjs";
import { Plain, moment, t, whole } from "../words.mjs";
import { Evidence, LawOf, One, OUTCOMES, Outcome, Said, Small, change, fact, outcomeWord } from "./parts.mjs";

const PAGE = 500;

const COLUMNS = () => [
  { name: "rule", title: t("rule"), value: (/** @type {any} */ one) => one.rule, show: (/** @type {any} */ one) => html`<${Plain}>${one.rule}<//>` },
  { name: "subject", title: t("about"), value: (/** @type {any} */ one) => one.subject, show: (/** @type {any} */ one) => html`<${Plain}>${one.subject}<//>` },
  { name: "outcome", title: t("outcome"), value: (/** @type {any} */ one) => OUTCOMES.indexOf(one.outcome), show: (/** @type {any} */ one) => html`<${Outcome} of=${one.outcome} />` },
  { name: "title", title: t("what is asked"), wide: true, value: (/** @type {any} */ one) => one.title, show: (/** @type {any} */ one) => html`<${Said}>${one.title}<//>` },
  { name: "why", title: t("why"), wide: true, value: (/** @type {any} */ one) => one.why, show: (/** @type {any} */ one) => html`<${Said}>${one.why}<//>` },
  { name: "area", title: t("area of law"), wide: true, value: (/** @type {any} */ one) => one.area },
  { name: "severity", title: t("severity"), wide: true, value: (/** @type {any} */ one) => one.severity ?? "" },
];

/** Changes when rows of findings were made. */
const made = () => Object.values(results.value).filter((one) => one.kind === "finding").map((one) => one.id).join();

/** What is asked for, all of it in the address. */
function wanted() {
  const { outcome = "", rule = "", subject = "", as_of = "", scenario = "" } = place.value.query;
  return { outcome, rule, subject, as_of, scenario };
}

/** One line for every area of law; where its findings stand in several rows, as those of outages do, their sum. @param {any[]} runs */
function byArea(runs) {
  const areas = [...new Set(runs.map((run) => run.area))].map((area) => runs.filter((run) => run.area === area));
  return areas.map((parts) => ({ area: parts[0].area, parts: parts.length, evidence: parts[0].evidence, as_of: parts[0].as_of, known_us: Math.max(...parts.map((one) => one.known_us)), counts: Object.fromEntries(OUTCOMES.map((outcome) => [outcome, parts.reduce((sum, one) => sum + (one.counts[outcome] ?? 0), 0)])) }));
}

/** @param {{ runs: any[] }} properties */
function Counts({ runs }) {
  const cell = (/** @type {any} */ run, /** @type {string} */ outcome) => (run.counts[outcome] ? html`<button type="button" class="link" aria-label=${`${run.area} ${outcomeWord(outcome)} ${whole(run.counts[outcome])}`} onClick=${() => turn({ outcome, "findings.find": run.area })}><${Plain}>${whole(run.counts[outcome])}<//></button>` : html`<span class="muted">0</span>`);
  const rows = byArea(runs).map((run) => [html`<strong>${run.area}</strong>`, ...OUTCOMES.map((outcome) => cell(run, outcome)), html`<${Plain}>${run.as_of}<//>`, html`<${Plain}>${moment(run.known_us)}<//>`, run.parts === 1 ? html`<${Evidence} row=${run.evidence} />` : t("{n} row|{n} rows", { n: run.parts })]);
  return html`<${Small} title=${t("The newest run, by area of law")} heads=${[t("area of law"), ...OUTCOMES.map((outcome) => html`<${Outcome} of=${outcome} />`), t("law as of"), t("as known at"), t("evidence")]} numbers=${[1, 2, 3, 4]} rows=${rows} />`;
}

/** @param {{ contradictions: any[] }} properties */
const Contradictions = ({ contradictions }) => (contradictions.length ? html`<div class="trouble" role="alert"><span aria-hidden="true">▲</span> <span><strong>${t("Facts contradict each other; none of them counts until they are corrected.")}</strong><ul>${contradictions.map((one) => html`<li key=${one.detail}><${Said}>${one.detail}<//></li>`)}</ul></span></div>` : null);

const lawQuery = (/** @type {ReturnType<typeof wanted>} */ now) => ({ as_of: now.as_of, scenario: now.scenario });

function List() {
  const now = wanted();
  const [more, add] = useState(/** @type {{ of: string, rows: any[], next: string|null }|null} */ (null));
  const [judged, tell] = useState(/** @type {any} */ (null));
  const [fault, fail] = useState(/** @type {any} */ (null));
  const path = address("/v1/findings", { ...now, limit: PAGE });
  const { value, error, again } = useRead(() => get(path), [path, made()]);
  const older = more?.of === `${path} ${value?.next}` ? more : null;
  const rows = [...(value?.findings ?? []), ...(older?.rows ?? [])];
  const next = older ? older.next : value?.next;
  const fetchMore = () => get(address("/v1/findings", { ...now, limit: PAGE, cursor: next })).then((found) => add({ of: `${path} ${value?.next}`, rows: [...(older?.rows ?? []), ...found.findings], next: found.next }), fail);
  const judge = () => send("POST", "/v1/rules/run", { ...(now.as_of && { as_of: now.as_of }), ...(now.scenario && { scenarios: [now.scenario] }) }).then((made) => {
    const fresh = made.areas.filter((/** @type {any} */ one) => one.new).length;
    toast(fresh ? t("Judged: {n} area of law has changed.|Judged: {n} areas of law have changed.", { n: fresh }) : t("Judged: nothing has changed."));
    tell(made);
    fail(null);
    again();
  }, fail);
  const tools = html`${may("write:compliance") && html`<button type="button" class="act" onClick=${judge}>${t("Judge now")}</button>`}${next && html`<button type="button" class="quiet" onClick=${fetchMore}>${t("More")}</button>`}`;
  const nothing = value?.runs.length ? t("No finding is like that.") : t("Nothing was judged yet by this law.");
  return html`<form class="choice" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}><${Field} label=${t("outcome")}><select value=${now.outcome} onChange=${change("outcome")}><option value="">${t("any")}</option>${OUTCOMES.map((one) => html`<option key=${one} value=${one}>${outcomeWord(one)}</option>`)}</select><//>
    <${Field} label=${t("rule")}><input dir="ltr" value=${now.rule} maxlength="40" onChange=${change("rule")} /><//><${Field} label=${t("about")}><input dir="ltr" value=${now.subject} maxlength="200" onChange=${change("subject")} /><//><${LawOf} now=${now} known=${["as-stated"]} /></form>
    <${Trouble} error=${error ?? fault} />${judged && html`<${Contradictions} contradictions=${judged.contradictions} />`}
    ${value ? html`${value.runs.length > 0 && html`<${Counts} runs=${value.runs} />`}<${Table} name="findings" title=${t("Findings")} columns=${COLUMNS()} rows=${rows} id=${(/** @type {any} */ one) => `${one.rule} ${one.subject}`} open=${(/** @type {any} */ one) => turn({ finding: one.rule, of: one.subject })} sort="outcome" tools=${tools} empty=${nothing} />` : !error && html`<div class="skeleton" aria-busy="true"></div>`}`;
}

/** A figure of the law: its value, since when, from which text, how sure. @param {{ one: any }} properties */
export function LawFigure({ one }) {
  const value = Array.isArray(one.value) ? one.value.join(", ") : one.value;
  return html`<${Said}><strong>${one.id}</strong> = ${value} ${one.unit}<//> <span class="muted">${t("from")} <${Plain}>${one.from}<//> · <${Plain}>${one.reference}<//> · <span class=${one.status === "confirmed" ? "" : "uncertain"}>${t(one.status)}</span></span>`;
}
// said: confirmed, unconfirmed, proposed

/** One step with those below it. @param {{ node: any }} properties */
function Step({ node }) {
  return html`<li><${Said}><strong>${node.name}</strong>${node.value && html` = <strong>${node.value}</strong>`}<//>
    ${node.formula && html`<br /><span class="muted">${t("how:")}</span> <${Said}>${node.formula}<//>`}
    ${node.inputs.length > 0 && html`<br /><span class="muted">${t("facts:")}</span> <${Said}>${node.inputs.map((/** @type {string[]} */ [name, value]) => `${name} = ${value}`).join("; ")}<//>`}
    ${node.parameters.map((/** @type {any} */ one) => html`<br key=${`${one.id} line`} /><span class="muted">${t("law:")}</span> <${LawFigure} one=${one} />`)}
    ${node.children.length > 0 && html`<ol>${node.children.map((/** @type {any} */ child, /** @type {number} */ at) => html`<${Step} key=${at} node=${child} />`)}</ol>`}</li>`;
}

const shown = (/** @type {any} */ value) => (value === null || value === undefined || value === "" ? html`<span class="uncertain">${t("not known")}</span>` : html`<${Plain}>${typeof value === "object" ? JSON.stringify(value) : String(value)}<//>`);

/** @param {{ rule: string, subject: string }} properties */
function Finding({ rule, subject }) {
  const now = wanted();
  const path = address(`/v1/findings/${encodeURIComponent(rule)}/${subject.split("/").map(encodeURIComponent).join("/")}`, lawQuery(now));
  const live = made();
  const { value: one, error } = useRead(() => get(path), [path, live]);
  const kept = useRead(() => get(address("/v1/findings", { rule, subject, ...lawQuery(now), limit: 1 })), [path, live]);
  const found = kept.value?.findings[0];
  return html`<${One} back=${{ finding: null, of: null }} title=${html`<${Plain}>${rule}<//> ${one && html`<${Said}>${one.title}<//>`}`}><${Trouble} error=${error} />
    ${!one && !error && html`<div class="skeleton" aria-busy="true"></div>`}${one && html`<p class="verdict"><${Outcome} of=${one.outcome} /> <${Said}>${one.why}<//></p><${Contradictions} contradictions=${one.contradictions} />
      <dl class="facts">${fact(t("about"), one.subject)}${fact(t("law as of"), one.key.as_of)}${fact(t("scenario"), one.key.scenarios.join(", ") || t("law as it is"))}${fact(t("as known at"), moment(one.known_us))}${fact(t("severity"), one.severity)}${fact(t("answers for it"), one.owner)}
        <div><dt>${t("evidence")}</dt><dd>${found ? html`<${Evidence} row=${found.evidence} /> <small class="muted">${found.digest === one.digest ? t("the run found the same") : t("the run knew other facts or figures: judge now to keep this one")}</small>` : t("not judged in a run yet")}</dd></div></dl>
      <section aria-label=${t("Sources")}><h3>${t("Sources")}</h3><ul>${one.cites.map((/** @type {string} */ cite) => html`<li key=${cite}><${Said}>${cite}<//></li>`)}</ul></section>
      <section aria-label=${t("How it follows")}><h3>${t("How it follows")} <small><a href=${path} target="_blank" rel="noopener">${t("as a document to print")}</a></small></h3>${one.trace.length ? html`<ol class="trace">${one.trace.map((/** @type {any} */ node, /** @type {number} */ at) => html`<${Step} key=${at} node=${node} />`)}</ol>` : html`<p class="muted">${t("No step was taken: the first fact that was needed is missing.")}</p>`}</section>
      <details open=${!one.trace.length}><summary>${t("Facts it was judged by")}</summary><${Small} title=${t("Facts it was judged by")} heads=${[t("fact"), t("value")]} rows=${Object.entries(one.facts).map(([name, value]) => [html`<${Said}>${name.replaceAll("_", " ")}<//>`, shown(value)])} /></details>
      <p class="muted"><${Plain}>SHA-256 ${one.digest}<//></p>`}<//>`;
}

export function Part() {
  const { finding, of } = place.value.query;
  return finding && of ? html`<${Finding} key=${`${finding} ${of}`} rule=${finding} subject=${of} />` : html`<${List} />`;
}
