// The application: who is signed in, which page the address names, and the frame around it. Pages are fetched when they are first opened.
// @ts-check
import { effect, html, render, signal, useEffect, useState } from "./vendor/core.mjs";
import { alarms, askProofBy, askSession, connected, follow, heard_ms, liveness, may, now, send, session, unfollow } from "./hub.mjs";
import { DEFAULT_RANGE, go, pageOf, PAGES, place, PRESETS, range, site, To, turn } from "./place.mjs";
import { Dialog, Empty, Field, Freshness, Toasts, Trouble } from "./ui.mjs";
import { Plain, clock, language, look, moment, prefer, roleName, speak, t, zone } from "./words.mjs";

// said: last 15m, last 1h, last 6h, last 24h, last 7d, last 30d, system, light, dark, token
// said: field_engineer, operator, trader, risk_manager, compliance_officer, esg_analyst, auditor, admin
const open = signal(/** @type {"help"|"palette"|"menu"|null} */ (null));
const proof = signal(/** @type {{ factors: string[], answer: (given: Record<string, any>|null) => void }|null} */ (null));
askProofBy((factors) => new Promise((answer) => { proof.value = { factors, answer }; }));

const shown = () => PAGES.filter((page) => page.title && may(page.scope));

function Nav() {
  return html`<nav class="pages" aria-label=${t("Pages")}>${shown().map((page) => html`<${To} key=${page.path} path=${page.path} aria-current=${pageOf(place.value.path)?.page === page ? "page" : undefined} onClickCapture=${() => { open.value = null; }}>${t(page.title)}<//>`)}</nav>`;
}

function Range() {
  const { name, from_us, to_us } = range.value;
  const stamp = (/** @type {number|null} */ us) => (us ? new Date(us / 1e3).toISOString().slice(0, 16) : "");
  const fixed = (/** @type {any} */ changes) => {
    const given = { from: stamp(from_us ?? (now.value - 3600e3) * 1e3), to: stamp(to_us ?? now.value * 1e3), ...changes };
    turn({ range: null, from: `${given.from}Z`.replace("ZZ", "Z"), to: `${given.to}Z`.replace("ZZ", "Z") });
  };
  return html`<div class="range" role="group" aria-label=${t("Time range")}><select aria-label=${t("Time range")} value=${name} onChange=${(/** @type {any} */ event) => (event.target.value === "custom" ? fixed({}) : turn({ range: event.target.value === DEFAULT_RANGE ? null : event.target.value, from: null, to: null }))}>
      ${Object.keys(PRESETS).map((key) => html`<option key=${key} value=${key}>${t(`last ${key}`)}</option>`)}<option value="custom">${t("from … to …")}</option></select>
    ${name === "custom" && html`<input type="datetime-local" aria-label=${t("from, UTC")} value=${stamp(from_us)} onChange=${(/** @type {any} */ event) => fixed({ from: event.target.value })} />
      <input type="datetime-local" aria-label=${t("to, UTC")} value=${stamp(to_us)} onChange=${(/** @type {any} */ event) => fixed({ to: event.target.value })} />`}
    <small class="muted"><${Plain}>${zone()}<//></small></div>`;
}

function AlarmCount() {
  const sounding = Object.values(alarms.value).filter((one) => one.state === "unacknowledged");
  if (!may("read:assets")) return null;
  return html`<${To} path="/alarms" class=${`count ${sounding.length ? "some" : ""}`} aria-label=${t("{n} alarm not acknowledged|{n} alarms not acknowledged", { n: sounding.length })}><span aria-hidden="true">▲</span> <${Plain}>${sounding.length}<//><//>`;
}

