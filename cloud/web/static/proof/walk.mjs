// A `.qzb` file checked in the browser: the same steps, in the same order and under the same names as `qenergyz verify` takes them.
// Nothing is fetched here, so it works without a network. Not done here: calculations are not repeated (`qenergyz verify --recompute`).
// @ts-check
import { Refused, Tag, decode, hasKeys, hex, isBytes, isInt, isText, same, short } from "./cbor.mjs";
import { columnsOf, openPayload, scaled, spanOf, tableRows, typedArray } from "./batch.mjs";
import { checkSignature, parseLogKey, parseReceipt, parseStatement, verifierOf, verifyCheckpoint, verifyReceipt } from "./cose.mjs";
import { leafHash, rootFromInclusion, sha256, verifyConsistency } from "./merkle.mjs";
import { documentOf, referenceFaults } from "./references.mjs";

const MAX_FILE = 512 << 20;
const MAX_ROWS = 10_000;
const MAX_BATCHES = 20_000;
const AT_ONCE = 64;

/** @typedef {Awaited<ReturnType<typeof parseStatement>>} Statement */
/** @typedef {{ name: string, ok: boolean, detail: string }} Step */
/** @typedef {{ data: Uint8Array, statement: Statement, receipt: Uint8Array, table: Uint8Array, opened?: ReturnType<typeof openPayload> }} Batch */
/** @typedef {{ kind: "samples"|"evidence", steps: Step[], batches: Batch[], rows: any[], logKey: string, head: any, target: any, window: any, samples: any, gaps: any[] }} Report */

/** The members by form alone. @param {Uint8Array} data */
function read(data) {
  if (data.length > MAX_FILE) throw new Refused(`a file of ${data.length} bytes, ${MAX_FILE} are allowed`);
  const file = decode(data);
  const kind = file instanceof Map && file.get(0) === 1 ? "samples" : "evidence";
  const labels = kind === "samples" ? [0, 1, 3, 4, 7, 8, 9, 10, 11, 12] : [0, 1, 3, 7, 8, 9, 10, 11, 12, 13];
  if (!hasKeys(file, labels) || file.get(0) !== (kind === "samples" ? 1 : 3)) throw new Refused("neither a bundle of samples (version 1) nor an evidence bundle (version 3)");
  const [batches, text, tables, keys, logKey] = [1, 3, 7, 8, 9].map((label) => file.get(label));
  const digest = file.get(labels.at(-1) ?? 0);
  if (![batches, tables, keys].every(Array.isArray) || !isText(text) || !isText(logKey) || !tables.every(isText)) throw new Refused("the members of the bundle are of other types");
  if (!isBytes(digest) || digest.length !== 32) throw new Refused("the digest of a bundle has 32 bytes");
  for (const one of keys) if (!Array.isArray(one) || one.length !== 4 || !isText(one[0]) || !isInt(one[1]) || !isBytes(one[2]) || !isInt(one[3])) throw new Refused("a bundle's key is [gateway, algorithm, public key, enrolled at]");
  for (const one of batches) if (!Array.isArray(one) || one.length !== 3 || !one.every(isBytes)) throw new Refused("a bundle's batch is [statement, receipt, tag table digest]");
  if (batches.length > MAX_BATCHES) throw new Refused(`${batches.length} batches; ${MAX_BATCHES} are allowed`);
  return { kind, file, batches, text, tables, keys, logKey };
}

