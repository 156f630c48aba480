"""One day of the people who use it, in both languages and themes and on three widths: sign in with a one-time code, let a gateway in, watch
its values, acknowledge an alarm, follow VaR down to a signed batch, and check the proof of it.

Everything is found by what it is and not by what it says, so that the same story runs in Arabic.
"""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from cloud.identity import totp
from cloud.identity.roles import Role
from tests.cloud.conftest import TestHub
from tests.cloud.gateway import Gateway
from tests.cloud.identity.people import PASSWORD, Browser, add_person
from tests.cloud.web.browser import Site, Tab

LOOKS = [("en", "light", 1440), ("ar", "dark", 360), ("en", "dark", 768), ("ar", "light", 1440)]


def with_code(site: Site, name: str, role: Role) -> bytes:
    """A person with a second factor; the key of their one-time codes."""

    async def make(hub: TestHub) -> bytes:
        await add_person(hub, name, role)
        browser = Browser(hub.client)
        await browser.sign_in(name)
        key, _ = await browser.set_up_totp(int(time.time()))
        return key

    return site.run(make)


def sign_in(tab: Tab, name: str, key: bytes) -> None:
    tab.page.goto(tab.site.url)
    tab.page.locator("input[name=name]").fill(name)
    tab.page.locator("input[name=password]").fill(PASSWORD)
    tab.page.locator("form button[type=submit]").click()
    tab.page.locator("input[name=code]").fill(totp.code(key, int(time.time()) + 30))
    tab.page.locator("form button[type=submit]").click()
    expect(tab.page.locator("header.bar")).to_be_visible()


def unwell(site: Site) -> None:
    """The health alarm of well A sounds."""
    found = {(one["asset"], one["alarm"]): one["state"] for one in site.get("/v1/alarms")["alarms"]}
    if found.get(("A", "health")) == "unacknowledged":
        return
    site.run(lambda hub: raised(hub, site.token))
    site.until(
        lambda: any(one["state"] == "unacknowledged" and one["asset"] == "A" for one in site.get("/v1/alarms")["alarms"]), "the alarm of A"
    )


async def raised(hub: TestHub, token: dict[str, str]) -> None:
    """Shelved and taken out again, an alarm whose condition holds sounds anew; at first the condition has to come."""
    until_us = int(time.time() * 1e6) + 60_000_000
    body = {"reason": "test", "until_us": until_us}
    if (await hub.client.post("/v1/alarms/A/health/shelve", headers=token, json=body)).status_code == 200:
        await hub.client.post("/v1/alarms/A/health/unshelve", headers=token)


@pytest.fixture(scope="module")
def failing(site: Site) -> Site:
    """Well A has drifted far enough."""
    for step in range(4):
        site.send(6, offset=8.0 * (step + 1))
    site.until(lambda: any(one["asset"] == "A" for one in site.get("/v1/alarms")["alarms"]), "an alarm of well A")
    return site


@pytest.mark.parametrize(("language", "theme", "width"), LOOKS, ids=str)
def test_a_day_with_it(failing: Site, tab: Tab, language: str, theme: str, width: int, tmp_path: Path) -> None:
    site, name = failing, f"{language}-{theme}"
    tab.page.set_viewport_size({"width": width, "height": 900})
    tab.look(language, theme)
    key = with_code(site, f"eva-{name}", Role.FIELD_ENGINEER)
    sign_in(tab, f"eva-{name}", key)
    gateway = _enrol(site, tab, f"rig-{name}")
    _watch(site, tab, gateway)
    tab.context.clear_cookies(name="qz_session")
    tab.sign_in("operator")
    _acknowledge(site, tab)
    tab.context.clear_cookies(name="qz_session")
    tab.sign_in("trader")
    proof = _follow(site, tab, tmp_path)
    tab.context.clear_cookies(name="qz_session")
    tab.sign_in("auditor")
    _verify(tab, proof)
    tab.faults = [fault for fault in tab.faults if "401" not in fault]  # nobody was signed in at first


