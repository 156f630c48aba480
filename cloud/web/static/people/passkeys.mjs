// Passkeys: one's own as second factors, and answering with one, as the second step of a sign-in or for a step-up.
// @ts-check
import { html, useState } from "../vendor/core.mjs";
import { askSession, get, send } from "../hub.mjs";
import { Field, Stamp, Trouble, toast, useRead } from "../ui.mjs";
import { Plain, t } from "../words.mjs";
import { Codes } from "./parts.mjs";

const maker = () => /** @type {any} */ (window.PublicKeyCredential);
export const able = () => Boolean(maker()?.parseCreationOptionsFromJSON);

/** The session that a passkey opens or strengthens. @param {string|null} challenge of the sign-in that waits; null for a step-up */
export async function answer(challenge) {
  const asked = await send("POST", "/v1/session/passkey/options", challenge ? { challenge } : {});
  const given = /** @type {any} */ (await navigator.credentials.get({ publicKey: maker().parseRequestOptionsFromJSON(asked.publicKey) }));
  return send("POST", "/v1/session/passkey", { challenge: asked.challenge, credential: given.toJSON() });
}

/** Made by the authenticator from what the hub offers, and handed back. @param {string} label @returns {Promise<string[]>} recovery codes with the first factor */
async function add(label) {
  const offered = await send("POST", "/v1/me/passkeys/options");
  const made = /** @type {any} */ (await navigator.credentials.create({ publicKey: maker().parseCreationOptionsFromJSON(offered.publicKey) }));
  return (await send("POST", "/v1/me/passkeys", { challenge: offered.challenge, label, credential: made.toJSON() })).recovery_codes;
}

export function Passkeys() {
  const { value, error, again } = useRead(() => get("/v1/me/passkeys"), []);
  const [fault, tell] = useState("");
  const [codes, show] = useState(/** @type {string[]} */ ([]));
  const changed = async (/** @type {string} */ text) => { tell(""); toast(text); await askSession(); again(); };
  const submit = async (/** @type {any} */ event) => {
    event.preventDefault();
    const form = event.target;
    try {
      show(await add(form.elements.called.value.trim()));
      form.reset();
      await changed(t("The passkey is good from now on."));
    } catch (error_) { tell(/** @type {Error} */ (error_).message); }
  };
  const remove = (/** @type {any} */ one) => send("DELETE", `/v1/me/passkeys/${one.id}`).then(() => changed(t("The passkey was removed.")), (error_) => tell(error_.message));
  return html`<section class="panel" aria-label=${t("Passkeys")}><h2>${t("Passkeys")}</h2><${Trouble} error=${error} />
    ${value?.passkeys.length ? html`<ul class="list">${value.passkeys.map((/** @type {any} */ one) => html`<li key=${one.id}><${Plain}>${one.label}<//> <${Stamp} at_us=${one.created_us} /> <button type="button" class="chip" aria-label=${t("Remove {name}", { name: one.label })} onClick=${() => remove(one)}>${t("Remove")}</button></li>`)}</ul>` : html`<p class="note">${t("None yet.")}</p>`}
    ${able() ? html`<form onSubmit=${submit} class="acts"><${Field} label=${t("Name of the new passkey")} fault=${fault}><input name="called" required maxlength="60" /><//><button type="submit" class="act">${t("Add a passkey")}</button></form>` : html`<p class="note">${t("This browser cannot make passkeys here.")}</p>`}
    ${codes.length > 0 && html`<${Codes} codes=${codes} close=${() => show([])} />`}</section>`;
}
