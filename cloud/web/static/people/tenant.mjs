// Settings of the tenant: law, time zone, quotas, how long data are kept, the company's own identity provider.
// @ts-check
import { html, useState } from "../vendor/core.mjs";
import { get, may } from "../hub.mjs";
import { Field, Trouble, toast, useRead } from "../ui.mjs";
import { Plain, t } from "../words.mjs";
import { Meanwhile, changed, waits } from "./parts.mjs";

const LAWS = ["", "AE", "EU", "GY", "NO", "QA", "SA", "UK", "US"];
const LABELS = () => ({ jurisdiction: t("Jurisdiction"), zone: t("Time zone"), gateways: t("Most gateways"), people: t("Most people"), batches_per_second: t("Most batches per second"), retention_days: t("Days that data are kept"), provider: t("Identity provider") });
const NUMBERS = /** @type {const} */ (["gateways", "people", "batches_per_second", "retention_days"]);
const read = () => get("/v1/tenant");

/** A field's text as a number; nothing is no limit. @param {string} text */
const limit = (text) => (text.trim() === "" ? null : Number(text));

/** @param {{ given: any, again: () => void }} properties */
function Settings({ given, again }) {
  const [one, show] = useState(given);
  const [lost, lose] = useState(/** @type {any} */ (null));
  const [error, fail] = useState(/** @type {any} */ (null));
  const labels = LABELS();
  const submit = async (/** @type {any} */ event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    fail(null);
    try {
      const text = String(form.get("provider")).trim();
      const body = { jurisdiction: form.get("jurisdiction"), zone: form.get("zone"), ...Object.fromEntries(NUMBERS.map((name) => [name, limit(String(form.get(name)))])), provider: text ? JSON.parse(text) : null };
      const { done, now } = await changed("PUT", "/v1/tenant", body, one.version, read);
      if (now) { lose({ before: one, now }); show(now); } else { lose(null); show(done.settings); toast(t("Kept")); waits(done.approval); again(); }
    } catch (fault) { fail(fault instanceof SyntaxError ? new Error(t("The identity provider is not sound JSON: {why}", { why: fault.message })) : fault); }
  };
  return html`<section class="panel" aria-label=${t("Settings of the tenant")}><h2>${t("Settings of the tenant")} <small><${Plain}>${one.tenant}<//> · ${t("version {n}", { n: one.version })}</small></h2><${Trouble} error=${error} />${lost && html`<${Meanwhile} ...${lost} labels=${labels} />`}
    <form key=${one.version} onSubmit=${submit}><div class="thirds"><${Field} label=${labels.jurisdiction}><select name="jurisdiction" value=${one.jurisdiction}>${LAWS.map((law) => html`<option key=${law} value=${law}>${law || "–"}</option>`)}</select><//>
      <${Field} label=${labels.zone}><select name="zone" value=${one.zone}>${["UTC", ...Intl.supportedValuesOf("timeZone").filter((zone) => zone !== "UTC")].map((zone) => html`<option key=${zone} value=${zone}>${zone}</option>`)}</select><//>
      ${NUMBERS.map((name) => html`<${Field} key=${name} label=${labels[name]} hint=${name === "retention_days" ? t("Empty: without end. Less than now needs a second person.") : t("Empty: no limit.")}><input name=${name} type="number" min=${name === "batches_per_second" ? "0.1" : "1"} step=${name === "batches_per_second" ? "any" : "1"} value=${one[name] ?? ""} dir="ltr" /><//>`)}</div>
      <details><summary>${labels.provider}</summary><${Field} label=${t("issuer, client_id, secret_file, claim, roles; as JSON, empty for none")}><textarea name="provider" rows="6" dir="ltr" spellcheck=${false}>${one.provider ? JSON.stringify(one.provider, null, 2) : ""}</textarea><//></details>
      ${may("write:tenant") && html`<p class="acts"><button type="submit" class="act">${t("Keep")}</button></p>`}</form></section>`;
}

export function Tenant() {
  const { value, error, again } = useRead(read, []);
  return html`<${Trouble} error=${error} />${value ? html`<${Settings} given=${value} again=${again} />` : html`<div class="skeleton"></div>`}`;
}
