"""Digits, scaled integers, bits and word orders of single tags, against pymodbus' conversion, struct and plain arithmetic."""

import struct
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.client import AsyncModbusTcpClient

from protocols import quality
from protocols.devicemap import DeviceMap, Tag, TagType, to_engineering
from protocols.modbus.address import words
from protocols.modbus.decode import decode, layout
from protocols.modbus.encode import Bits, Unfit, encode
from protocols.modbus.plan import plan, value_span
from protocols.modbus.settings import Look, ModbusOptions, WordOrder
from protocols.tomlfile import ConfigError
from tests.protocols.modbus.maps import device_map
from tests.protocols.modbus.test_decode import FORMATS, a_number, decoded, on_the_wire

THEIRS = AsyncModbusTcpClient.DATATYPE
PYMODBUS = {
    TagType.INT16: THEIRS.INT16,
    TagType.UINT16: THEIRS.UINT16,
    TagType.INT32: THEIRS.INT32,
    TagType.UINT32: THEIRS.UINT32,
    TagType.INT64: THEIRS.INT64,
    TagType.UINT64: THEIRS.UINT64,
    TagType.FLOAT32: THEIRS.FLOAT32,
    TagType.FLOAT64: THEIRS.FLOAT64,
}


def a_map(*tags: Tag, order: WordOrder = WordOrder.ABCD) -> DeviceMap:
    return DeviceMap("m", "m", ("m",), "modbus", ModbusOptions(word_order=order), tags)


def native(the_map: DeviceMap, registers: list[int]) -> tuple[dict[str, Any], dict[str, int]]:
    """Values as numbers of the tags' own types, and qualities."""
    values, codes = decoded(the_map, registers)
    for tag in the_map.tags:
        if tag.type in (TagType.UINT32, TagType.UINT64):
            values[tag.name] %= 1 << 8 * tag.type.native.itemsize
    return values, codes


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(list(PYMODBUS)), st.sampled_from(["big", "little"]))
def test_values_are_those_of_pymodbus(data: st.DataObject, kind: TagType, word_order: Any) -> None:
    number = data.draw(a_number(kind))
    registers = AsyncModbusTcpClient.convert_to_registers(number, PYMODBUS[kind], word_order=word_order)
    order = WordOrder.ABCD if word_order == "big" else WordOrder.CDAB
    values, codes = native(a_map(Tag("a", "holding:0", kind), order=order), registers)
    assert (values["a"], codes["a"]) == (AsyncModbusTcpClient.convert_from_registers(registers, PYMODBUS[kind], word_order=word_order), 0)


@settings(max_examples=100, deadline=None)
@given(
    st.data(),
    st.sampled_from(WordOrder),
    st.lists(st.tuples(st.sampled_from(list(FORMATS)), st.sampled_from(WordOrder)), min_size=1, max_size=20),
)
def test_each_tag_may_have_its_own_word_order(data: st.DataObject, of_map: WordOrder, rows: list[tuple[TagType, WordOrder]]) -> None:
    tags, image, expected, at = [], b"", {}, 0
    for number, (kind, order) in enumerate(rows):
        tags.append(Tag(f"t{number}", f"holding:{at}", kind, extra=Look(word_order=order)))
        expected[f"t{number}"] = data.draw(a_number(kind))
        image += on_the_wire(struct.pack(">" + FORMATS[kind], expected[f"t{number}"]), order)
        at += words(kind)
    assert native(a_map(*tags, order=of_map), list(struct.unpack(f">{at}H", image)))[0] == expected


BCD = {TagType.UINT16: 4, TagType.UINT32: 8, TagType.UINT64: 16}


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from(list(BCD)), st.sampled_from(WordOrder))
def test_digits_are_read_as_they_are_written(data: st.DataObject, kind: TagType, order: WordOrder) -> None:
    number = data.draw(st.integers(0, 10 ** BCD[kind] - 1))
    image = on_the_wire(bytes.fromhex(str(number).zfill(BCD[kind])), order)
    tag = Tag("a", "holding:0", kind, extra=Look(bcd=True))
    values, codes = native(a_map(tag, order=order), list(struct.unpack(f">{len(image) // 2}H", image)))
    assert (values, codes) == ({"a": number}, {"a": quality.GOOD})


