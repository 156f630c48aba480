"""What the hub exports of a computed result is proven offline, and what is exchanged in it is named."""

import dataclasses
from pathlib import Path

import httpx
import numpy as np
import pytest

from cloud.evidence import bundles, store
from protocols.batch import evidence, pedigree, verify
from protocols.batch.evidence import Inputs
from protocols.batch.pedigree import Report
from tests.cloud.conftest import RunHub, TestHub
from tests.cloud.evidence.chains import MODEL, MODEL_CONTENT, Story, health, risk
from tests.cloud.gateway import problem, tag_table


@pytest.fixture
async def story(hub: TestHub) -> Story:
    return await Story(hub).tell()


async def ask(story: Story, digest: bytes, tenant: str = "default") -> httpx.Response:
    return await story.hub.client.get(f"/v1/evidence/{digest.hex()}/bundle", headers=await story.hub.token(tenant))


def verified(story: Story, data: bytes) -> Report:
    return pedigree.verify(data, story.rigs["rig1"].enrolment["log_key"])


async def exported(story: Story, digest: bytes) -> bytes:
    reply = await ask(story, digest)
    assert reply.status_code == 200, reply.text
    assert verified(story, reply.content).ok
    return reply.content


async def test_a_result_is_exported_with_everything_below_it_and_proven(story: Story) -> None:
    report = verified(story, await exported(story, story.risk))
    assert report.pedigree
    assert [evidence.decode(row.document).name for row in report.pedigree.rows] == ["health rig1", "health rig2", "risk book main"]
    assert [batch.statement for batch in report.pedigree.batches] == [*story.sent["rig1"], *story.sent["rig2"]]
    assert len(report.pedigree.contents) == 2
    assert report.target
    assert report.target.output == {"joint": 12.5}


async def test_the_samples_of_an_export_are_those_that_were_sent(story: Story) -> None:
    opened = list(pedigree.samples_of(pedigree.read(await exported(story, story.risk))))
    assert [one.digest for one in opened] == [story.health["rig1"], story.health["rig2"], story.risk]
    found = opened[0].samples["rig1/plc1.t1"]
    assert found.times_us.tolist() == [at * 1_000_000 for at in (1, 2, 3, 11, 12, 13)]
    assert found.values.tolist() == [0.01, 0.05, 0.09, 0.02, 0.06, 0.1]


async def test_a_row_made_a_moment_ago_is_exported_once_it_stands_in_the_log(story: Story) -> None:
    gateway = story.rigs["rig1"]
    batch = gateway.seal()
    await gateway.send(batch)
    async with story.hub.hub.db.tenant(1) as connection:
        digest = await store.append(connection, 1, health("rig1", [batch], at=99), {}, 99)
    assert verified(story, await exported(story, digest)).ok


async def test_a_row_that_is_not_in_the_log_yet_is_unavailable(run_hub: RunHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "LOG_WAIT_S", 0.0)
    async with run_hub() as hub:
        story = await Story(hub).tell()
    async with run_hub(sweep_interval_s=60.0, integrate_interval_s=60.0) as hub:
        await hub.hub.log.receipts(1, [story.risk], wait_s=5)
        async with hub.hub.db.tenant(1) as connection:
            digest = await store.append(connection, 1, health("rig1", story.sent["rig1"], at=77), {}, 77)
        reply = await hub.client.get(f"/v1/evidence/{digest.hex()}/bundle", headers=await hub.token())
        assert (problem(reply), reply.headers["retry-after"]) == ("unavailable", "1")


async def test_a_batch_replaced_by_a_logged_one_of_another_rig_is_named(
    story: Story, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = story.rigs["rig2"].seal()
    await story.rigs["rig2"].send(other)
    async with story.hub.hub.db.tenant(1) as connection:
        lone = await store.append(connection, 1, health("rig2", [other], at=50), {}, 51)
    foreign = pedigree.read(await exported(story, lone))
    good = pedigree.read(await exported(story, story.risk))
    assert foreign.checkpoint == good.checkpoint
    forged = dataclasses.replace(good, batches=(foreign.batches[0], *good.batches[1:]))
    report = verified(story, pedigree.write(forged))
    assert report.failed == "references"
    file = tmp_path / "forged.qzb"
    file.write_bytes(pedigree.write(forged))
    assert verify.main([str(file)]) == 1
    out = capsys.readouterr().out
    assert "input batch rig1 live/1/1 of health rig1: expected entry" in out
    assert "found a batch of rig2 live/1/3" in out


async def test_no_changed_byte_of_an_export_passes(story: Story) -> None:
    data = await exported(story, story.risk)
    for at in np.random.default_rng(5).integers(0, len(data), 25).tolist():
        changed = bytearray(data)
        changed[at] ^= 1
        assert not verified(story, bytes(changed)).ok


async def test_batches_of_several_tag_tables_and_keys_are_proven_together(story: Story) -> None:
    gateway = story.rigs["rig1"]
    gateway.table = tag_table("rig1", 4, scale="0.5")
    assert (await gateway.put_table()).status_code == 201
    batch = gateway.seal(gateway.payload(40_000_000))
    await gateway.send(batch)
    async with story.hub.hub.db.tenant(1) as connection:
        digest = await store.append(connection, 1, health("rig1", [*story.sent["rig1"], batch], at=60), {}, 61)
    found = pedigree.read(await exported(story, digest))
    assert len(found.tables) == 2
    (opened,) = pedigree.samples_of(found)
    assert opened.samples["rig1/plc1.t1"].values.tolist()[-3:] == [0.5, 2.5, 4.5]


async def test_a_result_without_batches_is_proven_by_its_contents(story: Story) -> None:
    row = dataclasses.replace(risk({}), inputs=Inputs(contents={"model": evidence.digest(MODEL)}))
    async with story.hub.hub.db.tenant(1) as connection:
        digest = await store.append(connection, 1, row, {}, 70)
    found = pedigree.read(await exported(story, digest))
    assert (found.batches, found.tables, found.certificates, found.contents) == ((), (), (), (MODEL,))


async def test_an_export_beyond_a_limit_is_refused_with_the_limit_named(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, limit, told in (("MAX_ROWS", 2, "2 rows"), ("MAX_BATCHES", 3, "3 batches"), ("MAX_BYTES", 200, "MiB")):
        with monkeypatch.context() as patch:
            patch.setattr(bundles, name, limit)
            reply = await ask(story, story.risk)
        assert (problem(reply), reply.status_code) == ("too-large", 413)
        assert told in reply.json()["detail"]
    await exported(story, story.risk)


async def test_many_batches_are_fetched_in_several_portions(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "BATCHES_AT_ONCE", 2)
    gateway = story.rigs["rig2"]
    sent = [gateway.seal() for _ in range(5)]
    await gateway.send(*sent)
    async with story.hub.hub.db.tenant(1) as connection:
        digest = await store.append(connection, 1, health("rig2", sent[::-1], at=60), MODEL_CONTENT, 61)
    found = pedigree.read(await exported(story, digest))
    assert [batch.statement for batch in found.batches] == sent[::-1]


async def test_another_tenant_gets_no_export(story: Story) -> None:
    await story.hub.tenant("other")
    assert problem(await ask(story, story.risk, "other")) == "not-found"
    assert problem(await ask(story, bytes(32))) == "not-found"