/** Window, samples and consistency proofs of a bundle of samples. @param {Map<number, any>} file */
function readSamples(file) {
  const [window, arrays, paths] = [file.get(10), file.get(11), file.get(4)];
  if (!Array.isArray(window) || window.length !== 4 || !isText(window[0]) || !isText(window[1]) || !isInt(window[2]) || !isInt(window[3])) throw new Refused("a bundle's window is gateway, tag, from and to in microseconds");
  if (!Array.isArray(arrays) || arrays.length !== 3 || arrays.some((one, at) => !(one instanceof Tag) || one.number !== [79, 86, 70][at])) throw new Refused("the samples of a bundle are times, values and quality");
  const [times, values, quality] = arrays.map(typedArray);
  if (times.length !== values.length || times.length !== quality.length) throw new Refused("times, values and quality of a bundle have different lengths");
  if (!(paths instanceof Map) || [...paths].some(([size, path]) => !isInt(size) || !Array.isArray(path) || !path.every(isBytes))) throw new Refused("a bundle's consistency proofs are lists of hashes by tree size");
  return { window: { gateway: window[0], tag: window[1], from: window[2], to: window[3] }, samples: { times, values, quality }, paths };
}

/** Rows and contents of an evidence bundle. @param {Map<number, any>} file */
async function readRows(file) {
  const [target, rows, contents] = [file.get(10), file.get(11), file.get(12)];
  if (!isBytes(target) || target.length !== 32 || !Array.isArray(rows) || !Array.isArray(contents) || !contents.every(isBytes)) throw new Refused("an evidence bundle has a target, rows and contents");
  if (rows.length > MAX_ROWS) throw new Refused(`${rows.length} rows; ${MAX_ROWS} are allowed`);
  const found = [];
  for (const [at, row] of rows.entries()) {
    if (!Array.isArray(row) || row.length !== 2 || !row.every(isBytes)) throw new Refused("a row of an evidence bundle is [document, receipt]");
    const digest = await sha256(row[0]);
    found.push({ digest, id: hex(digest), receipt: row[1], ...about(`row ${at}`, () => documentOf(row[0])) });
  }
  return { target, rows: found, contents: await Promise.all(contents.map(async (content) => ({ id: hex(await sha256(content)), size: content.length }))) };
}

/** Errors inside name the thing. @template T @param {string} name @param {() => T} work @returns {T} */
function about(name, work) {
  const named = (/** @type {any} */ error) => { throw error instanceof Refused ? new Refused(`${name}: ${error.message}`) : error; };
  try {
    const found = work();
    return found instanceof Promise ? /** @type {any} */ (found.catch(named)) : found;
  } catch (error) { return named(error); }
}
const named = (/** @type {number} */ at, /** @type {Statement} */ { stream, epoch, seq }) => `batch ${at} (${stream}/${epoch}/${seq})`;

/** Many at a time, because the browser computes beside the page; the first that fails in their order is the one that is told. @template T @param {T[]} items @param {(item: T, at: number) => Promise<any>} work */
async function each(items, work) {
  for (let at = 0; at < items.length; at += AT_ONCE) {
    const found = await Promise.allSettled(items.slice(at, at + AT_ONCE).map((one, n) => work(one, at + n)));
    const failed = found.find((one) => one.status === "rejected");
    if (failed) throw /** @type {PromiseRejectedResult} */ (failed).reason;
  }
}

/** The steps of one file; each leaves what it has proven for the ones after it. */
class Walk {
  /** @param {any} members @param {Batch[]} batches @param {string|null} trusted */
  constructor(members, batches, trusted) {
    this.members = members;
    this.batches = batches;
    this.trusted = trusted;
    this.head = /** @type {any} */ (null);
    this.log = /** @type {any} */ (null);
    this.roots = /** @type {Map<number, Uint8Array>} */ (new Map());
    this.verifiers = /** @type {any[]} */ ([]);
    this.signed = new Set();
    this.tables = /** @type {Map<string, any[]>} */ (new Map());
    this.gaps = /** @type {any[]} */ ([]);
  }

  async checkpoint() {
    const { logKey, text } = this.members;
    if (this.trusted && this.trusted !== logKey) throw new Refused(`the bundle is of the log ${logKey}, expected ${this.trusted}`);
    this.log = await parseLogKey(logKey);
    this.head = await verifyCheckpoint(text, this.log);
    this.roots.set(this.head.size, this.head.root);
    return `${this.head.origin} at size ${this.head.size}, root ${short(this.head.root)}, signed with ${this.trusted ? "the key you gave" : "the key in the file; compare it with one you trust"}`;
  }

