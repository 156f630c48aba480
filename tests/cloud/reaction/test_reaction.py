"""From signed batches to the desk's figures, with the hub and a real PostgreSQL: what is computed, once, and only when it has changed."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.cloud.conftest import RunHub, TestHub
from tests.cloud.reaction.desk import MODEL, Desk, health_of


@pytest.fixture
async def desk(hub: TestHub) -> AsyncIterator[Desk]:
    yield await Desk(hub).open()


async def _settled(desk: Desk) -> None:
    """A learned baseline and a first risk figure."""
    await desk.send(12)
    await desk.settled()


async def test_a_degrading_sensor_moves_health_volume_and_var(desk: Desk) -> None:
    await _settled(desk)
    before = {kind: await desk.result(kind) for kind in ("health", "forecast", "risk")}
    for _ in range(4):
        await desk.send(6, offset=8.0)
    ill = await desk.result("health", lambda found: health_of(found, "A") < 0.3)
    assert health_of(ill, "B") > 0.8
    assert ill["output"]["assets"]["A"]["reasons"][0][2][0].startswith("rig1/plc1.")
    after = await desk.result("risk", lambda found: found["output"]["split"]["joint"] > 1.02 * before["risk"]["output"]["split"]["joint"])
    volume = await desk.result("forecast")
    assert volume["output"]["total"]["mean"] < before["forecast"]["output"]["total"]["mean"]
    assert after["output"]["units"]["A"] != before["risk"]["output"]["units"]["A"]
    assert after["sensed_us"][0] >= 1_000_000_000


async def test_every_result_names_rows_that_are_stored_and_logged(desk: Desk) -> None:
    await _settled(desk)
    risk = await desk.result("risk")
    row = await desk.row(risk["id"])
    assert set(row["inputs"]["contents"]) == {"model", "settings", "deals", "calendars", "quotes"}
    forecast = await desk.row(row["inputs"]["rows"]["crude"])
    health = await desk.row(forecast["inputs"]["rows"]["health"])
    assert (row["kind"], forecast["kind"], health["kind"]) == ("risk", "forecast", "health")
    rows = desk.hub.rows("SELECT count(*) FROM evidence WHERE NOT EXISTS (SELECT FROM log_entry WHERE entry = digest)")
    assert rows == [(0,)]


async def test_what_has_not_changed_is_not_computed_again(desk: Desk) -> None:
    await _settled(desk)
    await desk.result("detail")
    count = "SELECT kind, count(*) FROM evidence GROUP BY kind ORDER BY kind"
    before = dict(desk.hub.rows(count))
    desk.hub.hub.reaction.wake(0)
    await asyncio.sleep(0.3)  # a pass would take less
    assert dict(desk.hub.rows(count)) == before
    await desk.send(2, rigs=("rig1",))
    async with asyncio.timeout(20):
        while dict(desk.hub.rows(count))["health"] == before["health"]:
            await asyncio.sleep(0.02)
    after = dict(desk.hub.rows(count))
    assert after["health"] == before["health"] + 1
    assert after["risk"] <= before["risk"] + 1


async def test_gateways_that_fall_silent_are_not_evaluated_and_widen_the_forecast(hub: TestHub) -> None:
    desk = await Desk(hub).open(MODEL.replace('stale = "100000d"', 'stale = "5s"'))
    desk.second = int(time.time()) - 1000 - 11  # the last sample is of now, and nothing follows
    await desk.send(12)
    await desk.settled()
    known = await desk.result("forecast")
    silent = await desk.result("health", lambda found: {one["state"] for one in found["output"]["assets"].values()} == {"not evaluated"})
    assert {(one["low"], one["high"]) for one in silent["output"]["assets"].values()} == {(0.0, 1.0)}
    assert {len(one["stale"]) for one in silent["output"]["assets"].values()} == {2}
    wider = await desk.result("forecast", lambda found: found["id"] != known["id"])
    assert wider["output"]["measurement_sd"] > 2 * known["output"]["measurement_sd"]
    await desk.result("risk", lambda found: found["made_us"] >= silent["made_us"])


async def test_new_quotes_and_deals_move_the_risk_alone(desk: Desk) -> None:
    await _settled(desk)
    before = await desk.result("risk")
    forecasts = desk.hub.rows("SELECT count(*) FROM evidence WHERE kind = 'forecast'")
    await desk.put("/v1/deals", _sale("EXTRA"), "POST")
    after = await desk.result(
        "risk", lambda found: found["id"] != before["id"] and any(name == "EXTRA" for name, _ in found["output"]["deals"])
    )
    assert after["sensed_us"] is None
    assert desk.hub.rows("SELECT count(*) FROM evidence WHERE kind = 'forecast'") == forecasts


def _sale(name: str) -> dict[str, Any]:
    from datetime import UTC, datetime

    from simulators import book
    from tests.cloud.reaction.desk import MARKET

    first = book.deals(MARKET, 2000.0, datetime.now(UTC))[0]
    return {**first, "id": name, "known_us": 1}


async def test_what_is_wrong_is_told_and_the_rest_goes_on(hub: TestHub) -> None:
    desk = await Desk(hub).open(booked=False)
    await desk.put(
        "/v1/risk/settings", {"paths": 500, "days": 20, "returns": 250, "products": {"WTI": {"kind": "lognormal", "history": "wti"}}}
    )
    await desk.send(8)
    await desk.result("forecast")
    told = await desk.result("problem")
    assert "no usable quote of WTI" in told["output"]["reason"]
    await desk.book()
    await desk.result("risk")
    await desk.result("problem", lambda found: found["output"]["reason"] == "")


async def test_a_model_that_cannot_be_meant_is_refused_with_its_line(hub: TestHub) -> None:
    desk = await Desk(hub).open()
    circle = MODEL.replace('parts = ["A", "B"]', 'parts = ["A", "wells"]')
    reply = await desk.put("/v1/assets", circle)
    assert reply.status_code == 422
    assert "runs in a circle: wells > wells" in reply.json()["detail"]
    missing = await desk.put("/v1/assets", MODEL.replace('role = "temperature"', 'role = "temprature"'))
    assert 'mean "temperature"' in missing.json()["detail"]


async def test_after_a_restart_health_goes_on_from_its_state(run_hub: RunHub) -> None:
    async with run_hub() as hub:
        desk = await Desk(hub).open()
        await _settled(desk)
        before = await desk.result("health")
    async with run_hub() as hub:
        for gateway in desk.rigs.values():
            gateway.client = hub.client
        desk.hub = hub
        await desk.send(3)
        after = await desk.result("health", lambda found: found["id"] != before["id"])
        row = await desk.row(after["id"])
        assert after["output"]["assets"]["A"]["state"] == "good"  # it would be "not evaluated" if it had begun anew
        assert "previous" in row["inputs"]["rows"]


async def test_with_two_hubs_each_stage_runs_once(run_hub: RunHub) -> None:
    async with run_hub() as hub, run_hub() as other:
        desk = await Desk(hub).open()
        await _settled(desk)
        for _ in range(5):
            await desk.send(2)
        async with asyncio.timeout(20):  # the other process shows what the leader made
            while True:
                ours, theirs = (
                    {one["id"] for one in map(json.loads, running.hub.results.since(1, lambda _: True)[1]) if one["kind"] == "health"}
                    for running in (hub, other)
                )
                if ours and ours == theirs:
                    break
                await asyncio.sleep(0.02)
        previous = [refs[0] for (refs,) in hub.rows("SELECT refs FROM evidence WHERE kind = 'health' AND cardinality(refs) = 1")]
        assert len(previous) == len(set(previous))
        firsts = hub.rows("SELECT count(*) FROM evidence WHERE kind = 'health' AND cardinality(refs) = 0")
        assert firsts == [(1,)]


async def test_results_of_one_tenant_are_not_those_of_another(desk: Desk) -> None:
    await _settled(desk)
    await desk.hub.tenant("other")
    theirs = await desk.hub.token("other")
    assert (await desk.hub.client.get("/v1/results", headers=theirs)).json() == []
    assert (await desk.hub.client.get("/v1/evidence", headers=theirs)).json() == []
    assert (await desk.hub.client.get("/v1/assets", headers=theirs)).status_code == 404
    assert len((await desk.hub.client.get("/v1/results", headers=desk.token)).json()) >= 3
