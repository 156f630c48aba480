"""A crash of the native library: in a process of its own, back within 5 s, and no other device notices."""

import asyncio
import importlib.util
import os
import signal
import sys

import numpy as np
import pytest

from edge.poller import Poller
from protocols import quality
from protocols.clock import SystemClock
from protocols.devicemap import Device, DeviceMap, Tag, TagType
from protocols.driver import DriverError
from protocols.frame import Block, Frame
from protocols.iec61850.driver import Iec61850Driver
from protocols.iec61850.pipe import pack, start_child
from tests.protocols.iec61850.field import TAGS, device_of, read_until, reading, served, step_at

pytestmark = pytest.mark.skipif(importlib.util.find_spec("pyiec61850") is None, reason="pyiec61850-ng is not installed")

CYCLE_S = 0.02
WITHIN_S = 5.0  # requirement: the process is back by then


class NeighbourDriver:
    """A device of another protocol, polled every 20 ms."""

    def __init__(self, device):
        self._device, self.cycles = device, 0

    async def open(self):
        pass

    async def read(self):
        await asyncio.sleep(CYCLE_S)
        self.cycles += 1
        now_us = SystemClock().now_us()
        values = np.array([[self.cycles]], np.int32)
        return Frame(self._device.name, now_us, [Block(self._device.ids, np.array([now_us]), values)])

    async def close(self):
        pass


def neighbour():
    tags = (Tag("n", "40001", TagType.INT32),)
    return Device("neighbour", DeviceMap("n", "x", ("y",), "modbus", None, tags), "192.0.2.1:502", first_id=500)


async def test_a_segmentation_fault_costs_only_its_own_device_and_is_over_within_5_s(closing):
    device = device_of(TAGS[:1])
    face, reached = await served(closing, device, step_at(0, [0]))
    drivers, fresh, other = [], asyncio.Event(), NeighbourDriver(neighbour())
    states = []

    async def open_feeder():
        drivers.append(Iec61850Driver(reached, SystemClock()))
        return drivers[-1]

    async def open_neighbour():
        return other

    def deliver(frame):
        for block in frame.blocks:
            codes = block.quality if block.quality is not None else np.zeros(block.samples, np.uint32)
            states.extend(codes.ravel().tolist())
        if states and states[-1] == quality.GOOD:
            fresh.set()

    beside = []
    pollers = [
        Poller(reached, open_feeder, deliver, SystemClock()),
        Poller(neighbour(), open_neighbour, lambda frame: beside.append(frame.gateway_us), SystemClock()),
    ]
    running = [asyncio.create_task(poller.run()) for poller in pollers]
    try:
        async with asyncio.timeout(10):
            await fresh.wait()
        for number in range(1, 4):
            before, crashed = other.cycles, len(drivers)
            fresh.clear()
            os.kill(drivers[-1]._worker.pid, signal.SIGSEGV)
            async with asyncio.timeout(WITHIN_S):
                while len(drivers) == crashed or not fresh.is_set():
                    await face.publish(device, step_at(number, [number]))
                    await asyncio.sleep(CYCLE_S)
            assert other.cycles > before + 5
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    assert quality.BAD_NO_COMMUNICATION in states
    assert pollers[1].state.failures == 0
    assert len(beside) == other.cycles
    assert not any(driver._worker for driver in drivers)


@pytest.mark.parametrize("cut_at", ["start", "reading"])
async def test_a_process_that_hangs_is_unreachable_and_ended(closing, monkeypatch, cut_at):
    monkeypatch.setattr("protocols.iec61850.driver.SILENCE_S", 1.5)
    monkeypatch.setattr("protocols.iec61850.driver.START_S", 0.5)
    _, reached = await served(closing, device_of(TAGS[:1], settings=None), step_at(0, [0]))
    driver = reading(closing, reached)
    if cut_at == "start":

        async def stopped(module):
            child = await start_child(module)
            os.kill(child.pid, signal.SIGSTOP)
            return child

        monkeypatch.setattr("protocols.iec61850.driver.start_child", stopped)
        with pytest.raises(DriverError, match="ended or hung"):
            await driver.open()
    else:
        await driver.open()
        await read_until(driver, 1)
        os.kill(driver._worker.pid, signal.SIGSTOP)
        with pytest.raises(DriverError, match="hangs"):
            await driver.read()
    pid = driver._worker.pid
    await driver.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(
    "words",
    [
        b"\x01\x00\x00\x00\xff",
        b"\xff\xff\xff\x7f",
        b"\x01\x00\x00\x00\x80",
        b"\x05\x00\x00\x00\x81\x63bad!",
        b"\x03\x00\x00\x00\x82\x00\x01",
        b"\x07\x00\x00\x00\x81\x65other",
        pack(["data", b"\x00\x00", b"", b"", b"", b"", False, b""]),
        pack(["data", b"\x63\x00", bytes(8), bytes(8), bytes(2), bytes(1), False, b""]),
        b"",
    ],
    ids=[
        "no CBOR",
        "too long",
        "empty list",
        "unknown text",
        "numbers",
        "unknown message",
        "columns of different lengths",
        "unknown point",
        "nothing",
    ],
)
async def test_a_process_that_talks_nonsense_is_a_plain_error(monkeypatch, words):
    """In place of the worker: it says that it is open, then this, then lives on."""
    opened = b"\x07\x00\x00\x00\x82\x64open\x80"
    program = f"import sys, time; sys.stdout.buffer.write({opened + words!r}); sys.stdout.flush(); time.sleep({0 if not words else 60})"

    async def nonsense(_):
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )

    monkeypatch.setattr("protocols.iec61850.driver.start_child", nonsense)
    driver = Iec61850Driver(device_of(TAGS[:1]), SystemClock())
    try:
        await driver.open()
        with pytest.raises(DriverError):
            async with asyncio.timeout(10):
                await driver.read()
    finally:
        await driver.close()
