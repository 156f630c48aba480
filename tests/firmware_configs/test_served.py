"""Every shipped Modbus map is served by the simulator and read by the driver: the same values, all good."""

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from protocols.clock import SystemClock
from protocols.devicemap import SHIPPED, DeviceMaps, parse_devices, to_engineering
from protocols.driver import open_driver
from protocols.tomlfile import TomlFile
from simulators.cli import open_face
from simulators.wander import WanderSource

MODBUS = [path for path in sorted(SHIPPED.glob("*.toml")) if "\n[modbus]" in path.read_text(encoding="utf-8")]
REAL = [path for path in MODBUS if not path.stem.startswith("qenergyz")]


def test_twenty_real_devices_and_more_have_a_map() -> None:
    assert len(REAL) >= 20


@pytest.mark.parametrize("path", MODBUS, ids=lambda path: path.stem)
async def test_served_map_is_read_as_it_was_shown(path: Path) -> None:
    text = f'[[device]]\nname = "d"\nmap = "{path.stem}"\naddress = "127.0.0.1:0"\n'
    (device,) = parse_devices(TomlFile(path, text).root.sections("device"), DeviceMaps())
    shown = WanderSource(device.map.tags, 7).step(3, SystemClock().now_us())
    face = open_face("modbus", None)
    await face.start([device], [shown])
    driver = open_driver(replace(device, address=face.address_of(device)), SystemClock())
    found: dict[int, float] = {}
    try:
        await driver.open()
        async with asyncio.timeout(10):
            while len(found) < len(device.map.tags):
                for block in (await driver.read()).blocks:
                    assert block.quality is None
                    for number, raw in zip(block.tags.tolist(), block.values.reshape(1, -1)[0], strict=True):
                        tag = device.map.tags[number]
                        found[number] = float(to_engineering(np.array([raw]), tag.type, tag.scale, tag.offset)[0])
    finally:
        await driver.close()
        await face.stop()
    for index, tag in enumerate(device.map.tags):
        step = float(abs(tag.scale)) if tag.extra is None or not tag.extra.scale_at else 1.0
        assert found[index] == pytest.approx(shown.values[index], rel=1e-6, abs=0.51 * step), tag.name
