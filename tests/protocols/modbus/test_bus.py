"""Several devices on one wire: turns, pauses, and what one device's failure costs the others."""

import asyncio
import os
import random
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from protocols import quality
from protocols.clock import SystemClock
from protocols.devicemap import Device, DeviceMap
from protocols.driver import DeviceUnreachable, DriverError
from protocols.modbus.bus import Turns, bus_for
from protocols.modbus.driver import ModbusDriver
from protocols.modbus.endpoint import parse_endpoint
from protocols.modbus.rtu import crc16
from protocols.modbus.settings import ModbusSettings
from simulators.face import Step
from simulators.modbus import ModbusFace
from tests.protocols.modbus.maps import device_map
from tests.protocols.modbus.test_transports import opened, samples, until


def free_port() -> int:
    """Of a socket that is closed again: two devices must know it before the first listens."""
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


SHARED = ["127.0.0.1:{}", "udp://127.0.0.1:{}", "rtu+tcp://127.0.0.1:{}"]


async def test_turns_go_by_arrival_and_urgent_ones_first() -> None:
    turns, order = Turns(), []

    async def use(name: str, urgent: bool) -> None:
        await turns.take(urgent)
        order.append(name)
        await asyncio.sleep(0)
        turns.give()

    await turns.take()
    waiting = [asyncio.create_task(use(name, name.startswith("write"))) for name in ("poll 1", "poll 2", "write 1", "poll 3", "write 2")]
    await asyncio.sleep(0)
    turns.give()
    await asyncio.gather(*waiting)
    assert order == ["write 1", "write 2", "poll 1", "poll 2", "poll 3"]
    assert not turns.taken


async def test_cancelled_turn_is_passed_on() -> None:
    turns = Turns()
    await turns.take()
    first, second = asyncio.create_task(turns.take()), asyncio.create_task(turns.take())
    await asyncio.sleep(0)
    turns.give()
    first.cancel()  # it has been given the turn but has not run yet
    await asyncio.gather(first, return_exceptions=True)
    async with asyncio.timeout(1):
        await second
    turns.give()
    assert not turns.taken


MIXED = """
{ name = "count", at = "holding:0", type = "uint32", every = "1ms" },
{ name = "far", at = "holding:50", type = "uint32", every = "1ms" },
{ name = "set", at = "holding:90", type = "uint16", every = "2ms", write = { min = 0, max = 60000 } },
{ name = "flag", at = "holding:91.3", type = "bool", every = "2ms", write = { min = 0, max = 1 } },
{ name = "coil", at = "coil:2", type = "bool", every = "2ms", write = { min = 0, max = 1 } },
"""


@asynccontextmanager
async def three_on(place: str, the_map: DeviceMap, latency_us: int = 0) -> AsyncIterator[tuple[ModbusFace, list[Device]]]:
    face = ModbusFace(latency_us=latency_us)
    devices = [Device(f"d{unit}", the_map, place.format(free_port()), ModbusSettings(unit)) for unit in (1, 2, 3)]
    address = devices[0].address
    devices = [Device(one.name, one.map, address, one.settings) for one in devices]
    if place.startswith("rtu:"):  # one pseudo terminal for all
        devices = [Device(one.name, one.map, "rtu:///dev/ptmx?baud=115200&parity=N&stop=1", one.settings) for one in devices]
    width = len(the_map.tags)
    await face.start(devices, [Step(1, np.full(width, float(number % 2)), np.zeros(width, np.uint32)) for number in range(3)])
    try:
        yield face, [Device(one.name, one.map, face.address_of(one), one.settings) for one in devices]
    finally:
        await face.stop()


