// Signed things: COSE_Sign1 of gateways and of the log (RFC 9052), receipts (RFC 9942), and the log's signed notes (C2SP). Signatures are
// checked by the browser (WebCrypto). The algorithm is that of the enrolled key and is never taken from a message.
// @ts-check
import { Refused, Tag, decode, encode, encodeMap, hasKeys, hex, isBytes, isInt, isText, joined, same } from "./cbor.mjs";
import { leafHash, rootFromInclusion, sha256 } from "./merkle.mjs";

const ED25519 = -19;
const ESP256 = -9;
const MAX_STATEMENT = 4 << 20;
const MAX_RECEIPT = 8 << 10;
const CONTENT_TYPE = "application/vnd.qz.batch+cbor+zstd";
const TYPE = "application/vnd.qz.batch+cose";
const CHAIN = -70001;
const TREE_SIZE = -70002;

/** @typedef {{ algorithm: number, keyId: Uint8Array, verify: (message: Uint8Array, signature: Uint8Array) => Promise<void> }} Verifier */

/** @param {any} raw @param {any} algorithm @param {any} check @param {string} name @returns {Promise<(message: Uint8Array, signature: Uint8Array) => Promise<void>>} */
async function checker(raw, algorithm, check, name) {
  const key = await crypto.subtle.importKey("raw", raw, algorithm, false, ["verify"]).catch((error) => { throw new Refused(`${name}: this browser cannot use the key (${error.message || error.name})`); });
  return async (message, signature) => {
    const fits = signature.length === 64 && (await crypto.subtle.verify(check, key, /** @type {any} */ (signature), /** @type {any} */ (message)));
    if (!fits) throw new Refused(`the ${name} signature does not fit the bytes and the key`);
  };
}

/** The verifier of an enrolled key: Ed25519, or ES256 on P-256. @param {number} algorithm @param {Uint8Array} key @returns {Promise<Verifier>} */
export async function verifierOf(algorithm, key) {
  if (algorithm === ED25519) {
    if (key.length !== 32) throw new Refused(`an Ed25519 public key has 32 bytes, found ${key.length}`);
    const keyId = await sha256(encodeMap([[1, 1], [-1, 6], [-2, key]]));
    return { algorithm, keyId, verify: await checker(key, "Ed25519", "Ed25519", "Ed25519") };
  }
  if (algorithm !== ESP256) throw new Refused(`algorithm ${algorithm} cannot be enrolled: expected ${ED25519} (Ed25519) or ${ESP256} (ES256 on P-256)`);
  if (key.length !== 65 || key[0] !== 4) throw new Refused("a P-256 public key is 65 bytes, uncompressed (04 x y)");
  const keyId = await sha256(encodeMap([[1, 2], [-1, 1], [-2, key.slice(1, 33)], [-3, key.slice(33)]]));
  return { algorithm, keyId, verify: await checker(key, { name: "ECDSA", namedCurve: "P-256" }, { name: "ECDSA", hash: "SHA-256" }, "ES256") };
}

/** Structure only. @param {Uint8Array} data */
export function unseal(data) {
  const item = decode(data);
  const parts = item instanceof Tag && item.number === 18 && Array.isArray(item.value) ? item.value : [];
  const [protected_, unprotected, payload, signature] = parts;
  if (parts.length !== 4 || !isBytes(protected_) || !(unprotected instanceof Map) || !(payload === null || isBytes(payload)) || !isBytes(signature)) {
    throw new Refused("expected a tagged COSE_Sign1 of [protected, unprotected, payload, signature]");
  }
  const header = decode(protected_);
  if (!(header instanceof Map)) throw new Refused("the protected header is not a map");
  return { protected: protected_, header, unprotected, payload, signature };
}

/** Algorithm, key and signature against the verifier. @param {ReturnType<typeof unseal>} sign1 @param {Verifier} verifier @param {Uint8Array} payload */
export async function checkSignature(sign1, verifier, payload) {
  if (sign1.header.get(1) !== verifier.algorithm) throw new Refused(`algorithm ${sign1.header.get(1)} in the header, ${verifier.algorithm} is enrolled for the key`);
  const keyId = sign1.header.get(4);
  if (!isBytes(keyId) || !same(keyId, verifier.keyId)) throw new Refused("the header names another key than the one it is verified with");
  await verifier.verify(encode(["Signature1", sign1.protected, new Uint8Array(), payload]), sign1.signature);
}