function Head() {
  const who = session.value;
  const next = look.value.theme === "dark" ? "light" : look.value.theme === "light" ? "system" : "dark";
  const keep = (/** @type {any} */ given) => prefer(given).then(() => who?.role && send("PUT", "/v1/me/preferences", { language: language.value, ...look.value, ...given }).catch(() => {}));
  return html`<header class="bar"><button type="button" class="menu quiet" aria-expanded=${open.value === "menu"} aria-label=${t("Pages")} onClick=${() => { open.value = open.value === "menu" ? null : "menu"; }}>☰</button>
    <${To} path="/" class="brand">Qenergyz<//>
    <span class="tenant muted" title=${t("tenant")}><${Plain}>${who?.tenant}<//></span>${site.value && html`<button type="button" class="chip" onClick=${() => turn({ site: null })} aria-label=${t("Show all sites")}><${Plain}>${site.value}<//> ×</button>`}
    <${Range} /><span class="space"></span><${AlarmCount} /><${Freshness} state=${liveness.value} title=${clock(now.value * 1e3)} />
    <button type="button" class="quiet" onClick=${() => { open.value = "palette"; }} title="Ctrl-K" aria-label=${t("Search and commands")}>⌕</button>
    <button type="button" class="quiet" onClick=${() => keep({ theme: next })} aria-label=${t("Theme: {now}", { now: t(look.value.theme) })}>${{ dark: "◐", light: "○", system: "◑" }[look.value.theme]}</button>
    <button type="button" class="quiet" lang=${language.value === "en" ? "ar" : "en"} onClick=${() => keep({ language: language.value === "en" ? "ar" : "en" })}>${language.value === "en" ? "العربية" : "English"}</button>
    <${To} path="/account" class="who"><${Plain}>${who?.display ?? who?.name}<//> <small class="muted">${roleName(who?.role)}</small><//></header>`;
}

/** @type {Record<string, any>} */
const fetched = {};
function Page() {
  const found = pageOf(place.value.path);
  const [, redraw] = useState(0);
  const detail = found?.parts.length ? found.page.detail : undefined;
  const key = `${found?.page.path ?? ""}${detail ? "/" : ""}`;
  useEffect(() => {
    if (!found || fetched[key]) return;
    (detail ?? found.page.load)().then((module) => { fetched[key] = module; redraw((n) => n + 1); }, (error) => { fetched[key] = { Page: () => html`<${Trouble} error=${error} />` }; redraw((n) => n + 1); });
  }, [key]);
  useEffect(() => { document.title = `${found ? t(found.page.title || found.page.name) : t("Not found")} · Qenergyz`; }, [key, language.value]);
  if (!found) return html`<${Empty} next=${html`<${To} path="/">${t("Go to the first page")}<//>`}>${t("There is no page at this address.")}<//>`;
  if (!may(found.page.scope)) return html`<${Empty} next=${html`<${To} path="/">${t("Go to the first page")}<//>`}>${t("The role {role} does not open this page.", { role: roleName(session.value?.role) })}<//>`;
  const made = fetched[key];
  return made ? html`<${made.Page} key=${found.parts.join("/")} parts=${found.parts} />` : html`<div class="skeleton" aria-busy="true"></div>`;
}

function Proof() {
  const [fault, tell] = useState("");
  if (!proof.value) return null;
  const { factors, answer } = proof.value;
  const done = (/** @type {Record<string, any>|null} */ given) => { proof.value = null; answer(given); };
  const submit = (/** @type {any} */ event) => {
    event.preventDefault();
    const given = event.target.elements.given.value.trim();
    if (!given) tell(t("Type it in first"));
    else done(factors.length ? (given.includes("-") ? { recovery: given } : { code: given }) : { password: given });
  };
  const byPasskey = () => import("./people/passkeys.mjs").then((made) => made.answer(null)).then((found) => done({ session: found }), (error) => tell(error.message));
  return html`<${Dialog} title=${t("Prove that it is you")} close=${() => done(null)}><form onSubmit=${submit}>
    <${Field} label=${factors.length ? t("One-time code (or a recovery code)") : t("Password")} fault=${fault}><input name="given" type=${factors.length ? "text" : "password"} inputmode=${factors.length ? "numeric" : undefined} autocomplete=${factors.length ? "one-time-code" : "current-password"} autofocus /><//>
    <p class="acts"><button type="submit" class="act">${t("Continue")}</button>${factors.includes("passkey") && html`<button type="button" class="act" onClick=${byPasskey}>${t("Use a passkey")}</button>`}<button type="button" class="quiet" onClick=${() => done(null)}>${t("Cancel")}</button></p></form><//>`;
}

// said: go to a page by its letter, find in the table, next and previous row, open the row, search and commands, this help, close
const KEYS = [["g …", "go to a page by its letter"], ["/", "find in the table"], ["j k", "next and previous row"], ["Enter", "open the row"], ["Ctrl-K", "search and commands"], ["?", "this help"], ["Esc", "close"]];
const Help = () => html`<${Dialog} title=${t("Keys")} close=${() => { open.value = null; }}><dl class="keys">${KEYS.map(([key, text]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${t(text)}</dd></div>`)}
  ${shown().filter((page) => page.key).map((page) => html`<div key=${page.path}><dt><kbd>g ${page.key}</kbd></dt><dd>${t(page.title)}</dd></div>`)}</dl><p><a href="/docs/">${t("Documentation")}</a></p><//>`;

