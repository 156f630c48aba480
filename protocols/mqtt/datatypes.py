"""The data types of Sparkplug B (3.0, 6.4.16) and their packed arrays, to and from bytes. Pure.

Arrays are packed little-endian; truth values eight to a byte, highest bit first, behind their number; texts each end with a zero byte.
"""

import enum
import struct
from collections.abc import Sequence
from typing import Any, Final


class DataType(enum.IntEnum):
    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATETIME = 13  # milliseconds since 1970
    TEXT = 14
    UUID = 15
    DATASET = 16
    BYTES = 17
    FILE = 18
    TEMPLATE = 19
    PROPERTY_SET = 20
    PROPERTY_SET_LIST = 21
    INT8_ARRAY = 22
    INT16_ARRAY = 23
    INT32_ARRAY = 24
    INT64_ARRAY = 25
    UINT8_ARRAY = 26
    UINT16_ARRAY = 27
    UINT32_ARRAY = 28
    UINT64_ARRAY = 29
    FLOAT_ARRAY = 30
    DOUBLE_ARRAY = 31
    BOOLEAN_ARRAY = 32
    STRING_ARRAY = 33
    DATETIME_ARRAY = 34


SIGNED_BITS: Final[dict[int, int]] = {DataType.INT8: 8, DataType.INT16: 16, DataType.INT32: 32, DataType.INT64: 64}
LONG: Final = (DataType.INT64, DataType.UINT64, DataType.DATETIME)
ARRAYS: Final = frozenset(range(DataType.INT8_ARRAY, DataType.DATETIME_ARRAY + 1))
KNOWN: Final = frozenset(DataType)
_FORMS: Final[dict[int, str]] = {
    DataType.INT8_ARRAY: "b",
    DataType.INT16_ARRAY: "h",
    DataType.INT32_ARRAY: "i",
    DataType.INT64_ARRAY: "q",
    DataType.UINT8_ARRAY: "B",
    DataType.UINT16_ARRAY: "H",
    DataType.UINT32_ARRAY: "I",
    DataType.UINT64_ARRAY: "Q",
    DataType.FLOAT_ARRAY: "f",
    DataType.DOUBLE_ARRAY: "d",
    DataType.DATETIME_ARRAY: "Q",
}


def signed(bits: int, datatype: int) -> int:
    """The number of an int_value or long_value, which carry negative ones as their bit pattern, of 32 or 64 bits or of the type's own."""
    width = SIGNED_BITS.get(datatype)
    if width is None:
        return bits
    bits &= (1 << width) - 1
    return bits - (1 << width) if bits >> width - 1 else bits


def unpack(data: bytes, datatype: int) -> tuple[Any, ...]:
    """The elements of an array. Raises ValueError when the bytes are none of that type."""
    if datatype == DataType.BOOLEAN_ARRAY:
        return _unpack_truths(data)
    if datatype == DataType.STRING_ARRAY:
        if data and data[-1]:
            raise ValueError("the last text of an array does not end")
        return tuple(part.decode() for part in data.split(b"\0")[:-1])
    form = _FORMS[datatype]
    count, rest = divmod(len(data), struct.calcsize("<" + form))
    if rest:
        raise ValueError(f"{len(data)} bytes are no whole number of elements")
    return struct.unpack(f"<{count}{form}", data)


def _unpack_truths(data: bytes) -> tuple[bool, ...]:
    if len(data) < 4:
        raise ValueError("an array of truth values begins with their number")
    count = int.from_bytes(data[:4], "little")
    if count > 8 * (len(data) - 4):
        raise ValueError(f"{count} truth values in {len(data) - 4} bytes")
    return tuple(bool(data[4 + place // 8] >> 7 - place % 8 & 1) for place in range(count))


def pack(elements: Sequence[Any], datatype: int) -> bytes:
    """Raises ValueError for an element that the type does not have."""
    if datatype == DataType.BOOLEAN_ARRAY:
        packed = bytearray((len(elements) + 7) // 8)
        for place, element in enumerate(elements):
            packed[place // 8] |= bool(element) << 7 - place % 8
        return len(elements).to_bytes(4, "little") + bytes(packed)
    if datatype == DataType.STRING_ARRAY:
        if any("\0" in text for text in elements):
            raise ValueError("a text of an array cannot hold a zero byte")
        return b"".join(text.encode() + b"\0" for text in elements)
    try:
        return struct.pack(f"<{len(elements)}{_FORMS[datatype]}", *elements)
    except struct.error as error:
        raise ValueError(str(error)) from error
