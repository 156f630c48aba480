"""Deterministic CBOR (RFC 8949, 4.2.1): one byte string for a value, and one value for a byte string.

Lenient decoders accept duplicate keys, indefinite lengths, long forms of short numbers and trailing bytes, and fold True and
1 into one map key; each of these lets two programs read the same signed bytes differently. This decoder refuses them while
reading, before anything is built from them, and bounds depth and number of items. It knows the types the profile needs:
integers of 64 bits, byte and text strings, arrays, maps, tags, False, True, None and floats. It is no general CBOR library.
"""

import math
import struct
from collections.abc import Mapping
from operator import itemgetter
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocols.batch.errors import MalformedBatch, TooLarge

MAX_DEPTH: Final = 16
MAX_ITEMS: Final = 1 << 18
_MAX_UINT: Final = (1 << 64) - 1

# RFC 8746, 2.1: typed arrays. 76 is reserved; 83 and 87 (binary128) have no numpy type.
TYPED_ARRAYS: Final[Mapping[int, str]] = {
    **{64: "u1", 65: ">u2", 66: ">u4", 67: ">u8", 68: "u1", 69: "<u2", 70: "<u4", 71: "<u8"},
    **{72: "i1", 73: ">i2", 74: ">i4", 75: ">i8", 77: "<i2", 78: "<i4", 79: "<i8"},
    **{80: ">f2", 81: ">f4", 82: ">f8", 84: "<f2", 85: "<f4", 86: "<f8"},
}
_TAG_OF: Final = {"<u4": 70, "<i2": 77, "<i4": 78, "<i8": 79, "<f4": 85, "<f8": 86}


class Tag(NamedTuple):
    number: int
    value: Any


def encode(value: object) -> bytes:
    """The one deterministic encoding of `value`. Raises TypeError for a type the profile does not know."""
    out = bytearray()
    _write(value, out)
    return bytes(out)


def decode_strict(data: bytes, max_depth: int = MAX_DEPTH, *, any_key_order: bool = False) -> Any:
    """The value of `data`, which must be exactly one deterministic item. Raises MalformedBatch.

    any_key_order: for foreign headers, whose standard does not ask for sorted keys; every other rule holds.
    """
    reader = _Reader(data, 0, any_key_order)
    value = reader.item(max_depth)
    if reader.at != len(data):
        raise MalformedBatch(f"CBOR: {len(data) - reader.at} bytes after the end of the item")
    return value


def decode_first(data: bytes, start: int = 0, max_depth: int = MAX_DEPTH) -> tuple[Any, int]:
    """The item that begins at `start` and the offset behind it. Raises MalformedBatch."""
    reader = _Reader(data, start)
    return reader.item(max_depth), reader.at


def split_sequence(data: bytes, max_items: int, max_item_bytes: int) -> list[bytes]:
    """The items of a CBOR sequence (RFC 8742) as byte strings, found without building their values.

    Raises TooLarge beyond a limit, MalformedBatch when the bytes are not a sequence of deterministic items.
    """
    items: list[bytes] = []
    at = 0
    while at < len(data):
        if len(items) == max_items:
            raise TooLarge(f"more than {max_items} batches in one request")
        end = decode_first(data, at)[1]
        if end - at > max_item_bytes:
            raise TooLarge(f"batch {len(items)} has {end - at} bytes, {max_item_bytes} are allowed")
        items.append(data[at:end])
        at = end
    return items


def are_ints(*values: object) -> bool:
    """Whether all are integers; True, which Python takes for 1, is none, and neither is 1.0."""
    return all(type(value) is int for value in values)


def typed_array(tag: Tag) -> NDArray[Any]:
    """The array of an RFC 8746 tag, in the byte order it came in. Raises MalformedBatch."""
    dtype = TYPED_ARRAYS.get(tag.number) if isinstance(tag, Tag) else None
    if dtype is None or not isinstance(tag.value, bytes) or len(tag.value) % np.dtype(dtype).itemsize:
        raise MalformedBatch("expected a typed array (RFC 8746)")
    return np.frombuffer(tag.value, dtype)


def typed_tag(array: NDArray[Any]) -> Tag:
    """`array` (uint32, int16, int32, int64, float32, float64) as a little-endian RFC 8746 tag, row-major."""
    little = array.dtype.newbyteorder("<")
    return Tag(_TAG_OF[little.str], array.astype(little, copy=False).tobytes())