  async keys() {
    const enrolled = new Map();
    for (const [gateway, algorithm, key] of this.members.keys) {
      const verifier = await verifierOf(Number(algorithm), key);
      enrolled.set(hex(verifier.keyId), { gateway, verifier });
    }
    for (const [at, { statement }] of this.batches.entries()) {
      const found = enrolled.get(hex(statement.keyId));
      if (!found) throw new Refused(`${named(at, statement)}: no enrolled key with its key id is in the bundle`);
      if (found.gateway !== statement.gateway) throw new Refused(`${named(at, statement)}: its key is enrolled for ${found.gateway}`);
      const { window } = this.members;
      if (window && statement.gateway !== window.gateway) throw new Refused(`${named(at, statement)}: it is of ${statement.gateway}, expected ${window.gateway}`);
      this.verifiers.push(found.verifier);
    }
    return `${this.members.keys.length} enrolled keys: ${[...enrolled].map(([id, one]) => `${one.gateway} ${id.slice(0, 16)}..`).join(", ")}`;
  }

  async statements() {
    await each(this.batches, ({ statement }, at) => about(named(at, statement), () => checkSignature(statement.sign1, this.verifiers[at], statement.frame)));
    return `${this.batches.length} batches signed by their gateway`;
  }

  /** The receipt leads from the entry to the root that the log had at its size. @param {Uint8Array} entry @param {Uint8Array} data */
  async root(entry, data) {
    const receipt = parseReceipt(data);
    const root = await rootFromInclusion(await leafHash(entry), receipt.index, receipt.size, receipt.path);
    const known = this.roots.get(receipt.size);
    if (!known) {
      await verifyConsistency(receipt.size, this.head.size, root, this.head.root, this.members.paths?.get(receipt.size) ?? []);
      this.roots.set(receipt.size, root);
    } else if (!same(known, root)) throw new Refused(`the receipt leads to another root than the log has at size ${receipt.size}`);
    return { receipt, root };
  }

  /** The log has signed that root; one signature serves all receipts of a checkpoint. @param {Uint8Array} entry @param {Uint8Array} data */
  async receipt(entry, data) {
    const { receipt, root } = await this.root(entry, data);
    const key = [receipt.size, hex(receipt.sign1.protected), hex(receipt.sign1.signature), hex(root)].join(" ");
    if (this.signed.has(key)) return;
    await verifyReceipt(entry, receipt, this.log.verifier, this.log.name);
    this.signed.add(key);
  }

  async inclusion() {
    await each(this.batches, ({ statement, receipt }, at) => about(named(at, statement), () => this.root(statement.entry, receipt)));
    const unused = [...(this.members.paths?.keys() ?? [])].filter((size) => !this.roots.has(size));
    if (unused.length) throw new Refused(`consistency proofs for tree sizes that no receipt has: ${unused}`);
    return `${this.batches.length} batches stand in the log of ${this.head.size} entries`;
  }

  async receipts() {
    await each(this.batches, ({ statement, receipt }, at) => about(named(at, statement), () => this.receipt(statement.entry, receipt)));
    return `${this.batches.length} receipts signed by ${this.log.name}`;
  }

  async rows() {
    await each(this.members.rows, (/** @type {any} */ row) => about(row.name, () => this.receipt(row.digest, row.receipt)));
    return `${this.members.rows.length} rows stand in the log of ${this.head.size} entries`;
  }

  async references() {
    const faults = referenceFaults(this.members, this.batches);
    if (faults.length) throw new Refused(faults.join("; "));
    return "every row, content and batch that a row names is there, and nothing else";
  }

