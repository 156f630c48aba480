// RFC 9162 Merkle trees: hashes, and the roots that inclusion and consistency proofs lead to. Nothing here knows where proofs come from.
// @ts-check
import { Refused, joined, same } from "./cbor.mjs";

/** @param {Uint8Array} data */
export const sha256 = async (data) => new Uint8Array(await crypto.subtle.digest("SHA-256", /** @type {any} */ (data)));
export const leafHash = (/** @type {Uint8Array} */ entry) => sha256(joined(Uint8Array.of(0), entry));
export const nodeHash = (/** @type {Uint8Array} */ one, /** @type {Uint8Array} */ two) => sha256(joined(Uint8Array.of(1), one, two));

/** @param {Uint8Array[]} hashes */
function check(hashes) {
  if (hashes.some((part) => part.length !== 32)) throw new Refused("a hash in the proof does not have 32 bytes");
}

/** The root that the path leads to (RFC 9162, 2.1.3.2). @param {Uint8Array} leaf @param {number} index @param {number} size @param {Uint8Array[]} path */
export async function rootFromInclusion(leaf, index, size, path) {
  check([leaf, ...path]);
  if (!(index >= 0 && index < size)) throw new Refused(`leaf ${index} is not in a tree of ${size}`);
  let [fn, sn, found] = [BigInt(index), BigInt(size) - 1n, leaf];
  for (const sibling of path) {
    if (sn === 0n) throw new Refused("inclusion proof is too long");
    if (fn & 1n || fn === sn) {
      found = await nodeHash(sibling, found);
      while (!(fn & 1n) && fn) [fn, sn] = [fn >> 1n, sn >> 1n];
    } else found = await nodeHash(found, sibling);
    [fn, sn] = [fn >> 1n, sn >> 1n];
  }
  if (sn) throw new Refused("inclusion proof is too short");
  return found;
}

/** Refuses unless the tree of `size` only appended to the tree of `old` (RFC 9162, 2.1.4.2). @param {number} old @param {number} size @param {Uint8Array} oldRoot @param {Uint8Array} root @param {Uint8Array[]} path */
export async function verifyConsistency(old, size, oldRoot, root, path) {
  check([oldRoot, root, ...path]);
  if (old === size) {
    if (path.length || !same(oldRoot, root)) throw new Refused("two roots for one size, or a proof where none belongs");
    return;
  }
  if (!(old > 0 && old < size)) throw new Refused(`no consistency proof from size ${old} to size ${size}`);
  const nodes = (BigInt(old) & (BigInt(old) - 1n)) === 0n ? [oldRoot, ...path] : path;
  if (!path.length) throw new Refused("consistency proof is empty");
  let [fn, sn] = [BigInt(old) - 1n, BigInt(size) - 1n];
  while (fn & 1n) [fn, sn] = [fn >> 1n, sn >> 1n];
  let [first, second] = [nodes[0], nodes[0]];
  for (const node of nodes.slice(1)) {
    if (sn === 0n) throw new Refused("consistency proof is too long");
    if (fn & 1n || fn === sn) {
      [first, second] = [await nodeHash(node, first), await nodeHash(node, second)];
      while (!(fn & 1n) && fn) [fn, sn] = [fn >> 1n, sn >> 1n];
    } else second = await nodeHash(second, node);
    [fn, sn] = [fn >> 1n, sn >> 1n];
  }
  if (sn) throw new Refused("consistency proof is too short");
  if (!same(first, oldRoot) || !same(second, root)) throw new Refused("consistency proof does not lead from the old root to the new one");
}

/** @callback Nodes  The hash of the complete subtree at (level, index). @param {number} level @param {number} index @returns {Promise<Uint8Array>} */

/** MTH of leaves [start, end), where start is a multiple of the power of two that holds them. @param {number} start @param {number} end @param {Nodes} node @returns {Promise<Uint8Array>} */
async function subtree(start, end, node) {
  const size = end - start;
  const level = Math.floor(Math.log2(size));
  if (2 ** level === size) return node(level, start / size);
  const middle = start + 2 ** level;
  return nodeHash(await subtree(start, middle, node), await subtree(middle, end, node));
}

/** The inclusion proof of a leaf (RFC 9162, 2.1.3.1), from the nodes of a log. @param {number} index @param {number} size @param {Nodes} node */
export async function inclusionProof(index, size, node) {
  const path = [];
  let [start, end] = [0, size];
  while (end - start > 1) {
    const level = Math.ceil(Math.log2(end - start)) - 1;
    const middle = start + 2 ** level;
    if (index < middle) { path.push(await subtree(middle, end, node)); end = middle; } else { path.push(await subtree(start, middle, node)); start = middle; }
  }
  return path.reverse();
}
