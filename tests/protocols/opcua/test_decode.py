"""Our decoder of publish responses says what asyncua's general decoder says, and refuses what is none."""

import math
import struct
from datetime import UTC, datetime, timedelta

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.opcua.decode import NULL, OTHER, NotPlain, _decode_general, _decode_plain, decode_publish

MOMENTS = st.none() | st.integers(0, 4_000_000_000_000_000).map(lambda us: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us))
NUMBERS = st.one_of(
    st.booleans().map(lambda value: ua.Variant(value, ua.VariantType.Boolean)),
    st.integers(-(2**15), 2**15 - 1).map(lambda value: ua.Variant(value, ua.VariantType.Int16)),
    st.integers(0, 2**64 - 1).map(lambda value: ua.Variant(value, ua.VariantType.UInt64)),
    st.floats(allow_nan=False).map(lambda value: ua.Variant(value, ua.VariantType.Double)),
    st.floats(width=32, allow_nan=False).map(lambda value: ua.Variant(value, ua.VariantType.Float)),
    st.just(ua.Variant(None, ua.VariantType.Null)),
)
OTHERS = st.one_of(
    st.text(max_size=5).map(lambda value: ua.Variant(value, ua.VariantType.String)),
    st.lists(st.integers(0, 9), min_size=1, max_size=3).map(lambda value: ua.Variant(value, ua.VariantType.Int32)),
    st.lists(st.text(max_size=3), min_size=1, max_size=3).map(lambda value: ua.Variant(value, ua.VariantType.String)),
    st.text(max_size=5).map(lambda value: ua.Variant(ua.LocalizedText(value), ua.VariantType.LocalizedText)),
    st.binary(max_size=5).map(lambda value: ua.Variant(value, ua.VariantType.ByteString)),
    st.integers(0, 9).map(lambda value: ua.Variant(ua.NodeId(value, 3), ua.VariantType.NodeId)),
)
STRUCTURES = st.builds(ua.Range, st.floats(allow_nan=False), st.floats(allow_nan=False))


def values_of(variants):
    return st.builds(ua.DataValue, variants, st.integers(0, 2**32 - 1).map(ua.StatusCode), SourceTimestamp=MOMENTS, ServerTimestamp=MOMENTS)


def response(items, sequence=7, available=(5, 7), parts=None):
    change = ua.DataChangeNotification(MonitoredItems=[ua.MonitoredItemNotification(handle, value) for handle, value in items])
    result = ua.PublishResult(SubscriptionId=3, AvailableSequenceNumbers=list(available), MoreNotifications=False)
    result.NotificationMessage = ua.NotificationMessage(sequence, datetime.now(UTC), [change] if parts is None else parts)
    return struct_to_binary(ua.PublishResponse(Parameters=result))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), values_of(NUMBERS)), max_size=6))
def test_plain_and_general_decoder_agree_on_numbers(items):
    data = response(items)
    assert _decode_plain(data) == _decode_general(data)


@settings(max_examples=30, deadline=None)
@given(values_of(OTHERS), values_of(NUMBERS))
def test_texts_and_arrays_are_named_as_no_number_and_cost_no_neighbour(other, number):
    published = decode_publish(response([(1, other), (2, number)]))
    assert [row[:2] for row in published.rows] == [(1, OTHER), (2, number.Value.VariantType.value)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), values_of(NUMBERS | OTHERS)), max_size=5))
def test_values_of_every_kind_among_each_other_are_what_the_general_decoder_says(items):
    data = response(items)
    assert _decode_plain(data) == _decode_general(data)


