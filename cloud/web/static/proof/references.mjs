// Rows of evidence in a file: their documents, and whether what they name is what is there. An input that was exchanged is told by the
// name under which its row knows it. Hashes and receipts are checked elsewhere (walk.mjs).
// @ts-check
import { Float, Refused, decode, hasKeys, hex, isBytes, isInt, isText } from "./cbor.mjs";

const MAX_DOCUMENT = 8 << 20;
const TOLD = 5; // differences of one kind that a report names
const short = (/** @type {string} */ id) => `${id.slice(0, 16)}..`;
const lastPart = (/** @type {string} */ urn) => urn.slice(urn.lastIndexOf(":") + 1);
const batchName = (/** @type {any} */ { gateway, stream, epoch, seq }) => `${lastPart(gateway)} ${stream}/${epoch}/${seq}`;

/** A row by its document. @param {Uint8Array} data */
export function documentOf(data) {
  if (data.length > MAX_DOCUMENT) throw new Refused(`an evidence document of ${data.length} bytes, ${MAX_DOCUMENT} are allowed`);
  const found = decode(data);
  if (!hasKeys(found, ["kind", "subject", "as_of_us", "inputs", "seed", "parameters", "code", "output"])) throw new Refused("an evidence document has kind, subject, as_of_us, inputs, parameters, seed, code and output, and nothing else");
  const [kind, subject, as_of_us, inputs] = ["kind", "subject", "as_of_us", "inputs"].map((name) => found.get(name));
  if (!isText(kind) || !isText(subject) || !kind || !subject || !isInt(as_of_us) || !isInt(found.get("seed")) || found.get("seed") < 0) throw new Refused("an evidence document names kind and subject, as_of_us in 64 bits and a seed from 0");
  if (!["parameters", "code", "output"].every((name) => found.get(name) instanceof Map)) throw new Refused("an evidence document has parameters, code and output as maps");
  return { name: `${kind} ${subject}`, kind, subject, as_of_us: Number(as_of_us), output: found.get("output"), ...inputsOf(inputs) };
}

/** @param {any} inputs */
function inputsOf(inputs) {
  const [rows, contents, batches] = inputs instanceof Map ? ["rows", "contents", "batches"].map((name) => inputs.get(name)) : [];
  if (!(rows instanceof Map) || !(contents instanceof Map) || !Array.isArray(batches) || ![...inputs.keys()].every((name) => ["rows", "contents", "batches", "window", "tags"].includes(name))) {
    throw new Refused("inputs are rows, contents and batches, and a window and tags when they were narrowed");
  }
  const named = (/** @type {Map<any, any>} */ given) => [...given].map(([name, digest]) => {
    if (!isText(name) || !name || !isBytes(digest) || digest.length !== 32) throw new Refused(`input ${name}: expected a name and 32 bytes`);
    return { name, id: hex(digest) };
  });
  const refs = batches.map((one) => {
    const [gateway, stream, epoch, seq, entry] = Array.isArray(one) && one.length === 5 ? one : [];
    if (!isText(gateway) || !isText(stream) || !gateway || !stream || !isInt(epoch) || !isInt(seq) || epoch < 0 || seq < 1 || !isBytes(entry) || entry.length !== 32) throw new Refused("an input batch is [gateway URN, stream, epoch, number from 1, entry of 32 bytes]");
    return { gateway, stream, epoch, seq, id: hex(entry) };
  });
  if (new Set(refs.map((ref) => ref.id)).size !== refs.length) throw new Refused("inputs name a batch twice");
  return { rows: named(rows), contents: named(contents), batches: refs };
}

/** The target and every row below it, each once. @param {string} target @param {Map<string, any>} rows */
function below(target, rows) {
  const found = new Set([target]);
  for (const id of found) for (const one of rows.get(id).rows) if (rows.has(one.id)) found.add(one.id);
  return [...found].map((id) => rows.get(id));
}

