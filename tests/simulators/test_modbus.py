"""The simulated Modbus device, seen by a foreign client and through its faults."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from pymodbus.client import AsyncModbusTcpClient

from protocols import quality
from protocols.clock import SystemClock
from protocols.devicemap import SHIPPED, Device, load_device_map
from protocols.driver import DriverError
from protocols.frame import Frame
from protocols.modbus.driver import ModbusDriver
from protocols.modbus.plan import ModbusSettings
from simulators.face import Step, TruthLog
from simulators.modbus import FAULTS, ModbusFace
from tests.protocols.modbus.maps import device_map

VALUES = np.array([24029740.0, 15340820.0, 60.86, 998856.4, 37.13652, 20227980.0, np.nan, 5.634212e-03])
NAN = np.array([0, 0, 0, 0, 0, 0, quality.BAD_SENSOR_FAILURE, 0], np.uint32)


def step(number: int) -> Step:
    return Step(1_523_865_708_000_000 + number, VALUES, NAN)


def wells(count: int, address: str = "127.0.0.1:0") -> list[Device]:
    well = load_device_map(SHIPPED / "qenergyz_well_modbus.toml")
    return [Device(f"well_{unit}", well, address, ModbusSettings(unit), first_id=8 * (unit - 1)) for unit in range(1, count + 1)]


@asynccontextmanager
async def serving(devices: list[Device], truth: io.StringIO | None = None) -> AsyncIterator[tuple[ModbusFace, list[Device]]]:
    face = ModbusFace(TruthLog(truth) if truth else None)
    await face.start(devices, [step(0)] * len(devices))
    try:
        yield face, [Device(one.name, one.map, face.address_of(one), one.settings, one.asset, one.first_id) for one in devices]
    finally:
        await face.stop()


def good_values(frame: Frame) -> dict[int, float]:
    return {
        int(tag): float(value)
        for block in frame.blocks
        for tag, value, code in zip(
            block.tags, block.values[0], np.zeros(block.values.size) if block.quality is None else block.quality[0], strict=True
        )
        if code == 0
    }


async def test_truth_holds_the_recorded_numbers_exactly() -> None:
    truth = io.StringIO()
    async with serving(wells(1), truth) as (_, (well,)):
        driver = ModbusDriver(well, SystemClock())
        await driver.open()
        frame = await driver.read()
        await driver.close()
    rows = [line.split(",") for line in truth.getvalue().splitlines()]
    assert [float(row[3]) for row in rows] == [0.0 if np.isnan(value) else value for value in VALUES]
    assert [int(row[4]) for row in rows] == NAN.tolist()
    assert {int(row[2]) for row in rows} == {step(0).time_us} == {int(block.times_us[0]) for block in frame.blocks}
    assert len(good_values(frame)) == 7


async def test_step_nobody_read_is_not_in_the_truth() -> None:
    truth = io.StringIO()
    async with serving(wells(1), truth) as (face, (well,)):
        for number in range(1, 5):
            await face.publish(well, step(number))
    assert truth.getvalue() == ""


async def test_foreign_client_reads_words_and_gets_exception_2_outside_the_map() -> None:
    async with serving(wells(1)) as (_, (well,)):
        client = AsyncModbusTcpClient("127.0.0.1", port=int(well.address.rpartition(":")[2]), retries=0)
        await client.connect()
        inside = await client.read_holding_registers(20, count=2, device_id=1)
        outside = await client.read_holding_registers(30, count=50, device_id=1)
        nowhere = await client.read_coils(0, count=1, device_id=1)
        unknown = await client.write_register(0, 1, device_id=1)
        client.close()
    assert inside.registers == [20227980 & 0xFFFF, 20227980 >> 16]
    assert [answer.exception_code for answer in (outside, nowhere, unknown)] == [2, 2, 1]


async def test_devices_of_one_address_differ_by_unit(tmp_path: Path) -> None:
    one_map = device_map(tmp_path, '{ name = "n", at = "input:3", type = "float64" }')
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    await server.wait_closed()
    face = ModbusFace()
    devices = [Device(f"d{unit}", one_map, address, ModbusSettings(unit)) for unit in (1, 2)]
    await face.start(devices, [Step(1, np.array([float(unit)]), np.zeros(1, np.uint32)) for unit in (1, 2)])
    found = []
    for one in devices:
        driver = ModbusDriver(one, SystemClock())
        await driver.open()
        found.append(good_values(await driver.read())[0])
        await driver.close()
    await face.stop()
    assert found == [1.0, 2.0]


@pytest.mark.parametrize("kind", FAULTS)
async def test_fault_is_seen_by_the_driver_and_passes(kind: str, tmp_path: Path) -> None:
    tags = '{ name = "n", at = "holding:4", type = "int32", every = "5ms", quality_at = "holding:6" }'
    the_map = device_map(tmp_path, tags, 'source_time = "holding:0", timeout = "50ms"')
    number = 0

    def count() -> Step:
        nonlocal number
        number += 1
        return Step(number, np.array([float(number)]), np.zeros(1, np.uint32))

    truth = io.StringIO()
    face = ModbusFace(TruthLog(truth))
    unplaced = Device("d", the_map, "127.0.0.1:0")
    await face.start([unplaced], [count()])
    driver = ModbusDriver(Device("d", the_map, face.address_of(unplaced)), SystemClock())
    seen: list[int] = []
    stored: dict[int, float] = {}

    async def follow() -> None:
        while True:
            try:
                await driver.open()
                while True:
                    frame = await driver.read()
                    (block,) = frame.blocks
                    seen.append(0 if block.quality is None else int(block.quality[0, 0]))
                    if not seen[-1]:
                        stored[int(block.times_us[0])] = float(block.values[0, 0])
            except DriverError as error:
                seen.append(error.quality)
                await driver.close()
                await asyncio.sleep(0.005)

    async def advance() -> None:
        while True:
            await face.publish(unplaced, count())
            await asyncio.sleep(0.002)

    tasks = [asyncio.create_task(follow()), asyncio.create_task(advance())]
    await face.fault("d", kind, 500_000 if kind == "busy" else 150_000)  # a busy device is asked again for a while
    first_after = len(seen)
    async with asyncio.timeout(5):
        while not any(code == quality.GOOD for code in seen[first_after + 1 :]):
            await asyncio.sleep(0.005)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await driver.close()
    await face.stop()
    assert any(code != quality.GOOD for code in seen[:first_after])
    good = {int(row[2]): float(row[3]) for row in (line.split(",") for line in truth.getvalue().splitlines()) if row[4] == "0"}
    assert all(good[time_us] == value == time_us for time_us, value in stored.items())


async def test_unknown_fault_is_refused() -> None:
    async with serving(wells(1)) as (face, _):
        with pytest.raises(ValueError, match="expected one of drop_link"):
            await face.fault("well_1", "explode", 1)