  async tagTables() {
    for (const text of this.members.tables) this.tables.set(hex(await sha256(new TextEncoder().encode(text))), tableRows(text));
    const used = new Set();
    for (const [at, batch] of this.batches.entries()) {
      batch.opened = about(named(at, batch.statement), () => openPayload(batch.statement.frame));
      const digest = hex(batch.opened.digest);
      if (digest !== hex(batch.table) || !this.tables.has(digest)) throw new Refused(`${named(at, batch.statement)}: the tag table it names is not the one in the bundle`);
      used.add(digest);
    }
    const all = this.batches.length || this.members.kind === "evidence";
    if (all && [...this.tables.keys()].some((digest) => !used.has(digest))) throw new Refused("the bundle holds tag tables that no batch names");
    return `${this.tables.size} tag tables that the batches name`;
  }

  async tagTable() {
    await this.tagTables();
    const { tag } = this.members.window;
    const entry = [...this.tables.values()].flat().findLast((row) => `${row.device}.${row.tag}` === tag);
    if (this.batches.length && !entry) throw new Refused(`no tag table names "${tag}"`);
    return entry ? `"${tag}" in ${entry.unit || "no unit"}` : "no batches, no tag tables";
  }

  /** Each chain is one run; a hole in it must be declared by the gateway. */
  async chain() {
    const last = new Map();
    let holes = 0;
    for (const [at, { statement }] of this.batches.entries()) {
      const key = `${statement.stream}\n${statement.epoch}`;
      const before = last.get(key);
      const follows = before === undefined || (statement.seq === this.batches[before].statement.seq + 1 && same(statement.prev, this.batches[before].statement.entry));
      if (!follows) {
        if (!this.declared(before, at)) throw new Refused(`${named(at, statement)}: does not follow ${named(before, this.batches[before].statement)}`);
        holes += 1;
      }
      last.set(key, at);
    }
    const { from, to } = this.members.window;
    this.gaps = this.batches.flatMap(({ opened }) => (opened?.gaps ?? []).filter((gap) => gap.reason >= 100 || (gap.start < to && gap.end >= from)));
    return `${last.size} chains, ${holes} holes that the gateway declared, ${this.gaps.length} signed gaps`;
  }

  /** Whether all batches missing between two of a chain are in a signed gap of it. @param {number} before @param {number} after */
  declared(before, after) {
    const [first, last] = [this.batches[before], this.batches[after]];
    const [from, to] = [first.statement.seq + 1, last.statement.seq - 1];
    if (from > to || first.opened === undefined || last.opened === undefined) return false;
    const [start, end] = [spanOf(first.opened)?.[0] ?? -(1n << 63n), spanOf(last.opened)?.[1] ?? 1n << 63n];
    const mine = this.batches.filter(({ statement }) => statement.stream === first.statement.stream && statement.epoch === first.statement.epoch);
    return mine.some(({ opened }) => opened?.gaps.some((gap) => (gap.reason >= 100 && gap.start <= from && gap.end >= to) || (gap.reason === 1 && gap.start <= end && gap.end >= start)));
  }

  /** The batches give, to the bit, the samples that the file claims; a value that is no number equals any other that is none. */
  async samples() {
    const { window, samples: claimed } = this.members;
    /** @type {[bigint, number, number][]} */
    const found = [];
    for (const { opened } of this.batches) {
      const entry = opened && this.tables.get(hex(opened.digest))?.find((row) => `${row.device}.${row.tag}` === window.tag);
      for (const column of entry ? columnsOf(opened, entry.id) : []) {
        const values = scaled(entry)(column);
        column.times.forEach((at, row) => { if (at >= window.from && at < window.to) found.push([at, values[row], column.quality[row]]); });
      }
    }
    found.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
    if (found.length !== claimed.times.length) throw new Refused(`the batches give ${found.length} samples, the bundle claims ${claimed.times.length}`);
    const differs = found.findIndex(([at, value, quality], row) => at !== claimed.times[row] || !Object.is(value, claimed.values[row]) || quality !== claimed.quality[row]);
    if (differs >= 0) throw new Refused(`the batches give ${found[differs][1]} at ${found[differs][0]}, the bundle claims ${claimed.values[differs]} at ${claimed.times[differs]} (sample ${differs + 1} of ${found.length})`);
    return `${found.length} samples, each as the batches give it`;
  }
}

