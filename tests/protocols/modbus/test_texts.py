"""Texts in registers, file records and device identification, told as events when they change."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.pdu.device import ModbusDeviceIdentification
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from protocols import quality
from protocols.devicemap import Device, DeviceMap, Text
from protocols.driver import DriverSetup
from protocols.event import Event
from protocols.modbus.address import Area, Span
from protocols.modbus.driver import ModbusDriver
from protocols.modbus.plan import text_problems
from protocols.modbus.settings import ModbusOptions, ModbusSettings
from protocols.modbus.texts import NoText, decode_text, parse_objects, place
from protocols.tomlfile import ConfigError
from tests.protocols.modbus.maps import device_map
from tests.protocols.modbus.test_driver import raw_server, reply
from tests.protocols.modbus.test_transports import PLACES, opened, samples, served

TAG = '{ name = "n", at = "holding:0", type = "uint16", every = "5ms" }'
TEXTS = (
    Text("serial", "holding:10", 15),
    Text("log", "file:2:0", 300),
    Text("maker", "ident:vendor"),
    Text("model", "ident:model"),
    Text("private", "ident:129"),
)


def with_texts(the_map: DeviceMap, *texts: Text) -> DeviceMap:
    return replace(the_map, texts=texts)


async def events_of(driver: ModbusDriver, count: int) -> list[Event]:
    found: list[Event] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            found += (await driver.read()).events
    return found


@pytest.mark.parametrize("at", [PLACES["tcp"], PLACES["udp"], PLACES["rtu over tcp"], PLACES["serial"]])
async def test_texts_of_a_device_are_told_once_over(at: str, tmp_path: Path) -> None:
    texts = tuple(replace(text, every_us=20_000) for text in TEXTS)
    async with served(with_texts(device_map(tmp_path, TAG), *texts), at, [5]) as (face, the_device), opened(the_device) as driver:
        first = await driver.read()
        assert samples(first, the_device) == {"n": (5, quality.GOOD)}, "values come before texts"
        found = await events_of(driver, 5)
        image = face._units["plc"].image
        assert {event.source: event.message for event in found} == {text.name: image.text(text.name) for text in texts}
        assert {(event.kind, event.device, event.source, event.detail["at"]) for event in found} == {
            ("text", "plc", text.name, text.at) for text in texts
        }
        image.idents[0] = "Another maker"
        (changed,) = await events_of(driver, 1)
        assert (changed.source, changed.message) == ("maker", "Another maker")
        assert driver.unread_texts == 0


async def test_identification_and_registers_of_pymodbus_are_read(tmp_path: Path) -> None:
    identity = ModbusDeviceIdentification(
        info_name={"VendorName": "Acme", "ProductCode": "PX", "MajorMinorRevision": "2.1", "ModelName": "PX 200"}
    )
    words = [int.from_bytes(pair, "big") for pair in (b"SN", b"-0", b"07", b"\0\0")]
    device = SimDevice(id=1, simdata=[SimData(0, values=[7, *words], datatype=DataType.REGISTERS)])
    server = ModbusTcpServer(device, identity=identity, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    assert server.transport is not None
    texts = [Text(name, f"ident:{name}") for name in ("vendor", "product", "revision", "model")] + [Text("serial", "holding:1", 8)]
    address = f"127.0.0.1:{server.transport.sockets[0].getsockname()[1]}"
    async with opened(Device("d", with_texts(device_map(tmp_path, TAG), *texts), address)) as driver:
        found = {event.source: event.message for event in await events_of(driver, 5)}
    await server.shutdown()
    assert found == {"vendor": "Acme", "product": "PX", "revision": "2.1", "model": "PX 200", "serial": "SN-007"}


async def test_text_that_is_refused_silent_or_no_text_costs_no_value(tmp_path: Path) -> None:
    """holding:10 is refused, holding:20 is not answered at all, holding:30 is no UTF-8; the identification is cut off."""

    def answer(_number: int, frame: bytes) -> bytes | None:
        start = int.from_bytes(frame[8:10], "big")
        if start == 10:
            return frame[:4] + bytes([0, 3, 1, 0x83, 2])
        if start == 20:
            return None
        return reply(frame, b"\xff\xfe\0\0" if start == 30 else b"\0\5")

    texts = [Text(name, f"holding:{at}", 4, 10_000) for name, at in (("refused", 10), ("silent", 20), ("binary", 30))]
    the_map = with_texts(device_map(tmp_path, TAG, 'timeout = "30ms"'), *texts)
    async with raw_server(answer) as address, opened(Device("d", the_map, address)) as driver:
        async with asyncio.timeout(10):
            while driver.unread_texts < 6:
                frame = await driver.read()
                assert frame.events == ()
                assert samples(frame, Device("d", the_map, address)) == {"n": (5, quality.GOOD)}


WRONG = {
    "an unknown object": Text("a", "ident:colour"),
    "an object above the last": Text("a", "ident:256"),
    "no length": Text("a", "holding:5"),
    "a coil": Text("a", "coil:5", 4),
    "bits": Text("a", "holding:5.1", 4),
    "no address": Text("a", "serial", 4),
    "records after the last": Text("a", "file:1:9999", 4),
    "registers after the last": Text("a", "holding:65535", 4),
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG.keys())
async def test_address_of_a_text_is_refused(text: Text, tmp_path: Path) -> None:
    the_map = with_texts(device_map(tmp_path, TAG), text)
    assert [index for index, _ in text_problems(the_map)] == [0]
    with pytest.raises(DriverSetup, match='text "a" of map "bench"'):
        async with opened(Device("d", the_map, "127.0.0.1:1")):
            pass


def test_long_text_is_read_in_parts_within_the_limits() -> None:
    assert [span.count for span in place(Text("a", "holding:0", 301), ModbusOptions()).spans] == [125, 26]
    assert [span.count for span in place(Text("a", "file:1:0", 301), ModbusOptions()).spans] == [121, 30]
    assert place(Text("a", "input:9", 4), ModbusOptions(base=1)).spans == (Span(Area.INPUT, 8, 2),)


@pytest.mark.parametrize(
    ("answer", "text"), [(b"AB C\0\0", "AB C"), (b"  PX 200 ", "PX 200"), (b"\0junk", ""), ("Pumpe Süd".encode(), "Pumpe Süd")]
)
def test_text_ends_at_nul_and_loses_its_blanks(answer: bytes, text: str) -> None:
    assert decode_text(answer) == text


@pytest.mark.parametrize("answer", [b"\xff\xff\xff\xff", b"A\x07B", b"\x80"])
def test_bytes_that_are_no_text_are_refused(answer: bytes) -> None:
    with pytest.raises(NoText):
        decode_text(answer)


@given(st.binary(max_size=60))
def test_identification_is_parsed_or_refused(answer: bytes) -> None:
    try:
        found = parse_objects(answer)
    except NoText:
        return
    assert sum(2 + len(text) for text in found.texts.values()) <= len(answer) - 4


async def test_text_is_in_the_map_file(tmp_path: Path) -> None:
    the_map = device_map(tmp_path, TAG + '\n]\ntexts = [ { name = "serial", at = "holding:10", length = 8, every = "1d" } ')
    assert the_map.texts == (Text("serial", "holding:10", 8, 86_400_000_000),)
    with pytest.raises(ConfigError):
        device_map(tmp_path, '{ name = "n", at = "ident:vendor", type = "uint16" }')


async def test_settings_limit_the_reads_of_texts(tmp_path: Path) -> None:
    the_map = with_texts(device_map(tmp_path, TAG), Text("long", "holding:10", 40))
    async with served(the_map, PLACES["tcp"], [5]) as (face, the_device):
        narrow = replace(the_device, settings=ModbusSettings(7, max_words=4))
        async with opened(narrow) as driver:
            (event,) = await events_of(driver, 1)
        assert event.message == face._units["plc"].image.text("long")
