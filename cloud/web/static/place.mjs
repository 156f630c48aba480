// Where the reader is: path and query are the whole state of a page, so that an address can be kept, shared and gone back to; and which page
// an address names: a module with `Page({ parts })`, parts being what follows its path.
// Time range, site and selection stand in the query; what is at its default does not.
// @ts-check
import { computed, html, signal } from "./vendor/core.mjs";

const read = () => ({ path: location.pathname.replace(/\/+$/, "") || "/", query: Object.fromEntries(new URLSearchParams(location.search)) });
export const place = signal(read());
addEventListener("popstate", () => { place.value = read(); });

/** Kept from page to page. */
const COMMON = ["range", "from", "to", "site"];

/** @param {string} path @param {Record<string, string|number|null|undefined>} query */
export function address(path, query = {}) {
  const kept = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = new URLSearchParams(kept.map(([name, value]) => [name, String(value)])).toString();
  return text ? `${path}?${text}` : path;
}

/** Another page, with the range and site that hold here. @param {string} path @param {Record<string, any>} query */
export function onward(path, query = {}) {
  const common = Object.fromEntries(COMMON.filter((name) => name in place.value.query).map((name) => [name, place.value.query[name]]));
  return address(path, { ...common, ...query });
}

/** @param {string} to @param {boolean} quietly without a step to go back to */
export function go(to, quietly = false) {
  if (to === location.pathname + location.search) return;
  history[quietly ? "replaceState" : "pushState"](null, "", to);
  place.value = read();
}

/** Change parts of the query of this page; null takes one away. @param {Record<string, any>} changes @param {boolean} quietly */
export function turn(changes, quietly = false) {
  go(address(place.value.path, { ...place.value.query, ...changes }), quietly);
}

/** A link that stays in the application, unless the reader asks for another tab. */
export function To({ path, query = {}, children, ...more }) {
  const to = onward(path, query);
  const follow = (/** @type {MouseEvent} */ event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    go(to);
  };
  return html`<a href=${to} onClick=${follow} ...${more}>${children}</a>`;
}

export const PRESETS = /** @type {const} */ ({ "15m": 900, "1h": 3_600, "6h": 21_600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000 });
export const DEFAULT_RANGE = "15m";

/** The range of time: relative to now and moving with it, or fixed. Microseconds; a span of nothing is taken for the default. */
export const range = computed(() => {
  const { range: name, from, to } = place.value.query;
  const fixed = [Date.parse(from ?? "") * 1e3, Date.parse(to ?? "") * 1e3];
  if (fixed[0] < fixed[1]) return { name: "custom", from_us: fixed[0], to_us: fixed[1], span_s: (fixed[1] - fixed[0]) / 1e6, live: false };
  const known = name && name in PRESETS ? /** @type {keyof typeof PRESETS} */ (name) : DEFAULT_RANGE;
  return { name: known, from_us: null, to_us: null, span_s: PRESETS[known], live: true };
});

/** The range as it is at this moment: [from, to) in microseconds. */
export function window_us() {
  const { from_us, to_us, span_s } = range.value;
  if (from_us !== null && to_us !== null) return [from_us, to_us];
  const now = Date.now() * 1e3;
  return [now - span_s * 1e6, now + 1];
}

export const site = computed(() => place.value.query.site ?? "");

/** @typedef {{ path: string, name: string, title: string, scope: string, key?: string, load: () => Promise<any>, detail?: () => Promise<any> }} PageEntry detail: the page of one thing, whose name follows the path */

/** In the order of the navigation; without a title it is reached from elsewhere. @type {PageEntry[]} */
export const PAGES = [
  { path: "/fleet", name: "fleet", title: "Fleet", scope: "read:field", key: "f", load: () => import("./pages/fleet.mjs"), detail: () => import("./pages/gateway.mjs") },
  { path: "/enrol", name: "enrol", title: "", scope: "write:gateways", load: () => import("./pages/enrol.mjs") },
  { path: "/sites", name: "sites", title: "Sites", scope: "read:assets", key: "s", load: () => import("./pages/sites.mjs") },
  { path: "/assets", name: "assets", title: "Assets", scope: "read:assets", key: "a", load: () => import("./pages/assets.mjs"), detail: () => import("./pages/asset.mjs") },
  { path: "/alarms", name: "alarms", title: "Alarms", scope: "read:assets", key: "l", load: () => import("./pages/alarms.mjs") },
  { path: "/supply", name: "supply", title: "Supply", scope: "read:risk", key: "u", load: () => import("./pages/supply.mjs") },
  { path: "/desk", name: "desk", title: "Desk", scope: "read:deals", key: "d", load: () => import("./pages/desk.mjs") },
  { path: "/risk", name: "risk", title: "Risk", scope: "read:risk", key: "r", load: () => import("./pages/risk.mjs") },
  { path: "/outages", name: "outages", title: "Outages", scope: "read:compliance", key: "o", load: () => import("./pages/outages.mjs"), detail: () => import("./pages/outage.mjs") },
  { path: "/compliance", name: "compliance", title: "Compliance", scope: "read:compliance", key: "c", load: () => import("./pages/compliance.mjs") },
  { path: "/esg", name: "esg", title: "Emissions", scope: "read:esg", key: "e", load: () => import("./pages/esg.mjs") },
  { path: "/verify", name: "verify", title: "Verify", scope: "read:evidence", key: "v", load: () => import("./pages/verify.mjs") },
  { path: "/approvals", name: "approvals", title: "Approvals", scope: "approve", key: "p", load: () => import("./pages/approvals.mjs") },
  { path: "/admin", name: "admin", title: "Admin", scope: "read:people", key: "m", load: () => import("./pages/admin.mjs") },
  { path: "/account", name: "My account", title: "", scope: "read:field", load: () => import("./pages/account.mjs") },
];

const HOME = { path: "/", name: "Qenergyz", title: "", scope: "read:field", load: () => import("./pages/home.mjs") };

/** @param {string} path @returns {{ page: PageEntry, parts: string[] }|null} */
export function pageOf(path) {
  if (path === "/") return { page: HOME, parts: [] };
  const page = PAGES.find((one) => path === one.path || path.startsWith(`${one.path}/`));
  return page ? { page, parts: path.slice(page.path.length).split("/").filter(Boolean).map(decodeURIComponent) } : null;
}
