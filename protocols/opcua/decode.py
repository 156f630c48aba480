"""PublishResponse bytes to rows, without an object per notification.

OPC 10000-6, 5.2.2: the binary encoding is fixed per (encoding mask, variant type), so each such layout has one precompiled
`struct`. What has no fixed layout here (texts, arrays, structures, events) is decoded by asyncua's general decoder, item by item, so
that it costs its neighbours nothing; that decoder also is the yardstick of the tests. The row of such a value has kind OTHER and carries
the whole Variant, structures still as bytes: `parts.py` knows what is in them. Not for requests and sessions: those stay with asyncua.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final, NamedTuple

# OPC 10000-6, table 1: Boolean 1 ... Double 11, StatusCode 19.
_SCALAR: Final = {1: "?", 2: "b", 3: "B", 4: "h", 5: "H", 6: "i", 7: "I", 8: "q", 9: "Q", 10: "f", 11: "d"}
NULL: Final = 0
STRUCTURE: Final = 22
OTHER: Final = 25  # any variant type whose value is no number

_VALUE, _STATUS, _SOURCE, _SERVER, _SOURCE_PICO, _SERVER_PICO = (1 << bit for bit in range(6))
_PUBLISH_RESPONSE: Final = bytes((1, 0)) + struct.pack("<H", 829)
_DATA_CHANGE: Final = bytes((1, 0)) + struct.pack("<H", 811) + b"\x01"
_EVENT_LIST: Final = bytes((1, 0)) + struct.pack("<H", 916) + b"\x01"
_STATUS_CHANGE: Final = bytes((1, 0)) + struct.pack("<H", 820) + b"\x01"
# timestamp, request handle, service result, no diagnostics, no string table (0 or -1), no additional header
_HEADER: Final = struct.Struct("<4sqIIBiHB")
_INT: Final = struct.Struct("<i")
_UINT: Final = struct.Struct("<I")


class Row(NamedTuple):
    """One notification. kind: OPC UA built-in type of the value (0 = none, 25 = no number); times are OPC UA ticks, 0 = not given."""

    handle: int
    kind: int
    value: Any
    status: int
    source: int
    server: int


@dataclass(frozen=True, slots=True)
class Published:
    """One publish response. closed: the status with which the server ended the subscription, if it did. events: (handle, Variants of the
    selected fields). sequence: of a keep-alive it is that of the next notification.
    """

    subscription: int
    sequence: int
    rows: Sequence[tuple[int, int, Any, int, int, int]]
    acknowledge: bool
    closed: int | None = None
    events: Sequence[tuple[int, list[Any]]] = ()


class NotPlain(Exception):
    """The bytes hold something without a fixed layout."""


Layout = tuple[struct.Struct, Callable[[tuple[Any, ...]], tuple[int, int, Any, int, int, int]], int]


def _layout(mask: int, kind: int) -> Layout:
    """Struct of one item, and what of (unpacked fields..., kind, 0) makes its row."""
    fields = [("handle", "I"), ("mask", "B")]
    if mask & _VALUE:
        fields += [("type", "B")] + ([("value", _SCALAR[kind])] if kind else [])
    order = [(_STATUS, "status", "I"), (_SOURCE, "source", "q"), (_SOURCE_PICO, "", "H"), (_SERVER, "server", "q"), (_SERVER_PICO, "", "H")]
    fields += [(name, code) for bit, name, code in order if mask & bit]
    at = {name: index for index, (name, _) in enumerate(fields)}
    zero = len(fields)
    picks = [at.get(name, zero) for name in ("value", "status", "source", "server")]
    unpacker = struct.Struct("<" + "".join(code for _, code in fields))
    return unpacker, itemgetter(0, zero + 1, *picks), kind


# Keyed as found in the bytes: mask alone where there is no value, else mask | variant type << 8.
_LAYOUTS: Final[dict[int, Layout]] = {
    **{mask: _layout(mask, NULL) for mask in range(0, 64, 2)},
    **{mask | kind << 8: _layout(mask, kind) for mask in range(1, 64, 2) for kind in (NULL, *_SCALAR)},
}


def decode_publish(data: bytes) -> Published:
    """The answer to one publish request. Raises ValueError when it is none."""
    try:
        return _decode_plain(data)
    except NotPlain:
        return _decode_general(data)
    except (struct.error, IndexError) as error:
        raise ValueError(f"truncated publish response of {len(data)} bytes") from error


def _decode_plain(data: bytes) -> Published:
    kind, _, _, _, diagnostics, texts, extra, body = _HEADER.unpack_from(data)
    if kind != _PUBLISH_RESPONSE or diagnostics or texts > 0 or extra or body:
        raise NotPlain
    at = _HEADER.size
    (subscription,) = _UINT.unpack_from(data, at)
    (available,) = _INT.unpack_from(data, at + 4)
    at += 8 + 4 * max(available, 0) + 1
    (sequence,) = _UINT.unpack_from(data, at)
    (parts,) = _INT.unpack_from(data, at + 12)
    at += 16
    rows: list[tuple[int, int, Any, int, int, int]] = []
    events: list[tuple[int, list[Any]]] = []
    closed = None
    for _ in range(parts):
        head = data[at : at + 5]
        (size,) = _INT.unpack_from(data, at + 5)
        at += 9
        if size < 0 or at + size > len(data):
            raise NotPlain
        if head == _DATA_CHANGE:
            decode_items(data, at, rows)
        elif head == _STATUS_CHANGE:
            (closed,) = _UINT.unpack_from(data, at)
        elif head == _EVENT_LIST:
            events += _events(data, at, size)
        at += size
    return Published(subscription, sequence, rows, parts > 0, closed, events)


def decode_items(data: bytes, at: int, rows: list[tuple[int, int, Any, int, int, int]]) -> None:
    """A DataChangeNotification at `at`, appended to `rows`. Raises NotPlain."""
    (count,) = _INT.unpack_from(data, at)
    at += 4
    append, layouts = rows.append, _LAYOUTS
    for _ in range(count):
        mask = data[at + 4]
        layout = layouts.get(mask | data[at + 5] << 8 if mask & 1 else mask)
        if layout is None:
            row, at = _other_item(data, at)
            append(row)
            continue
        unpacker, pick, kind = layout
        append(pick((*unpacker.unpack_from(data, at), 0, kind)))
        at += unpacker.size


def _other_item(data: bytes, at: int) -> tuple[tuple[int, int, Any, int, int, int], int]:
    """One item without a fixed layout, and where the next begins."""
    from asyncua import ua
    from asyncua.common.utils import Buffer
    from asyncua.ua.ua_binary import struct_from_binary, variant_from_binary

    mask = data[at + 4]
    buffer = Buffer(data, at + 5)
    try:
        value = None
        if mask & _VALUE:
            value = _structures(buffer) if data[at + 5] & 0x3F == STRUCTURE else variant_from_binary(buffer)
        rest = struct_from_binary(ua.DataValue, Buffer(bytes((mask & ~_VALUE,)) + data[buffer.cur_pos : buffer.cur_pos + 24]))
    except NotPlain:
        raise
    except Exception as error:  # asyncua raises whatever its pieces raise
        raise ValueError(f"not a publish response: {error}") from error
    size = sum(
        width for bit, width in zip((_STATUS, _SOURCE, _SERVER, _SOURCE_PICO, _SERVER_PICO), (4, 8, 8, 2, 2), strict=True) if mask & bit
    )
    if buffer.cur_pos + size > len(data):
        raise struct.error("cut")
    (handle,) = _UINT.unpack_from(data, at)
    return general_row(handle, rest, value), buffer.cur_pos + size


def _structures(buffer: Any) -> Any:
    """A Variant of one structure or an array of them, undecoded: which types asyncua happens to know must not matter."""
    from asyncua import ua
    from asyncua.ua.ua_binary import nodeid_from_binary

    (encoding,) = buffer.read(1)
    count = _INT.unpack(buffer.read(4))[0] if encoding & 0x80 else 1
    if encoding & 0x40 or count > len(buffer):
        raise NotPlain
    found = []
    for _ in range(max(count, 0)):
        kind = nodeid_from_binary(buffer)
        (form,) = buffer.read(1)
        size = _INT.unpack(buffer.read(4))[0] if form else 0
        found.append(ua.ExtensionObject(kind, buffer.read(max(size, 0))))
    return ua.Variant(found if encoding & 0x80 else found[0], ua.VariantType.ExtensionObject, is_array=bool(encoding & 0x80))


def _events(data: bytes, at: int, size: int) -> list[tuple[int, list[Any]]]:
    from asyncua import ua
    from asyncua.common.utils import Buffer
    from asyncua.ua.ua_binary import struct_from_binary

    try:
        found = struct_from_binary(ua.EventNotificationList, Buffer(data, at, size))
    except Exception as error:  # asyncua raises whatever its pieces raise
        raise ValueError(f"not a publish response: {error}") from error
    return [(event.ClientHandle, list(event.EventFields)) for event in found.Events]


def _decode_general(data: bytes) -> Published:
    from asyncua import ua
    from asyncua.common.utils import Buffer
    from asyncua.ua.ua_binary import struct_from_binary

    try:
        result = struct_from_binary(ua.PublishResponse, Buffer(data)).Parameters
    except Exception as error:  # asyncua raises whatever its pieces raise
        raise ValueError(f"not a publish response: {error}") from error
    rows: list[tuple[int, int, Any, int, int, int]] = []
    events: list[tuple[int, list[Any]]] = []
    closed = None
    parts = result.NotificationMessage.NotificationData or []
    for part in parts:
        if isinstance(part, ua.DataChangeNotification):
            rows += [general_row(item.ClientHandle, item.Value) for item in part.MonitoredItems]
        elif isinstance(part, ua.EventNotificationList):
            events += [(event.ClientHandle, list(event.EventFields)) for event in part.Events]
        elif isinstance(part, ua.StatusChangeNotification):
            closed = part.Status.value if isinstance(part.Status, ua.StatusCode) else int(part.Status)
    return Published(result.SubscriptionId, result.NotificationMessage.SequenceNumber, rows, bool(parts), closed, events)


def general_row(handle: int, found: Any, variant: Any = None) -> tuple[int, int, Any, int, int, int]:
    """The row of an asyncua DataValue. variant: its value, where that was decoded apart."""
    from asyncua import ua

    variant = variant or found.Value
    value, kind = (None, NULL) if variant is None else (variant.Value, variant.VariantType.value)
    if value is None:
        value, kind = 0, NULL
    elif kind not in _SCALAR or isinstance(value, list):
        value, kind = variant, OTHER
    ticks = [0 if moment is None else ua.datetime_to_win_epoch(moment) for moment in (found.SourceTimestamp, found.ServerTimestamp)]
    return handle, kind, value, found.StatusCode.value if found.StatusCode else 0, ticks[0], ticks[1]