@settings(max_examples=40, deadline=None)
@given(st.lists(STRUCTURES, min_size=1, max_size=3), st.booleans(), values_of(NUMBERS))
def test_structures_are_left_as_bytes_whatever_the_library_knows(ranges, several, number):
    found = ua.Variant(ranges if several else ranges[0], ua.VariantType.ExtensionObject)
    published = decode_publish(response([(1, ua.DataValue(found)), (2, number)]))
    value = published.rows[0][2].Value
    for one, wanted in zip(value if several else [value], ranges, strict=False):
        assert one.TypeId == ua.NodeId(ua.ObjectIds.Range_Encoding_DefaultBinary, 0)
        assert one.Body == struct.pack("<dd", wanted.Low, wanted.High)
    assert published.rows[1][:2] == (2, number.Value.VariantType.value)


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.floats(width=32, allow_nan=False), st.integers(0, 2**32 - 1), st.integers(0, 2**62), st.integers(0, 2**62)
)
def test_rows_are_what_struct_reads_from_raw_bytes(handle, value, status, source, server):
    item = struct.pack("<IBBfIqq", handle, 0b1111, 10, value, status, source, server)
    change = struct.pack("<i", 1) + item + struct.pack("<i", 0)
    body = b"\x01\x00\x2b\x03\x01" + struct.pack("<i", len(change)) + change
    head = b"\x01\x00\x3d\x03" + struct.pack("<qIIBiBBB", 0, 7, 0, 0, -1, 0, 0, 0)
    data = head + struct.pack("<IiBIqi", 3, -1, 0, 9, 0, 1) + body + struct.pack("<ii", -1, -1)
    published = decode_publish(data)
    assert (published.subscription, published.sequence, published.rows) == (3, 9, [(handle, 10, value, status, source, server)])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.lists(NUMBERS | OTHERS, max_size=4)), min_size=1, max_size=3), values_of(NUMBERS))
def test_events_are_read_beside_values(events, number):
    fields = [ua.EventFieldList(handle, found) for handle, found in events]
    change = ua.DataChangeNotification(MonitoredItems=[ua.MonitoredItemNotification(1, number)])
    published = decode_publish(response([], parts=[change, ua.EventNotificationList(fields)]))
    assert [(handle, [one.Value for one in found]) for handle, found in published.events] == [
        (handle, [one.Value for one in found]) for handle, found in events
    ]
    assert [row[0] for row in published.rows] == [1]


def test_times_are_ticks_and_exact_to_the_microsecond():
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    (row,) = decode_publish(response([(9, ua.DataValue(ua.Variant(1.5, ua.VariantType.Double), ua.StatusCode(0), moment))])).rows
    ticks = (moment - datetime(1601, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 10
    assert row == (9, 11, 1.5, 0, ticks, 0)


def test_a_keep_alive_has_no_rows_and_is_not_acknowledged():
    published = decode_publish(response([], parts=[]))
    assert (published.rows, published.acknowledge, published.closed) == ([], False, None)


def test_a_status_change_closes():
    change = ua.StatusChangeNotification(Status=ua.StatusCode(ua.StatusCodes.BadTimeout))
    assert decode_publish(response([], parts=[change])).closed == ua.StatusCodes.BadTimeout


def test_nan_passes_the_decoder():
    (row,) = decode_publish(response([(1, ua.DataValue(ua.Variant(math.nan, ua.VariantType.Float)))])).rows
    assert math.isnan(row[2])
    assert row[1] != NULL


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_bytes_that_are_cut_or_changed_raise_nothing_but_our_errors(data):
    values = [
        ua.Variant(1.5, ua.VariantType.Double),
        ua.Variant("text", ua.VariantType.String),
        ua.Variant([1, 2, 3], ua.VariantType.Int16),
        ua.Variant([ua.Range(1.0, 2.0)], ua.VariantType.ExtensionObject),
        ua.Variant(7, ua.VariantType.Int32),
    ]
    change = ua.DataChangeNotification(MonitoredItems=[ua.MonitoredItemNotification(n, ua.DataValue(one)) for n, one in enumerate(values)])
    whole = response([], parts=[change, ua.EventNotificationList([ua.EventFieldList(3, values)])])
    cut = data.draw(st.integers(0, len(whole)))
    place, octet = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 255))
    broken = bytearray(whole)
    broken[place] = octet
    for candidate in (whole[:cut], bytes(broken)):
        try:
            decode_publish(candidate)
        except (ValueError, NotPlain) as error:
            assert isinstance(error, ValueError)
    with pytest.raises(ValueError, match="publish response"):
        decode_publish(b"\x01\x00")
