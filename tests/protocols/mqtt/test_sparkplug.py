"""Sparkplug B payloads against hand-made bytes and round trips, and the state of a node."""

import gzip
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.mqtt.datatypes import DataType
from protocols.mqtt.node import REORDER_US, Kind, Node, birth
from protocols.mqtt.protobuf import WireError, bytes_field, fields, varint
from protocols.mqtt.sparkplug import COMPRESSED, MAX_INFLATED, Metric, Payload, decode_payload, encode_payload

I64 = st.integers(-(2**63), 2**63 - 1)
U64 = st.integers(0, 2**64 - 1)


def ints(kind: DataType, bits: int, *, signed: bool) -> st.SearchStrategy[tuple[DataType, int]]:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return st.tuples(st.just(kind), st.integers(low, high))


typed = st.one_of(
    *(
        ints(kind, bits, signed=True)
        for kind, bits in zip((DataType.INT8, DataType.INT16, DataType.INT32, DataType.INT64), (8, 16, 32, 64), strict=True)
    ),
    *(
        ints(kind, bits, signed=False)
        for kind, bits in zip(
            (DataType.UINT8, DataType.UINT16, DataType.UINT32, DataType.UINT64, DataType.DATETIME), (8, 16, 32, 64, 64), strict=True
        )
    ),
    st.tuples(st.just(DataType.FLOAT), st.floats(width=32, allow_nan=False)),
    st.tuples(st.just(DataType.DOUBLE), st.floats(allow_nan=False)),
    st.tuples(st.just(DataType.BOOLEAN), st.booleans()),
    st.tuples(st.just(DataType.STRING), st.text()),
)
metrics = st.builds(
    lambda name, pair, stamp, alias, historical, code: Metric(name, pair[1], pair[0], stamp, alias, historical, quality=code),
    st.text(min_size=1),
    typed,
    st.none() | U64,
    st.none() | U64,
    st.booleans(),
    st.none() | st.sampled_from([0, 192, 500]),
)


@settings(deadline=None)
@given(st.builds(Payload, st.none() | U64, st.none() | st.integers(0, 255), st.lists(metrics, max_size=6).map(tuple)))
def test_payload_survives_the_wire(payload: Payload) -> None:
    assert decode_payload(encode_payload(payload)) == payload


def test_bytes_are_those_of_the_specification() -> None:
    """Payload{timestamp=5, metric{name="a", alias=1, datatype=Double, double_value=1.0}, seq=2}, by hand."""
    metric = b"\x0a\x01a\x10\x01\x20\x0a\x69" + struct.pack("<d", 1.0)
    expected = b"\x08\x05\x12" + bytes([len(metric)]) + metric + b"\x18\x02"
    assert encode_payload(Payload(5, 2, (Metric("a", 1.0, DataType.DOUBLE, None, 1),))) == expected


def test_negative_small_integer_may_come_as_32_or_64_bits() -> None:
    for text in (b"\x50" + varint(0xFFFFFFFE), b"\x58" + varint(2**64 - 2), b"\x50\xfe\x01"):
        metric = b"\x20\x01" + text
        (found,) = decode_payload(b"\x12" + varint(len(metric)) + metric).metrics
        assert found.value == -2


@pytest.mark.parametrize(
    "data", [b"\x08", b"\x12\x05a", b"\x0b", b"\x00\x00", b"\xff" * 11, b"\x09\x00", b"\x12\x03\x0a\x01\xff", b"\x0a\x01a"]
)
def test_bytes_that_are_no_payload_are_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        decode_payload(data)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=120))
def test_any_bytes_give_a_payload_or_a_wire_error(data: bytes) -> None:
    try:
        decode_payload(data)
        list(fields(data))
    except WireError:
        pass


def data(seq: int, *aliases: int) -> Payload:
    return Payload(1, seq, tuple(Metric("", 7, 0, 1, alias=alias) for alias in aliases))


BIRTH = birth(1, 3, (Metric("a", 1, DataType.INT32, 1, alias=10),))


def test_sequence_wraps_from_255_to_0_without_a_gap() -> None:
    node = Node()
    node.hear(Kind.NBIRTH, "", BIRTH)
    assert not any(node.hear(Kind.NDATA, "", data(number % 256, 10)).rebirth for number in range(1, 600))


def test_gap_is_noticed_on_the_messages_of_other_devices_too() -> None:
    node = Node()
    node.hear(Kind.NBIRTH, "", BIRTH)
    assert not node.hear(Kind.DDATA, "other", data(1)).rebirth
    assert not node.hear(Kind.DDATA, "other", data(3), 1).rebirth, "messages may overtake each other"
    assert node.hear(Kind.DDATA, "other", data(4), REORDER_US + 1).rebirth
    assert not node.hear(Kind.DDATA, "other", data(5), REORDER_US + 2).rebirth, "asked for once"


def test_data_before_a_birth_asks_for_one() -> None:
    assert Node().hear(Kind.NDATA, "", data(1, 10)).rebirth
    assert Node().hear(Kind.NDATA, "", Payload(1, 1, (Metric("a", 1, DataType.INT32),))).metrics[0].name == "a"


def test_new_birth_forgets_the_aliases_of_the_old_one() -> None:
    node = Node()
    node.hear(Kind.NBIRTH, "", BIRTH)
    node.hear(Kind.NBIRTH, "", birth(2, 4, (Metric("b", 1, DataType.INT32, 1, alias=11),)))
    assert node.hear(Kind.NDATA, "", data(1, 10)).rebirth
    assert [metric.name for metric in node.hear(Kind.NDATA, "", data(2, 11)).metrics] == ["b"]


def test_will_of_an_earlier_session_kills_nothing() -> None:
    node = Node()
    node.hear(Kind.NBIRTH, "", BIRTH)
    assert not node.hear(Kind.NDEATH, "", Payload(None, None, (Metric("bdSeq", 2, DataType.INT64),))).died
    assert node.hear(Kind.NDEATH, "", Payload(None, None, (Metric("bdSeq", 3, DataType.INT64),))).died


def compressed(inner: bytes, *, gzipped: bool) -> bytes:
    return bytes_field(4, COMPRESSED) + bytes_field(5, gzip.compress(inner) if gzipped else zlib.compress(inner)) + b"\x18\x09"


@pytest.mark.parametrize("gzipped", [False, True], ids=["deflate", "gzip"])
def test_compressed_payload_is_what_is_in_it(gzipped: bool) -> None:
    inner = Payload(5, None, (Metric("a", 1.5, DataType.DOUBLE),))
    assert decode_payload(compressed(encode_payload(inner), gzipped=gzipped)) == Payload(5, 9, inner.metrics)


BOMBS = {
    "more than is allowed": compressed(b"\0" * (MAX_INFLATED + 1), gzipped=True),
    "one in another": compressed(compressed(b"", gzipped=False), gzipped=False),
    "no stream": bytes_field(4, COMPRESSED) + bytes_field(5, b"nonsense"),
    "a stream that is cut": bytes_field(4, COMPRESSED) + bytes_field(5, zlib.compress(b"x" * 500)[:-6]),
    "nothing": bytes_field(4, COMPRESSED),
}


@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS.keys())
def test_compressed_payload_is_refused_that_holds(data: bytes) -> None:
    with pytest.raises(WireError):
        decode_payload(data)
