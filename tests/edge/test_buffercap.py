"""What goes at the cap: the lowest class first, by its policy, declared and counted; nothing doubled, and room again without a restart."""

import ctypes
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from edge.buffer import BACKFILL, EVENT, LIVE, Buffer, BufferFull
from edge.buffercap import halved
from edge.buffergaps import Drop
from edge.config import Policies, WhenFull
from protocols.batch import statement
from protocols.batch.columns import Gap, GapReason, Group
from protocols.devicemap import Device, DeviceMap, Tag, TagTable, TagType
from protocols.event import Event
from protocols.frame import Block, Frame, Priority
from protocols.signing import Ed25519Signer, Ed25519Verifier

GATEWAY = "urn:qz:gw:rig1"
TAGS = (*(Tag(f"t{index}", str(index), TagType.FLOAT64) for index in range(19)), Tag("on", "19", TagType.BOOL))
MAP = DeviceMap("m", "x", (), "modbus", None, TAGS)
DEVICES = [
    Device(one.name.lower(), MAP, "a:1", first_id=20 * one, priority=one) for one in (Priority.BULK, Priority.NORMAL, Priority.CRITICAL)
]
TABLE = TagTable.build(GATEWAY, DEVICES)
SIGNER = Ed25519Signer.generate()
NOW = 1_700_000_000_000_000
CAP = 60_000
KEEP, THIN, STOP = WhenFull.DROP_OLDEST, WhenFull.THIN_OUT, WhenFull.STOP_NEWEST


class Gateway:
    """A buffer, and every sample that was offered to it."""

    def __init__(self, folder: Path, policies: Policies, max_bytes: int = CAP) -> None:
        self.path, self.policies, self.max_bytes = folder / "buffer.db", policies, max_bytes
        self.noise = np.random.default_rng(1)
        self.now_us, self.rows = NOW, 1
        self.collected: set[tuple[int, int]] = set()
        self.refused: dict[Priority, int] = dict.fromkeys(Priority, 0)
        self.reopen()

    def reopen(self) -> None:
        self.buffer = Buffer.open(self.path, self.now_us, max_bytes=self.max_bytes, policies=self.policies)
        self.buffer.use_table(TABLE, SIGNER, GATEWAY)

    def frame(self, priority: Priority) -> Frame:
        times = self.now_us + np.arange(self.rows, dtype=np.int64)
        ids = np.arange(20 * priority, 20 * priority + 20, dtype=np.uint32)
        values = self.noise.normal(size=(self.rows, len(TAGS)))
        values[:, -1] = 0.0
        return Frame(priority.name.lower(), self.now_us, [Block(ids, times, values)], priority=priority)

    def run(self, seconds: int, *classes: Priority) -> None:
        """Ten frames of each class and second, then sealed."""
        for _ in range(seconds):
            for _ in range(10):
                self.now_us += 100_000
                self.append([self.frame(one) for one in classes])
            self.buffer.seal(GATEWAY, SIGNER, LIVE, self.now_us)

    def append(self, frames: list[Frame]) -> None:
        refused: tuple[Frame, ...] = ()
        try:
            self.buffer.append(frames)
        except BufferFull as error:
            refused = error.refused
        for frame in frames:
            if any(frame is one for one in refused):
                self.refused[frame.priority] += frame.samples
            else:
                self.collected.update(
                    (tag, time_us) for block in frame.blocks for tag in block.tags.tolist() for time_us in block.times_us.tolist()
                )

    def payloads(self) -> list[statement.Payload]:
        self.buffer.seal(GATEWAY, SIGNER, LIVE, self.now_us)
        self.buffer.seal(GATEWAY, SIGNER, BACKFILL, self.now_us)
        found = [one for stream in (LIVE, BACKFILL, EVENT) for one in self.buffer.waiting(stream, max_batches=10_000, max_bytes=1 << 30)]
        for one in found:
            statement.parse(one.statement).verify(Ed25519Verifier(SIGNER.public))
        return [statement.parse(one.statement).open() for one in found]

    def samples(self) -> list[tuple[int, int]]:
        """(tag, time) of all that is kept."""
        found = []
        for payload in self.payloads():
            for group in payload.groups:
                found += [(tag, time_us) for tag in group.tags.tolist() for time_us in group.times_us.tolist()]
        return found

    def gaps(self) -> list[Gap]:
        return [gap for payload in self.payloads() for gap in payload.gaps]


