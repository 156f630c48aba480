"""A unit that is declared to be away and is measured to run: A-09 over the whole way."""

import asyncio

from tests.cloud.conftest import TestHub
from tests.cloud.disclosure.field import Field, open_field
from tests.cloud.disclosure.test_life import publish as agreed


async def declare(field: Field, *, planned: bool) -> str:
    """All of 1970: the field's samples are of its first hours."""
    body = {
        "unit": "Block 1", "start_us": 0, "stop_us": 365 * 86_400_000_000, "unavailable": "90", "planned": planned, "reason": "Said to be away",
    }  # fmt: skip
    event = (await field.olga.ask("POST", "/v1/outages", json=body)).json()["event"]
    await agreed(field, event)
    return str(event)


async def judged(field: Field, event: str, least: int) -> dict[str, str]:
    """Outcomes by rule as the figures are stated, once the event was judged so often."""
    async with asyncio.timeout(20):
        while len([one for one in await field.get("/v1/evidence?kind=finding&limit=500") if one["subject"] == f"outage/{event}"]) < least:
            await asyncio.sleep(0.02)
    found = await field.get(f"/v1/outages/{event}")
    return {one["rule"]: one["outcome"] for one in found["findings_as_stated"]}


async def test_a_unit_said_to_be_away_that_runs_for_hours_is_found(hub: TestHub) -> None:
    field = await open_field(hub)
    await field.learn()
    event = await declare(field, planned=False)
    await field.desk.send(3)
    await field.seen()
    assert (await judged(field, event, 3))["A-09"] == "PASS"
    field.desk.second += 3_700
    for _ in range(2):
        await field.desk.send(3)
        await field.seen()
    assert (await judged(field, event, 4))["A-09"] == "FAIL"
    outcomes = {one["rule"]: one["outcome"] for one in (await field.get(f"/v1/outages/{event}"))["findings"]}
    assert outcomes["A-09"] == "INDETERMINATE"
