"""The MQTT driver against a broker that is not ours: Eclipse Mosquitto, both versions of the protocol. Skipped where it is not installed."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from protocols.clock import SystemClock
from protocols.devicemap import DeviceMap
from protocols.driver import DeviceUnreachable
from protocols.frame import Frame
from protocols.mqtt.driver import MqttDriver
from protocols.mqtt.plan import MqttSettings
from tests.protocols.mqtt import brokers
from tests.protocols.mqtt.brokers import WITHOUT, Mosquitto, samples, sender
from tests.protocols.mqtt.maps import PUMP, device, device_map

pytestmark = WITHOUT
TIME = 1_523_865_708_000_000


@pytest.fixture
async def mosquitto(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    async with brokers.mosquitto(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> DeviceMap:
    return device_map(tmp_path_factory.mktemp("maps"), PUMP)


@pytest.fixture(params=["5", "3.1.1"], ids=["version 5", "version 3.1.1"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def driver(port: int, one: DeviceMap, version: str, delivered: Collection[bytes] = ()) -> AsyncIterator[MqttDriver]:
    settings = MqttSettings(version=version, keepalive_s=5)
    opened = MqttDriver(dataclasses.replace(device(one, f"mqtt://127.0.0.1:{port}"), settings=settings), SystemClock(), delivered)
    try:
        await opened.open()
        yield opened
    finally:
        await opened.close()


def message(number: int) -> str:
    return json.dumps({"t": TIME + number, "p": number / 4, "n": [0, number], "q": "good"})


async def read(opened: MqttDriver) -> Frame:
    async with asyncio.timeout(10):
        return await opened.read()


async def make_durable(frame: Frame) -> None:
    assert frame.acknowledge is not None
    frame.acknowledge()
    await asyncio.sleep(0)  # the driver acknowledges from its own loop


def times(frame: Frame) -> list[int]:
    """Offsets of the messages in the frame; each message gives two samples."""
    return sorted({time_us - TIME for _, time_us, _, _ in samples(frame)})


async def test_message_becomes_samples(mosquitto: Mosquitto, one: DeviceMap, version: str) -> None:
    async with driver(mosquitto.port, one, version) as opened, sender(mosquitto.port) as client:
        await client.send("site/pump", message(6))
        assert samples(await read(opened)) == [(0, TIME + 6, 1.5, 0), (1, TIME + 6, 6, 0)]


async def test_acknowledged_message_is_not_delivered_again(mosquitto: Mosquitto, one: DeviceMap, version: str) -> None:
    async with sender(mosquitto.port) as client:
        async with driver(mosquitto.port, one, version) as opened:
            await client.send("site/pump", message(1))
            await make_durable(await read(opened))
        async with driver(mosquitto.port, one, version) as reopened:
            await client.send("site/pump", message(2))
            assert times(await read(reopened)) == [2]


async def test_message_closed_before_its_commit_is_delivered_again(mosquitto: Mosquitto, one: DeviceMap, version: str) -> None:
    async with sender(mosquitto.port) as client:
        async with driver(mosquitto.port, one, version) as opened:
            await client.send("site/pump", message(1))
            first = await read(opened)
        async with driver(mosquitto.port, one, version) as reopened:
            assert samples(await read(reopened)) == samples(first)


async def test_redelivery_that_the_buffer_knows_is_not_doubled(mosquitto: Mosquitto, one: DeviceMap, version: str) -> None:
    async with sender(mosquitto.port) as client:
        async with driver(mosquitto.port, one, version) as opened:
            await client.send("site/pump", message(1))
            first = await read(opened)
        async with driver(mosquitto.port, one, version, first.messages) as reopened:
            await client.send("site/pump", message(2))
            assert times(await read(reopened)) == [2]
            assert reopened.duplicates == 1


async def test_messages_sent_while_away_wait_for_the_session(mosquitto: Mosquitto, one: DeviceMap, version: str) -> None:
    async with sender(mosquitto.port) as client:
        async with driver(mosquitto.port, one, version):
            pass
        await client.send("site/pump", message(1))
        async with driver(mosquitto.port, one, version) as reopened:
            assert times(await read(reopened)) == [1]


async def test_more_messages_than_the_window_of_the_broker_arrive_once_and_in_order(
    mosquitto: Mosquitto, one: DeviceMap, version: str
) -> None:
    count = 100  # mosquitto has 20 out unacknowledged unless told otherwise
    seen: list[int] = []
    async with driver(mosquitto.port, one, version) as opened, sender(mosquitto.port) as client:
        sending = asyncio.create_task(asyncio.wait_for(asyncio.gather(*(client.send("site/pump", message(n)) for n in range(count))), 20))
        while len(seen) < count:
            frame = await read(opened)
            seen += times(frame)
            await make_durable(frame)
        await sending
    assert seen == list(range(count))


async def test_restart_of_the_broker_ends_the_read_and_the_driver_opens_again(mosquitto: Mosquitto, one: DeviceMap, version: str) -> None:
    async with driver(mosquitto.port, one, version) as opened:
        await mosquitto.stop()
        with pytest.raises(DeviceUnreachable):
            await read(opened)
        with pytest.raises(DeviceUnreachable):
            await opened.open()
        await mosquitto.start()
        await opened.open()
        async with sender(mosquitto.port) as client:
            await client.send("site/pump", message(3))
            assert times(await read(opened)) == [3]
