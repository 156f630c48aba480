// Numbers and times as the desk reads them: units, thousands separators, and "no value" for whatever is missing or no number.
// Booked volumes come as decimal text and stay exact: they are added up as whole numbers and never become floating point.
// @ts-check

export const NOTHING = "no value";
const PLAIN = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const FINE = new Intl.NumberFormat("en", { maximumSignificantDigits: 7 });
const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

/** @param {unknown} value @returns {value is number} */
export const known = (value) => typeof value === "number" && Number.isFinite(value);

/** Without decimals: money, and volumes that were estimated. @param {unknown} value */
export const whole = (value) => (known(value) ? PLAIN.format(Math.abs(value) < 0.5 ? 0 : value) : NOTHING);

/** With a sign always, where the direction is what is read. @param {unknown} value */
export const signed = (value) => (known(value) && value >= 0.5 ? `+${whole(value)}` : whole(value));

/** @param {unknown} value */
export const fine = (value) => (known(value) ? FINE.format(value) : NOTHING);

/** @param {unknown} value @param {number} [digits] */
export const fixed = (value, digits = 2) => (known(value) ? value.toFixed(digits) : NOTHING);

/** @param {unknown} value @param {number} [digits] */
export const percent = (value, digits = 0) => (known(value) ? `${(100 * value).toFixed(digits)} %` : NOTHING);

/** @param {number|null|undefined} us */
const iso = (us) => (known(us) ? new Date(us / 1e3).toISOString() : NOTHING);
/** @param {number|null|undefined} us */
export const day = (us) => iso(us).slice(0, 10);
/** @param {number|null|undefined} us */
export const clock = (us) => (known(us) ? iso(us).slice(11, 19) : NOTHING);
/** @param {number|null|undefined} us */
export const moment = (us) => (known(us) ? iso(us).slice(0, 23).replace("T", " ") : NOTHING);

/** @param {number} us */
export function month(us) {
  const at = new Date(us / 1e3);
  return `${MONTHS[at.getUTCMonth()]} ${at.getUTCFullYear()}`;
}

/** @param {number|null|undefined} seconds */
export function lasting(seconds) {
  if (!known(seconds)) return NOTHING;
  const span = Math.max(0, seconds);
  if (span < 120) return `${span.toFixed(0)} s`;
  return span < 7200 ? `${(span / 60).toFixed(0)} min` : `${(span / 3600).toFixed(0)} h`;
}

/** @typedef {{ digits: bigint, places: number }} Exact   digits / 10 ** places */

/** "-12.50", "1E+3" as an exact number; null for what is none. @param {unknown} text @returns {Exact|null} */
export function exact(text) {
  const found = /^([+-]?)(\d+)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?$/.exec(String(text));
  if (!found) return null;
  const [, sign, integer, fraction = "", exponent = "0"] = found;
  const digits = BigInt(`${sign === "-" ? "-" : ""}${integer}${fraction}`);
  const places = fraction.length - Number(exponent);
  return places >= 0 ? { digits, places } : { digits: digits * 10n ** BigInt(-places), places: 0 };
}

/** @param {Exact|null} one @param {Exact|null} two @returns {Exact|null} */
export function plus(one, two) {
  if (!one || !two) return null;
  const places = Math.max(one.places, two.places);
  const scaled = (/** @type {Exact} */ value) => value.digits * 10n ** BigInt(places - value.places);
  return { digits: scaled(one) + scaled(two), places };
}

/** Every digit, thousands separated, zeros at the end left out. @param {Exact|null} value */
export function exactly(value) {
  if (!value) return NOTHING;
  const text = String(value.digits < 0n ? -value.digits : value.digits).padStart(value.places + 1, "0");
  const cut = text.length - value.places;
  const fraction = text.slice(cut).replace(/0+$/, "");
  return `${value.digits < 0n ? "-" : ""}${BigInt(text.slice(0, cut)).toLocaleString("en")}${fraction && `.${fraction}`}`;
}

/** Rounded to a whole number, half away from zero: for sums that hold an estimate. @param {Exact|null} value */
export function rounded(value) {
  if (!value) return NOTHING;
  const unit = 10n ** BigInt(value.places);
  const size = ((value.digits < 0n ? -value.digits : value.digits) * 2n + unit) / (2n * unit);
  return exactly({ digits: value.digits < 0n ? -size : size, places: 0 });
}
