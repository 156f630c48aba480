"""The MQTT driver against the embedded broker: delivery, redelivery, bad messages, Sparkplug sessions."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from protocols import quality
from protocols.clock import SystemClock
from protocols.devicemap import Device, DeviceMap
from protocols.driver import DeviceUnreachable, DriverError, DriverSetup
from protocols.frame import Frame
from protocols.mqtt.datatypes import DataType
from protocols.mqtt.driver import MqttDriver
from protocols.mqtt.node import birth
from protocols.mqtt.plan import MqttSettings
from protocols.mqtt.sparkplug import Metric, Payload, decode_payload, encode_payload
from tests.protocols.mqtt import brokers
from tests.protocols.mqtt.brokers import Sample, Sender, Served, Tap, sender, tapped, until
from tests.protocols.mqtt.maps import PUMP, SPARKPLUG, device, device_map

BASE_MS = 1_700_000_000_000
BASE = 1000 * BASE_MS  # times before 2000 are no times


def samples(frame: Frame) -> list[Sample]:
    """tag, source time after BASE, value, quality."""
    return [(tag, time_us - BASE, value, code) for tag, time_us, value, code in brokers.samples(frame)]


def encode(payload: Payload) -> bytes:
    """With times after BASE."""
    shifted = [m if m.timestamp_ms is None else dataclasses.replace(m, timestamp_ms=m.timestamp_ms + BASE_MS) for m in payload.metrics]
    stamp_ms = None if payload.timestamp_ms is None else payload.timestamp_ms + BASE_MS
    return encode_payload(Payload(stamp_ms, payload.seq, tuple(shifted)))


def pump(number: int, **more: Any) -> str:
    return json.dumps({"t": BASE + 1_000_000 + number, "p": number / 3, "n": [0, number], "q": "good", **more})


@pytest.fixture
def one(tmp_path: Path) -> DeviceMap:
    return device_map(tmp_path, PUMP)


@dataclass
class Followed:
    """A driver that follows a device through a tap, and a foreign client on the same broker."""

    driver: MqttDriver
    client: Sender
    tap: Tap
    device: Device


@asynccontextmanager
async def followed(the_map: DeviceMap, served: Served, **settings: Any) -> AsyncIterator[Followed]:
    async with tapped(served.port) as tap, sender(served.port) as client:
        the_device = dataclasses.replace(
            device(the_map, f"mqtt://127.0.0.1:{tap.port}", first_id=10),
            settings=MqttSettings(version=served.version, keepalive_s=5, **settings),
        )
        driver = MqttDriver(the_device, SystemClock())
        try:
            await driver.open()
            yield Followed(driver, client, tap, the_device)
        finally:
            await driver.close()


async def make_durable(frame: Frame) -> None:
    assert frame.acknowledge is not None
    frame.acknowledge()
    await asyncio.sleep(0)  # the driver acknowledges from its own loop


async def test_messages_close_together_make_one_frame_in_order(one: DeviceMap, served: Served) -> None:
    async with followed(one, served) as field:
        driver, client = field.driver, field.client
        for number in range(5):
            await client.send("site/pump", pump(number))
        found: list[Sample] = []
        while len(found) < 10:
            frame = await driver.read()
            assert frame.acknowledge is not None
            frame.acknowledge()
            found += samples(frame)
    assert sorted(found) == sorted(
        sample for number in range(5) for sample in ((10, 1_000_000 + number, number / 3, 0), (11, 1_000_000 + number, number, 0))
    )


async def test_message_killed_before_its_commit_is_delivered_again_to_the_next_agent(one: DeviceMap, served: Served) -> None:
    async with followed(one, served) as field:
        driver, client, running, the_device = field.driver, field.client, field.tap, field.device
        await client.send("site/pump", pump(1))
        lost = samples(await driver.read())  # never acknowledged: the agent dies here
        await driver.close()
        await client.send("site/pump", pump(2))  # while nobody is connected
        reborn = MqttDriver(the_device, SystemClock())
        await reborn.open()
        found: list[Sample] = []
        while len(found) < 4:
            frame = await reborn.read()
            assert frame.acknowledge is not None
            frame.acknowledge()
            found += samples(frame)
        await until(lambda: not running.unanswered)
        await reborn.close()
    assert [sample for sample in sorted(found) if sample in lost] == lost
    assert len(found) == 4


async def test_nothing_is_acknowledged_before_the_frame_is_durable(one: DeviceMap, served: Served) -> None:
    async with followed(one, served) as field:
        driver, client, running = field.driver, field.client, field.tap
        await client.send("site/pump", pump(1))
        frame = await driver.read()
        assert len(running.unanswered) == 1
        assert frame.acknowledge is not None
        frame.acknowledge()
        await until(lambda: not running.unanswered)


async def test_redelivery_of_a_frame_that_became_durable_meanwhile_is_not_stored_twice(one: DeviceMap, served: Served) -> None:
    async with followed(one, served) as field:
        driver, client, running = field.driver, field.client, field.tap
        await client.send("site/pump", pump(1))
        frame = await driver.read()
        await driver.close()
        await driver.open()
        assert frame.acknowledge is not None
        frame.acknowledge()  # committed, but the acknowledgement belongs to a connection that is gone
        await client.send("site/pump", pump(2))
        found: list[Sample] = []
        while not found:
            frame = await driver.read()
            found = samples(frame)
            assert frame.acknowledge is not None
            frame.acknowledge()
        await until(lambda: not running.unanswered)
    assert {time_us for _, time_us, _, _ in found} == {1_000_002}
    assert driver.duplicates == 1


async def test_redelivery_before_the_commit_waits_for_it(one: DeviceMap, served: Served) -> None:
    async with followed(one, served) as field:
        driver, client, running = field.driver, field.client, field.tap
        await client.send("site/pump", pump(1))
        frame = await driver.read()
        await driver.close()
        await driver.open()
        reading = asyncio.create_task(driver.read())
        await until(lambda: driver.duplicates == 1)
        assert len(running.unanswered) == 1
        assert frame.acknowledge is not None
        frame.acknowledge()
        await until(lambda: not running.unanswered)
        reading.cancel()


MALFORMED = {
    "no JSON": "{",
    "no source time": '{"p": 1}',
    "a source time that is a word": '{"t": "now", "p": 1}',
    "a source time before 1970": '{"t": -5, "p": 1}',
    "deep nesting": "[" * 100_000,
    "bytes": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("payload", MALFORMED.values(), ids=MALFORMED.keys())
async def test_malformed_message_becomes_bad_samples_and_never_a_stop(payload: str | bytes, one: DeviceMap, served: Served) -> None:
    async with followed(one, served) as field:
        driver, client = field.driver, field.client
        await client.send("site/pump", payload)
        frame = await driver.read()
        assert [(tag, code) for tag, _, _, code in samples(frame)] == [(tag, quality.BAD_DATA_ENCODING_INVALID) for tag in (10, 11)]
        assert frame.acknowledge is not None
        frame.acknowledge()
        await client.send("site/pump", pump(7))
        assert samples(await driver.read())[0] == (10, 1_000_007, 7 / 3, 0)
    assert driver.malformed == 1


REFUSALS = {"its version": (1, "refuses MQTT 5"), "its password": (134, "check username"), "service": (136, "Server unavailable")}


@pytest.mark.parametrize(("code", "sentence"), REFUSALS.values(), ids=REFUSALS.keys())
async def test_broker_that_refuses_says_what_to_do_about(code: int, sentence: str, one: DeviceMap) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(bytes([0x20, 2, 0, code]) if code == 1 else bytes([0x20, 3, 0, code, 0]))

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    driver = MqttDriver(Device("pump", one, f"mqtt://127.0.0.1:{port}", MqttSettings()), SystemClock())
    with pytest.raises(DriverSetup if code != 136 else DeviceUnreachable, match=sentence):
        await driver.open()
    await driver.close()
    server.close()


@pytest.mark.parametrize("cut", [0, 1, 7, 40], ids=["whole", "after its first byte", "in its topic", "in its payload"])
async def test_version_5_keeps_its_session_and_acknowledges_by_number(cut: int, one: DeviceMap) -> None:
    """No broker of version 5 is at hand: the bytes of one, by MQTT 5.0, 3.1-3.9."""
    connects: list[bytes] = []
    acknowledged = asyncio.get_running_loop().create_future()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.read(2):
            packet = await reader.readexactly(head[1])
            match head[0] >> 4:
                case 1:
                    connects.append(packet)
                    writer.write(bytes([0x20, 3, 0, 0, 0]))
                case 8:
                    writer.write(bytes([0x90, 4, *packet[:2], 0, 1]))
                    topic, payload = b"site/pump", pump(1).encode()
                    body = len(topic).to_bytes(2, "big") + topic + b"\x12\x34" + b"\0" + payload
                    packet = bytes([0x32, len(body)]) + body
                    writer.write(packet[:cut])
                    await asyncio.sleep(0.02 if cut else 0)  # two segments on the way
                    writer.write(packet[cut:])
                case 4:
                    acknowledged.set_result(packet[:2])
                case _:
                    pass
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    address = f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    driver = MqttDriver(Device("pump", one, address, MqttSettings()), SystemClock())
    await driver.open()
    frame = await driver.read()
    assert len(samples(frame)) == 2
    assert not acknowledged.done()
    assert frame.acknowledge is not None
    frame.acknowledge()
    async with asyncio.timeout(5):
        assert await acknowledged == b"\x12\x34"
    await driver.close()
    server.close()
    assert connects[0][6] == 5
    assert connects[0][7] & 2 == 0, "clean start would throw the session away"
    assert bytes([0x11]) + (7 * 86_400).to_bytes(4, "big") in connects[0], "session expiry"


@pytest.mark.parametrize("garbage", [b"\x32\x03\x00\xff\x00", b"\x00\x00", b"\x30\xff\xff\xff\xff\xff"], ids=["topic", "type", "length"])
async def test_malformed_packet_ends_the_link(garbage: bytes, one: DeviceMap) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(bytes([0x20, 2, 0, 0]))
        subscribe = await reader.read(100)
        writer.write(bytes([0x90, 3, *subscribe[2:4], 1]) + garbage)
        await reader.read(100)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    driver = MqttDriver(device(one, f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"), SystemClock())
    await driver.open()
    with pytest.raises(DriverError):
        async with asyncio.timeout(5):
            await driver.read()
    await driver.close()
    server.close()


async def test_refused_connection_is_unreachable(one: DeviceMap) -> None:
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    driver = MqttDriver(device(one, f"mqtt://127.0.0.1:{port}"), SystemClock())
    with pytest.raises(DeviceUnreachable):
        await driver.open()
    await driver.close()


async def test_cut_connection_ends_the_read_and_reopens(one: DeviceMap, served: Served) -> None:
    async with followed(one, served) as field:
        driver, client, running = field.driver, field.client, field.tap
        reading = asyncio.create_task(driver.read())
        await asyncio.sleep(0)
        running.cut()
        with pytest.raises(DriverError):
            await reading
        await client.send("site/pump", pump(1))
        await driver.close()
        await driver.open()
        assert len(samples(await driver.read())) == 2


def metric(name: str, value: Any, datatype: int, at_ms: int, **more: Any) -> Metric:
    return Metric(name, value, datatype, at_ms, **more)


NODE = '{ name = "p", at = "oil/p", type = "float64" },\n{ name = "n", at = "oil/n", type = "int16" }'


def born(at_ms: int, bd_seq: int = 0) -> bytes:
    return encode(
        birth(at_ms, bd_seq, (metric("oil/p", 1.5, DataType.DOUBLE, at_ms, alias=1), metric("oil/n", -2, DataType.INT16, at_ms, alias=2)))
    )


async def next_samples(driver: MqttDriver) -> list[Sample]:
    async with asyncio.timeout(5):
        return samples(await driver.read())


async def test_aliases_of_the_birth_name_the_values_of_the_data(tmp_path: Path, served: Served) -> None:
    async with followed(device_map(tmp_path, NODE, SPARKPLUG), served) as field:
        driver, client = field.driver, field.client
        await client.send("spBv1.0/g/NBIRTH/pump", born(1000))
        assert await next_samples(driver) == [(10, 1_000_000, 1.5, 0), (11, 1_000_000, -2, 0)]
        changed = Payload(2000, 1, (Metric("", -7, 0, 2000, alias=2), Metric("", 2.5, 0, 1999, alias=1, historical=True)))
        await client.send("spBv1.0/g/NDATA/pump", encode(changed))
        assert await next_samples(driver) == [(10, 1_999_000, 2.5, 0), (11, 2_000_000, -7, 0)]
        unknown = Payload(
            3000, 2, (Metric("oil/p", None, DataType.DOUBLE, 3000, null=True), metric("oil/n", 4, DataType.INT16, 3000, quality=500))
        )
        await client.send("spBv1.0/g/NDATA/pump", encode(unknown))
        assert await next_samples(driver) == [
            (10, 3_000_000, 0, quality.BAD_SENSOR_FAILURE),
            (11, 3_000_000, 4, quality.UNCERTAIN_LAST_USABLE),
        ]
        await client.send("spBv1.0/g/NDEATH/pump", encode(Payload(None, None, (Metric("bdSeq", 9, DataType.INT64),))))
        await client.send("spBv1.0/g/NDEATH/pump", encode(Payload(None, None, (Metric("bdSeq", 0, DataType.INT64),))))
        assert [code for *_, code in await next_samples(driver)] == [quality.BAD_NO_COMMUNICATION] * 2
    assert driver.rebirths == 0


async def test_gap_or_unknown_alias_asks_for_a_rebirth_once(tmp_path: Path, served: Served) -> None:
    async with followed(device_map(tmp_path, NODE, SPARKPLUG), served) as field:
        driver, client = field.driver, field.client
        client.listen("spBv1.0/g/NCMD/pump")
        await client.send("spBv1.0/g/NBIRTH/pump", born(1000))
        await next_samples(driver)
        await client.send("spBv1.0/g/NDATA/pump", encode(Payload(2000, 5, (Metric("", 8, 0, 2000, alias=2),))))
        assert await next_samples(driver) == [(11, 2_000_000, 8, 0)]
        await client.send("spBv1.0/g/NDATA/pump", encode(Payload(3000, 9, (Metric("", 8, 0, 3000, alias=77),))))
        reading = asyncio.create_task(driver.read())
        await until(lambda: bool(client.heard))
        ((topic, command),) = client.heard
        assert topic == "spBv1.0/g/NCMD/pump"
        assert [(one.name, one.value) for one in decode_payload(command).metrics] == [("Node Control/Rebirth", True)]
        await client.send("spBv1.0/g/NBIRTH/pump", born(2000))
        assert samples(await reading) == [(10, 2_000_000, 1.5, 0)], "the birth repeats oil/n of 2000 ms, which is known"


async def test_device_below_a_node_is_followed_through_the_sequence_of_the_node(tmp_path: Path, served: Served) -> None:
    the_map = device_map(tmp_path, NODE, SPARKPLUG + ', device = "sensors"')
    async with followed(the_map, served) as field:
        driver, client = field.driver, field.client
        await client.send("spBv1.0/g/NBIRTH/pump", encode(birth(1000, 0, ())))
        values = (metric("oil/p", 1.0, DataType.DOUBLE, 1000), metric("oil/n", 1, DataType.INT16, 1000))
        await client.send("spBv1.0/g/DBIRTH/pump/sensors", encode(Payload(1000, 1, values)))
        assert len(await next_samples(driver)) == 2
        await client.send("spBv1.0/g/DDATA/pump/other", encode(Payload(1500, 2, (metric("oil/n", 99, DataType.INT16, 1500),))))
        await client.send("spBv1.0/g/DDATA/pump/sensors", encode(Payload(2000, 3, (metric("oil/n", 3, DataType.INT16, 2000),))))
        assert await next_samples(driver) == [(11, 2_000_000, 3, 0)]
        await client.send("spBv1.0/g/DDEATH/pump/sensors", encode(Payload(3000, 4, ())))
        assert {code for *_, code in await next_samples(driver)} == {quality.BAD_NO_COMMUNICATION}
    assert driver.rebirths == 0


async def test_garbage_on_a_sparkplug_topic_is_bad_data_not_a_stop(tmp_path: Path, served: Served) -> None:
    async with followed(device_map(tmp_path, NODE, SPARKPLUG), served) as field:
        driver, client = field.driver, field.client
        await client.send("spBv1.0/g/NDATA/pump", b"\xff\xff\xff")
        assert {code for *_, code in await next_samples(driver)} == {quality.BAD_DATA_ENCODING_INVALID}
        await client.send("spBv1.0/g/NBIRTH/pump", born(1000))
        assert len(await next_samples(driver)) == 2
