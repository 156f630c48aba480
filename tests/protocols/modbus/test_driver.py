"""The Modbus driver against pymodbus' server, our simulated device, and servers that misbehave."""

import asyncio
import io
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from protocols import quality
from protocols.clock import SystemClock
from protocols.devicemap import Device, DeviceMap
from protocols.driver import DeviceMisbehaves, DeviceUnreachable, DriverError, DriverSetup
from protocols.frame import Frame
from protocols.modbus.driver import ModbusDriver
from simulators.face import Step, TruthLog
from simulators.modbus import ModbusFace
from tests.protocols.modbus.maps import device, device_map

FAST = 'every = "10ms"'


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


def samples(frame: Frame, the_device: Device) -> dict[str, tuple[Any, int]]:
    """Value and quality by tag name."""
    found: dict[str, tuple[Any, int]] = {}
    for block in frame.blocks:
        codes = np.zeros(block.values.shape, np.uint32) if block.quality is None else block.quality
        for tag, value, code in zip(block.tags.tolist(), block.values[0].tolist(), codes[0].tolist(), strict=True):
            found[the_device.map.tags[tag - the_device.first_id].name] = (value, code)
    return found


@asynccontextmanager
async def pymodbus_server(*data: SimData) -> AsyncIterator[str]:
    server = ModbusTcpServer(SimDevice(id=1, simdata=list(data)), address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    try:
        assert server.transport is not None
        yield f"127.0.0.1:{server.transport.sockets[0].getsockname()[1]}"
    finally:
        await server.shutdown()


Answer = Callable[[int, bytes], bytes | None]


@asynccontextmanager
async def raw_server(answer: Answer, records: bool = False) -> AsyncIterator[str]:
    """answer: (number of the request, its frame) -> what goes back, None = nothing. Connection closed on an empty answer.

    records: requests for file records come too, and are refused.
    """
    writers: list[asyncio.StreamWriter] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        number = 0
        try:
            while frame := await reader.readexactly(12):
                if records and frame[7] == 20:
                    await reader.readexactly(4)
                    writer.write(frame[:4] + bytes([0, 3, frame[6], 0x94, 2]))
                    continue
                reply = answer(number, frame)
                number += 1
                if reply == b"":
                    writer.close()
                    return
                if reply:
                    writer.write(reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await server.wait_closed()


def reply(frame: bytes, data: bytes, transaction: int | None = None, unit: int | None = None, function: int | None = None) -> bytes:
    number = int.from_bytes(frame[:2], "big") if transaction is None else transaction
    head = struct.pack(">HHHBBB", number, 0, 3 + len(data), frame[6] if unit is None else unit, function or frame[7], len(data))
    return head + data


@pytest.fixture
def one(tmp_path: Path) -> DeviceMap:
    return device_map(tmp_path, f'{{ name = "a", at = "holding:0", type = "int16", {FAST} }}', 'timeout = "200ms"')


async def test_values_of_pymodbus_server_are_read_in_blocks(tmp_path: Path) -> None:
    the_map = device_map(
        tmp_path,
        f'{{ name = "a", at = "holding:0", type = "uint16", {FAST} }},\n{{ name = "b", at = "holding:2", type = "float32", {FAST} }},\n'
        f'{{ name = "c", at = "holding:200", type = "int32", {FAST} }},\n{{ name = "d", at = "holding:4.1", type = "bool", {FAST} }}',
    )
    first = SimData(0, values=[7, 0, 0x4148, 0, 2], datatype=DataType.REGISTERS)
    far = SimData(200, values=[0xFFFF, 0xFFFE], datatype=DataType.REGISTERS)
    async with pymodbus_server(first, far) as address:
        the_device = device(the_map, address, first_id=100)
        async with opened(the_device) as driver:
            frame = await driver.read()
            again = await driver.read()
    assert samples(frame, the_device) == {"a": (7, 0), "b": (12.5, 0), "c": (-2, 0), "d": (1, 0)}
    assert all(block.quality is None and block.values.ndim == 2 for block in frame.blocks)
    assert [block.tags is other.tags for block, other in zip(frame.blocks, again.blocks, strict=True)] == [True, True]


async def test_one_illegal_register_costs_only_its_own_tag(tmp_path: Path) -> None:
    """pymodbus answers exception 2 for a block that touches registers it does not have."""
    tags = ",\n".join(f'{{ name = "t{at}", at = "holding:{at}", type = "uint16", {FAST} }}' for at in range(20))
    the_map = device_map(tmp_path, tags)
    have = SimData(0, values=list(range(100, 113)), datatype=DataType.REGISTERS)
    rest = SimData(14, values=list(range(114, 120)), datatype=DataType.REGISTERS)
    async with pymodbus_server(have, rest) as address:
        the_device = device(the_map, address)
        async with opened(the_device) as driver:
            for _ in range(3):
                found = samples(await driver.read(), the_device)
                assert found.pop("t13")[1] == quality.BAD_CONFIGURATION
                assert found == {f"t{at}": (100 + at, 0) for at in range(20) if at != 13}


async def test_split_bits_are_put_back_together(tmp_path: Path) -> None:
    tags = ",\n".join(f'{{ name = "t{at}", at = "coil:{at}", type = "bool", {FAST} }}' for at in range(3, 30))
    the_map = device_map(tmp_path, tags)
    set_bits = {5, 8, 17, 29}

    def answer(_number: int, frame: bytes) -> bytes:
        start, count = struct.unpack(">HH", frame[8:12])
        if start <= 11 < start + count:
            return frame[:4] + bytes([0, 3, 1, 0x81, 2])
        bits = np.array([at in set_bits for at in range(start, start + count)])
        return reply(frame, np.packbits(bits, bitorder="little").tobytes())

    async with raw_server(answer) as address:
        the_device = device(the_map, address)
        async with opened(the_device) as driver:
            found = samples(await driver.read(), the_device)
            assert samples(await driver.read(), the_device) == found
    assert found.pop("t11")[1] == quality.BAD_CONFIGURATION
    assert {name for name, (value, _) in found.items() if value} == {"t5", "t8", "t17", "t29"}
    assert {code for _, code in found.values()} == {quality.GOOD}


@pytest.mark.parametrize("code", range(1, 12))
async def test_exception_of_the_whole_device_marks_all_tags_and_passes(code: int, tmp_path: Path) -> None:
    the_map = device_map(
        tmp_path, f'{{ name = "a", at = "holding:0", type = "int16", {FAST} }},\n{{ name = "b", at = "holding:1", type = "int16", {FAST} }}'
    )
    asked: list[int] = []

    def answer(_number: int, frame: bytes) -> bytes:
        asked.append(frame[11])
        if len(asked) < 8:
            return frame[:4] + bytes([0, 3, 1, 0x83, code])
        return reply(frame, b"\0\1\0\2")

    async with raw_server(answer) as address:
        the_device = device(the_map, address)
        async with opened(the_device) as driver:
            found = samples(await driver.read(), the_device)
            assert {status for _, status in found.values()} == {quality.from_modbus_exception(code)}
            while found["a"][1]:
                found = samples(await driver.read(), the_device)
    assert found == {"a": (1, 0), "b": (2, 0)}
    assert asked[-3:] == [2, 2, 2], "a device that refuses everything is asked for the whole block"


async def test_refused_exponent_costs_only_what_it_scales(tmp_path: Path) -> None:
    scaled = f'type = "float64", form = "int16", {FAST}'
    the_map = device_map(
        tmp_path,
        f'{{ name = "volt", at = "holding:0", scale_at = "holding:2", {scaled} }},\n{{ name = "ampere", at = "holding:1", scale_at = "holding:3", {scaled} }},\n'
        f'{{ name = "plain", at = "holding:4", type = "int16", {FAST} }},\n{{ name = "record", at = "file:9:4", type = "int16", {FAST} }}',
    )
    words = [2305, 17, 0xFFFF, 0, 6]

    def answer(_number: int, frame: bytes) -> bytes:
        start, count = struct.unpack(">HH", frame[8:12])
        if start <= 3 < start + count:
            return frame[:4] + bytes([0, 3, 1, 0x83, 2])
        return reply(frame, struct.pack(f">{count}H", *words[start : start + count]))

    async with raw_server(answer, records=True) as address:
        the_device = device(the_map, address)
        async with opened(the_device) as driver:
            for _ in range(3):
                found = samples(await driver.read(), the_device)
    assert (found["volt"], found["plain"]) == ((230.5, quality.GOOD), (6, quality.GOOD))
    assert (found["ampere"][1], found["record"][1]) == (quality.BAD_CONFIGURATION, quality.BAD_CONFIGURATION)


async def test_refused_connection_is_unreachable(one: DeviceMap) -> None:
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(DeviceUnreachable) as failure:
        async with opened(device(one, f"127.0.0.1:{port}")):
            pass
    assert failure.value.quality == quality.BAD_NO_COMMUNICATION


async def test_address_that_is_none_is_our_configuration(one: DeviceMap) -> None:
    with pytest.raises(DriverSetup):
        async with opened(device(one, "nowhere:x")):
            pass


HALF = bytes([0, 1, 0, 0, 0, 5, 1, 3, 2, 0])
WRONG: dict[str, tuple[Answer, type[DriverError]]] = {
    "nothing at all": (lambda _n, _f: None, DeviceUnreachable),
    "half an answer": (lambda _n, _f: HALF, DeviceUnreachable),
    "a closed connection": (lambda _n, _f: b"", DeviceUnreachable),
    "another transaction": (lambda _n, frame: reply(frame, b"\0\1", transaction=77), DeviceMisbehaves),
    "transaction 0": (lambda _n, frame: reply(frame, b"\0\1", transaction=0), DeviceMisbehaves),
    "another unit": (lambda _n, frame: reply(frame, b"\0\1", unit=9), DeviceMisbehaves),
    "another function": (lambda _n, frame: reply(frame, b"\0\1", function=4), DeviceMisbehaves),
    "too many bytes": (lambda _n, frame: reply(frame, b"\0\1\0\2"), DeviceMisbehaves),
    "too few bytes": (lambda _n, frame: reply(frame, b"\0"), DeviceMisbehaves),
    "two answers": (lambda _n, frame: reply(frame, b"\0\1") * 2, DeviceMisbehaves),
    "another protocol": (lambda _n, frame: frame[:2] + b"\0\1" + reply(frame, b"\0\1")[4:], DeviceMisbehaves),
    "an absurd length": (lambda _n, frame: frame[:4] + b"\xff\xff" + frame[6:], DeviceMisbehaves),
    "exception number 0": (lambda _n, frame: frame[:4] + bytes([0, 3, 1, 0x83, 0]), DeviceMisbehaves),
}


@pytest.mark.parametrize(("answer", "error"), WRONG.values(), ids=WRONG.keys())
async def test_no_value_comes_from(answer: Answer, error: type[DriverError], one: DeviceMap) -> None:
    async with raw_server(answer) as address, opened(device(one, address)) as driver:
        with pytest.raises(error):
            await driver.read()
        with pytest.raises(DriverError):
            await driver.read()


async def test_late_answers_never_become_values(tmp_path: Path) -> None:
    """One answer in a hundred comes after the client's timeout, in the middle of later exchanges."""
    the_map = device_map(tmp_path, '{ name = "n", at = "holding:0", type = "uint32", every = "1ms" }', 'timeout = "20ms"')
    count = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        try:
            while frame := await reader.readexactly(12):
                count += 1
                if count % 100 == 0:
                    await asyncio.sleep(0.03)
                    writer.write(reply(frame, (0xDEAD0000 + count).to_bytes(4, "big")))
                else:
                    writer.write(reply(frame, count.to_bytes(4, "big")))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    the_device = device(the_map, f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
    driver = ModbusDriver(the_device, SystemClock())
    wrong = reads = timeouts = 0
    await driver.open()
    while reads < 1000:
        try:
            value = samples(await driver.read(), the_device)["n"][0]
        except DriverError:
            timeouts += 1
            await driver.close()
            await driver.open()
            continue
        reads += 1
        wrong += value != count or value < 0
    await driver.close()
    server.close()
    await server.wait_closed()
    assert (wrong, timeouts >= 9) == (0, True)


async def test_cancelled_read_gives_the_link_up_not_a_wrong_value(one: DeviceMap) -> None:
    async with raw_server(lambda _n, _f: None) as address, opened(device(one, address)) as driver:
        reading = asyncio.create_task(driver.read())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        with pytest.raises(DeviceUnreachable):
            await driver.read()


WELL = 'source_time = "holding:0", timeout = "300ms", word_order = "DCBA"'


def well(folder: Path, extra: str = WELL, gap: int = 4) -> DeviceMap:
    return device_map(
        folder,
        f'{{ name = "p", at = "holding:{gap}", type = "int32", scale = 0.01, quality_at = "holding:{gap + 2}", every = "5ms" }},\n'
        f'{{ name = "q", at = "holding:{gap + 3}", type = "float64", every = "5ms" }}',
        extra,
    )


def step(number: int, p: float | None = None, code: int = 0) -> Step:
    return Step(1_700_000_000_000_000 + number, np.array([float(number) if p is None else p, number / 3]), np.array([code, 0], np.uint32))


@asynccontextmanager
async def face_of(the_map: DeviceMap) -> AsyncIterator[tuple[ModbusFace, Device, io.StringIO]]:
    truth = io.StringIO()
    face = ModbusFace(TruthLog(truth))
    unplaced = device(the_map)
    await face.start([unplaced], [step(0)])
    try:
        yield face, device(the_map, face.address_of(unplaced)), truth
    finally:
        await face.stop()


@pytest.mark.parametrize("gap", [4, 60, 400], ids=["one request", "two requests", "far apart"])
async def test_every_step_that_is_read_is_read_whole_and_once(gap: int, tmp_path: Path) -> None:
    the_map = well(tmp_path, gap=gap)
    async with face_of(the_map) as (face, the_device, truth), opened(the_device) as driver:
        found: list[tuple[int, int, float]] = []

        async def collect() -> None:
            while True:
                frame = await driver.read()
                values = samples(frame, the_device)
                found.append((int(frame.blocks[0].times_us[0]), values["p"][0], values["q"][0]))

        async def advance() -> None:
            for number in range(1, 60):
                await face.publish(the_device, step(number))
                seen = face.reads
                await until(lambda: face.reads > seen + number % 5)  # noqa: B023

        reading = asyncio.create_task(collect())
        await advance()
        await until(lambda: bool(found) and found[-1][0] == step(59).time_us)
        reading.cancel()
    assert len({time_us for time_us, _, _ in found}) == len(found)
    for time_us, p, q in found:
        number = time_us - step(0).time_us
        assert (p, q) == (100 * number, number / 3)
    logged = [line.split(",") for line in truth.getvalue().splitlines()]
    assert [int(row[2]) for row in logged if row[1] == "pump.p"] == [time_us for time_us, _, _ in found]
    assert [float(row[3]) for row in logged if row[1] == "pump.q"] == [q for _, _, q in found]


async def test_step_is_not_read_twice_across_a_reopened_link(tmp_path: Path) -> None:
    async with face_of(well(tmp_path)) as (face, the_device, _), opened(the_device) as driver:
        assert (await driver.read()).blocks[0].times_us[0] == step(0).time_us
        await driver.close()
        await driver.open()
        reading = asyncio.create_task(driver.read())
        await until(lambda: face.reads >= 3)
        assert not reading.done()
        await face.publish(the_device, step(1))
        assert (await reading).blocks[0].times_us[0] == step(1).time_us


async def test_bad_uncertain_and_missing_values_of_the_device_are_seen_as_such(tmp_path: Path) -> None:
    async with face_of(well(tmp_path)) as (face, the_device, truth), opened(the_device) as driver:
        await driver.read()
        for number, code, expected in (
            (1, quality.UNCERTAIN, quality.UNCERTAIN_LAST_USABLE),
            (2, quality.BAD, quality.BAD_SENSOR_FAILURE),
            (3, quality.GOOD, quality.GOOD),
        ):
            await face.publish(the_device, step(number, code=code))
            assert samples(await driver.read(), the_device)["p"] == (100 * number, expected)
        await face.publish(the_device, step(4, p=float("nan")))
        assert samples(await driver.read(), the_device)["p"] == (0, quality.BAD_SENSOR_FAILURE)
    assert truth.getvalue().splitlines()[-2] == f"modbus,pump.p,{step(4).time_us},0.0,{quality.BAD_SENSOR_FAILURE}"


async def test_intervals_are_polled_on_their_own_grid(tmp_path: Path) -> None:
    the_map = device_map(
        tmp_path,
        '{ name = "fast", at = "holding:0", type = "int16", every = "5ms" },\n{ name = "slow", at = "holding:50", type = "int16", every = "50ms" }',
    )
    async with raw_server(lambda _n, frame: reply(frame, b"\0\1")) as address:
        the_device = device(the_map, address)
        async with opened(the_device) as driver:
            names = [next(iter(samples(await driver.read(), the_device))) for _ in range(40)]
    assert 2 <= names.count("slow") <= 10
    assert names.count("fast") >= 30


async def test_device_that_steps_during_every_read_is_declared_unfit(tmp_path: Path) -> None:
    tick = 0

    def answer(_number: int, frame: bytes) -> bytes:
        nonlocal tick
        tick += 1
        start, count = struct.unpack(">HH", frame[8:12])
        return reply(frame, (tick.to_bytes(8, "big") if start == 0 else b"") + bytes(2 * count - (8 if start == 0 else 0)))

    the_map = well(tmp_path, 'source_time = "holding:0"', gap=60)
    async with raw_server(answer) as address, opened(device(the_map, address)) as driver:
        with pytest.raises(DeviceMisbehaves, match="steps faster"):
            await driver.read()


async def test_source_time_zero_is_never_stored(tmp_path: Path) -> None:
    async with (
        raw_server(lambda _n, frame: reply(frame, bytes(2 * frame[11]))) as address,
        opened(device(well(tmp_path), address)) as driver,
    ):
        with pytest.raises(DeviceMisbehaves, match="no time"):
            await driver.read()
