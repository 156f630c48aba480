"""The simulated MQTT device: what it publishes is what the driver reads, and what the truth log says."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from protocols import quality
from protocols.clock import SystemClock
from protocols.devicemap import SHIPPED, Device, DeviceMap, load_device_map, to_engineering
from protocols.driver import DriverError
from protocols.frame import Frame
from protocols.mqtt.driver import MqttDriver
from protocols.mqtt.plan import MqttSettings
from simulators.face import Step, TruthLog
from simulators.mqtt import FAULTS, MqttFace
from simulators.mqtt_messages import json_message, tell
from tests.protocols.mqtt.brokers import sender, until
from tests.protocols.mqtt.certificates import Authority
from tests.protocols.mqtt.maps import device_map

VALUES = np.array([24029740.0, 15340820.0, 60.86, 998856.4, 37.13652, 20227980.0, np.nan, 5.634212e-03])
QUALITY = np.array([0, quality.UNCERTAIN_LAST_USABLE, 0, quality.BAD_OUT_OF_SERVICE, 0, 0, quality.BAD_SENSOR_FAILURE, 0], np.uint32)
T0 = 1_523_865_708_000_000
Row = tuple[str, int, float, int]


def step(number: int) -> Step:
    return Step(T0 + 1000 * number, VALUES + number, QUALITY)


@asynccontextmanager
async def serving(the_map: DeviceMap, truth: io.StringIO, first: Step | None = None) -> AsyncIterator[tuple[MqttFace, Device]]:
    face = MqttFace(TruthLog(truth))
    unplaced = Device("well_1", the_map, "mqtt://127.0.0.1:0")
    await face.start([unplaced], [first or step(0)])
    try:
        yield face, Device("well_1", the_map, face.address_of(unplaced), MqttSettings(version="3.1.1"), first_id=0)
    finally:
        await face.stop()


def rows(frame: Frame, device: Device) -> list[Row]:
    found: list[Row] = []
    for block in frame.blocks:
        codes = np.zeros(block.samples, np.uint32) if block.quality is None else block.quality
        for index, time_us, raw, code in zip(block.tags.tolist(), block.times_us.tolist(), block.values, codes.tolist(), strict=True):
            tag = device.map.tags[index]
            found.append((tag.name, time_us, float(to_engineering(np.array([raw]), tag.type, tag.scale, tag.offset)[0]), code))
    return found


def logged(truth: io.StringIO) -> list[Row]:
    lines = [line.split(",") for line in truth.getvalue().splitlines()]
    return [(row[1].partition(".")[2], int(row[2]), float(row[3]), int(row[4])) for row in lines]


@pytest.mark.parametrize("name", ["qenergyz_well_mqtt", "qenergyz_well_sparkplug"])
async def test_every_published_step_is_read_once_and_is_in_the_truth(name: str) -> None:
    truth = io.StringIO()
    async with serving(load_device_map(SHIPPED / f"{name}.toml"), truth) as (face, device):
        driver = MqttDriver(device, SystemClock())
        await driver.open()
        found: list[Row] = []

        async def collect() -> None:
            while True:
                frame = await driver.read()
                assert frame.acknowledge is not None
                frame.acknowledge()
                found.extend(rows(frame, device))

        reading = asyncio.create_task(collect())
        for number in range(1, 40):
            await face.publish(device, step(number))
            await asyncio.sleep(0.002)
        async with asyncio.timeout(5):
            while len(found) < max(8 * 39, len(logged(truth))):
                await asyncio.sleep(0.01)
        reading.cancel()
        await driver.close()
    assert sorted(found) == sorted(logged(truth))
    by_tag = {tag: (value, code) for tag, time_us, value, code in found if time_us == T0 + 1000}
    assert by_tag["p_pdg"] == (24029741.0, 0)
    assert by_tag["p_tpt"] == (15340821.0, quality.UNCERTAIN)
    assert by_tag["p_mon_ckp"][1] == quality.BAD
    assert by_tag["t_jus_ckgl"] == (0.0, quality.BAD_SENSOR_FAILURE)
    assert by_tag["qgl"] == (1 + 5.634212e-03, 0)


async def test_step_nobody_wanted_is_not_in_the_truth() -> None:
    truth = io.StringIO()
    async with serving(load_device_map(SHIPPED / "qenergyz_well_mqtt.toml"), truth) as (face, device):
        await face.publish(device, step(1))
    assert truth.getvalue() == ""
    assert face.messages == 0


async def test_steps_published_while_the_agent_is_away_reach_it_later() -> None:
    truth = io.StringIO()
    async with serving(load_device_map(SHIPPED / "qenergyz_well_mqtt.toml"), truth) as (face, device):
        driver = MqttDriver(device, SystemClock())
        await driver.open()
        await driver.close()
        for number in range(1, 11):
            await face.publish(device, step(number))
        await driver.open()
        found: list[Row] = []
        async with asyncio.timeout(5):
            while len(found) < 80:
                found += rows(await driver.read(), device)
        await driver.close()
    assert sorted(found) == sorted(logged(truth))


@pytest.mark.parametrize("kind", FAULTS)
async def test_fault_shows_and_passes(kind: str) -> None:
    truth = io.StringIO()
    async with serving(load_device_map(SHIPPED / "qenergyz_well_sparkplug.toml"), truth) as (face, device):
        driver = MqttDriver(device, SystemClock())
        await driver.open()
        found: list[Row] = []

        async def collect() -> None:
            try:
                while True:
                    found.extend(rows(await driver.read(), device))
            except DriverError as error:
                raise AssertionError("a device's fault is no fault of the broker") from error

        async def advance() -> None:
            number = 1
            while True:
                await face.publish(device, Step(T0 + 1000 * number, VALUES + number, np.zeros(8, np.uint32)))
                number += 1
                await asyncio.sleep(0.01)

        tasks = [asyncio.create_task(collect()), asyncio.create_task(advance())]
        await asyncio.sleep(0.1)
        await face.fault("well_1", kind, 200_000)
        during = len(found)
        async with asyncio.timeout(5):
            while not any(tag == "p_pdg" and code == 0 for tag, _, _, code in found[during + 8 :]):
                await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await driver.close()
    codes = {code for tag, _, _, code in found if tag == "p_pdg"}
    expected = {"drop_link": quality.BAD_NO_COMMUNICATION, "freeze": quality.UNCERTAIN, "bad_quality": quality.BAD, "delay": quality.GOOD}
    assert expected[kind] in codes
    good = [row for row in found if row[3] == 0]
    assert len(set(good)) == len(good)
    assert set(good) <= set(logged(truth))


async def test_unknown_fault_is_refused() -> None:
    async with serving(load_device_map(SHIPPED / "qenergyz_well_mqtt.toml"), io.StringIO()) as (face, _):
        with pytest.raises(ValueError, match="expected one of drop_link"):
            await face.fault("well_1", "explode", 1)


def test_message_is_built_along_the_paths_of_the_map(tmp_path: Path) -> None:
    tags = (
        '{ name = "a", at = "$.v[1].x", type = "uint32", scale = 0.1, quality_at = "$.v[1].q" },\n'
        '{ name = "b", at = "$[\'odd name\']", type = "bool" }'
    )
    the_map = device_map(tmp_path, tags, 'payload = "json", topic = "t", time = "$.at", time_unit = "iso"')
    told = tell(the_map.tags, the_map.options, Step(1_500_000, np.array([400_000_000.0, 1.0]), np.zeros(2, np.uint32)))
    assert json.loads(json_message(the_map.tags, the_map.options, told)) == {
        "at": "1970-01-01T00:00:01.500000+00:00",
        "v": [None, {"x": 4_000_000_000, "q": "good"}],
        "odd name": True,
    }


NOTHING = Step(T0, np.zeros(3), np.zeros(3, np.uint32))
TWO = '{ name = "a", at = "x", type = "float64", scale = 0.5 },\n{ name = "b", at = "y", type = "bool" },\n{ name = "c", at = "z", type = "uint8" }'
KINDS = {
    "records": (TWO, 'payload = "records", topic = "r/{device}", items = "$.m", time = "$.t", quality = "$.q"'),
    "records without a list around": (TWO, 'payload = "records", topic = "r/{device}", time = "$.t"'),
    "plain values": (TWO.replace('at = "', 'at = "{device}/'), 'payload = "plain"'),
    "a topic per tag": (
        TWO.replace('at = "', 'topic = "{device}/+/v", at = "$.').replace('topic = "{device}/+/v", at = "$.z"', 'topic = "z", at = "$.z"'),
        'payload = "json", time = "$.t"',
    ),
    "an array": (
        TWO.replace('"x"', '"grid[1]"').replace('"z"', '"grid[0]"').replace("uint8", "float32"),
        'payload = "sparkplug", group = "g", node = "{device}"',
    ),
}


@pytest.mark.parametrize(("tags", "mqtt"), KINDS.values(), ids=KINDS.keys())
async def test_every_payload_kind_is_read_as_it_is_told(tags: str, mqtt: str, tmp_path: Path) -> None:
    truth = io.StringIO()
    async with serving(device_map(tmp_path, tags, mqtt), truth, NOTHING) as (face, device):
        driver = MqttDriver(device, SystemClock())
        await driver.open()
        found: list[Row] = []
        sent = [np.array([number + 0.5, number % 2, number]) for number in range(1, 6)]
        for number, values in enumerate(sent):
            await face.publish(device, Step(T0 + 1000 * (number + 1), values, np.zeros(3, np.uint32)))
        async with asyncio.timeout(5):
            while len(found) < len(logged(truth)):
                found += rows(await driver.read(), device)
        await driver.close()
    timed = 'payload = "plain"' not in mqtt  # whose samples have the time of arrival
    strip = (lambda row: row) if timed else (lambda row: (row[0], 0, *row[2:]))
    assert sorted(map(strip, found)) == sorted(map(strip, logged(truth)))
    assert len(found) >= 15


def step_of(number: int) -> Step:
    return Step(T0 + 1000 * number, np.array([float(number)] * 8), np.zeros(8, np.uint32))


async def test_node_keeps_its_steps_for_its_primary_host_and_tells_them_as_history() -> None:
    truth = io.StringIO()
    settings = MqttSettings(version="3.1.1", primary_host="plant7")
    face = MqttFace(TruthLog(truth))
    unplaced = Device("well_1", load_device_map(SHIPPED / "qenergyz_well_sparkplug.toml"), "mqtt://127.0.0.1:0", settings)
    await face.start([unplaced], [step_of(0)])
    device = Device("well_1", unplaced.map, face.address_of(unplaced), settings)
    driver = MqttDriver(device, SystemClock())
    found: list[Row] = []
    try:
        await driver.open()

        async def read_until(number: int) -> None:
            async with asyncio.timeout(10):
                while len(found) < 8 * number:
                    found.extend(rows(await driver.read(), device))

        await read_until(1)
        await face.publish(device, step_of(1))
        await read_until(2)
        await driver.close()
        await until(lambda: face._publishers["well_1"].host_away)
        for number in range(2, 6):
            await face.publish(device, step_of(number))
        assert len(logged(truth)) == 16
        await driver.open()
        await read_until(6)
    finally:
        await driver.close()
        await face.stop()
    assert sorted(found) == sorted(logged(truth))
    assert [time_us - T0 for name, time_us, _, _ in found if name == "p_pdg"] == [1000 * number for number in (0, 1, 5, 2, 3, 4)]


async def test_last_will_of_a_device_that_is_cut_tells_that_it_is_gone(tmp_path: Path) -> None:
    the_map = device_map(tmp_path, TWO.replace('at = "', 'at = "{device}/'), 'payload = "plain", status_topic = "{device}/status"')
    async with serving(the_map, io.StringIO(), NOTHING) as (face, device), sender(int(device.address.rpartition(":")[2])) as client:
        client.listen("well_1/status")
        await until(lambda: client.heard == [("well_1/status", b"online")])
        await face.fault("well_1", "drop_link", 100_000)
        await until(lambda: [payload for _, payload in client.heard] == [b"online", b"offline", b"online"])


async def test_node_obeys_a_command_and_confirms_it_with_its_next_step(tmp_path: Path) -> None:
    tags = '{ name = "sp", at = "sp", type = "int16", scale = 0.1, write = { min = 0, max = 100 } }'
    the_map = device_map(tmp_path, tags, 'payload = "sparkplug", group = "g", node = "{device}", device = "d"')
    async with serving(the_map, io.StringIO(), Step(T0, np.zeros(1), np.zeros(1, np.uint32))) as (face, device):
        driver = MqttDriver(device, SystemClock())
        await driver.open()

        async def reading() -> None:
            while True:
                await driver.read()

        async def advancing() -> None:
            number = 1
            while True:
                await face.publish(device, Step(T0 + 1000 * number, np.array([5.0]), np.zeros(1, np.uint32)))
                number += 1
                await asyncio.sleep(0.02)

        tasks = [asyncio.create_task(reading()), asyncio.create_task(advancing())]
        async with asyncio.timeout(10):
            await driver.write(0, 425, None)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await driver.close()


async def test_face_serves_tls_with_the_certificate_of_its_first_device(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "site")
    pair = authority.issue("broker")
    server = MqttSettings(certificate_file=pair.certificate, key_file=pair.key)
    the_map = load_device_map(SHIPPED / "qenergyz_well_mqtt.toml")
    face, client = MqttFace(), MqttSettings(version="3.1.1", ca_file=authority.certificate)
    await face.start([Device("well_1", the_map, "mqtts://127.0.0.1:0", server)], [step(0)])
    try:
        device = Device("well_1", the_map, face.address_of(Device("well_1", the_map, "", server)), client)
        assert device.address.startswith("mqtts://")
        driver = MqttDriver(device, SystemClock())
        await driver.open()
        await face.publish(device, step(1))
        async with asyncio.timeout(5):
            assert rows(await driver.read(), device)
        await driver.close()
    finally:
        await face.stop()
