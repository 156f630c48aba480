"""The part of the protobuf wire format that Sparkplug B payloads need: fields out of bytes, fields into bytes. Pure.

Written from the public encoding description (varint, 64-bit, length-delimited, 32-bit); knows no message, only field numbers.
"""

import struct
from collections.abc import Iterator
from typing import Final

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MAX_VARINT: Final = 10
Value = int | bytes


class WireError(ValueError):
    """The bytes are no protobuf message."""


def fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Field number and value: an int for varint and fixed fields (as bits), bytes for the rest. Raises WireError."""
    at, end = 0, len(data)
    while at < end:
        key = data[at]
        if key < 0x80:  # nearly always
            at += 1
        else:
            key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        value: Value
        if kind == VARINT:
            value, at = _varint(data, at)
        elif kind == BYTES:
            size = data[at] if at < end else 0x80
            if size < 0x80:
                at += 1
            else:
                size, at = _varint(data, at)
            if at + size > end:
                raise WireError(f"field {number} of {size} bytes ends after the message")
            value, at = data[at : at + size], at + size
        elif kind in (FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
            if at + size > end:
                raise WireError(f"field {number} of {size} bytes ends after the message")
            value, at = int.from_bytes(data[at : at + size], "little"), at + size
        else:
            raise WireError(f"field {number} has wire type {kind}, which does not exist")
        if not number:
            raise WireError("field number 0 does not exist")
        yield number, value


def numbers(value: Value) -> list[int]:
    """A repeated number, which may come one by one or packed. Raises WireError."""
    if isinstance(value, int):
        return [value]
    found, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        found.append(number)
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    for place in range(at, min(at + MAX_VARINT, len(data))):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, place + 1
        shift += 7
    raise WireError("a number does not end")


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number_field(number: int, value: int) -> bytes:
    return varint(number << 3 | VARINT) + varint(value)


def bytes_field(number: int, value: bytes) -> bytes:
    return varint(number << 3 | BYTES) + varint(len(value)) + value


def float_field(number: int, value: float) -> bytes:
    return varint(number << 3 | FIXED32) + struct.pack("<f", value)


def double_field(number: int, value: float) -> bytes:
    return varint(number << 3 | FIXED64) + struct.pack("<d", value)
