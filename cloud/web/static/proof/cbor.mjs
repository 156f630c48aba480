// Deterministic CBOR (RFC 8949, 4.2.1), read as strictly as the programs read it: shortest forms, definite lengths, sorted keys, nothing
// after the item, and no more than 16 levels and 262,144 items. Written is only what a signature covers. No general CBOR library.
// @ts-check

const MAX_DEPTH = 16;
const MAX_ITEMS = 1 << 18;
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** What a file or signature is refused for. */
export class Refused extends Error {}

/** A tagged item. */
export class Tag {
  /** @param {number} number @param {any} value */
  constructor(number, value) { this.number = number; this.value = value; }
}

export const isBytes = (/** @type {any} */ value) => value instanceof Uint8Array;
/** A whole number that came as one: 1.0 and true are none. @param {any} value */
export const isInt = (value) => typeof value === "bigint" || (typeof value === "number" && Number.isSafeInteger(value) && !Object.is(value, -0));
export const isText = (/** @type {any} */ value) => typeof value === "string";
/** A map with exactly these keys. @param {any} value @param {(string|number)[]} keys */
export const hasKeys = (value, keys) => value instanceof Map && value.size === keys.length && keys.every((key) => value.has(key));
/** @param {Uint8Array} one @param {Uint8Array} two */
export const same = (one, two) => one.length === two.length && one.every((byte, at) => byte === two[at]);
export const hex = (/** @type {Uint8Array} */ bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
export const short = (/** @type {Uint8Array} */ digest) => `${hex(digest).slice(0, 16)}..`;

/** A float, apart from the whole numbers, which are `number` or, beyond 2^53, `bigint`. */
export class Float {
  /** @param {number} value */
  constructor(value) { this.value = value; }
}

/** Integers are numbers, or bigints beyond 2^53; maps are Maps in the order of the bytes; floats are Float. @param {Uint8Array} data */
export function decode(data) {
  const reader = new Reader(data);
  const value = reader.item(MAX_DEPTH);
  if (reader.at !== data.length) throw new Refused(`CBOR: ${data.length - reader.at} bytes after the end of the item`);
  return value;
}

class Reader {
  /** @param {Uint8Array} data */
  constructor(data) {
    this.data = data;
    this.view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    this.at = 0;
    this.items = 0;
  }

  /** @param {number} depth @returns {any} */
  item(depth) {
    if (depth <= 0) throw new Refused(`CBOR: nested deeper than ${MAX_DEPTH}`);
    this.items += 1;
    if (this.items > MAX_ITEMS) throw new Refused(`CBOR: more than ${MAX_ITEMS} items`);
    const first = this.take(1)[0];
    const [major, info] = [first >> 5, first & 31];
    if (major === 7) return this.simple(info);
    const argument = this.argument(info);
    if (major === 0) return argument;
    if (major === 1) return typeof argument === "number" ? -1 - argument : -1n - argument;
    if (major === 6) return new Tag(Number(argument), this.item(depth - 1));
    const size = Number(argument);
    if (major === 2) return this.take(size);
    if (major === 3) return this.text(size);
    if (major === 4) return this.list(size, depth);
    return this.map(size, depth);
  }

  /** @param {number} info @returns {number|bigint} */
  argument(info) {
    if (info < 24) return info;
    if (info > 27) throw new Refused("CBOR: indefinite or reserved length");
    const start = this.at;
    this.take(1 << (info - 24));
    const value = [() => this.view.getUint8(start), () => this.view.getUint16(start), () => this.view.getUint32(start), () => this.view.getBigUint64(start)][info - 24]();
    if (value < [24, 1 << 8, 1 << 16, 2 ** 32][info - 24]) throw new Refused("CBOR: a number in a longer form than needed");
    return typeof value === "bigint" && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
  }

  /** @param {number} info */
  simple(info) {
    if (info === 20) return false;
    if (info === 21) return true;
    if (info === 22) return null;
    if (info < 25 || info > 27) throw new Refused("CBOR: a simple value the profile does not know");
    const start = this.at;
    this.take(1 << (info - 24));
    const value = info === 25 ? half(this.view.getUint16(start)) : info === 26 ? this.view.getFloat32(start) : this.view.getFloat64(start);
    const fits = Number.isNaN(value) ? info === 25 && this.view.getUint16(start) === 0x7e00 : info === 25 || (info === 26 ? !isHalf(value) : !Object.is(Math.fround(value), value));
    if (!fits) throw new Refused("CBOR: a float in a longer form than needed");
    return new Float(value);
  }

  /** @param {number} size */
  take(size) {
    if (size > this.data.length - this.at) throw new Refused("CBOR: ends in the middle of an item");
    this.at += size;
    return this.data.subarray(this.at - size, this.at);
  }

  /** @param {number} size */
  text(size) {
    const bytes = this.take(size);
    try { return UTF8.decode(bytes); } catch { throw new Refused("CBOR: text is not UTF-8"); }
  }

  /** @param {number} size @param {number} depth */
  list(size, depth) {
    if (size > this.data.length - this.at) throw new Refused("CBOR: ends in the middle of an item");
    const found = [];
    for (let n = 0; n < size; n += 1) found.push(this.item(depth - 1));
    return found;
  }

  /** @param {number} pairs @param {number} depth */
  map(pairs, depth) {
    if (2 * pairs > this.data.length - this.at) throw new Refused("CBOR: ends in the middle of an item");
    const found = new Map();
    let before = new Uint8Array();
    for (let n = 0; n < pairs; n += 1) {
      const start = this.at;
      const key = this.item(depth - 1);
      const written = this.data.subarray(start, this.at);
      if (!isAfter(written, before)) throw new Refused("CBOR: map keys twice or out of order");
      if (!isInt(key) && !isText(key) && !isBytes(key)) throw new Refused("CBOR: a map key that is neither a number nor a string");
      before = written;
      found.set(key, this.item(depth - 1));
    }
    return found;
  }
}

/** @param {Uint8Array} one @param {Uint8Array} two */
function isAfter(one, two) {
  for (let at = 0; at < Math.min(one.length, two.length); at += 1) if (one[at] !== two[at]) return one[at] > two[at];
  return one.length > two.length;
}

/** @param {number} bits */
function half(bits) {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24);
}

