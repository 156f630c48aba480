// The page of admins: people, approvals, API tokens, vouchers, settings of the tenant, the journal. One part is shown at a time.
// @ts-check
import { html } from "../vendor/core.mjs";
import { may } from "../hub.mjs";
import { To, place } from "../place.mjs";
import { Later } from "../ui.mjs";
import { t } from "../words.mjs";

// said: People, Approvals, API tokens, Open vouchers, Tenant, Journal
const PARTS = [
  { name: "people", title: "People", scope: "read:people", load: () => import("../people/people.mjs").then((made) => made.People) },
  { name: "approvals", title: "Approvals", scope: "read:people", load: () => import("../people/approvals.mjs").then((made) => made.Approvals) },
  { name: "tokens", title: "API tokens", scope: "read:people", load: () => import("../people/tokens.mjs").then((made) => made.Tokens) },
  { name: "vouchers", title: "Open vouchers", scope: "write:gateways", load: () => import("../people/tokens.mjs").then((made) => made.Vouchers) },
  { name: "tenant", title: "Tenant", scope: "read:people", load: () => import("../people/tenant.mjs").then((made) => made.Tenant) },
  { name: "journal", title: "Journal", scope: "read:journal", load: () => import("../proof/log.mjs").then((made) => made.Journal) },
];

export function Page() {
  const parts = PARTS.filter((part) => may(part.scope));
  const part = parts.find((one) => one.name === place.value.query.part) ?? parts[0];
  return html`<h1>${t("Admin")}</h1><nav class="tabs" aria-label=${t("Parts of the page")}>${parts.map((one) => html`<${To} key=${one.name} path="/admin" query=${{ part: one.name === parts[0].name ? null : one.name }} aria-current=${one === part ? "page" : undefined}>${t(one.title)}<//>`)}</nav>
    <${Later} key=${part.name} load=${part.load} />`;
}
