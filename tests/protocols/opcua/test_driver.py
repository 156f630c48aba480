"""The OPC UA driver against the OPC UA face: every published step once, in order, with exact time, value and quality."""

import asyncio
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from protocols import quality
from protocols.clock import SystemClock
from protocols.devicemap import SHIPPED, Device, DeviceMap, Tag, TagType, load_device_map
from protocols.driver import DeviceUnreachable, DriverSetup
from protocols.opcua.driver import OpcUaDriver
from protocols.opcua.plan import Options, Settings
from simulators.face import Step
from simulators.opcua import OpcUaFace
from simulators.replay import ReplaySource, find_recordings, read_recording

START_US = 1_700_000_000_123_457
EVERY_TYPE = tuple(Tag(name=kind.value, at=f"s={{device}}.{kind.value}", type=kind) for kind in TagType)


def device_of(tags, address="opc.tcp://127.0.0.1:0/well", **options):
    device_map = DeviceMap("m", "x", ("y",), "opcua", Options("urn:test", publishing_us=20_000, **options), tuple(tags))
    return Device("well", device_map, address, Settings(timeout_us=2_000_000), first_id=100)


def step_at(number, values, codes=None):
    count = len(values)
    return Step(START_US + number * 1_000_001, np.array(values, dtype=float), np.array(codes or [0] * count, dtype=np.uint32))


def samples(frames):
    """(id, time, value, quality) of every sample, in order of arrival per tag."""
    found = []
    for frame in frames:
        for block in frame.blocks:
            codes = block.quality if block.quality is not None else np.zeros(block.samples, np.uint32)
            found += zip(block.tags.tolist(), block.times_us.tolist(), block.values.tolist(), codes.tolist(), strict=True)
    return found


async def read_until(driver, count, seconds=10):
    frames = []
    async with asyncio.timeout(seconds):
        while sum(frame.samples for frame in frames) < count:
            frames.append(await driver.read())
    return samples(frames)


@pytest.fixture
async def closing():
    """Closes drivers and faces at the end, whatever happened."""
    opened = []
    yield opened.append
    for thing in reversed(opened):
        await (thing.stop() if hasattr(thing, "stop") else thing.close())


async def linked(closing, device, first):
    face = OpcUaFace()
    closing(face)
    await face.start([device], [first])
    reached = dataclasses.replace(device, address=face.address_of(device))
    driver = OpcUaDriver(reached, SystemClock())
    closing(driver)
    await driver.open()
    return face, driver


async def test_every_step_of_a_real_well_arrives_once_in_order_and_exact(closing):
    well = load_device_map(SHIPPED / "qenergyz_well_opcua.toml")
    device = Device("well", well, "opc.tcp://127.0.0.1:0", Settings(), first_id=7)
    source = ReplaySource(read_recording(find_recordings("2/WELL-00009_20170313160804")), well.tags, times="recorded")
    steps = [source.step(index, 0) for index in range(100)]
    face, driver = await linked(closing, device, steps[0])
    reading = asyncio.create_task(read_until(driver, 800))
    for step in steps[1:]:
        await face.publish(device, step)
        await asyncio.sleep(0)
    found = await reading
    for index in range(8):
        wanted = [
            (step.time_us, 0.0 if quality.is_bad(int(step.quality[index])) else float(step.values[index]), int(step.quality[index]))
            for step in steps
        ]
        assert [(at, value, code) for tag, at, value, code in found if tag == 7 + index] == wanted


async def test_every_type_keeps_its_extremes(closing):
    lowest = [0, -128, 0, -32768, 0, -(2**31), 0, -(2**63), 0, -1.5, -1e300]
    highest = [1, 127, 255, 32767, 65535, 2**31 - 1, 2**32 - 1, 2**62, 2**63, 2.5, 1e300]
    device = device_of(EVERY_TYPE)
    face, driver = await linked(closing, device, step_at(0, lowest))
    await face.publish(device, step_at(1, highest))
    found = await read_until(driver, 2 * len(EVERY_TYPE))
    by_tag = [[value for tag, _, value, _ in found if tag == 100 + index] for index in range(len(EVERY_TYPE))]
    assert [values[0] for values in by_tag] == lowest
    assert [values[1] for values in by_tag] == [*highest[:6], -1, 2**62, -(2**63), 2.5, 1e300]


async def test_status_codes_pass_through_and_bad_has_no_value(closing):
    device = device_of(EVERY_TYPE[-1:])
    face, driver = await linked(closing, device, step_at(0, [1.0]))
    codes = [quality.UNCERTAIN_LAST_USABLE, quality.BAD_SENSOR_FAILURE, quality.GOOD_LOCAL_OVERRIDE]
    for number, code in enumerate(codes, 1):
        await face.publish(device, step_at(number, [number], [code]))
    found = await read_until(driver, 4)
    assert [(value, code) for _, _, value, code in found] == [(1.0, 0), (1.0, codes[0]), (0.0, codes[1]), (3.0, codes[2])]