/** Whether 16 bits hold it. @param {number} value */
function isHalf(value) {
  const size = Math.abs(value);
  if (size === 0 || size === Infinity) return true;
  if (size > 65504) return false;
  const step = 2 ** Math.max(-24, Math.floor(Math.log2(size)) - 10);
  return Number.isInteger(size / step);
}

/** @param {number} major @param {number} size */
function head(major, size) {
  if (size < 24) return Uint8Array.of((major << 5) | size);
  const width = size < 1 << 8 ? 0 : size < 1 << 16 ? 1 : 2;
  const made = new Uint8Array(1 + (1 << width));
  made[0] = (major << 5) | (24 + width);
  for (let at = 0; at < 1 << width; at += 1) made[made.length - 1 - at] = Math.floor(size / 256 ** at) & 255;
  return made;
}

/** Numbers of few digits, texts, bytes and lists of them: what signatures and key ids are made over. @param {any} value @returns {Uint8Array} */
export function encode(value) {
  if (isBytes(value)) return joined(head(2, value.length), value);
  if (isText(value)) { const text = new TextEncoder().encode(value); return joined(head(3, text.length), text); }
  if (Array.isArray(value)) return joined(head(4, value.length), ...value.map(encode));
  return value < 0 ? head(1, -1 - value) : head(0, value);
}

/** A map whose pairs stand in their order already. @param {[number, any][]} pairs */
export const encodeMap = (pairs) => joined(head(5, pairs.length), ...pairs.flatMap(([key, value]) => [encode(key), encode(value)]));

/** @param {Uint8Array[]} parts */
export function joined(...parts) {
  const made = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) { made.set(part, at); at += part.length; }
  return made;
}
