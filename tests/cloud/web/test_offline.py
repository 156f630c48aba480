"""Without the hub: the shell stands, says OFFLINE and since when, and forgets with the session; versions are never mixed."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from cloud.web import offline
from cloud.web.pages import STATIC
from tests.cloud.web.browser import Site, Tab

KEPT = "caches.open('state').then((state) => state.match('/last-state')).then((found) => !!found)"


def until(tab: Tab, holds: str) -> None:
    """Playwright's own waiting evaluates text in the page, which the pages forbid."""
    for _ in range(300):
        if tab.page.evaluate(holds):
            return
        tab.page.wait_for_timeout(100)
    raise AssertionError(f"waited 30 s for {holds}")


def ready(tab: Tab) -> None:
    """The shell is kept, and so is the state."""
    until(tab, "navigator.serviceWorker.controller !== null")
    until(tab, KEPT)


def test_a_page_that_is_loaded_without_the_hub_shows_the_last_state_and_its_time(tab: Tab) -> None:
    tab.sign_in("operator")
    tab.open("/fleet")
    expect(tab.page.get_by_text("rig1").first).to_be_visible()
    ready(tab)
    tab.context.set_offline(True)
    tab.page.reload()
    warning = tab.page.get_by_role("alert")
    expect(warning).to_contain_text("OFFLINE")
    expect(warning).to_contain_text(re.compile(r"\d\d:\d\d:\d\d"))
    expect(tab.page.get_by_text("rig1").first).to_be_visible()
    tab.context.set_offline(False)
    expect(warning).to_have_count(0, timeout=30_000)
    assert tab.page.evaluate("fetch('/v1/tags').then((reply) => reply.status)") == 200
    tab.faults.clear()  # requests without a network are errors to the browser


def test_signing_out_forgets_the_last_state(site: Site, tab: Tab) -> None:
    tab.sign_in("operator")
    tab.open("/fleet")
    ready(tab)
    tab.context.request.delete(f"{site.url}/v1/session")
    tab.page.evaluate("import('/hub.mjs').then((hub) => { hub.session.value = null; })")
    until(tab, f"{KEPT}.then((found) => !found)")
    tab.faults.clear()


def test_a_new_version_waits_until_the_reader_agrees(tab: Tab, monkeypatch: pytest.MonkeyPatch) -> None:
    tab.sign_in("operator")
    tab.open("/fleet")
    ready(tab)
    newer = offline.worker(STATIC).replace(b'const VERSION = "', b'const VERSION = "next')
    monkeypatch.setattr(offline, "worker", lambda _: newer)
    tab.page.evaluate("navigator.serviceWorker.getRegistration().then((one) => one.update())")
    expect(tab.page.get_by_text("A new version of these pages is there.")).to_be_visible()
    shells = "caches.keys().then((names) => names.filter((name) => name.startsWith('shell ')).length)"
    assert tab.page.evaluate(shells) == 2
    with tab.page.expect_navigation():
        tab.page.get_by_role("button", name="Reload").click()
    until(tab, f"{shells}.then((count) => count === 1)")
    tab.faults.clear()


def test_the_version_changes_with_any_file_and_the_worker_names_every_one(tmp_path: Path) -> None:
    (tmp_path / "sw.js").write_text('const VERSION = "";\nconst FILES = [];\n')
    (tmp_path / "a.mjs").write_text("1")
    first, paths = offline.shell(tmp_path)
    assert paths == ["/", "/a.mjs"]
    (tmp_path / "a.mjs").write_text("2")
    assert offline.shell(tmp_path)[0] != first
    text = offline.worker(tmp_path).decode()
    assert f'"{offline.shell(tmp_path)[0]}"' in text
    assert json.loads(text.partition("FILES = ")[2].rstrip(";\n")) == paths


@pytest.mark.parametrize("name", ["app.mjs", "app.css", "vendor/core.mjs", "i18n/ar.json", "offline.mjs"])
def test_the_shell_has_what_a_page_needs(name: str) -> None:
    assert f"/{name}" in offline.shell(STATIC)[1]
