// One zstd frame (RFC 8878) unpacked, within the limits that the programs keep: content size given, no dictionary, window <= 8 MiB,
// content <= 16 MiB and <= 200 times the frame. Browsers cannot do this themselves. Nothing is compressed here, no checksum is compared.
// @ts-check
import { Refused } from "./cbor.mjs";

const MAX_WINDOW = 8 << 20;
const MAX_PLAIN = 16 << 20;
const MAX_RATIO = 200;
const MAX_BLOCK = 128 << 10;
const LITERAL_BITS = [...Array(16).fill(0), 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
const MATCH_BITS = [...Array(32).fill(0), 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
const bases = (/** @type {number[]} */ bits, /** @type {number} */ first) => bits.reduce((found, _, at) => [...found, at ? found[at - 1] + 2 ** bits[at - 1] : first], /** @type {number[]} */ ([]));
const LITERAL_BASES = bases(LITERAL_BITS, 0);
const MATCH_BASES = bases(MATCH_BITS, 3);
const USUAL_LITERALS = [4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1];
const USUAL_MATCHES = [1, 4, 3, 2, 2, 2, 2, 2, 2, ...Array(37).fill(1), -1, -1, -1, -1, -1, -1, -1];
const USUAL_OFFSETS = [1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1];

/** @typedef {{ log: number, symbols: Uint8Array, bits: Uint8Array, bases: Uint16Array }} Table */
/** @typedef {{ most: number, symbols: Uint8Array, bits: Uint8Array }} Huffman */

const broken = (/** @type {string} */ what) => new Refused(`the payload is not one sound zstd frame: ${what}`);
const top = (/** @type {number} */ value) => 31 - Math.clz32(value);

/** `count` bits that begin at bit `start`, the lowest first. @param {Uint8Array} data @param {number} start @param {number} count */
function bitsAt(data, start, count) {
  let [value, scale] = [0, 1];
  const [first, off] = [start >>> 3, start & 7];
  for (let at = 0; 8 * at < count + off; at += 1, scale *= 256) value += (data[first + at] ?? 0) * scale;
  return Math.floor(value / 2 ** off) % 2 ** count;
}

/** Read from the end towards the beginning; before the beginning all bits are zero. */
class Backward {
  /** @param {Uint8Array} data */
  constructor(data) {
    if (!data.length || !data[data.length - 1]) throw broken("a stream of bits without its end");
    this.data = data;
    this.at = 8 * (data.length - 1) + top(data[data.length - 1]);
  }

  /** @param {number} count */
  read(count) {
    this.at -= count;
    if (this.at >= 0) return count ? bitsAt(this.data, this.at, count) : 0;
    const have = count + this.at;
    return have > 0 ? bitsAt(this.data, 0, have) * 2 ** -this.at : 0;
  }
}

/** A table of states from the probabilities of its symbols (4.1.1). @param {number} log @param {number[]} odds @returns {Table} */
function spread(log, odds) {
  const size = 1 << log;
  const [symbols, bits, starts] = [new Uint8Array(size), new Uint8Array(size), new Uint16Array(size)];
  const next = odds.map((odd) => (odd < 0 ? 1 : odd));
  let high = size - 1;
  odds.forEach((odd, symbol) => { if (odd < 0) { symbols[high] = symbol; high -= 1; } });
  let at = 0;
  odds.forEach((odd, symbol) => {
    for (let n = 0; n < odd; n += 1) {
      symbols[at] = symbol;
      do at = (at + (size >> 1) + (size >> 3) + 3) & (size - 1); while (at > high);
    }
  });
  for (let state = 0; state < size; state += 1) {
    const number = next[symbols[state]];
    next[symbols[state]] += 1;
    bits[state] = log - top(number);
    starts[state] = (number << bits[state]) - size;
  }
  return { log, symbols, bits, bases: starts };
}

/** The description of a table and how many bytes it takes. @param {Uint8Array} data @param {number} mostLog @param {number} most @returns {[Table, number]} */
function readTable(data, mostLog, most) {
  let at = 4;
  const log = bitsAt(data, 0, 4) + 5;
  if (log > mostLog) throw broken("a table of too high accuracy");
  let left = 1 << log;
  /** @type {number[]} */
  const odds = [];
  while (left > 0) {
    if (odds.length > most || at > 8 * data.length) throw broken("a table that does not end");
    const count = top(left + 1) + 1;
    const low = (1 << (count - 1)) - 1;
    const threshold = (1 << count) - 2 - left;
    let value = bitsAt(data, at, count);
    at += count;
    if ((value & low) < threshold) { value &= low; at -= 1; } else if (value > low) value -= threshold;
    const odd = value - 1;
    left -= Math.abs(odd);
    odds.push(odd);
    for (let more = odd === 0 ? 3 : 0; more === 3;) {
      more = bitsAt(data, at, 2);
      at += 2;
      for (let n = 0; n < more; n += 1) odds.push(0);
    }
  }
  if (left !== 0 || odds.length > most + 1) throw broken("a table whose probabilities do not add up");
  return [spread(log, odds), (at + 7) >> 3];
}

/** Weights of a Huffman tree and how many bytes they take (4.2.1). @param {Uint8Array} data @returns {[number[], number]} */
function readWeights(data) {
  const head = data[0];
  if (head >= 128) {
    const count = head - 127;
    return [Array.from({ length: count }, (_, at) => (at % 2 ? data[1 + (at >> 1)] & 15 : data[1 + (at >> 1)] >> 4)), 1 + ((count + 1) >> 1)];
  }
  const [table, used] = readTable(data.subarray(1, 1 + head), 6, 255);
  const stream = new Backward(data.subarray(1 + used, 1 + head));
  const states = [stream.read(table.log), stream.read(table.log)];
  /** @type {number[]} */
  const weights = [];
  for (let turn = 0; weights.length < 255; turn = 1 - turn) {
    weights.push(table.symbols[states[turn]]);
    states[turn] = table.bases[states[turn]] + stream.read(table.bits[states[turn]]);
    if (stream.at < 0) return [[...weights, table.symbols[states[1 - turn]]], 1 + head];
  }
  throw broken("weights that do not end");
}

/** @param {Uint8Array} data @returns {[Huffman, number]} */
function readHuffman(data) {
  const [weights, used] = readWeights(data);
  const sum = weights.reduce((total, weight) => total + (weight ? 1 << (weight - 1) : 0), 0);
  if (!sum) throw broken("a tree without symbols");
  const most = top(sum) + 1;
  const left = (1 << most) - sum;
  if (most > 11 || (left & (left - 1)) !== 0) throw broken("a tree that does not close");
  const all = [...weights, top(left) + 1];
  const [symbols, bits] = [new Uint8Array(1 << most), new Uint8Array(1 << most)];
  let at = 0;
  for (let weight = 1; weight <= most; weight += 1) {
    all.forEach((one, symbol) => {
      if (one !== weight) return;
      symbols.fill(symbol, at, at + (1 << (weight - 1)));
      bits.fill(most + 1 - weight, at, at + (1 << (weight - 1)));
      at += 1 << (weight - 1);
    });
  }
  return [{ most, symbols, bits }, used];
}

/** @param {Huffman} tree @param {Uint8Array} data @param {Uint8Array} out */
function unpackStream(tree, data, out) {
  const stream = new Backward(data);
  const mask = (1 << tree.most) - 1;
  let state = stream.read(tree.most);
  for (let at = 0; at < out.length; at += 1) {
    out[at] = tree.symbols[state];
    state = ((state << tree.bits[state]) & mask) | stream.read(tree.bits[state]);
  }
  if (stream.at !== -tree.most) throw broken("a stream of literals of another length");
}

/** Literals of a block, and how many bytes they take (3.1.1.3.1). @param {Uint8Array} data @param {{ tree: Huffman|null }} kept @returns {[Uint8Array, number]} */
function readLiterals(data, kept) {
  const [kind, form] = [data[0] & 3, (data[0] >> 2) & 3];
  if (kind < 2) {
    const bytes = form % 2 === 0 ? 1 : form === 1 ? 2 : 3;
    const size = bitsAt(data, form % 2 === 0 ? 3 : 4, form % 2 === 0 ? 5 : 8 * bytes - 4);
    if (size > MAX_BLOCK || (kind === 0 && bytes + size > data.length)) throw broken("literals beyond their block");
    return kind === 0 ? [data.subarray(bytes, bytes + size), bytes + size] : [new Uint8Array(size).fill(data[bytes]), bytes + 1];
  }
  const width = [10, 10, 14, 18][form];
  const start = [3, 3, 4, 5][form];
  const [size, packed] = [bitsAt(data, 4, width), bitsAt(data, 4 + width, width)];
  if (size > MAX_BLOCK || start + packed > data.length) throw broken("literals beyond their block");
  let body = data.subarray(start, start + packed);
  if (kind === 2) {
    const [tree, used] = readHuffman(body);
    kept.tree = tree;
    body = body.subarray(used);
  }
  if (!kept.tree) throw broken("literals of a tree that was never sent");
  const out = new Uint8Array(size);
  if (form === 0) unpackStream(kept.tree, body, out);
  else unpackFour(kept.tree, body, out);
  return [out, start + packed];
}

/** @param {Huffman} tree @param {Uint8Array} body @param {Uint8Array} out */
function unpackFour(tree, body, out) {
  const part = (out.length + 3) >> 2;
  let at = 6;
  for (let n = 0; n < 4; n += 1) {
    const size = n < 3 ? bitsAt(body, 16 * n, 16) : body.length - at;
    if (size < 1 || at + size > body.length || n * part > out.length) throw broken("streams of literals beyond their block");
    unpackStream(tree, body.subarray(at, at + size), out.subarray(n * part, n < 3 ? (n + 1) * part : out.length));
    at += size;
  }
}

/** @param {Uint8Array} data @param {number} mode @param {Table} usual @param {number} mostLog @param {number} most @param {Table|null} before @returns {[Table, number]} */
function tableOf(data, mode, usual, mostLog, most, before) {
  if (mode === 0) return [usual, 0];
  if (mode === 1) return [{ log: 0, symbols: data.slice(0, 1), bits: new Uint8Array(1), bases: new Uint16Array(1) }, 1];
  if (mode === 2) return readTable(data, mostLog, most);
  if (!before) throw broken("a table that was never sent");
  return [before, 0];
}

const USUAL = [spread(6, USUAL_LITERALS), spread(5, USUAL_OFFSETS), spread(6, USUAL_MATCHES)];

/** What a frame keeps from block to block. */
class Output {
  /** @param {number} size */
  constructor(size) {
    this.data = new Uint8Array(size);
    this.at = 0;
    this.tree = /** @type {Huffman|null} */ (null);
    this.tables = /** @type {(Table|null)[]} */ ([null, null, null]);
    this.offsets = [1, 4, 8];
  }

  /** @param {Uint8Array} bytes */
  put(bytes) {
    if (this.at + bytes.length > this.data.length) throw broken("more content than it claims");
    this.data.set(bytes, this.at);
    this.at += bytes.length;
  }

  /** @param {number} offset @param {number} length */
  copy(offset, length) {
    if (offset < 1 || offset > this.at || this.at + length > this.data.length) throw broken("a match outside of the content");
    for (let end = this.at + length; this.at < end; this.at += 1) this.data[this.at] = this.data[this.at - offset];
  }

  /** The distance that a code of a sequence means (3.1.1.5). @param {number} value @param {number} literals */
  distance(value, literals) {
    const [one, two, three] = this.offsets;
    if (value > 3) { this.offsets = [value - 3, one, two]; return value - 3; }
    const which = value - 1 + (literals === 0 ? 1 : 0);
    if (which === 0) return one;
    const found = which === 1 ? two : which === 2 ? three : one - 1;
    this.offsets = which === 1 ? [found, one, three] : [found, one, two];
    return found;
  }
}

/** @param {Uint8Array} data @param {Output} out */
function readBlock(data, out) {
  const [literals, used] = readLiterals(data, out);
  let rest = data.subarray(used);
  if (!rest.length) throw broken("a block without sequences");
  const first = rest[0];
  const size = first < 128 ? 1 : first < 255 ? 2 : 3;
  const count = first < 128 ? first : first < 255 ? ((first - 128) << 8) + rest[1] : rest[1] + (rest[2] << 8) + 0x7f00;
  if (!count) { out.put(literals); return; }
  const modes = rest[size];
  if (modes & 3) throw broken("a reserved mode");
  rest = rest.subarray(size + 1);
  for (let n = 0; n < 3; n += 1) {
    const [table, bytes] = tableOf(rest, (modes >> (6 - 2 * n)) & 3, USUAL[n], [9, 8, 9][n], [35, 31, 52][n], out.tables[n]);
    out.tables[n] = table;
    rest = rest.subarray(bytes);
  }
  follow(new Backward(rest), /** @type {Table[]} */ (out.tables), count, literals, out);
}

/** @param {Backward} stream @param {Table[]} tables @param {number} count @param {Uint8Array} literals @param {Output} out */
function follow(stream, tables, count, literals, out) {
  const states = tables.map((table) => stream.read(table.log));
  let taken = 0;
  for (let n = 0; n < count; n += 1) {
    const [literal, offset, match] = tables.map((table, at) => table.symbols[states[at]]);
    if (literal > 35 || offset > 31 || match > 52) throw broken("a code out of range");
    const value = 2 ** offset + stream.read(offset);
    const length = MATCH_BASES[match] + stream.read(MATCH_BITS[match]);
    const plain = LITERAL_BASES[literal] + stream.read(LITERAL_BITS[literal]);
    if (taken + plain > literals.length) throw broken("more literals than there are");
    out.put(literals.subarray(taken, taken + plain));
    taken += plain;
    out.copy(out.distance(value, plain), length);
    for (const at of n + 1 < count ? [0, 2, 1] : []) states[at] = tables[at].bases[states[at]] + stream.read(tables[at].bits[states[at]]);
  }
  if (stream.at !== 0) throw broken("sequences of another length");
  out.put(literals.subarray(taken));
}

/** Where the blocks begin, and how much they hold. @param {Uint8Array} frame */
function readHeader(frame) {
  if (frame[0] !== 0x28 || frame[1] !== 0xb5 || frame[2] !== 0x2f || frame[3] !== 0xfd) throw new Refused("the payload is not a zstd frame");
  const [flag, single, reserved, checksum, dictionary] = [frame[4] >> 6, (frame[4] >> 5) & 1, (frame[4] >> 3) & 1, (frame[4] >> 2) & 1, frame[4] & 3];
  const bytes = [single, 2, 4, 8][flag];
  if (dictionary || !bytes) throw new Refused("the zstd frame must carry its content size and use no dictionary");
  const start = single ? 5 : 6;
  if (reserved || frame.length < start + bytes) throw broken("its head");
  const size = Number(bytes === 8 ? new DataView(frame.buffer, frame.byteOffset + start, 8).getBigUint64(0, true) : BigInt(bitsAt(frame, 8 * start, 8 * bytes))) + (flag === 1 ? 256 : 0);
  const base = 2 ** (10 + (frame[5] >> 3));
  const window = single ? size : base + (base / 8) * (frame[5] & 7);
  if (size > MAX_PLAIN || size > MAX_RATIO * frame.length || window > MAX_WINDOW) throw new Refused(`a frame of ${frame.length} bytes that unpacks to ${size} with a window of ${window}`);
  return { at: start + bytes, size, checksum };
}

/** The content of the frame. @param {Uint8Array} frame */
export function decompress(frame) {
  let { at, size, checksum } = readHeader(frame);
  const out = new Output(size);
  for (let last = false; !last;) {
    if (at + 3 > frame.length) throw broken("it ends in the middle of a block");
    const head = bitsAt(frame, 8 * at, 24);
    const [kind, length] = [(head >> 1) & 3, head >> 3];
    last = (head & 1) === 1;
    at += 3;
    const taken = kind === 1 ? 1 : length;
    if (kind === 3 || length > MAX_BLOCK || at + taken > frame.length) throw broken("a block of another size");
    const body = frame.subarray(at, at + taken);
    if (kind === 0) out.put(body);
    else if (kind === 1) out.put(new Uint8Array(length).fill(body[0]));
    else readBlock(body, out);
    at += taken;
  }
  if (at + 4 * checksum !== frame.length) throw broken("bytes after its end");
  if (out.at !== size) throw new Refused(`the frame holds ${out.at} bytes and claims ${size}`);
  return out.data;
}
