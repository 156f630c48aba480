"""Bundles as the hub exports them: what it gives away verifies, and what it cannot prove it does not give."""

from dataclasses import dataclass

import httpx
import numpy as np
import pytest

from cloud.telemetry import bundles, series_store
from protocols.batch import bundle
from protocols.batch.bundle import Report
from protocols.batch.columns import Gap, GapReason
from protocols.batch.statement import Payload
from tests.cloud.conftest import TestHub
from tests.cloud.gateway import Gateway, problem, tag_table

S = 1_000_000


@dataclass
class Exporter:
    hub: TestHub
    gateway: Gateway

    async def ask(self, from_s: float, to_s: float, tag: str = "plc1.t1") -> httpx.Response:
        token = await self.hub.token()
        number = next(row["id"] for row in (await self.hub.client.get("/v1/tags", headers=token)).json() if row["name"] == tag)
        params = {"tag": number, "from_us": int(from_s * S), "to_us": int(to_s * S)}
        return await self.hub.client.get("/v1/bundles", params=params, headers=token)

    async def verified(self, from_s: float, to_s: float, tag: str = "plc1.t1") -> Report:
        reply = await self.ask(from_s, to_s, tag)
        assert reply.status_code == 200, reply.text
        report = bundle.verify(reply.content, self.gateway.enrolment["log_key"])
        assert report.ok, report.steps
        return report


@pytest.fixture
async def exporter(hub: TestHub) -> Exporter:
    return Exporter(hub, await hub.gateway())


def _batches(report: Report) -> int:
    assert report.bundle
    return len(report.bundle.batches)


def _samples(report: Report) -> tuple[list[int], list[float]]:
    assert report.bundle
    return report.bundle.samples.times_us.tolist(), report.bundle.samples.values.tolist()


async def test_a_window_within_one_batch_is_proven_by_that_batch(exporter: Exporter) -> None:
    await exporter.gateway.send(*(exporter.gateway.seal() for _ in range(4)))
    report = await exporter.verified(12, 13)
    assert (_batches(report), _samples(report)) == (1, ([12 * S], [0.06]))
    assert report.bundle
    assert report.bundle.window == bundle.Window("urn:qz:gw:rig1", "plc1.t1", 12 * S, 13 * S)
    everything = await exporter.verified(0, 1000)
    assert (_batches(everything), len(_samples(everything)[0])) == (4, 12)


async def test_a_bundle_has_the_same_samples_as_the_query_also_when_compacted(exporter: Exporter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_store, "FETCHED_ROWS", 2)
    await exporter.gateway.send(*(exporter.gateway.seal() for _ in range(7)))
    await exporter.hub.hub.compactor.compact(1)
    token = await exporter.hub.token()
    tag = exporter.hub.rows("SELECT tag_id FROM tag WHERE name = 'plc1.t1'")[0][0]
    body = (await exporter.hub.client.get(f"/v1/tags/{tag}/samples", params={"from_us": 0, "to_us": 100 * S}, headers=token)).json()
    assert _samples(await exporter.verified(0, 100)) == (body["times_us"], body["values"])


async def test_every_changed_byte_is_found(exporter: Exporter) -> None:
    await exporter.gateway.send(exporter.gateway.seal())
    data = (await exporter.ask(0, 10)).content
    for at in np.random.default_rng(3).integers(0, len(data), 25).tolist():
        changed = bytearray(data)
        changed[at] ^= 1
        assert not bundle.verify(bytes(changed), exporter.gateway.enrolment["log_key"]).ok


async def test_batches_of_several_tag_tables_and_keys_are_proven_together(exporter: Exporter) -> None:
    gateway = exporter.gateway
    first = gateway.seal()
    gateway.table = tag_table("rig1", 4, scale="0.5")
    await gateway.put_table()
    await gateway.send(first, gateway.seal())
    report = await exporter.verified(0, 100)
    assert report.bundle
    assert len(report.bundle.tables) == 2
    assert _samples(report)[1] == [0.01, 0.05, 0.09, 1.0, 3.0, 5.0]