@pytest.mark.parametrize(
    ("place", "share"),
    [(SHARED[0], 10_000), (SHARED[2], 10_000), ("rtu:///dev/ptmx", 1_000)],
    ids=["tcp", "rtu over tcp", "serial, where silences take their time"],
)
async def test_ten_thousand_mixed_operations_never_overlap(place: str, share: int, tmp_path: Path) -> None:
    """Three devices poll in two groups each and are written to, all on one bus whose answers take time; nothing comes between a request and its answer."""
    the_map, dice = device_map(tmp_path, MIXED, "max_gap = 0"), random.Random(4)
    async with three_on(place, the_map, latency_us=1) as (face, devices):
        drivers = [ModbusDriver(one, SystemClock()) for one in devices]
        for driver in drivers:
            await driver.open()
        units = [face._units[one.name] for one in devices]

        async def poll(number: int) -> None:
            while True:
                frame = await drivers[number].read()
                assert all(code == quality.GOOD for _, code in samples(frame, devices[number]).values())

        async def write(number: int) -> None:
            last: dict[int, float] = {}
            while True:
                index = dice.choice((2, 3, 4))
                value = float(dice.randrange(60_000) if index == 2 else dice.randrange(2))
                await drivers[number].write(index, value, last.get(index))
                last[index] = value
                await asyncio.sleep(dice.random() / 500)

        tasks = [asyncio.create_task(work(number)) for number in range(3) for work in (poll, write)]
        async with asyncio.timeout(60):
            while sum(unit.answers for unit in units) < share and not any(task.done() for task in tasks):
                await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        failures = [
            error for error in await asyncio.gather(*tasks, return_exceptions=True) if not isinstance(error, asyncio.CancelledError)
        ]
        for driver in drivers:
            await driver.close()
        assert failures == []
        assert sum(unit.answers for unit in units) >= share
        assert all(unit.written for unit in units)
        assert face.overlaps == 0


async def test_write_goes_between_two_requests_of_a_poll(tmp_path: Path) -> None:
    tags = "".join(f'{{ name = "t{at}", at = "holding:{at}", type = "uint16" }},\n' for at in range(0, 400, 20))
    the_map = device_map(tmp_path, tags + '{ name = "set", at = "holding:500", type = "uint16", write = { min = 0, max = 9 } }')
    asked: list[int] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while frame := await reader.readexactly(12):
                asked.append(frame[7])
                await asyncio.sleep(0.002)
                answer = frame if frame[7] == 6 else frame[:4] + b"\0\5" + frame[6:8] + b"\2\0\7"
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    driver = ModbusDriver(Device("d", the_map, f"127.0.0.1:{server.sockets[0].getsockname()[1]}"), SystemClock())
    await driver.open()
    reading = asyncio.create_task(driver.read())
    await until(lambda: len(asked) >= 3)
    await driver.write(20, 7, None)
    written_after = asked.index(6)
    assert not reading.done()
    await reading
    await driver.close()
    server.close()
    await server.wait_closed()
    assert written_after < 6
    assert asked.count(3) == 21 + 1  # every request of the poll once, and the look at what was written


@pytest.mark.parametrize("place", SHARED, ids=["tcp", "udp", "rtu over tcp"])
async def test_dead_unit_costs_its_neighbours_no_value(place: str, tmp_path: Path) -> None:
    """Units 1 and 3 live behind the gateway, unit 9 does not; every one of its requests runs into the time limit."""
    the_map = device_map(tmp_path, '{ name = "n", at = "holding:0", type = "uint16", every = "5ms" }', 'timeout = "20ms"')
    async with three_on(place, the_map) as (_, devices):
        dead = Device("dead", the_map, devices[0].address, ModbusSettings(9))
        timeouts = 0

        async def knock() -> None:
            nonlocal timeouts
            driver = ModbusDriver(dead, SystemClock())
            while True:
                try:
                    await driver.open()
                    await driver.read()
                except DriverError as error:
                    assert error.quality == quality.BAD_TIMEOUT
                    timeouts += 1
                finally:
                    await driver.close()

        knocking = asyncio.create_task(knock())
        alive = [devices[0], devices[2]]
        drivers = [ModbusDriver(one, SystemClock()) for one in alive]
        for driver in drivers:
            await driver.open()
        for _ in range(15):
            for driver, one in zip(drivers, alive, strict=True):
                assert samples(await driver.read(), one) == {"n": (0, quality.GOOD)}
        await until(lambda: timeouts >= 3)
        knocking.cancel()
        await asyncio.gather(knocking, return_exceptions=True)
        for driver in drivers:
            await driver.close()


