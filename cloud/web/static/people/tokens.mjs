// What programs and gateways come in with: API tokens and vouchers. Secrets are shown once.
// @ts-check
import { html, useState } from "../vendor/core.mjs";
import { get, may, send, session } from "../hub.mjs";
import { Dialog, Field, Table, Trouble, toast, useRead } from "../ui.mjs";
import { Plain, moment, t } from "../words.mjs";
import { Secret, Typed } from "./parts.mjs";

const at = (/** @type {number} */ us) => html`<${Plain}>${moment(us)}<//>`;
const by = (/** @type {any} */ one) => html`<${Plain}>${one.made_by?.name ?? "–"}<//>`;
const times = () => [
  { name: "made", title: t("made"), wide: true, value: (/** @type {any} */ one) => one.created_us, show: (/** @type {any} */ one) => at(one.created_us) },
  { name: "by", title: t("by"), wide: true, value: (/** @type {any} */ one) => one.made_by?.name ?? "", show: by },
  { name: "ends", title: t("until"), value: (/** @type {any} */ one) => one.ends_us ?? null, show: (/** @type {any} */ one) => at(one.ends_us) },
];

/** A table of secrets that can be ended and made. @param {{ name: string, title: string, columns: any[], rows: any[]|undefined, error: any, end: (one: any) => Promise<any>, word: (one: any) => string, make: any, empty: string }} properties */
function Kept({ name, title, columns, rows, error, end, word, make, empty }) {
  const [ending, ask] = useState(/** @type {any} */ (null));
  const ends = { name: "end", title: t("action"), value: () => "", show: (/** @type {any} */ one) => html`<button type="button" class="quiet" onClick=${() => ask(one)}>${t("End")}</button>` };
  return html`<${Trouble} error=${error} />${rows && html`<${Table} name=${name} title=${title} columns=${[...columns, ...times(), ends]} rows=${rows} id=${(/** @type {any} */ one) => one.id} height=${320} tools=${make} empty=${empty} />`}
    ${ending && html`<${Typed} title=${t("End")} word=${word(ending)} act=${() => end(ending)} close=${() => ask(null)}><p>${t("Whatever uses it is turned away from now on.")}</p><//>`}`;
}

/** @param {{ close: () => void, done: (found: any) => void }} properties */
function NewToken({ close, done }) {
  const [error, fail] = useState(/** @type {any} */ (null));
  const scopes = session.value?.scopes ?? [];
  const submit = (/** @type {any} */ event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    const chosen = form.getAll("scope");
    if (chosen.length) send("POST", "/v1/tokens", { name: String(form.get("called")).trim(), scopes: chosen, days: Number(form.get("days")) }).then(done, fail);
    else fail(new Error(t("Choose at least one thing that the token may do.")));
  };
  return html`<${Dialog} title=${t("New API token")} close=${close}><form onSubmit=${submit}><${Trouble} error=${error} />
    <${Field} label=${t("What it is for")}><input name="called" required maxlength="100" autofocus autocomplete="off" /><//>
    <fieldset><legend>${t("It may")}</legend>${scopes.map((scope) => html`<label key=${scope} class="check"><input type="checkbox" name="scope" value=${scope} /> <${Plain}>${scope}<//></label>`)}</fieldset>
    <${Field} label=${t("Days until it ends")}><input name="days" type="number" min="1" max="366" value="90" required dir="ltr" /><//>
    <p class="acts"><button type="submit" class="act">${t("Make")}</button><button type="button" class="quiet" onClick=${close}>${t("Cancel")}</button></p></form><//>`;
}

export function Tokens() {
  const { value, error, again } = useRead(() => get("/v1/tokens"), []);
  const [making, make] = useState(false);
  const [made, show] = useState(/** @type {any} */ (null));
  const columns = [
    { name: "name", title: t("what for"), value: (/** @type {any} */ one) => one.name, show: (/** @type {any} */ one) => html`<${Plain}>${one.name}<//>` },
    { name: "scopes", title: t("may"), value: (/** @type {any} */ one) => one.scopes.join(" "), show: (/** @type {any} */ one) => html`<${Plain}>${one.scopes.join(", ")}<//>` },
  ];
  return html`<${Kept} name="tokens" title=${t("API tokens")} columns=${columns} rows=${value?.tokens} error=${error} word=${(one) => one.name} empty=${t("No API token is good.")}
      end=${(one) => send("DELETE", `/v1/tokens/${one.id}`).then(() => { toast(t("The token has ended.")); again(); })} make=${html`<button type="button" class="act" onClick=${() => make(true)}>${t("New API token")}</button>`} />
    ${making && html`<${NewToken} close=${() => make(false)} done=${(found) => { make(false); show(found); again(); }} />`}
    ${made && html`<${Secret} title=${t("API token")} secret=${made.token} close=${() => show(null)}><p><${Plain}>${made.name}<//>, ${t("until {moment}", { moment: moment(made.ends_us) })}</p><//>`}`;
}

export function Vouchers() {
  const { value, error, again } = useRead(() => get("/v1/vouchers"), [], 15_000);
  const [made, show] = useState(/** @type {any} */ (null));
  const [fault, fail] = useState("");
  const submit = (/** @type {any} */ event) => {
    event.preventDefault();
    const { gateway, hours } = event.target.elements;
    send("POST", "/v1/vouchers", { gateway: gateway.value.trim(), hours: Number(hours.value) }).then((found) => { event.target.reset(); fail(""); show(found); again(); }, (error_) => fail(error_.message));
  };
  const columns = [{ name: "gateway", title: t("gateway"), value: (/** @type {any} */ one) => one.gateway, show: (/** @type {any} */ one) => html`<${Plain}>${one.gateway}<//>` }];
  if (!may("write:gateways")) return null;
  return html`<${Kept} name="vouchers" title=${t("Open vouchers")} columns=${columns} rows=${value?.vouchers} error=${error} word=${(one) => one.gateway} empty=${t("No voucher is open.")} end=${(one) => send("DELETE", `/v1/vouchers/${one.id}`).then(again)} />
    <form class="acts" onSubmit=${submit}><${Field} label=${t("Gateway to enrol")} fault=${fault}><input name="gateway" required maxlength="63" dir="ltr" autocomplete="off" /><//><${Field} label=${t("Hours")}><input name="hours" type="number" min="1" max="720" value="24" required dir="ltr" /><//><button type="submit" class="act">${t("Make a voucher")}</button></form>
    ${made && html`<${Secret} title=${t("Voucher")} secret=${made.voucher} close=${() => show(null)}><p>${t("Good for one enrolment of {gateway}, until {moment}.", { gateway: made.gateway, moment: moment(made.ends_us) })}</p><//>`}`;
}