/** A sentence for each thing that is missing, with what stands there instead, and one for each left over. @param {Map<string, string>} wanted @param {string[]} there @param {(id: string) => string} describe @returns {[string[], string[]]} */
function differences(wanted, there, describe) {
  const seen = new Set();
  const left = there.filter((id) => { const extra = !wanted.has(id) || seen.has(id); seen.add(id); return extra; });
  const missing = [...wanted.keys()].filter((id) => !seen.has(id)).map((id, at) => `${wanted.get(id)} ${short(id)}, ${at < left.length ? `found ${describe(left[at])}` : "it is not in the file"}`);
  return [missing, left.map((id) => `${describe(id)} is in the file, but no row names it`)];
}

/** What differs between what the rows name and what is there. @param {any} members @param {any[]} batches */
export function referenceFaults({ target, rows: all, contents }, batches) {
  const rows = new Map(all.map((/** @type {any} */ row) => [row.id, row]));
  const top = hex(target);
  if (!rows.has(top)) {
    const named = new Set(all.flatMap((/** @type {any} */ row) => row.rows.map((/** @type {any} */ one) => one.id)));
    const tops = all.filter((/** @type {any} */ row) => !named.has(row.id)).map((/** @type {any} */ row) => `${row.name} (${short(row.id)})`);
    return [`the row to prove: expected ${short(top)}, found ${tops.slice(0, TOLD).join(", ") || "no rows"}`];
  }
  const statements = new Map(batches.map(({ statement }) => [hex(statement.entry), statement]));
  const sizes = new Map(contents.map((/** @type {any} */ one) => [one.id, one.size]));
  const wanted = [new Map([[top, ""]]), new Map(), new Map()];
  const misnumbered = [];
  const want = (/** @type {number} */ kind, /** @type {string} */ id, /** @type {string} */ text) => { if (!wanted[kind].has(id)) wanted[kind].set(id, text); };
  for (const row of below(top, rows)) {
    for (const one of row.rows) want(0, one.id, `input row "${one.name}" of ${row.name}: expected`);
    for (const one of row.contents) want(1, one.id, `input content "${one.name}" of ${row.name}: expected`);
    for (const ref of row.batches) {
      want(2, ref.id, `input batch ${batchName(ref)} of ${row.name}: expected entry`);
      const there = statements.get(ref.id);
      if (there && ["gateway", "stream", "epoch", "seq"].some((part) => there[part] !== ref[part])) misnumbered.push(`input batch ${batchName(ref)} of ${row.name}: the batch with its entry is ${batchName(there)}`);
    }
  }
  const found = [
    differences(wanted[0], all.map((/** @type {any} */ row) => row.id), (id) => `a row ${rows.get(id).name} (${short(id)})`),
    differences(wanted[1], contents.map((/** @type {any} */ one) => one.id), (id) => `a content of ${sizes.get(id)} bytes (${short(id)})`),
    differences(wanted[2], batches.map(({ statement }) => hex(statement.entry)), (id) => `a batch of ${batchName(statements.get(id))} (${short(id)})`),
  ];
  const missing = [...misnumbered, ...found.flatMap(([one]) => one)];
  const faults = missing.length ? missing : found.flatMap(([, one]) => one); // without an input, all below it is named by nobody
  return [...faults.slice(0, TOLD), ...(faults.length > TOLD ? [`${faults.length - TOLD} more differences`] : [])];
}

/** A value of an output in short, for a reader. @param {any} value @returns {string} */
export function told(value) {
  if (value instanceof Float) return String(value.value);
  if (value instanceof Map) return `{${[...value].slice(0, 8).map(([name, one]) => `${name}: ${told(one)}`).join(", ")}${value.size > 8 ? ", …" : ""}}`;
  if (Array.isArray(value)) return value.length > 8 ? `[${value.length}]` : `[${value.map(told).join(", ")}]`;
  return isBytes(value) ? short(hex(value)) : typeof value === "object" && value ? "[…]" : String(value);
}