async def test_a_hole_that_nobody_has_declared_is_not_given_away_as_a_proof(exporter: Exporter) -> None:
    gateway = exporter.gateway
    sealed = [gateway.seal() for _ in range(3)]
    await gateway.send(sealed[0], sealed[2])
    reply = await exporter.ask(0, 100)
    assert (problem(reply), reply.status_code) == ("incomplete", 409)
    assert "live/1/3" in reply.json()["detail"]
    assert _batches(await exporter.verified(0, 10)) == 1
    await gateway.send(sealed[1])
    assert _batches(await exporter.verified(0, 100)) == 3


async def test_a_hole_is_proven_with_the_later_batch_that_declares_it(exporter: Exporter) -> None:
    gateway = exporter.gateway
    sealed = [gateway.seal() for _ in range(4)]  # numbers 2 and 3 are dropped
    declaring = gateway.seal(gateway.payload(201 * S, gaps=(Gap(2, 3, GapReason.SEALED_DROPPED),)))
    await gateway.send(sealed[0], sealed[3], declaring, gateway.seal(gateway.payload(301 * S)))
    report = await exporter.verified(0, 100)
    assert (_batches(report), _samples(report)[0]) == (3, [S, 2 * S, 3 * S, 31 * S, 32 * S, 33 * S])
    assert [(gap.start, gap.end) for gap in report.gaps] == [(2, 3)]


async def test_several_chains_stand_in_one_bundle(exporter: Exporter) -> None:
    gateway = exporter.gateway
    sealed = [
        gateway.seal(gateway.payload(at * S), stream=stream, epoch=epoch)
        for at, stream, epoch in ((1, "live", 1), (11, "backfill", 1), (21, "live", 2))
    ]
    await gateway.send(*sealed)
    report = await exporter.verified(0, 100)
    assert _batches(report) == 3
    assert _samples(report)[0] == sorted(_samples(report)[0])


async def test_a_window_without_batches_is_not_found_and_one_with_too_many_is_refused(
    exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    await exporter.gateway.send(*(exporter.gateway.seal() for _ in range(3)))
    assert problem(await exporter.ask(500, 600)) == "not-found"
    with monkeypatch.context() as patch:
        patch.setattr(bundles, "MAX_BATCHES", 2)
        assert problem(await exporter.ask(0, 600)) == "too-large"
        await exporter.verified(0, 12)
    monkeypatch.setattr(bundles, "MAX_BYTES", 100)
    assert problem(await exporter.ask(0, 600)) == "too-large"


async def test_the_newest_batches_have_to_be_in_the_log_first(exporter: Exporter) -> None:
    gateway = exporter.gateway
    await gateway.send(gateway.seal())
    await exporter.hub.hub.log.__aexit__()  # nobody integrates any more
    exporter.hub.hub.intake._limits = exporter.hub.hub.intake._limits.__class__(receipt_wait_s=0.1)
    await gateway.post(gateway.seal())
    reply = await exporter.ask(0, 100)
    assert (problem(reply), reply.status_code, reply.headers["retry-after"]) == ("unavailable", 503, "1")
    assert _batches(await exporter.verified(0, 10)) == 1


async def test_a_tag_may_have_any_name(exporter: Exporter) -> None:
    gateway = exporter.gateway
    text = gateway.table.text.replace('"t1"', '"Öl \\"№ 1\\""')
    gateway.table = type(gateway.table).parse(text)
    assert (await gateway.put_table()).status_code == 201
    await gateway.send(gateway.seal())
    reply = await exporter.ask(0, 100, 'plc1.Öl "№ 1"')
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-disposition"] == 'attachment; filename="plc1._l____1_.qzb"'
    assert _samples(await exporter.verified(0, 100, 'plc1.Öl "№ 1"'))[1] == [0.01, 0.05, 0.09]


async def test_batches_without_samples_of_the_tag_prove_that_there_are_none(exporter: Exporter) -> None:
    gateway = exporter.gateway
    other = gateway.payload()
    group = other.groups[0]
    narrow = Payload(gateway.table.digest, (type(group)(group.tags[:1], group.times_us, group.values[:, :1]),))
    await gateway.send(gateway.seal(narrow))
    assert _samples(await exporter.verified(0, 100)) == ([], [])
