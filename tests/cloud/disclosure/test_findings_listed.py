"""Findings of outages stand in the list of findings, in the live counts and are explained like any other."""

import asyncio

import orjson

from tests.cloud.conftest import RunHub, TestHub
from tests.cloud.disclosure.field import EVENT, open_field


async def test_findings_of_outages_are_listed_page_by_page_and_explained(hub: TestHub) -> None:
    field = await open_field(hub)
    await field.draft()
    subject = f"outage/{EVENT}"
    whole = await field.get("/v1/findings")
    assert {(one["area"], one["subject"]) for one in whole["findings"]} == {("outages", subject)}
    assert len(whole["findings"]) > 2 and whole["next"] is None
    paged, cursor = [], "/v1/findings?limit=1"
    while cursor:
        page = await field.get(cursor)
        paged += page["findings"]
        cursor = f"/v1/findings?limit=1&cursor={page['next']}" if page["next"] else ""
    assert paged == whole["findings"]
    first = whole["findings"][0]
    assert (await field.get(f"/v1/findings?rule={first['rule']}&subject={subject}"))["findings"] == [first]
    explained = await field.get(f"/v1/findings/{first['rule']}/{subject}")
    assert (explained["outcome"], explained["digest"]) == (first["outcome"], first["digest"])
    assert (await field.get("/v1/findings?as_of=2026-01-01"))["findings"] == []


async def test_counts_of_outages_are_told_live(run_hub: RunHub) -> None:
    async with run_hub(judge_interval_s=0.05) as hub:
        field = await open_field(hub)
        await field.draft()
        found: dict[str, int] = {}
        async with asyncio.timeout(20):
            while not found:
                await asyncio.sleep(0.02)
                told = [orjson.loads(one) for one in hub.hub.results.since(1, lambda kind: kind == "finding")[1]]
                found = next((one["output"]["counts"] for one in told if one["subject"] == "outages"), {})
        assert sum(found.values()) > 2
