"""What a person reads is what the hub will compute: engineering values of the raw columns, by the same rule, with unit, label and quality."""

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.onboarding.output import shown
from edge.onboarding.values import readings, written_number, written_time
from protocols import quality
from protocols.devicemap import Device, DeviceMap, Tag, TagType, to_engineering
from protocols.frame import Block, Frame

TIME = 1_790_000_000_123_456


def read(tag: Tag, raw: Any, code: int = 0) -> Any:
    device = Device("well1", DeviceMap("m", "x", ("y",), "modbus", None, (Tag("other", "", TagType.BOOL), tag)), "", first_id=40)
    values = np.array([raw], tag.type.column if not isinstance(raw, np.generic) else raw.dtype)
    block = Block(np.array([41], np.uint32), np.array([TIME], np.int64), values, np.array([code], np.uint32) if code else None)
    (found,) = readings(device, Frame("well1", TIME, [block]))
    return found


@pytest.mark.parametrize(
    ("tag", "raw", "text"),
    [
        (Tag("a", "", TagType.FLOAT32, "bar"), np.float32(60.86), "60.86 bar"),
        (Tag("a", "", TagType.INT16, "degC", Decimal("0.1")), -123, "-12.3 degC"),
        (Tag("a", "", TagType.UINT16, "%", Decimal("0.5"), Decimal(-10)), 7, "-6.5 %"),
        (Tag("a", "", TagType.UINT32, "kWh"), np.uint32(4_000_000_000).view(np.int32), "4000000000 kWh"),
        (Tag("a", "", TagType.UINT64), np.uint64(2**63 + 5).view(np.int64), str(2**63 + 5)),
        (Tag("a", "", TagType.INT64), -(2**62) - 1, str(-(2**62) - 1)),
        (Tag("a", "", TagType.BOOL), 1, "true"),
        (Tag("a", "", TagType.UINT8, labels={2: "on"}), 2, "2 (on)"),
        (Tag("a", "", TagType.UINT8, labels={2: "on"}), 3, "3"),
        (Tag("a", "", TagType.FLOAT64, "Pa"), np.float64(35193791.4), "35193791 Pa"),
    ],
    ids=["float", "scaled", "offset", "uint32", "uint64", "int64", "bool", "label", "no label", "large"],
)
def test_value_is_written_with_its_unit(tag: Tag, raw: Any, text: str) -> None:
    found = read(tag, raw)
    assert (found.device, found.tag.name, found.text, found.condition) == ("well1", "a", text.replace("35193791", "35193790"), "")


def test_value_under_bad_quality_is_none() -> None:
    found = read(Tag("a", "", TagType.INT16, "bar"), 7, quality.BAD_NO_COMMUNICATION)
    assert (found.value, found.text, found.condition) == (None, "-", "bad_no_communication")
    assert found.document()["value"] is None


def test_value_under_uncertain_quality_is_shown_and_marked() -> None:
    found = read(Tag("a", "", TagType.INT16, "bar"), 7, quality.UNCERTAIN_LAST_USABLE)
    assert (found.text, found.condition) == ("7 bar", "uncertain_last_usable")


def test_polls_of_several_times_come_row_by_row() -> None:
    tags = (Tag("a", "", TagType.INT16), Tag("b", "", TagType.INT16))
    device = Device("d", DeviceMap("m", "x", ("y",), "modbus", None, tags), "")
    codes = np.array([[0, 0], [0, quality.BAD]], np.uint32)
    block = Block(device.ids, np.array([1, 2], np.int64), np.array([[10, 20], [11, 21]], np.int32), codes)
    found = [(one.tag.name, one.source_us, one.value) for one in readings(device, Frame("d", 0, [block]))]
    assert found == [("a", 1, 10), ("b", 1, 20), ("a", 2, 11), ("b", 2, None)]


@given(st.integers(-(2**15), 2**15 - 1), st.sampled_from(["0.1", "0.01", "2.5", "1", "1000"]), st.integers(-50, 50))
def test_value_is_that_of_the_hub(raw: int, scale: str, offset: int) -> None:
    tag = Tag("a", "", TagType.INT16, "", Decimal(scale), Decimal(offset))
    assert read(tag, raw).value == to_engineering(np.array([raw], np.int32), tag.type, tag.scale, tag.offset)[0]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_number_keeps_seven_digits(value: float) -> None:
    assert float(written_number(value)) == pytest.approx(value, rel=1e-6, abs=0)


def test_time_that_is_none_is_still_told() -> None:
    assert written_time(TIME) == "2026-09-21T14:13:20.123Z"
    assert written_time(2**62).endswith(" us")


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_shown(text: str) -> None:
    assert all(letter in "\n\t" or not (ord(letter) < 0x20 or 0x7F <= ord(letter) < 0xA0) for letter in shown(text))
