// The way in: name and password, then the second factor where there is one; and the first password of who was invited.
// @ts-check
import { html, useState } from "../vendor/core.mjs";
import { Refusal, send, session } from "../hub.mjs";
import { go, place } from "../place.mjs";
import { Field, Trouble } from "../ui.mjs";
import { Plain, language, prefer, t } from "../words.mjs";

function Credentials({ done, failed }) {
  const submit = async (/** @type {any} */ event) => {
    event.preventDefault();
    const { tenant, name, password } = event.target.elements;
    try {
      done(await send("POST", "/v1/session", { tenant: tenant.value.trim(), name: name.value.trim(), password: password.value }));
    } catch (error) { failed(error); }
  };
  /** By the company's own provider: the hub sends the browser there, where it knows one for this tenant. */
  const elsewhere = async (/** @type {any} */ event) => {
    const address = `/v1/oidc/${encodeURIComponent(event.target.form.elements.tenant.value.trim())}/login?to=${encodeURIComponent(place.value.path)}`;
    const reply = await fetch(address, { redirect: "manual" }).catch(() => null);
    if (reply?.type === "opaqueredirect") location.assign(address);
    else failed(new Refusal(reply, (await reply?.json().catch(() => ({}))) ?? {}));
  };
  return html`<form onSubmit=${submit}><${Field} label=${t("Name")}><input name="name" autocomplete="username" required autofocus dir="ltr" /><//>
    <${Field} label=${t("Password")}><input name="password" type="password" autocomplete="current-password" required dir="ltr" /><//>
    <details><summary>${t("Tenant")}</summary><${Field} label=${t("Tenant")}><input name="tenant" value=${place.value.query.tenant ?? "default"} required dir="ltr" /><//>
      <p><button type="button" class="act" onClick=${elsewhere}>${t("Sign in with the company's account")}</button></p></details>
    <p class="acts"><button type="submit" class="act">${t("Sign in")}</button></p></form>`;
}

function SecondStep({ waiting, done, failed }) {
  const submit = async (/** @type {any} */ event) => {
    event.preventDefault();
    const given = event.target.elements.code.value.trim();
    try {
      done(await send("POST", "/v1/session/second", { challenge: waiting.challenge, ...(given.includes("-") ? { recovery: given } : { code: given }) }));
    } catch (error) { failed(error); }
  };
  const byPasskey = () => import("../people/passkeys.mjs").then((made) => made.answer(waiting.challenge)).then(done, failed);
  return html`<form onSubmit=${submit}>${waiting.second_factors?.includes("passkey") && html`<p class="acts"><button type="button" class="act" onClick=${byPasskey}>${t("Use a passkey")}</button></p>`}<${Field} label=${t("One-time code (or a recovery code)")}><input name="code" autocomplete="one-time-code" inputmode="numeric" required autofocus dir="ltr" /><//>
    <p class="acts"><button type="submit" class="act">${t("Continue")}</button></p></form>`;
}

function Welcome({ invitation, failed }) {
  const submit = async (/** @type {any} */ event) => {
    event.preventDefault();
    try {
      session.value = await send("POST", "/v1/invitations", { invitation, password: event.target.elements.password.value });
      go("/", true);
    } catch (error) { failed(error); }
  };
  return html`<form onSubmit=${submit}><p>${t("Choose a password of at least 12 characters.")}</p>
    <${Field} label=${t("New password")}><input name="password" type="password" autocomplete="new-password" minlength="12" required autofocus dir="ltr" /><//>
    <p class="acts"><button type="submit" class="act">${t("Continue")}</button></p></form>`;
}

export function Page() {
  const [waiting, wait] = useState(/** @type {any} */ (null));
  const [error, failed] = useState(/** @type {any} */ (null));
  const done = (/** @type {any} */ found) => {
    failed(null);
    if (found.challenge) wait(found);
    else session.value = found;
  };
  const invitation = place.value.path === "/welcome" ? new URLSearchParams(location.hash.slice(1)).get("invitation") : null;
  const other = language.value === "en" ? "ar" : "en";
  return html`<div class="card"><h1><${Plain}>Qenergyz<//></h1><${Trouble} error=${error} />
    ${invitation ? html`<${Welcome} invitation=${invitation} failed=${failed} />` : waiting ? html`<${SecondStep} waiting=${waiting} done=${done} failed=${failed} />` : html`<${Credentials} done=${done} failed=${failed} />`}
    <p><button type="button" class="quiet" lang=${other} onClick=${() => prefer({ language: other })}>${other === "ar" ? "العربية" : "English"}</button></p></div>`;
}
