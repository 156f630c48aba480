"""Sparkplug B: every data type, members, births that come late, deaths that are stale, history."""

import asyncio
import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from protocols import quality
from protocols.devicemap import DeviceMap, load_device_map
from protocols.mqtt.columns import Columns, Malformed
from protocols.mqtt.datatypes import DataType
from protocols.mqtt.metrics import HOLD_US, MAX_HELD, Seen, SparkplugReader
from protocols.mqtt.node import LONGEST_REBIRTH_US, Numbers, Rebirths, birth, state_of
from protocols.mqtt.protobuf import bytes_field, number_field
from protocols.mqtt.sparkplug import DEEPEST, DataSet, Metric, Payload, Template, decode_payload, encode_payload
from protocols.mqtt.watch import Texts
from tests.protocols.mqtt.brokers import Served, until
from tests.protocols.mqtt.maps import SPARKPLUG, device, device_map
from tests.protocols.mqtt.test_driver import BASE_MS, encode, followed, make_durable, samples

MS = int(datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC).timestamp() * 1000)
Row = tuple[int, int, float, int]


class Following:
    """A reader of node "pump" and what it has given so far."""

    def __init__(self, the_map: DeviceMap) -> None:
        self.device = device(the_map)
        self.texts = Texts(self.device)
        self.reader = SparkplugReader(self.device, self.texts)
        self.columns, self.seen = Columns(), Seen()

    def hear(self, kind: str, payload: Payload | bytes, now_us: int = 0) -> Any:
        data = payload if isinstance(payload, bytes) else encode_payload(payload)
        return self.reader.read(f"spBv1.0/g/{kind}/pump", data, 77, self.columns, self.seen, now_us)

    def rows(self) -> list[Row]:
        """Since the last call, sorted by tag; of one tag in their order."""
        rows: list[Row] = []
        for block in self.columns.blocks():
            codes = [0] * block.samples if block.quality is None else block.quality.tolist()
            rows += zip(block.tags.tolist(), block.times_us.tolist(), block.values.tolist(), codes, strict=True)
        self.columns = Columns()
        return sorted(rows, key=lambda row: row[0])


def metric(name: str, value: Any, kind: int, at_ms: int = MS, **more: Any) -> Metric:
    return Metric(name, value, kind, at_ms, **more)


TYPES: list[tuple[DataType, Any, str, float]] = [
    (DataType.INT8, -8, "int8", -8),
    (DataType.INT16, -16, "int16", -16),
    (DataType.INT32, -32, "int32", -32),
    (DataType.INT64, -(2**40), "int64", -(2**40)),
    (DataType.UINT8, 200, "uint8", 200),
    (DataType.UINT16, 60_000, "uint16", 60_000),
    (DataType.UINT32, 4_000_000_000, "uint32", 4_000_000_000 - 2**32),
    (DataType.UINT64, 2**63, "uint64", -(2**63)),
    (DataType.FLOAT, 1.5, "float32", 1.5),
    (DataType.DOUBLE, 2.5, "float64", 2.5),
    (DataType.BOOLEAN, True, "bool", 1),
    (DataType.DATETIME, MS, "int64", MS),
]


@pytest.mark.parametrize(("kind", "value", "tag_type", "number"), TYPES, ids=lambda value: getattr(value, "name", None))
@pytest.mark.parametrize("aliased", [False, True], ids=["by name", "by alias without type"])
def test_value_of_every_numeric_type_is_carried(
    kind: DataType, value: Any, tag_type: str, number: float, aliased: bool, tmp_path: Path
) -> None:
    node = Following(device_map(tmp_path, f'{{ name = "a", at = "m", type = "{tag_type}" }}', SPARKPLUG))
    node.hear("NBIRTH", birth(MS, 0, (metric("m", value, kind, alias=4),)))
    node.hear("NDATA", Payload(MS + 1, 1, (Metric("", value, kind, alias=4) if not aliased else bare(value, kind),)))
    assert [row[2:] for row in node.rows()] == [(number, 0), (number, 0)]


