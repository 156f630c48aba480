// What a page shows when the hub does not know who is asking.
// @ts-check
import { html } from "./vendor/core.mjs";
import { keepToken } from "./api.mjs";

export function TokenForm() {
  const submit = (/** @type {Event & { target: any }} */ event) => {
    event.preventDefault();
    keepToken(event.target.elements.token.value.trim());
    location.reload();
  };
  return html`<form onSubmit=${submit}><p>This hub asks for a read token. Make one with <code>qenergyz hub token --name page --scope read</code>.</p>
    <label>Token <input name="token" type="password" autocomplete="off" required /></label> <input type="submit" value="Open" /></form>`;
}