@pytest.mark.parametrize("registers", [[0xA000, 0], [0, 0x000F], [0xFFFF, 0xFFFF]])
def test_digit_above_nine_is_no_number(registers: list[int]) -> None:
    tags = [Tag("a", "holding:0", TagType.UINT32, extra=Look(bcd=True)), Tag("b", "holding:2", TagType.UINT16, extra=Look(bcd=True))]
    values, codes = native(a_map(*tags), [*registers, 0x1234])
    assert values == {"a": 0, "b": 1234}
    assert codes == {"a": quality.BAD_DATA_ENCODING_INVALID, "b": quality.GOOD}


WHOLE = [TagType.INT16, TagType.UINT16, TagType.INT32, TagType.UINT32, TagType.INT64, TagType.UINT64]


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(WHOLE), st.integers(-10, 10))
def test_scaled_integer_is_the_nearest_float_of_the_exact_decimal(data: st.DataObject, form: TagType, exponent: int) -> None:
    number = data.draw(a_number(form).filter(lambda number: abs(number) < 2**53))
    tag = Tag("a", "holding:1", TagType.FLOAT64, extra=Look(form=form, scale_at="holding:0"))
    image = struct.pack(">h" + FORMATS[form], exponent, number)
    values, codes = native(a_map(tag), list(struct.unpack(f">{len(image) // 2}H", image)))
    assert codes["a"] == quality.GOOD
    assert values["a"] == float(Decimal(number).scaleb(exponent))


EXPONENTS = {0x8000: quality.BAD_SENSOR_FAILURE, 11: quality.BAD_DATA_ENCODING_INVALID, 0xFFF5: quality.BAD_DATA_ENCODING_INVALID}


@pytest.mark.parametrize(("word", "code"), EXPONENTS.items())
def test_exponent_that_is_none_costs_the_tags_it_scales(word: int, code: int) -> None:
    scaled = Look(form=TagType.INT16, scale_at="holding:1")
    tags = [Tag("a", "holding:0", TagType.FLOAT64, extra=scaled), Tag("b", "holding:2", TagType.FLOAT64)]
    values, codes = native(a_map(*tags), [77, word, *struct.unpack(">4H", struct.pack(">d", 2.5))])
    assert (values, codes) == ({"a": 0.0, "b": 2.5}, {"a": code, "b": quality.GOOD})


# SunSpec Information Model: what a point holds that a device does not have.
NOT_IMPLEMENTED = {
    "int16": [0x8000],
    "uint16": [0xFFFF],
    "int32": [0x8000, 0],
    "uint32": [0xFFFF, 0xFFFF],
    "int64": [0x8000, 0, 0, 0],
    "uint64": [0xFFFF] * 4,
}


@pytest.mark.parametrize(("form", "registers"), NOT_IMPLEMENTED.items(), ids=NOT_IMPLEMENTED.keys())
def test_sunspec_point_that_is_not_implemented_is_a_sensor_failure(form: str, registers: list[int], tmp_path: Path) -> None:
    invalid = int.from_bytes(b"".join(word.to_bytes(2, "big") for word in registers), "big", signed=form.startswith("i"))
    tags = f'{{ name = "a", at = "holding:1", type = "float64", form = "{form}", scale_at = "holding:0", invalid = {invalid} }}'
    the_map = device_map(tmp_path, tags)
    assert native(the_map, [0xFFFF, *registers])[1] == {"a": quality.BAD_SENSOR_FAILURE}
    assert native(the_map, [0xFFFF, *[0] * (len(registers) - 1), 5]) == ({"a": 0.5}, {"a": quality.GOOD})


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 0xFFFF), st.integers(0, 14), st.data(), st.sampled_from([TagType.UINT16, TagType.INT16, TagType.INT32]))
def test_range_of_bits_is_a_number(word: int, low: int, data: st.DataObject, kind: TagType) -> None:
    high = data.draw(st.integers(low + 1, 15))
    text = f"{word:016b}"[15 - high : 16 - low]
    expected = int(text, 2) - (int(text[0]) << len(text) if kind.native.kind == "i" else 0)
    assert native(a_map(Tag("a", f"holding:0.{low}-{high}", kind)), [word])[0] == {"a": expected}


