"""A simulated feeder and a driver that reads it, for the tests of this folder."""

import asyncio
import dataclasses

import numpy as np

from protocols.clock import SystemClock
from protocols.devicemap import Device, DeviceMap, Tag, TagType
from protocols.iec61850.driver import Iec61850Driver
from protocols.iec61850.plan import Options, Settings
from simulators.face import Step
from simulators.iec61850 import Iec61850Face

START_US = 1_700_000_000_123_457
TAGS = (
    Tag("w", "MMXU1.TotW.mag.f[MX]", TagType.FLOAT32),
    Tag("v", "MMXU1.PhV.phsA.cVal.mag.f[MX]", TagType.FLOAT32),
    Tag("angle", "MMXU1.PhV.phsA.cVal.ang.f[MX]", TagType.FLOAT32),
    Tag("wide", "MMXU1.Hz.mag.f[MX]", TagType.FLOAT64),
    Tag("run", "GGIO1.Ind1.stVal[ST]", TagType.BOOL),
    Tag("count", "XCBR1.OpCnt.stVal[ST]", TagType.INT32),
    Tag("pos", "XCBR1.Pos.stVal[ST]", TagType.UINT8),
    Tag("unsigned", "GGIO1.IntIn1.stVal[ST]", TagType.UINT32),
)
FIRST = [1.5, 6350.25, -30.0, 50.000000001, 1, -7, 2, 4_000_000_000]


def device_of(tags=TAGS, texts=(), settings=None, name="feeder", **options):
    device_map = DeviceMap("m", "x", ("y",), "iec61850", Options("QZ", "LD0", **options), tuple(tags), texts=tuple(texts))
    return Device(name, device_map, "127.0.0.1:0", settings or Settings(timeout_us=2_000_000), first_id=50)


def step_at(number, values, codes=None):
    return Step(START_US + number * 1_000_001, np.array(values, float), np.array(codes or [0] * len(values), np.uint32))


def samples(frames):
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


async def next_event(driver, kind, seconds=10):
    async with asyncio.timeout(seconds):
        while True:
            for event in (await driver.read()).events:
                if event.kind == kind:
                    return event


async def served(closing, device, first, **face_options):
    face = Iec61850Face(**face_options)
    closing(face)
    await face.start([device], [first])
    return face, dataclasses.replace(device, address=face.address_of(device))


def reading(closing, device, delivered=()):
    driver = Iec61850Driver(device, SystemClock(), delivered)
    closing(driver)
    return driver


async def linked(closing, device, first, **face_options):
    face, reached = await served(closing, device, first, **face_options)
    driver = reading(closing, reached)
    await driver.open()
    return face, driver