const STEPS = /** @type {Record<string, [string, string][]>} */ ({
  samples: [["checkpoint signature", "checkpoint"], ["key", "keys"], ["statement signature", "statements"], ["receipt inclusion", "inclusion"], ["receipt signature", "receipts"], ["tag table", "tagTable"], ["chain", "chain"], ["samples", "samples"]],
  evidence: [["checkpoint signature", "checkpoint"], ["keys", "keys"], ["statement signatures", "statements"], ["receipts of batches", "receipts"], ["receipts of rows", "rows"], ["references", "references"], ["tag tables", "tagTables"]],
});
/** Taken after a failure as well, because it names the input that was exchanged. */
const ALWAYS = "references";

/**
 * Every step in turn, up to the first that fails. trusted: the log key that is expected; without it the file's own is used.
 * @param {Uint8Array} data @param {string|null} trusted @param {(steps: Step[]) => void} tell
 * @returns {Promise<Report>}
 */
export async function verify(data, trusted = null, tell = () => {}) {
  /** @type {Step[]} */
  const steps = [];
  const done = (/** @type {string} */ name, /** @type {boolean} */ ok, /** @type {string} */ detail) => { steps.push({ name, ok, detail }); tell([...steps]); };
  const report = (/** @type {any} */ members, /** @type {Walk|null} */ walk) => ({ kind: members?.kind ?? "samples", steps, batches: walk?.batches ?? [], rows: members?.rows ?? [], logKey: members?.logKey ?? "", head: walk?.head ?? null, target: members?.target ?? null, window: members?.window ?? null, samples: members?.samples ?? null, gaps: walk?.gaps ?? [] });
  /** @type {any} */
  let members = null;
  let walk;
  try {
    members = read(data);
    members = { ...members, ...(members.kind === "samples" ? readSamples(members.file) : await readRows(members.file)) };
    /** @type {Batch[]} */
    const batches = [];
    const unread = members.kind === "evidence"; // there the structure of batches is part of the container, as in the program
    for (const [at, [statement, receipt, table]] of members.batches.entries()) batches.push({ data: statement, statement: await about(`batch ${at}`, () => parseStatement(statement)).catch((/** @type {any} */ error) => { if (unread) throw error; return /** @type {any} */ ({ error }); }), receipt, table });
    walk = new Walk(members, batches, trusted);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    done("container", false, error.message);
    return report(null, null);
  }
  done("container", true, `${data.length} bytes, ${walk.batches.length} batches${members.rows ? `, ${members.rows.length} rows, ${members.contents.length} contents` : ""}`);
  const whole = same(await sha256(data.subarray(0, -32)), data.subarray(-32));
  done("digest", whole, whole ? "SHA-256 over the file fits" : "the file was changed or cut after it was written");
  for (let at = 0, failed = false; at < STEPS[members.kind].length; at += 1) {
    const [name, method] = STEPS[members.kind][at];
    if (failed && name !== ALWAYS) continue;
    try {
      const malformed = method === "keys" && walk.batches.find(({ statement }) => /** @type {any} */ (statement).error);
      if (malformed) throw /** @type {any} */ (malformed.statement).error;
      done(name, true, await /** @type {any} */ (walk)[method]());
    } catch (error) {
      failed = true;
      done(name, false, error instanceof Error ? error.message : String(error));
    }
  }
  return report(members, walk);
}

/** The first step that failed; null when the file holds. @param {Step[]} steps */
export const firstFailed = (steps) => steps.find((step) => !step.ok)?.name ?? null;
