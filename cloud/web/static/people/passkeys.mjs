// Passkeys as a second factor: where the hub has them and the browser can make them.
// @ts-check
import { html, useState } from "../vendor/core.mjs";
import { askSession, get, send } from "../hub.mjs";
import { Field, Stamp, Trouble, toast, useRead } from "../ui.mjs";
import { Plain, t } from "../words.mjs";

/** Made by the authenticator from what the hub offers, and handed back. @param {string} name */
async function add(name) {
  const offered = await send("POST", "/v1/me/passkeys/options");
  const options = offered.options?.publicKey ?? offered.publicKey ?? offered.options ?? offered;
  const maker = /** @type {any} */ (PublicKeyCredential);
  const made = /** @type {any} */ (await navigator.credentials.create({ publicKey: maker.parseCreationOptionsFromJSON(options) }));
  await send("POST", "/v1/me/passkeys", { challenge: offered.challenge, name, credential: made.toJSON() });
}

export function Passkeys() {
  const { value, error, again } = useRead(() => get("/v1/me/passkeys").catch((fault) => { if (fault.status === 404) return null; throw fault; }), []);
  const [fault, tell] = useState("");
  if (error) return html`<${Trouble} error=${error} />`;
  if (!value || !window.PublicKeyCredential) return null;
  const rows = Array.isArray(value) ? value : value.passkeys;
  const submit = async (/** @type {any} */ event) => {
    event.preventDefault();
    const form = event.target;
    await add(form.elements.called.value.trim()).then(async () => { form.reset(); tell(""); toast(t("The passkey is good from now on.")); await askSession(); again(); }, (error_) => tell(error_.message));
  };
  const remove = (/** @type {any} */ one) => send("DELETE", `/v1/me/passkeys/${one.id}`).then(async () => { toast(t("The passkey was removed.")); await askSession(); again(); }, (error_) => tell(error_.message));
  return html`<section class="panel" aria-label=${t("Passkeys")}><h2>${t("Passkeys")}</h2>
    ${rows.length ? html`<ul class="list">${rows.map((/** @type {any} */ one) => html`<li key=${one.id}><${Plain}>${one.name}<//> <${Stamp} at_us=${one.created_us} /> <button type="button" class="link" onClick=${() => remove(one)}>${t("Remove")}</button></li>`)}</ul>` : html`<p class="note">${t("None yet.")}</p>`}
    <form onSubmit=${submit} class="acts"><${Field} label=${t("Name of the new passkey")} fault=${fault}><input name="called" required maxlength="100" /><//><button type="submit" class="act">${t("Add a passkey")}</button></form></section>`;
}
