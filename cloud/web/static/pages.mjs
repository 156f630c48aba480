// Which page an address names, and who may open it. A page is a module with `Page({ parts })`; parts are what follows its path.
// @ts-check

/** @typedef {{ path: string, name: string, title: string, scope: string, key?: string, load: () => Promise<any> }} PageEntry */

/** In the order of the navigation; without a title it is reached from elsewhere. @type {PageEntry[]} */
export const PAGES = [
  { path: "/fleet", name: "fleet", title: "Fleet", scope: "read:field", key: "f", load: () => import("./pages/fleet.mjs") },
  { path: "/enrol", name: "enrol", title: "", scope: "write:gateways", load: () => import("./pages/enrol.mjs") },
  { path: "/sites", name: "sites", title: "Sites", scope: "read:assets", key: "s", load: () => import("./pages/sites.mjs") },
  { path: "/assets", name: "assets", title: "Assets", scope: "read:assets", key: "a", load: () => import("./pages/assets.mjs") },
  { path: "/alarms", name: "alarms", title: "Alarms", scope: "read:assets", key: "l", load: () => import("./pages/alarms.mjs") },
  { path: "/supply", name: "supply", title: "Supply", scope: "read:risk", key: "u", load: () => import("./pages/supply.mjs") },
  { path: "/desk", name: "desk", title: "Desk", scope: "read:deals", key: "d", load: () => import("./pages/desk.mjs") },
  { path: "/risk", name: "risk", title: "Risk", scope: "read:risk", key: "r", load: () => import("./pages/risk.mjs") },
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