def test_counter_of_64_bits_is_exact_up_to_its_roll_over() -> None:
    tag = Tag("a", "holding:0", TagType.UINT64, counter=True, rollover=2**64)
    for number in (2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 0):
        assert native(a_map(tag), list(struct.unpack(">4H", number.to_bytes(8, "big"))))[0] == {"a": number}


def test_quality_word_and_looks_stand_side_by_side() -> None:
    tags = [
        Tag("a", "holding:0", TagType.UINT16, extra=Look(bcd=True), quality_at="holding:9"),
        Tag("b", "holding:1", TagType.INT32),
        Tag("c", "holding:3.0-3", TagType.UINT8, quality_at="holding:8"),
    ]
    values, codes = native(a_map(*tags), [0x0042, 0, 7, 0xFFF5, 0, 0, 0, 0, 2, 1])
    assert values == {"a": 42, "b": 7, "c": 5}
    assert codes == {"a": quality.UNCERTAIN_LAST_USABLE, "b": quality.GOOD, "c": quality.BAD_SENSOR_FAILURE}


REFUSED = {
    "digits as a signed type": ('type = "int16", form = "bcd"', "bcd is carried as"),
    "digits with an exponent": ('type = "uint16", form = "bcd", scale_at = "holding:9"', "without scale_at"),
    "an exponent without a form": ('type = "float64", scale_at = "holding:9"', "go together"),
    "a form without an exponent": ('type = "float64", form = "int16"', "go together"),
    "an exponent for an integer": ('type = "int32", form = "int16", scale_at = "holding:9"', "carried as float64"),
    "an exponent in a coil": ('type = "float64", form = "int16", scale_at = "coil:9"', "scale_at"),
    "an exponent that is the value": ('type = "float64", form = "uint16", scale_at = "holding:0"', "as another type"),
    "a float as form": ('type = "float64", form = "float32", scale_at = "holding:9"', "expected one of bcd"),
    "an unknown word order": ('type = "int32", word_order = "ABDC"', "expected one of ABCD"),
    "a sentinel outside its form": ('type = "float64", form = "int16", scale_at = "holding:9", invalid = 99999', "does not fit into int16"),
}


@pytest.mark.parametrize(("keys", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_tag_is_refused_for(keys: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"bench\.toml:\d+: ") as refusal:
        device_map(tmp_path, f'{{ name = "a", at = "holding:0", {keys} }}')
    assert sentence in str(refusal.value)


BITS_REFUSED = {
    "holding:0.7-4": ("uint8", "bits 0 to 15"),
    "holding:0.4-16": ("uint8", "bits 0 to 15"),
    "coil:0.1-2": ("uint8", "bits 0 to 15"),
    "holding:0.0-8": ("uint8", "9 bits"),
    "holding:0.0-3": ("float32", "expected an integer type"),
    "holding:0.1-3": ("bool", "expected an integer type"),
}


@pytest.mark.parametrize(("at", "kind_and_sentence"), BITS_REFUSED.items(), ids=BITS_REFUSED.keys())
def test_range_of_bits_is_refused(at: str, kind_and_sentence: tuple[str, str], tmp_path: Path) -> None:
    kind, sentence = kind_and_sentence
    with pytest.raises(ConfigError) as refusal:
        device_map(tmp_path, f'{{ name = "a", at = "{at}", type = "{kind}" }}')
    assert sentence in str(refusal.value)


def raw_numbers(tag: Tag) -> st.SearchStrategy[Any]:
    look: Look = tag.extra
    if look.bcd:
        return st.integers(0, 10 ** BCD[tag.type] - 1)
    return a_number(tag.type)


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(list(FORMATS)), st.sampled_from(WordOrder), st.booleans())
def test_what_is_written_reads_back_the_same(data: st.DataObject, kind: TagType, order: WordOrder, bcd: bool) -> None:
    tag = Tag("a", "holding:0", kind, extra=Look(bcd=bcd and kind in BCD, word_order=order))
    number = data.draw(raw_numbers(tag))
    wanted = encode(tag, value_span(tag, ModbusOptions())[0], ModbusOptions(), number, None)
    assert isinstance(wanted, bytes)
    assert native(a_map(tag), list(struct.unpack(f">{len(wanted) // 2}H", wanted))) == ({"a": number}, {"a": 0})


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 0xFFFF), st.integers(0, 15), st.data())
def test_bits_are_written_without_touching_their_neighbours(word: int, low: int, data: st.DataObject) -> None:
    high = data.draw(st.integers(low + 1, 15)) if low < 15 else 15
    kind, at = (TagType.UINT16, f"holding:0.{low}-{high}") if high > low else (TagType.BOOL, f"holding:0.{low}")
    tag = Tag("a", at, kind)
    number = data.draw(st.integers(0, (1 << high - low + 1) - 1))
    wanted = encode(tag, value_span(tag, ModbusOptions())[0], ModbusOptions(), number, None)
    assert isinstance(wanted, Bits)
    after = word & ~wanted.mask | wanted.put
    assert native(a_map(tag), [after])[0] == {"a": number}
    assert (after ^ word) & ~wanted.mask == 0