def bare(value: Any, kind: DataType) -> Metric:
    """As it stands on the wire without its type: whole numbers as their bits."""
    if isinstance(value, bool) or not isinstance(value, int):
        return Metric("", value, 0 if kind is not DataType.FLOAT else kind, alias=4)
    return Metric("", value, kind, alias=4)


ARRAYS: list[tuple[DataType, tuple[Any, ...], float]] = [
    (DataType.INT8_ARRAY, (0, -1, -128), -128),
    (DataType.INT16_ARRAY, (0, 1, -30_000), -30_000),
    (DataType.INT32_ARRAY, (0, 1, -(2**31)), -(2**31)),
    (DataType.INT64_ARRAY, (0, 1, -(2**50)), -(2**50)),
    (DataType.UINT8_ARRAY, (0, 1, 255), 255),
    (DataType.UINT16_ARRAY, (0, 1, 65_535), 65_535),
    (DataType.UINT32_ARRAY, (0, 1, 2**32 - 1), 2**32 - 1),
    (DataType.UINT64_ARRAY, (0, 1, 2**53), 2**53),
    (DataType.FLOAT_ARRAY, (0.0, 1.0, 0.25), 0.25),
    (DataType.DOUBLE_ARRAY, (0.0, 1.0, 1e300), 1e300),
    (DataType.DATETIME_ARRAY, (0, 1, MS), MS),
]


@pytest.mark.parametrize(("kind", "values", "number"), ARRAYS, ids=lambda value: getattr(value, "name", None))
def test_element_of_an_array_is_a_tag(kind: DataType, values: tuple[Any, ...], number: float, tmp_path: Path) -> None:
    tags = '{ name = "a", at = "grid/m[2]", type = "float64" },\n{ name = "b", at = "grid/m[3]", type = "float64" }'
    node = Following(device_map(tmp_path, tags, SPARKPLUG))
    node.hear("NBIRTH", birth(MS, 0, (metric("grid/m", values, kind, alias=4),)))
    node.hear("NDATA", Payload(MS + 1, 1, (Metric("", values, kind, alias=4),)))
    missing = (0.0, quality.BAD_NODE_ID_UNKNOWN)
    assert [row[2:] for row in node.rows()] == [(number, 0), (number, 0), missing, missing]


def test_truth_values_and_texts_of_arrays_are_members_too(tmp_path: Path) -> None:
    node = Following(
        device_map(tmp_path, '{ name = "a", at = "b[9]", type = "bool" },\n{ name = "t", at = "s[0]", type = "int8" }', SPARKPLUG)
    )
    truths = tuple(place % 3 == 0 for place in range(11))
    node.hear("NBIRTH", birth(MS, 0, (metric("b", truths, DataType.BOOLEAN_ARRAY), metric("s", ("x", ""), DataType.STRING_ARRAY))))
    assert [row[2:] for row in node.rows()] == [(1, 0), (0, quality.BAD_TYPE_MISMATCH)]


TABLE = DataSet(("temp", "on"), (DataType.INT16, DataType.BOOLEAN), ((-5, True), (7, None)))


def test_cell_of_a_data_set_is_a_tag(tmp_path: Path) -> None:
    tags = ",\n".join(
        f'{{ name = "{name}", at = "set/{at}", type = "{kind}" }}'
        for name, at, kind in (
            ("a", "temp", "int16"),
            ("b", "on", "bool"),
            ("c", "temp[1]", "int16"),
            ("d", "on[1]", "bool"),
            ("e", "temp[2]", "int16"),
            ("f", "none", "int16"),
        )
    )
    node = Following(device_map(tmp_path, tags, SPARKPLUG))
    node.hear("NBIRTH", birth(MS, 0, (metric("set", TABLE, DataType.DATASET),)))
    assert [row[2:] for row in node.rows()] == [
        (-5, 0),
        (1, 0),
        (7, 0),
        (0, quality.BAD_SENSOR_FAILURE),
        (0, quality.BAD_NODE_ID_UNKNOWN),
        (0, quality.BAD_NODE_ID_UNKNOWN),
    ]


