// What a signed batch holds: its payload, and the samples of one tag in it, bit for bit as the gateway wrote them (profile qz1).
// Columns of other tags are passed over, so a fault in one of those is found by `qenergyz verify` alone.
// @ts-check
import { Refused, Tag, decode, isBytes, isInt, isText } from "./cbor.mjs";
import { decompress } from "./zstd.mjs";

const MAX_SAMPLES = 1 << 22;
const MAX_GROUPS = 1 << 14;
const WIDTHS = [0, 1, 2, 4, 8];
const KINDS = ["", "i4", "f4", "f8", "", "f8"]; // type of a column by encoding; 0 and 4 carry their own
const ARRAYS = { 70: Uint32Array, 77: Int16Array, 78: Int32Array, 79: BigInt64Array, 85: Float32Array, 86: Float64Array };
const NAMES = { 77: "i4", 78: "i4", 79: "i8", 85: "f4", 86: "f8" };

/** @typedef {{ times: BigInt64Array, values: ArrayLike<any>, kind: string, quality: Uint32Array }} Column */

/** The numbers of a little-endian typed array (RFC 8746). @param {any} tag @returns {any} */
export function typedArray(tag) {
  const kind = tag instanceof Tag ? ARRAYS[/** @type {keyof typeof ARRAYS} */ (tag.number)] : undefined;
  if (!kind || !isBytes(tag.value) || tag.value.length % kind.BYTES_PER_ELEMENT) throw new Refused("expected a typed array (RFC 8746)");
  return new kind(tag.value.slice().buffer);
}

/** The payload without its columns. @param {Uint8Array} frame */
export function openPayload(frame) {
  const found = decode(decompress(frame));
  const [grid, digest, groups] = found instanceof Map ? [found.get(1), found.get(2), found.get(4)] : [];
  if (!Array.isArray(grid) || grid.length !== 3 || !grid.every(isInt) || !isBytes(digest) || !Array.isArray(groups)) throw new Refused("the payload needs a version, a grid, a tag table digest and groups");
  if (found.get(0) !== 1 || digest.length !== 32 || grid[1] < 0 || grid[2] < 0) throw new Refused("the payload is of version 1, its digest has 32 bytes, its grid does not run backwards");
  if (![...found.keys()].every((key) => [0, 1, 2, 3, 4, 5, 6, 7, 8].includes(key)) || groups.length > MAX_GROUPS) throw new Refused("the payload has members of another version, or too many groups");
  return { grid, digest, groups, gaps: gapsOf(found.get(6) ?? []) };
}

/** @param {any} items */
function gapsOf(items) {
  const sound = (/** @type {any} */ item) => Array.isArray(item) && [3, 5].includes(item.length) && item.every(isInt) && item[0] >= 0 && item[0] <= item[1] && item[2] >= 0;
  if (!Array.isArray(items) || !items.every(sound)) throw new Refused("gaps are a list of [from, to, reason, ? samples, priority]");
  return items.map(([start, end, reason]) => ({ start, end, reason }));
}

/** The value of element `at` from byte planes of `total` elements. @param {Uint8Array} planes @param {number} width @param {number} total @param {number} at */
function plane(planes, width, total, at) {
  let value = 0;
  for (let n = Math.min(width, 4) - 1; n >= 0; n -= 1) value = value * 256 + planes[n * total + at];
  if (width <= 4) return BigInt(value);
  let high = 0;
  for (let n = width - 1; n >= 4; n -= 1) high = high * 256 + planes[n * total + at];
  return (BigInt(high) << 32n) | BigInt(value);
}
const unzigzag = (/** @type {bigint} */ value) => (value >> 1n) ^ -(value & 1n);

/** Times of column j of a group, and whether all its columns share them. @param {Uint8Array} data @param {number} k @param {number} j */
function ownTimes(data, k, j) {
  if (data.length < 5 || data[0] & ~0x1f) throw new Refused("times of a group have no valid head");
  const [width, shared] = [data[0] & 15, !(data[0] & 16)];
  const rows = new DataView(data.buffer, data.byteOffset, data.byteLength).getUint32(1, true);
  if (rows < 1 || rows * k > MAX_SAMPLES) throw new Refused(`a group of ${rows} rows`);
  const c = shared ? 1 : k;
  const column = shared ? 0 : j;
  const rest = data.subarray(5 + 8 * c * Math.min(rows, 2));
  if (!WIDTHS.includes(width) || rest.length !== width * c * Math.max(rows - 2, 0) || data.length < 5 + 8 * c * Math.min(rows, 2)) throw new Refused("times of a group end early");
  const times = new BigInt64Array(rows);
  times[0] = plane(data.subarray(5, 5 + 8 * c), 8, c, column);
  if (rows > 1) {
    let step = plane(data.subarray(5 + 8 * c, 5 + 16 * c), 8, c, column);
    times[1] = times[0] + step;
    for (let row = 2; row < rows; row += 1) {
      step = BigInt.asIntN(64, step + (width ? unzigzag(plane(rest, width, c * (rows - 2), column * (rows - 2) + row - 2)) : 0n));
      times[row] = times[row - 1] + step;
    }
  }
  return times;
}