/** A signed batch, by structure alone: who claims to have signed what. @param {Uint8Array} data */
export async function parseStatement(data) {
  if (data.length > MAX_STATEMENT) throw new Refused(`a batch of ${data.length} bytes, ${MAX_STATEMENT} are allowed`);
  const sign1 = unseal(data);
  const { header } = sign1;
  if (sign1.unprotected.size) throw new Refused("the unprotected header must be empty: nothing signs it");
  if (sign1.payload === null) throw new Refused("the payload is missing");
  if (!hasKeys(header, [1, 3, 4, 15, 16, CHAIN])) throw new Refused("the protected header has other labels than those of a batch");
  if (header.get(3) !== CONTENT_TYPE || header.get(16) !== TYPE) throw new Refused(`expected content type "${CONTENT_TYPE}" and type "${TYPE}"`);
  if (!isInt(header.get(1)) || !isBytes(header.get(4)) || header.get(4).length !== 32) throw new Refused("the algorithm is a number and the key id has 32 bytes");
  const claims = header.get(15);
  if (!hasKeys(claims, [1, 2]) || !isText(claims.get(1)) || !isText(claims.get(2)) || !claims.get(1) || !claims.get(2)) throw new Refused("header 15 names issuer and subject, and nothing else");
  const chain = header.get(CHAIN);
  const [stream, epoch, seq, prev] = Array.isArray(chain) && chain.length === 4 ? chain : [];
  if (!isText(stream) || !stream || !isInt(epoch) || !isInt(seq) || epoch < 0 || seq < 1 || !isBytes(prev) || prev.length !== 32) throw new Refused("header -70001 is [stream, epoch, seq from 1, 32 bytes of prev]");
  if (seq === 1 && prev.some((/** @type {number} */ byte) => byte)) throw new Refused("batch 1 of a chain has 32 zero bytes as prev");
  return { gateway: /** @type {string} */ (claims.get(1)), stream: /** @type {string} */ (stream), epoch, seq, prev, keyId: header.get(4), frame: sign1.payload, sign1, entry: await sha256(data) };
}

/** A receipt with exactly one inclusion proof, not yet verified. @param {Uint8Array} data */
export function parseReceipt(data) {
  if (data.length > MAX_RECEIPT) throw new Refused(`a receipt of ${data.length} bytes, ${MAX_RECEIPT} are allowed`);
  const sign1 = unseal(data);
  if (sign1.payload !== null) throw new Refused("a receipt's payload is detached: the root is recomputed, never carried");
  if (sign1.header.get(395) !== 1) throw new Refused("header 395 must be 1 (RFC 9162, SHA-256)");
  const proofs = hasKeys(sign1.unprotected, [396]) ? sign1.unprotected.get(396) : null;
  if (!hasKeys(proofs, [-1])) throw new Refused("the unprotected header holds proofs of one kind and nothing else");
  const one = proofs.get(-1);
  if (!Array.isArray(one) || one.length !== 1 || !isBytes(one[0])) throw new Refused("expected exactly one proof");
  const proof = decode(one[0]);
  const [size, index, path] = Array.isArray(proof) && proof.length === 3 ? proof : [];
  const sound = isInt(size) && isInt(index) && index >= 0 && index < size && Array.isArray(path) && path.every((part) => isBytes(part) && part.length === 32);
  if (!sound) throw new Refused("an inclusion proof is [size, index, path of 32-byte hashes]");
  return { sign1, size: Number(size), index: Number(index), path };
}