def _enrol(site: Site, tab: Tab, name: str) -> Gateway:
    tab.open("/enrol")
    tab.page.locator("input[name=gateway]").fill(name)
    tab.page.locator("form button[type=submit]").click()
    expect(tab.page.locator(".paste pre").last).to_be_visible()
    found = re.search(r"printf '%s' '([^']+)'", " ".join(tab.page.locator(".paste pre").all_inner_texts()))
    assert found
    voucher = found[1]

    async def introduce(hub: TestHub) -> Gateway:
        gateway = Gateway(hub.client, name)
        assert (await gateway.enrol(voucher)).status_code == 201
        assert (await gateway.put_table()).status_code == 201
        return gateway

    gateway = site.run(introduce)
    shown = tab.page.locator(".fingerprint")
    expect(shown).to_be_visible()
    assert shown.inner_text().replace(" ", "") == gateway.signer.key_id.hex()[:32]
    tab.fits()
    tab.page.locator("main .acts button").first.click()
    site.run(_sending(gateway))
    expect(tab.page.locator("strong.big")).to_be_visible()
    return gateway


def _sending(gateway: Gateway) -> Callable[[TestHub], object]:
    async def send(hub: TestHub) -> None:
        gateway.client = hub.client
        await gateway.send(gateway.seal())

    return send


def _watch(site: Site, tab: Tab, gateway: Gateway) -> None:
    """The newest value on the page is the hub's, and the next one comes by itself."""
    tab.open(f"/fleet/{gateway.name}")
    tag = next(one for one in site.get("/v1/tags") if one["gateway"] == gateway.name)
    row = tab.page.locator("tbody tr.pick", has_text=tag["name"].rpartition("/")[2]).first
    for _ in range(2):
        value = site.get("/v1/latest")[str(tag["id"])][1]
        expect(row).to_contain_text(f"{value:g}")
        site.run(_sending(gateway))
    tab.fits()


def _acknowledge(site: Site, tab: Tab) -> None:
    unwell(site)
    tab.open("/alarms")
    tab.page.locator("tbody tr.pick button.link", has_text=re.compile("^A$")).first.click()
    tab.page.keyboard.press("a")
    site.until(
        lambda: all(
            one["state"] != "unacknowledged" for one in site.get("/v1/alarms")["alarms"] if one["asset"] == "A" and one["alarm"] == "health"
        ),
        "the acknowledgement",
    )
    tab.fits()


def _follow(site: Site, tab: Tab, folder: Path) -> Path:
    """From the line of the well to its signed batches in four clicks; then the proof, as a file."""
    tab.open("/risk")
    line = tab.page.locator('main a[href*="line=A"]').first
    line.click()
    tab.page.locator('main a[href*="asset=A"]').last.click()
    tab.page.locator('main a[href*="tag=rig1"]').first.click()
    tab.page.locator('main a.act[href*="proof="]').click()
    expect(tab.page.locator("td.hash").first).to_be_visible()
    tab.fits()
    entries = set(re.findall(r"\b[0-9a-f]{64}\b", tab.page.locator("main").inner_text()))
    risk = re.search(r"proof=([0-9a-f]{64})", tab.page.url)
    assert risk
    assert risk[1] in entries
    with tab.page.expect_download() as waiting:
        tab.page.locator("main button.act").first.click()
    path = folder / "var.qzb"
    waiting.value.save_as(path)
    assert site.get(f"/v1/evidence/{risk[1]}")["kind"] == "risk"
    return path


def _verify(tab: Tab, proof: Path) -> None:
    tab.open("/verify")
    tab.page.locator("input[type=file]").set_input_files(proof)
    steps = tab.page.locator(".passed")
    expect(steps.first).to_be_visible(timeout=30_000)
    expect(tab.page.locator(".failed")).to_have_count(0)
    tab.fits()
