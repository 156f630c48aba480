// The auditor's page: a proof checked step by step in the browser, which needs no network once it is loaded; and the log that proofs lead to.
// The steps themselves are in proof/walk.mjs. They are fetched with the first file or once the page has come to rest, so that they are there
// when the network is not.
// @ts-check
import { html, useEffect, useRef, useState } from "../vendor/core.mjs";
import { getBytes, may, save } from "../hub.mjs";
import { go, onward, place, turn } from "../place.mjs";
import { Field, Later, Seen, Table, Trouble } from "../ui.mjs";
import { Plain, fine, moment, t, whole } from "../words.mjs";

const SHOWN = 5000; // samples in the table
const REST_MS = 3_000; // after which what works without the network is fetched
const checker = () => import("../proof/walk.mjs");
const log = () => import("../proof/log.mjs").then((made) => made.Part);

// said: container, digest, checkpoint signature, key, statement signature, receipt inclusion, receipt signature, tag table, chain, samples
// said: keys, statement signatures, receipts of batches, receipts of rows, references, tag tables

/** @param {{ steps: any[], busy: boolean }} properties */
function Steps({ steps, busy }) {
  return html`<ol class="proof" aria-label=${t("Steps of the check")} aria-busy=${busy}>${steps.map((step) => html`<li key=${step.name} class=${step.ok ? "passed" : "failed"}><strong>${t(step.name)}</strong> <span class="muted">${step.ok ? t("holds") : t("does not hold")}</span><br /><span class="detail" lang="en" dir="ltr">${step.detail}</span></li>`)}</ol>`;
}

/** @param {{ report: any, name: string }} properties */
function Verdict({ report, name }) {
  const failed = report.steps.find((/** @type {any} */ step) => !step.ok);
  if (failed) return html`<div class="trouble" role="alert"><span aria-hidden="true">■</span> <span><strong>${t("Refused")}</strong>: <${Plain}>${name}<//> ${t("fails at the step “{step}”:", { step: t(failed.name) })} <span lang="en" dir="ltr">${failed.detail}</span></span></div>`;
  return html`<p class="verdict passed" role="status"><strong>${t("The proof holds")}</strong>: <${Plain}>${name}<//></p>`;
}