function Palette() {
  const [find, look_] = useState("");
  const commands = [...shown().map((page) => ({ text: t(page.title), run: () => go(page.path) })), { text: t("My account"), run: () => go("/account") }, { text: t("Keys"), run: () => { open.value = "help"; } }, { text: t("Sign out"), run: signOut }];
  const found = commands.filter((one) => one.text.toLowerCase().includes(find.toLowerCase()));
  const run = (/** @type {any} */ one) => { open.value = null; one?.run(); };
  return html`<${Dialog} title=${t("Search and commands")} close=${() => { open.value = null; }}><form onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); run(found[0]); }}>
    <input type="search" autofocus aria-label=${t("Search and commands")} value=${find} onInput=${(/** @type {any} */ event) => look_(event.target.value)} /></form>
    <ul class="list">${found.map((one, at) => html`<li key=${one.text}><button type="button" class=${`quiet ${at ? "" : "first"}`} onClick=${() => run(one)}>${one.text}</button></li>`)}</ul><//>`;
}

export async function signOut() {
  await send("DELETE", "/v1/session").catch(() => {});
  session.value = null;
}

let waiting = 0; // the letter after "g" is waited for until then
function onKey(/** @type {KeyboardEvent} */ event) {
  const typing = /** @type {HTMLElement} */ (event.target).closest?.("input, select, textarea, dialog");
  if ((event.ctrlKey || event.metaKey) && event.key === "k") { event.preventDefault(); open.value = "palette"; return; }
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !session.value) return;
  if (Date.now() < waiting) {
    const page = shown().find((one) => one.key === event.key);
    waiting = 0;
    if (page) { event.preventDefault(); go(page.path); }
  } else if (event.key === "g") waiting = Date.now() + 1500;
  else if (event.key === "?") open.value = "help";
  else if (event.key === "/") { event.preventDefault(); /** @type {HTMLElement|null} */ (document.querySelector("main input[type=search]"))?.focus(); }
}

function App() {
  const who = session.value;
  const [door, opened] = useState(/** @type {any} */ (null));
  useEffect(() => { if (who === null) import("./pages/login.mjs").then(opened); }, [who === null]);
  if (place.value.path === "/welcome" || who === null) return door ? html`<main id="main" class="door"><${door.Page} /></main><${Toasts} />` : html`<p class="note start">Qenergyz</p>`;
  if (who === undefined) return html`<p class="note start">${t("The hub cannot be reached; trying again.")}</p>`;
  return html`<a class="skip" href="#main">${t("Skip to content")}</a><${Head} />
    ${connected.value === false && html`<p class="offline" role="alert"><span aria-hidden="true">■</span> ${t("OFFLINE")}: ${t("no connection to the hub; what is shown is the last that was heard. Trying again.")} ${heard_ms.value > 0 && html`<${Plain}>${moment(heard_ms.value * 1e3)}<//>`}</p>`}
    <div class=${`frame ${open.value === "menu" ? "opened" : ""}`}><${Nav} /><main id="main" tabindex="-1"><${Page} /></main></div>
    ${open.value === "help" && html`<${Help} />`}${open.value === "palette" && html`<${Palette} />`}<${Proof} /><${Toasts} />`;
}

/** The stream follows the person; their own preferences come with them. Afterwards, because an effect must not change what it reads. */
let followed = "";
effect(() => {
  const who = session.value;
  const name = who ? `${who.tenant} ${who.name} ${who.role}` : "";
  if (name === followed) return;
  followed = name;
  queueMicrotask(() => {
    if (who) follow(); else unfollow();
    if (who?.preferences?.language) prefer(who.preferences);
  });
});

const without = () => import("./offline.mjs");

async function start() {
  await speak(language.value);
  for (;;) {
    try { await askSession(); break; } catch { await without().then((one) => one.restore()).catch(() => {}); await new Promise((resume) => setTimeout(resume, 2000)); }
  }
  setTimeout(() => without().then((one) => one.begin()).catch(() => {}), 3000);
}

document.addEventListener("keydown", onKey);
const root = /** @type {HTMLElement} */ (document.getElementById("app"));
root.replaceChildren();
render(html`<${App} />`, root);
start();
