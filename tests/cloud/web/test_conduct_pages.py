"""The pages of outages, compliance and emissions in a real browser: two people publish a message, the officer sees what it was judged by and what
was filed, drafts a report, decides an alert; what is shown is what the API says."""

import hashlib
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Locator, expect

from cloud.postgres import Cluster
from tests.cloud.conftest import TestHub
from tests.cloud.disclosure.field import EVENT
from tests.cloud.web.axe import grave
from tests.cloud.web.browser import CHROMIUM, Site, Tab, served, tab_of

ORDERS = {
    "source": "desk",
    "sequence": 1,
    "columns": {
        "time_us": [1769904000000000, 1769904001000000, 1769904002000000, 1769904002000000],
        "order": ["O-1", "O-2", "O-1", "O-2"],
        "action": ["placed", "placed", "filled", "filled"],
        "side": ["buy", "sell", "buy", "sell"],
        "instrument": ["TTF-2026-03"] * 4,
        "account": ["north"] * 4,
        "owner": ["Example Energy"] * 4,
        "price": [30.5] * 4,
        "volume": [10] * 4,
    },
}
_numbers = itertools.count()


@pytest.fixture(scope="module")
def site(cluster: Cluster, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A hub of its own, as a well fails in it: the first one, whose outage waits as a draft; and orders that were traded with oneself."""
    if not CHROMIUM.exists():
        pytest.skip("Debian's chromium is not installed")
    name = f"conduct{next(_numbers)}"
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")  # type: ignore[arg-type]
    with served(cluster.url(name), tmp_path_factory.mktemp("conduct")) as made:
        made.open_desk()
        made.run(_orders)
        made.send(20)
        made.judged()
        for _ in range(2):  # it fails, and stays so
            made.send(4, 400.0)
            made.judged()
        made.until(lambda: [one for one in made.get("/v1/outages")["outages"] if one["state"] == "draft"], "the draft of an outage")
        yield made


@pytest.fixture
def tab(site: Site) -> Iterator[Tab]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, tab_of(playwright, site) as made:
        yield made
        assert made.faults == []


async def _orders(hub: TestHub) -> None:
    reply = await hub.client.post("/v1/orders/events", json=ORDERS, headers=await hub.token(scopes=("read", "write:deals")))
    assert reply.status_code == 201, reply.text


def outage(site: Site) -> dict[str, Any]:
    found: dict[str, Any] = site.get(f"/v1/outages/{EVENT}")
    return found


def become(tab: Tab, name: str) -> None:
    tab.context.clear_cookies(name="qz_session")
    tab.sign_in(name)


def region(tab: Tab, name: str) -> Locator:
    return tab.page.get_by_role("region", name=name, exact=True)


def press(tab: Tab, name: str) -> None:
    tab.page.get_by_role("button", name=name, exact=True).click()


def agree(tab: Tab) -> None:
    """On the page of approvals, to the one that waits."""
    tab.page.locator("main tbody tr", has_text="open").first.locator("button.link").click()
    tab.page.get_by_role("dialog").get_by_label("Reason").fill("read and checked")
    press(tab, "Agree")
    expect(tab.page.get_by_role("dialog")).to_have_count(0)


def test_an_outage_is_published_by_two_people_and_everything_about_it_can_be_seen(site: Site, tab: Tab) -> None:
    tab.sign_in("operator")
    tab.open("/outages")
    tab.page.get_by_role("button", name=EVENT, exact=True).click()
    press(tab, "Confirm or correct")
    tab.page.get_by_role("dialog").get_by_label("Remarks").fill("valve closed, seen on site")
    press(tab, "Confirm")
    press(tab, "Ask for publication")
    expect(region(tab, "What to do")).to_contain_text("Waits for a second person.")
    become(tab, "compliance-officer")
    tab.open("/approvals")
    agree(tab)
    site.until(lambda: outage(site)["state"] == "published", "the publication")
    _published(site, tab)
    _judged(site, tab)
    _filed(site, tab)
    tab.faults = [fault for fault in tab.faults if "401" not in fault]  # between two people nobody was signed in


def _published(site: Site, tab: Tab) -> None:
    tab.open(f"/outages/{EVENT}")
    expect(tab.page.locator("h1")).to_contain_text("published")
    with tab.page.expect_download() as kept:
        region(tab, "Files").get_by_role("button").first.click()
    data = Path(kept.value.path()).read_bytes()
    assert hashlib.sha256(data).hexdigest() == outage(site)["files"][0]["sha256"]
    assert b"valve closed, seen on site" in data


def _judged(site: Site, tab: Tab) -> None:
    """The finding of the rule about disclosure, with its steps and the row it stands in."""
    subject = f"outage/{EVENT}"
    told = site.get("/v1/findings", rule="R-02", subject=subject)
    tab.open(f"/compliance?rule=R-02&subject={subject}")
    tab.page.get_by_role("button", name="R-02", exact=True).click()
    expect(tab.page).to_have_url(re.compile("finding=R-02"))
    expect(tab.page.locator(".verdict")).to_contain_text(told["findings"][0]["why"])
    expect(tab.page.locator(".trace > li")).to_have_count(len(site.get(f"/v1/findings/R-02/{subject}")["trace"]))
    expect(tab.page.locator(".trace")).to_contain_text("lost MW")
    row = told["findings"][0]["evidence"]
    expect(tab.page.locator(f'main a[href*="evidence={row}"]')).to_be_visible()
    assert site.get(f"/v1/evidence/{row}")["kind"] == "finding"


def _filed(site: Site, tab: Tab) -> None:
    """The message among the filings, layer by layer as its row says."""
    (filing,) = [one for one in site.get("/v1/filings")["filings"] if one["kind"] == "UMM"]
    tab.open("/compliance?tab=filings")
    tab.page.get_by_role("region", name="Filings").get_by_role("button", name="UMM", exact=True).first.click()
    layers = site.get(f"/v1/evidence/{filing['versions'][-1]['evidence']}")["output"]["layers"]
    shown = region(tab, "Layers").locator("li")
    expect(shown).to_have_count(len(layers))
    for at, layer in enumerate(layers):
        expect(shown.nth(at)).to_contain_text(layer["layer"])
        expect(shown.nth(at)).to_contain_text(layer["outcome"].lower())
    with tab.page.expect_download() as kept:
        tab.page.get_by_role("button", name="file", exact=True).first.click()
    assert hashlib.sha256(Path(kept.value.path()).read_bytes()).hexdigest() == filing["versions"][0]["sha256"]


def test_emissions_are_shown_with_their_doubts_and_their_proof(site: Site, tab: Tab) -> None:
    tab.sign_in("esg-analyst")
    tab.open("/esg")
    link = tab.page.locator('main a[href*="evidence="]').first
    expect(link).to_be_visible()
    row = re.search(r"evidence=([0-9a-f]{64})", str(link.get_attribute("href")))
    assert row
    totals = site.get(f"/v1/evidence/{row[1]}")
    assert totals["kind"] == "inventory"
    doubts = [doubt for one in totals["output"]["scopes"].values() for doubt in one["doubts"]]
    if doubts:
        tab.page.locator("main details summary").first.click()
        expect(tab.page.locator("main details").first).to_contain_text(doubts[0])
    expect(tab.page.locator(".figures").first).to_contain_text("scope 1")


def test_what_a_report_lacks_becomes_fields_to_fill_in(site: Site, tab: Tab) -> None:
    tab.sign_in("compliance-officer")
    tab.open("/compliance?tab=filings")
    press(tab, "Draft a report")
    dialog = tab.page.get_by_role("dialog")
    dialog.get_by_label("name of the filing").fill("crude sold")
    dialog.get_by_label("deals").last.fill("SPOT-1")
    dialog.get_by_role("button", name="Draft", exact=True).click()
    expect(dialog.get_by_role("region", name="What is missing or wrong")).to_contain_text("uti")
    missing = dialog.get_by_role("region", name="What is missing or wrong").locator("tbody tr", has_text="missing,").count()
    press(tab, "Add these fields to fill in")
    expect(dialog.locator("fieldset")).to_have_count(missing)
    assert site.get("/v1/filing-drafts")["drafts"] == []
    tab.faults = [fault for fault in tab.faults if "422" not in fault]  # it was refused


def test_an_alert_is_taken_decided_and_becomes_a_draft_for_the_authority(site: Site, tab: Tab) -> None:
    tab.sign_in("compliance-officer")
    tab.open("/compliance?tab=conduct")
    tab.page.locator("main tbody tr.pick button.link").first.click()
    expect(region(tab, "What was found")).to_contain_text("desk/O-1")
    press(tab, "Assign to me")
    tab.page.get_by_label("decision").select_option("STOR")
    tab.page.get_by_label("Reasons").fill("both sides are ours")
    press(tab, "Decide")
    press(tab, "Draft a report to the authority (STOR)")
    dialog = tab.page.get_by_role("dialog")
    for label, text in (
        ("authority", "AMF"),
        ("in which capacity we dealt", "own account"),
        ("whom the authority may ask", "desk@example.com"),
    ):
        dialog.get_by_label(label, exact=True).fill(text)
    dialog.get_by_label("LEI, where it is a company").fill("213800KUD8LAJWSQ9D15")
    dialog.get_by_role("button", name="Draft", exact=True).click()
    expect(tab.page).to_have_url(re.compile("draft="))
    expect(region(tab, "Layers").locator("li")).not_to_have_count(0)


def test_the_desk_sees_no_alerts_and_an_operator_no_controls(site: Site, tab: Tab) -> None:
    tab.sign_in("risk-manager")
    tab.open("/compliance?tab=conduct")
    expect(tab.page.locator(".tabs a")).to_have_text(["Findings", "Rules", "Filings"])
    tab.sign_in("auditor")
    tab.open("/compliance")
    expect(tab.page.locator(".tabs a")).to_have_text(["Findings", "Rules", "Conduct", "Filings", "Controls"])
    expect(tab.page.get_by_role("button", name="Judge now")).to_have_count(0)


def test_a_control_is_asked_and_signed_off(site: Site, tab: Tab) -> None:
    tab.sign_in("compliance-officer")
    tab.open("/compliance?tab=controls")
    tab.page.get_by_role("button", name="Q-09", exact=True).click()
    press(tab, "Ask now")
    expect(tab.page.get_by_role("region", name="What was found").first).to_be_visible()
    tab.page.get_by_label("What you found when you looked at it").fill("keys are in order")
    press(tab, "Sign off")
    expect(tab.page.get_by_role("button", name="Sign off")).to_have_count(0)
    expect(tab.page.locator("main")).to_contain_text("Evidence for the control")


@pytest.mark.parametrize(("language", "theme", "width"), [("en", "light", 1440), ("ar", "dark", 360)])
def test_what_is_opened_is_for_everybody(site: Site, tab: Tab, language: str, theme: str, width: int) -> None:
    tab.look(language, theme)
    tab.page.set_viewport_size({"width": width, "height": 900})
    tab.sign_in("compliance-officer")
    alert = site.run(_first_alert)
    for path in (f"/outages/{EVENT}", f"/compliance?finding=R-02&of=outage/{EVENT}", f"/compliance?tab=conduct&alert={alert}"):
        tab.open(path)
        expect(tab.page.locator("[aria-busy=true], .skeleton")).to_have_count(0)
        assert grave(tab) == [], path
        tab.fits()


async def _first_alert(hub: TestHub) -> int:
    reply = await hub.client.get("/v1/conduct/alerts", headers=await hub.token(scopes=("read", "read:conduct")))
    return int(reply.json()["alerts"][-1]["id"])
