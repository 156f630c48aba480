// One's own account: how pages look, password, second factors with recovery codes, sessions. What others may change is on the admin page.
// @ts-check
import { html, useState } from "../vendor/core.mjs";
import { askSession, get, send, session } from "../hub.mjs";
import { Dialog, Field, Later, Stamp, Table, Trouble, toast, useRead } from "../ui.mjs";
import { Codes } from "../people/parts.mjs";
import { Plain, language, look, moment, prefer, roleName, t } from "../words.mjs";

const passkeys = () => import("../people/passkeys.mjs").then((made) => made.Passkeys);
const LEAST = 12;

/** @param {{ title: string, children?: any }} properties */
const Section = ({ title, children }) => html`<section class="panel" aria-label=${title}><h2>${title}</h2>${children}</section>`;

let keeping = Promise.resolve(); // one after the other, so that what was chosen last is what stays

// said: system, light, dark
function Looks() {
  const keep = async (/** @type {Record<string, string>} */ given) => {
    await prefer(given);
    keeping = keeping.then(() => send("PUT", "/v1/me/preferences", { ...look.value, language: language.value })).then(() => toast(t("Kept")), (error) => toast(error.message));
  };
  const choice = (/** @type {string} */ name, /** @type {string} */ label, /** @type {[string, string][]} */ options, /** @type {string} */ value) => html`<${Field} label=${label}><select name=${name} value=${value} onChange=${(/** @type {any} */ event) => keep({ [name]: event.target.value })}>${options.map(([key, text]) => html`<option key=${key} value=${key}>${text}</option>`)}</select><//>`;
  const zones = [["UTC", "UTC"], ["browser", t("of this browser")], ["site", t("of the site")], ...Intl.supportedValuesOf("timeZone").filter((zone) => zone !== "UTC").map((zone) => [zone, zone])];
  return html`<${Section} title=${t("How pages look")}><div class="thirds">
    ${choice("language", t("Language"), [["en", "English"], ["ar", "العربية"]], language.value)}
    ${choice("theme", t("Theme"), [["system", t("system")], ["light", t("light")], ["dark", t("dark")]], look.value.theme)}
    ${choice("digits", t("Digits in Arabic"), [["latn", "0123456789"], ["arab", "٠١٢٣٤٥٦٧٨٩"]], look.value.digits)}
    ${choice("zone", t("Time zone"), /** @type {[string, string][]} */ (zones), look.value.zone)}
    ${choice("gains", t("Gains and losses"), [["blue-orange", t("blue and orange")], ["green-red", t("green and red")]], look.value.gains)}</div>
    <p><span class="gain">▲ +1</span> <span class="loss">▼ −1</span></p><//>`;
}

function Password() {
  const [fault, tell] = useState("");
  const submit = async (/** @type {any} */ event) => {
    event.preventDefault();
    const { old, fresh, again } = event.target.elements;
    if (fresh.value !== again.value) { tell(t("The two new passwords differ.")); return; }
    try {
      await send("PUT", "/v1/me/password", { old: old.value, new: fresh.value });
      event.target.reset();
      tell("");
      toast(t("The password was changed; every other session has ended."));
    } catch (error) { tell(/** @type {Error} */ (error).message); }
  };
  return html`<${Section} title=${t("Password")}><form onSubmit=${submit}><input type="text" name="username" autocomplete="username" value=${session.value?.name} hidden />
    <${Field} label=${t("Present password")}><input name="old" type="password" autocomplete="current-password" required dir="ltr" /><//>
    <${Field} label=${t("New password")} hint=${t("At least {n} characters.", { n: LEAST })}><input name="fresh" type="password" autocomplete="new-password" minlength=${LEAST} required dir="ltr" /><//>
    <${Field} label=${t("New password again")} fault=${fault}><input name="again" type="password" autocomplete="new-password" required dir="ltr" /><//>
    <p class="acts"><button type="submit" class="act">${t("Change password")}</button></p></form><//>`;
}

const grouped = (/** @type {string} */ key) => (key.match(/.{1,4}/g) ?? []).join(" ");

/** @param {{ begun: any, done: (codes: string[]) => void, close: () => void }} properties */
function SetUp({ begun, done, close }) {
  const [fault, tell] = useState("");
  const submit = async (/** @type {any} */ event) => {
    event.preventDefault();
    try {
      const found = await send("PUT", "/v1/me/totp", { challenge: begun.challenge, code: event.target.elements.code.value.trim() });
      await askSession();
      done(found.recovery_codes);
    } catch (error) { tell(/** @type {Error} */ (error).message); }
  };
  return html`<${Dialog} title=${t("Set up one-time codes")} close=${close}><ol><li>${t("Open the authenticator on your phone and add an account: read the picture, open the link on the phone itself, or type in the key.")}
      <${Later} load=${picture} text=${begun.uri} /><p><a href=${begun.uri}>${t("Open in an authenticator")}</a></p><p>${t("Key")}: <code dir="ltr" class="key">${grouped(begun.key)}</code></p></li>
    <li>${t("Type in the code that it shows.")}</li></ol>
    <form onSubmit=${submit}><${Field} label=${t("One-time code")} fault=${fault}><input name="code" inputmode="numeric" autocomplete="one-time-code" required dir="ltr" /><//>
    <p class="acts"><button type="submit" class="act">${t("Turn on")}</button><button type="button" class="quiet" onClick=${close}>${t("Cancel")}</button></p></form><//>`;
}
const picture = () => import("../people/qr.mjs").then((made) => made.Picture);

