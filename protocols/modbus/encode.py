"""A number of a tag's type -> what is written to the device. Pure; the counterpart of `decode` for one tag.

Raises Unfit for a number that the registers cannot hold exactly: nothing is rounded on the way to a device.
"""

import math
import struct
from dataclasses import dataclass
from typing import Final

import numpy as np

from protocols.devicemap import Tag, TagType
from protocols.modbus.address import Address
from protocols.modbus.looks import LARGEST_EXPONENT
from protocols.modbus.settings import ModbusOptions, WordOrder, form_of, look_of, order_of

_CLOSE: Final = 1e-9  # relative: 12.3 / 0.1 is not quite 123 in binary


class Unfit(Exception):
    """The number and the place do not go together; the message says why."""


@dataclass(frozen=True, slots=True)
class Bits:
    """Part of a register: `mask` are its bits, `put` their new state."""

    mask: int
    put: int


def encode(tag: Tag, address: Address, options: ModbusOptions, raw: float, exponent: int | None) -> bytes | Bits | bool:
    """Register bytes as they go over the wire, some bits of one register, or the state of a coil. exponent: read at scale_at."""
    if address.area.of_bits:
        return bool(_whole(raw, 0, 1))
    if address.bit is not None:
        return _bits(tag, address.bit, address.width, raw)
    if tag.type is TagType.BOOL:
        return _whole(raw, 0, 1).to_bytes(2, "big")
    order = order_of(tag, options)
    if look_of(tag).bcd:
        return ordered(_digits(tag, raw), order)
    if exponent is not None:
        return ordered(_integer(form_of(tag), _unscaled(raw, exponent)), order)
    if tag.type.native.itemsize == 1:  # the low byte of a register whose other byte may be something else
        return Bits(0xFF, _integer(tag.type, raw)[-1])
    if tag.type in (TagType.FLOAT32, TagType.FLOAT64):
        return ordered(_float(tag.type, raw), order)
    return ordered(_integer(tag.type, raw), order)


def ordered(text: bytes, order: WordOrder) -> bytes:
    """Bytes from high to low -> in the order in which registers carry them."""
    if len(text) < 4:
        return text
    words = [text[at : at + 2] for at in range(0, len(text), 2)]
    if order.low_word_first:
        words.reverse()
    return b"".join(word[::-1] if order.low_byte_first else word for word in words)


def _whole(raw: float, low: int, high: int) -> int:
    if not math.isfinite(raw) or raw != int(raw):
        raise Unfit(f"{raw} is no whole number")
    if not low <= int(raw) <= high:
        raise Unfit(f"{int(raw)} is outside {low} to {high}")
    return int(raw)


def _bits(tag: Tag, lowest: int, width: int, raw: float) -> Bits:
    signed = width > 1 and tag.type.native.kind == "i"
    low, high = (-(1 << width - 1), (1 << width - 1) - 1) if signed else (0, (1 << width) - 1)
    mask = (1 << width) - 1
    return Bits(mask << lowest, (_whole(raw, low, high) & mask) << lowest)


def _integer(kind: TagType, raw: float) -> bytes:
    limits = np.iinfo(kind.native)
    number = _whole(raw, int(limits.min), int(limits.max))
    size = max(2, kind.native.itemsize)
    return (number % (1 << 8 * size)).to_bytes(size, "big")


def _float(kind: TagType, raw: float) -> bytes:
    if not math.isfinite(raw):
        raise Unfit(f"{raw} is no number that a device can be set to")
    try:
        return struct.pack(">f" if kind is TagType.FLOAT32 else ">d", raw)
    except OverflowError as error:
        raise Unfit(f"{raw} is too large for {kind.value}") from error


def _digits(tag: Tag, raw: float) -> bytes:
    size = tag.type.native.itemsize
    return bytes.fromhex(f"{_whole(raw, 0, 10 ** (2 * size) - 1):0{2 * size}d}")


def _unscaled(raw: float, exponent: int) -> int:
    if abs(exponent) > LARGEST_EXPONENT:
        raise Unfit(f"the device's exponent {exponent} is none")
    number = raw * 10.0**-exponent if exponent < 0 else raw / 10.0**exponent
    if not math.isfinite(number) or abs(number - round(number)) > _CLOSE * max(1.0, abs(number)):
        raise Unfit(f"{raw} lies between two steps of the device, which are {10.0**exponent:g}")
    return round(number)
