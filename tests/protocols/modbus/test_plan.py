"""Checks of Modbus device maps, and the read planner against the best plan there is."""

import random
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.devicemap import DeviceMap
from protocols.modbus.address import Area, Span
from protocols.modbus.plan import ModbusOptions, coalesce, describe, plan
from protocols.tomlfile import ConfigError
from tests.protocols.modbus.maps import device_map

REFUSED = {
    "an area that does not exist": ('{ name = "a", at = "register:1", type = "int16" }', "", "is not understood"),
    "an address above the last": ('{ name = "a", at = "holding:70000", type = "int16" }', "", "above 65535"),
    "a value that ends above the last": ('{ name = "a", at = "holding:65534", type = "float64" }', "", "ends above register 65535"),
    "register 0 with one-based addressing": (
        '{ name = "a", at = "holding:0", type = "int16" }',
        'addressing = "one_based"',
        "below the first",
    ),
    "a number in a coil": ('{ name = "a", at = "coil:1", type = "int16" }', "", "expected type bool"),
    "a bit of a register read as a number": ('{ name = "a", at = "holding:1.3", type = "int16" }', "", "expected type bool"),
    "a bit that does not exist": ('{ name = "a", at = "holding:1.16", type = "bool" }', "", "bits 0 to 15"),
    "values that share a register": (
        '{ name = "a", at = "holding:1", type = "int32" },\n{ name = "b", at = "holding:2", type = "int16" }',
        "",
        'tag "b": shares holding:2 with tag "a" in part',
    ),
    "one register read as two types": (
        '{ name = "a", at = "holding:1", type = "int16" },\n{ name = "b", at = "holding:1", type = "uint16" }',
        "",
        'shares holding:1 with tag "a" as another type',
    ),
    "a value on top of the source time": (
        '{ name = "a", at = "holding:3", type = "int16" }',
        'source_time = "holding:0"',
        "with source_time",
    ),
    "a quality word that is a coil": ('{ name = "a", at = "holding:1", type = "int16", quality_at = "coil:1" }', "", "quality_at"),
    "a quality word that is malformed": ('{ name = "a", at = "holding:1", type = "int16", quality_at = "1" }', "", "quality_at"),
    "a sentinel that does not fit": ('{ name = "a", at = "holding:1", type = "int16", invalid = 65536 }', "", "does not fit into int16"),
}


@pytest.mark.parametrize(("tags", "modbus", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_map_is_refused_with_a_sentence_for(tags: str, modbus: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"bench\.toml:\d+: ") as refusal:
        device_map(tmp_path, tags, modbus)
    assert sentence in str(refusal.value)


@pytest.mark.parametrize(
    "modbus", ["max_words = 126", "max_gaps = 3", 'word_order = "ABDC"', 'source_time = "coil:0"', 'timeout = "0s"', 'source_time = "x"']
)
def test_map_is_refused_for_a_wrong_option(modbus: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        device_map(tmp_path, '{ name = "a", at = "holding:1", type = "int16" }', modbus)


def test_same_register_with_same_type_may_be_read_by_two_tags(tmp_path: Path) -> None:
    the_map = device_map(
        tmp_path,
        '{ name = "a", at = "holding:1", type = "int16" },\n{ name = "b", at = "holding:1", type = "int16", scale = 0.1 },\n'
        '{ name = "c", at = "holding:2.0", type = "bool" },\n{ name = "d", at = "holding:2.1", type = "bool" }',
    )
    assert describe(plan(the_map)) == "every 1s: 1 request touching 2 holding registers for 4 tags"


def test_plan_names_requests_registers_and_tags_per_interval(tmp_path: Path) -> None:
    the_map = device_map(
        tmp_path,
        '{ name = "a", at = "holding:0", type = "float32", every = "100ms" },\n{ name = "b", at = "holding:200", type = "int16" },\n'
        '{ name = "c", at = "holding:205", type = "int16" },\n{ name = "d", at = "coil:5", type = "bool" },\n{ name = "e", at = "coil:7", type = "bool" }',
    )
    assert describe(plan(the_map)).splitlines() == [
        "every 0.1s: 1 request touching 2 holding registers for 1 tag",
        "every 1s: 2 requests touching 6 holding registers and 3 coils for 4 tags",
    ]


def test_source_time_shares_the_first_request(tmp_path: Path) -> None:
    tags = '{ name = "a", at = "holding:0", type = "int16" },\n{ name = "b", at = "holding:104", type = "int16" }'
    (group,) = plan(device_map(tmp_path, tags, 'source_time = "holding:100"'))
    assert [(request.span.start, request.span.count) for request in group.requests] == [(100, 5), (0, 1)]


def fewest(spans: list[Span], options: ModbusOptions) -> int:
    """Requests of the best plan, by trying every place where the last request could begin."""
    spans = sorted(spans)

    @cache
    def up_to(end: int) -> int:
        if end == 0:
            return 0
        best = end
        for begin in range(end - 1, -1, -1):
            if begin < end - 1 and spans[begin + 1].start - spans[begin].end > options.max_gap:
                break
            if spans[end - 1].end - spans[begin].start > options.max_words:
                break
            best = min(best, up_to(begin) + 1)
        return best

    for end in range(len(spans)):
        up_to(end)
    return up_to(len(spans))


def random_spans(seed: int, count: int) -> list[Span]:
    dice = random.Random(seed)
    spans, at = [], 0
    for _ in range(count):
        at += dice.choice((0, 0, 0, 1, 2, 5, 9, 30))
        size = dice.choice((1, 1, 2, 2, 4))
        spans.append(Span(Area.HOLDING, at, size))
        at += size
    return spans


@settings(max_examples=40, deadline=None)
@given(st.integers(), st.integers(1, 500), st.integers(4, 125), st.integers(0, 40))
def test_plan_has_the_fewest_requests_and_keeps_the_limits(seed: int, count: int, max_words: int, max_gap: int) -> None:
    spans, options = random_spans(seed, count), ModbusOptions(max_words=max_words, max_gap=max_gap)
    requests = coalesce(spans, options)
    assert len(requests) == fewest(spans, options)
    assert sorted(part for request in requests for part in request.parts) == sorted(set(spans))
    for request in requests:
        assert request.span.count <= max_words
        assert request.span.end == request.parts[-1].end
        assert all(right.start - left.end <= max_gap for left, right in zip(request.parts, request.parts[1:], strict=False))


def test_five_hundred_bits_are_planned_by_max_bits() -> None:
    spans = [Span(Area.COIL, 2 * number, 1) for number in range(500)]
    assert len(coalesce(spans, ModbusOptions(max_bits=100))) == 10


def test_map_type_is_what_the_driver_expects(tmp_path: Path) -> None:
    the_map: DeviceMap = device_map(tmp_path, '{ name = "a", at = "holding:1", type = "int16" }')
    assert isinstance(the_map.options, ModbusOptions)
