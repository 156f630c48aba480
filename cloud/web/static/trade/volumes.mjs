// Volumes of the book: decimals that stay exact (text, added up as whole numbers, never floating point), and positions by delivery month,
// with expected production beside the sales of the same days, also as a matrix of product, place and month.
// @ts-check
import { fine } from "../words.mjs";

const NOTHING = fine(null);
const DAY_US = 86_400e6;
const HOURS_US = 7_200e6; // by which a change of clocks makes a day or month longer, with an hour to spare
const COLUMNS = ["bought", "sold", "net"];

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

/** For sorting and for CSV: a number where it is exactly that, else the text. @param {Exact|null} value */
export function cell(value) {
  if (!value) return null;
  const text = exactly(value).replaceAll(",", "");
  return Math.abs(Number(text)) <= Number.MAX_SAFE_INTEGER && String(Number(text)) === text ? Number(text) : text;
}

const ZERO = exact("0");
const day = (/** @type {number} */ us) => new Date(us / 1e3).toISOString().slice(0, 10); // delivery periods are of UTC
const month = (/** @type {number} */ us) => day(us).slice(0, 7);
const where = (/** @type {any} */ row) => [row.book, row.product, row.place, row.unit].join("\n");

/**
 * Expected production per product and place of the desk's book, as rows of one day each; it holds for these days and for no others.
 * @param {any[]} found forecasts
 * @param {string} book
 */
export const produced = (found, book) => found.flatMap(({ output }) => output.expected.map((/** @type {number} */ volume, /** @type {number} */ at) => {
  const start_us = output.start_us + at * DAY_US;
  return { book, product: output.product, place: output.place, unit: output.unit, start_us, end_us: start_us + DAY_US, bought: "0", sold: "0", net: "0", foreseen: exact(volume.toFixed(3)) };
}));

/**
 * Buckets added up to months of UTC by their middle; a bucket longer than a month keeps its own line. A month that the forecast covers
 * in part is two lines, so that production stands beside the sales of the same days; outside it production is not known.
 * @param {any[]} booked rows of positions
 * @param {any[]} foreseen rows of `produced`
 */
export function months(booked, foreseen) {
  const covers = new Map();
  for (const row of foreseen) {
    const [low, high] = covers.get(where(row)) ?? [Infinity, -Infinity];
    covers.set(where(row), [Math.min(low, row.start_us), Math.max(high, row.end_us)]);
  }
  const found = new Map();
  for (const row of [...booked, ...foreseen]) add(found, covers, row);
  const lines = [...found.values()].sort((a, b) => where(a).localeCompare(where(b)) || a.middle - b.middle);
  const halves = new Set(lines.filter((line, at) => lines[at - 1]?.name === line.name).map((line) => line.name));
  return lines.map((line) => ({ ...line, days: halves.has(line.name) ? `${day(line.start_us).slice(8)}–${day(line.end_us - 1).slice(8)}` : "", open: plus(line.net, line.expected) }));
}

/** @param {Map<string, any>} found @param {Map<string, [number, number]>} covers @param {any} row */
function add(found, covers, row) {
  const middle = (row.start_us + row.end_us) / 2;
  const [low, high] = covers.get(where(row)) ?? [-Infinity, Infinity];
  const length = row.end_us - row.start_us;
  const covered = length > DAY_US + HOURS_US ? low <= row.start_us && row.end_us <= high : low <= middle && middle < high;
  const period = length > 31 * DAY_US + HOURS_US ? `${day(row.start_us)} – ${day(row.end_us - 1)}` : month(middle);
  const name = [where(row), period].join("\n");
  const key = `${name}\n${covered ? 1 : middle < low ? 0 : 2}`;
  const line = found.get(key) ?? { ...row, key, name, period, middle, bought: ZERO, sold: ZERO, net: ZERO, expected: covered ? ZERO : null };
  for (const column of COLUMNS) line[column] = plus(line[column], exact(row[column]));
  if (covered) line.expected = plus(line.expected, row.foreseen ?? (covers.has(where(row)) ? ZERO : exact(row.expected)));
  line.start_us = Math.min(line.start_us, row.start_us);
  line.end_us = Math.max(line.end_us, row.end_us);
  found.set(key, line);
}

/**
 * One row per book, product and place, one column per period, of one measure. A cell without a line is undefined; one whose value is not known is null.
 * @param {any[]} lines of `months`
 * @param {"net"|"expected"|"open"|"bought"|"sold"} measure
 */
export function matrix(lines, measure) {
  const periods = [...new Set(lines.map((line) => line.period))].sort();
  const rows = new Map();
  for (const line of lines) {
    const row = rows.get(where(line)) ?? { key: where(line), book: line.book, product: line.product, place: line.place, unit: line.unit, cells: /** @type {Record<string, any>} */ ({}) };
    const before = row.cells[line.period];
    row.cells[line.period] = line.period in row.cells ? plus(before, line[measure]) : line[measure];
    rows.set(where(line), row);
  }
  return { periods, rows: [...rows.values()] };
}
