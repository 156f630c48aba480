// The page of whoever decides: what waits for a second person.
// @ts-check
import { html } from "../vendor/core.mjs";
import { Approvals } from "../people/approvals.mjs";
import { t } from "../words.mjs";

export function Page() {
  return html`<h1>${t("Approvals")}</h1><${Approvals} />`;
}
