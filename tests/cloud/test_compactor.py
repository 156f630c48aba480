"""Compaction changes where samples are kept and nothing else; a query sees every sample once at any moment."""

import asyncio
from dataclasses import dataclass

import httpx
import numpy as np
import pytest

from cloud.telemetry import series_store
from cloud.telemetry.compactor import Compactor
from cloud.telemetry.series import HOUR_US, MINUTE_US
from protocols import quality
from protocols.batch.columns import Gap, GapReason, Group
from protocols.batch.statement import Payload
from tests.cloud.conftest import RunHub, TestHub
from tests.cloud.gateway import Gateway, tag_table

ALWAYS = {"from_us": -(1 << 62), "to_us": 1 << 62}


@dataclass
class Reader:
    """Reads what the gateway's tags have, as anybody would."""

    hub: TestHub
    token: dict[str, str]

    async def get(self, path: str, **params: int) -> httpx.Response:
        return await self.hub.client.get(path, params=params, headers=self.token)

    async def tags(self) -> dict[str, int]:
        return {row["name"]: row["id"] for row in (await self.get("/v1/tags")).json()}

    async def everything(self) -> dict[str, object]:
        found = {}
        for name, tag in (await self.tags()).items():
            body = (await self.get(f"/v1/tags/{tag}/samples", **ALWAYS)).json()
            found[name] = (body["times_us"], body["values"], body["quality"])
        return found


async def _reader(hub: TestHub) -> Reader:
    return Reader(hub, await hub.token())


async def _compact(hub: TestHub) -> int:
    return await hub.hub.compactor.compact(1)


def _group(gateway: Gateway, times: list[int], values: list[int], codes: list[int] | None = None) -> Payload:
    """One tag, number 0."""
    column = np.array(values, np.int32)[:, None]
    made = None if codes is None else np.array(codes, np.uint32)[:, None]
    return Payload(gateway.table.digest, (Group(np.zeros(1, np.uint32), np.array(times, np.int64), column, made),))


async def test_samples_are_the_same_before_during_and_after_compaction(hub: TestHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_store, "BATCHES_AT_ONCE", 4)
    monkeypatch.setattr(series_store, "FETCHED_ROWS", 3)
    gateway = await hub.gateway()
    rng = np.random.default_rng(5)
    for _ in range(10):
        times = (HOUR_US - 20 + rng.integers(0, 40, 6)).tolist()  # about a full hour, falling and equal times
        codes = rng.choice([0, 0, quality.UNCERTAIN, quality.BAD_SENSOR_FAILURE], 6).tolist()
        stream = "live" if rng.random() < 0.5 else "backfill"
        await gateway.send(gateway.seal(_group(gateway, times, rng.integers(0, 1000, 6).tolist(), codes), stream=stream))
    reader = await _reader(hub)
    before = await reader.everything()
    assert len(before["plc1.t0"][0]) == 60
    assert before["plc1.t1"] == ([], [], [])
    done = []
    while count := await _compact(hub):
        done.append(count)
        assert await reader.everything() == before
    assert done == [4, 4, 2]
    assert hub.rows("SELECT sum(samples) FROM series") == hub.rows("SELECT sum(count) FROM rollup_minute") == [(60,)]


async def test_compacting_again_changes_nothing_and_forgetting_makes_the_same_again(hub: TestHub) -> None:
    gateway = await hub.gateway()
    await gateway.send(*(gateway.seal() for _ in range(20)))
    assert await _compact(hub) == 20
    query = (
        "SELECT array_agg(s ORDER BY tag_id, hour_us) FROM series s",
        "SELECT array_agg(r ORDER BY tag_id, minute_us) FROM rollup_minute r",
    )
    first = [hub.rows(one) for one in (*query, "SELECT * FROM gateway_total")]
    assert await _compact(hub) == 0
    assert [hub.rows(one) for one in (*query, "SELECT * FROM gateway_total")] == first
    async with hub.hub.db.tenant(1) as connection:
        await series_store.forget(connection, 1)
    assert hub.rows("SELECT count(*) FROM series") == [(0,)]
    assert await _compact(hub) == 20
    assert [hub.rows(one) for one in (*query, "SELECT * FROM gateway_total")] == first