UNFIT = [
    (Tag("a", "holding:0", TagType.UINT16), 65536, None),
    (Tag("a", "holding:0", TagType.INT16), 1.5, None),
    (Tag("a", "holding:0", TagType.INT16), float("nan"), None),
    (Tag("a", "holding:0", TagType.FLOAT32), 1e39, None),
    (Tag("a", "holding:0", TagType.FLOAT64), float("inf"), None),
    (Tag("a", "holding:0", TagType.UINT16, extra=Look(bcd=True)), 10000, None),
    (Tag("a", "holding:0.4-6", TagType.UINT16), 8, None),
    (Tag("a", "holding:0.4-6", TagType.INT16), 4, None),
    (Tag("a", "coil:0", TagType.BOOL), 2, None),
    (Tag("a", "holding:0", TagType.FLOAT64, extra=Look(TagType.INT16, scale_at="holding:1")), 12.34, -1),
    (Tag("a", "holding:0", TagType.FLOAT64, extra=Look(TagType.INT16, scale_at="holding:1")), 4000.0, -1),
    (Tag("a", "holding:0", TagType.FLOAT64, extra=Look(TagType.INT16, scale_at="holding:1")), 1.0, -0x8000),
]


@pytest.mark.parametrize(("tag", "raw", "exponent"), UNFIT)
def test_number_that_the_registers_cannot_hold_is_not_rounded(tag: Tag, raw: float, exponent: int | None) -> None:
    with pytest.raises(Unfit):
        encode(tag, value_span(tag, ModbusOptions())[0], ModbusOptions(), raw, exponent)


def test_scaled_values_are_engineering_values_as_they_are() -> None:
    tag = Tag("a", "holding:0", TagType.FLOAT64, extra=Look(TagType.UINT16, scale_at="holding:1"))
    the_map = a_map(tag)
    where = layout(the_map, plan(the_map)[0])
    ((values, _),) = decode(where, struct.pack(">Hh", 2305, -1), b"")
    assert to_engineering(values, tag.type, tag.scale, tag.offset).tolist() == [230.5]
    assert np.array_equal(where.columns[0].tags, [0])


