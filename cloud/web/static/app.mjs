// The page: gateways with backlog and last receipt, tags with live values, a chart of the chosen tag.
// @ts-check
import { computed, html, render, signal, useEffect, useRef } from "./vendor/core.mjs";
import { get, stream, takeToken } from "./api.mjs";
import { draw } from "./chart.mjs";
import { TokenForm } from "./token.mjs";

const CHART_S = 900;
const MOST_ROWS = 500;
const dark = matchMedia("(prefers-color-scheme: dark)");
const gateways = signal(/** @type {any[]} */ ([]));
const tags = signal(/** @type {any[]} */ ([]));
const latest = signal(/** @type {Record<string, [number, number|null, number]>} */ ({}));
const connected = signal(/** @type {boolean|null} */ (null)); // null: not yet tried
const trouble = signal("");
const chosen = signal(Number(new URLSearchParams(location.search).get("tag")) || 0);
const filter = signal(new URLSearchParams(location.search).get("filter") ?? "");
const now = signal(Date.now());
const shown = computed(() => tags.value.filter((tag) => tag.name.includes(filter.value)));

function age(/** @type {number|null} */ us) {
  if (!us) return "never";
  const seconds = Math.max(0, now.value / 1e3 - us / 1e6);
  if (seconds < 120) return `${seconds.toFixed(0)} s ago`;
  return seconds < 7200 ? `${(seconds / 60).toFixed(0)} min ago` : `${(seconds / 3600).toFixed(0)} h ago`;
}

const plain = new Intl.NumberFormat("en", { maximumSignificantDigits: 7 });

function severity(/** @type {number} */ quality) {
  return ["good", "uncertain", "bad", "bad"][quality >>> 30];
}

function choose(/** @type {number} */ id) {
  chosen.value = id;
  const query = new URLSearchParams(location.search);
  query.set("tag", String(id));
  history.replaceState(null, "", `?${query}`);
}

function narrow(/** @type {string} */ text) {
  filter.value = text;
  const query = new URLSearchParams(location.search);
  query.set("filter", text);
  history.replaceState(null, "", `?${query}`);
}

function Gateways() {
  return html`<div class="scroll"><table>
    <thead><tr><th>gateway</th><th>last seen</th><th>last receipt</th><th class="number wide">batches</th><th class="number wide">samples</th>
      <th class="number wide">bytes per sample</th><th class="number">waiting there</th></tr></thead>
    <tbody>${gateways.value.map((row) => html`<tr key=${row.name}>
      <td>${row.name}</td><td>${age(row.last_seen_us)}</td><td>${age(row.receipt_us)}</td>
      <td class="number wide">${row.batches.toLocaleString("en")}</td><td class="number wide">${row.samples.toLocaleString("en")}</td>
      <td class="number wide">${row.samples ? (row.bytes / row.samples).toFixed(2) : "-"}</td>
      <td class="number">${row.backlog.toLocaleString("en")}</td></tr>`)}</tbody>
  </table></div>`;
}

function Row({ tag }) {
  const [time_us, value, quality] = latest.value[tag.id] ?? [0, null, 0x80320000];
  const level = time_us ? severity(quality) : "muted";
  return html`<tr class="pick" aria-selected=${chosen.value === tag.id} onClick=${() => choose(tag.id)}>
    <td><button type="button">${tag.name}</button></td>
    <td class="number ${level}">${value === null ? "no value" : plain.format(value)}</td><td>${tag.unit}</td>
    <td class=${level}>${time_us ? level : "waiting"}</td><td>${age(time_us)}</td><td class="muted wide">${tag.gateway}</td></tr>`;
}

function Tags() {
  return html`<div>
    <h2><label>Tags <input type="search" placeholder="filter by name" value=${filter.value} onInput=${(event) => narrow(event.target.value)} /></label></h2>
    <div class="tags scroll"><table>
      <thead><tr><th>tag</th><th class="number">value</th><th>unit</th><th>quality</th><th>time</th><th class="wide">gateway</th></tr></thead>
      <tbody>${shown.value.slice(0, MOST_ROWS).map((tag) => html`<${Row} key=${tag.id} tag=${tag} />`)}</tbody>
    </table></div>
    ${shown.value.length > MOST_ROWS && html`<p class="note">${MOST_ROWS} of ${shown.value.length.toLocaleString("en")} tags; filter by name to see others.</p>`}
  </div>`;
}

function Chart() {
  const box = useRef(null);
  const tag = tags.value.find((row) => row.id === chosen.value);
  useEffect(() => {
    if (!tag || !box.current) return;
    let chart = null;
    let theme = dark.matches;
    let gone = false;
    const refresh = async () => {
      const newest = latest.value[tag.id]?.[0] || Date.now() * 1e3;
      const query = `from_us=${newest - CHART_S * 1e6}&to_us=${newest + 1}&points=800`;
      const samples = await get(`/v1/tags/${tag.id}/samples?${query}`).catch((error) => { trouble.value = error.message; });
      if (!samples || gone || !box.current) return;
      if (chart && theme === dark.matches) {
        chart.show(samples);
        return;
      }
      chart?.end();
      theme = dark.matches;
      chart = draw(box.current, tag, samples);
    };
    refresh();
    const timer = setInterval(refresh, 3000);
    return () => { gone = true; clearInterval(timer); chart?.end(); };
  }, [tag?.id]);
  return html`<div><h2>${tag ? tag.name : "Chart"} <span class="muted">newest ${CHART_S / 60} minutes, UTC</span></h2>
    <div class="chart" ref=${box}>${tag ? "" : html`<p class="note">Choose a tag to see its chart.</p>`}</div></div>`;
}

function Page() {
  return html`<header><h1>Qenergyz</h1><nav aria-label="Pages"><a href="desk.html">Desk</a> <a href="/" aria-current="page">Gateways and tags</a></nav><span class=${connected.value === false ? "uncertain" : "muted"} role="status">
      ${connected.value === null ? "connecting" : connected.value ? "live" : "not connected; trying again"}</span>${trouble.value && html`<span class="bad" role="alert">${trouble.value}</span>`}</header>
    <h2>Gateways</h2><${Gateways} />
    <div class="split"><${Tags} /><${Chart} /></div>`;
}

function take(/** @type {string} */ event, /** @type {any} */ data) {
  if (event !== "latest") return;
  latest.value = { ...latest.value, ...data };
  const first = tags.value.find((tag) => latest.value[tag.id] && severity(latest.value[tag.id][2]) === "good");
  if (!chosen.value && first) choose(first.id);
}

async function refresh() {
  try {
    [gateways.value, tags.value] = await Promise.all([get("/v1/gateways"), get("/v1/tags")]);
    trouble.value = "";
  } catch (error) {
    trouble.value = error.message;
    if (error.status === 401) throw error;
  }
}

async function main() {
  const root = document.getElementById("app");
  root.replaceChildren();
  takeToken();
  try {
    await refresh();
    take("latest", await get("/v1/latest"));
  } catch {
    render(html`<${TokenForm} />`, root);
    return;
  }
  render(html`<${Page} />`, root);
  setInterval(() => { now.value = Date.now(); }, 1000);
  setInterval(() => refresh().catch(() => location.reload()), 2000);
  stream("/v1/stream", take, (up) => { connected.value = up; }, new AbortController().signal);
}

main();