def test_member_of_a_template_is_a_tag_and_has_its_type_from_the_birth(tmp_path: Path) -> None:
    tags = (
        '{ name = "a", at = "pumps/1/speed", type = "float64" },\n{ name = "b", at = "pumps/1/motor/temp[1]", type = "float64" },\n'
        '{ name = "c", at = "pumps/1/limit", type = "float64" }'
    )
    node = Following(device_map(tmp_path, tags, SPARKPLUG))

    def pump(speed: int, kind: int, *, motor: bool = True) -> Metric:
        inner = Template((Metric("temp", (1, -2), DataType.INT8_ARRAY),), "motor")
        members = (Metric("speed", speed, kind), *((Metric("motor", inner, DataType.TEMPLATE),) if motor else ()))
        return metric("pumps/1", Template(members, "pump", parameters=(Metric("limit", 9.5, DataType.DOUBLE),)), DataType.TEMPLATE)

    node.hear("NBIRTH", birth(MS, 0, (pump(-3, DataType.INT32),)))
    assert [row[2:] for row in node.rows()] == [(-3, 0), (-2, 0), (9.5, 0)]
    node.hear("NDATA", Payload(MS + 1, 1, (pump(-4, 0, motor=False),)))
    assert [row[2:] for row in node.rows()] == [(-4, 0), (9.5, 0)], "a member that is not mentioned has no sample"


def test_number_without_a_type_that_may_be_negative_is_not_guessed(tmp_path: Path) -> None:
    node = Following(device_map(tmp_path, '{ name = "a", at = "m", type = "float64" }', SPARKPLUG))
    node.hear("NDATA", Payload(MS, 1, (Metric("m", -2, 0), Metric("m", 5, 0))))
    assert [row[2:] for row in node.rows()] == [(0, quality.BAD_TYPE_MISMATCH), (5, 0)]


DAMAGED = {
    "an unknown data type": number_field(4, 99) + number_field(10, 5),
    "an array with half an element": number_field(4, DataType.INT32_ARRAY) + bytes_field(16, b"\1\2\3"),
    "truth values fewer than told": number_field(4, DataType.BOOLEAN_ARRAY) + bytes_field(16, b"\xff\xff\xff\x7f\0"),
    "a data set with a short row": number_field(4, DataType.DATASET)
    + bytes_field(17, bytes_field(2, b"a") + number_field(3, 3) + bytes_field(4, b"")),
    "a data set of nonsense": number_field(4, DataType.DATASET) + bytes_field(17, b"\xff"),
    "a template of nonsense": number_field(4, DataType.TEMPLATE) + bytes_field(18, b"\xff"),
    "an extension": bytes_field(19, b"x"),
}


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED.keys())
def test_metric_costs_itself_only_when_it_is(damaged: bytes, tmp_path: Path) -> None:
    tags = '{ name = "a", at = "bad", type = "float64" },\n{ name = "b", at = "m", type = "float64" }'
    node = Following(device_map(tmp_path, tags, SPARKPLUG))
    whole = encode_payload(Payload(MS, 1, (metric("m", 1.5, DataType.DOUBLE),)))
    node.hear("NDATA", bytes_field(2, bytes_field(1, b"bad") + damaged) + whole)
    assert [(row[0], *row[2:]) for row in node.rows()] == [(0, 0, quality.BAD_TYPE_MISMATCH), (1, 1.5, 0)]


def test_nesting_deeper_than_allowed_is_not_followed(tmp_path: Path) -> None:
    inner = Metric("leaf", 1, DataType.INT8)
    for _ in range(DEEPEST + 5):
        inner = Metric("t", Template((inner,)), DataType.TEMPLATE)
    found = decode_payload(encode_payload(Payload(MS, 0, (inner, Metric("m", 1, DataType.INT8)))))
    depth, at = 0, found.metrics[0]
    while isinstance(at.value, Template):
        depth, at = depth + 1, at.value.metrics[0]
    assert depth == DEEPEST
    assert not at.known
    assert found.metrics[1].value == 1


def test_payload_of_millions_of_metrics_is_refused(tmp_path: Path) -> None:
    node = Following(device_map(tmp_path, '{ name = "a", at = "m", type = "int8" }', SPARKPLUG))
    with pytest.raises(Malformed):
        node.hear("NDATA", b"\x12\x00" * 400_000)


