// The hub's API as this page uses it. The token comes once in the address (#token=...), is kept for this tab and leaves the address bar.
// @ts-check

const KEY = "qenergyz-token";

export function takeToken() {
  const found = new URLSearchParams(location.hash.slice(1)).get("token");
  if (found) {
    sessionStorage.setItem(KEY, found);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return sessionStorage.getItem(KEY);
}

/** @param {string} token */
export function keepToken(token) {
  sessionStorage.setItem(KEY, token);
}

function headers() {
  return { authorization: `Bearer ${sessionStorage.getItem(KEY) ?? ""}` };
}

let ahead = 0; // of the hub's clock before this one's, in ms

/** The hub's time in ms since the epoch, as far as its answers tell it: to the second, which is what ages are shown in. */
export const hubNow = () => Date.now() + ahead;

/** @param {Response} reply */
function compareClocks(reply) {
  const told = Date.parse(reply.headers.get("date") ?? "");
  const found = told + 500 - Date.now();
  if (Number.isFinite(found)) ahead = Math.abs(found) > 2000 ? found : 0;
}

/** @param {string} path */
async function ask(path) {
  const reply = await fetch(path, { headers: headers() });
  compareClocks(reply);
  if (reply.ok) return reply;
  const problem = await reply.json().catch(() => ({}));
  throw Object.assign(new Error(problem.detail ?? problem.title ?? `the hub answered ${reply.status}`), { status: reply.status });
}

/** @param {string} path */
export async function get(path) {
  return (await ask(path)).json();
}

/**
 * A file that needs the token, handed to the browser to keep.
 * @param {string} path
 * @param {string} name
 */
export async function download(path, name) {
  const address = URL.createObjectURL(await (await ask(path)).blob());
  const link = Object.assign(document.createElement("a"), { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/**
 * Server-sent events through fetch, because EventSource cannot carry the token in a header. Reconnects with backoff until `signal` aborts.
 * @param {string} path
 * @param {(event: string, data: any) => void} take
 * @param {(connected: boolean) => void} state
 * @param {AbortSignal} signal
 */
export async function stream(path, take, state, signal) {
  for (let wait = 500; !signal.aborted; wait = Math.min(wait * 2, 15000)) {
    try {
      const reply = await fetch(path, { headers: headers(), signal });
      if (!reply.ok || !reply.body) throw new Error(`stream: ${reply.status}`);
      state(true);
      wait = 500;
      await events(reply.body.pipeThrough(new TextDecoderStream()).getReader(), take);
    } catch {
      if (signal.aborted) return;
    }
    state(false);
    await new Promise((resume) => setTimeout(resume, wait));
  }
}

/**
 * @param {ReadableStreamDefaultReader<string>} reader
 * @param {(event: string, data: any) => void} take
 */
async function events(reader, take) {
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const lines = block.split("\n");
      const event = lines.find((line) => line.startsWith("event:"))?.slice(6).trim() ?? "message";
      const data = lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5)).join("\n");
      if (data) take(event, JSON.parse(data));
    }
  }
}