async def test_each_device_keeps_its_own_time_limit_on_a_shared_wire(tmp_path: Path) -> None:
    """The one that waits longer went first: its alarm must not be the other's."""
    the_map = device_map(tmp_path, '{ name = "n", at = "holding:0", type = "uint16", every = "5ms" }', 'timeout = "1h"')

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while frame := await reader.read(12):
            if frame[6] == 1:
                writer.write(frame[:4] + b"\0\5" + frame[6:8] + b"\2\0\7")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    patient, hasty = (
        ModbusDriver(Device(f"d{unit}", the_map, address, settings), SystemClock())
        for unit, settings in ((1, ModbusSettings(1)), (2, ModbusSettings(2, timeout_us=20_000)))
    )
    await patient.open()
    await hasty.open()
    await patient.read()
    async with asyncio.timeout(10):
        with pytest.raises(DeviceUnreachable, match=r"no answer within 0\.02s"):
            await hasty.read()
    await patient.read()
    await patient.close()
    await hasty.close()
    server.close()
    await server.wait_closed()


async def test_devices_of_one_endpoint_share_one_connection_and_the_last_one_closes_it(tmp_path: Path) -> None:
    the_map = device_map(tmp_path, '{ name = "n", at = "holding:0", type = "uint16", every = "5ms" }')
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while frame := await reader.read(12):
            writer.write(frame[:4] + b"\0\5" + frame[6:8] + b"\2\0\7")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    devices = [Device(f"d{unit}", the_map, address, ModbusSettings(unit)) for unit in range(5)]
    drivers = [ModbusDriver(one, SystemClock()) for one in devices]
    for driver in drivers:
        await driver.open()
    await asyncio.gather(*(driver.read() for driver in drivers))
    bus = bus_for(parse_endpoint(address), None)
    assert (connections, bus.members) == (1, 5)
    for driver in drivers:
        await driver.close()
    assert bus.members == 0
    assert bus_for(parse_endpoint(address), None) is not bus
    server.close()
    await server.wait_closed()


async def test_connection_that_the_device_closed_while_idle_is_opened_again(tmp_path: Path) -> None:
    the_map = device_map(tmp_path, '{ name = "n", at = "holding:0", type = "uint16", every = "20ms" }')
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        frame = await reader.read(12)
        writer.write(frame[:4] + b"\0\5" + frame[6:8] + b"\2\0\7")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    the_device = Device("d", the_map, f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with opened(the_device) as driver:
        for _ in range(4):
            assert samples(await driver.read(), the_device) == {"n": (7, quality.GOOD)}
    server.close()
    await server.wait_closed()
    assert connections == 4


async def test_pause_is_kept_between_any_two_requests(tmp_path: Path) -> None:
    tags = "".join(f'{{ name = "t{at}", at = "holding:{at}", type = "uint16", every = "1ms" }},\n' for at in (0, 50, 100))
    the_map = device_map(tmp_path, tags, 'min_pause = "10ms"')
    times: list[tuple[float, float]] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while frame := await reader.read(12):
            begun = loop.time()
            writer.write(frame[:4] + b"\0\5" + frame[6:8] + b"\2\0\7")
            times.append((begun, loop.time()))
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    drivers = [ModbusDriver(Device(f"d{unit}", the_map, address, ModbusSettings(unit)), SystemClock()) for unit in (1, 2)]
    for driver in drivers:
        await driver.open()
    for _ in range(3):
        await asyncio.gather(*(driver.read() for driver in drivers))
    for driver in drivers:
        await driver.close()
    server.close()
    await server.wait_closed()
    assert len(times) == 18
    assert all(begun - ended >= 0.0095 for (_, ended), (begun, _) in pairwise(times))


def tagged(start: int, count: int, number: int) -> bytes:
    """Registers that say where they are and when they were read."""
    return b"".join(((start + at) & 0xFF).to_bytes(1, "big") + (number & 0xFF).to_bytes(1, "big") for at in range(count))


class LateDevice:
    """Answers in order, one answer in a hundred after the client's patience has ended, on one pseudo terminal that outlives its clients.

    echoes: whether it knows function 8.
    """

    def __init__(self, echoes: str) -> None:
        self.echoes, self.requests, self.late = echoes, 0, 0
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        os.set_blocking(self._ours, False)
        self.address = f"rtu://{os.ttyname(self._theirs)}?baud=921600&parity=N"
        self._buffer = b""
        self._busy_until = 0.0

    async def __aenter__(self) -> "LateDevice":
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._ours, self._readable)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._loop.remove_reader(self._ours)
        os.close(self._ours)
        os.close(self._theirs)

    def _readable(self) -> None:
        self._buffer += os.read(self._ours, 4096)
        while len(self._buffer) >= 8:
            frame, self._buffer = self._buffer[:8], self._buffer[8:]
            self._answer(frame)

    def _answer(self, frame: bytes) -> None:
        delay_s = 0.0
        if frame[1] == 8:
            if self.echoes == "ignored":
                return
            text = frame[:-2] if self.echoes == "known" else bytes([frame[0], 0x88, 1])
        else:
            self.requests += 1
            start, count = int.from_bytes(frame[2:4], "big"), int.from_bytes(frame[4:6], "big")
            text = bytes([frame[0], frame[1], 2 * count]) + tagged(start, count, self.requests)
            if self.requests % 100 == 50:
                self.late += 1
                delay_s = (0.025, 0.045, 0.07)[self.late % 3]
        now = self._loop.time()
        self._busy_until = max(now, self._busy_until) + delay_s  # one answer after the other
        self._loop.call_at(self._busy_until, os.write, self._ours, text + crc16(text))


