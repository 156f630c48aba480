"""Decoding of register images against struct, for every type in every word order."""

import math
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import quality
from protocols.devicemap import DeviceMap, Tag, TagType
from protocols.modbus.address import words
from protocols.modbus.decode import decode, layout
from protocols.modbus.plan import ModbusOptions, WordOrder, plan
from tests.protocols.modbus.maps import device_map

FORMATS = {
    TagType.INT16: "h",
    TagType.UINT16: "H",
    TagType.INT32: "i",
    TagType.UINT32: "I",
    TagType.INT64: "q",
    TagType.UINT64: "Q",
    TagType.FLOAT32: "f",
    TagType.FLOAT64: "d",
}
# Letters of each order, as docs of devices write them, for two and for four registers.
LETTERS = {"ABCD": ("ABCD", "ABCDEFGH"), "CDAB": ("CDAB", "GHEFCDAB"), "BADC": ("BADC", "BADCFEHG"), "DCBA": ("DCBA", "HGFEDCBA")}


def on_the_wire(text: bytes, order: WordOrder) -> bytes:
    if len(text) == 2:
        return text
    letters = LETTERS[order][0 if len(text) == 4 else 1]
    return bytes(text["ABCDEFGH".index(letter)] for letter in letters)


def a_number(kind: TagType) -> st.SearchStrategy[Any]:
    if kind is TagType.FLOAT32:
        return st.floats(width=32, allow_nan=False, allow_infinity=False)
    if kind is TagType.FLOAT64:
        return st.floats(allow_nan=False, allow_infinity=False)
    limits = np.iinfo(kind.native)
    return st.integers(int(limits.min), int(limits.max))


typed_values = st.lists(
    st.sampled_from(list(FORMATS)).flatmap(lambda kind: st.tuples(st.just(kind), a_number(kind))), min_size=1, max_size=60
)


@settings(max_examples=150, deadline=None)
@given(typed_values, st.sampled_from(WordOrder))
def test_decoded_values_are_those_of_struct(rows: list[tuple[TagType, Any]], order: WordOrder) -> None:
    tags, image, at = [], b"", 0
    for number, (kind, value) in enumerate(rows):
        tags.append(Tag(f"t{number}", f"holding:{at}", kind))
        image += on_the_wire(struct.pack(">" + FORMATS[kind], value), order)
        at += words(kind)
    the_map = DeviceMap("m", "m", ("m",), "modbus", ModbusOptions(word_order=order), tuple(tags))
    (group,) = plan(the_map)
    where = layout(the_map, group)
    seen = 0
    for column, (values, codes) in zip(where.columns, decode(where, image, b""), strict=True):
        assert codes is None
        assert values.dtype == column.dtype
        for tag, value in zip(column.tags.tolist(), values, strict=True):
            kind, expected = rows[tag]
            found = value if values.dtype.kind == "f" else np.array([value], values.dtype).view(f"u{values.dtype.itemsize}")[0]
            wanted = expected if values.dtype.kind == "f" else expected % (1 << 8 * values.dtype.itemsize)
            assert found == wanted, (kind, order)
            seen += 1
    assert seen == len(rows)


def decoded(the_map: DeviceMap, words: list[int], bits: bytes = b"", faults: Any = None) -> tuple[dict[str, Any], dict[str, int]]:
    (group,) = plan(the_map)
    where = layout(the_map, group)
    values: dict[str, Any] = {}
    codes: dict[str, int] = {}
    image = np.array(words, ">u2").tobytes()
    for column, (numbers, marks) in zip(where.columns, decode(where, image, bits, faults), strict=True):
        names = [the_map.tags[index].name for index in column.tags]
        values |= dict(zip(names, numbers.tolist(), strict=True))
        codes |= dict(zip(names, [0] * len(names) if marks is None else marks.tolist(), strict=True))
    return values, codes


def test_small_types_stand_in_the_low_byte(tmp_path: Path) -> None:
    the_map = device_map(tmp_path, '{ name = "a", at = "holding:0", type = "int8" },\n{ name = "b", at = "holding:1", type = "uint8" }')
    assert decoded(the_map, [0x00FE, 0x12FE])[0] == {"a": -2, "b": 254}


def test_bits_come_from_coils_and_from_registers(tmp_path: Path) -> None:
    the_map = device_map(
        tmp_path,
        '{ name = "run", at = "coil:3", type = "bool" },\n{ name = "trip", at = "coil:12", type = "bool" },\n'
        '{ name = "high", at = "holding:0.3", type = "bool" },\n{ name = "low", at = "holding:0.0", type = "bool" },\n{ name = "any", at = "holding:1", type = "bool" }',
        "max_gap = 20",
    )
    values, _ = decoded(the_map, [0b1000, 0x0100], bytes([0b0000_0001, 0b0000_0010]))
    assert values == {"run": 1, "trip": 1, "high": 1, "low": 0, "any": 1}