def of_class(samples: set[tuple[int, int]] | list[tuple[int, int]], priority: Priority) -> int:
    return sum(tag // 20 == priority for tag, _ in samples)


def test_bulk_makes_room_for_the_rest_and_every_sample_is_kept_or_counted(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, Policies(bulk=KEEP))
    gateway.run(25, Priority.BULK, Priority.NORMAL, Priority.CRITICAL)
    kept = gateway.samples()
    assert len(kept) == len(set(kept))
    missing = gateway.collected - set(kept)
    assert of_class(kept, Priority.CRITICAL) == of_class(gateway.collected, Priority.CRITICAL)
    assert of_class(missing, Priority.BULK) > of_class(missing, Priority.NORMAL)
    assert gateway.refused[Priority.CRITICAL] == 0
    counted = {one.priority: one.samples for one in gateway.buffer.dropped() if one.reason is GapReason.DROPPED_BY_CAP}
    for priority in (Priority.BULK, Priority.NORMAL):
        assert counted.get(priority, 0) == of_class(missing, priority)


def test_thinned_history_keeps_its_span_and_loses_resolution(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, Policies(bulk=THIN))
    gateway.run(60, Priority.BULK)
    kept = gateway.samples()
    assert len(kept) == len(set(kept))
    assert set(kept) < gateway.collected
    times = sorted({time_us for _, time_us in kept})
    assert times[0] <= NOW + 200_000
    assert max(after - before for before, after in pairwise(times)) <= 3_200_000
    (drop,) = gateway.buffer.dropped()
    assert drop == Drop(GapReason.THINNED_OUT, Priority.BULK, len(gateway.collected) - len(kept))


def test_gap_records_add_up_to_the_drops_by_cause(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, Policies(bulk=THIN))
    gateway.run(60, Priority.BULK, Priority.NORMAL)
    told: dict[tuple[int, int], int] = {}
    for gap in gateway.gaps():
        if gap.samples:
            told[gap.reason, gap.priority] = told.get((gap.reason, gap.priority), 0) + gap.samples
    assert told == {(int(one.reason), int(one.priority)): one.samples for one in gateway.buffer.dropped()}
    assert {GapReason.THINNED_OUT, GapReason.DROPPED_BY_CAP} <= {reason for reason, _ in told}


def test_numbers_of_all_dropped_batches_are_declared(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, Policies(bulk=THIN))
    gateway.run(60, Priority.BULK, Priority.NORMAL)
    gateway.payloads()
    chains = dict(sqlite3.connect(gateway.path).execute("SELECT stream, seq FROM chain").fetchall())
    for stream in (LIVE, BACKFILL):
        there = [statement.parse(one.statement) for one in gateway.buffer.waiting(stream, max_batches=10_000, max_bytes=1 << 30)]
        numbers = {one.header.seq for one in there}
        gaps = [gap for one in there for gap in one.open().gaps if gap.reason == GapReason.SEALED_DROPPED]
        declared = {number for gap in gaps for number in range(gap.start, gap.end + 1)}
        assert numbers | declared == set(range(1, chains[stream] + 1))


def test_stopped_class_is_refused_and_the_others_go_on(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, Policies(normal=STOP))
    gateway.run(40, Priority.NORMAL, Priority.CRITICAL)
    kept = gateway.samples()
    assert gateway.refused[Priority.NORMAL] > 0
    assert of_class(kept, Priority.NORMAL) == of_class(gateway.collected, Priority.NORMAL)
    assert of_class(gateway.collected, Priority.CRITICAL) == 40 * 10 * 20


def test_lower_class_never_makes_a_higher_one_go(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, Policies())
    gateway.run(25, Priority.CRITICAL)
    gateway.run(60, Priority.BULK)
    assert {one.priority for one in gateway.buffer.dropped()} == {Priority.BULK}
    assert of_class(gateway.samples(), Priority.CRITICAL) == 25 * 10 * 20


def test_events_stay_when_everything_else_has_to_go(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, Policies(bulk=KEEP))
    event = Event("alarm", "d", "level", NOW, NOW, "high", 500, {})
    gateway.append([replace(gateway.frame(Priority.BULK), events=[event])])
    gateway.buffer.seal_events(GATEWAY, SIGNER, NOW)
    gateway.run(60, Priority.BULK, Priority.NORMAL)
    assert [Event.parse(one) for payload in gateway.payloads() for one in payload.events] == [event]


def test_batch_that_was_offered_is_never_thinned(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, Policies(bulk=THIN))
    gateway.run(2, Priority.BULK)
    offered = gateway.buffer.waiting(LIVE, max_batches=10, max_bytes=1 << 30)
    assert gateway.buffer.offer(offered) == [one.id for one in offered]
    assert gateway.buffer.offer(offered) == []
    gateway.run(30, Priority.BULK)
    still = gateway.buffer.waiting(LIVE, max_batches=10, max_bytes=1 << 30)
    assert [one.statement for one in still[: len(offered)]] == [one.statement for one in offered]
    gateway.buffer.not_offered([one.id for one in offered])
    gateway.run(30, Priority.BULK)
    assert offered[0].statement not in [one.statement for one in gateway.buffer.waiting(LIVE, max_batches=10_000, max_bytes=1 << 30)]


def test_class_that_is_thinned_only_now_may_have_been_offered_before(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, Policies(bulk=KEEP))
    gateway.run(2, Priority.BULK)
    gateway.buffer.abandon()
    gateway.policies = Policies(bulk=THIN)
    gateway.reopen()
    waiting = gateway.buffer.waiting(LIVE, max_batches=10, max_bytes=1 << 30)
    assert gateway.buffer.offer(waiting) == []


def test_full_buffer_opens_again_with_all_it_kept(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, Policies(bulk=THIN))
    gateway.run(60, Priority.CRITICAL, Priority.BULK)
    kept = gateway.samples()
    gateway.buffer.abandon()
    gateway.reopen()
    assert sorted(gateway.samples()) == sorted(kept)
    assert not list(tmp_path.glob("*.corrupt-*"))


def test_file_of_the_first_version_is_taken_over(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, Policies())
    gateway.run(2, Priority.NORMAL)
    before = gateway.payloads()
    gateway.buffer.abandon()
    with sqlite3.connect(gateway.path) as connection:
        for table, column in (("open", "priority"), ("gap", "samples"), ("gap", "priority"), ("chain", "head_gone")):
            connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        for column in ("priority", "offered", "thinned"):
            connection.execute(f"ALTER TABLE batch DROP COLUMN {column}")
        connection.execute("DROP TABLE dropped")
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    gateway.reopen()
    after = gateway.payloads()
    assert [one.samples for one in after if one.samples] == [one.samples for one in before]
    gateway.run(1, Priority.BULK)
    assert len(gateway.samples()) == 3 * 10 * 20


def test_halving_keeps_changes_of_state_and_quality() -> None:
    rows = 9
    values = np.zeros((rows, 2), np.int32)
    values[3:, 1] = 1
    quality = np.zeros((rows, 2), np.uint32)
    quality[5:, 0] = 0x80310000
    group = Group(np.array([4, 7], np.uint32), np.arange(rows, dtype=np.int64), values, quality)
    assert halved(group, np.array([7], np.uint32)).times_us.tolist() == [0, 2, 3, 4, 5, 6, 8]
    assert halved(group, np.array([], np.uint32)).times_us.tolist() == [0, 2, 4, 5, 6, 8]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """64 MB of a file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() or libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, b"size=64m"):
        pytest.skip("mounting a small file system needs root")
    yield folder
    libc.umount2(os.fsencode(folder), 2)


def test_disk_that_others_fill_drops_by_class_and_recovers_without_a_restart(small_disk: Path) -> None:
    gateway = Gateway(small_disk, Policies(bulk=KEEP), max_bytes=1 << 40)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(56_000_000))
    gateway.rows = 20
    gateway.run(100, Priority.BULK, Priority.NORMAL)
    drops = {one.priority: one.samples for one in gateway.buffer.dropped()}
    assert drops[Priority.BULK] > 0
    assert gateway.refused[Priority.NORMAL] == 0
    ballast.unlink()
    gateway.run(20, Priority.BULK, Priority.NORMAL)
    assert {one.priority: one.samples for one in gateway.buffer.dropped()} == drops
    kept = gateway.samples()
    assert len(set(kept)) == len(kept) == len(gateway.collected) - sum(drops.values())