def test_history_is_kept_in_its_order_and_is_not_taken_for_live(tmp_path: Path) -> None:
    node = Following(device_map(tmp_path, '{ name = "a", at = "m", type = "float64" }', SPARKPLUG))
    node.hear("NBIRTH", birth(MS, 0, (metric("m", 1.0, DataType.DOUBLE),)))
    past = tuple(metric("m", float(number), DataType.DOUBLE, MS - 100 + number, historical=True) for number in range(3))
    node.hear("NDATA", Payload(MS + 1, 1, past))
    assert not node.reader.live
    node.hear("NDATA", Payload(MS + 2, 2, (metric("m", 9.0, DataType.DOUBLE, MS + 2),)))
    assert node.reader.live
    assert [(row[1] // 1000 - MS, row[2]) for row in node.rows()] == [(0, 1.0), (-100, 0.0), (-99, 1.0), (-98, 2.0), (2, 9.0)]


def aliased(number: int, seq: int, alias: int = 7) -> Payload:
    return Payload(MS + number, seq, (Metric("", number, 0, MS + number, alias=alias),))


COUNTER = '{ name = "a", at = "m", type = "int32" }'


def test_messages_under_unknown_aliases_wait_for_the_birth_in_their_order(tmp_path: Path) -> None:
    node = Following(device_map(tmp_path, COUNTER, SPARKPLUG))
    assert [node.hear("NDATA", aliased(number, number)).held for number in (1, 2, 3)] == [True] * 3
    assert node.rows() == []
    heard = node.hear("NBIRTH", birth(MS + 4, 0, (metric("m", 4, DataType.INT32, MS + 4, alias=7),)))
    assert heard.freed
    assert [row[2] for row in node.rows()] == [1, 2, 3, 4]
    assert node.reader.events() == []


def test_known_messages_do_not_overtake_one_that_waits(tmp_path: Path) -> None:
    node = Following(device_map(tmp_path, COUNTER, SPARKPLUG))
    node.hear("NBIRTH", birth(MS, 0, (metric("m", 0, DataType.INT32, alias=7),)))
    node.rows()
    assert node.hear("NDATA", aliased(1, 1, alias=8)).held
    assert node.hear("NDATA", aliased(2, 2)).held
    node.hear("NBIRTH", birth(MS + 3, 0, (metric("m", 3, DataType.INT32, MS + 3, alias=7), metric("o", 1, DataType.INT32, MS, alias=8))))
    assert [row[2] for row in node.rows()] == [2, 3]


@pytest.mark.parametrize("end", ["death", "no birth", "too many"])
def test_what_no_birth_explains_is_told_as_an_event(end: str, tmp_path: Path) -> None:
    node = Following(device_map(tmp_path, COUNTER, SPARKPLUG))
    count = MAX_HELD + 1 if end == "too many" else 3
    freed = [node.hear("NDATA", aliased(number, number % 256)).freed for number in range(count)]
    if end == "death":
        assert node.hear("NDEATH", Payload(MS, None, ())).freed
        assert [row[3] for row in node.rows()] == [quality.BAD_NO_COMMUNICATION]
    elif end == "no birth":
        assert not node.reader.give_up(HOLD_US - 1, node.columns, node.seen)
        assert node.reader.give_up(HOLD_US, node.columns, node.seen)
    else:
        assert freed == [False] * MAX_HELD + [True]
    (event,) = node.reader.events()
    assert event.kind == "device"
    assert event.detail["values"] == (MAX_HELD if end == "too many" else 3)


def test_texts_of_metrics_and_members_become_events_when_they_change(tmp_path: Path) -> None:
    path = tmp_path / "bench.toml"
    texts = "".join(
        f'[[texts]]\nname = "{name}"\nat = "{at}"\n' for name, at in (("s", "serial"), ("u", "t/uuid"), ("l", "list[1]"), ("x", "raw"))
    )
    path.write_text(
        f'device_map = "bench"\nmaker = "B"\nmodels = ["one"]\n[mqtt]\n{SPARKPLUG.replace(", ", chr(10))}\n'
        f'[[tags]]\nname = "a"\nat = "m"\ntype = "int8"\n{texts}'
    )
    node = Following(load_device_map(path))

    def told(serial: str) -> list[tuple[str, str]]:
        metrics = (
            metric("serial", serial, DataType.TEXT),
            metric("t", Template((Metric("uuid", "1-2", DataType.UUID),)), DataType.TEMPLATE),
            metric("list", ("p", "q"), DataType.STRING_ARRAY),
            metric("raw", b"\1\xff", DataType.BYTES),
        )
        node.hear("NBIRTH", birth(MS, 0, metrics))
        return [(event.source, event.message) for event in node.texts.events(0)]

    assert told("A") == [("s", "A"), ("u", "1-2"), ("l", "q"), ("x", "01ff")]
    assert told("A") == []
    assert told("B") == [("s", "B")]


SEQUENCES = {
    "in turn": ([0, 1, 2, 3], False, 0),
    "over the end": ([254, 255, 0, 1], False, 0),
    "overtaken": ([5, 7, 6, 8], False, 0),
    "a hole": ([5, 7, 8], True, 0),
    "twice": ([5, 6, 6, 7], False, 1),
    "late and twice": ([5, 6, 7, 6, 8], False, 1),
    "begun again": ([100, 0, 1, 2], True, 1),
    "left out where it is 0": ([255, None, 1], False, 0),
}


@pytest.mark.parametrize(("numbers", "gap", "repeated"), SEQUENCES.values(), ids=SEQUENCES.keys())
def test_sequence_numbers(numbers: list[int | None], gap: bool, repeated: int) -> None:
    found = Numbers()
    for number in numbers:
        found.note(number, 0)
    assert found.overdue(10_000_000) is gap
    assert not found.overdue(20_000_000)
    assert found.repeated == repeated


def test_rebirths_are_asked_for_ever_more_rarely_and_at_most_every_ten_minutes() -> None:
    rebirths = Rebirths()
    asked = [second for second in range(7200) if rebirths.ask(second * 1_000_000)]
    assert asked[:6] == [0, 5, 15, 35, 75, 155]
    pauses = [later - earlier for earlier, later in pairwise(asked)]
    assert max(pauses) == LONGEST_REBIRTH_US // 1_000_000
    rebirths.ask(20_000_000_000)
    assert rebirths.ask(20_005_000_000), "after a long quiet time it begins anew"


async def test_unknown_alias_is_not_acknowledged_before_the_birth_explained_it(tmp_path: Path, served: Served) -> None:
    the_map = device_map(tmp_path, COUNTER, SPARKPLUG)
    async with followed(the_map, served) as field:
        field.client.listen("spBv1.0/g/NCMD/pump")
        reading = asyncio.create_task(field.driver.read())
        for number in (1, 2, 3):
            await field.client.send("spBv1.0/g/NDATA/pump", encode(Payload(number, number, (Metric("", number, 0, number, alias=7),))))
        await until(lambda: bool(field.client.heard))
        assert len(waiting := set(field.tap.unanswered)) >= 3
        await field.client.send("spBv1.0/g/NBIRTH/pump", encode(birth(9, 0, (metric("m", 9, DataType.INT32, 9, alias=7),))))
        frame = await reading
        assert [(time_us // 1000, value, code) for _, time_us, value, code in samples(frame)] == [
            (1, 1, 0),
            (2, 2, 0),
            (3, 3, 0),
            (9, 9, 0),
        ]
        assert len(waiting & field.tap.unanswered) >= 3
        await make_durable(frame)
        await until(lambda: not field.tap.unanswered)
    assert field.driver.rebirths == 1


async def test_many_unknown_messages_do_not_keep_the_birth_from_arriving(tmp_path: Path, served: Served) -> None:
    """A broker has some 20 messages out unanswered: the birth behind 60 that wait for it must come all the same."""
    async with followed(device_map(tmp_path, COUNTER, SPARKPLUG), served) as field:
        reading = asyncio.create_task(field.driver.read())
        for number in range(60):
            await field.client.send("spBv1.0/g/NDATA/pump", encode(Payload(number, number, (Metric("", number, 0, number, alias=7),))))
        await field.client.send("spBv1.0/g/NBIRTH/pump", encode(birth(99, 0, (metric("m", 99, DataType.INT32, 99, alias=7),))))
        async with asyncio.timeout(10):
            frame = await reading
    assert [value for _, _, value, _ in samples(frame)] == [*range(60), 99]


async def test_primary_host_says_that_it_is_there_and_that_it_is_gone(tmp_path: Path, served: Served) -> None:
    async with followed(device_map(tmp_path, COUNTER, SPARKPLUG), served, primary_host="plant7") as field:
        field.client.listen("spBv1.0/STATE/plant7")
        states = field.client.heard
        await until(lambda: bool(states))
        online = state_of(states[-1][1])
        assert online is not None
        assert online[0]
        reading = asyncio.create_task(field.driver.read())
        await field.client.send("spBv1.0/STATE/plant7", b'{"online":false,"timestamp":%d}' % (online[1] + 5))
        await until(lambda: state_of(states[-1][1]) == (True, online[1] + 5))
        reading.cancel()
        field.tap.cut()  # the will
        await until(lambda: state_of(states[-1][1]) == (False, online[1]))
        await field.driver.close()
        await field.driver.open()
        await until(lambda: (state_of(states[-1][1]) or (False, 0))[0])
        await field.driver.close()
        await until(lambda: (state_of(states[-1][1]) or (True, 0))[0] is False)
    assert online[1] > BASE_MS


@pytest.mark.parametrize("payload", [b"OFFLINE", b"", b"{}", b'{"online":1,"timestamp":5}', b'{"online":true}', b"[" * 9999])
def test_state_that_is_none_is_passed_over(payload: bytes) -> None:
    assert state_of(payload) is None


async def test_clockless_messages_that_repeat_byte_by_byte_are_all_kept(tmp_path: Path, served: Served) -> None:
    """Sequence numbers repeat every 256 messages, and without times so do the bytes of an unchanged value."""
    count = 600
    async with followed(device_map(tmp_path, COUNTER, SPARKPLUG), served) as field:
        for number in range(count):
            payload = Payload(None, number % 256, (Metric("m", 7, DataType.INT32),))
            field.client._client.publish("spBv1.0/g/NDATA/pump", encode_payload(payload), 1)
        found: list[Any] = []
        while len(found) < count:
            async with asyncio.timeout(10):
                frame = await field.driver.read()
            found += samples(frame)
            await make_durable(frame)
    assert [(value, code) for _, _, value, code in found] == [(7, 0)] * count
    assert field.driver.duplicates == 0


async def test_second_death_of_the_same_words_is_a_second_death(tmp_path: Path, served: Served) -> None:
    death = encode(Payload(5, None, (Metric("bdSeq", 0, DataType.INT64),)))
    async with followed(device_map(tmp_path, COUNTER, SPARKPLUG), served) as field:
        for number in (1, 2):
            await field.client.send("spBv1.0/g/NBIRTH/pump", encode(birth(number, 0, (metric("m", number, DataType.INT32, number),))))
            frame = await field.driver.read()
            assert [code for *_, code in samples(frame)] == [0]
            await make_durable(frame)
            await field.client.send("spBv1.0/g/NDEATH/pump", death)
            frame = await field.driver.read()
            assert [code for *_, code in samples(frame)] == [quality.BAD_NO_COMMUNICATION]
            await make_durable(frame)
    assert field.driver.duplicates == 0


def test_new_birth_of_a_device_forgets_the_aliases_of_the_old_one(tmp_path: Path) -> None:
    node = Following(device_map(tmp_path, COUNTER, SPARKPLUG))
    node.hear("NBIRTH", birth(MS, 0, (metric("m", 1, DataType.INT32, alias=7),)))
    node.hear("NBIRTH", birth(MS, 0, (metric("m", 1, DataType.INT32, alias=8),)))
    assert node.hear("NDATA", aliased(2, 1, alias=7)).held
    assert len(node.reader._node._aliases) == 1