const hex = (/** @type {Uint8Array} */ bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const plain = (/** @type {any} */ value) => html`<${Plain}>${value}<//>`;

const BATCHES = () => [
  { name: "gateway", title: t("gateway"), value: (/** @type {any} */ one) => one.statement.gateway, show: (/** @type {any} */ one) => plain(one.statement.gateway) },
  { name: "stream", title: t("stream"), value: (/** @type {any} */ one) => one.statement.stream },
  { name: "epoch", title: t("epoch"), number: true, wide: true, value: (/** @type {any} */ one) => Number(one.statement.epoch) },
  { name: "seq", title: t("number"), number: true, value: (/** @type {any} */ one) => Number(one.statement.seq) },
  { name: "entry", title: t("entry hash (SHA-256)"), value: (/** @type {any} */ one) => hex(one.statement.entry), show: (/** @type {any} */ one) => html`<code dir="ltr" title=${hex(one.statement.entry)}>${hex(one.statement.entry).slice(0, 24)}…</code>` },
  { name: "key", title: t("key id"), wide: true, value: (/** @type {any} */ one) => hex(one.statement.keyId), show: (/** @type {any} */ one) => html`<code dir="ltr">${hex(one.statement.keyId).slice(0, 16)}…</code>` },
];
const ROWS = () => [
  { name: "result", title: t("result"), value: (/** @type {any} */ one) => one.name, show: (/** @type {any} */ one) => plain(one.name) },
  { name: "at", title: t("as of"), value: (/** @type {any} */ one) => one.as_of_us, show: (/** @type {any} */ one) => plain(moment(one.as_of_us)) },
  { name: "id", title: t("row (SHA-256)"), value: (/** @type {any} */ one) => one.id, show: (/** @type {any} */ one) => html`<code dir="ltr" title=${one.id}>${one.id.slice(0, 24)}…</code>` },
  { name: "inputs", title: t("inputs"), number: true, value: (/** @type {any} */ one) => one.rows.length + one.contents.length + one.batches.length },
];
const SAMPLES = () => [
  { name: "time", title: t("time"), value: (/** @type {any} */ one) => one.at, show: (/** @type {any} */ one) => plain(moment(one.at)) },
  { name: "value", title: t("value"), number: true, value: (/** @type {any} */ one) => one.value, show: (/** @type {any} */ one) => plain(fine(one.value)) },
  { name: "quality", title: t("quality"), number: true, value: (/** @type {any} */ one) => one.quality, show: (/** @type {any} */ one) => plain(`0x${one.quality.toString(16).padStart(8, "0")}`) },
];

/** What the file holds, whether or not it was proven. @param {{ report: any }} properties */
function Contents({ report }) {
  const { window, samples, target, head } = report;
  const rows = samples ? Array.from({ length: Math.min(SHOWN, samples.times.length) }, (_, at) => ({ key: at, at: Number(samples.times[at]), value: samples.values[at], quality: samples.quality[at] })) : [];
  const fact = (/** @type {string} */ label, /** @type {any} */ value) => html`<div><dt>${label}</dt><dd><${Plain}>${value}<//></dd></div>`;
  return html`<dl class="facts">${window && html`${fact(t("gateway"), window.gateway)}${fact(t("tag"), window.tag)}${fact(t("from"), moment(Number(window.from)))}${fact(t("to"), moment(Number(window.to)))}`}
      ${target && fact(t("row to prove"), html`<code>${hex(target)}</code>`)}${head && html`${fact(t("log"), head.origin)}${fact(t("size of the log"), whole(head.size))}${fact(t("root"), html`<code>${hex(head.root)}</code>`)}`}${report.logKey && fact(t("key of the log"), html`<code>${report.logKey}</code>`)}</dl>
    ${report.rows.length > 0 && html`<${Table} name="rows" title=${t("Rows in the file")} columns=${ROWS()} rows=${report.rows} id=${(/** @type {any} */ one) => one.id} height=${260} />`}
    ${report.batches.length > 0 && !report.batches.some((/** @type {any} */ one) => one.statement.error) && html`<${Table} name="batches" title=${t("Signed batches in the file")} columns=${BATCHES()} rows=${report.batches} id=${(/** @type {any} */ one) => hex(one.statement.entry)} height=${260} />`}
    ${samples && html`<${Table} name="samples" title=${t("Samples in the file")} columns=${SAMPLES()} rows=${rows} id=${(/** @type {any} */ one) => one.key} height=${260} />`}`;
}

function Limits() {
  return html`<details><summary>${t("What is checked here, and what is not")}</summary><ul>
    <li>${t("Checked: the signature of the log under its checkpoint; the signature of every batch by a key of the file; the way of every batch and row through the Merkle tree to the checkpoint, and the receipt for it; that every input a row names is in the file and is exactly what it names; of a bundle of samples, that the signed batches give each sample to the bit.")}</li>
    <li>${t("Not checked: that a result follows from its inputs; that takes the calculation itself, which is repeated by")} <code dir="ltr">qenergyz verify --recompute FILE</code>.</li>
    <li>${t("Not checked: columns of other tags in the same batches, and that tag tables are written in their one form; the command does both.")}</li>
    <li>${t("Not shown by any file: that the key of the log is the right one (compare it with one you got elsewhere), which key belongs to which gateway (the hub says so), and that no later batch adds to it.")}</li></ul></details>`;
}

export function Page() {
  const { evidence, tag, from_us, to_us } = place.value.query;
  const [file, take] = useState(/** @type {{ name: string, data: Uint8Array }|null} */ (null));
  const [trusted, trust] = useState("");
  const [state, tell] = useState(/** @type {{ steps: any[], report: any, busy: boolean, error: any }} */ ({ steps: [], report: null, busy: false, error: null }));
  const turnOf = useRef(0);
  useEffect(() => {
    const rest = setTimeout(() => (window.requestIdleCallback ?? ((work) => work()))(() => { checker().catch(() => {}); }), REST_MS);
    return () => clearTimeout(rest);
  }, []);
  const check = async (/** @type {{ name: string, data: Uint8Array }} */ given, /** @type {string} */ key) => {
    const mine = ++turnOf.current;
    const still = (/** @type {any} */ next) => { if (turnOf.current === mine) tell(next); };
    take(given);
    still({ steps: [], report: null, busy: true, error: null });
    try {
      if (!crypto.subtle) throw new Error(t("The browser checks signatures only on pages that came by HTTPS or from this machine."));
      const { verify } = await checker();
      const report = await verify(given.data, key.trim() || null, (steps) => still({ steps, report: null, busy: true, error: null }));
      still({ steps: report.steps, report, busy: false, error: null });
    } catch (error) { still({ steps: [], report: null, busy: false, error }); }
  };
  const fetched = async (/** @type {string} */ path, /** @type {string} */ name) => {
    tell({ steps: [], report: null, busy: true, error: null });
    await getBytes(path).then((data) => check({ name, data }, trusted), (error) => tell({ steps: [], report: null, busy: false, error }));
  };
  useEffect(() => {
    if (evidence) fetched(`/v1/evidence/${encodeURIComponent(evidence)}/bundle`, `${evidence.slice(0, 16)}.qzb`);
    else if (tag && from_us && to_us) fetched(`/v1/bundles?${new URLSearchParams({ tag, from_us, to_us })}`, `${tag}.qzb`);
  }, [evidence, tag, from_us, to_us]);
  const choose = async (/** @type {FileList|null|undefined} */ files) => {
    const one = files?.[0];
    if (one) check({ name: one.name, data: new Uint8Array(await one.arrayBuffer()) }, trusted);
  };
  const dropped = (/** @type {DragEvent} */ event) => { event.preventDefault(); choose(event.dataTransfer?.files); };
  const again = (/** @type {Event} */ event) => { event.preventDefault(); if (file) check(file, trusted); };
  return html`<h1>${t("Verify")}</h1><p>${t("A proof (.qzb) is checked in this browser, step by step. Nothing of it leaves this machine, and no network is needed.")}</p>
    <div class="drop" onDragOver=${(/** @type {Event} */ event) => event.preventDefault()} onDrop=${dropped}>
      <${Field} label=${t("Proof (.qzb): choose a file, or drop it here")}><input type="file" accept=".qzb" onChange=${(/** @type {any} */ event) => { choose(event.target.files); event.target.value = ""; }} /><//>
      <form onSubmit=${again}><${Field} label=${t("Key of the log that you expect (optional)")} hint=${t("Without it the key in the file is used.")}><input type="text" dir="ltr" autocomplete="off" spellcheck=${false} value=${trusted} onInput=${(/** @type {any} */ event) => trust(event.target.value)} /><//>
      <p class="acts"><button type="submit" class="act" disabled=${!file || state.busy}>${t("Check again")}</button>${file && html`<button type="button" class="act" onClick=${() => save(new Blob([/** @type {any} */ (file.data)]), file.name)}>${t("Download the proof")}</button>`}
        ${(evidence || tag) && html`<button type="button" class="quiet" onClick=${() => turn({ evidence: null, tag: null, from_us: null, to_us: null })}>${t("Another proof")}</button>`}</p></form></div>
    <${Limits} /><${Trouble} error=${state.error} />
    ${state.report && file && html`<${Verdict} report=${state.report} name=${file.name} />`}
    ${state.busy && !state.steps.length && html`<p class="note" role="status">${t("Reading the proof …")}</p>`}
    ${(state.busy || state.steps.length > 0) && html`<${Steps} steps=${state.steps} busy=${state.busy} />`}
    ${state.report && html`<${Contents} report=${state.report} />`}
    ${may("read:evidence") && html`<${Seen} title=${t("Log")}><${Later} load=${log} pick=${(/** @type {string} */ id) => go(onward("/verify", { evidence: id }))} /><//>`}`;
}
