"""Checks of Modbus device maps, and the read planner against the best plan there is."""

import random
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.devicemap import DeviceMap
from protocols.modbus.address import Area, Span
from protocols.modbus.plan import ModbusOptions, ModbusSettings, coalesce, describe, plan
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
    "a file without a record": ('{ name = "a", at = "file:4", type = "int16" }', "", "is not understood"),
    "file 0": ('{ name = "a", at = "file:0:1", type = "int16" }', "", "files are numbered"),
    "a record after the last": ('{ name = "a", at = "file:1:10000", type = "int16" }', "", "above 9999"),
    "a value that ends after the last record": ('{ name = "a", at = "file:1:9998", type = "float64" }', "", "ends above record 9999"),
    "bits of a quality word": ('{ name = "a", at = "holding:1", type = "int16", quality_at = "holding:2.1" }', "", "whole register"),
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


def fewest(spans: list[Span], options: ModbusOptions, limit: int | None = None) -> int:
    """Requests of the best plan, by trying every place where the last request could begin."""
    spans, limit = sorted(spans), options.max_words if limit is None else limit

    @cache
    def up_to(end: int) -> int:
        if end == 0:
            return 0
        best = end
        for begin in range(end - 1, -1, -1):
            if begin < end - 1 and spans[begin + 1].start - spans[begin].end > options.max_gap:
                break
            if spans[end - 1].end - spans[begin].start > limit:
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


SIZES = {"uint16": 1, "int16": 1, "float32": 2, "uint32": 2, "int64": 4, "float64": 4}


@pytest.mark.parametrize("seed", range(4))
def test_five_hundred_random_tags_need_no_more_requests_than_the_best_plan(seed: int, tmp_path: Path) -> None:
    """Tags of several areas, types and intervals, with quality words and exponents, in no order. Goal: at most 10 % above the optimum."""
    dice, rows, spans = random.Random(seed), [], {}
    places = dict.fromkeys(("holding", "input", "coil", "discrete"), 0)

    def take(area: str, size: int, every: str) -> str:
        places[area] += dice.choice((0, 0, 0, 1, 2, 7, 9, 40))
        start = places[area]
        places[area] += size
        spans.setdefault((every, area), set()).add(Span(Area(area), start, size))
        return f"{area}:{start}"

    for number in range(500):
        area, every = dice.choice(list(places)), dice.choice(("1s", "10s"))
        kind = "bool" if area in ("coil", "discrete") else dice.choice(list(SIZES))
        at = take(area, SIZES.get(kind, 1), every)
        row = f'name = "t{number}", at = "{at}", type = "{kind}", every = "{every}"'
        if kind == "float64" and dice.random() < 0.5:  # four registers that hold an integer, and its exponent
            row += f', form = "int64", scale_at = "{take("input", 1, every)}"'
        elif kind != "bool" and dice.random() < 0.2:
            row += f', quality_at = "{take("holding", 1, every)}"'
        rows.append(f"{{ {row} }}")
    dice.shuffle(rows)
    options = ModbusOptions(max_words=dice.randrange(20, 126), max_bits=500, max_gap=8)
    the_map = device_map(
        tmp_path, ",\n".join(rows), f"max_words = {options.max_words}, max_bits = {options.max_bits}, max_gap = {options.max_gap}"
    )
    needed = sum(len(group.requests) for group in plan(the_map))
    best = sum(fewest(sorted(of_area), options, options.most(Area(area))) for (_, area), of_area in spans.items())
    assert best <= needed <= 1.1 * best


def test_device_may_set_other_limits_than_its_map(tmp_path: Path) -> None:
    tags = ",\n".join(f'{{ name = "t{at}", at = "holding:{at}", type = "uint16" }}' for at in range(0, 100, 2))
    the_map = device_map(tmp_path, tags, 'max_words = 100, max_gap = 8, timeout = "2s", min_pause = "5ms"')
    assert len(plan(the_map)[0].requests) == 1
    settings = ModbusSettings(max_words=20, max_gap=1, timeout_us=7, min_pause_us=8)
    own = settings.over(the_map.options)
    assert [request.span.count for request in plan(the_map, own)[0].requests] == [19] * 5
    assert (own.timeout_us, own.min_pause_us) == (7, 8)
    assert ModbusSettings().over(the_map.options) is the_map.options
    assert len(plan(the_map, ModbusSettings(max_gap=0).over(the_map.options))[0].requests) == 50


def test_plan_with_its_map_names_every_request_in_the_numbers_of_the_map(tmp_path: Path) -> None:
    tags = "".join(f'{{ name = "t{at}", at = "holding:{at}", type = "float32" }},\n' for at in range(101, 217, 2))
    tags += '{ name = "a", at = "coil:8", type = "bool" }, { name = "b", at = "coil:9", type = "bool" },\n'
    tags += '{ name = "c", at = "file:4:10", type = "uint16", every = "1h" }, { name = "d", at = "file:4:12", type = "uint16", every = "1h" },\n'
    tags += '{ name = "e", at = "file:5:10", type = "uint16", every = "1h" }, { name = "f", at = "input:1", type = "uint16", every = "1h" }'
    the_map = device_map(tmp_path, tags, 'addressing = "one_based"')
    assert describe(plan(the_map), the_map).splitlines() == [
        "every 1s: 2 requests touching 116 holding registers and 2 coils for 60 tags",
        "  coil:8..9, 2 bits, 2 tags",
        "  holding:101..216, 116 words, 58 tags",
        "every 3600s: 3 requests touching 1 input registers and 4 file records for 4 tags",
        "  file:4:10..12, 3 words, 2 tags",
        "  file:5:10, 1 word, 1 tag",
        "  input:1, 1 word, 1 tag",
    ]


def test_records_are_read_within_what_an_answer_can_hold() -> None:
    spans = [Span(Area.FILE, 3 << 16 | record, 1) for record in range(300)]
    assert [request.span.count for request in coalesce(spans, ModbusOptions())] == [121, 121, 58]


def test_five_hundred_bits_are_planned_by_max_bits() -> None:
    spans = [Span(Area.COIL, 2 * number, 1) for number in range(500)]
    assert len(coalesce(spans, ModbusOptions(max_bits=100))) == 10


def test_map_type_is_what_the_driver_expects(tmp_path: Path) -> None:
    the_map: DeviceMap = device_map(tmp_path, '{ name = "a", at = "holding:1", type = "int16" }')
    assert isinstance(the_map.options, ModbusOptions)
