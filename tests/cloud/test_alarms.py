"""Alarms through the hub and a real PostgreSQL: from signed samples to what an operator sees, does and finds in the journal."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psycopg
import pytest

from cloud.app import create_app
from cloud.assets import alarm_rules, alarm_store
from cloud.assets.alarm_board import AlarmFeed, Boards
from cloud.assets.alarm_rules import Name, Standing
from cloud.assets.alarms import Event
from cloud.config import HubConfig
from cloud.identity.credentials import Principal
from cloud.telemetry import live
from protocols.clock import SystemClock
from tests.cloud.conftest import LIMITS, RunHub, TestHub
from tests.cloud.gateway import problem
from tests.cloud.reaction.desk import Desk

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
Alarm = dict[str, Any]


class MovedClock(SystemClock):
    """The system's clock, ahead by as much as a test says."""

    ahead_us = 0

    def now_us(self) -> int:
        return super().now_us() + self.ahead_us


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def run_hub(database_url: str, tmp_path: Path, clock: MovedClock) -> RunHub:
    @asynccontextmanager
    async def run() -> AsyncIterator[TestHub]:
        app = create_app(HubConfig(tmp_path / "data", limits=LIMITS), database_url, clock)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with app.state.hub, httpx.AsyncClient(transport=transport, base_url="http://hub", timeout=30) as client:
            yield TestHub(app.state.hub, client, database_url)

    return run


@pytest.fixture
async def desk(hub: TestHub) -> Desk:
    found = await Desk(hub).open()
    await found.send(12)
    await found.settled()
    return found


async def get(desk: Desk, path: str = "", **query: Any) -> Any:
    reply = await desk.hub.client.get(f"/v1/alarms{path}", params=query, headers=desk.token)
    assert reply.status_code == 200, reply.text
    return reply.json()


async def act(desk: Desk, what: str, asset: str = "A", alarm: str = "health", **body: Any) -> httpx.Response:
    path = f"/v1/alarms/{asset}/{quote(alarm)}/{what}"
    return await desk.hub.client.post(path, json=body or None, headers=desk.token)


async def alarm(desk: Desk, accept: Callable[[Alarm], bool], asset: str = "A", name: str = "health") -> Alarm:
    """How the alarm stands as soon as that is accepted."""
    async with asyncio.timeout(20):
        while True:
            for one in (await get(desk))["alarms"]:
                if (one["asset"], one["alarm"]) == (asset, name) and accept(one):
                    return dict(one)
            desk.hub.hub.reaction.wake(0)
            await asyncio.sleep(0.02)


async def at_rest(desk: Desk) -> None:
    async with asyncio.timeout(20):
        while any(one["alarm"] == "health" for one in (await get(desk))["alarms"]):
            desk.hub.hub.reaction.wake(0)
            await asyncio.sleep(0.02)


async def events(desk: Desk, name: str = "health") -> list[tuple[str, str, str]]:
    """(event, by, state) from the first to the last."""
    journal = (await get(desk, "/journal", asset="A", alarm=name))["journal"]
    return [(one["event"], one["by"], one["state"]) for one in reversed(journal)]


async def fall(desk: Desk) -> Alarm:
    for _ in range(3):
        await desk.send(6, offset=8.0)
    return await alarm(desk, lambda one: one["priority"] == "high")


async def recover(desk: Desk) -> None:
    for _ in range(12):
        await desk.send(6)
    await desk.result("health", lambda found: found["output"]["assets"]["A"]["index"] > 0.86)


async def test_a_failing_asset_raises_its_alarm_with_its_reason_and_its_evidence(desk: Desk) -> None:
    found = await fall(desk)
    assert (found["state"], found["active"]) == ("unacknowledged", True)
    assert "rig1/plc1." in found["cause"]
    row = await desk.row(found["evidence"])
    assert (row["kind"], row["subject"]) == ("health", "field")
    assert found["active_us"] <= found["since_us"] + 1
    assert not [one for one in (await get(desk))["alarms"] if one["asset"] == "B"]


async def test_an_operator_acknowledges_and_the_alarm_rests_once_the_asset_is_well(desk: Desk, clock: MovedClock) -> None:
    await fall(desk)
    reply = await act(desk, "acknowledge", reason="seen")
    assert reply.status_code == 200
    assert (reply.json()["state"], reply.json()["by"], reply.json()["reason"]) == ("acknowledged", "test", "seen")
    again = await act(desk, "acknowledge")
    assert (again.status_code, problem(again), again.json()["state"]) == (409, "alarm-state", "acknowledged")
    await recover(desk)
    assert (await alarm(desk, lambda _: True))["active"]  # not before a minute has passed
    clock.ahead_us += 2 * MINUTE_US
    await at_rest(desk)
    told = await events(desk)
    assert told[0] == ("raise", "hub", "unacknowledged")
    assert told[-2:] == [("acknowledge", "test", "acknowledged"), ("clear", "hub", "normal")]