function Totp() {
  const [begun, begin] = useState(/** @type {any} */ (null));
  const [codes, show] = useState(/** @type {string[]|null} */ (null));
  const [error, fail] = useState(/** @type {any} */ (null));
  const on = session.value?.second_factors?.includes("totp");
  const run = (/** @type {() => Promise<any>} */ work) => work().then(() => fail(null), fail);
  const start = () => run(async () => begin(await send("POST", "/v1/me/totp")));
  const fresh = () => run(async () => show((await send("POST", "/v1/me/recovery-codes")).recovery_codes));
  const remove = () => run(async () => { await send("DELETE", "/v1/me/totp"); await askSession(); toast(t("One-time codes are off.")); });
  return html`<${Section} title=${t("One-time codes")}><p>${on ? t("On: each sign-in asks for a code of your authenticator.") : t("Off: a password is all that is asked for. Turn it on.")}</p><${Trouble} error=${error} />
    <p class="acts">${on ? html`<button type="button" class="act" onClick=${fresh}>${t("New recovery codes")}</button><button type="button" class="act" onClick=${remove}>${t("Turn off")}</button>` : html`<button type="button" class="act" onClick=${start}>${t("Set up one-time codes")}</button>`}</p>
    ${begun && html`<${SetUp} begun=${begun} close=${() => begin(null)} done=${(/** @type {string[]} */ made) => { begin(null); show(made); }} />`}
    ${codes && html`<${Codes} codes=${codes} close=${() => show(null)} />`}<//>`;
}

/** What a browser calls itself, in a word or two. @param {string} agent */
const browser = (agent) => [/Edg|OPR|Firefox|Chrome|Safari|curl|python/i.exec(agent)?.[0], /Android|iPhone|iPad|Windows|Mac OS|Linux/.exec(agent)?.[0]].filter(Boolean).join(", ") || agent.slice(0, 40);

// said: password, one-time code, recovery code, passkey, company sign-in
const METHODS = /** @type {Record<string, string>} */ ({ pwd: "password", otp: "one-time code", rec: "recovery code", hwk: "passkey", oidc: "company sign-in" });
const methods = (/** @type {string[]} */ given) => given.flatMap((one) => (METHODS[one] ? [t(METHODS[one])] : [])).join(", ");

function Sessions() {
  const { value, error, again } = useRead(() => get("/v1/me/sessions"), [], 30_000);
  const end = (/** @type {any} */ one) => send("DELETE", `/v1/me/sessions/${one.id}`).then(() => { toast(t("The session has ended.")); again(); }, (fault) => toast(fault.message));
  const columns = [
    { name: "where", title: t("browser"), value: (/** @type {any} */ one) => browser(one.agent ?? ""), show: (/** @type {any} */ one) => html`<span title=${one.agent}><${Plain}>${browser(one.agent ?? "")}<//></span>${one.current ? html` <strong>${t("this one")}</strong>` : ""}` },
    { name: "by", title: t("signed in by"), wide: true, value: (/** @type {any} */ one) => methods(one.methods ?? []) },
    { name: "since", title: t("since"), wide: true, value: (/** @type {any} */ one) => one.created_us, show: (/** @type {any} */ one) => html`<${Stamp} at_us=${one.created_us} />` },
    { name: "seen", title: t("last seen"), value: (/** @type {any} */ one) => one.seen_us, show: (/** @type {any} */ one) => html`<${Plain}>${moment(one.seen_us)}<//>` },
    { name: "end", title: t("action"), value: () => "", show: (/** @type {any} */ one) => (one.current ? "" : html`<button type="button" class="quiet" onClick=${() => end(one)}>${t("End")}</button>`) },
  ];
  return html`<${Trouble} error=${error} />${value && html`<${Table} name="sessions" title=${t("Sessions")} columns=${columns} rows=${value} id=${(/** @type {any} */ one) => one.id} height=${260} />`}`;
}

export function Page() {
  const who = session.value;
  if (!who?.role) return html`<h1>${t("My account")}</h1><p class="note">${t("This is for a person who is signed in, not for an API token.")}</p>`;
  return html`<h1>${t("My account")}</h1><dl class="facts"><div><dt>${t("Name")}</dt><dd><${Plain}>${who.name}<//></dd></div><div><dt>${t("Role")}</dt><dd>${roleName(who.role)}</dd></div><div><dt>${t("Tenant")}</dt><dd><${Plain}>${who.tenant}<//></dd></div></dl>
    <${Looks} /><div class="halves"><${Totp} /><${Password} /></div><${Later} load=${passkeys} /><${Sessions} />`;
}
