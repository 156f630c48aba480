"""Datagrams and serial bytes that are no answer: dropped, counted, never stored."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols import quality
from protocols.clock import SystemClock
from protocols.devicemap import Device, DeviceMap
from protocols.driver import DeviceUnreachable, DriverError
from protocols.modbus.driver import ModbusDriver
from protocols.modbus.rtu import crc16
from protocols.modbus.settings import ModbusSettings
from tests.protocols.modbus.maps import device_map
from tests.protocols.modbus.test_bus import tagged
from tests.protocols.modbus.test_transports import opened, samples

Datagrams = list[tuple[float, bytes]]  # when (in seconds from the request on) and what


class DatagramDevice(asyncio.DatagramProtocol):
    """answer: (number of the request, its frame) -> what goes back when."""

    def __init__(self, answer: Callable[[int, bytes], Datagrams]) -> None:
        self.answer, self.requests = answer, 0
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.requests += 1
        for delay_s, text in self.answer(self.requests, data):
            asyncio.get_running_loop().call_later(delay_s, self.transport.sendto, text, addr)


async def udp(answer: Callable[[int, bytes], Datagrams]) -> tuple[DatagramDevice, str]:
    transport, device = await asyncio.get_running_loop().create_datagram_endpoint(lambda: DatagramDevice(answer), ("127.0.0.1", 0))
    return device, f"udp://127.0.0.1:{transport.get_extra_info('sockname')[1]}"


def right(frame: bytes, number: int = 0) -> bytes:
    start, count = int.from_bytes(frame[8:10], "big"), int.from_bytes(frame[10:12], "big")
    data = tagged(start, count, number)
    return frame[:4] + (3 + len(data)).to_bytes(2, "big") + frame[6:8] + bytes([len(data)]) + data


@pytest.fixture
def blocks(tmp_path: Path) -> DeviceMap:
    """Four reads of equal length at different places."""
    tags = "".join(f'{{ name = "t{at}", at = "holding:{at}", type = "uint16", every = "1ms" }},\n' for at in (10, 40, 70, 100))
    return device_map(tmp_path, tags, 'timeout = "20ms"')


async def test_late_datagrams_never_become_values(blocks: DeviceMap) -> None:
    """One answer in a hundred comes after the time limit, in the middle of later exchanges."""

    def answer(number: int, frame: bytes) -> Datagrams:
        return [((0.021, 0.03, 0.05)[number % 3] if number % 100 == 50 else 0.0, right(frame))]

    device, address = await udp(answer)
    the_device = Device("d", blocks, address, ModbusSettings(5, retries=1))
    wrong = reads = 0
    async with opened(the_device) as driver:
        while reads < 300:
            reads += 1
            for name, (value, code) in samples(await driver.read(), the_device).items():
                wrong += code != quality.GOOD or value >> 8 != int(name[1:])
        assert device.requests >= 1200
        assert driver.dropped >= 10
    device.transport.close()
    assert wrong == 0


FOREIGN: dict[str, Callable[[bytes], bytes]] = {
    "another transaction": lambda frame: bytes([frame[0] ^ 1]) + right(frame)[1:],
    "another unit": lambda frame: right(frame)[:6] + b"\x09" + right(frame)[7:],
    "another function": lambda frame: right(frame)[:7] + b"\x04" + right(frame)[8:],
    "too many bytes": lambda frame: right(frame) + b"\0",
    "too few bytes": lambda frame: right(frame)[:-1],
    "two answers in one": lambda frame: right(frame) * 2,
    "a single byte": lambda frame: b"\0",
    "noise": lambda frame: b"\xff" * 40,
}


@pytest.mark.parametrize("spoil", FOREIGN.values(), ids=FOREIGN.keys())
async def test_foreign_datagram_before_the_right_one_is_dropped_and_counted(spoil: Callable[[bytes], bytes], blocks: DeviceMap) -> None:
    device, address = await udp(lambda _number, frame: [(0.0, spoil(frame)), (0.001, right(frame))])
    the_device = Device("d", blocks, address, ModbusSettings(5, retries=0))
    async with opened(the_device) as driver:
        found = samples(await driver.read(), the_device)
        assert driver.dropped >= 4
    device.transport.close()
    assert found == {f"t{at}": (at << 8, quality.GOOD) for at in (10, 40, 70, 100)}


async def test_lost_datagram_is_asked_for_again_but_not_for_ever(blocks: DeviceMap) -> None:
    device, address = await udp(lambda number, frame: [(0.0, right(frame))] if number % 2 else [])
    the_device = Device("d", blocks, address, ModbusSettings(5, retries=1))
    async with opened(the_device) as driver:
        found = samples(await driver.read(), the_device)
        assert {code for _, code in found.values()} == {quality.GOOD}
        device.answer = lambda _number, _frame: []
        before = device.requests
        with pytest.raises(DeviceUnreachable, match="no answer within"):
            await driver.read()
        assert device.requests == before + 2
    device.transport.close()


async def test_port_where_nobody_listens_is_unreachable(blocks: DeviceMap) -> None:
    device, address = await udp(lambda _number, _frame: [])
    device.transport.close()
    await asyncio.sleep(0)
    with pytest.raises(DeviceUnreachable):
        async with opened(Device("d", blocks, address)) as driver:
            await driver.read()


def rtu_right(frame: bytes) -> bytes:
    start, count = int.from_bytes(frame[2:4], "big"), int.from_bytes(frame[4:6], "big")
    text = frame[:2] + bytes([2 * count]) + tagged(start, count, 0)
    return text + crc16(text)


def with_crc(text: bytes) -> bytes:
    return text + crc16(text)


SERIAL: dict[str, Callable[[bytes], list[bytes]]] = {
    "an answer of another unit first": lambda frame: [with_crc(bytes([9, 3, 2, 1, 2])) + rtu_right(frame)],
    "an answer of another length first": lambda frame: [with_crc(frame[:2] + bytes([4, 1, 2, 3, 4])), rtu_right(frame)],
    "in single bytes": lambda frame: [bytes([byte]) for byte in rtu_right(frame)],
}


async def serial_server(answer: Callable[[bytes], list[bytes]]) -> tuple[asyncio.Server, str]:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while frame := await reader.readexactly(8):
                for text in answer(frame):
                    writer.write(text)
                    await writer.drain()
                    await asyncio.sleep(0)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    return server, f"rtu+tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("answer", SERIAL.values(), ids=SERIAL.keys())
async def test_right_rtu_frame_is_found(answer: Callable[[bytes], list[bytes]], blocks: DeviceMap) -> None:
    server, address = await serial_server(answer)
    the_device = Device("d", blocks, address, ModbusSettings(5, retries=0))
    async with opened(the_device) as driver:
        found = samples(await driver.read(), the_device)
    server.close()
    assert found == {f"t{at}": (at << 8, quality.GOOD) for at in (10, 40, 70, 100)}


async def test_line_that_was_noisy_once_goes_on(blocks: DeviceMap) -> None:
    spoilt = [b"\x00\xff\x13", bytes([5, 3, 2, 1])]

    def answer(frame: bytes) -> list[bytes]:
        return [spoilt.pop()] if spoilt and frame[1] == 3 else [frame if frame[1] == 8 else rtu_right(frame)]

    server, address = await serial_server(answer)
    the_device = Device("d", blocks, address, ModbusSettings(5, retries=2))
    async with opened(the_device) as driver:
        found = samples(await driver.read(), the_device)
    server.close()
    assert found == {f"t{at}": (at << 8, quality.GOOD) for at in (10, 40, 70, 100)}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=st.lists(st.one_of(st.binary(max_size=40), st.integers(0, 8)), min_size=1, max_size=12), kind=st.sampled_from(["tcp", "rtu"]))
def test_peer_that_says_anything_gives_right_values_or_driver_errors(script: list[Any], kind: str, blocks: DeviceMap) -> None:
    """script: noise, or the right answer with a byte of its head (TCP) or of anything (RTU) flipped; 0 = as it is."""

    async def run() -> None:
        turns = iter(script * 50)

        def answer(frame: bytes) -> bytes:
            good = right(frame) if kind == "tcp" else (frame if frame[1] == 8 else rtu_right(frame))
            turn = next(turns, 0)
            if isinstance(turn, bytes):
                return turn
            garbled = bytearray(good)
            if turn:
                garbled[turn - 1] ^= 0x21
            return bytes(garbled)

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while frame := await reader.readexactly(12 if kind == "tcp" else 8):
                    writer.write(answer(frame))
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        scheme = "tcp" if kind == "tcp" else "rtu+tcp"
        the_device = Device("d", blocks, f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}", ModbusSettings(5, timeout_us=2000))
        driver = ModbusDriver(the_device, SystemClock())
        for _ in range(6):
            try:
                await driver.open()
                for name, (value, code) in samples(await driver.read(), the_device).items():
                    assert code != quality.GOOD or value >> 8 == int(name[1:])
            except DriverError:
                pass
            finally:
                await driver.close()
        server.close()

    asyncio.run(run())
