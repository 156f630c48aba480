"""Records, plain values, retained messages, presence and silence: what the tags get, on every broker."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import quality
from protocols.devicemap import DeviceMap, load_device_map
from protocols.mqtt import watch
from protocols.mqtt.columns import Columns
from protocols.mqtt.decode import Decoder
from protocols.mqtt.driver import MqttDriver
from protocols.mqtt.inbox import Message
from tests.protocols.mqtt.brokers import Served, samples, sender
from tests.protocols.mqtt.maps import device, device_map
from tests.protocols.mqtt.test_driver import followed, make_durable

T = 1_700_000_000_000_000
RECORDS = 'payload = "records", topic = "r/{device}", items = "$.values", key = "$.n", value = "$.v", time = "$.t", quality = "$.q"'
NAMED = '{ name = "p", at = "pressure", type = "float64" },\n{ name = "s", at = "state", type = "int16", labels = { 0 = "OFF", 1 = "ON" } }'
Row = tuple[int, int, float, int]


def take(the_map: DeviceMap, *payloads: Any, topic: str = "r/pump", retained: bool = False) -> tuple[list[Row], Decoder]:
    """Rows that the messages give; texts stand for themselves, everything else is written as JSON."""
    decoder, columns = Decoder(device(the_map)), Columns()
    for payload in payloads:
        data = payload if isinstance(payload, bytes) else payload.encode() if isinstance(payload, str) else json.dumps(payload).encode()
        decoder.take(Message(topic, data, 0, 0, retained, 77, retained), columns, 0)
    rows: list[Row] = []
    for block in columns.blocks():
        codes = [0] * block.samples if block.quality is None else block.quality.tolist()
        rows += zip(block.tags.tolist(), block.times_us.tolist(), block.values.tolist(), codes, strict=True)
    return rows, decoder


def record(name: Any, value: Any, number: int = 0, word: str = "good") -> dict[str, Any]:
    return {"n": name, "v": value, "t": T + number, "q": word}


def test_records_are_kept_in_their_order_with_their_own_times(tmp_path: Path) -> None:
    found, _ = take(
        device_map(tmp_path, NAMED, RECORDS),
        {"values": [record("pressure", 1.5, 9), record("pressure", 2.5, 3), record("other", 1), record("state", "on", 4)]},
    )
    assert found == [(0, T + 9, 1.5, 0), (0, T + 3, 2.5, 0), (1, T + 4, 1, 0)]


BAD_RECORDS = {
    "a value that is a word": (record("pressure", "much"), quality.BAD_TYPE_MISMATCH),
    "no value": ({"n": "pressure", "t": T, "q": "good"}, quality.BAD_SENSOR_FAILURE),
    "a null": (record("pressure", None), quality.BAD_SENSOR_FAILURE),
    "no time": ({"n": "pressure", "v": 1.0, "q": "good"}, quality.BAD_DATA_ENCODING_INVALID),
    "a time that is a word": ({"n": "pressure", "v": 1.0, "t": "now", "q": "good"}, quality.BAD_DATA_ENCODING_INVALID),
    "no quality": ({"n": "pressure", "v": 1.0, "t": T}, quality.BAD_DATA_ENCODING_INVALID),
    "quality bad": (record("pressure", 1.0, word="bad"), quality.BAD),
    "a label that is none": (record("state", "HALF"), quality.BAD_TYPE_MISMATCH),
}


@pytest.mark.parametrize(("bad", "code"), BAD_RECORDS.values(), ids=BAD_RECORDS.keys())
def test_bad_record_costs_itself_only_for(bad: dict[str, Any], code: int, tmp_path: Path) -> None:
    found, decoder = take(device_map(tmp_path, NAMED, RECORDS), {"values": [bad, record("pressure", 7.0, 1)]})
    assert (0, T + 1, 7.0, 0) in found
    assert [row[3] for row in found if row[:2] != (0, T + 1)] == [code]
    assert decoder.malformed == 0


def test_message_without_records_is_malformed_and_records_without_name_are_passed_over(tmp_path: Path) -> None:
    the_map = device_map(tmp_path, NAMED, RECORDS)
    found, decoder = take(the_map, {"other": []}, {"values": 5}, b"\xff", {"values": [5, None, {"v": 1}, record("pressure", 1.0)]})
    assert decoder.malformed == 3
    assert [row for row in found if not row[3]] == [(0, T, 1.0, 0)]
    assert {row[3] for row in found} == {0, quality.BAD_DATA_ENCODING_INVALID}


def test_message_may_be_the_list_itself_and_have_one_time_for_all(tmp_path: Path) -> None:
    the_map = device_map(tmp_path, NAMED, 'payload = "records", topic = "r/{device}"')
    assert take(the_map, [{"name": "pressure", "value": 1}])[0] == [(0, 77, 1.0, 0)]
    the_map = device_map(tmp_path, NAMED, 'payload = "records", topic = "r/{device}", items = "$.metrics", message_time = "$.ts"')
    assert take(the_map, {"ts": T, "metrics": [{"name": "pressure", "value": 1}]})[0] == [(0, T, 1.0, 0)]


PLAIN = (
    '{ name = "a", at = "{device}/a", type = "float64" },\n'
    '{ name = "b", at = "{device}/b", type = "bool", labels = { 0 = "closed", 1 = "open" } },\n'
    '{ name = "c", at = "{device}/c", type = "int16", invalid = -999 }'
)
TEXTS: list[tuple[str, str | bytes, float, int]] = [
    ("a", "23.5", 23.5, 0),
    ("a", " -1e3\n", -1000.0, 0),
    ("a", "nan", 0, quality.BAD_SENSOR_FAILURE),
    ("a", "1_000", 0, quality.BAD_TYPE_MISMATCH),
    ("a", "1e999", 0, quality.BAD_SENSOR_FAILURE),
    ("a", "12 bar", 0, quality.BAD_TYPE_MISMATCH),
    ("a", "", 0, quality.BAD_SENSOR_FAILURE),
    ("a", "9" * 300, 0, quality.BAD_DATA_ENCODING_INVALID),
    ("a", b"\xff\xfe", 0, quality.BAD_TYPE_MISMATCH),
    ("b", "true", 1, 0),
    ("b", "OFF", 0, 0),
    ("b", "Open", 1, 0),
    ("b", "1", 1, 0),
    ("b", "2", 0, quality.BAD_OUT_OF_RANGE),
    ("c", "12.0", 12, 0),
    ("c", "12.5", 0, quality.BAD_TYPE_MISMATCH),
    ("c", "99999", 0, quality.BAD_OUT_OF_RANGE),
    ("c", "-999", 0, quality.BAD_SENSOR_FAILURE),
]


@pytest.mark.parametrize(("tag", "text", "value", "code"), TEXTS, ids=lambda value: repr(value)[:24])
def test_plain_text_becomes_value_and_quality(tag: str, text: str | bytes, value: float, code: int, tmp_path: Path) -> None:
    found, _ = take(device_map(tmp_path, PLAIN, 'payload = "plain"'), text, topic=f"pump/{tag}")
    assert found == [("abc".index(tag), 77, value, code)]


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=20))
def test_any_text_is_a_plain_value_or_bad(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    ((_, _, value, code),), _ = take(device_map(tmp_path_factory.mktemp("any"), PLAIN, 'payload = "plain"'), text.encode(), topic="pump/a")
    assert code or value == float(text)


def test_wildcards_give_a_tag_the_newest_of_any_topic(tmp_path: Path) -> None:
    tags = '{ name = "any", at = "+/level", type = "float64" },\n{ name = "one", at = "b/level", type = "float64" }'
    the_map = device_map(tmp_path, tags, 'payload = "plain"')
    assert take(the_map, "1", topic="a/level")[0] == [(0, 77, 1.0, 0)]
    assert take(the_map, "2", topic="b/level")[0] == [(0, 77, 2.0, 0), (1, 77, 2.0, 0)]
    assert take(the_map, "3", topic="a/other")[0] == []


def test_malformed_json_of_one_topic_costs_only_the_tags_of_that_topic(tmp_path: Path) -> None:
    tags = '{ name = "a", at = "$.v", type = "int8", topic = "x/a" },\n{ name = "b", at = "$.v", type = "int8" }'
    the_map = device_map(tmp_path, tags, 'payload = "json", topic = "x/b"')
    assert take(the_map, b"{", topic="x/a")[0] == [(0, 77, 0, quality.BAD_DATA_ENCODING_INVALID)]
    assert take(the_map, {"v": 3}, topic="x/b")[0] == [(1, 77, 3, 0)]


def test_retained_value_without_a_time_is_never_plainly_fresh(tmp_path: Path) -> None:
    the_map = device_map(tmp_path, PLAIN, 'payload = "plain"')
    assert take(the_map, "1.5", topic="pump/a", retained=True)[0] == [(0, 77, 1.5, quality.UNCERTAIN_LAST_USABLE)]
    assert take(the_map, "much", topic="pump/a", retained=True)[0] == [(0, 77, 0, quality.BAD_TYPE_MISMATCH)]
    stamped = device_map(tmp_path, NAMED, RECORDS)
    assert take(stamped, {"values": [record("pressure", 1.5)]}, retained=True)[0] == [(0, T, 1.5, 0)]


async def test_retained_value_is_delivered_at_the_subscription_as_last_usable(tmp_path: Path, served: Served) -> None:
    async with sender(served.port) as early:
        await early.send("pump/a", "4.5", retain=True)
    async with followed(device_map(tmp_path, PLAIN, 'payload = "plain"'), served) as field:
        first = samples(await field.driver.read())
        await field.client.send("pump/a", "5.5")
        live = samples(await field.driver.read())
    assert [(value, code) for _, _, value, code in first] == [(4.5, quality.UNCERTAIN_LAST_USABLE)]
    assert [(value, code) for _, _, value, code in live] == [(5.5, 0)]


GUARDED = 'payload = "plain", status_topic = "{device}/status", online = "up", offline = "down", max_silence = "1s"'


async def test_last_will_of_the_publisher_makes_every_tag_uncommunicative(tmp_path: Path, served: Served) -> None:
    async with followed(device_map(tmp_path, PLAIN, GUARDED), served) as field:
        await field.client.send("pump/status", "up", retain=True)
        await field.client.send("pump/a", "1.5")
        frame = await field.driver.read()
        assert [(tag, code) for tag, _, _, code in samples(frame)] == [(10, 0)]
        await field.client.send("pump/status", "down", retain=True)
        assert [(tag, code) for tag, _, _, code in samples(await field.driver.read())] == [
            (tag, quality.BAD_NO_COMMUNICATION) for tag in (10, 11, 12)
        ]
        await field.client.send("pump/status", "sideways")
        await field.client.send("pump/a", "2.5")
        assert [(tag, code) for tag, _, _, code in samples(await field.driver.read())] == [(10, 0)]
        assert field.driver.malformed == 1


async def test_silent_publisher_behind_a_healthy_broker_is_noticed_once(tmp_path: Path, served: Served) -> None:
    async with followed(device_map(tmp_path, PLAIN, GUARDED), served) as field:
        await field.client.send("pump/a", "1.5")
        assert [code for *_, code in samples(await field.driver.read())] == [0]
        async with asyncio.timeout(10):
            assert [code for *_, code in samples(await field.driver.read())] == [quality.BAD_NO_COMMUNICATION] * 3
        field.driver._look()
        assert not field.driver._link.arrived.is_set(), "said once"
        await field.client.send("pump/a", "2.5")
        assert [(value, code) for _, _, value, code in samples(await field.driver.read())] == [(2.5, 0)]


DAY = 86_400_000_000
CLOCKS = {"1970": 1_000_000, "a clock never set": 315_532_800_000_000, "2100": 4_102_444_800_000_000}


@pytest.mark.parametrize("time_us", CLOCKS.values(), ids=CLOCKS.keys())
async def test_impossible_time_is_replaced_flagged_and_told_once(
    time_us: int, tmp_path: Path, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    the_map = device_map(tmp_path, '{ name = "p", at = "$.p", type = "float64" }')
    async with followed(the_map, served) as field:

        async def tell(when_us: int, value: float) -> Any:
            await field.client.send("site/pump", json.dumps({"t": when_us, "p": value}))
            frame = await field.driver.read()
            await make_durable(frame)
            return frame

        first, well, second = await tell(time_us, 1.0), await tell(T, 3.0), await tell(time_us + 1, 2.0)
        monkeypatch.setattr(watch, "QUIET_US", 0)
        again = await tell(T + 1, 4.0)
    for frame in (first, second):
        ((_, stamped_us, _, code),) = samples(frame)
        assert stamped_us == frame.gateway_us
        assert code == quality.UNCERTAIN
    assert samples(well) == [(10, T, 3.0, 0)]
    (event,) = first.events
    assert (event.kind, event.device, event.detail["given_us"]) == ("clock", "pump", time_us)
    assert well.events == second.events == [], "now and then a good time is no end of it"
    assert [one.message for one in again.events] == ["gives possible times again"]


async def test_texts_are_told_as_events_when_they_change(tmp_path: Path, served: Served) -> None:
    path = tmp_path / "bench.toml"
    path.write_text(
        'device_map = "bench"\nmaker = "Bench"\nmodels = ["one"]\n[mqtt]\npayload = "json"\ntopic = "site/{device}"\n'
        '[[tags]]\nname = "p"\nat = "$.p"\ntype = "float64"\n[[texts]]\nname = "serial"\nat = "$.sn"\n'
    )
    async with followed(load_device_map(path), served) as field:
        told: list[list[tuple[str, str, str]]] = []
        for text in ("A1", "A1", "B2"):
            await field.client.send("site/pump", json.dumps({"p": 1.0, "sn": text}))
            frame = await field.driver.read()
            told.append([(event.kind, event.source, event.message) for event in frame.events])
    assert told == [[("text", "serial", "A1")], [], [("text", "serial", "B2")]]


async def test_payload_too_large_is_refused_without_being_held_in_memory(tmp_path: Path, served: Served) -> None:
    async with followed(device_map(tmp_path, PLAIN, 'payload = "plain"'), served) as field:
        driver: MqttDriver = field.driver
        await field.client.send("pump/a", b"9" * 5_000_000)
        frame = await driver.read()
        assert [(tag, code) for tag, _, _, code in samples(frame)] == [(tag, quality.BAD_DATA_ENCODING_INVALID) for tag in (10, 11, 12)]
        await make_durable(frame)
        await field.client.send("pump/a", "5.5")
        assert [(value, code) for _, _, value, code in samples(await driver.read())] == [(5.5, 0)]
        assert driver.malformed == 1
