"""What frees a batch, and what never does: the forwarder against a hub that loses replies, lies, forks, rewinds and refuses."""

import asyncio
import base64
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from edge.buffer import LIVE, Backlog
from edge.config import BufferConfig, Policies, WhenFull
from edge.control import NoFork
from edge.forwarder import Forwarder, ForwardError, HubDishonest
from edge.intake import Intake
from protocols import signed
from protocols.batch import cbor, merkle, statement
from protocols.devicemap import Device, DeviceMap, Tag, TagTable, TagType
from protocols.frame import Block, Frame
from protocols.signing import Ed25519Signer, Ed25519Verifier
from tests.edge.hub_simulator import HubSimulator, problem
from tests.fakes import FakeClock, RecordedTracing

GATEWAY = "urn:qz:gw:rig1"
TABLE = TagTable.build(GATEWAY, [Device("d", DeviceMap("m", "x", (), "modbus", None, (Tag("t", "0", TagType.INT32),)), "a:1")])


class Site:
    """Buffer, forwarder and hub of one gateway."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.signer = Ed25519Signer.generate()
        self.hub = HubSimulator(Ed25519Verifier(self.signer.public))
        config = BufferConfig(max_bytes=50_000_000, policies=Policies(), commit_every_us=1000, seal_every_us=1_000_000)
        self.intake = Intake(folder / "buffer.db", config, GATEWAY, TABLE, self.signer, self.clock)
        self.forwarder = Forwarder(self.intake, "http://hub.test", self.hub.enrolment, self.clock, self.hub.client())

    async def seal(self, *values: int, stream: str = LIVE) -> None:
        """One batch per value."""
        for value in values:
            self.clock.advance(1_000_000)
            now = self.clock.now_us()
            block = Block(np.zeros(1, np.uint32), np.array([now], np.int64), np.array([[value]], np.int32))
            await self.intake.call(self.intake.buffer.append, [Frame("d", now, [block])])
            await self.intake.call(self.intake.buffer.seal, GATEWAY, self.signer, stream, now)

    async def backlog(self) -> Backlog:
        return await self.intake.backlog()

    async def run_until_drained(self) -> None:
        """The forwarder as a task, with clock and sealing of events going on."""
        task = asyncio.create_task(self.forwarder.run())
        async with asyncio.timeout(20):
            while (
                await self.intake.call(self.intake.buffer.seal_events, GATEWAY, self.signer, self.clock.now_us())
                or (await self.backlog()).sealed_batches
                or not self.forwarder.state.connected
            ):
                self.forwarder.wake()
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def stored_events(self) -> list[dict[Any, Any]]:
        return [event for data in self.hub.stored.values() for event in statement.parse(data).open().events]

    def stored_values(self) -> list[int]:
        return [int(group.values[0, 0]) for data in self.hub.stored.values() for group in statement.parse(data).open().groups]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(tmp_path)
    await made.intake.open()
    yield made
    await made.intake.close()


async def test_the_hub_is_told_what_still_waits_since_when_and_when_it_is_full(site: Site, tmp_path: Path) -> None:
    await site.seal(1)
    oldest_us = (await site.backlog()).oldest_sealed_us
    await site.seal(*range(2, 67))
    telling = Forwarder(
        site.intake,
        "http://hub.test",
        site.hub.enrolment,
        site.clock,
        site.hub.client(),
        full_in_s=lambda found: found.sealed_batches * 1.5,
    )
    assert await telling.send_once() == 64
    assert site.hub.told == {"size": "0", "backlog": "2", "oldest_us": str(oldest_us), "full_in_s": "99"}
    await site.forwarder.send_once()
    assert "full_in_s" not in site.hub.told


async def test_verified_receipts_free_the_batches_and_are_kept(site: Site) -> None:
    await site.seal(1, 2, 3)
    assert await site.forwarder.send_once() == 3
    backlog = await site.backlog()
    assert (backlog.sealed_batches, backlog.acknowledged_batches) == (0, 3)
    assert site.forwarder.state.receipts_verified == 3
    assert site.stored_values() == [1, 2, 3]
    assert await site.forwarder.send_once() == 0


async def test_lost_reply_is_answered_by_the_same_bytes_and_stored_once(site: Site) -> None:
    await site.seal(1, 2)
    site.hub.before.append(lambda: None)
    with pytest.raises(httpx.ReadError):
        await site.forwarder.send_once()
    assert (await site.backlog()).sealed_batches == 2
    await site.forwarder.send_once()
    assert site.hub.bodies[0] == site.hub.bodies[1]
    assert site.stored_values() == [1, 2]
    assert (await site.backlog()).sealed_batches == 0


async def test_live_batches_go_before_older_backfill(site: Site) -> None:
    await site.seal(1, 2, stream="backfill")
    await site.seal(3)
    await site.forwarder.send_once()
    assert site.stored_values() == [3, 1, 2]


async def test_batch_stored_but_not_yet_logged_stays_in_the_queue(site: Site) -> None:
    await site.seal(1)
    site.hub.integrates = False
    await site.forwarder.send_once()
    assert (await site.backlog()).sealed_batches == 1
    site.hub.integrates = True
    await site.forwarder.send_once()
    assert (await site.backlog()).sealed_batches == 0


async def test_receipt_signed_by_another_key_frees_nothing(site: Site) -> None:
    await site.seal(1)
    site.hub.receipt_signer = Ed25519Signer.generate()
    with pytest.raises(HubDishonest):
        await site.forwarder.send_once()
    assert (await site.backlog()).sealed_batches == 1
    assert site.forwarder.state.alarm


async def test_receipt_of_another_batch_frees_nothing(site: Site) -> None:
    await site.seal(1, 2)
    honest = site.hub.reply
    site.hub.reply = lambda items, size: honest(items[::-1], size)  # type: ignore[method-assign]
    with pytest.raises(HubDishonest):
        await site.forwarder.send_once()
    assert (await site.backlog()).sealed_batches == 2


async def test_every_flipped_byte_of_a_reply_frees_nothing(site: Site) -> None:
    await site.seal(1)
    good = site.hub._take
    await site.forwarder.send_once()
    await site.seal(2)
    batch = (await site.intake.call(site.intake.buffer.waiting, LIVE, max_batches=1, max_bytes=1 << 20))[0]
    content = good(batch.statement, 1).content
    for position in range(len(content)):
        broken = content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]
        with pytest.raises(HubDishonest):
            site.forwarder._verify(broken, [batch])
    assert len(site.forwarder._verify(content, [batch])[1]) == 1


async def test_forked_log_raises_an_alarm_and_keeps_the_data(site: Site) -> None:
    await site.seal(1, 2, 3)
    await site.forwarder.send_once()
    site.hub.fork()
    await site.seal(4)
    with pytest.raises(HubDishonest, match=r"consist|root"):
        await site.forwarder.send_once()
    assert (await site.backlog()).sealed_batches == 1


async def test_log_that_went_back_is_trusted_as_far_as_receipts_prove_it_and_fed_the_rest(site: Site) -> None:
    for value in range(6):
        await site.seal(value)
        await site.forwarder.send_once()
    broken = await site.intake.call(site.intake.buffer.checkpoint)
    site.hub.rewind(3)
    await site.run_until_drained()
    assert sorted(site.stored_values()) == [0, 1, 2, 3, 4, 5]
    assert site.hub.tree.size == 7  # the six, and the event that tells of it
    assert site.forwarder.state.log_went_back_us
    assert not site.forwarder.state.alarm
    (event,) = site.stored_events()
    assert (event["kind"], event["source"], event["detail"]["checkpoint"]) == ("alarm", "hub log", broken)
    assert event["detail"]["proven_size"] <= 3


async def test_log_that_went_back_is_noticed_before_new_batches_hide_it(site: Site) -> None:
    for value in range(6):
        await site.seal(value)
        await site.forwarder.send_once()
    site.hub.rewind(2)
    await site.seal(*range(6, 20))
    await site.run_until_drained()
    assert sorted(site.stored_values()) == list(range(20))
    assert len(site.hub.places) == len(site.hub.stored)


async def test_log_that_went_back_to_before_the_first_receipt_is_fed_the_whole_ring(site: Site) -> None:
    await site.seal(1, 2, 3)
    await site.forwarder.send_once()
    site.hub.rewind(0)
    await site.seal(4)
    await site.run_until_drained()
    assert sorted(site.stored_values()) == [1, 2, 3, 4]


async def test_shorter_log_that_is_another_one_frees_nothing(site: Site) -> None:
    for value in range(6):
        await site.seal(value)
        await site.forwarder.send_once()
    site.hub.rewind(3)
    site.hub.fork()
    await site.seal(6)
    with pytest.raises(HubDishonest, match="another log"):
        await site.forwarder.send_once()
    backlog = await site.backlog()
    assert (backlog.sealed_batches, backlog.acknowledged_batches) == (1, 6)


def grow_elsewhere(site: Site, size: int) -> None:
    """As a hub restored from a backup that others have fed since, beyond what this gateway trusts."""
    for number in range(size):
        entry = number.to_bytes(32, "big")
        site.hub.places[entry] = site.hub.tree.append(merkle.leaf_hash(entry))


async def forked(site: Site) -> None:
    for value in range(6):
        await site.seal(value)
        await site.forwarder.send_once()
    site.hub.rewind(3)
    grow_elsewhere(site, 9)
    await site.seal(6)
    with pytest.raises(HubDishonest, match="does not continue"):
        await site.forwarder.send_once()


async def test_log_that_grew_past_the_trusted_one_waits_for_a_person_and_then_loses_nothing(site: Site) -> None:
    await forked(site)
    broken = await site.intake.call(site.intake.buffer.checkpoint)
    assert "half a minute" in site.forwarder.accept_fork("anna", "restored from Sunday's backup")
    await site.run_until_drained()
    assert sorted(site.stored_values()) == list(range(7))
    assert not site.forwarder.state.alarm
    (event,) = site.stored_events()
    detail = event["detail"]
    assert (detail["accepted_by"], detail["accepted_because"], detail["checkpoint"]) == ("anna", "restored from Sunday's backup", broken)
    assert 0 < detail["proven_size"] <= 3
    with pytest.raises(NoFork, match="nothing to accept"):
        site.forwarder.accept_fork("anna", "again")


async def test_log_that_proves_no_receipt_at_all_can_be_accepted_too(site: Site) -> None:
    for value in range(6):
        await site.seal(value)
        await site.forwarder.send_once()
    site.hub.rewind(0)
    grow_elsewhere(site, 9)
    await site.seal(6)
    with pytest.raises(HubDishonest):
        await site.forwarder.send_once()
    site.forwarder.accept_fork("anna", "hub set up anew with the old key")
    await site.run_until_drained()
    assert sorted(site.stored_values()) == list(range(7))
    assert site.stored_events()[0]["detail"]["proven_size"] == 0


async def test_acceptance_of_one_fork_is_none_of_the_next(site: Site) -> None:
    await forked(site)
    site.forwarder.accept_fork("anna", "restored")
    await site.run_until_drained()
    site.hub.fork()
    await site.seal(7)
    with pytest.raises(HubDishonest):
        await site.forwarder.send_once()
    assert site.forwarder.state.alarm
    assert (await site.backlog()).sealed_batches == 1


@pytest.mark.parametrize("why", ["", "  "], ids=["nothing", "blanks"])
async def test_fork_is_accepted_for_a_reason_only(site: Site, why: str) -> None:
    await forked(site)
    with pytest.raises(NoFork, match="say why"):
        site.forwarder.accept_fork("anna", why)


async def test_batches_of_a_former_key_go_with_the_word_of_the_present_one(site: Site) -> None:
    await site.seal(1, 2)
    old, new = site.signer, Ed25519Signer.generate()
    site.intake._signer = site.signer = new
    site.intake.former = {old.key_id: old.verifier()}
    words: list[str] = []
    answer = site.hub.answer

    def note(request: httpx.Request) -> httpx.Response:
        words.append(request.headers.get("vouched", ""))
        return answer(request)

    site.forwarder._client = httpx.AsyncClient(transport=httpx.MockTransport(note))
    await site.forwarder.send_once()
    found = signed.parse(base64.b64decode(words[-1]), "vouched")
    found.verify(new.verifier())
    assert found.content == [statement.entry_hash(data) for data in site.hub.stored.values()]
    assert all(site.intake.is_ours(data) for data in site.hub.stored.values())


async def test_batches_to_be_fed_again_outlive_a_restart_and_wait_behind_live_ones(site: Site) -> None:
    for value in range(5):
        await site.seal(value)
        await site.forwarder.send_once()
    site.hub.rewind(2)
    await site.forwarder._look_back()
    assert (await site.backlog()).sealed_batches == 3
    await site.seal(9)
    await site.forwarder.send_once()
    first = statement.parse(cbor.split_sequence(site.hub.bodies[-1], 64, 4 << 20)[0])
    assert first.open().groups[0].values[0, 0] == 9


async def test_receipted_batch_that_the_file_damaged_stops_nobody(site: Site) -> None:
    await site.seal(1, 2)
    await site.forwarder.send_once()

    def damage() -> None:
        with site.intake.buffer._db as db:
            signed = bytearray(db.execute("SELECT statement FROM batch WHERE id = 2").fetchone()[0])
            signed[-1] ^= 1
            db.execute("UPDATE batch SET statement = ? WHERE id = 2", (bytes(signed),))

    await site.intake.call(damage)
    await site.seal(3)
    await site.run_until_drained()
    assert site.stored_values() == [1, 2, 3]


async def test_request_that_times_out_becomes_smaller(site: Site) -> None:
    """A link that cannot carry a large request in time carries small ones."""
    await site.seal(*range(40))
    site.hub.longest_body = 11_000
    await site.run_until_drained()
    assert site.stored_values() == list(range(40))


async def test_trusted_checkpoint_outlives_a_restart_of_the_agent(site: Site) -> None:
    await site.seal(1, 2, 3)
    await site.forwarder.send_once()
    site.hub.fork()
    await site.seal(4)
    again = Forwarder(site.intake, "http://hub.test", site.hub.enrolment, site.clock, site.hub.client())
    task = asyncio.create_task(again.run())
    while not again.state.alarm:
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (await site.backlog()).sealed_batches == 1


async def test_unknown_tag_table_is_sent_and_the_batch_again(site: Site) -> None:
    await site.seal(1)
    await site.forwarder.send_once()
    site.hub.tables.clear()
    await site.seal(2)
    await site.forwarder.send_once()
    await site.forwarder.send_once()
    assert site.stored_values() == [1, 2]
    assert (await site.backlog()).sealed_batches == 0


async def test_condemned_batch_is_set_aside_and_the_rest_goes_on(site: Site) -> None:
    await site.seal(1, 2, 3)
    site.hub.before.append(lambda: problem("malformed-batch", 400, 1))
    await site.forwarder.send_once()
    await site.forwarder.send_once()
    backlog = await site.backlog()
    assert (backlog.refused_batches, backlog.sealed_batches) == (1, 0)
    assert site.stored_values() == [1, 3]


@pytest.mark.parametrize("slug", ["unknown-key", "revoked-key", "bad-signature", "wrong-gateway"])
async def test_problem_of_identity_keeps_every_batch(site: Site, slug: str) -> None:
    await site.seal(1)
    site.hub.before.append(lambda: problem(slug, 403, 0))
    with pytest.raises(ForwardError, match=slug):
        await site.forwarder.send_once()
    backlog = await site.backlog()
    assert (backlog.sealed_batches, backlog.refused_batches) == (1, 0)


@pytest.mark.parametrize("status", [429, 503])
async def test_hub_that_asks_to_wait_is_obeyed(site: Site, status: int) -> None:
    await site.seal(1)
    site.hub.before.append(lambda: problem("busy", status, **{"retry-after": "7"}))
    with pytest.raises(ForwardError) as caught:
        await site.forwarder.send_once()
    assert caught.value.retry_after_s == 7
    assert (await site.backlog()).sealed_batches == 1


async def test_run_recovers_by_itself_from_errors_of_every_kind(site: Site) -> None:
    await site.seal(*range(5))
    site.hub.before += [
        lambda: httpx.Response(500, text="boom"),
        lambda: problem("unavailable", 503, **{"retry-after": "1"}),
        lambda: httpx.Response(200, content=b"half an ans"),
        lambda: None,
        lambda: httpx.Response(404, text="<html>a proxy</html>"),
    ]
    task = asyncio.create_task(site.forwarder.run())
    async with asyncio.timeout(20):
        while (await site.backlog()).sealed_batches:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert site.stored_values() == list(range(5))
    assert site.forwarder.state.connected


async def test_a_request_carries_its_trace_to_the_hub_and_says_nothing_of_the_samples(site: Site) -> None:
    tracing, headers = RecordedTracing(), list[str]()

    def answer(request: httpx.Request) -> httpx.Response:
        headers.append(request.headers.get("traceparent", ""))
        return site.hub.answer(request)

    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    traced = Forwarder(site.intake, "http://hub.test", site.hub.enrolment, site.clock, client, tracing)
    await site.seal(4711, 4712)
    assert await traced.send_once() == 2
    assert headers[-1].startswith("00-0000")
    assert [(name, found.get("batches")) for name, _, found in tracing.spans] == [("forward", 2), ("receipt", 2)]
    assert {key for _, _, found in tracing.spans for key in found} == {"batches", "bytes", "receipts"}
    await site.seal(4713)
    await site.forwarder.send_once()  # which has not been told to trace
    assert len(tracing.spans) == 2


async def test_batch_is_marked_as_offered_unless_no_connection_came_about(tmp_path: Path) -> None:
    site = Site(tmp_path)
    config = BufferConfig(max_bytes=50_000_000, policies=Policies(normal=WhenFull.THIN_OUT), commit_every_us=1000, seal_every_us=1_000_000)
    site.intake = Intake(tmp_path / "thinned.db", config, GATEWAY, TABLE, site.signer, site.clock)
    await site.intake.open()
    await site.seal(1, 2)
    offered = []
    for error in (httpx.ConnectError("refused"), httpx.ReadError("cut")):

        def fail(_: httpx.Request, error: httpx.TransportError = error) -> httpx.Response:
            raise error

        client = httpx.AsyncClient(transport=httpx.MockTransport(fail))
        forwarder = Forwarder(site.intake, "http://hub.test", site.hub.enrolment, site.clock, client)
        forwarder._offer_tag_tables = nothing  # type: ignore[method-assign, assignment]
        with pytest.raises(httpx.TransportError):
            await forwarder.send_once()
        with sqlite3.connect(tmp_path / "thinned.db") as connection:
            offered.append(connection.execute("SELECT sum(offered) FROM batch").fetchone()[0])
        connection.close()
    await site.intake.close()
    assert offered == [0, 2]


async def nothing(_: object) -> None:
    """The hub has the tag tables."""
