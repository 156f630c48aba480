"""Nothing that was appended is lost, batches never change, and only a receipt makes them evictable."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.buffer import BACKFILL, DEFAULT_POLICIES, EVENT, GAP_JOIN_US, LIVE, Buffer, BufferFull, BufferTrouble
from edge.config import Policies, WhenFull
from protocols.batch import columns, statement
from protocols.batch.columns import Gap, GapReason
from protocols.devicemap import Device, DeviceMap, Tag, TagTable, TagType
from protocols.event import Event
from protocols.frame import Block, Frame
from protocols.signing import Ed25519Signer, Ed25519Verifier

GATEWAY = "urn:qz:gw:rig1"
TAGS = tuple(Tag(f"t{index}", str(index), TagType.INT32) for index in range(4))
TABLE = TagTable.build(GATEWAY, [Device("d", DeviceMap("m", "x", (), "modbus", None, TAGS), "a:1")])
SIGNER = Ed25519Signer.generate()
NOW = 1_700_000_000_000_000


def open_buffer(path: Path, now_us: int = NOW, max_bytes: int = 50_000_000, policies: Policies = DEFAULT_POLICIES) -> Buffer:
    buffer = Buffer.open(path, now_us, max_bytes=max_bytes, policies=policies)
    buffer.use_table(TABLE, SIGNER, GATEWAY)
    return buffer


def grid(now_us: int, value: int) -> Frame:
    tags = np.arange(4, dtype=np.uint32)
    return Frame("d", now_us, [Block(tags, np.array([now_us], np.int64), np.full((1, 4), value, np.int32))])


def scattered(now_us: int, value: int) -> Frame:
    block = Block(
        np.array([2, 0], np.uint32),
        np.array([now_us, now_us], np.int64),
        np.array([value, -value], np.int32),
        np.array([0, 0x80310000], np.uint32),
    )
    return Frame("d", now_us, [block])


def samples_of(statements: list[bytes]) -> list[tuple[int, int, int, int]]:
    """(tag, time, value, quality) of every sample, in the order of the batches."""
    found = []
    for data in statements:
        for group in statement.parse(data).open().groups:
            for row, time_us in enumerate(group.times_us.tolist()):
                for column, tag in enumerate(group.tags.tolist()):
                    quality = 0 if group.quality is None else int(group.quality[row, column])
                    found.append((tag, time_us, int(group.values[row, column]), quality))
    return found


def everything(buffer: Buffer) -> list[bytes]:
    return [batch.statement for stream in (LIVE, BACKFILL) for batch in buffer.waiting(stream, max_batches=1000, max_bytes=1 << 30)]


def test_append_counts_samples_and_seal_carries_them_exactly(tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path / "b.db")
    assert buffer.append([grid(NOW, 7), scattered(NOW + 5, 9)]) == 6
    assert buffer.seal(GATEWAY, SIGNER, LIVE, NOW + 10) == (1, 6)
    expected = [(tag, NOW, 7, 0) for tag in range(4)] + [(2, NOW + 5, 9, 0), (0, NOW + 5, -9, 0x80310000)]
    assert sorted(samples_of(everything(buffer))) == sorted(expected)


def test_batches_are_numbered_chained_and_verify(tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path / "b.db")
    for index in range(3):
        buffer.append([grid(NOW + index, index)])
        buffer.seal(GATEWAY, SIGNER, LIVE, NOW)
    parsed = [statement.parse(data) for data in everything(buffer)]
    assert [found.header.seq for found in parsed] == [1, 2, 3]
    assert [found.header.prev for found in parsed[1:]] == [statement.entry_hash(data) for data in everything(buffer)[:2]]
    for found in parsed:
        found.verify(Ed25519Verifier(SIGNER.public))
        assert found.open().table_digest == TABLE.digest


def test_reopened_buffer_returns_the_same_bytes_and_continues_the_chain(tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path / "b.db")
    buffer.append([grid(NOW, 1)])
    buffer.seal(GATEWAY, SIGNER, LIVE, NOW)
    before, epoch = everything(buffer), buffer.epoch
    buffer.append([grid(NOW + 1, 2)])
    del buffer
    again = open_buffer(tmp_path / "b.db", NOW + 100)
    assert (everything(again), again.epoch) == (before, epoch)
    again.seal(GATEWAY, SIGNER, LIVE, NOW + 100)
    assert statement.parse(everything(again)[1]).header.seq == 2
    assert {value for _, _, value, _ in samples_of(everything(again))} == {1, 2}


def test_only_acknowledged_batches_leave_the_queue_and_their_receipts_stay(tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path / "b.db")
    for index in range(2):
        buffer.append([grid(NOW + index, index)])
        buffer.seal(GATEWAY, SIGNER, LIVE, NOW)
    first = buffer.waiting(LIVE, max_batches=1, max_bytes=1 << 20)[0]
    buffer.acknowledge([(first.id, b"receipt")], "checkpoint text")
    assert [batch.seq for batch in buffer.waiting(LIVE, max_batches=10, max_bytes=1 << 20)] == [2]
    assert buffer.checkpoint() == "checkpoint text"
    assert buffer.backlog().acknowledged_batches == 1


def test_killed_agent_leaves_a_gap_that_the_next_batch_carries(tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path / "b.db")
    buffer.append([grid(NOW, 1)])
    del buffer
    again = open_buffer(tmp_path / "b.db", NOW + 9_000_000)
    again.seal(GATEWAY, SIGNER, LIVE, NOW + 9_000_000)
    assert statement.parse(everything(again)[0]).open().gaps == (Gap(NOW - GAP_JOIN_US, NOW + 9_000_000, GapReason.AGENT_DOWN),)


def gaps_of(buffer: Buffer) -> list[Gap]:
    return [gap for data in everything(buffer) for gap in statement.parse(data).open().gaps]


def test_boot_at_1970_declares_the_absence_once_a_device_tells_the_time(tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path / "b.db")
    buffer.append([grid(NOW, 1)])
    del buffer
    again = open_buffer(tmp_path / "b.db", 5_000_000)
    again.append([grid(6_000_000, 2)])  # a device without a clock has the gateway's wrong time
    again.seal(GATEWAY, SIGNER, LIVE, 6_500_000)
    assert gaps_of(again) == []
    del again
    third = open_buffer(tmp_path / "b.db", 7_000_000)
    third.append([replace(grid(NOW + 8_000_000, 3), gateway_us=8_000_000)])
    third.append([grid(NOW + 9_000_000, 4)])
    third.seal(GATEWAY, SIGNER, LIVE, NOW + 9_500_000)
    assert Gap(NOW - GAP_JOIN_US, NOW + 8_000_000, GapReason.AGENT_DOWN) in gaps_of(third)


def test_absence_after_a_clock_that_was_a_year_ahead_is_counted_by_the_clocks_of_the_devices(tmp_path: Path) -> None:
    year_us = 365 * 86_400_000_000
    buffer = open_buffer(tmp_path / "b.db")
    buffer.append([replace(grid(NOW, 1), gateway_us=NOW + year_us)])
    del buffer
    again = open_buffer(tmp_path / "b.db", NOW + 9_000_000)
    again.seal(GATEWAY, SIGNER, LIVE, NOW + 9_000_000)
    assert gaps_of(again) == [Gap(NOW - GAP_JOIN_US, NOW + 9_000_000, GapReason.AGENT_DOWN)]


def test_open_rows_lost_with_a_damaged_file_lie_in_the_declared_gap(tmp_path: Path) -> None:
    path = tmp_path / "b.db"
    buffer = open_buffer(path)
    buffer.append([grid(NOW, 1)])
    buffer.evict(NOW + 4_000_000)
    buffer.abandon()
    overwrite(path)
    again = open_buffer(path, NOW + 9_000_000)
    again.seal(GATEWAY, SIGNER, LIVE, NOW + 9_000_000)
    assert gaps_of(again) == [Gap(NOW - GAP_JOIN_US, NOW + 9_000_000, GapReason.BUFFER_QUARANTINED)]


def test_stopped_agent_says_so(tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path / "b.db")
    buffer.append([grid(NOW, 1)])
    buffer.close(NOW + 10)
    again = open_buffer(tmp_path / "b.db", NOW + 50)
    again.seal(GATEWAY, SIGNER, LIVE, NOW + 60)
    assert statement.parse(everything(again)[0]).open().gaps == (Gap(NOW + 10, NOW + 50, GapReason.AGENT_STOPPED),)


def test_full_buffer_drops_acknowledged_first_then_oldest_and_records_the_gap(tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path / "b.db", max_bytes=20_000)
    for index in range(200):
        buffer.append([grid(NOW + index, index)])
        buffer.seal(GATEWAY, SIGNER, LIVE, NOW + index)
        if index < 10:
            batch = buffer.waiting(LIVE, max_batches=1, max_bytes=1 << 20)[0]
            buffer.acknowledge([(batch.id, b"")], "")
    assert buffer.backlog().total_bytes <= 20_000 + len(everything(buffer)[-1])
    assert buffer.backlog().acknowledged_batches == 0
    kept = {value for _, _, value, _ in samples_of(everything(buffer))}
    gaps = [gap for data in everything(buffer) for gap in statement.parse(data).open().gaps]
    newest_dropped = max(set(range(200)) - kept)
    assert newest_dropped == min(kept) - 1
    assert covered(gaps, GapReason.DROPPED_BY_CAP, NOW) >= set(range(10, newest_dropped + 1))
    assert covered(gaps, GapReason.SEALED_DROPPED, 0) == set(range(11, newest_dropped + 2))


def covered(gaps: list[Gap], reason: GapReason, origin: int) -> set[int]:
    return {number - origin for gap in gaps if gap.reason == reason for number in range(gap.start, gap.end + 1)}


def test_full_buffer_that_may_not_drop_refuses_the_newest_frames_whole(tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path / "b.db", max_bytes=3_000, policies=Policies(WhenFull.STOP_NEWEST))
    buffer.append([grid(NOW, 1)])
    buffer.seal(GATEWAY, SIGNER, LIVE, NOW)
    frames = [grid(NOW + index, 2) for index in range(200)]
    with pytest.raises(BufferFull, match="max_size") as raised:
        buffer.append(frames)
    kept = buffer.backlog().open_samples // 4
    assert 0 < kept < 200
    assert raised.value.refused == tuple(frames[kept:])
    assert buffer.backlog().total_bytes <= 3_000
    assert buffer.backlog().sealed_batches == 1


def test_refused_batch_is_kept_aside_with_its_cause(tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path / "b.db")
    buffer.append([grid(NOW, 1)])
    buffer.seal(GATEWAY, SIGNER, LIVE, NOW)
    batch = buffer.waiting(LIVE, max_batches=1, max_bytes=1 << 20)[0]
    buffer.refuse(batch.id, "chain-broken")
    assert not everything(buffer)
    assert buffer.backlog().refused_batches == 1


def test_message_identities_outlive_a_kill_with_their_frame(tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path / "b.db")
    first, second = b"a" * 16, b"b" * 16
    buffer.append([replace(scattered(NOW, 1), messages=(first, second))])
    buffer.seal(GATEWAY, SIGNER, LIVE, NOW)
    del buffer
    again = open_buffer(tmp_path / "b.db")
    assert again.delivered("d") == {first, second}
    assert again.delivered("other") == frozenset()


def test_last_blocks_gives_newest_samples_from_batches_and_open_rows(tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path / "b.db")
    buffer.append([grid(NOW, 1)])
    buffer.seal(GATEWAY, SIGNER, LIVE, NOW)
    buffer.append([scattered(NOW + 1, 2)])
    assert [block.times_us[-1] for block in buffer.last_blocks()] == [NOW, NOW + 1]


def overwrite(path: Path) -> None:
    path.write_bytes(b"this is no database" * 500)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def scribble(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096 : 4096 * 3] = b"\xa5" * (4096 * 2)
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [overwrite, truncate, scribble], ids=["no database", "truncated", "page overwritten"])
def test_corrupt_file_is_quarantined_and_the_loss_recorded(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = tmp_path / "b.db"
    buffer = open_buffer(path)
    buffer.append([grid(NOW + index, index) for index in range(50)])
    buffer.evict(NOW)
    epoch = buffer.epoch
    buffer.close(NOW)
    damage(path)
    again = open_buffer(path, NOW + 1_000_000_000)
    assert list(tmp_path.glob("b.db.corrupt-*"))
    assert again.epoch != epoch
    again.append([grid(NOW + 1_000_000_001, 1)])
    again.seal(GATEWAY, SIGNER, LIVE, NOW + 1_000_000_002)
    gap = statement.parse(everything(again)[0]).open().gaps[0]
    assert (gap.reason, gap.end) == (GapReason.BUFFER_QUARANTINED, NOW + 1_000_000_000)


def test_row_that_cannot_be_sealed_is_set_aside_and_blocks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = open_buffer(tmp_path / "b.db")
    buffer.append([grid(NOW + index, index) for index in range(7)])
    real = columns.gather

    def choke(blocks: list[Block]) -> object:
        if any(int(block.values.flat[0]) == 3 for block in blocks):
            raise ValueError("a block of a shape nobody knows")
        return real(blocks)

    monkeypatch.setattr(columns, "gather", choke)
    buffer.seal(GATEWAY, SIGNER, LIVE, NOW)
    assert {value for _, _, value, _ in samples_of(everything(buffer))} == {0, 1, 2, 4, 5, 6}
    gaps = [gap for data in everything(buffer) for gap in statement.parse(data).open().gaps]
    assert gaps == [Gap(NOW + 3 - GAP_JOIN_US, NOW + 3, GapReason.BUFFER_QUARANTINED, 4)]
    assert sqlite3.connect(tmp_path / "b.db").execute("SELECT cause FROM set_aside").fetchall() == [("a block of a shape nobody knows",)]


def test_batch_that_would_be_too_large_is_cut_smaller(tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path / "b.db", max_bytes=200_000_000)
    dice = np.random.default_rng(1)
    tags = np.zeros(120_000, np.uint32)
    for index in range(2):
        times = NOW + dice.integers(0, 1 << 60, tags.size)
        block = Block(tags, times, dice.standard_normal(tags.size), dice.integers(0, 1 << 32, tags.size).astype(np.uint32))
        buffer.append([Frame("d", NOW + index, [block])])
    batches, samples = buffer.seal(GATEWAY, SIGNER, LIVE, NOW)
    assert samples == 240_000
    assert batches == 2
    assert max(len(data) for data in everything(buffer)) <= statement.MAX_STATEMENT


def test_buffer_of_another_version_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "b.db"
    open_buffer(path).close(NOW)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(BufferTrouble, match="schema 99"):
        open_buffer(path)
    assert path.exists()
    assert not list(tmp_path.glob("*.corrupt-*"))


def test_new_tag_table_does_not_mix_with_rows_of_the_old_one(tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path / "b.db")
    buffer.append([grid(NOW, 1)])
    other = TagTable.build(GATEWAY, [Device("e", DeviceMap("m", "x", (), "modbus", None, TAGS), "a:1")])
    buffer.use_table(other, SIGNER, GATEWAY)
    buffer.append([grid(NOW + 1, 2)])
    assert buffer.seal(GATEWAY, SIGNER, LIVE, NOW)[0] == 2
    assert [statement.parse(data).open().table_digest for data in everything(buffer)] == [TABLE.digest, other.digest]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["append", "scatter", "seal live", "seal backfill", "acknowledge", "kill", "stop"]), max_size=25))
def test_any_sequence_of_operations_keeps_every_sample_once(tmp_path_factory: pytest.TempPathFactory, operations: list[str]) -> None:
    path = tmp_path_factory.mktemp("model") / "b.db"
    buffer, clock = open_buffer(path), NOW
    expected: list[tuple[int, int, int, int]] = []
    cleared: list[bytes] = []
    for step, operation in enumerate(operations):
        clock += 1000
        if operation in ("append", "scatter"):
            buffer.append([grid(clock, step) if operation == "append" else scattered(clock, step)])
            new = (
                [(tag, clock, step, 0) for tag in range(4)]
                if operation == "append"
                else [(2, clock, step, 0), (0, clock, -step, 0x80310000)]
            )
            expected += new
        elif operation.startswith("seal"):
            buffer.seal(GATEWAY, SIGNER, operation.split()[1], clock)
        elif operation == "acknowledge":
            batches = buffer.waiting(LIVE, max_batches=2, max_bytes=1 << 30)
            cleared += [batch.statement for batch in batches]
            buffer.acknowledge([(batch.id, b"r") for batch in batches], "c")
        else:
            if operation == "stop":
                buffer.close(clock)
            buffer = open_buffer(path, clock + 500)
    buffer.seal(GATEWAY, SIGNER, LIVE, clock)
    assert sorted(samples_of(cleared + everything(buffer))) == sorted(expected)
    assert sqlite3.connect(path).execute("SELECT count(*) FROM open").fetchone() == (0,)


def happened(number: int) -> Event:
    return Event("alarm", "d", "level", NOW + number, NOW + number, f"message {number}", 500, {"active": True, "share": 0.25})


def test_events_are_signed_in_a_stream_of_their_own_and_survive_a_kill(tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path / "buffer.db")
    buffer.append([Frame("d", NOW, (), events=[happened(1), happened(2)]), replace(grid(NOW, 7), events=[happened(3)])])
    buffer.abandon()
    again = open_buffer(tmp_path / "buffer.db", NOW + 10)
    assert again.seal(GATEWAY, SIGNER, LIVE, NOW + 20)[1] == 4
    assert again.seal_events(GATEWAY, SIGNER, NOW + 20) == 1
    (batch,) = again.waiting(EVENT, max_batches=9, max_bytes=1_000_000)
    parsed = statement.parse(batch.statement)
    assert parsed.header.stream == "event"
    assert [Event.parse(members) for members in parsed.open().events] == [happened(1), happened(2), happened(3)]
    assert again.seal_events(GATEWAY, SIGNER, NOW + 21) == 0
    assert again.backlog().sealed_batches == 2


def test_many_events_become_several_batches_of_one_chain(tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path / "buffer.db")
    buffer.append([Frame("d", NOW, (), events=[happened(number) for number in range(4_500)])])
    assert buffer.seal_events(GATEWAY, SIGNER, NOW + 20) == 3
    batches = buffer.waiting(EVENT, max_batches=9, max_bytes=10_000_000)
    assert [batch.seq for batch in batches] == [1, 2, 3]
    found = [Event.parse(members) for batch in batches for members in statement.parse(batch.statement).open().events]
    assert found == [happened(number) for number in range(4_500)]
    assert statement.parse(batches[1].statement).header.prev == statement.entry_hash(batches[0].statement)


def test_open_rows_of_earlier_versions_are_read_and_altered_ones_refused(tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path / "b.db")
    packed = buffer._open.packing.pack(grid(NOW, 7).blocks)
    (block,) = buffer._open.packing.unpack(packed[5:])  # without mark and checksum
    assert block.values.tolist() == [[7, 7, 7, 7]]
    with pytest.raises(ValueError, match="altered"):
        list(buffer._open.packing.unpack(packed[:-1] + b"\x01"))