class _Reader:
    """One pass over one message; a fresh one per message, so that nothing leaks from one into the next."""

    def __init__(self, data: bytes, start: int, any_key_order: bool = False) -> None:
        self.data = data
        self.at = start
        self.any_key_order = any_key_order
        self.items = 0

    def item(self, depth: int) -> Any:
        if depth <= 0:
            raise MalformedBatch(f"CBOR: nested deeper than {MAX_DEPTH}")
        self.items += 1
        if self.items > MAX_ITEMS:
            raise MalformedBatch(f"CBOR: more than {MAX_ITEMS} items")
        major, argument = self._head()
        if major == 0:
            return argument
        if major == 1:
            return -1 - argument
        if major == 2:
            return self._take(argument)
        if major == 3:
            return self._text(argument)
        if major == 4:
            self._room(argument)
            return [self.item(depth - 1) for _ in range(argument)]
        if major == 5:
            return self._map(argument, depth)
        if major == 6:
            return Tag(argument, self.item(depth - 1))
        return argument

    def _head(self) -> tuple[int, Any]:
        first = self._take(1)[0]
        major, info = first >> 5, first & 31
        if major == 7:
            return 7, self._simple(info)
        if info < 24:
            return major, info
        if info > 27:
            raise MalformedBatch("CBOR: indefinite or reserved length")
        argument = int.from_bytes(self._take(1 << (info - 24)), "big")
        if argument < (24, 1 << 8, 1 << 16, 1 << 32)[info - 24]:
            raise MalformedBatch("CBOR: a number in a longer form than needed")
        return major, argument

    def _simple(self, info: int) -> object:
        if info in _SIMPLE:
            return _SIMPLE[info]
        if info not in _FLOAT:
            raise MalformedBatch("CBOR: a simple value the profile does not know")
        start = self.at - 1
        (value,) = struct.unpack(_FLOAT[info], self._take(1 << (info - 24)))
        if _float(value) != self.data[start : self.at]:
            raise MalformedBatch("CBOR: a float in a longer form than needed")
        return value

    def _take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            raise MalformedBatch("CBOR: ends in the middle of an item")
        part = self.data[self.at : end]
        self.at = end
        return part

    def _room(self, items: int) -> None:
        if items > len(self.data) - self.at:
            raise MalformedBatch("CBOR: ends in the middle of an item")

    def _text(self, size: int) -> str:
        try:
            return self._take(size).decode()
        except UnicodeDecodeError as error:
            raise MalformedBatch("CBOR: text is not UTF-8") from error

    def _map(self, pairs: int, depth: int) -> dict[Any, Any]:
        self._room(2 * pairs)
        result: dict[Any, Any] = {}
        before = b""
        for _ in range(pairs):
            start = self.at
            key = self.item(depth - 1)
            written = self.data[start : self.at]
            if written <= before and not self.any_key_order:
                raise MalformedBatch("CBOR: map keys twice or out of order")
            if not isinstance(key, (int, str, bytes)) or isinstance(key, bool):
                raise MalformedBatch("CBOR: a map key that is neither a number nor a string")
            if key in result:
                raise MalformedBatch("CBOR: a map key twice")
            before = written
            result[key] = self.item(depth - 1)
        return result


_SIMPLE: Final[Mapping[int, bool | None]] = {20: False, 21: True, 22: None}
_FLOAT: Final[Mapping[int, str]] = {25: ">e", 26: ">f", 27: ">d"}


def _head(major: int, argument: int) -> bytes:
    if argument < 24:
        return bytes((major << 5 | argument,))
    if argument < 1 << 8:
        return struct.pack(">BB", major << 5 | 24, argument)
    if argument < 1 << 16:
        return struct.pack(">BH", major << 5 | 25, argument)
    if argument < 1 << 32:
        return struct.pack(">BI", major << 5 | 26, argument)
    return struct.pack(">BQ", major << 5 | 27, argument)


def _float(value: float) -> bytes:
    if math.isnan(value):
        return b"\xf9\x7e\x00"
    for head, form in ((0xF9, ">e"), (0xFA, ">f")):
        try:
            short = struct.pack(form, value)
        except OverflowError:
            continue
        if struct.unpack(form, short)[0] == value:
            return bytes((head,)) + short
    return b"\xfb" + struct.pack(">d", value)


def _write(value: object, out: bytearray) -> None:
    match value:
        case bool() | None:
            out.append({False: 0xF4, True: 0xF5, None: 0xF6}[value])
        case int():
            number = value if value >= 0 else -1 - value
            if number > _MAX_UINT:
                raise TypeError("an integer beyond 64 bits")
            out += _head(0 if value >= 0 else 1, number)
        case bytes() | bytearray():
            out += _head(2, len(value))
            out += value
        case str():
            text = value.encode()
            out += _head(3, len(text))
            out += text
        case float():
            out += _float(value)
        case Tag(number, content):
            out += _head(6, number)
            _write(content, out)
        case list() | tuple():
            out += _head(4, len(value))
            for item in value:
                _write(item, out)
        case Mapping():
            _write_map(value, out)
        case _:
            raise TypeError(f"no CBOR for {type(value).__name__}")


def _write_map(value: Mapping[Any, Any], out: bytearray) -> None:
    pairs = sorted(((encode(key), item) for key, item in value.items()), key=itemgetter(0))
    out += _head(5, len(pairs))
    for key, item in pairs:
        out += key
        _write(item, out)