/** The log has signed the root that the entry leads to. @param {Uint8Array} entry @param {ReturnType<typeof parseReceipt>} receipt @param {Verifier} log @param {string} origin */
export async function verifyReceipt(entry, receipt, log, origin) {
  const { header } = receipt.sign1;
  const claims = header.get(15);
  if (!hasKeys(claims, [1, 6]) || !isText(claims.get(1)) || !isInt(claims.get(6)) || claims.get(6) < 0) throw new Refused("the receipt's header has no algorithm, or other claims than issuer and time");
  if (!hasKeys(header, header.has(TREE_SIZE) ? [1, 4, 15, 395, TREE_SIZE] : [1, 4, 15, 395])) throw new Refused("the receipt's header has other labels, or a time before 1970");
  if (header.has(TREE_SIZE) && header.get(TREE_SIZE) !== receipt.size) throw new Refused(`the proof is for a tree of ${receipt.size}, the log has signed size ${header.get(TREE_SIZE)}`);
  if (claims.get(1) !== origin) throw new Refused(`the receipt is of the log "${claims.get(1)}", expected "${origin}"`);
  const root = await rootFromInclusion(await leafHash(entry), receipt.index, receipt.size, receipt.path);
  await checkSignature(receipt.sign1, log, root);
}

/** The bytes of base64 in its one standard form, else none. @param {string} text */
function unbase64(text) {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return new Uint8Array();
  try {
    const raw = atob(text);
    return btoa(raw) === text ? Uint8Array.from(raw, (char) => char.charCodeAt(0)) : new Uint8Array();
  } catch { return new Uint8Array(); }
}
const isName = (/** @type {string} */ name) => name !== "" && !/[+\s]/.test(name);

/** A log's key: name+id+base64(0x01 || key). @param {string} text */
export async function parseLogKey(text) {
  const [name, id, ...rest] = text.split("+");
  const raw = unbase64(rest.join("+"));
  if (raw.length !== 33 || raw[0] !== 1 || !isName(name)) throw new Refused("a log key is name+id+base64 of an Ed25519 key (type 0x01)");
  const keyId = (await sha256(joined(new TextEncoder().encode(`${name}\n`), raw))).slice(0, 4);
  if (hex(keyId) !== id) throw new Refused(`the log key of ${name} has the id ${hex(keyId)}, found ${id}`);
  return { name, keyId, verifier: await verifierOf(ED25519, raw.slice(1)) };
}

/** The checkpoint that the holder of the key signed under its own name. @param {string} text @param {Awaited<ReturnType<typeof parseLogKey>>} key */
export async function verifyCheckpoint(text, key) {
  if (text.length > 65536 || /[\u0000-\u0009\u000b-\u001f]/.test(text)) throw new Refused("a note is short text without control characters");
  const cut = text.lastIndexOf("\n\n");
  if (cut < 0 || !text.endsWith("\n") || cut + 2 >= text.length) throw new Refused("a note is text, an empty line, and lines of signatures");
  const [body, lines] = [text.slice(0, cut + 1), text.slice(cut + 2, -1).split("\n")];
  const ours = lines.map(signatureLine).filter(({ name, blob }) => name === key.name && same(blob.slice(0, 4), key.keyId));
  if (!ours.length) throw new Refused(`${key.name} has not signed this note`);
  for (const { blob } of ours) await key.verifier.verify(new TextEncoder().encode(body), blob.slice(4));
  const head = parseCheckpoint(body);
  if (head.origin !== key.name) throw new Refused(`the checkpoint is of the log "${head.origin}", signed by "${key.name}"`);
  return head;
}

/** @param {string} line */
function signatureLine(line) {
  const [dash, name, encoded, ...more] = line.split(" ");
  const blob = unbase64(encoded ?? "");
  if (dash !== "\u2014" || !isName(name ?? "") || blob.length < 5 || more.length) throw new Refused("a note's signature line is an em dash, a name, and base64");
  return { name, blob };
}

/** Origin, size without leading zeros, 32 bytes of root, nothing else. @param {string} body */
export function parseCheckpoint(body) {
  const lines = body.split("\n");
  if (lines.length !== 4 || lines[3]) throw new Refused("a checkpoint has three lines: origin, size, root");
  const [origin, digits, encoded] = lines;
  if (!isName(origin)) throw new Refused("a checkpoint's origin is a name without blanks and plus signs");
  if (!/^(0|[1-9]\d{0,15})$/.test(digits)) throw new Refused(`a checkpoint's size is a number without leading zeros, found "${digits}"`);
  const root = unbase64(encoded);
  if (root.length !== 32) throw new Refused(`a checkpoint's root has 32 bytes, found ${root.length}`);
  return { origin, size: Number(digits), root };
}
