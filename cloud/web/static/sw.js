// The offline shell: the files of the pages, kept whole and by version. While the hub can be reached nothing comes from here; when it cannot,
// a page is loaded from one version only, never from two. The API is never answered from here.
// The hub writes the two constants when it serves this file, so that each version of the pages has a worker of its own.
// @ts-nocheck
const VERSION = "";
const FILES = [];

const SHELL = `shell ${VERSION}`;
const kept = new Set(); // ids of pages that were loaded from here

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(SHELL).then((cache) => cache.addAll(FILES.map((path) => new Request(path, { cache: "no-cache" })))));
});

self.addEventListener("activate", (event) => {
  const old = (name) => name.startsWith("shell ") && name !== SHELL;
  event.waitUntil(caches.keys().then((names) => Promise.all(names.filter(old).map((name) => caches.delete(name)))).then(() => self.clients.claim()));
});

// The page says when the reader agreed to the new version.
self.addEventListener("message", (event) => { if (event.data === "take over") self.skipWaiting(); });

const stored = async (path) => (await (await caches.open(SHELL)).match(path, { ignoreSearch: true })) ?? Response.error();

async function document_(event) {
  try {
    return await fetch(event.request);
  } catch {
    kept.add(event.resultingClientId);
    return stored("/");
  }
}

async function file(event, path) {
  if (kept.has(event.clientId)) return stored(path);
  try {
    return await fetch(event.request);
  } catch {
    return stored(path);
  }
}

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== self.location.origin) return;
  if (event.request.mode === "navigate") event.respondWith(document_(event));
  else if (FILES.includes(url.pathname)) event.respondWith(file(event, url.pathname));
});
