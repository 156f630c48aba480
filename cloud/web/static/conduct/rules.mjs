// The rules as they stand on a day of law: what each asks, by which figures, from which text, who answers for it; and those that do not run, with
// the reason.
// @ts-check
import { html } from "../vendor/core.mjs";
import { get } from "../hub.mjs";
import { address, place, To, turn } from "../place.mjs";
import { Table, Trouble, useRead } from "../ui.mjs";
import { Plain, t } from "../words.mjs";
import { LawOf, One, Said, Small, fact } from "./parts.mjs";

const doubtful = (/** @type {any} */ one) => one.parameters.filter((/** @type {any} */ figure) => figure.value === null || figure.status !== "confirmed").length;
// said: review due, in force, not yet in force
const COLUMNS = () => [
  { name: "id", title: t("rule"), value: (/** @type {any} */ one) => one.id, show: (/** @type {any} */ one) => html`<${Plain}>${one.id}<//>` },
  { name: "title", title: t("what is asked"), value: (/** @type {any} */ one) => one.title, show: (/** @type {any} */ one) => html`<${Said}>${one.title}<//>` },
  { name: "area", title: t("area of law"), wide: true, value: (/** @type {any} */ one) => one.area },
  { name: "state", title: t("state"), value: (/** @type {any} */ one) => (one.in_force ? "in force" : "not yet in force"), show: (/** @type {any} */ one) => html`${t(one.in_force ? "in force" : "not yet in force")}${one.review_due && html` <span class="uncertain">▲ ${t("review due")}</span>`}` },
  { name: "doubts", title: t("figures in doubt"), number: true, value: doubtful, show: (/** @type {any} */ one) => (doubtful(one) ? html`<span class="uncertain"><span aria-hidden="true">▲</span> <${Plain}>${doubtful(one)} / ${one.parameters.length}<//></span>` : html`<${Plain}>0 / ${one.parameters.length}<//>`) },
  { name: "citations", title: t("sources"), wide: true, value: (/** @type {any} */ one) => one.citations.join("; "), show: (/** @type {any} */ one) => html`<${Said}>${one.citations.join("; ")}<//>` },
  { name: "owner", title: t("answers for it"), wide: true, value: (/** @type {any} */ one) => one.owner },
];
const UNBUILT = () => [
  { name: "id", title: t("rule"), value: (/** @type {any} */ one) => one.id, show: (/** @type {any} */ one) => html`<${Plain}>${one.id}<//>` },
  { name: "reason", title: t("why it does not run"), value: (/** @type {any} */ one) => one.reason, show: (/** @type {any} */ one) => html`<${Said}>${one.reason}<//>` },
  { name: "owner", title: t("answers for it"), wide: true, value: (/** @type {any} */ one) => one.owner },
];

/** @param {any} one */
function figure(one) {
  const value = one.value === null ? html`<span class="uncertain">▲ <${Said}>${one.undetermined}<//></span>` : html`<${Said}><strong>${Array.isArray(one.value) ? one.value.join(", ") : one.value}</strong> ${one.unit}<//>`;
  const status = html`<span class=${one.status === "confirmed" ? "" : "uncertain"}>${one.status ? t(one.status) : "–"}</span>`;
  const looked = html`<${Plain}>${one.last_reviewed}<//> ${one.reviewer} ${one.review_due && html`<span class="uncertain">▲ ${t("review due")}</span>`}`;
  return [html`<${Said}>${one.description}<//><br /><small class="muted"><${Plain}>${one.id}<//></small>`, value, html`<${Plain}>${one.from ?? "–"}<//>`, status, html`<${Said}>${one.reference ?? "–"}<//>`, looked];
}

/** @param {{ one: any }} properties */
function Rule({ one }) {
  return html`<${One} back=${{ open: null }} title=${html`<${Plain}>${one.id}<//> <${Said}>${one.title}<//>`}>
    <dl class="facts">${fact(t("area of law"), one.area)}${fact(t("about"), one.judges)}${fact(t("applies from"), one.applies_from)}${fact(t("severity"), one.severity)}${fact(t("answers for it"), one.owner)}${fact(t("version"), html`<code title=${one.version}>${one.version.slice(0, 12)}</code>`)}</dl>
    <ul>${one.citations.map((/** @type {string} */ cite) => html`<li key=${cite}><${Said}>${cite}<//></li>`)}</ul>
    <p><${To} path="/compliance" query=${{ rule: one.id, as_of: place.value.query.as_of, scenario: place.value.query.scenario }}>${t("Findings of this rule")}<//></p>
    ${one.parameters.length ? html`<${Small} title=${t("Figures of the law")} heads=${[t("figure"), t("value"), t("from"), t("status"), t("reference"), t("last looked at")]} rows=${one.parameters.map(figure)} />` : html`<p class="muted">${t("The rule uses no figure of the law.")}</p>`}<//>`;
}

export function Part() {
  const { as_of = "", scenario = "", open } = place.value.query;
  const path = address("/v1/rules", { as_of, scenario });
  const { value, error } = useRead(() => get(path), [path]);
  const one = value?.rules.find((/** @type {any} */ rule) => rule.id === open);
  const due = value?.rules.filter((/** @type {any} */ rule) => rule.review_due).length;
  if (one) return html`<${Rule} one=${one} />`;
  return html`<form class="choice" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}><${LawOf} now=${{ as_of, scenario }} known=${value?.known_scenarios ?? []} /></form><${Trouble} error=${error} />
    ${!value ? !error && html`<div class="skeleton" aria-busy="true"></div>` : html`${due > 0 && html`<p class="uncertain">▲ ${t("{n} rule has a figure that nobody looked at for a year.|{n} rules have figures that nobody looked at for a year.", { n: due })}</p>`}
      <${Table} name="rules" title=${t("Rules")} columns=${COLUMNS()} rows=${value.rules} id=${(/** @type {any} */ rule) => rule.id} open=${(/** @type {any} */ rule) => turn({ open: rule.id })} />
      <${Table} name="unbuilt" title=${t("Rules that do not run")} columns=${UNBUILT()} rows=${value.unbuilt} id=${(/** @type {any} */ rule) => rule.id} height=${260} />
      <${Small} title=${t("Rules that are watched for in orders")} heads=${[t("rule"), t("pattern"), t("answers for it")]} rows=${value.watched.map((/** @type {any} */ rule) => [html`<${Plain}>${rule.id}<//>`, html`<${Said}>${rule.pattern}<//>`, rule.owner])} />`}`;
}
