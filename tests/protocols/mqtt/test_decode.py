"""JSON values into columns, the guard against redeliveries."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import quality
from protocols.devicemap import TagType
from protocols.mqtt.decode import Columns, JsonReader, Malformed, Seen, SparkplugReader, convert
from protocols.mqtt.inbox import REACH, Inbox, Message
from protocols.mqtt.node import Heard
from tests.protocols.mqtt.maps import JSON, PUMP, SPARKPLUG, device, device_map

VALUES: list[tuple[Any, TagType, float, int]] = [
    (1.5, TagType.FLOAT64, 1.5, 0),
    (3, TagType.FLOAT32, 3, 0),
    (1e300, TagType.FLOAT32, 0, quality.BAD_OUT_OF_RANGE),
    (10**400, TagType.FLOAT64, 0, quality.BAD_OUT_OF_RANGE),
    (5.0, TagType.INT16, 5, 0),
    (5.5, TagType.INT16, 0, quality.BAD_TYPE_MISMATCH),
    (40_000, TagType.INT16, 0, quality.BAD_OUT_OF_RANGE),
    (-1, TagType.UINT8, 0, quality.BAD_OUT_OF_RANGE),
    (4_000_000_000, TagType.UINT32, 4_000_000_000 - 2**32, 0),
    (2**64 - 1, TagType.UINT64, -1, 0),
    (-(2**63), TagType.INT64, -(2**63), 0),
    (True, TagType.BOOL, 1, 0),
    (0, TagType.BOOL, 0, 0),
    (2, TagType.BOOL, 0, quality.BAD_OUT_OF_RANGE),
    (True, TagType.INT16, 0, quality.BAD_TYPE_MISMATCH),
    ("5", TagType.INT16, 0, quality.BAD_TYPE_MISMATCH),
    ([5], TagType.FLOAT64, 0, quality.BAD_TYPE_MISMATCH),
    (None, TagType.FLOAT64, 0, quality.BAD_SENSOR_FAILURE),
    (float("nan"), TagType.FLOAT64, 0, quality.BAD_SENSOR_FAILURE),
    (float("inf"), TagType.INT64, 0, quality.BAD_SENSOR_FAILURE),
]


@pytest.mark.parametrize(("value", "kind", "number", "code"), VALUES, ids=lambda value: repr(value)[:24])
def test_value_becomes_number_and_quality(value: Any, kind: TagType, number: float, code: int) -> None:
    assert convert(value, kind) == (number, code)
    np.array([number], kind.column)


@given(st.sampled_from([kind for kind in TagType if kind.column.kind == "i" and kind is not TagType.BOOL]), st.data())
def test_every_integer_of_a_type_survives_the_column(kind: TagType, data: st.DataObject) -> None:
    limits = np.iinfo(kind.native)
    value = data.draw(st.integers(int(limits.min), int(limits.max)))
    number, code = convert(value, kind)
    carried = np.array([number], kind.column)
    assert code == 0
    native = carried.view(kind.native) if kind.native.itemsize == kind.column.itemsize else carried.astype(kind.native)
    assert int(native[0]) == value


def read(folder: Path, message: Any, mqtt: str = JSON, tags: str = PUMP) -> list[tuple[int, int, float, int]]:
    columns = Columns()
    JsonReader(device(device_map(folder, tags, mqtt))).read(json.dumps(message).encode(), 77, columns)
    return [
        (tag, time_us, value, 0 if block.quality is None else int(block.quality[index]))
        for block in columns.blocks()
        for index, (tag, time_us, value) in enumerate(zip(block.tags.tolist(), block.times_us.tolist(), block.values.tolist(), strict=True))
    ]


def test_tag_that_is_not_mentioned_has_no_sample(tmp_path: Path) -> None:
    assert read(tmp_path, {"t": 5, "n": [0, 3]}) == [(1, 5, 3, 0)]


@pytest.mark.parametrize(
    ("word", "code"),
    [("good", 0), ("GOOD", 0), ("uncertain", quality.UNCERTAIN), ("bad", quality.BAD), (192, 0), (64, quality.UNCERTAIN), (0, quality.BAD)]
    + [(wrong, quality.BAD_DATA_ENCODING_INVALID) for wrong in ("fine", 7, None, True, [1])],
)
def test_stated_quality_is_understood_or_bad(word: Any, code: int, tmp_path: Path) -> None:
    assert read(tmp_path, {"t": 5, "p": 1.5, "q": word}) == [(0, 5, 1.5, code)]


@pytest.mark.parametrize(
    ("unit", "written", "time_us"),
    [
        ("us", 1_523_865_708_000_001, 1_523_865_708_000_001),
        ("ms", 1_523_865_708_001, 1_523_865_708_001_000),
        ("s", 1_523_865_708.25, 1_523_865_708_250_000),
        ("iso", "2018-04-16T08:01:48.000001Z", 1_523_865_708_000_001),
        ("iso", "2018-04-16T05:01:48.000001-03:00", 1_523_865_708_000_001),
    ],
)
def test_source_time_is_read_in_its_unit(unit: str, written: Any, time_us: int, tmp_path: Path) -> None:
    assert read(tmp_path, {"t": written, "n": [0, 1]}, JSON + f', time_unit = "{unit}"') == [(1, time_us, 1, 0)]


def test_time_of_arrival_serves_where_the_map_names_no_time(tmp_path: Path) -> None:
    assert read(tmp_path, {"n": [0, 1]}, 'payload = "json", topic = "t"') == [(1, 77, 1, 0)]


@pytest.mark.parametrize("written", ["2018-04-16T08:01:48", "yesterday", 5])
def test_iso_time_without_zone_is_refused(written: Any, tmp_path: Path) -> None:
    with pytest.raises(Malformed):
        read(tmp_path, {"t": written, "n": [0, 1]}, JSON + ', time_unit = "iso"')


def test_invalid_value_is_a_sensor_failure(tmp_path: Path) -> None:
    found = read(tmp_path, {"t": 5, "p": -9999.0}, tags='{ name = "p", at = "$.p", type = "float64", invalid = -9999 }')
    assert found == [(0, 5, 0.0, quality.BAD_SENSOR_FAILURE)]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_malformed(tmp_path_factory: pytest.TempPathFactory, payload: bytes) -> None:
    folder = tmp_path_factory.mktemp("any")
    for reader in (
        lambda: JsonReader(device(device_map(folder, PUMP))).read(payload, 0, Columns()),
        lambda: SparkplugReader(device(device_map(folder, '{ name = "a", at = "m", type = "int8" }', SPARKPLUG))).read(
            "spBv1.0/g/NDATA/pump", payload, 0, Columns(), Seen()
        ),
    ):
        try:
            result = reader()
        except Malformed:
            continue
        assert result is None or isinstance(result, Heard)


def message(number: int, mid: int, *, again: bool = False) -> Message:
    return Message("t", b"%d" % number, mid, 1, again, 0)


def test_redelivery_joins_the_original_until_that_is_durable() -> None:
    inbox = Inbox(stamped=False)
    assert inbox.repeated(message(1, 5), inbox.key(message(1, 5))) is None
    key = inbox.key(message(1, 5))
    inbox.taken(key)
    assert inbox.repeated(message(1, 5, again=True), inbox.key(message(1, 5, again=True))) is False
    assert inbox.durable(key) == [5]
    assert inbox.repeated(message(1, 5, again=True), inbox.key(message(1, 5, again=True))) is True
    assert inbox.durable(key) == []


def test_equal_values_without_time_are_two_messages() -> None:
    inbox = Inbox(stamped=False)
    inbox.taken(inbox.key(message(1, 5)))
    assert inbox.repeated(message(1, 6), inbox.key(message(1, 6))) is None
    assert inbox.repeated(message(1, 6, again=True), inbox.key(message(1, 6, again=True))) is None


def test_equal_bytes_with_time_are_one_message_whatever_their_number() -> None:
    inbox = Inbox(stamped=True)
    inbox.taken(inbox.key(message(1, 5)))
    assert inbox.repeated(message(1, 9), inbox.key(message(1, 9))) is False


def test_guard_reaches_as_far_as_it_says() -> None:
    inbox = Inbox(stamped=True)
    for number in range(REACH + 1):
        inbox.taken(inbox.key(message(number, 1)))
    assert inbox.repeated(message(0, 1), inbox.key(message(0, 1))) is None
    assert inbox.repeated(message(1, 1), inbox.key(message(1, 1))) is False
