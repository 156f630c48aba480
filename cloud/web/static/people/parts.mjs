// What the pages about people have in common: confirmation by typing, a secret shown once, and what somebody else changed meanwhile.
// @ts-check
import { html, useState } from "../vendor/core.mjs";
import { save, send, session } from "../hub.mjs";
import { Dialog, Field, Trouble, toast } from "../ui.mjs";
import { Plain, moment, t } from "../words.mjs";

/** For what cannot be undone: the word has to be typed. @param {{ title: string, word: string, children?: any, act: () => Promise<any>, close: () => void }} properties */
export function Typed({ title, word, children, act, close }) {
  const [given, keep] = useState("");
  const [error, fail] = useState(/** @type {any} */ (null));
  const submit = (/** @type {Event} */ event) => { event.preventDefault(); if (given === word) act().then(close, fail); };
  return html`<${Dialog} title=${title} close=${close}><form onSubmit=${submit}>${children}
    <${Field} label=${t("This cannot be undone. Type “{word}” to go on.", { word })}><input dir="ltr" autocomplete="off" value=${given} onInput=${(/** @type {any} */ event) => keep(event.target.value)} autofocus /><//><${Trouble} error=${error} />
    <p class="acts"><button type="submit" class="act" disabled=${given !== word}>${title}</button><button type="button" class="quiet" onClick=${close}>${t("Cancel")}</button></p></form><//>`;
}

/** Shown once, to be copied. @param {{ title: string, secret: string, children?: any, close: () => void }} properties */
export function Secret({ title, secret, children, close }) {
  const copy = () => navigator.clipboard.writeText(secret).then(() => toast(t("Copied")), () => toast(t("The browser did not copy it; select it and copy it by hand.")));
  return html`<${Dialog} title=${title} close=${close}>${children}<p><input class="secret" dir="ltr" readonly value=${secret} aria-label=${title} onFocus=${(/** @type {any} */ event) => event.target.select()} /></p>
    <p>${t("It is shown now and never again.")}</p><p class="acts"><button type="button" class="act" onClick=${copy}>${t("Copy")}</button><button type="button" class="quiet" onClick=${close}>${t("Close")}</button></p><//>`;
}

/** Shown once: nothing brings them back. @param {{ codes: string[], close: () => void }} properties */
export function Codes({ codes, close }) {
  const text = codes.join("\n");
  return html`<${Dialog} title=${t("Recovery codes")} close=${close}><p>${t("Each code replaces the one-time code once. They are shown now and never again: print them or keep the file in a safe place.")}</p>
    <ul class="codes" aria-label=${t("Recovery codes")}>${codes.map((code) => html`<li key=${code}><code dir="ltr">${code}</code></li>`)}</ul>
    <p class="acts"><button type="button" class="act" onClick=${() => save(new Blob([`Qenergyz ${session.value?.tenant} ${session.value?.name}\n${text}\n`], { type: "text/plain" }), "recovery-codes.txt")}>${t("Download")}</button>
      <button type="button" class="act" onClick=${() => print()}>${t("Print")}</button><button type="button" class="act" onClick=${close}>${t("I have kept them")}</button></p><//>`;
}

const shown = (/** @type {any} */ value) => (value === null || value === undefined || value === "" ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value));

/** What differs between what the reader saw and what is stored now. @param {{ before: any, now: any, labels: Record<string, string> }} properties */
export function Meanwhile({ before, now, labels }) {
  const changed = Object.keys(labels).filter((name) => JSON.stringify(before[name] ?? null) !== JSON.stringify(now[name] ?? null));
  return html`<div class="trouble" role="alert"><span aria-hidden="true">■</span> <span><strong>${t("Somebody else changed this meanwhile; nothing of yours was stored.")}</strong>
    <ul>${changed.length ? changed.map((name) => html`<li key=${name}>${labels[name]}: <${Plain}>${shown(before[name])} → ${shown(now[name])}<//></li>`) : html`<li>${t("What differs is not shown here.")}</li>`}</ul>${t("What is shown now is what is stored. Decide again.")}</span></div>`;
}

/**
 * A change that follows the version the reader saw. Where somebody else was faster the present state is read, and told.
 * @param {string} method @param {string} path @param {any} body @param {number} version @param {() => Promise<any>} read
 * @returns {Promise<{ done?: any, now?: any }>}
 */
export async function changed(method, path, body, version, read) {
  try {
    return { done: await send(method, path, body, { "if-match": `"${version}"` }) };
  } catch (error) {
    if (/** @type {any} */ (error).status !== 412) throw error;
    return { now: await read() };
  }
}

/** What waits for a second person. @param {any} approval */
export function waits(approval) {
  if (approval) toast(t("This waits for a second person, until {moment}.", { moment: moment(approval.ends_us) }));
}
