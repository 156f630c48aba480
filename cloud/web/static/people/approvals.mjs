// What waits for a second person. Whoever asked never decides; what is agreed to is done by the hub in the same moment.
// @ts-check
import { html, useState } from "../vendor/core.mjs";
import { get, send, session } from "../hub.mjs";
import { place, turn } from "../place.mjs";
import { Dialog, Field, Stamp, Table, Trouble, toast, useRead } from "../ui.mjs";
import { Plain, moment, t } from "../words.mjs";

// said: open, agreed, declined, expired, grant-admin, erase-person, shorten-retention, file, file-stor, publish-umm, cover-trade
/** @param {unknown} value */
const written = (value) => (typeof value === "object" && value !== null ? JSON.stringify(value) : String(value));
const COLUMNS = () => [
  { name: "action", title: t("asked"), value: (/** @type {any} */ one) => t(one.action) },
  { name: "about", title: t("about"), value: (/** @type {any} */ one) => one.subject_name || one.subject, show: (/** @type {any} */ one) => html`<${Plain}>${one.subject_name || one.subject}<//>` },
  { name: "by", title: t("by"), value: (/** @type {any} */ one) => one.asked_by?.name ?? "", show: (/** @type {any} */ one) => html`<${Plain}>${one.asked_by?.name ?? "–"}<//>` },
  { name: "at", title: t("time"), wide: true, value: (/** @type {any} */ one) => one.asked_us, show: (/** @type {any} */ one) => html`<${Plain}>${moment(one.asked_us)}<//>` },
  { name: "state", title: t("state"), value: (/** @type {any} */ one) => ["open", "agreed", "declined", "expired"].indexOf(one.state), show: (/** @type {any} */ one) => html`<span class=${one.state === "open" ? "" : "muted"}>${t(one.state)}</span>` },
  { name: "ends", title: t("until"), wide: true, value: (/** @type {any} */ one) => one.ends_us, show: (/** @type {any} */ one) => html`<${Plain}>${moment(one.ends_us)}<//>` },
];

/** @param {{ one: any, close: () => void, again: () => void }} properties */
function Approval({ one, close, again }) {
  const [error, fail] = useState(/** @type {any} */ (null));
  const mine = one.asked_by?.name === session.value?.name;
  const decide = (/** @type {any} */ event) => {
    event.preventDefault();
    const agree = event.submitter?.value === "agree";
    const reason = event.target.elements.reason.value.trim();
    send("POST", `/v1/approvals/${one.id}/decision`, { agree, reason }).then(() => { toast(agree ? t("Agreed, and done.") : t("Declined.")); again(); close(); }, fail);
  };
  return html`<${Dialog} title=${t(one.action)} close=${close}><dl class="facts"><div><dt>${t("about")}</dt><dd><${Plain}>${one.subject_name || one.subject}<//></dd></div><div><dt>${t("by")}</dt><dd><${Plain}>${one.asked_by?.name ?? "–"}<//> <${Stamp} at_us=${one.asked_us} /></dd></div>
      <div><dt>${t("state")}</dt><dd>${t(one.state)}</dd></div>${Object.entries(one.body ?? {}).map(([name, value]) => html`<div key=${name}><dt><${Plain}>${name.replaceAll("_", " ")}<//></dt><dd><${Plain}>${written(value)}<//></dd></div>`)}
      ${one.decided_us && html`<div><dt>${t("decided by")}</dt><dd><${Plain}>${one.decided_by?.name ?? "–"}<//> <${Stamp} at_us=${one.decided_us} /> ${one.reason}</dd></div>`}</dl><${Trouble} error=${error} />
    ${one.state === "open" && mine && html`<p class="note">${t("You asked for this; somebody else decides.")}</p>`}
    ${one.state === "open" && !mine && !one.decidable && html`<p class="note">${t("Somebody with another role decides this.")}</p>`}
    ${one.decidable && html`<form onSubmit=${decide}><${Field} label=${t("Reason")}><input name="reason" required maxlength="500" autofocus /><//>
      <p class="acts"><button type="submit" class="act" value="agree">${t("Agree")}</button><button type="submit" class="act" value="decline">${t("Decline")}</button></p></form>`}
    <p class="acts"><button type="button" class="quiet" onClick=${close}>${t("Close")}</button></p><//>`;
}

export function Approvals() {
  const { value, error, again } = useRead(() => get("/v1/approvals?limit=500"), [], 10_000);
  const chosen = value?.approvals.find((/** @type {any} */ one) => String(one.id) === place.value.query.approval);
  return html`<${Trouble} error=${error} />${value ? html`<${Table} name="approvals" title=${t("Approvals")} columns=${COLUMNS()} rows=${value.approvals} id=${(/** @type {any} */ one) => one.id} pick=${(/** @type {any} */ one) => turn({ approval: one.id })} sort="state" empty=${t("Nothing waits for a second person.")} />` : html`<div class="skeleton"></div>`}
    ${chosen && html`<${Approval} key=${chosen.id} one=${chosen} again=${again} close=${() => turn({ approval: null })} />`}`;
}
