// One entry of the log with its way to the root of a checkpoint, from the log's tiles. Who signed the checkpoint is not judged here.
// @ts-check
import { getBytes } from "../hub.mjs";
import { t } from "../words.mjs";
import { Refused, hex, same } from "./cbor.mjs";
import { parseCheckpoint } from "./cose.mjs";
import { inclusionProof, nodeHash, rootFromInclusion } from "./merkle.mjs";

const WIDTH = 256; // hashes of a whole tile

/** The path of a tile (C2SP tlog-tiles): 1234067 is "x001/x234/067". @param {number} index */
function tilePath(index) {
  const digits = String(index).padStart(Math.ceil(Math.max(1, String(index).length) / 3) * 3, "0").match(/.{3}/g) ?? [];
  return digits.map((part, at) => (at < digits.length - 1 ? `x${part}` : part)).join("/");
}

/** Nodes of the log of `size` entries, read from its tiles; each tile once. @param {number} size */
function nodesOf(size) {
  const tiles = new Map();
  return async (/** @type {number} */ level, /** @type {number} */ index) => {
    const row = Math.floor(level / 8);
    const within = level % 8;
    // A node inside of a tile is made of 2^within hashes of the tile's lowest row.
    const first = index * 2 ** within;
    const tile = Math.floor(first / WIDTH);
    const width = Math.min(WIDTH, Math.floor(size / 2 ** (8 * row)) - tile * WIDTH);
    const key = `${row}/${tilePath(tile)}${width < WIDTH ? `.p/${width}` : ""}`;
    if (!tiles.has(key)) tiles.set(key, getBytes(`/v1/log/tile/${key}`));
    const data = await tiles.get(key);
    let hashes = Array.from({ length: 2 ** within }, (_, at) => data.slice(32 * (first - tile * WIDTH + at), 32 * (first - tile * WIDTH + at + 1)));
    while (hashes.length > 1) hashes = await Promise.all(hashes.filter((_, at) => at % 2 === 0).map((one, at) => nodeHash(one, hashes[2 * at + 1])));
    return hashes[0];
  };
}

/** An entry by its position, and that its way leads to the root of the checkpoint. @param {number} position @param {string} checkpoint with its signatures */
export async function entryAt(position, checkpoint) {
  const head = parseCheckpoint(checkpoint.slice(0, checkpoint.indexOf("\n\n") + 1));
  if (!(Number.isInteger(position) && position >= 0 && position < head.size)) throw new Refused(t("the log has the positions 0 to {last}", { last: head.size - 1 }));
  const node = nodesOf(head.size);
  const leaf = await node(0, position);
  const path = await inclusionProof(position, head.size, node);
  const root = await rootFromInclusion(leaf, position, head.size, path);
  return { position, leaf: hex(leaf), path: path.map(hex), root: hex(root), holds: same(root, head.root) };
}