/** @param {any[]} grid */
function gridTimes([start, step, rows]) {
  if (!(step > 0 && rows > 0 && rows <= MAX_SAMPLES)) throw new Refused("a group without times in a batch without a grid");
  return BigInt64Array.from({ length: Number(rows) }, (_, row) => BigInt(start) + BigInt(step) * BigInt(row));
}

/** Codes of column j. @param {Uint8Array} runs @param {number} k @param {number} rows @param {number} j */
function qualityOf(runs, k, rows, j) {
  const codes = new Uint32Array(rows);
  if (!runs.length) return codes;
  let [at, done] = [0, 0];
  while (at < runs.length) {
    let [count, scale, byte] = [0, 1, 0x80];
    while (byte >= 0x80) {
      if (at >= runs.length || scale > 2 ** 28) throw new Refused("quality runs end in the middle of a count, or a count is too long");
      byte = runs[at];
      count += (byte & 0x7f) * scale;
      [at, scale] = [at + 1, scale * 128];
    }
    if (at + 4 > runs.length || count < 1 || (scale > 128 && byte === 0)) throw new Refused("quality runs hold a count in long form, or end in the middle of a code");
    const code = (runs[at] | (runs[at + 1] << 8) | (runs[at + 2] << 16) | (runs[at + 3] << 24)) >>> 0;
    const [from, to] = [Math.max(done, j * rows), Math.min(done + count, (j + 1) * rows)];
    if (from < to) codes.fill(code, from - j * rows, to - j * rows);
    [at, done] = [at + 4, done + count];
  }
  if (done !== k * rows) throw new Refused(`quality runs do not cover the ${k * rows} samples of the group`);
  return codes;
}

/** Column j by differences or XOR from its first value: bit patterns of `size` bytes. @param {number} size @param {number} width @param {Uint8Array} first @param {Uint8Array} rest @param {number} k @param {number} rows @param {number} j @param {boolean} xor */
function patterns(size, width, first, rest, k, rows, j, xor) {
  if (!WIDTHS.includes(width) || width > size || (xor && width && width !== 8) || rest.length !== width * k * (rows - 1)) throw new Refused(`${rest.length} bytes of width ${width} are not ${k} columns of ${rows} rows`);
  const found = new BigUint64Array(rows);
  found[0] = plane(first, size, k, j);
  for (let row = 1; row < rows; row += 1) {
    const change = width ? plane(rest, width, k * (rows - 1), j * (rows - 1) + row - 1) : 0n;
    found[row] = xor ? found[row - 1] ^ change : BigInt.asUintN(8 * size, found[row - 1] + unzigzag(change));
  }
  return found;
}

/** @param {any[]} group @param {number} k @param {number} rows @param {number} j @returns {[any, string]} values and their type */
function valuesOf([, encoding, width, first, rest], k, rows, j) {
  const four = (/** @type {Uint8Array} */ from) => Uint32Array.from(patterns(4, width, from, rest, k, rows, j, false), Number);
  if (encoding === 1 && first.length === 8 * k) return [new BigInt64Array(patterns(8, width, first, rest, k, rows, j, false).buffer), "i8"];
  if (encoding === 1 && first.length === 4 * k) return [new Int32Array(four(first).buffer), "i4"];
  if (encoding === 2 && first.length === 4 * k) return [new Float32Array(four(first).buffer), KINDS[2]];
  if (encoding === 3 && first.length === 8 * k) return [new Float64Array(patterns(8, width, first, rest, k, rows, j, true).buffer), KINDS[3]];
  if (encoding === 5 && first.length === 5 * k && first.subarray(0, k).every((/** @type {number} */ digits) => digits <= 22)) {
    const power = Number(`1e${first[j]}`);
    return [Float64Array.from(new Int32Array(four(first.subarray(k)).buffer), (count) => count / power), KINDS[5]];
  }
  const constant = encoding === 4 && width === 0 && !rest.length;
  if (!constant && !(encoding === 0 && width === 0 && !first.length)) throw new Refused(`encoding ${encoding} does not hold ${k} columns in a first of ${first.length} bytes and width ${width}`);
  const tag = decode(constant ? first : rest);
  const all = typedArray(tag);
  const kind = NAMES[/** @type {keyof typeof NAMES} */ (tag.number)];
  if (!kind || all.length !== (constant ? k : k * rows)) throw new Refused(`a typed array of ${all.length} values where ${constant ? k : k * rows} belong`);
  return [Array.from({ length: rows }, (_, row) => (constant ? all[j] : all[row * k + j])), kind];
}

