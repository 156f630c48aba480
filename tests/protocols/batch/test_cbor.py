from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.batch import cbor
from protocols.batch.errors import BatchError, MalformedBatch, TooLarge

keys = st.integers(-(2**64), 2**64 - 1) | st.text(max_size=30) | st.binary(max_size=30)
leaves = keys | st.booleans() | st.none() | st.floats(allow_nan=False)
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=5), max_leaves=20)


@settings(max_examples=300, deadline=None)
@given(values)
def test_values_survive_and_another_decoder_reads_the_same(value: Any) -> None:
    data = cbor.encode(value)
    assert cbor.decode_strict(data) == value
    assert cbor2.loads(data) == value


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=40))
def test_whatever_is_accepted_is_the_one_encoding_of_its_value(data: bytes) -> None:
    try:
        value = cbor.decode_strict(data)
    except MalformedBatch:
        return
    assert cbor.encode(value) == data


@settings(max_examples=300, deadline=None)
@given(values, st.data())
def test_a_changed_byte_is_refused_or_gives_another_value_with_its_own_encoding(value: Any, choice: st.DataObject) -> None:
    data = bytearray(cbor.encode(value))
    position = choice.draw(st.integers(0, len(data) - 1))
    data[position] = choice.draw(st.integers(0, 255))
    try:
        read = cbor.decode_strict(bytes(data))
    except MalformedBatch:
        return
    assert cbor.encode(read) == bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("a201020103", id="key twice"),
        pytest.param("a2010203f504", id="keys beyond numbers and strings"),
        pytest.param("a203010102", id="keys out of order"),
        pytest.param("bf6161 01ff", id="indefinite map"),
        pytest.param("9f01ff", id="indefinite array"),
        pytest.param("7f6161ff", id="indefinite text"),
        pytest.param("1817", id="23 in two bytes"),
        pytest.param("1900ff", id="255 in three bytes"),
        pytest.param("1b00000000ffffffff", id="32 bits in nine bytes"),
        pytest.param("fa3f800000", id="1.0 as single"),
        pytest.param("fb3ff0000000000000", id="1.0 as double"),
        pytest.param("f97e01", id="NaN with a payload"),
        pytest.param("f7", id="undefined"),
        pytest.param("f818", id="simple value in two bytes"),
        pytest.param("61ff", id="text that is not UTF-8"),
        pytest.param("0000", id="trailing byte"),
        pytest.param("1c", id="reserved length"),
        pytest.param("ff", id="break alone"),
        pytest.param("", id="nothing"),
        pytest.param("5bffffffffffffffff", id="string of 2**64 bytes"),
        pytest.param("bb7fffffffffffffff", id="map of 2**63 pairs"),
    ],
)
def test_all_but_the_deterministic_encoding_is_refused(data: str) -> None:
    with pytest.raises(MalformedBatch):
        cbor.decode_strict(bytes.fromhex(data))


def test_sixteen_levels_are_read_and_seventeen_are_not() -> None:
    assert cbor.decode_strict(b"\x81" * 15 + b"\x01")
    with pytest.raises(MalformedBatch):
        cbor.decode_strict(b"\x81" * 16 + b"\x01")


def test_keys_are_sorted_by_their_bytes_and_not_by_length_first() -> None:
    assert cbor.encode({"a": 1, 1000: 2, -1: 3}).hex() == "a3" + "1903e802" + "2003" + "616101"


def test_a_sequence_is_split_and_its_limits_hold() -> None:
    items = [cbor.encode(item) for item in ([1, 2], {"a": b"x" * 50}, 7)]
    assert cbor.split_sequence(b"".join(items), 3, 100) == items
    for data, limits in ((b"".join(items), (2, 100)), (b"".join(items), (3, 40))):
        with pytest.raises(TooLarge):
            cbor.split_sequence(data, *limits)
    with pytest.raises(MalformedBatch):
        cbor.split_sequence(b"".join(items)[:-2], 3, 100)


@pytest.mark.parametrize("value", [2**64, -(2**64) - 1, {1, 2}, object()])
def test_what_the_profile_does_not_know_is_not_encoded(value: object) -> None:
    with pytest.raises(TypeError):
        cbor.encode(value)


def test_a_long_list_of_small_items_is_refused() -> None:
    data = b"\x9a\x00\x10\x00\x00" + b"\x00" * (1 << 20)
    with pytest.raises(BatchError):
        cbor.decode_strict(data)
