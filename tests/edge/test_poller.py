"""A dead device is bad quality, one log line and a backoff; never a stale value and never another device's problem."""

import asyncio
import logging
from collections.abc import Callable

import numpy as np
import pytest

from edge.poller import BAD_HEARTBEAT_US, LONGEST_BACKOFF_US, Poller, failure_frame, next_backoff_us
from protocols import quality, tasks
from protocols.devicemap import Device, DeviceMap, Tag, TagType, Thinning
from protocols.driver import DeviceMisbehaves, DeviceUnreachable
from protocols.event import Event
from protocols.frame import Block, Frame
from tests.fakes import FakeClock

TAGS = (Tag("a", "x", TagType.UINT16), Tag("b", "y", TagType.FLOAT32), Tag("c", "z", TagType.INT16))
DEVICE = Device("pump1", DeviceMap("acme", "Acme", (), "modbus", None, TAGS), "nowhere:1", first_id=10)


def good_frame(now_us: int) -> Frame:
    block = Block(np.array([10], np.uint32), np.array([now_us], np.int64), np.array([[7]], np.int32))
    return Frame("pump1", now_us, [block])


class ScriptedDriver:
    """Plays one list of outcomes per session: a frame is returned, an error raised; the script's end blocks until cancelled."""

    def __init__(self, script: list[list[object]], on_end: Callable[[], None]) -> None:
        self._script, self._on_end = script, on_end
        self._session: list[object] = []
        self.closed = 0

    async def open(self) -> None:
        if not self._script:
            self._on_end()
            await asyncio.Event().wait()
        self._session = self._script.pop(0)

    async def read(self) -> Frame:
        await asyncio.sleep(0)
        outcome = self._session.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        assert isinstance(outcome, Frame)
        return outcome

    async def close(self) -> None:
        self.closed += 1