@pytest.mark.parametrize(("echoes", "retries"), [("known", 0), ("known", 1), ("refused", 0), ("ignored", 0), ("ignored", 1)])
async def test_late_rtu_answers_never_become_values(echoes: str, retries: int, tmp_path: Path) -> None:
    """Blocks of equal length at different places: only the place in the registers tells a late answer of one from the right answer of the other."""
    tags = "".join(f'{{ name = "t{at}", at = "holding:{at}", type = "uint16", every = "1ms" }},\n' for at in (10, 40, 70, 100))
    the_map = device_map(tmp_path, tags, 'timeout = "20ms"')
    async with LateDevice(echoes) as late:
        the_device = Device("d", the_map, late.address, ModbusSettings(5, retries=retries))
        driver = ModbusDriver(the_device, SystemClock())
        wrong = reads = timeouts = 0
        await driver.open()
        while late.late < 9 or reads < 200:
            try:
                found = samples(await driver.read(), the_device)
            except DeviceUnreachable:
                timeouts += 1
                await driver.close()
                await driver.open()
                continue
            reads += 1
            wrong += sum(value >> 8 != int(name[1:]) for name, (value, _) in found.items())
        await driver.close()
    assert wrong == 0
    assert timeouts >= 4 or retries


async def test_device_that_was_silent_for_long_comes_back(tmp_path: Path) -> None:
    the_map = device_map(tmp_path, '{ name = "n", at = "holding:0", type = "uint16", every = "1ms" }')
    asked, answering = 0, False

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        try:
            while frame := await reader.readexactly(8):
                asked += 1
                text = bytes([frame[0], 0x88, 1]) if frame[1] == 8 else bytes([frame[0], 3, 2 * frame[5]]) + bytes(2 * frame[5])
                if answering:
                    writer.write(text + crc16(text))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    address = f"rtu+tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    driver = ModbusDriver(Device("d", the_map, address, ModbusSettings(5, timeout_us=4_000)), SystemClock())
    for _ in range(300):
        with pytest.raises(DeviceUnreachable):
            async with asyncio.timeout(10):
                await driver.open()
                await driver.read()
        await driver.close()
    assert 100 < asked <= 301, "a unit that owes an answer is asked once per session"
    answering = True
    patient = ModbusDriver(Device("d", the_map, address, ModbusSettings(5, timeout_us=1_000_000)), SystemClock())
    await patient.open()
    assert samples(await patient.read(), Device("d", the_map, address)) == {"n": (0, quality.GOOD)}
    await patient.close()
    server.close()
    await server.wait_closed()
