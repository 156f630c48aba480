"""Our simulated Modbus device against pymodbus: the same map read from its server and from ours, and its client reading ours, give the same values."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymodbus import FramerType
from pymodbus.client import AsyncModbusTcpClient, AsyncModbusUdpClient
from pymodbus.pdu.file_message import FileRecord
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from protocols.clock import SystemClock
from protocols.devicemap import SHIPPED, Device, DeviceMap, Tag, load_device_map
from protocols.modbus.address import Area
from protocols.modbus.driver import ModbusDriver
from protocols.modbus.settings import ModbusSettings
from simulators.face import Step
from simulators.modbus import ModbusFace
from simulators.modbus_registers import RegisterImage
from tests.protocols.modbus.maps import device_map
from tests.protocols.modbus.test_transports import PLACES, TAGS, VALUES, samples, served

MAPS = [path for path in sorted(SHIPPED.glob("*.toml")) if "\n[modbus]" in path.read_text()]


def limits(tag: Tag) -> tuple[float, float]:
    """What the tag may show: its range, within what its registers hold."""
    low, high = tag.range or (0.0, 100.0)
    if tag.type in ("float32", "float64"):
        return low, high
    ends = (0, 1) if tag.type == "bool" else (int(np.iinfo(tag.type.native).min), int(np.iinfo(tag.type.native).max))
    if "-" in tag.at:  # a range of bits
        ends = (0, 1)
    held = sorted(end * float(tag.scale) + float(tag.offset) for end in ends)
    return max(low, held[0]), min(high, held[1])


def plausible(the_map: DeviceMap, seed: int) -> Step:
    """Something inside what every tag may show, on its own steps."""
    dice = np.random.default_rng(seed)
    values = np.array([low + (high - low) * dice.random() for low, high in map(limits, the_map.tags)])
    for index, tag in enumerate(the_map.tags):
        if tag.type not in ("float32", "float64"):
            grain = float(tag.scale)
            values[index] = np.trunc(values[index] / grain) * grain
    return Step(1_700_000_000_000_000 + seed, values, np.zeros(len(values), np.uint32))


@asynccontextmanager
async def twin(image: RegisterImage, step: Step) -> AsyncIterator[str]:
    """pymodbus' server with the registers of the image."""
    shown = image.show(step)
    blocks: list[list[SimData]] = []
    for area in (Area.COIL, Area.DISCRETE, Area.HOLDING, Area.INPUT):
        first, _ = image.bounds.get(area, (0, 1))
        content = shown.images.get(area, b"\0\0")
        values: Any = [bool(bit) for bit in content] if area.of_bits else np.frombuffer(content, ">u2").tolist()
        kind = DataType.BITS if area.of_bits else DataType.REGISTERS
        blocks.append([SimData(first, values=values, datatype=kind)])
    server = ModbusTcpServer(SimDevice(id=7, simdata=(blocks[0], blocks[1], blocks[2], blocks[3])), address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    assert server.transport is not None
    try:
        yield f"127.0.0.1:{server.transport.sockets[0].getsockname()[1]}"
    finally:
        await server.shutdown()


async def read_all(the_device: Device) -> dict[str, tuple[Any, int]]:
    """Every tag once."""
    driver = ModbusDriver(the_device, SystemClock())
    found: dict[str, tuple[Any, int]] = {}
    try:
        await driver.open()
        async with asyncio.timeout(10):
            while len(found) < len(the_device.map.tags):
                found |= samples(await driver.read(), the_device)
    finally:
        await driver.close()
    return found


async def same_from_both(the_map: DeviceMap, step: Step) -> dict[str, tuple[Any, int]]:
    face = ModbusFace()
    unplaced = Device("plc", the_map, "127.0.0.1:0", ModbusSettings(7))
    await face.start([unplaced], [step])
    ours = await read_all(replace(unplaced, address=face.address_of(unplaced)))
    await face.stop()
    async with twin(RegisterImage(the_map, "plc"), step) as address:
        theirs = await read_all(replace(unplaced, address=address))
    assert ours == theirs
    return ours


@pytest.mark.parametrize("path", MAPS, ids=lambda path: path.stem)
async def test_shipped_map_reads_the_same_from_pymodbus_and_from_ours(path: Path) -> None:
    the_map = load_device_map(path)
    if any(tag.at.startswith("file:") for tag in the_map.tags):
        pytest.skip("pymodbus' server has no file records")
    found = await same_from_both(the_map, plausible(the_map, 1))
    assert all(code == 0 for _, code in found.values())


async def test_every_look_reads_the_same_from_pymodbus_and_from_ours(tmp_path: Path) -> None:
    rows = [row for row in TAGS.strip().splitlines() if "file:" not in row]
    the_map = device_map(tmp_path, "\n".join(rows))
    values = [value for value in VALUES if value != 4711]
    found = await same_from_both(the_map, Step(1, np.array(values), np.zeros(len(values), np.uint32)))
    assert found["digits"] == (12345678, 0)
    assert found["power"] == (-123.4, 0)


CLIENTS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "tcp": (PLACES["tcp"], AsyncModbusTcpClient, {}),
    "udp": (PLACES["udp"], AsyncModbusUdpClient, {}),
    "rtu over tcp": (PLACES["rtu over tcp"], AsyncModbusTcpClient, {"framer": FramerType.RTU}),
}


@pytest.mark.parametrize(("place", "kind", "options"), CLIENTS.values(), ids=CLIENTS.keys())
async def test_client_of_pymodbus_reads_and_writes_ours(place: str, kind: Any, options: dict[str, Any], tmp_path: Path) -> None:
    the_map = device_map(tmp_path, TAGS)
    async with served(the_map, place, VALUES) as (face, the_device):
        client = kind("127.0.0.1", port=int(the_device.address.rpartition(":")[2]), retries=0, **options)
        await client.connect()
        holding = await client.read_holding_registers(0, count=6, device_id=7)
        digits = await client.read_input_registers(7, count=2, device_id=7)
        bits = await client.read_coils(3, count=1, device_id=7)
        records = await client.read_file_record([FileRecord(file_number=4, record_number=7, record_length=2)], device_id=7)
        maker = await client.read_device_information(read_code=1, object_id=0, device_id=7)
        written = await client.write_register(40, 333, device_id=7)
        masked = await client.mask_write_register(address=40, and_mask=0xFF00, or_mask=0x0001, device_id=7)
        coil = await client.write_coil(3, False, device_id=7)
        refusals = [
            await client.write_register(40, 1001, device_id=7),  # above what the map allows
            await client.write_register(0, 1, device_id=7),  # a tag that is not for writing
            await client.write_registers(41, [1, 2], device_id=7),  # no tag
            await client.read_holding_registers(0, count=100, device_id=7),
        ]
        echo = await client.diag_query_data(b"\x12\x34", device_id=7)
        client.close()
        assert face.written(the_device) == {"setpoint": 25.7, "open": 0.0}
    theirs = AsyncModbusTcpClient.DATATYPE
    assert client.convert_from_registers(holding.registers[:2], theirs.FLOAT32) == 12.5
    assert client.convert_from_registers(holding.registers[2:], theirs.INT64, word_order="little") == VALUES[1]
    assert [f"{word:04x}" for word in digits.registers] == ["1234", "5678"]
    assert bits.bits[0] is True
    assert records.records[0].record_data == (4711).to_bytes(2, "big")
    assert maker.information[0] == b"Bench"
    assert not any(answer.isError() for answer in (written, masked, coil, echo))
    assert [answer.exception_code for answer in refusals] == [3, 2, 2, 2]
