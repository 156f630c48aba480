"""Collected means committed; a full disk never stops collecting and never lies about what was dropped."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge import intake as intake_module
from edge.buffer import BACKFILL, LIVE, BufferFull
from edge.config import BufferConfig, Policies, WhenFull
from edge.intake import LAG_LIMIT, Intake
from protocols.batch import statement
from protocols.batch.columns import GapReason
from protocols.clock import SystemClock
from protocols.devicemap import Device, DeviceMap, Tag, TagTable, TagType
from protocols.frame import Block, Frame, Priority
from protocols.signing import Ed25519Signer

GATEWAY = "urn:qz:gw:rig1"
TABLE = TagTable.build(GATEWAY, [Device("d", DeviceMap("m", "x", (), "modbus", None, (Tag("t", "0", TagType.INT32),)), "a:1")])
CONFIG = BufferConfig(max_bytes=50_000_000, policies=Policies(), commit_every_us=1000, seal_every_us=50_000)


def frame(value: int, acknowledged: list[int] | None = None) -> Frame:
    block = Block(np.zeros(1, np.uint32), np.array([value], np.int64), np.array([[value]], np.int32))
    return Frame("d", value, [block], None if acknowledged is None else lambda: acknowledged.append(value))


@asynccontextmanager
async def running(folder: Path, config: BufferConfig = CONFIG) -> AsyncIterator[Intake]:
    intake = Intake(folder / "buffer.db", config, GATEWAY, TABLE, Ed25519Signer.generate(), SystemClock())
    await intake.open()
    task = asyncio.create_task(intake.run())
    try:
        yield intake
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await intake.close()


async def until(condition: object) -> None:
    async with asyncio.timeout(10):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.005)


def committed(folder: Path) -> int:
    connection = sqlite3.connect(folder / "buffer.db")
    query = "SELECT (SELECT coalesce(sum(samples), 0) FROM open) + (SELECT coalesce(sum(samples), 0) FROM batch)"
    return int(connection.execute(query).fetchone()[0])


async def test_counter_and_acknowledgement_follow_the_commit(tmp_path: Path) -> None:
    acknowledged: list[int] = []
    async with running(tmp_path) as intake:
        for value in range(100):
            intake.append(frame(value, acknowledged))
        assert (intake.collected, acknowledged) == (0, [])
        await until(lambda: intake.collected == 100)
        assert committed(tmp_path) == 100
        assert acknowledged == list(range(100))


async def test_stop_commits_and_seals_what_was_appended(tmp_path: Path) -> None:
    async with running(tmp_path, BufferConfig(50_000_000, Policies(), 100_000, 10_000_000)) as intake:
        intake.append(frame(1))
        await asyncio.sleep(0)
    connection = sqlite3.connect(tmp_path / "buffer.db")
    assert connection.execute("SELECT state, samples FROM batch").fetchall() == [("sealed", 1)]


async def test_data_behind_a_lagging_live_stream_goes_to_backfill(tmp_path: Path) -> None:
    async with running(tmp_path) as intake:
        for value in range(LAG_LIMIT + 3):
            intake.append(frame(value))
            await until(lambda value=value: intake._unsealed == 0 and intake.collected == value + 1)
        live = await intake.call(intake.buffer.waiting, LIVE, max_batches=100, max_bytes=1 << 20)
        backfill = await intake.call(intake.buffer.waiting, BACKFILL, max_batches=100, max_bytes=1 << 20)
    assert (len(live), len(backfill)) == (LAG_LIMIT, 3)


async def test_full_disk_keeps_frames_until_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as intake:
        real = intake.buffer.append

        def full(_: object) -> int:
            raise BufferFull("database or disk is full")

        monkeypatch.setattr(type(intake.buffer), "append", lambda _self, frames: full(frames))
        intake.append(frame(1))
        await until(lambda: intake.full_since_us is not None)
        intake.append(frame(2))
        monkeypatch.setattr(type(intake.buffer), "append", lambda _self, frames: real(frames))
        await until(lambda: intake.collected == 2)
        assert intake.full_since_us is None
        assert intake.dropped == 0


async def test_error_of_the_disk_loses_nothing_and_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    errors = [sqlite3.OperationalError("disk I/O error"), sqlite3.OperationalError("database is locked")]

    def sometimes(buffer: object, frames: object) -> int:
        if errors:
            raise errors.pop()
        return original(buffer, frames)  # type: ignore[arg-type]

    monkeypatch.setattr(intake_module.Buffer, "append", sometimes)
    intake = Intake(tmp_path / "buffer.db", CONFIG, GATEWAY, TABLE, Ed25519Signer.generate(), SystemClock())
    await intake.open()
    for value in range(5):
        intake.append(frame(value))
    for _ in range(2):  # the supervisor starts the task again after each failure
        with pytest.raises(sqlite3.OperationalError):
            await intake._commit()
    await intake._commit()
    assert (intake.collected, intake.dropped) == (5, 0)
    await intake.close()
    assert committed(tmp_path) == 5


async def test_drop_in_memory_is_counted_and_declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "MAX_PENDING_BYTES", 80)
    async with running(tmp_path) as intake:
        for value in range(1, 21):
            intake.append(frame(value))
        assert intake.dropped == 10
        await until(lambda: intake.collected == 10 and intake._unsealed == 0)
        batches = await intake.call(intake.buffer.waiting, LIVE, max_batches=100, max_bytes=1 << 20)
    gaps = [gap for batch in batches for gap in statement.parse(batch.statement).open().gaps]
    assert [(gap.start, gap.end, gap.reason) for gap in gaps] == [(1, 10, GapReason.NEVER_KEPT)]


async def test_class_that_stops_waits_in_memory_while_the_others_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "MAX_PENDING_BYTES", 8 * 500)
    config = replace(CONFIG, max_bytes=20_000, policies=Policies(bulk=WhenFull.STOP_NEWEST))
    async with running(tmp_path, config) as intake:
        for value in range(1, 500):
            intake.append(frame(value), Priority.BULK)
        await until(lambda: intake.full_since_us is not None or intake.collected == 499)
        for value in range(500, 1500):
            intake.append(frame(value), Priority.BULK)
        await until(lambda: intake.dropped > 0)
        before = intake.collected
        for value in range(20):
            intake.append(frame(10_000 + value), Priority.CRITICAL)
        await until(lambda: intake.collected >= before + 20)
        assert {one.priority for one in await intake.dropped_by()} == {Priority.BULK}
        assert sum(one.samples for one in await intake.dropped_by()) == intake.dropped


async def test_gap_records_equal_what_health_says_was_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "MAX_PENDING_BYTES", 80)
    async with running(tmp_path, replace(CONFIG, max_bytes=20_000)) as intake:
        for value in range(1, 401):
            intake.append(frame(value), Priority.BULK if value % 2 else Priority.CRITICAL)
            if value % 10 == 0:
                await until(lambda: not len(intake._pending) and intake._unsealed == 0)
        told: dict[tuple[int, int], int] = {}
        await intake.call(intake.buffer.seal, GATEWAY, Ed25519Signer.generate(), LIVE, 1)
        for stream in (LIVE, BACKFILL):
            for batch in await intake.call(intake.buffer.waiting, stream, max_batches=1000, max_bytes=1 << 30):
                for gap in statement.parse(batch.statement).open().gaps:
                    told[gap.reason, gap.priority] = told.get((gap.reason, gap.priority), 0) + gap.samples
        drops = {(int(one.reason), int(one.priority)): one.samples for one in await intake.dropped_by()}
    assert drops == {key: samples for key, samples in told.items() if samples}
    assert drops
    assert intake.dropped == sum(samples for (reason, _), samples in drops.items() if reason == GapReason.NEVER_KEPT)


async def test_file_damaged_while_in_use_is_set_aside_and_collecting_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as intake:
        intake.append(frame(1))
        await until(lambda: intake.collected == 1)
        damaged = intake.buffer

        def broken(*_: object) -> int:
            raise sqlite3.DatabaseError("database disk image is malformed")

        monkeypatch.setattr(type(damaged), "append", lambda self, frames: broken() if self is damaged else original(self, frames))
        intake.append(frame(2))
        await until(lambda: intake.collected == 2)
        assert list(tmp_path.glob("buffer.db.corrupt-*"))


original = intake_module.Buffer.append


async def test_sound_file_that_was_closed_is_not_taken_for_a_damaged_one(tmp_path: Path) -> None:
    intake = Intake(tmp_path / "buffer.db", CONFIG, GATEWAY, TABLE, Ed25519Signer.generate(), SystemClock())
    await intake.open()
    await intake.call(intake.buffer.abandon)
    intake.append(frame(1))
    with pytest.raises(sqlite3.ProgrammingError):
        await intake._commit()
    assert (tmp_path / "buffer.db").exists()
    assert not list(tmp_path.glob("buffer.db.corrupt-*"))
    assert len(intake._pending) == 1