async def test_shelving_is_silent_ends_by_itself_and_the_alarm_sounds_again(desk: Desk, clock: MovedClock) -> None:
    await fall(desk)
    until = clock.now_us() + HOUR_US
    reply = await act(desk, "shelve", reason="probe is being changed", until_us=until)
    assert (reply.status_code, reply.json()["state"], reply.json()["until_us"]) == (200, "shelved", until)
    assert problem(await act(desk, "acknowledge")) == "alarm-state"
    clock.ahead_us += 2 * HOUR_US
    found = await alarm(desk, lambda one: one["state"] == "unacknowledged")
    assert (found["active"], found["until_us"]) == (True, None)
    assert (await events(desk))[-2:] == [("shelve", "test", "shelved"), ("unshelve", "hub", "unacknowledged")]


async def test_an_operator_ends_a_shelving(desk: Desk, clock: MovedClock) -> None:
    reply = await act(desk, "shelve", asset="B", reason="tested tomorrow", until_us=clock.now_us() + HOUR_US)
    assert reply.json()["state"] == "shelved"  # of an alarm that never sounded
    assert [one["asset"] for one in (await get(desk))["alarms"] if one["alarm"] == "health"] == ["B"]
    assert (await act(desk, "unshelve", asset="B")).json()["state"] == "normal"
    assert problem(await act(desk, "unshelve", asset="B")) == "alarm-state"


async def test_what_cannot_be_meant_is_refused(desk: Desk, clock: MovedClock) -> None:
    late = {"reason": "x", "until_us": clock.now_us() + 9 * HOUR_US}
    assert problem(await act(desk, "shelve", **late)) == "invalid-request"
    assert problem(await act(desk, "shelve", until_us=clock.now_us() + HOUR_US)) == "invalid-request"
    assert problem(await act(desk, "shelve", reason=" ", until_us=clock.now_us() + HOUR_US)) == "invalid-request"
    assert problem(await act(desk, "acknowledge", asset="Z")) == "not-found"
    assert problem(await act(desk, "acknowledge", alarm="heat")) == "not-found"
    reader = await desk.hub.token(scopes=("read",))
    assert problem(await desk.hub.client.post("/v1/alarms/A/health/acknowledge", headers=reader)) == "forbidden"
    assert problem(await desk.hub.client.get("/v1/alarms")) == "unauthorized"
    assert desk.hub.rows("SELECT count(*) FROM alarm_transition WHERE by <> 'hub'") == [(0,)]


async def test_after_a_restart_alarms_stand_as_the_journal_says(run_hub: RunHub, clock: MovedClock) -> None:
    async with run_hub() as hub:
        desk = await Desk(hub).open()
        await desk.send(12)
        await desk.settled()
        await fall(desk)
        await act(desk, "acknowledge")
        before = await alarm(desk, lambda one: one["state"] == "acknowledged")
    async with run_hub() as hub:
        for gateway in desk.rigs.values():
            gateway.client = hub.client
        desk.hub = hub
        assert await alarm(desk, lambda _: True) == before
        count = hub.rows("SELECT count(*) FROM alarm_transition WHERE alarm = 'health'")
        health = await desk.result("health")
        await desk.send(3, offset=8.0)
        await desk.result("health", lambda found: found["id"] != health["id"])
        assert hub.rows("SELECT count(*) FROM alarm_transition WHERE alarm = 'health'") == count


async def test_with_two_hubs_a_transition_is_written_once_and_both_tell_it(run_hub: RunHub) -> None:
    async with run_hub() as hub, run_hub() as other:
        desk = await Desk(hub).open()
        await desk.send(12)
        await desk.settled()
        feeds = [AlarmFeed(one.hub.alarms, one.hub.db, 1) for one in (hub, other)]
        for feed in feeds:
            await feed.news()
        await fall(desk)
        second = Desk(other, token=desk.token)
        assert (await act(second, "acknowledge")).status_code == 200
        await alarm(desk, lambda one: one["state"] == "acknowledged")
        journal = [one["id"] for one in reversed((await get(desk, "/journal", limit=1000))["journal"])]
        for feed, one in zip(feeds, (hub, other), strict=True):
            told: list[int] = []
            async with asyncio.timeout(20):
                while not told or told[-1] != journal[-1]:
                    await one.hub.alarms.wait(1, told[-1] if told else 0)
                    told += [json.loads(frame.data)["id"] for frame in await feed.news()]
            assert told == journal[-len(told) :], one.database_url
        raised = hub.rows("SELECT count(*) FROM alarm_transition WHERE event = 'raise' AND asset = 'A' AND alarm = 'health'")
        assert raised == [(1,)]


