"""Registers side by side: the four word orders are those of the Modbus driver, and every row is what the driver would make of it."""

import json
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.cli import main
from edge.onboarding.decode import ORDERS, ordered, parse_words, rows_of
from edge.onboarding.output import Stop
from protocols.devicemap import DeviceMap, Tag, TagType
from protocols.modbus.decode import decode, layout
from protocols.modbus.plan import plan
from protocols.modbus.settings import ModbusOptions, WordOrder


def row(words: tuple[int, ...], kind: str) -> dict[str, Any]:
    found = next(one for one in rows_of(words) if one.type == kind)
    return dict(zip(ORDERS, found.values, strict=True))


def test_float_of_two_registers_in_all_orders() -> None:
    assert row((0x4148, 0x0000), "float32")["ABCD"] == 12.5
    assert row((0x0000, 0x4148), "float32")["CDAB"] == 12.5
    assert row((0x4841, 0x0000), "float32")["BADC"] == 12.5
    assert row((0x0000, 0x4841), "float32")["DCBA"] == 12.5


def test_decimal_digits_are_read_and_what_is_none_is_left_out() -> None:
    assert row((0x1234, 0x5678), "bcd") == {"ABCD": 12345678, "CDAB": 56781234, "BADC": 34127856, "DCBA": 78563412}
    assert row((0x12AB,), "bcd")["ABCD"] is None


@settings(max_examples=60)
@given(
    st.binary(min_size=8, max_size=8),
    st.sampled_from(tuple(WordOrder)),
    st.sampled_from([kind for kind in TagType if kind.native.itemsize > 1]),
)
def test_every_order_is_that_of_the_driver(image: bytes, order: WordOrder, kind: TagType) -> None:
    count = kind.native.itemsize // 2
    words = tuple(int.from_bytes(image[2 * at : 2 * at + 2], "big") for at in range(count))
    options = ModbusOptions(word_order=order)
    device_map = DeviceMap("x", "x", ("x",), "modbus", options, (Tag("a", "holding:0", kind, scale=Decimal(1)),))
    (group,) = plan(device_map, options)
    ((values, codes),) = decode(layout(device_map, group), image[: 2 * count], b"")
    if codes is not None:  # no finite number
        return
    if count == 1:
        order = WordOrder.ABCD  # a single register is never turned round by the driver
    found = np.array([row(words, kind.value)[order]], kind.native)
    assert found.view(kind.column)[0] == values[0] if kind.native.itemsize == kind.column.itemsize else found[0] == values[0]


def test_orders_only_move_bytes() -> None:
    assert {bytes(sorted(ordered((0x0102, 0x0304, 0x0506, 0x0708), order))) for order in ORDERS} == {bytes(range(1, 9))}


@pytest.mark.parametrize(
    ("text", "decimal", "words"),
    [
        ("4148 0000", False, (0x4148, 0)),
        ("0x4148,0x0000", False, (0x4148, 0)),
        ("41480000", False, (0x4148, 0)),
        ("[16712, 0]", True, (16712, 0)),
    ],
    ids=["blanks", "prefixed", "in one", "decimal"],
)
def test_registers_are_read_however_they_are_written(text: str, decimal: bool, words: tuple[int, ...]) -> None:
    assert parse_words(text, decimal=decimal) == words


@pytest.mark.parametrize("text", ["", "hello", "12345", "70000 1 zz"], ids=["nothing", "letters", "five digits", "mixed"])
def test_what_is_no_register_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(Stop) as caught:
        parse_words(text)
    assert caught.value.code == 2
    assert "4148 0000" in caught.value.next_step


def test_command_prints_a_table_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "--raw", "4148 0000", "--type", "float32"]) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == ["type", "words", *ORDERS]
    assert line.split()[:3] == ["float32", "0..1", "12.5"]
    assert main(["decode", "--raw", "7FC0 0000", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["words"] == ["7FC0", "0000"]


def test_type_that_needs_more_registers_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "--raw", "4148", "--type", "float32"]) == 2
    assert "takes 2 registers, found 1" in capsys.readouterr().err
