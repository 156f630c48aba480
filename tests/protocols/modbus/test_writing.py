"""Writes: what goes to the device, what is checked before and after, and devices that refuse, are busy, or do something else."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from protocols import quality
from protocols.clock import SystemClock
from protocols.devicemap import Device
from protocols.driver import DeviceUnreachable, WriteRefused, WritingDriver
from protocols.modbus.driver import ModbusDriver
from protocols.tomlfile import ConfigError
from tests.protocols.modbus.maps import device_map
from tests.protocols.modbus.test_transports import PLACES, opened, samples, served

WRITE = "write = { min = -1e9, max = 1e19 }"
KINDS: dict[str, tuple[str, float, float]] = {
    "bool in a coil": ('at = "coil:0", type = "bool"', 0, 1),
    "bool in a bit": ('at = "holding:0.5", type = "bool"', 0, 1),
    "bool in a register": ('at = "holding:0", type = "bool"', 0, 1),
    "int8": ('at = "holding:0", type = "int8"', 3, -100),
    "uint16": ('at = "holding:0", type = "uint16"', 7, 65535),
    "int16": ('at = "holding:0", type = "int16"', 7, -3),
    "int32, words swapped": ('at = "holding:0", type = "int32", word_order = "CDAB"', 7, -70_000),
    "uint32": ('at = "holding:0", type = "uint32"', 7, 4_000_000_000),
    "uint64": ('at = "holding:0", type = "uint64"', 7, 2**63 + 2**12),
    "float32": ('at = "holding:0", type = "float32"', 1.5, 0.1),
    "float64": ('at = "holding:0", type = "float64", word_order = "DCBA"', 1.5, 0.1),
    "digits": ('at = "holding:0", type = "uint32", form = "bcd"', 12, 98_765_432),
    "bits": ('at = "holding:0.4-9", type = "uint8"', 12, 63),
    "signed bits": ('at = "holding:0.4-9", type = "int8"', 12, -32),
    "scaled": ('at = "holding:0", type = "float64", form = "int16", scale_at = "holding:1"', 12.5, -0.001),
}


@pytest.mark.parametrize(("keys", "first", "then"), KINDS.values(), ids=KINDS.keys())
async def test_value_is_written_and_read_back_as(keys: str, first: float, then: float, tmp_path: Path) -> None:
    the_map = device_map(tmp_path, f'{{ name = "a", {keys}, every = "5ms", {WRITE} }}')
    async with served(the_map, PLACES["tcp"], [first]) as (_, the_device), opened(the_device) as driver:
        assert isinstance(driver, WritingDriver)
        with pytest.raises(WriteRefused, match="nothing was written"):
            await driver.write(0, then, then)
        await driver.write(0, then, first)
        value, code = samples(await driver.read(), the_device)["a"]
    assert code == quality.GOOD
    if the_map.tags[0].type in ("uint32", "uint64"):
        value %= 1 << 8 * the_map.tags[0].type.native.itemsize
    assert value == pytest.approx(then, rel=1e-6)


async def test_neighbouring_bits_keep_their_state(tmp_path: Path) -> None:
    tags = "".join(
        f'{{ name = "b{bit}", at = "holding:0.{bit}", type = "bool", every = "5ms", write = {{ min = 0, max = 1 }} }},\n'
        for bit in range(16)
    )
    first = [bit % 3 == 0 for bit in range(16)]
    async with (
        served(device_map(tmp_path, tags), PLACES["tcp"], [float(bit) for bit in first]) as (_, the_device),
        opened(the_device) as driver,
    ):
        await driver.write(5, 1, 0)
        await driver.write(0, 0, 1)
        found = samples(await driver.read(), the_device)
    assert [bool(found[f"b{bit}"][0]) for bit in range(16)] == [False, *first[1:5], True, *first[6:]]


async def test_pymodbus_takes_every_kind_of_write(tmp_path: Path) -> None:
    the_map = device_map(
        tmp_path,
        f'{{ name = "word", at = "holding:0", type = "uint16", every = "5ms", {WRITE} }},\n'
        f'{{ name = "float", at = "holding:2", type = "float32", every = "5ms", {WRITE} }},\n'
        f'{{ name = "bit", at = "holding:4.9", type = "bool", every = "5ms", {WRITE} }},\n'
        f'{{ name = "other", at = "holding:4.0-7", type = "uint8", every = "5ms", {WRITE} }}',
    )
    registers = SimData(0, values=[1, 0, 0, 0, 0x0055], datatype=DataType.REGISTERS)
    server = ModbusTcpServer(SimDevice(id=1, simdata=[registers]), address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    assert server.transport is not None
    the_device = Device("d", the_map, f"127.0.0.1:{server.transport.sockets[0].getsockname()[1]}")
    async with opened(the_device) as driver:
        await driver.write(0, 513, 1)
        await driver.write(1, -2.25, 0)
        await driver.write(2, 1, 0)
        await driver.write(3, 0xAA, 0x55)
        found = samples(await driver.read(), the_device)
    await server.shutdown()
    assert {name: value for name, (value, _) in found.items()} == {"word": 513, "float": -2.25, "bit": 1, "other": 0xAA}


Behaviour = Callable[["Plc", bytes], "bytes | int | None"]


class Plc:
    """Holding registers and a coil over Modbus TCP; `behave` may answer instead: a PDU, an exception code, or None = as it should."""

    def __init__(self, behave: Behaviour) -> None:
        self.behave, self.words, self.coil, self.asked = behave, [7, 7, 7, 7], 0, list[int]()

    def answer(self, pdu: bytes) -> bytes:
        self.asked.append(pdu[0])
        found = self.behave(self, pdu)
        if found is None:
            found = self.act(pdu)
        return bytes([0x80 | pdu[0], found]) if isinstance(found, int) else found

    def act(self, pdu: bytes) -> bytes:
        at = int.from_bytes(pdu[1:3], "big")
        match pdu[0]:
            case 1:
                return bytes([1, 1, self.coil])
            case 3:
                words = self.words[at : at + int.from_bytes(pdu[3:5], "big")]
                return bytes([3, 2 * len(words)]) + b"".join(word.to_bytes(2, "big") for word in words)
            case 5:
                self.coil = pdu[3] & 1
            case 15:
                self.coil = pdu[6] & 1
            case 6:
                self.words[at] = int.from_bytes(pdu[3:5], "big")
            case 16:
                for offset in range(pdu[5] // 2):
                    self.words[at + offset] = int.from_bytes(pdu[6 + 2 * offset : 8 + 2 * offset], "big")
            case 22:
                keep, put = int.from_bytes(pdu[3:5], "big"), int.from_bytes(pdu[5:7], "big")
                self.words[at] = self.words[at] & keep | put & ~keep
                return pdu
        return pdu[:5]


@asynccontextmanager
async def plc(tmp_path: Path, keys: str, behave: Behaviour) -> AsyncIterator[tuple[Plc, ModbusDriver]]:
    device = Plc(behave)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readexactly(7):
                pdu = await reader.readexactly(int.from_bytes(head[4:6], "big") - 1)
                answer = device.answer(pdu)
                writer.write(head[:4] + (len(answer) + 1).to_bytes(2, "big") + head[6:] + answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    the_map = device_map(tmp_path, f'{{ name = "a", {keys}, {WRITE} }}', 'timeout = "200ms"')
    driver = ModbusDriver(Device("d", the_map, f"127.0.0.1:{server.sockets[0].getsockname()[1]}"), SystemClock())
    await driver.open()
    try:
        yield device, driver
    finally:
        await driver.close()
        server.close()
        await server.wait_closed()


def refusing(*functions: int, code: int = 1) -> Behaviour:
    return lambda _plc, pdu: code if pdu[0] in functions else None


WORD, COIL, BIT = 'at = "holding:0", type = "uint16"', 'at = "coil:0", type = "bool"', 'at = "holding:0.3", type = "bool"'
SIBLINGS: dict[str, tuple[str, int, int, list[int]]] = {
    "a coil by function 15": (COIL, 5, 1, [5, 15, 1]),
    "a register by function 16": (WORD, 6, 9, [6, 16, 3]),
    "a bit by reading and writing its register": (BIT, 22, 1, [22, 3, 6, 3]),
}


@pytest.mark.parametrize(("keys", "unknown", "raw", "asked"), SIBLINGS.values(), ids=SIBLINGS.keys())
async def test_device_that_does_not_know_a_function_gets(keys: str, unknown: int, raw: int, asked: list[int], tmp_path: Path) -> None:
    async with plc(tmp_path, keys, refusing(unknown)) as (device, driver):
        await driver.write(0, raw, None)
        assert device.asked == asked
    assert (device.coil, device.words[0]) in ((1, 7), (0, 9), (0, 0b1111))


@pytest.mark.parametrize("code", [1, 2, 3, 4, 7, 8, 10, 11])
async def test_refusal_names_its_exception(code: int, tmp_path: Path) -> None:
    async with plc(tmp_path, WORD, refusing(6, 16, code=code)) as (device, driver):
        with pytest.raises(WriteRefused, match=rf'tag "a": the device refused the write: exception {code} \('):
            await driver.write(0, 9, None)
    assert device.words[0] == 7


async def test_other_value_than_expected_is_left_alone(tmp_path: Path) -> None:
    async with plc(tmp_path, WORD, refusing()) as (device, driver):
        with pytest.raises(WriteRefused, match="expected 8, found 7; nothing was written"):
            await driver.write(0, 9, 8)
    assert device.asked == [3]


async def test_busy_device_is_asked_again_a_few_times(tmp_path: Path) -> None:
    def busy(device: Plc, pdu: bytes) -> int | None:
        return 6 if pdu[0] == 6 and device.asked.count(6) <= 3 else None

    async with plc(tmp_path, WORD, busy) as (device, driver):
        await driver.write(0, 9, 7)
        assert device.words[0] == 9
    async with plc(tmp_path, WORD, refusing(6, code=6)) as (device, driver):
        with pytest.raises(WriteRefused, match="busy"):
            await driver.write(0, 9, 7)
    assert 2 <= device.asked.count(6) <= 10


async def test_acknowledged_write_is_waited_for(tmp_path: Path) -> None:
    def slow(device: Plc, pdu: bytes) -> int | None:
        if device.asked.count(3) == 3:
            device.words[0] = 9
        return 5 if pdu[0] == 6 else None

    async with plc(tmp_path, WORD, slow) as (device, driver):
        await driver.write(0, 9, None)
        assert device.asked == [6, 3, 3, 3]


async def test_device_that_acknowledges_but_shows_another_value_is_told(tmp_path: Path) -> None:
    async with plc(tmp_path, WORD, lambda _plc, pdu: pdu[:5] if pdu[0] == 6 else None) as (_, driver):
        with pytest.raises(WriteRefused, match="acknowledged 9 but shows 7"):
            await driver.write(0, 9, None)


async def test_register_that_can_only_be_written_has_its_acknowledgement(tmp_path: Path) -> None:
    async with plc(tmp_path, WORD, refusing(3, code=2)) as (device, driver):
        await driver.write(0, 9, None)
        with pytest.raises(WriteRefused, match="cannot be read before the write"):
            await driver.write(0, 9, 7)
    assert device.words[0] == 9


async def test_answer_that_repeats_something_else_ends_the_link(tmp_path: Path) -> None:
    async with plc(tmp_path, WORD, lambda _plc, pdu: pdu[:4] + b"\x08" if pdu[0] == 6 else None) as (_, driver):
        with pytest.raises(Exception, match="expected an answer beginning"):
            await driver.write(0, 9, None)


async def test_silence_after_a_write_is_not_taken_for_anything(tmp_path: Path) -> None:
    async with plc(tmp_path, WORD, lambda _plc, pdu: b"\x06" if pdu[0] == 6 else None) as (device, driver):
        with pytest.raises(Exception, match=r"link dropped|no answer"):
            await driver.write(0, 9, None)
        assert device.asked == [6], "a write is never asked twice"


async def test_link_that_is_not_open_takes_no_write(tmp_path: Path) -> None:
    driver = ModbusDriver(Device("d", device_map(tmp_path, f'{{ name = "a", {WORD}, {WRITE} }}'), "127.0.0.1:1"), SystemClock())
    with pytest.raises(DeviceUnreachable):
        await driver.write(0, 9, None)


@pytest.mark.parametrize("at", ["input:0", "discrete:0", "file:1:0"])
def test_map_with_a_write_to_what_can_only_be_read_is_refused(at: str, tmp_path: Path) -> None:
    kind: Any = "bool" if at.startswith("d") else "uint16"
    with pytest.raises(ConfigError, match="can only be read"):
        device_map(tmp_path, f'{{ name = "a", at = "{at}", type = "{kind}", {WRITE} }}')