async def test_the_journal_is_paged_and_cannot_be_changed(desk: Desk) -> None:
    await fall(desk)
    await act(desk, "acknowledge")
    first = await get(desk, "/journal", limit=1)
    rest = await get(desk, "/journal", limit=1000, before=first["next"])
    assert first["journal"][0]["id"] > rest["journal"][0]["id"]
    assert rest["next"] is None
    for change in ("UPDATE alarm_transition SET by = 'nobody'", "DELETE FROM alarm_transition"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with desk.hub.hub.db.tenant(1) as connection:
                await connection.execute(change)  # type: ignore[arg-type]


async def test_figures_of_the_last_day_count_what_sounded(desk: Desk) -> None:
    await fall(desk)
    found = await get(desk, "/kpis")
    sounded = desk.hub.rows("SELECT count(*) FROM alarm_transition WHERE state = 'unacknowledged' AND event <> 'acknowledge'")[0][0]
    assert found["annunciations"] == found["per_day"] == sounded >= 1
    assert sum(found["by_priority"].values()) == sounded
    assert {"asset": "A", "alarm": "health"}.items() <= found["top"][0].items()
    reply = await desk.hub.client.get("/v1/alarms/kpis", params={"from_us": 0}, headers=desk.token)
    assert problem(reply) == "invalid-request"


async def test_alarms_of_one_tenant_are_not_those_of_another(desk: Desk) -> None:
    await fall(desk)
    await desk.hub.tenant("other")
    theirs = Desk(desk.hub, token=await desk.hub.token("other", ("read", "write:alarms")))
    assert (await get(theirs))["alarms"] == []
    assert (await get(theirs, "/journal"))["journal"] == []
    assert problem(await act(theirs, "acknowledge")) == "not-found"


async def test_a_shelving_for_once_ends_when_the_asset_is_well_again(desk: Desk, clock: MovedClock) -> None:
    await fall(desk)
    reply = await act(desk, "shelve", reason="known", until_us=clock.now_us() + HOUR_US, once=True)
    assert reply.json()["once"] is True
    await recover(desk)
    await alarm(desk, lambda _: True)
    clock.ahead_us += 2 * MINUTE_US
    await at_rest(desk)
    assert (await events(desk))[-1] == ("clear", "hub", "normal")


async def test_more_than_ten_alarms_in_ten_minutes_are_a_flood_with_its_first_one_on_top(desk: Desk, clock: MovedClock) -> None:
    assert (await get(desk))["flood"] is None
    now_us = clock.now_us()
    raised = [alarm_rules.step(Standing(), Name(f"pump {at:02d}", "health"), Event.RAISE, now_us - 11 + at, "hub") for at in range(11)]
    async with desk.hub.hub.db.tenant(1) as connection:
        await alarm_store.lock(connection, 1)
        await alarm_store.append(connection, 1, raised)
    found = await get(desk)
    assert found["flood"] == {"from_us": now_us - 1, "end_us": None, "first": {"asset": "pump 00", "alarm": "health"}}
    async with asyncio.timeout(20):  # there are no such assets
        while any(one["active"] for one in (await get(desk))["alarms"] if one["asset"].startswith("pump")):
            desk.hub.hub.reaction.wake(0)
            await asyncio.sleep(0.02)
    clock.ahead_us += 11 * MINUTE_US
    assert (await get(desk))["flood"] is None


async def test_the_live_stream_carries_alarms_beside_values_and_results(desk: Desk) -> None:
    await fall(desk)
    hub = desk.hub.hub
    channel = hub.channels.of(1)
    frames = live.events(hub.feeds(Principal(1, "default", "test", ("read",))), channel, hub.closing, always)
    async with asyncio.timeout(20):
        shown = [frame async for frame in frames if (b"event: alarm\n" in frame and not hub.closing.set())]
    assert b'"asset":"A"' in shown[0]


async def test_a_reader_that_was_cut_off_is_told_every_alarm_since_and_none_twice(desk: Desk) -> None:
    await fall(desk)
    hub = desk.hub.hub
    who = Principal(1, "default", "test", ("read",))
    first = AlarmFeed(hub.alarms, hub.db, 1)
    frames = list(await first.news())
    place = int((frames[-1].place or "a0")[1:])
    assert (await act(desk, "acknowledge")).status_code == 200
    assert (await act(desk, "shelve", reason="cleaned", until_us=time.time_ns() // 1000 + 10 * MINUTE_US)).status_code == 200
    assert (await act(desk, "unshelve")).status_code == 200
    journal = [one["id"] for one in reversed((await get(desk, "/journal", limit=1000))["journal"])]
    expected = [number for number in journal if number > place]
    assert len(expected) >= 3
    for boards in (hub.alarms, Boards()):  # the hub that was left, and one that was started since
        again = AlarmFeed(boards, hub.db, 1, place)
        assert [json.loads(frame.data)["id"] for frame in await again.news()] == expected
        assert await again.news() == []
    assert hub.feeds(who, place)


async def always() -> bool:
    return True