async def play(script: list[list[object]], clock: FakeClock) -> tuple[list[Frame], Poller, ScriptedDriver]:
    frames: list[Frame] = []
    done = asyncio.Event()
    driver = ScriptedDriver(script, done.set)

    async def open_driver() -> ScriptedDriver:
        return driver

    poller = Poller(DEVICE, open_driver, frames.append, clock)
    task = asyncio.create_task(poller.run())
    await asyncio.wait_for(done.wait(), 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return frames, poller, driver


def test_failure_frame_gives_every_tag_the_quality_in_its_own_column_type() -> None:
    frame = failure_frame(DEVICE, 5, quality.BAD_NO_COMMUNICATION)
    assert {int(tag) for block in frame.blocks for tag in block.tags} == {10, 11, 12}
    assert {block.values.dtype.name: block.tags.tolist() for block in frame.blocks} == {"int32": [10, 12], "float32": [11]}
    for block in frame.blocks:
        assert block.quality is not None
        assert set(block.quality.ravel().tolist()) == {quality.BAD_NO_COMMUNICATION}


async def test_lost_device_yields_bad_samples_once_and_good_ones_after_it_is_back() -> None:
    clock = FakeClock()
    cut = DeviceUnreachable("connection refused", quality.BAD_NO_COMMUNICATION)
    frames, poller, driver = await play([[good_frame(1), cut], [cut], [cut], [good_frame(2), cut]], clock)
    kinds = [frame.blocks[0].quality is None for frame in frames]
    assert kinds == [True, False, True, False]
    assert driver.closed == 5
    assert poller.state.samples == 2


async def test_fault_of_ours_gives_bad_quality_before_the_task_ends() -> None:
    frames: list[Frame] = []
    driver = ScriptedDriver([[good_frame(1), RuntimeError("no such thing")]], lambda: None)

    async def open_driver() -> ScriptedDriver:
        return driver

    poller = Poller(DEVICE, open_driver, frames.append, FakeClock())
    with pytest.raises(RuntimeError):
        await poller.run()
    assert [frame.blocks[0].quality is None for frame in frames] == [True, False]
    assert not poller.state.up
    assert "no such thing" in poller.state.cause


async def test_what_a_fault_of_ours_had_in_hand_is_told_to_be_missing_from_the_last_kept_sample_on() -> None:
    frames: list[Frame] = []
    clock = FakeClock()
    kept_us = clock.now_us() - 700_000

    async def open_driver() -> ScriptedDriver:
        return ScriptedDriver([[good_frame(kept_us), RuntimeError("no such thing")]], lambda: None)

    with pytest.raises(RuntimeError):
        await Poller(DEVICE, open_driver, frames.append, clock).run()
    told = frames[-1]
    assert told.gateway_us == clock.now_us()
    assert {int(block.times_us[0]) for block in told.blocks} == {kept_us + 1}
    assert {int(code) for block in told.blocks if block.quality is not None for code in block.quality.ravel()} == {
        quality.BAD_NO_COMMUNICATION
    }


async def test_long_outage_repeats_the_bad_sample_every_minute() -> None:
    clock = FakeClock()
    script: list[list[object]] = [[DeviceUnreachable("timeout", quality.BAD_TIMEOUT)] for _ in range(40)]
    frames, _, _ = await play(script, clock)
    elapsed = sum(clock.slept_us)
    assert len(frames) == pytest.approx(1 + elapsed // BAD_HEARTBEAT_US, abs=elapsed // BAD_HEARTBEAT_US * 0.3)


async def test_outage_is_logged_once_per_cause(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "qenergyz.edge")
    refused = DeviceUnreachable("refused", quality.BAD_NO_COMMUNICATION)
    await play([[refused], [refused], [refused], [DeviceMisbehaves("wrong unit id", quality.BAD)]], FakeClock())
    assert [record.message.split()[0] for record in caplog.records].count("device_down") == 2


def test_backoff_grows_to_its_limit_and_never_exceeds_it() -> None:
    waits = [next_backoff_us(failures, 1.0) for failures in range(1, 60)]
    assert waits == sorted(waits)
    assert waits[0] == 500_000
    assert waits[-1] == LONGEST_BACKOFF_US
    assert all(next_backoff_us(failures, 0.0) * 2 == next_backoff_us(failures, 1.0) for failures in range(1, 60))


async def test_thinned_device_keeps_what_waits_before_it_falls_silent() -> None:
    rule = Thinning(0.5, 60_000_000, swinging_door=True)
    device = Device("pump1", DeviceMap("acme", "Acme", (), "modbus", None, (Tag("a", "x", TagType.UINT16, thinning=rule),)), "nowhere:1")
    clock, frames, done = FakeClock(), [], asyncio.Event()

    def polled(second: int) -> Frame:
        block = Block(np.array([0], np.uint32), np.array([second * 1_000_000], np.int64), np.array([[7]], np.int32))
        return Frame("pump1", clock.now_us(), [block])

    driver = ScriptedDriver([[polled(1), polled(2), polled(3), DeviceUnreachable("cut", quality.BAD_NO_COMMUNICATION)]], done.set)

    async def open_driver() -> ScriptedDriver:
        return driver

    poller = Poller(device, open_driver, frames.append, clock)
    task = asyncio.create_task(poller.run())
    async with asyncio.timeout(5):
        await done.wait()
    await tasks.end(task)
    found = [(int(block.times_us[0]), block.quality is None) for frame in frames for block in frame.blocks]
    assert found[:2] == [(1_000_000, True), (3_000_000, True)]
    assert found[2][1] is False


async def test_text_that_a_new_session_reads_again_is_told_once() -> None:
    clock = FakeClock()

    def serial(text: str) -> Frame:
        return Frame("pump1", clock.now_us(), (), events=[Event("text", "pump1", "serial", 1, 2, text)])

    cut = DeviceUnreachable("cut", quality.BAD_NO_COMMUNICATION)
    frames, _, _ = await play([[serial("A1"), cut], [serial("A1"), good_frame(clock.now_us()), serial("B2"), serial("A1"), cut]], clock)
    assert [event.message for frame in frames for event in frame.events] == ["A1", "B2", "A1"]
