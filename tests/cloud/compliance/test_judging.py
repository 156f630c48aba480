"""Rules that run by themselves, and what is told of them live."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from cloud.identity.credentials import Principal
from tests.cloud.compliance.desk_deals import leg
from tests.cloud.compliance.test_api import Office
from tests.cloud.conftest import RunHub

ROWS = "SELECT count(*) FROM evidence WHERE kind = 'finding'"


@pytest.fixture
async def office(run_hub: RunHub) -> AsyncIterator[Office]:
    async with run_hub(judge_interval_s=0.05) as hub:
        yield await Office(hub).open()


async def until(office: Office, rule: str, subject: str, outcome: str) -> None:
    async with asyncio.timeout(20):
        while (await office.findings()).get((rule, subject)) != outcome:
            await asyncio.sleep(0.02)


def live(office: Office) -> dict[str, Any]:
    reader = Principal(1, "default", "test", ("read:compliance",))
    found = [orjson.loads(one) for one in office.hub.hub.results.since(1, reader.sees)[1]]
    return {one["subject"]: one["output"]["counts"] for one in found if one["kind"] == "finding"}


async def settled(office: Office) -> None:
    """What is told live is what the newest rows say."""
    counts = {one["area"]: one["counts"] for one in (await office.told("GET", "/v1/findings"))["runs"]}
    async with asyncio.timeout(20):
        while live(office) != counts:
            await asyncio.sleep(0.02)
            counts = {one["area"]: one["counts"] for one in (await office.told("GET", "/v1/findings"))["runs"]}


async def test_a_deal_that_was_booked_late_is_found_without_anybody_asking(office: Office) -> None:
    await until(office, "E-01", "deal/D-1", "FAIL")
    await office.book("D-3", leg(physical=False))
    await until(office, "E-01", "deal/D-3", "FAIL")
    await settled(office)
    assert live(office)["emir"]["FAIL"] >= 2


async def test_a_fact_handed_in_makes_the_rules_run_again(office: Office) -> None:
    await until(office, "E-01", "deal/D-1", "FAIL")
    await office.told("PUT", "/v1/facts/Derivative/deal/D-1", {"reported_on": "2026-01-19"})
    await until(office, "E-01", "deal/D-1", "PASS")


async def test_nothing_is_written_while_nothing_changes(office: Office) -> None:
    await until(office, "E-01", "deal/D-2", "INDETERMINATE")
    await settled(office)
    rows = office.hub.rows(ROWS)
    asked = await office.told("POST", "/v1/rules/run", {})
    assert not any(one["new"] for one in asked["areas"])
    assert office.hub.rows(ROWS) == rows


async def test_a_profile_that_cannot_be_read_is_told_by_health_until_it_can(office: Office) -> None:
    await until(office, "E-01", "deal/D-1", "FAIL")
    await office.profile("[participant]\nname = 3\n")
    async with asyncio.timeout(20):
        while (cause := (await office.hub.hub.health())["judging"]["cause"]) == "":
            await asyncio.sleep(0.02)
    assert "tenant 1" in cause and "name" in cause
    await office.profile('[participant]\nname = "Example Energy"\nparty = "NFC-"\n')
    async with asyncio.timeout(20):
        while (await office.hub.hub.health())["judging"]["state"] != "up":
            await asyncio.sleep(0.02)
    assert (await office.findings())["E-01", "deal/D-1"] in ("FAIL", "INDETERMINATE")


async def test_another_process_tells_what_the_leading_one_found(office: Office, run_hub: RunHub) -> None:
    await until(office, "E-01", "deal/D-1", "FAIL")
    async with run_hub(judge_interval_s=0.05) as other:
        beside = Office(other)
        async with asyncio.timeout(20):
            while not live(beside).get("emir", {}).get("FAIL"):
                await asyncio.sleep(0.02)
        assert not other.hub.reaction.leads(1)
