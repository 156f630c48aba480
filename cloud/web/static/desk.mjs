// The trader's page: what the book may lose, why, and which signed batches say so. Everything shown is read from the API.
// @ts-check
import { html, render, signal } from "./vendor/core.mjs";
import { get, hubNow, stream, takeToken } from "./api.mjs";
import { Details, Hedge, Risk } from "./desk/risk.mjs";
import { connected, held_us, latency, latest, model, now, place, positions, problem, risk, state, tags, take, tick, trouble } from "./desk/results.mjs";
import { Assets, Positions, Supply } from "./desk/supply.mjs";
import { Trail } from "./desk/trail.mjs";
import { fixed, lasting, moment } from "./desk/words.mjs";
import { TokenForm } from "./token.mjs";

const BOOKED_MS = 5_000; // deals move seldom, and netting them is work for the hub
const MODEL_MS = 30_000;

const CAUSE_MS = 5_000;
const cause = signal(""); // what the hub itself says is wrong, while figures are not coming

const TONES = { live: "muted", connecting: "muted", waiting: "muted", DELAYED: "delayed", OFFLINE: "offline" };
const SAYS = { OFFLINE: "no connection to the hub; trying again", DELAYED: "nothing new from the hub's reaction", waiting: "no figure yet", connecting: "", live: "" };

function Head() {
  const found = risk.value;
  return html`<header><h1>Qenergyz</h1><nav aria-label="Pages"><a href="desk.html" aria-current="page">Desk</a> <a href="/">Gateways and tags</a></nav>
    <span class="state ${TONES[state.value]}" role="status">${state.value}</span>
    <span class="muted says">${SAYS[state.value]}${cause.value && `: ${cause.value}`}</span>
    ${trouble.value && html`<span class="bad" role="alert">${trouble.value}</span>`}</header>
    <p class="stand muted">${found ? html`VaR of ${moment(found.as_of_us)} UTC, known to hold ${lasting(now.value / 1e3 - (held_us.value ?? 0) / 1e6)} ago;
      sensor to VaR <strong>${latency.value === null ? "not measured yet" : `${fixed(latency.value)} s`}</strong>;
      row <${Row} id=${found.id} />` : "Waiting for the first figure."}</p>`;
}

const Row = ({ id }) => html`<code title=${id}>${id.slice(0, 12)}</code>`;

const Page = () => html`<${Head} /><${Risk} /><${Trail} /><${Supply} /><${Assets} /><${Positions} /><${Hedge} /><${Details} />`;

/** @param {string} event @param {any} data */
function told(event, data) {
  if (event === "result") take(data);
  if (event !== "latest") return;
  for (const [id, value] of Object.entries(data)) latest.set(Number(id), value);
  if (place.value.asset) tick.value += 1;
}

/** @template T @param {() => Promise<T>} read @param {(found: T) => void} keep */
async function refreshed(read, keep) {
  try {
    keep(await read());
    trouble.value = "";
  } catch (error) {
    if (/** @type {any} */ (error).status === 401) throw error;
    trouble.value = /** @type {Error} */ (error).message;
  }
}

const readBooked = () => refreshed(() => get("/v1/positions"), (found) => { positions.value = found; });

/** A hub without a model answers 404; the page then knows of it what the results tell. */
const readModel = () => refreshed(() => Promise.all([get("/v1/tags"), get("/v1/assets").catch((error) => {
  if (error.status === 404) return null;
  throw error;
})]), ([found, assets]) => {
  tags.value = found;
  model.value = assets;
});

async function readCause() {
  if (state.value !== "DELAYED" && state.value !== "waiting") {
    cause.value = "";
    return;
  }
  const told = await fetch("/health").then((reply) => reply.json()).catch(() => null);
  const causes = Object.values(told?.components ?? {}).map((/** @type {any} */ one) => one.cause);
  cause.value = [problem.value, ...causes].filter(Boolean).join("; ");
}

/**
 * Over and over while the page is seen, and never more than a twentieth of the time.
 * @param {() => Promise<void>} read
 * @param {number} every_ms
 */
async function again(read, every_ms) {
  for (let took_ms = 0; ;) {
    await new Promise((resume) => setTimeout(resume, Math.max(every_ms, 20 * took_ms)));
    const start = performance.now();
    if (!document.hidden) await read().catch(() => location.reload());
    took_ms = performance.now() - start;
  }
}

async function main() {
  const root = /** @type {HTMLElement} */ (document.getElementById("app"));
  takeToken();
  try {
    await Promise.all([readModel(), readBooked(), refreshed(() => get("/v1/results"), (found) => found.forEach(take))]);
    now.value = hubNow();
  } catch {
    root.replaceChildren();
    render(html`<${TokenForm} />`, root);
    return;
  }
  root.replaceChildren();
  render(html`<${Page} />`, root);
  setInterval(() => { now.value = hubNow(); }, 1000);
  again(readBooked, BOOKED_MS);
  again(readModel, MODEL_MS);
  again(readCause, CAUSE_MS);
  readCause();
  stream("/v1/stream", told, (up) => { connected.value = up; }, new AbortController().signal);
}

main();
