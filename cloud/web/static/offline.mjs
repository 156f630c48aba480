// Without the hub: the offline shell, the last state with its time, and the way to a new version of the pages. Fetched when it is needed.
// The last state is what the stream last said, for whoever was signed in; signing out forgets it.
// @ts-check
import { batch, effect } from "./vendor/core.mjs";
import { alarms, askSession, connected, gateways, heard_ms, latest, model, results, session, tags, tick } from "./hub.mjs";
import { toast } from "./ui.mjs";
import { t } from "./words.mjs";

const STATE = "state";
const PLACE = "/last-state";
const KEEP_MS = 10_000;

async function keep() {
  const who = session.value;
  if (!who || !connected.value || !gateways.value) return;
  const state = {
    at_ms: heard_ms.value, session: { ...who, csrf: null }, gateways: gateways.value, tags: tags.value, model: model.value,
    results: results.value, alarms: alarms.value, latest: [...latest],
  };
  await (await caches.open(STATE)).put(PLACE, new Response(JSON.stringify(state), { headers: { "content-type": "application/json" } }));
}

/** Show the last state while the hub cannot be reached; until it can, then who is signed in is asked for again. */
export async function restore() {
  const found = await (await caches.open(STATE)).match(PLACE).catch(() => undefined);
  if (!found || session.value) return;
  const state = await found.json();
  session.value = state.session;
  await new Promise((resume) => setTimeout(resume, 0)); // the stream begins to be followed, and forgets
  for (const [id, value] of state.latest) latest.set(id, value);
  batch(() => {
    gateways.value = state.gateways;
    tags.value = state.tags;
    model.value = state.model;
    results.value = state.results;
    alarms.value = state.alarms;
    tick.value += 1;
    connected.value = false;
    heard_ms.value = state.at_ms;
  });
}

/** A new version is there and waits until the reader agrees. @param {ServiceWorker} worker */
function offer(worker) {
  toast(t("A new version of these pages is there."), () => worker.postMessage("take over"), t("Reload"));
}

export async function begin() {
  if (!("serviceWorker" in navigator)) return;
  setInterval(() => { keep().catch(() => {}); }, KEEP_MS);
  effect(() => { if (session.value === null) caches.delete(STATE); });
  keep().catch(() => {});
  let by = navigator.serviceWorker.controller; // the first one takes over a page that needs no reload, the next ones do
  navigator.serviceWorker.addEventListener("controllerchange", () => { if (by) location.reload(); by = navigator.serviceWorker.controller; });
  const registration = await navigator.serviceWorker.register("/sw.js");
  if (registration.waiting && by) offer(registration.waiting);
  registration.addEventListener("updatefound", () => {
    const worker = registration.installing;
    worker?.addEventListener("statechange", () => { if (worker.state === "installed" && navigator.serviceWorker.controller) offer(worker); });
  });
  effect(() => { if (connected.value) registration.update().catch(() => {}); });
}
