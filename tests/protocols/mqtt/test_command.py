"""Writing over MQTT: what is published, what confirms it, what is refused."""

import asyncio
import json
from pathlib import Path

import pytest

from protocols.driver import DeviceUnreachable, WriteRefused, WritingDriver
from protocols.mqtt import command
from protocols.mqtt.datatypes import DataType
from protocols.mqtt.node import birth
from protocols.mqtt.sparkplug import Metric, Payload, decode_payload
from protocols.tomlfile import ConfigError
from tests.protocols.mqtt.brokers import Served, until
from tests.protocols.mqtt.maps import SPARKPLUG, device_map
from tests.protocols.mqtt.test_driver import Followed, encode, followed

W = "write = { min = -1000, max = 5e9 }"
TAGS = (
    f'{{ name = "sp", at = "$.set[1].speed", type = "float32", {W} }},\n{{ name = "count", at = "$.n", type = "uint32", {W} }},\n'
    f'{{ name = "mode", at = "$.mode", type = "int8", labels = {{ 0 = "OFF", 1 = "AUTO" }}, {W} }},\n'
    f'{{ name = "run", at = "$.run", type = "bool", {W} }}'
)
JSON = 'payload = "json", topic = "site/{device}", command = "site/{device}/set/{tag}"'

PUBLISHED = {
    "a number at its path": (TAGS, JSON, 0, 2.5, "site/pump/set/sp", {"set": [None, {"speed": 2.5}]}),
    "a label": (TAGS, JSON, 2, 1, "site/pump/set/mode", {"mode": "AUTO"}),
    "a number without label": (TAGS, JSON, 2, 5, "site/pump/set/mode", {"mode": 5}),
    "a truth value": (TAGS, JSON, 3, 1, "site/pump/set/run", {"run": True}),
    "a plain value": (
        f'{{ name = "v", at = "{{device}}/v", type = "int16", {W} }}',
        'payload = "plain", command = "{at}/set"',
        0,
        -7,
        "pump/v/set",
        -7,
    ),
    "a record": (
        f'{{ name = "v", at = "speed", type = "int16", {W} }}',
        'payload = "records", topic = "x", key = "$.n", value = "$.v.new", command = "x/set"',
        0,
        9,
        "x/set",
        {"n": "speed", "v": {"new": 9}},
    ),
}


@pytest.mark.parametrize(("tags", "mqtt", "index", "raw", "topic", "document"), PUBLISHED.values(), ids=PUBLISHED.keys())
async def test_command_is_published_as_the_device_tells_it(
    tags: str, mqtt: str, index: int, raw: float, topic: str, document: object, tmp_path: Path, served: Served
) -> None:
    async with followed(device_map(tmp_path, tags, mqtt), served) as field:
        await listening(field)
        assert isinstance(field.driver, WritingDriver)
        async with asyncio.timeout(10):
            await field.driver.write(index, raw, None)
        await until(lambda: len(field.client.heard) > 1)
        told, payload = field.client.heard[-1]
    assert (told, json.loads(payload)) == (topic, document)


async def listening(field: Followed) -> None:
    field.client.listen("#")
    await field.client.send("ready", "1")
    await until(lambda: bool(field.client.heard))


async def test_command_that_nobody_hears_is_refused_where_the_broker_says_so(tmp_path: Path, served: Served) -> None:
    async with followed(device_map(tmp_path, TAGS, JSON), served) as field:
        if served.version == "5":
            with pytest.raises(WriteRefused, match="nobody listens"):
                await field.driver.write(3, 1, None)
        else:
            await field.driver.write(3, 1, None)


async def test_expected_value_is_compared_with_the_newest(tmp_path: Path, served: Served) -> None:
    async with followed(device_map(tmp_path, TAGS, JSON), served) as field:
        await listening(field)
        with pytest.raises(WriteRefused, match="no good value to compare"):
            await field.driver.write(1, 5, 4)
        await field.client.send("site/pump", json.dumps({"n": 4_000_000_000}))
        await field.driver.read()
        with pytest.raises(WriteRefused, match="expected 4"):
            await field.driver.write(1, 5, 4)
        await field.driver.write(1, 5, 4_000_000_000)


@pytest.mark.parametrize(("index", "raw"), [(0, 1e39), (0, float("nan")), (1, -1), (1, 2.5), (2, 200), (3, 2)])
async def test_value_that_the_type_does_not_hold_is_refused(index: int, raw: float, tmp_path: Path, served: Served) -> None:
    async with followed(device_map(tmp_path, TAGS, JSON), served) as field:
        with pytest.raises(WriteRefused):
            await field.driver.write(index, raw, None)


async def test_map_without_command_topic_refuses(tmp_path: Path, served: Served) -> None:
    async with followed(device_map(tmp_path, TAGS, 'payload = "json", topic = "t"'), served) as field:
        with pytest.raises(WriteRefused, match='no "command" topic'):
            await field.driver.write(0, 1, None)


METRIC = f'{{ name = "sp", at = "setpoint", type = "float64", {W} }},\n{{ name = "e", at = "list[1]", type = "float64", {W} }}'


async def test_node_confirms_by_telling_the_value_and_silence_is_not_known(
    tmp_path: Path, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with followed(device_map(tmp_path, METRIC, SPARKPLUG + ', device = "d"'), served) as field:
        field.client.listen("spBv1.0/g/DCMD/pump/d")

        def values(at_ms: int, value: float) -> tuple[Metric, ...]:
            return (Metric("setpoint", value, DataType.DOUBLE, at_ms),)

        await field.client.send("spBv1.0/g/NBIRTH/pump", encode(birth(1, 0, ())))
        await field.client.send("spBv1.0/g/DBIRTH/pump/d", encode(Payload(1, 1, values(1, 10.0))))
        await field.driver.read()
        reading = asyncio.create_task(field.driver.read())
        writing = asyncio.create_task(field.driver.write(0, 20.0, 10.0))
        await until(lambda: bool(field.client.heard))
        (sent,) = decode_payload(field.client.heard[0][1]).metrics
        assert (sent.name, sent.value, sent.datatype) == ("setpoint", 20.0, DataType.DOUBLE)
        assert not writing.done()
        await field.client.send("spBv1.0/g/DDATA/pump/d", encode(Payload(2, 2, values(2, 20.0))))
        await reading
        async with asyncio.timeout(5):
            await writing
        monkeypatch.setattr(command, "CONFIRM_S", 0.05)
        with pytest.raises(DeviceUnreachable, match="not known whether it is set"):
            await field.driver.write(0, 30.0, None)
        with pytest.raises(WriteRefused, match="part of a metric"):
            await field.driver.write(1, 30.0, None)


async def test_write_without_a_link_says_so(tmp_path: Path, served: Served) -> None:
    async with followed(device_map(tmp_path, TAGS, JSON), served) as field:
        await field.driver.close()
        with pytest.raises(DeviceUnreachable, match="not connected"):
            await field.driver.write(0, 1, None)


@pytest.mark.parametrize("template", ["a/+", "a/{name}", "#"])
def test_command_topic_is_checked(template: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='"command"'):
        device_map(tmp_path, TAGS, f'payload = "json", topic = "t", command = "{template}"')