async def test_one_invalid_node_costs_only_itself(closing):
    served = device_of(EVERY_TYPE[:2])
    wanted = device_of([EVERY_TYPE[0], Tag(name="ghost", at="s=nowhere", type=TagType.FLOAT64), EVERY_TYPE[1]])
    face = OpcUaFace()
    closing(face)
    await face.start([served], [step_at(0, [1, 7])])
    driver = OpcUaDriver(dataclasses.replace(wanted, address=face.address_of(device_of([]))), SystemClock())
    closing(driver)
    await driver.open()
    found = await read_until(driver, 3)
    assert sorted((tag, value, code) for tag, _, value, code in found) == [
        (100, 1, 0),
        (101, 0.0, quality.BAD_NODE_ID_UNKNOWN),
        (102, 7, 0),
    ]


async def test_a_value_of_another_type_is_refused_not_converted(closing):
    served = device_of([Tag(name="a", at="s=a", type=TagType.FLOAT64), Tag(name="b", at="s=b", type=TagType.INT16)])
    wanted = device_of([Tag(name="a", at="s=a", type=TagType.FLOAT32), Tag(name="b", at="s=b", type=TagType.INT32)])
    face = OpcUaFace()
    closing(face)
    await face.start([served], [step_at(0, [0.1, -5])])
    driver = OpcUaDriver(dataclasses.replace(wanted, address=face.address_of(device_of([]))), SystemClock())
    closing(driver)
    await driver.open()
    found = await read_until(driver, 2)
    assert sorted((tag, value, code) for tag, _, value, code in found) == [(100, 0.0, quality.BAD_TYPE_MISMATCH), (101, -5, 0)]


async def test_server_restart_is_noticed_and_data_flows_after_reopening(closing):
    device = device_of(EVERY_TYPE[-1:])
    face, driver = await linked(closing, device, step_at(0, [1.0]))
    await read_until(driver, 1)
    address = face.address_of(device)
    await face.stop()
    async with asyncio.timeout(5):
        with pytest.raises(DeviceUnreachable):
            await driver.read()
    await driver.close()
    with pytest.raises(DeviceUnreachable):
        await driver.open()
    await driver.close()
    again = OpcUaFace()
    closing(again)
    moved = dataclasses.replace(device, address=address)
    await again.start([moved], [step_at(5, [5.0])])
    await driver.open()
    await again.publish(moved, step_at(6, [6.0]))
    assert [value for _, _, value, _ in await read_until(driver, 2)] == [5.0, 6.0]


async def test_after_a_cut_the_value_that_stands_comes_first(closing):
    device = device_of(EVERY_TYPE[-1:])
    face, driver = await linked(closing, device, step_at(0, [1.0]))
    await read_until(driver, 1)
    await face.fault("well", "drop_link", 0)
    with pytest.raises(DeviceUnreachable):
        await driver.read()
    await driver.close()
    await driver.open()
    await face.publish(device, step_at(1, [2.0]))
    assert [value for _, _, value, _ in await read_until(driver, 2)] == [1.0, 2.0]


async def test_a_server_that_stops_publishing_is_given_up_within_max_silence(closing):
    device = device_of(EVERY_TYPE[-1:], max_silence_us=400_000)
    face, driver = await linked(closing, device, step_at(0, [1.0]))
    await read_until(driver, 1)
    for subscription in face._servers["well"]._server.iserver.subscription_service.subscriptions.values():
        await subscription.stop()
    async with asyncio.timeout(2):
        with pytest.raises(DeviceUnreachable, match="publish"):
            await driver.read()


async def test_a_subscription_that_lies_is_found_by_reading_the_node(closing):
    device = device_of(EVERY_TYPE[-1:], max_silence_us=400_000)
    face, driver = await linked(closing, device, step_at(0, [1.0]))
    await read_until(driver, 1)
    for node in face._servers["well"]._nodes:
        face._servers["well"]._server.iserver.aspace[node].attributes[13].datachange_callbacks.clear()
    await face.publish(device, step_at(1, [2.0]))
    async with asyncio.timeout(3):
        with pytest.raises(DeviceUnreachable, match="silent"):
            await driver.read()


async def test_quiet_values_are_no_fault_while_the_server_keeps_alive(closing):
    device = device_of(EVERY_TYPE[-1:], max_silence_us=200_000)
    face, driver = await linked(closing, device, step_at(0, [1.0]))
    await read_until(driver, 1)
    reading = asyncio.create_task(driver.read())
    done, _ = await asyncio.wait([reading], timeout=0.9)
    assert not done
    await face.publish(device, step_at(1, [2.0]))
    async with asyncio.timeout(2):
        assert samples([await reading])[0][2] == 2.0


async def test_a_missing_namespace_is_a_setup_error_that_names_it(closing):
    face = OpcUaFace()
    closing(face)
    device = device_of(EVERY_TYPE[-1:])
    await face.start([device], [step_at(0, [1.0])])
    other = dataclasses.replace(device.map, options=Options("urn:other"))
    driver = OpcUaDriver(dataclasses.replace(device, map=other, address=face.address_of(device_of([]))), SystemClock())
    closing(driver)
    with pytest.raises(DriverSetup, match="urn:other"):
        await driver.open()


async def test_nobody_listening_is_unreachable(closing):
    driver = OpcUaDriver(device_of(EVERY_TYPE[-1:], address="opc.tcp://127.0.0.1:1/x"), SystemClock())
    closing(driver)
    with pytest.raises(DeviceUnreachable):
        await driver.open()


def test_shipped_maps_load():
    names = [path.stem for path in Path(SHIPPED).glob("*_opcua.toml")]
    assert [load_device_map(SHIPPED / f"{name}.toml").protocol for name in names] == ["opcua"] * len(names)