@st.composite
def a_row(draw: st.DrawFn, number: int, order_of_map: WordOrder) -> tuple[str, dict[str, Any], bytes, Any, int]:
    """Keys of a tag without its place, its registers, and by plain arithmetic its value and quality."""
    how = draw(st.sampled_from(("plain", "digits", "scaled", "bits")))
    order = draw(st.sampled_from((None, *WordOrder)))
    on = order or order_of_map
    if how == "digits":
        kind = draw(st.sampled_from(list(BCD)))
        text = draw(st.text("0123456789abcdef" if draw(st.booleans()) else "0123456789", min_size=BCD[kind], max_size=BCD[kind]))
        good = text.isdecimal()
        code = quality.GOOD if good else quality.BAD_DATA_ENCODING_INVALID
        return (
            how,
            {"type": kind, "extra": Look(bcd=True, word_order=order)},
            on_the_wire(bytes.fromhex(text), on),
            int(text) if good else 0,
            code,
        )
    if how == "scaled":
        form, exponent = draw(st.sampled_from(WHOLE)), draw(st.sampled_from((-10, -3, -1, 0, 2, 10, 11, -0x8000)))
        value = draw(a_number(form).filter(lambda value: abs(value) < 2**53))
        invalid = draw(st.sampled_from((None, value)))
        code = {11: quality.BAD_DATA_ENCODING_INVALID, -0x8000: quality.BAD_SENSOR_FAILURE}.get(exponent, quality.GOOD)
        code = quality.BAD_SENSOR_FAILURE if invalid is not None else code
        text = struct.pack(">h", exponent) + on_the_wire(struct.pack(">" + FORMATS[form], value), on)
        keys = {"type": TagType.FLOAT64, "invalid": invalid, "extra": Look(form, scale_at="?", word_order=order)}
        return how, keys, text, 0.0 if code else float(Decimal(value).scaleb(exponent)), code
    if how == "bits":
        word = draw(st.integers(0, 0xFFFF))
        return how, {"type": TagType.UINT16}, word.to_bytes(2, "big"), word >> 3 & 0x3F, quality.GOOD
    kind = draw(st.sampled_from(list(FORMATS)))
    value = draw(a_number(kind))
    return (
        how,
        {"type": kind, "extra": Look(word_order=order)},
        on_the_wire(struct.pack(">" + FORMATS[kind], value), on),
        value,
        quality.GOOD,
    )


@settings(max_examples=120, deadline=None)
@given(st.data(), st.sampled_from(WordOrder), st.integers(1, 40), st.randoms())
def test_looks_of_all_kinds_in_one_map_are_told_apart(data: st.DataObject, order: WordOrder, count: int, dice: Any) -> None:
    tags, image, expected = [], b"", {}
    for number in range(count):
        how, keys, text, value, code = data.draw(a_row(number, order))
        at = len(image) // 2 + (how == "scaled")
        if how == "scaled":
            keys["extra"] = Look(keys["extra"].form, scale_at=f"holding:{at - 1}", word_order=keys["extra"].word_order)
        tags.append(Tag(f"t{number}", f"holding:{at}.3-8" if how == "bits" else f"holding:{at}", **keys))
        image += text
        expected[f"t{number}"] = (value, code)
    dice.shuffle(tags)
    values, codes = native(a_map(*tags, order=order), list(struct.unpack(f">{len(image) // 2}H", image)))
    assert {name: (values[name], codes[name]) for name in values} == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=60), st.sampled_from([(TagType.INT8, "b"), (TagType.UINT8, "B")]))
def test_small_types_are_the_low_bytes(registers: list[int], kind_and_format: tuple[TagType, str]) -> None:
    kind, how = kind_and_format
    tags = [Tag(f"t{at}", f"holding:{at}", kind) for at in range(len(registers))]
    expected = {f"t{at}": struct.unpack(how, bytes([word & 0xFF]))[0] for at, word in enumerate(registers)}
    assert native(a_map(*tags), registers)[0] == expected


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=1, max_size=15), st.integers(0, 0xFFFF), st.data())
def test_bits_of_coils_and_of_registers_are_told_apart(coils: bytes, word: int, data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, 8 * len(coils) - 1), min_size=1, unique=True))
    tags = [Tag(f"c{at}", f"coil:{at}", TagType.BOOL) for at in {0, *chosen}] + [
        Tag(f"r{bit}", f"input:9.{bit}", TagType.BOOL) for bit in range(16)
    ]
    the_map = DeviceMap("m", "m", ("m",), "modbus", ModbusOptions(max_gap=125), tuple(tags))
    last = max(chosen)
    image = coils[: (last + 8) // 8]
    values, _ = decoded(the_map, [word], image)
    assert values == {
        tag.name: (image[int(tag.name[1:]) // 8] >> int(tag.name[1:]) % 8 if tag.name[0] == "c" else word >> int(tag.name[1:])) & 1
        for tag in tags
    }
