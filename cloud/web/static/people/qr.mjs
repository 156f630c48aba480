// A text as a QR code (ISO/IEC 18004), drawn as SVG: bytes, error correction of level L, versions 1 to 10, mask 0. Enough for an otpauth address.
// @ts-check
import { html } from "../vendor/core.mjs";
import { t } from "../words.mjs";

// Per version: bytes of data, bytes of correction per block, blocks (those of the second size hold one byte more).
const SIZES = [[19, 7, 1], [34, 10, 1], [55, 15, 1], [80, 20, 1], [108, 26, 1], [136, 18, 2], [156, 20, 2], [194, 24, 2], [232, 30, 2], [274, 18, 4]];
const ALIGNED = [[], [6, 18], [6, 22], [6, 26], [6, 30], [6, 34], [6, 22, 38], [6, 24, 42], [6, 26, 46], [6, 28, 50]];
const FORMAT = 0b111011111000100; // level L, mask 0, with its correction
const QUIET = 4;

const EXP = new Uint8Array(512);
const LOG = new Uint8Array(256);
for (let at = 0, value = 1; at < 255; at += 1) {
  EXP[at] = EXP[at + 255] = value;
  LOG[value] = at;
  value = (value << 1) ^ (value & 128 ? 0x11d : 0);
}

/** Bytes of correction for a block. @param {number[]} block @param {number} count */
function correction(block, count) {
  let generator = [1];
  for (let n = 0; n < count; n += 1) {
    const next = [...generator, 0];
    generator.forEach((value, at) => { if (value) next[at + 1] ^= EXP[LOG[value] + n]; });
    generator = next;
  }
  const rest = [...block, ...Array(count).fill(0)];
  for (let at = 0; at < block.length; at += 1) {
    const factor = rest[at];
    if (factor) generator.forEach((value, n) => { rest[at + n] ^= EXP[LOG[value] + LOG[factor]]; });
  }
  return rest.slice(block.length);
}

/** All bytes in the order they are drawn. @param {Uint8Array} bytes @param {number} version */
function codewords(bytes, version) {
  const [size, each, blocks] = SIZES[version - 1];
  const bits = [[4, 4], [bytes.length, version < 10 ? 8 : 16], ...Array.from(bytes, (byte) => [byte, 8])].flatMap(([value, width]) => Array.from({ length: width }, (_, at) => (value >> (width - 1 - at)) & 1));
  bits.push(...Array(Math.min(4, 8 * size - bits.length)).fill(0));
  bits.push(...Array((8 - (bits.length % 8)) % 8).fill(0));
  const data = Array.from({ length: bits.length / 8 }, (_, at) => bits.slice(8 * at, 8 * at + 8).reduce((value, bit) => 2 * value + bit, 0));
  for (let at = 0; data.length < size; at += 1) data.push(at % 2 ? 17 : 236);
  const short = Math.floor(size / blocks);
  const parts = [];
  for (let n = 0, at = 0; n < blocks; n += 1) {
    const length = short + (n >= blocks - (size % blocks) ? 1 : 0);
    parts.push(data.slice(at, at + length));
    at += length;
  }
  const checks = parts.map((part) => correction(part, each));
  const woven = (/** @type {number[][]} */ rows) => Array.from({ length: Math.max(...rows.map((row) => row.length)) }, (_, at) => rows.flatMap((row) => (at < row.length ? [row[at]] : []))).flat();
  return [...woven(parts), ...woven(checks)];
}

/** Modules by row; null where data goes. @param {number} version @returns {(number|null)[][]} */
function frame(version) {
  const size = 17 + 4 * version;
  const grid = Array.from({ length: size }, () => /** @type {(number|null)[]} */ (Array(size).fill(null)));
  const put = (/** @type {number} */ row, /** @type {number} */ column, /** @type {number} */ value) => { if (row >= 0 && column >= 0 && row < size && column < size) grid[row][column] = value; };
  const square = (/** @type {number} */ row, /** @type {number} */ column, /** @type {number} */ radius, /** @type {number} */ light) => {
    for (let y = -radius; y <= radius; y += 1) for (let x = -radius; x <= radius; x += 1) { const ring = Math.max(Math.abs(x), Math.abs(y)); put(row + y, column + x, ring === light || ring === 4 ? 0 : 1); }
  };
  for (let at = 8; at < size - 8; at += 1) { put(6, at, 1 - (at % 2)); put(at, 6, 1 - (at % 2)); }
  for (const [row, column] of [[3, 3], [3, size - 4], [size - 4, 3]]) square(row, column, 4, 2);
  const centres = ALIGNED[version - 1];
  for (const row of centres) for (const column of centres) if (!((row === 6 && (column === 6 || column === size - 7)) || (row === size - 7 && column === 6))) square(row, column, 2, 1);
  for (let at = 0; at < 15; at += 1) {
    const bit = (FORMAT >> at) & 1;
    put(at < 6 ? at : at < 8 ? at + 1 : size - 15 + at, 8, bit);
    put(8, at < 8 ? size - 1 - at : at === 8 ? 7 : 14 - at, bit);
  }
  put(size - 8, 8, 1);
  if (version >= 7) putVersion(version, size, put);
  return grid;
}

/** @param {number} version @param {number} size @param {(row: number, column: number, value: number) => void} put */
function putVersion(version, size, put) {
  let rest = version;
  for (let at = 0; at < 12; at += 1) rest = (rest << 1) ^ ((rest >> 11) * 0x1f25);
  const bits = (version << 12) | rest;
  for (let at = 0; at < 18; at += 1) {
    const [row, column] = [Math.floor(at / 3), size - 11 + (at % 3)];
    put(row, column, (bits >> at) & 1);
    put(column, row, (bits >> at) & 1);
  }
}

/** The modules of a text, 1 for dark; null where it is too long. @param {string} text @returns {number[][]|null} */
export function modules(text) {
  const bytes = new TextEncoder().encode(text);
  const version = 1 + SIZES.findIndex(([size], at) => bytes.length + (at < 9 ? 2 : 3) <= size);
  if (!version) return null;
  const grid = frame(version);
  const size = grid.length;
  const bits = codewords(bytes, version).flatMap((byte) => Array.from({ length: 8 }, (_, at) => (byte >> (7 - at)) & 1));
  let next = 0;
  for (let right = size - 1, up = true; right > 0; right -= 2, up = !up) {
    if (right === 6) right -= 1;
    for (let n = 0; n < size; n += 1) {
      const row = up ? size - 1 - n : n;
      for (const column of [right, right - 1]) {
        if (grid[row][column] !== null) continue;
        grid[row][column] = (bits[next] ?? 0) ^ ((row + column) % 2 === 0 ? 1 : 0);
        next += 1;
      }
    }
  }
  return /** @type {number[][]} */ (grid);
}

/** @param {{ text: string }} properties */
export function Picture({ text }) {
  const grid = modules(text);
  if (!grid) return null;
  const size = grid.length + 2 * QUIET;
  const path = grid.flatMap((row, y) => row.flatMap((dark, x) => (dark ? [`M${x + QUIET} ${y + QUIET}h1v1h-1z`] : []))).join("");
  return html`<svg class="qr" viewBox=${`0 0 ${size} ${size}`} role="img" aria-label=${t("Picture of the key for an authenticator")}><rect width=${size} height=${size} fill="#FFFFFF" /><path d=${path} fill="#000000" /></svg>`;
}
