"""The OPC UA face serves what a device map may say: other namespaces, arrays by element, texts."""

import asyncio
import dataclasses
import io

import numpy as np
import pytest

from protocols import quality
from protocols.clock import SystemClock
from protocols.devicemap import Device, DeviceMap, Tag, TagType, Text
from protocols.opcua.driver import OpcUaDriver
from protocols.opcua.plan import Options, Settings
from simulators.face import Step, TruthLog
from simulators.opcua import OpcUaFace

START_US = 1_700_000_000_000_000
TAGS = (
    Tag("plain", "s={device}.P", TagType.FLOAT64),
    Tag("second", "s=Temps#[2]", TagType.INT16),
    Tag("foreign", "nsu=urn:other;g=0f8fad5b-d9cb-469f-a165-70867728950e", TagType.BOOL),
    Tag("first", "s=Temps#[0]", TagType.INT16),
)


def step(number, values, codes=(0, 0, 0, 0)):
    return Step(START_US + number * 1_000_000, np.array(values, dtype=float), np.array(codes, np.uint32))


@pytest.fixture
async def linked():
    truth = io.StringIO()
    face = OpcUaFace(TruthLog(truth))
    device_map = DeviceMap("m", "x", (), "opcua", Options("urn:t", publishing_us=20_000), TAGS, texts=(Text("serial", "s=Serial"),))
    device = Device("d", device_map, "opc.tcp://127.0.0.1:0/", Settings())
    await face.start([device], [step(0, (1.5, 7, 1, -3))])
    driver = OpcUaDriver(dataclasses.replace(device, address=face.address_of(device)), SystemClock())
    await driver.open()
    yield face, device, driver, truth
    await driver.close()
    await face.stop()


async def read(driver, count):
    found, events = {}, []
    async with asyncio.timeout(5):
        while len(found) < count:
            frame = await driver.read()
            events += frame.events
            for block in frame.blocks:
                codes = block.quality.tolist() if block.quality is not None else [0] * block.samples
                found |= dict(zip(block.tags.tolist(), zip(block.values.tolist(), codes, strict=True), strict=True))
    return found, events


async def test_arrays_foreign_namespaces_and_texts_are_served(linked):
    _, _, driver, _ = linked
    found, events = await read(driver, 4)
    assert found == {0: (1.5, 0), 1: (7, 0), 2: (1, 0), 3: (-3, 0)}
    assert [(event.kind, event.message) for event in events] == [("text", "simulated serial")]


async def test_one_bad_element_makes_its_array_bad_and_the_truth_says_so(linked):
    face, device, driver, truth = linked
    await read(driver, 4)
    bad = quality.BAD_SENSOR_FAILURE
    await face.publish(device, step(1, (2.5, 8, 0, -4), (0, bad, 0, 0)))
    found, _ = await read(driver, 4)
    assert found == {0: (2.5, 0), 1: (0, bad), 2: (0, 0), 3: (0, bad)}
    said = {line.split(",")[1]: int(line.split(",")[4]) for line in truth.getvalue().splitlines()[-4:]}
    assert said == {"d.plain": 0, "d.second": bad, "d.foreign": 0, "d.first": bad}


async def test_a_map_with_members_of_structures_is_refused_with_the_tag():
    device_map = DeviceMap("m", "x", (), "opcua", Options("urn:t"), (Tag("speed", "s=Motor#Speed", TagType.FLOAT64),))
    with pytest.raises(ValueError, match='tag "speed"'):
        await OpcUaFace().start([Device("d", device_map, "opc.tcp://127.0.0.1:0/")], [Step(0, np.zeros(1), np.zeros(1, np.uint32))])