async def test_a_late_batch_is_merged_into_a_compacted_hour(hub: TestHub) -> None:
    gateway = await hub.gateway(tags=1)
    await gateway.send(gateway.seal(_group(gateway, [10, 30, MINUTE_US], [1, 3, 9])))
    await _compact(hub)
    await gateway.send(gateway.seal(_group(gateway, [20, 30, 5], [200, 4, 0]), stream="backfill"))
    await _compact(hub)
    assert (await (await _reader(hub)).everything())["plc1.t0"] == (
        [5, 10, 20, 30, 30, MINUTE_US],
        [0.0, 0.01, 2.0, 0.03, 0.04, 0.09],
        [0] * 6,
    )
    rollups = hub.rows("SELECT minute_us, low, high, last, count, good FROM rollup_minute ORDER BY minute_us")
    assert rollups == [(0, 0.0, 2.0, 0.04, 5, 5), (MINUTE_US, 0.09, 0.09, 0.09, 1, 1)]


async def test_a_minute_without_values_has_a_count_and_no_extremes(hub: TestHub) -> None:
    gateway = await hub.gateway(tags=1)
    await gateway.send(gateway.seal(_group(gateway, [1, 2], [7, 7], [quality.BAD_NO_COMMUNICATION] * 2)))
    await _compact(hub)
    assert hub.rows("SELECT low, high, total, last, count, good FROM rollup_minute") == [(None, None, None, None, 2, 0)]


async def test_batches_of_gaps_alone_are_compacted_to_nothing(hub: TestHub) -> None:
    gateway = await hub.gateway()
    await gateway.send(gateway.seal(Payload(gateway.table.digest, (), (Gap(1, 2, GapReason.AGENT_DOWN),))))
    assert await _compact(hub) == 1
    assert await _compact(hub) == 0
    assert hub.rows("SELECT count(*) FROM series") == [(0,)]


async def test_a_tag_whose_type_and_scale_change_keeps_the_values_it_had(hub: TestHub) -> None:
    gateway = await hub.gateway(tags=1)
    await gateway.send(gateway.seal(_group(gateway, [1], [150])))
    gateway.table = tag_table("rig1", 1, ("float64",), "2")
    assert (await gateway.put_table()).status_code == 201
    real = Payload(gateway.table.digest, (Group(np.zeros(1, np.uint32), np.array([2], np.int64), np.array([[0.75]])),))
    await gateway.send(gateway.seal(real))
    reader = await _reader(hub)
    before = await reader.everything()
    assert before["plc1.t0"] == ([1, 2], [1.5, 1.5], [0, 0])
    assert await _compact(hub) == 2
    assert await reader.everything() == before


async def test_times_at_the_end_of_time_are_compacted_like_others(hub: TestHub) -> None:
    gateway = await hub.gateway(tags=1)
    ends = [-(1 << 63), -(1 << 63) + 1, -1, 0, (1 << 63) - 2]
    await gateway.send(gateway.seal(_group(gateway, ends[1:3], [1, 2])), gateway.seal(_group(gateway, ends[3:], [3, 4])))
    await gateway.send(gateway.seal(_group(gateway, ends[:1], [0])))
    reader = await _reader(hub)
    tag = (await reader.tags())["plc1.t0"]
    for _ in range(2):
        body = (await reader.get(f"/v1/tags/{tag}/samples", from_us=-(1 << 63) + 1, to_us=(1 << 63) - 1)).json()
        assert body["times_us"] == ends[1:]
        await _compact(hub)
    assert hub.hub.compactor.problem == ""


