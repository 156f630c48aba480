"""The same device over every transport: our simulated one, and pymodbus' servers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymodbus import FramerType
from pymodbus.server import ModbusTcpServer, ModbusTlsServer, ModbusUdpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from protocols import quality
from protocols.clock import SystemClock
from protocols.devicemap import Device, DeviceMap
from protocols.driver import DeviceUnreachable, DriverError, DriverSetup, WriteRefused
from protocols.frame import Frame
from protocols.modbus import tls
from protocols.modbus.driver import ModbusDriver
from protocols.modbus.settings import Credentials, ModbusSettings
from simulators.face import Step
from simulators.modbus import ModbusFace
from tests.protocols.modbus.certificates import Authority
from tests.protocols.modbus.maps import device_map

PLACES = {
    "tcp": "127.0.0.1:0",
    "tls": "tls://127.0.0.1:0",
    "udp": "udp://127.0.0.1:0",
    "rtu over tcp": "rtu+tcp://127.0.0.1:0",
    "serial": "rtu:///dev/ptmx?baud=115200&parity=N&stop=1",
}
TAGS = """
{ name = "p", at = "holding:0", type = "float32", every = "5ms" },
{ name = "n", at = "holding:2", type = "int64", every = "5ms", word_order = "CDAB" },
{ name = "digits", at = "input:7", type = "uint32", form = "bcd", every = "5ms" },
{ name = "power", at = "input:20", type = "float64", form = "int16", scale_at = "input:21", every = "5ms" },
{ name = "mode", at = "holding:30.4-7", type = "uint8", every = "5ms" },
{ name = "open", at = "coil:3", type = "bool", every = "5ms", write = { min = 0, max = 1 } },
{ name = "trip", at = "discrete:900", type = "bool", every = "5ms" },
{ name = "logged", at = "file:4:7", type = "uint16", every = "5ms" },
{ name = "setpoint", at = "holding:40", type = "uint16", scale = 0.1, every = "5ms", write = { min = 0, max = 100 } },
"""
VALUES = [12.5, -(2**40) - 1, 12345678, -123.4, 9, 1, 0, 4711, 50.5]


def samples(frame: Frame, the_device: Device) -> dict[str, tuple[Any, int]]:
    """Raw value and quality by tag name."""
    found: dict[str, tuple[Any, int]] = {}
    for block in frame.blocks:
        codes = np.zeros(block.values.shape, np.uint32) if block.quality is None else block.quality
        for tag, value, code in zip(block.tags.tolist(), block.values[0].tolist(), codes[0].tolist(), strict=True):
            found[the_device.map.tags[tag - the_device.first_id].name] = (value, code)
    return found


@asynccontextmanager
async def opened(the_device: Device) -> AsyncIterator[ModbusDriver]:
    driver = ModbusDriver(the_device, SystemClock())
    try:
        await driver.open()
        yield driver
    finally:
        await driver.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@asynccontextmanager
async def served(
    the_map: DeviceMap, place: str, values: list[float], authority: Authority | None = None, **face_options: Any
) -> AsyncIterator[tuple[ModbusFace, Device]]:
    """A simulated device at that place, and the device as a gateway would have it."""
    settings = ModbusSettings(unit=7)
    if place.startswith("tls"):
        assert authority is not None
        settings = replace(settings, tls=authority.issue("gateway", role="Operator"))
        face_options["credentials"] = authority.issue("plc")
    face = ModbusFace(**face_options)
    unplaced = Device("plc", the_map, place, settings)
    await face.start([unplaced], [Step(1, np.array(values, float), np.zeros(len(values), np.uint32))])
    try:
        yield face, replace(unplaced, address=face.address_of(unplaced))
    finally:
        await face.stop()


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
async def test_every_area_and_look_is_read_over(place: str, tmp_path: Path, authority: Authority) -> None:
    the_map = device_map(tmp_path, TAGS)
    async with served(the_map, place, VALUES, authority) as (_, the_device), opened(the_device) as driver:
        for _ in range(3):
            found = samples(await driver.read(), the_device)
    assert {name: code for name, (_, code) in found.items()} == dict.fromkeys(found, quality.GOOD)
    expected = dict(zip((tag.name for tag in the_map.tags), VALUES, strict=True)) | {"setpoint": 505}
    assert {name: value for name, (value, _) in found.items()} == expected


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
async def test_tag_is_written_between_polls_over(place: str, tmp_path: Path, authority: Authority) -> None:
    the_map = device_map(tmp_path, TAGS)
    async with served(the_map, place, VALUES, authority) as (face, the_device), opened(the_device) as driver:
        reading = asyncio.create_task(_values_of(driver, the_device, "setpoint", 400))
        await driver.write(8, 400, 505)
        await driver.write(5, 0, None)
        with pytest.raises(WriteRefused, match="expected 505, found 400"):
            await driver.write(8, 410, 505)
        await reading
        assert face.written(the_device) == {"setpoint": 40.0, "open": 0.0}


async def _values_of(driver: ModbusDriver, the_device: Device, name: str, until_value: float) -> None:
    async with asyncio.timeout(10):
        while samples(await driver.read(), the_device)[name] != (until_value, quality.GOOD):
            pass


@pytest.mark.parametrize("kind", ["drop_link", "late", "garbled", "wrong_unit", "wrong_transaction", "delay", "exception", "busy"])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
async def test_no_wrong_value_comes_from_faulty_device(place: str, kind: str, tmp_path: Path, authority: Authority) -> None:
    """The counter and the text beside it are of one step, or of none."""
    tags = '{ name = "a", at = "holding:0", type = "uint32", every = "1ms" },\n{ name = "b", at = "holding:2", type = "uint32", every = "1ms" }'
    the_map = device_map(tmp_path, tags, 'timeout = "20ms"')
    good = bad = 0
    async with served(the_map, place, [1, 0xFFFF_FFFE], authority) as (face, the_device):
        failing = asyncio.create_task(face.fault("plc", kind, 80_000))
        driver = ModbusDriver(the_device, SystemClock())
        while not failing.done() or good < 20:
            try:
                await driver.open()
                while not failing.done() or good < 20:
                    found = samples(await driver.read(), the_device)
                    if found["a"][1] == quality.GOOD:
                        assert (found["a"][0], found["b"][0] % 2**32) == (1, 0xFFFF_FFFE)
                        good += failing.done()
                    else:
                        bad += 1
            except DriverError:
                bad += 1
            finally:
                await driver.close()
        await failing
    assert good >= 20
    assert bad or kind in ("late", "busy")


PYMODBUS: dict[str, tuple[type[Any], str, Any]] = {
    "tcp": (ModbusTcpServer, "127.0.0.1:{}", FramerType.SOCKET),
    "udp": (ModbusUdpServer, "udp://127.0.0.1:{}", FramerType.SOCKET),
    "rtu over tcp": (ModbusTcpServer, "rtu+tcp://127.0.0.1:{}", FramerType.RTU),
    "tls": (ModbusTlsServer, "tls://127.0.0.1:{}", FramerType.SOCKET),
}


@pytest.mark.parametrize(("kind", "address", "framer"), PYMODBUS.values(), ids=PYMODBUS.keys())
async def test_values_of_pymodbus_are_read_over(kind: Any, address: str, framer: Any, tmp_path: Path, authority: Authority) -> None:
    the_map = device_map(
        tmp_path,
        '{ name = "f", at = "holding:0", type = "float32", every = "5ms" },\n{ name = "n", at = "holding:2", type = "int16", every = "5ms" },\n'
        '{ name = "s", at = "holding:3", type = "uint16", every = "5ms", write = { min = 0, max = 9 } }',
    )
    registers = SimData(0, values=[0x4148, 0, 0xFFFE, 5], datatype=DataType.REGISTERS)
    options = {"sslctx": _context(authority.issue("plc"))} if kind is ModbusTlsServer else {}
    server = kind(SimDevice(id=7, simdata=[registers]), framer=framer, address=("127.0.0.1", 0), **options)
    await server.serve_forever(background=True)
    transport = server.transport
    port = (transport.sockets[0].getsockname() if hasattr(transport, "sockets") else transport.get_extra_info("sockname"))[1]
    the_device = Device("plc", the_map, address.format(port), ModbusSettings(7, tls=authority.issue("gateway") if options else None))
    async with opened(the_device) as driver:
        found = samples(await driver.read(), the_device)
        await driver.write(2, 8, 5)
        again = samples(await driver.read(), the_device)
    await server.shutdown()
    assert found == {"f": (12.5, 0), "n": (-2, 0), "s": (5, 0)}
    assert again["s"] == (8, 0)


def _context(credentials: Credentials) -> Any:
    return tls.server_context(credentials.ca_file, credentials.certificate_file, credentials.key_file)


async def test_role_of_the_certificate_decides_about_writing(tmp_path: Path, authority: Authority) -> None:
    the_map = device_map(tmp_path, TAGS)
    async with served(the_map, PLACES["tls"], VALUES, authority, write_role="Engineer") as (face, the_device):
        async with opened(the_device) as driver:
            with pytest.raises(WriteRefused, match="illegal function"):
                await driver.write(8, 400, None)
        engineer = replace(the_device, settings=ModbusSettings(7, tls=authority.issue("engineer", role="Engineer")))
        async with opened(engineer) as driver:
            await driver.write(8, 400, None)
        assert face.written(the_device) == {"setpoint": 40.0}


async def test_certificate_without_the_expected_role_is_our_configuration(tmp_path: Path, authority: Authority) -> None:
    credentials = replace(authority.issue("gateway", role="Operator"), role="Engineer")
    assert tls.role_of(credentials.certificate_file.read_bytes()) == "Operator"
    the_device = Device("plc", device_map(tmp_path, TAGS), "tls://127.0.0.1:1", ModbusSettings(7, tls=credentials))
    with pytest.raises(DriverSetup, match=r'carries the role \'Operator\', expected "Engineer"'):
        async with opened(the_device):
            pass


async def test_missing_key_file_is_our_configuration(tmp_path: Path, authority: Authority) -> None:
    credentials = replace(authority.issue("gateway"), key_file=tmp_path / "nowhere.key")
    the_device = Device("plc", device_map(tmp_path, TAGS), "tls://127.0.0.1:1", ModbusSettings(7, tls=credentials))
    with pytest.raises(DriverSetup, match=r"key_file .*nowhere.key does not exist"):
        async with opened(the_device):
            pass


@pytest.mark.parametrize("side", ["device", "gateway"])
async def test_certificate_of_another_authority_is_not_spoken_to(side: str, tmp_path: Path, authority: Authority) -> None:
    the_map, other = device_map(tmp_path, TAGS, 'timeout = "500ms"'), Authority(tmp_path / "other")
    async with served(the_map, PLACES["tls"], VALUES, authority) as (_, the_device):
        ours, theirs = authority.issue("gateway"), other.issue("gateway")
        wrong = replace(ours, ca_file=theirs.ca_file) if side == "device" else replace(theirs, ca_file=ours.ca_file)
        with pytest.raises(DeviceUnreachable):
            async with opened(replace(the_device, settings=ModbusSettings(7, tls=wrong))) as driver:
                await driver.read()


async def test_serial_line_that_does_not_exist_is_unreachable(tmp_path: Path) -> None:
    the_device = Device("plc", device_map(tmp_path, TAGS), f"rtu://{tmp_path}/ttyUSB0")
    with pytest.raises(DeviceUnreachable, match="no connection to rtu:///"):
        async with opened(the_device):
            pass


async def test_file_that_is_no_serial_line_is_unreachable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DeviceUnreachable):
        async with opened(Device("plc", device_map(tmp_path, TAGS), f"rtu://{tmp_path}/file")):
            pass


async def test_certificate_of_another_name_is_not_spoken_to(tmp_path: Path, authority: Authority) -> None:
    the_map = device_map(tmp_path, TAGS)
    async with served(the_map, PLACES["tls"], VALUES, authority) as (_, the_device):
        other = replace(authority.issue("gateway"), server_name="plc7.example")
        with pytest.raises(DeviceUnreachable, match=r"certificate verify failed: Hostname mismatch"):
            async with opened(replace(the_device, settings=ModbusSettings(7, tls=other))):
                pass


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
async def test_device_that_goes_away_is_unreachable(place: str, tmp_path: Path, authority: Authority) -> None:
    the_map = device_map(tmp_path, TAGS, 'timeout = "50ms"')
    async with served(the_map, place, VALUES, authority) as (face, the_device), opened(the_device) as driver:
        await driver.read()
        await face.stop()
        with pytest.raises(DeviceUnreachable):
            while True:
                await driver.read()
        await driver.close()
        with pytest.raises(DeviceUnreachable):
            await driver.open()
            await driver.read()


async def test_line_with_two_speeds_is_our_configuration(tmp_path: Path) -> None:
    the_map = device_map(tmp_path, TAGS)
    async with served(the_map, PLACES["serial"], VALUES) as (_, the_device), opened(the_device):
        other = replace(the_device, address=the_device.address.replace("115200", "9600"))
        with pytest.raises(DriverSetup, match="all devices of a line"):
            async with opened(other):
                pass