/** Every column of one tag in a payload, in its order. @param {ReturnType<typeof openPayload>} payload @param {number} id @returns {Generator<Column>} */
export function* columnsOf(payload, id) {
  for (const group of payload.groups) {
    const sound = Array.isArray(group) && group.length >= 5 && group.length <= 7 && group[0] instanceof Tag && group[0].number === 70 && isInt(group[1]) && isInt(group[2]) && group.slice(3).every(isBytes);
    if (!sound) throw new Refused("a group is [ids, encoding, width, first, rest, quality, times]");
    const ids = typedArray(group[0]);
    if (!ids.length) throw new Refused("a group without tags");
    for (let j = 0; j < ids.length; j += 1) {
      if (ids[j] !== id) continue;
      const own = group[6] ?? new Uint8Array();
      const times = own.length ? ownTimes(own, ids.length, j) : gridTimes(payload.grid);
      const [values, kind] = valuesOf(group, ids.length, times.length, j);
      yield { times, values, kind, quality: qualityOf(group[5] ?? new Uint8Array(), ids.length, times.length, j) };
    }
  }
}

/** First and last time of everything in a payload. @param {ReturnType<typeof openPayload>} payload @returns {[bigint, bigint]|null} */
export function spanOf(payload) {
  /** @type {[bigint, bigint]|null} */
  let span = null;
  for (const group of payload.groups) {
    const k = typedArray(group[0]).length;
    const own = group[6] ?? new Uint8Array();
    for (let j = 0; j < (own.length && own[0] & 16 ? k : 1); j += 1) {
      for (const at of own.length ? ownTimes(own, k, j) : gridTimes(payload.grid)) span = span ? [at < span[0] ? at : span[0], at > span[1] ? at : span[1]] : [at, at];
    }
  }
  return span;
}

/** A decimal as a fraction of whole numbers. @param {string} text @returns {[bigint, bigint]} */
function fraction(text) {
  const found = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/.exec(text);
  if (!found || !(found[2] || found[3])) throw new Refused(`not a decimal: ${text}`);
  const digits = BigInt(`${found[2]}${found[3] ?? ""}` || "0") * (found[1] === "-" ? -1n : 1n);
  const places = (found[3] ?? "").length - Number(found[4] ?? 0);
  return places >= 0 ? [digits, 10n ** BigInt(places)] : [digits * 10n ** BigInt(-places), 1n];
}

const CARRIED = { bool: "i4", int8: "i4", uint8: "i4", int16: "i4", uint16: "i4", int32: "i4", uint32: "i4", int64: "i8", uint64: "i8", float32: "f4", float64: "f8" };

/** From values as carried to values in engineering units: a scale of 10^-n divides by the exact power. @param {any} entry row of a tag table @returns {(column: Column) => Float64Array} */
export function scaled(entry) {
  const [above, below] = fraction(entry.scale);
  const inverse = above !== 0n && below % above === 0n ? Number(below / above) : null;
  const [scale, offset] = [Number(entry.scale), Number(entry.offset)];
  return ({ values, kind }) => {
    if (CARRIED[/** @type {keyof typeof CARRIED} */ (entry.type)] !== kind) throw new Refused(`tag "${entry.device}.${entry.tag}" is ${entry.type} in the tag table, its column is ${kind}`);
    const one = (/** @type {any} */ value) => {
      const plain = entry.type === "uint32" ? value >>> 0 : entry.type === "uint64" ? Number(BigInt.asUintN(64, value)) : Number(value);
      const sized = above === below ? plain : inverse !== null ? plain / inverse : plain * scale;
      return offset === 0 ? sized : sized + offset;
    };
    return Float64Array.from(/** @type {any} */ (values), one);
  };
}

/** The rows of a tag table. @param {string} text @returns {any[]} */
export function tableRows(text) {
  try {
    const rows = JSON.parse(text).tags;
    if (rows.every((/** @type {any} */ row) => isText(row.device) && isText(row.tag) && Number.isInteger(row.id))) return rows;
  } catch { /* told below */ }
  throw new Refused("not a tag table");
}

