// One's own account: second factor, password, sessions, how pages look.
// @ts-check
import { html } from "../vendor/core.mjs";
import { session } from "../hub.mjs";
import { Plain, t } from "../words.mjs";

export function Page() {
  return html`<h1>${t("My account")}</h1><dl class="facts"><div><dt>${t("Name")}</dt><dd><${Plain}>${session.value?.name}<//></dd></div><div><dt>${t("Role")}</dt><dd>${t(session.value?.role ?? "token")}</dd></div></dl>`;
}
