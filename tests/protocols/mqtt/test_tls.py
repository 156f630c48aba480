"""TLS with client certificates, and shared subscriptions, on Eclipse Mosquitto."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from protocols.clock import SystemClock
from protocols.devicemap import DeviceMap
from protocols.driver import DeviceUnreachable, DriverError, DriverSetup
from protocols.mqtt.driver import MqttDriver
from protocols.mqtt.plan import MqttSettings
from tests.protocols.mqtt.brokers import WITHOUT, Mosquitto, listening, mosquitto, samples, sender, tapped
from tests.protocols.mqtt.certificates import DAY, NOW, Authority
from tests.protocols.mqtt.maps import PUMP, device, device_map

pytestmark = WITHOUT
T = 1_700_000_000_000_000


@dataclass(frozen=True)
class Secured:
    """A broker with TLS on one port, and without on another for the foreign client."""

    tls_port: int
    plain_port: int
    folder: Path
    authority: Authority

    def settings(self, **more: Any) -> MqttSettings:
        ours = self.authority.issue("gateway")
        settings = MqttSettings(
            ca_file=self.authority.certificate, certificate_file=ours.certificate, key_file=ours.key, keepalive_s=5, client_id="gateway"
        )
        return dataclasses.replace(settings, **more)


@asynccontextmanager
async def secured(folder: Path, *, address: str = "127.0.0.1", expired: bool = False) -> AsyncIterator[Secured]:
    authority = Authority(folder, "site")
    theirs = authority.issue("broker", address=address, until=NOW - DAY if expired else NOW + DAY)
    plain = Mosquitto(folder)
    secure = Mosquitto(
        folder,
        [
            f"cafile {authority.certificate}",
            f"certfile {theirs.certificate}",
            f"keyfile {theirs.key}",
            "require_certificate true",
            f"listener {plain.port} 127.0.0.1",
            "allow_anonymous true",
        ],
    )
    await secure.start()
    await listening(plain.port)
    try:
        yield Secured(secure.port, plain.port, folder, authority)
    finally:
        await secure.stop()


@pytest.fixture
def one(tmp_path: Path) -> DeviceMap:
    return device_map(tmp_path, PUMP)


def driver(the_map: DeviceMap, port: int, settings: MqttSettings, name: str = "127.0.0.1") -> MqttDriver:
    return MqttDriver(dataclasses.replace(device(the_map, f"mqtts://{name}:{port}"), settings=settings), SystemClock())


@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_messages_arrive_over_tls_with_a_client_certificate(version: str, one: DeviceMap, tmp_path: Path) -> None:
    async with secured(tmp_path) as broker, sender(broker.plain_port) as client:
        opened = driver(one, broker.tls_port, broker.settings(version=version))
        await opened.open()
        for number in range(300):  # more than one record of TLS
            client._client.publish("site/pump", json.dumps({"t": T + number, "p": 1.5, "pad": "x" * 500, "q": "good"}), 1)
        seen: list[int] = []
        async with asyncio.timeout(10):
            while len(seen) < 300:
                frame = await opened.read()
                seen += [time_us - T for _, time_us, _, _ in samples(frame)]
                assert frame.acknowledge is not None
                frame.acknowledge()
        await opened.close()
    assert seen == list(range(300))


async def refused(opened: MqttDriver) -> DriverError:
    with pytest.raises(DriverError) as error:
        async with asyncio.timeout(10):
            await opened.open()
            await opened.read()
    await opened.close()
    return error.value


async def test_broker_of_another_authority_is_not_trusted(one: DeviceMap, tmp_path: Path) -> None:
    async with secured(tmp_path) as broker:
        stranger = Authority(tmp_path, "stranger").certificate
        error = await refused(driver(one, broker.tls_port, broker.settings(ca_file=stranger)))
    assert isinstance(error, DriverSetup)
    assert "certificate is not accepted" in str(error)


async def test_broker_under_another_name_is_not_trusted(one: DeviceMap, tmp_path: Path) -> None:
    async with secured(tmp_path, address="10.9.8.7") as broker:
        error = await refused(driver(one, broker.tls_port, broker.settings()))
    assert isinstance(error, DriverSetup)
    assert "by the name in its certificate" in str(error)


async def test_expired_certificate_is_not_accepted(one: DeviceMap, tmp_path: Path) -> None:
    async with secured(tmp_path, expired=True) as broker:
        error = await refused(driver(one, broker.tls_port, broker.settings()))
    assert "expired" in str(error)


async def test_client_without_certificate_is_told_what_is_missing(one: DeviceMap, tmp_path: Path) -> None:
    async with secured(tmp_path) as broker:
        error = await refused(driver(one, broker.tls_port, broker.settings(certificate_file=None, key_file=None)))
    assert isinstance(error, DriverSetup | DeviceUnreachable)
    assert "certificate" in str(error)


async def test_port_without_tls_is_said_to_be_one(one: DeviceMap, tmp_path: Path) -> None:
    async with secured(tmp_path) as broker:
        error = await refused(driver(one, broker.plain_port, broker.settings()))
    assert isinstance(error, DriverError)
    assert str(broker.plain_port) in str(error) or "TLS" in str(error)


async def test_missing_files_are_named_before_anything_is_connected(one: DeviceMap, tmp_path: Path) -> None:
    for settings, name in (
        (MqttSettings(ca_file=tmp_path / "none.pem"), "ca_file"),
        (MqttSettings(certificate_file=tmp_path / "none.pem"), "certificate_file"),
    ):
        error = await refused(driver(one, 1, settings))
        assert isinstance(error, DriverSetup)
        assert name in str(error)
        assert "none.pem" in str(error)


@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_two_gateways_of_a_group_share_the_messages_without_loss_or_double(version: str, one: DeviceMap, tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, sender(broker.port) as client:
        found: list[int] = []
        shares: list[int] = []

        async def follow(name: str) -> None:
            settings = MqttSettings(version=version, client_id=name, share="group", keepalive_s=5)
            opened = MqttDriver(dataclasses.replace(device(one, f"mqtt://127.0.0.1:{broker.port}"), settings=settings), SystemClock())
            await opened.open()
            ready.release()
            try:
                while True:
                    frame = await opened.read()
                    mine = [time_us - T for _, time_us, _, _ in samples(frame)]
                    found.extend(mine)
                    shares.append(len(mine))
                    assert frame.acknowledge is not None
                    frame.acknowledge()
            finally:
                await opened.close()

        ready = asyncio.Semaphore(0)
        tasks = [asyncio.create_task(follow(name)) for name in ("a", "b")]
        for _ in tasks:
            await ready.acquire()
        for number in range(100):
            await client.send("site/pump", json.dumps({"t": T + number, "p": 1.5, "q": "good"}))
        async with asyncio.timeout(10):
            while len(found) < 100:
                await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert sorted(found) == list(range(100))


async def test_tls_link_that_breaks_delivers_the_rest_after_it_is_back(one: DeviceMap, tmp_path: Path) -> None:
    async with secured(tmp_path) as broker, tapped(broker.tls_port) as tap, sender(broker.plain_port) as client:
        tap.blind = True
        opened = driver(one, tap.port, broker.settings())
        await opened.open()
        await client.send("site/pump", json.dumps({"t": T, "p": 1.5, "q": "good"}))
        first = samples(await opened.read())
        tap.cut()
        with pytest.raises(DeviceUnreachable):
            await opened.read()
        await opened.open()
        reading = asyncio.create_task(opened.read())
        await asyncio.sleep(0)
        await client.send("site/pump", json.dumps({"t": T + 1, "p": 1.5, "q": "good"}))
        assert [sample[1] for sample in samples(await reading)] == [T + 1], "the first is known, and waits for its frame"
        await opened.close()
    assert len(first) == 1
    assert opened.duplicates == 1