@pytest.mark.parametrize(
    ("word", "code"), [(0, quality.GOOD), (1, quality.UNCERTAIN_LAST_USABLE), (2, quality.BAD_SENSOR_FAILURE), (7, 0x80380000)]
)
def test_quality_word_becomes_quality(word: int, code: int, tmp_path: Path) -> None:
    the_map = device_map(tmp_path, '{ name = "a", at = "holding:0", type = "int16", quality_at = "holding:1" }')
    assert decoded(the_map, [5, word]) == ({"a": 5}, {"a": code})


@pytest.mark.parametrize(
    ("kind", "invalid", "words"),
    [
        ("int16", -32768, [0x8000]),
        ("int16", 0x8000, [0x8000]),
        ("uint16", 0xFFFF, [0xFFFF]),
        ("uint32", 0xFFFFFFFF, [0xFFFF, 0xFFFF]),
        ("int32", 0x80000000, [0x8000, 0]),
        ("uint64", 0xFFFFFFFFFFFFFFFF, [0xFFFF] * 4),
        ("uint8", 255, [0xFF]),
        ("float32", -9999, [0xC61C, 0x3C00]),
    ],
)
def test_invalid_value_is_a_sensor_failure(kind: str, invalid: int, words: list[int], tmp_path: Path) -> None:
    number = invalid if invalid < 2**63 else f"{invalid}"
    the_map = device_map(tmp_path, f'{{ name = "a", at = "holding:0", type = "{kind}", invalid = {number} }}')
    assert decoded(the_map, words)[1] == {"a": quality.BAD_SENSOR_FAILURE}
    assert decoded(the_map, [0] * len(words))[1] == {"a": quality.GOOD}


@pytest.mark.parametrize("words", [[0x7FC0, 0], [0x7F80, 0], [0xFF80, 0]], ids=["NaN", "infinity", "minus infinity"])
def test_float_that_is_no_finite_number_is_a_sensor_failure(words: list[int], tmp_path: Path) -> None:
    the_map = device_map(
        tmp_path, '{ name = "a", at = "holding:0", type = "float32" },\n{ name = "b", at = "holding:2", type = "float32" }'
    )
    values, codes = decoded(the_map, [*words, *struct.unpack(">HH", struct.pack(">f", 1.5))])
    assert values == {"a": 0.0, "b": 1.5}
    assert codes == {"a": quality.BAD_SENSOR_FAILURE, "b": quality.GOOD}


def test_refused_registers_outrank_what_stands_in_the_image(tmp_path: Path) -> None:
    the_map = device_map(tmp_path, '{ name = "a", at = "holding:0", type = "int16" },\n{ name = "b", at = "holding:1", type = "int16" }')
    _, codes = decoded(the_map, [1, 0], faults=np.array([0, quality.BAD_CONFIGURATION], np.uint32))
    assert codes == {"a": quality.GOOD, "b": quality.BAD_CONFIGURATION}


@pytest.mark.parametrize("order", list(WordOrder))
def test_source_time_is_read_in_the_order_of_the_map(order: WordOrder, tmp_path: Path) -> None:
    the_map = device_map(
        tmp_path, '{ name = "a", at = "holding:13", type = "int16" }', f'source_time = "holding:14", word_order = "{order}"'
    )
    time_us = 1_523_865_708_123_456
    alone = on_the_wire(time_us.to_bytes(8, "big"), order)
    where = layout(the_map, plan(the_map)[0])
    assert where.time_us(b"\x12\x34" + alone) == time_us
    assert where.time_alone_us(alone) == time_us


def test_quality_of_several_types_is_kept_apart(tmp_path: Path) -> None:
    the_map = device_map(
        tmp_path,
        '{ name = "f", at = "holding:0", type = "float32", quality_at = "holding:9" },\n{ name = "i", at = "holding:2", type = "int32", quality_at = "holding:8" }',
    )
    assert decoded(the_map, [0, 0, 0, 1, 0, 0, 0, 0, 2, 0]) == ({"f": 0.0, "i": 1}, {"f": quality.GOOD, "i": quality.BAD_SENSOR_FAILURE})


def test_layout_does_not_depend_on_the_order_of_tags(tmp_path: Path) -> None:
    one = device_map(tmp_path, '{ name = "a", at = "holding:0", type = "int32" },\n{ name = "b", at = "holding:2", type = "float64" }')
    other = replace(one, tags=one.tags[::-1])
    words = [0, 7, *struct.unpack(">HHHH", struct.pack(">d", math.pi))]
    assert decoded(one, words) == decoded(other, words)
