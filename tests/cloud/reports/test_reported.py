"""What filings say of deals to the rules: reported is what the authority has accepted, and not what was withdrawn."""

from dataclasses import replace
from datetime import date
from typing import Any

from cloud.reports.filings import Action
from cloud.reports.reported import Accepted, follow
from tests.cloud.conftest import TestHub
from tests.cloud.reports.test_api import PROFILE, REASON, REMIT, Office

NOON_US = 1_794_571_200_000_000  # 2026-11-13T12:00Z
DAY_US = 86_400_000_000
FIRST = Accepted(1, 1, "EMIR", Action.NEW, NOON_US, ("D-1", "D-2"))
KEY = ("Derivative", "deal/D-1")
POWER = '[[product]]\nname = "power"\nplace = "FR"\ncommodity = "electricity"\neu_delivery = true\nmarket = "bilateral"\n'


def test_a_deal_is_reported_on_the_day_of_the_first_accepted_version() -> None:
    amended = replace(FIRST, number=2, action=Action.AMENDMENT, made_us=NOON_US + DAY_US, deals=("D-1", "D-3"))
    found = follow([FIRST, amended])
    assert found[KEY] == {"reported_on": date(2026, 11, 13)}
    assert found["Derivative", "deal/D-3"] == {"reported_on": date(2026, 11, 14)}


def test_what_was_cancelled_is_not_reported_until_it_is_filed_again() -> None:
    cancelled = replace(FIRST, number=2, action=Action.CANCELLATION, made_us=NOON_US + DAY_US)
    assert follow([FIRST, cancelled]) == {}
    again = replace(FIRST, number=3, made_us=NOON_US + 2 * DAY_US)
    assert follow([FIRST, cancelled, again])[KEY] == {"reported_on": date(2026, 11, 15)}


def test_each_kind_of_filing_is_about_its_own_facts() -> None:
    found = follow([replace(FIRST, kind="REMIT-1"), replace(FIRST, filing_id=2, kind="CFTC-45")])
    assert found["WholesaleDeal", "deal/D-1"] == {"reported_on": date(2026, 11, 13), "table": 1}
    assert found["Swap", "deal/D-2"] == {"reported_on": date(2026, 11, 13)}
    assert KEY not in found


async def judged(office: Office, query: str = "") -> Any:
    reply = await office.hub.client.get(f"/v1/findings/R-06/deal/D-1{query}", headers=office.token)
    assert reply.status_code == 200, reply.text
    return reply.json()


async def test_a_deal_counts_as_reported_when_its_filing_was_accepted(hub: TestHub) -> None:
    office = await Office(hub).open()
    profile = await hub.client.put(
        "/v1/compliance/profile", content=PROFILE + POWER, headers={**office.token, "content-type": "application/toml"}
    )
    assert profile.status_code == 200, profile.text
    standard = await hub.client.put("/v1/facts/WholesaleDeal/deal/D-1", json={"standard": True}, headers=office.token)
    assert standard.status_code == 200, standard.text
    await office.decide(await office.draft(REMIT))
    await office.answer(1, REASON)
    assert (await judged(office))["facts"]["reported_on"] is None
    await office.decide(await office.draft({**REMIT, "contract_name": "BASE"}))
    before_us = hub.hub.clock.now_us()
    assert (await office.answer(2)).status_code == 200
    found = await judged(office)
    assert (found["facts"]["table"], found["why"].partition(",")[0]) == (1, f"reported on {found['facts']['reported_on']}")
    assert (await judged(office, f"?known_us={before_us}"))["facts"]["reported_on"] is None
    wrong = await hub.client.put("/v1/facts/WholesaleDeal/deal/D-1", json={"reported_on": "2026-11-13"}, headers=office.token)
    assert '"reported_on" is registered as 2026-11-13, the hub derives' in wrong.json()["detail"]