async def test_two_hubs_compact_side_by_side_and_nothing_is_doubled(hub: TestHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_store, "BATCHES_AT_ONCE", 3)
    gateway = await hub.gateway()
    await gateway.send(*(gateway.seal() for _ in range(30)))
    reader = await _reader(hub)
    before = await reader.everything()
    other = Compactor(hub.hub.db, hub.hub.tables, hub.hub._tenant_ids, hub.hub.threads)
    done = 0
    while hub.rows("SELECT count(*) FROM batch WHERE NOT compacted") != [(0,)]:
        done += sum(await asyncio.gather(_compact(hub), other.compact(1)))
    assert done == 30
    assert await reader.everything() == before
    assert hub.rows("SELECT batches, samples FROM gateway_total") == [(30, 360)]


async def test_a_compaction_that_dies_in_the_middle_loses_and_doubles_nothing(hub: TestHub, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = await hub.gateway()
    await gateway.send(*(gateway.seal() for _ in range(5)))
    reader = await _reader(hub)
    before = await reader.everything()

    async def die(*_: object) -> None:
        raise ConnectionResetError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(series_store, "mark_compacted", die)
        with pytest.raises(ConnectionResetError):
            await _compact(hub)
        assert "killed" in await hub.hub.compactor._pass()
    assert hub.rows("SELECT (SELECT count(*) FROM series), (SELECT count(*) FROM rollup_minute)") == [(0, 0)]
    assert await reader.everything() == before
    assert await _compact(hub) == 5
    assert await reader.everything() == before


async def test_a_tenant_that_cannot_be_compacted_holds_up_no_other(hub: TestHub) -> None:
    for name in ("default", "other"):
        gateway = await hub.gateway("rig1", name)
        await gateway.send(gateway.seal())
    hub.rows("UPDATE batch SET statement = '\\x00' WHERE tenant_id = 1 RETURNING 1")
    assert (await hub.hub.compactor._pass()).startswith("tenant 1: ")
    assert hub.rows("SELECT compacted FROM batch ORDER BY tenant_id") == [(False,), (True,)]


async def test_queries_beside_a_running_compaction_never_see_a_sample_twice_or_not_at_all(
    hub: TestHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series_store, "BATCHES_AT_ONCE", 1)
    monkeypatch.setattr(series_store, "FETCHED_ROWS", 2)
    gateway = await hub.gateway(tags=1)
    await gateway.send(*(gateway.seal() for _ in range(25)))
    reader = await _reader(hub)
    before = await reader.everything()

    async def compact() -> None:
        while await _compact(hub):
            pass

    task = asyncio.create_task(compact())
    looks = 0
    while not task.done():
        assert await reader.everything() == before
        looks += 1
    await task
    assert looks > 3


async def test_totals_count_each_batch_once_whether_compacted_or_not(run_hub: RunHub) -> None:
    async with run_hub() as hub:
        gateway = await hub.gateway()
        reader = await _reader(hub)
        await gateway.send(gateway.seal(), gateway.seal())
        for _ in range(2):
            (row,) = (await reader.get("/v1/gateways")).json()
            assert (row["batches"], row["samples"]) == (2, 24)
            assert row["bytes"] == hub.rows("SELECT sum(length(statement)) FROM batch")[0][0]
            await _compact(hub)
        await gateway.send(gateway.seal())
        (row,) = (await reader.get("/v1/gateways")).json()
        assert (row["batches"], row["samples"]) == (3, 36)


async def test_sets_of_tags_that_overlap_keep_the_order_of_storing(hub: TestHub) -> None:
    gateway = await hub.gateway(tags=4)
    rng = np.random.default_rng(11)
    for number in range(12):
        groups = []
        for chosen in ([0, 1], [2, 3], [1, 2], [3, 3])[number % 3 : number % 3 + 2]:
            times = np.array([5, 5, HOUR_US + number % 2], np.int64)
            groups.append(Group(np.array(chosen, np.uint32), times, rng.integers(0, 1000, (3, 2)).astype(np.int32)))
        await gateway.send(gateway.seal(Payload(gateway.table.digest, tuple(groups))))
    reader = await _reader(hub)
    before = await reader.everything()
    await _compact(hub)
    assert await reader.everything() == before
    assert hub.rows("SELECT sum(samples) FROM series") == [(12 * 2 * 6,)]
