// The page of the compliance officer: what the rules say of what the hub knows, the rules themselves, alerts of conduct, filings, and evidence
// for controls. One part is shown at a time; which, and what is open in it, stands in the address.
// @ts-check
import { html } from "../vendor/core.mjs";
import { may } from "../hub.mjs";
import { To, place } from "../place.mjs";
import { Later } from "../ui.mjs";
import { t } from "../words.mjs";

// said: Findings, Rules, Conduct, Filings, Controls
const PARTS = [
  { name: "findings", title: "Findings", scope: "read:compliance", load: () => import("../conduct/findings.mjs").then((made) => made.Part) },
  { name: "rules", title: "Rules", scope: "read:compliance", load: () => import("../conduct/rules.mjs").then((made) => made.Part) },
  { name: "conduct", title: "Conduct", scope: "read:conduct", load: () => import("../conduct/alerts.mjs").then((made) => made.Part) },
  { name: "filings", title: "Filings", scope: "read:compliance", load: () => import("../conduct/filings.mjs").then((made) => made.Part) },
  { name: "controls", title: "Controls", scope: "read:journal", load: () => import("../conduct/controls.mjs").then((made) => made.Part) },
];

export function Page() {
  const parts = PARTS.filter((part) => may(part.scope));
  const part = parts.find((one) => one.name === place.value.query.tab) ?? parts[0];
  return html`<h1>${t("Compliance")} <small class="muted">${t("no legal advice: every outcome shows what it rests on")}</small></h1>
    <nav class="tabs" aria-label=${t("Parts of the page")}>${parts.map((one) => html`<${To} key=${one.name} path="/compliance" query=${{ tab: one === parts[0] ? null : one.name }} aria-current=${one === part ? "page" : undefined}>${t(one.title)}<//>`)}</nav>
    <${Later} key=${part.name} load=${part.load} />`;
}
