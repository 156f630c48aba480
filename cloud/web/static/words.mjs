// What is said and how: the language, numbers with their units, times with their zone. English stands in the code, as the key of every
// other language; numbers, units, names and hashes read from left to right in every language.
// @ts-check
import { html, signal } from "./vendor/core.mjs";

/** @type {import("./vendor/core.mjs").Signal<Record<string, string | Record<string, string>>>} */
const spoken = signal({});
export const language = signal(document.documentElement.lang === "ar" ? "ar" : "en");
export const look = signal(/** @type {Record<string, string>} */ ({ theme: document.documentElement.dataset.theme ?? "system", digits: "latn", zone: "UTC", gains: "blue-orange" }));
export const RTL = new Set(["ar"]);
const NOTHING = "\u2013";

/** @param {string} to */
export async function speak(to) {
  spoken.value = to === "en" ? {} : await fetch(`/i18n/${to}.json`).then((reply) => (reply.ok ? reply.json() : {})).catch(() => ({}));
  language.value = to;
  document.documentElement.lang = to;
  document.documentElement.dir = RTL.has(to) ? "rtl" : "ltr";
}

/** Preferences of the person, for this and the next first paint: the hub writes language and theme into the page by this cookie. @param {Record<string, string>} given */
export async function prefer(given) {
  look.value = { ...look.value, ...given };
  document.documentElement.dataset.theme = look.value.theme;
  document.documentElement.dataset.gains = look.value.gains;
  if (given.language && given.language !== language.value) await speak(given.language);
  document.cookie = `qz_look=${language.value}.${look.value.theme}; path=/; max-age=31536000; samesite=strict`;
}

/**
 * A text in the reader's language. `{name}` is replaced by a value; where `n` is given, "one|many" chooses by number.
 * @param {string} text @param {Record<string, any>} values
 */
export function t(text, values = {}) {
  const found = spoken.value[text];
  let said = typeof found === "string" ? found : text;
  if ("n" in values) {
    const kind = new Intl.PluralRules(language.value).select(Number(values.n));
    if (found && typeof found === "object") said = found[kind] ?? found.other;
    else if (!found) said = text.split("|")[kind === "one" ? 0 : text.split("|").length - 1];
  }
  return said.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? (typeof values[name] === "number" ? whole_(values[name]) : String(values[name])) : whole));
}

/** The name of a role, or of who has none: a token. @param {string|null|undefined} role */
export const roleName = (role) => t(role ?? "token").replaceAll("_", " ");

const locale = () => (language.value === "ar" ? `ar-u-nu-${look.value.digits}` : "en-GB");
/** @param {Intl.NumberFormatOptions} options */
const format = (options) => {
  const made = new Map();
  return (/** @type {number|null|undefined} */ value) => {
    if (value === null || value === undefined || !Number.isFinite(value)) return NOTHING;
    if (!made.has(locale())) made.set(locale(), new Intl.NumberFormat(locale(), options));
    return made.get(locale()).format(value);
  };
};
const whole_ = format({ maximumFractionDigits: 0, signDisplay: "negative" }); // "negative": nothing below one half is "-0"
export const known = (/** @type {any} */ value) => value !== null && value !== undefined && Number.isFinite(value);
export const whole = whole_;
export const fixed2 = format({ minimumFractionDigits: 2, maximumFractionDigits: 2 });
export const fine = format({ maximumSignificantDigits: 6 });
export const percent = format({ style: "percent", maximumFractionDigits: 1 });
const UNITS = ["B", "kB", "MB", "GB", "TB"];
export function bytes(/** @type {number|null} */ value) {
  if (!known(value)) return NOTHING;
  const step = Math.min(4, Math.floor(Math.log10(Math.max(1, /** @type {number} */ (value))) / 3));
  return `${fine(Number((/** @type {number} */ (value) / 1000 ** step).toPrecision(3)))} ${UNITS[step]}`;
}

/** Left to right, whatever is around it. */
export const Plain = ({ children, ...more }) => html`<bdi dir="ltr" ...${more}>${children}</bdi>`;

export const zone = () => (look.value.zone === "browser" || look.value.zone === "site" ? Intl.DateTimeFormat().resolvedOptions().timeZone : look.value.zone);
const stamp = (/** @type {Intl.DateTimeFormatOptions} */ options) => {
  const made = new Map();
  return (/** @type {number|null|undefined} */ us) => {
    if (!us) return NOTHING;
    const key = `${zone()} ${look.value.digits} ${language.value}`;
    const tag = language.value === "ar" ? `sv-SE-u-nu-${look.value.digits}` : "sv-SE"; // 2026-11-23 16:05:01, from left to right in every language
    if (!made.has(key)) made.set(key, new Intl.DateTimeFormat(tag, { timeZone: zone(), hour12: false, ...options }));
    return made.get(key).format(us / 1e3);
  };
};
export const moment = stamp({ year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" });
export const clock = stamp({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
export const day = stamp({ year: "numeric", month: "2-digit", day: "2-digit" });

/** A span in its largest fitting unit. @param {number|null} seconds */
export function lasting(seconds) {
  if (!known(seconds)) return NOTHING;
  const s = Math.max(0, /** @type {number} */ (seconds));
  if (s < 120) return t("{v} s", { v: fine(Math.round(s)) });
  if (s < 7_200) return t("{v} min", { v: fine(Math.round(s / 60)) });
  if (s < 172_800) return t("{v} h", { v: fine(Math.round(s / 3_600)) });
  return t("{v} d", { v: fine(Math.round(s / 86_400)) });
}

/** The quality of a sample, from the top two bits of its OPC UA StatusCode. @param {number} code */
export const severity = (code) => ["good", "uncertain", "bad", "bad"][code >>> 30];
