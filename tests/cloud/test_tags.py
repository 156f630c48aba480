"""TagMap: numbers to tags, raw columns to engineering values; Latest: what is newest."""

import json
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.telemetry.arrivals import MAX_KEYS, Arrivals, BatchKey
from cloud.telemetry.latest import Latest
from cloud.telemetry.tags import TagMap
from protocols import quality
from protocols.batch.columns import Group
from protocols.batch.errors import MalformedBatch
from protocols.devicemap import TagTable, TagType, to_engineering


def _map(*tags: tuple[int, str, str, str]) -> TagMap:
    rows = [
        {
            "id": number, "device": "d", "tag": f"t{number}", "at": "", "type": kind, "unit": "", "scale": scale, "offset": offset,
            "asset": "", "protocol": "modbus", "range": None,
        }
        for number, kind, scale, offset in tags
    ]  # fmt: skip
    table = TagTable.parse(json.dumps({"gateway": "g", "tags": rows}, sort_keys=True, separators=(",", ":")))
    return TagMap(table, {f"d.t{number}": 100 + number for number, *_ in tags})


SCALES = st.sampled_from(["1", "0.1", "0.01", "10", "2.5", "0.003", "-1", "1e-6"])
OFFSETS = st.sampled_from(["0", "-273.15", "40", "0.1"])


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(TagType)), SCALES, OFFSETS, st.lists(st.integers(-(1 << 63), (1 << 63) - 1), min_size=1, max_size=5))
def test_engineering_values_are_those_of_the_contract_to_the_bit(kind: TagType, scale: str, offset: str, bits: list[int]) -> None:
    raw = np.array(bits, np.int64).view(np.uint8)[: len(bits) * kind.column.itemsize].view(kind.column)
    table = _map((0, kind.value, scale, offset), (1, kind.value, "7", "3"))
    with np.errstate(all="ignore"):
        expected = to_engineering(raw, kind, Decimal(scale), Decimal(offset))
        found = table.engineering(np.array([0, 1]), np.stack((raw, raw), axis=1))
    assert found[:, 0].tobytes() == expected.tobytes()


def test_tags_are_found_by_their_number_also_with_holes() -> None:
    table = _map((7, "int32", "1", "0"), (3, "float64", "1", "0"), (100_000, "int32", "1", "0"))
    group = Group(np.array([100_000, 7], np.uint32), np.array([1], np.int64), np.array([[1, 2]], np.int32))
    assert table.tag_ids[table.positions(group)].tolist() == [100_100, 107]
    assert table.position_of(103) == 0
    assert table.position_of(5) is None


@pytest.mark.parametrize("numbers", [[4], [0], [200_000], [7, 8]], ids=str)
def test_a_number_outside_the_table_is_refused(numbers: list[int]) -> None:
    table = _map((7, "int32", "1", "0"), (100_000, "int32", "1", "0"))
    with pytest.raises(MalformedBatch):
        table.positions(Group(np.array(numbers, np.uint32), np.array([1], np.int64), np.ones((1, len(numbers)), np.int32)))


def test_a_column_of_another_type_is_refused() -> None:
    table = _map((0, "int32", "1", "0"))
    with pytest.raises(MalformedBatch, match="type"):
        table.positions(Group(np.array([0], np.uint32), np.array([1], np.int64), np.ones((1, 1), np.float64)))


def _update(latest: Latest, table: TagMap, times: list[int], values: list[int], codes: list[int] | None = None) -> None:
    group = Group(
        np.array([0], np.uint32),
        np.array(times, np.int64),
        np.array(values, np.int32)[:, None],
        None if codes is None else np.array(codes, np.uint32)[:, None],
    )
    latest.update(1, table, [group], [table.positions(group)])


def test_latest_is_latest_by_source_time_whatever_arrives_last() -> None:
    latest, table = Latest(), _map((0, "int32", "0.1", "0"), (1, "int32", "1", "0"))
    _update(latest, table, [10, 30, 20], [1, 3, 2])
    _update(latest, table, [5, 25], [7, 8])
    found = latest.since(1)
    assert (found.tag_ids.tolist(), found.times_us.tolist(), found.values.tolist()) == ([100], [30], [0.3])


def test_latest_bad_quality_has_no_value_and_only_changes_are_streamed() -> None:
    latest, table = Latest(), _map((0, "int32", "1", "0"))
    _update(latest, table, [10], [1])
    seen = latest.since(1)
    assert latest.since(1, seen.version).tag_ids.size == 0
    _update(latest, table, [11], [2], [quality.BAD_SENSOR_FAILURE])
    changed = latest.since(1, seen.version)
    assert np.isnan(changed.values[0])
    assert changed.quality.tolist() == [quality.BAD_SENSOR_FAILURE]
    assert latest.since(2).tag_ids.size == 0


async def test_arrivals_coalesce_for_a_listener_that_falls_behind() -> None:
    arrivals = Arrivals()
    listener = arrivals.listen()
    arrivals.publish(1, [BatchKey(1, "live", 1, 1)])
    arrivals.publish(1, [BatchKey(1, "live", 1, 2)])
    assert await listener.take() == {1: (BatchKey(1, "live", 1, 1), BatchKey(1, "live", 1, 2))}
    arrivals.publish(1, [BatchKey(1, "live", 1, at) for at in range(MAX_KEYS + 1)])
    assert await listener.take() == {1: None}
