"""Faults of the OPC UA and IEC 61850 faces: what the truth log says was served is what a client that comes back has collected."""

import asyncio
import dataclasses
import importlib.util
import io

import numpy as np
import pytest

from protocols import quality
from protocols.clock import SystemClock
from protocols.devicemap import Device, DeviceMap, Tag, TagType
from protocols.driver import DriverError, open_driver
from protocols.iec61850 import plan as iec61850
from protocols.opcua import plan as opcua
from simulators.face import Step, TruthLog
from simulators.faults import Disturbance
from simulators.iec61850 import Iec61850Face
from simulators.opcua import OpcUaFace

needs_iec61850 = pytest.mark.skipif(importlib.util.find_spec("pyiec61850") is None, reason="pyiec61850-ng is not installed")


def opcua_device():
    tags = (Tag("a", "s=a", TagType.FLOAT64), Tag("b", "s=b", TagType.FLOAT64))
    options = opcua.Options("urn:t", publishing_us=20_000)
    return Device("d", DeviceMap("m", "x", (), "opcua", options, tags), "opc.tcp://127.0.0.1:0", opcua.Settings())


def iec61850_device():
    tags = (Tag("a", "GGIO1.AnIn1.mag.f[MX]", TagType.FLOAT32), Tag("b", "GGIO1.AnIn2.mag.f[MX]", TagType.FLOAT32))
    return Device("d", DeviceMap("m", "x", (), "iec61850", iec61850.Options("QZ", "LD0"), tags), "127.0.0.1:0", iec61850.Settings())


FACES = [
    pytest.param(OpcUaFace, opcua_device, id="opcua"),
    pytest.param(Iec61850Face, iec61850_device, id="iec61850", marks=needs_iec61850),
]


def step_at(number):
    return Step(1_700_000_000_000_000 + number * 1000, np.array([number, -number], float), np.zeros(2, np.uint32))


class Gateway:
    """Opens, reads, closes and opens again, as the agent does; keeps a set of what came, and what was durable."""

    def __init__(self, device):
        self._device = device
        self.found, self.durable = [], []
        self.opened, self.news = asyncio.Event(), asyncio.Event()

    async def run(self):
        while True:
            driver = open_driver(self._device, SystemClock(), frozenset(self.durable))
            try:
                await driver.open()
                while True:
                    frame = await driver.read()
                    self.opened.set()
                    self.durable += frame.messages
                    for block in frame.blocks:
                        codes = block.quality.tolist() if block.quality is not None else [0] * block.samples
                        self.found += zip(block.tags.tolist(), block.times_us.tolist(), block.values.tolist(), codes, strict=True)
                    self.news.set()
            except DriverError:
                self.opened.clear()
                await asyncio.sleep(0.02)
            finally:
                await driver.close()


def truth_of(log, device):
    names = {f"{device.name}.{tag.name}": index for index, tag in enumerate(device.map.tags)}
    rows = [line.split(",") for line in log.getvalue().splitlines()]
    return [(names[name], int(at), float(value), int(code)) for _, name, at, value, code in rows]


async def play(face_type, device, kind, *, before=5, during=10, after=5):
    """(served, collected) of a run with one fault in the middle."""
    log = io.StringIO()
    face = face_type(TruthLog(log))
    await face.start([device], [step_at(0)])
    gateway = Gateway(dataclasses.replace(device, address=face.address_of(device)))
    running = asyncio.create_task(gateway.run())
    try:
        async with asyncio.timeout(20):
            await gateway.opened.wait()
            for number in range(1, before + 1):
                await face.publish(device, step_at(number))
            fault = asyncio.create_task(face.fault("d", kind, 150_000))
            for number in range(before + 1, before + during + 1):
                await asyncio.sleep(0.01)
                await face.publish(device, step_at(number))
            await fault
            await gateway.opened.wait()
            for number in range(before + during + 1, before + during + after + 1):
                await face.publish(device, step_at(number))
            last = step_at(before + during + after).time_us
            while max(at for _, at, _, _ in gateway.found) < last:
                gateway.news.clear()
                await gateway.news.wait()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await face.stop()
    return truth_of(log, device), gateway.found


@pytest.mark.parametrize("kind", ["drop_link", "delay", "freeze", "bad_quality"])
@pytest.mark.parametrize(("face_type", "device"), FACES)
async def test_what_was_served_around_a_fault_is_what_was_collected(face_type, device, kind):
    served, collected = await play(face_type, device(), kind)
    assert set(collected) == set(served)
    assert len(served) == len(set(served))


@pytest.mark.parametrize(("face_type", "device"), FACES)
async def test_an_unknown_fault_is_refused_with_the_known_ones(face_type, device):
    face = face_type()
    await face.start([device()], [step_at(0)])
    with pytest.raises(ValueError, match="drop_link"):
        await face.fault("d", "exception", 1)
    await face.stop()


def test_a_frozen_device_repeats_its_values_and_says_so():
    disturbance = Disturbance()
    disturbance.alter(step_at(1))
    disturbance.begin("freeze")
    frozen = disturbance.alter(step_at(2))
    assert frozen.time_us == step_at(2).time_us
    assert (frozen.values.tolist(), set(frozen.quality.tolist())) == ([1, -1], {quality.UNCERTAIN_LAST_USABLE})
    disturbance.end("freeze")
    assert disturbance.alter(step_at(3)).values.tolist() == [3, -3]
