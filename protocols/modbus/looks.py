"""Values that look otherwise in the registers than they are carried: decimal digits, integers with an exponent elsewhere, ranges of bits. Pure.

What cannot be meant becomes a quality and the value 0: a digit above 9 (encoding invalid), an exponent of 0x8000 (not implemented: sensor
failure) or outside -10..10 (encoding invalid; SunSpec Information Model, `sunssf`). A negative exponent divides by the exact power of ten, so that 2305
with exponent -1 gives 230.5 and nothing else. Columns again: a few numpy calls per kind of look, none per tag.
"""

import enum
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocols import quality
from protocols.devicemap import Tag, TagType
from protocols.modbus.address import Address
from protocols.modbus.settings import look_of

Words = NDArray[np.uint16]
NOT_IMPLEMENTED: Final = -0x8000
LARGEST_EXPONENT: Final = 10
POWERS: Final = np.array([10.0**power for power in range(LARGEST_EXPONENT + 1)])
_NIBBLES: Final = np.array([12, 8, 4, 0])


class Kind(enum.Enum):
    DIGITS = enum.auto()
    SCALED = enum.auto()
    BITS = enum.auto()


@dataclass(frozen=True, slots=True)
class Looked:
    """Tags of one look and form, side by side in a column from `first` on.

    index: a row of image words per tag, lowest first. aside: per tag the image word of its exponent (scaled), or its lowest bit (bits).
    extent: its number of bits. sentinel_at, sentinels: which of them have an `invalid`, and which number of `form` it is.
    """

    kind: Kind
    form: TagType
    first: int
    index: NDArray[np.intp]
    swap: bool
    aside: NDArray[np.intp]
    extent: NDArray[np.int64]
    sentinel_at: NDArray[np.intp]
    sentinels: NDArray[Any]

    @property
    def end(self) -> int:
        return self.first + len(self.index)


def kind_of(tag: Tag, address: Address) -> Kind | None:
    """None for what stands in the registers as it is carried."""
    if address.width > 1:
        return Kind.BITS
    look = look_of(tag)
    return Kind.DIGITS if look.bcd else Kind.SCALED if look.scale_at else None


def looked(groups: tuple[Looked, ...], values: NDArray[Any], registers: Words, swapped: Words) -> NDArray[np.uint32] | None:
    """Sets the tags' values; quality by position, None = all good."""
    marks = np.zeros(len(values), np.uint32)
    for group in groups:
        here = slice(group.first, group.end)
        words = (swapped if group.swap else registers)[group.index]
        if group.kind is Kind.BITS:
            values[here] = _bits(group, words)
        elif group.kind is Kind.DIGITS:
            numbers, marks[here] = _digits(words)
            values[here] = numbers.astype(group.form.native).view(values.dtype) if group.form is not TagType.UINT16 else numbers
        else:
            values[here], marks[here] = _scaled(group, words, registers[group.aside].view(np.int16))
    return marks if marks.any() else None


def _bits(group: Looked, words: Words) -> NDArray[np.int64]:
    numbers: NDArray[np.int64] = words[:, 0].astype(np.int64) >> group.aside & (1 << group.extent) - 1
    return numbers - ((numbers >> group.extent - 1) << group.extent) if group.form.native.kind == "i" else numbers


def _digits(words: Words) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    digits = words[:, ::-1, np.newaxis].astype(np.int64) >> _NIBBLES & 0xF
    digits = digits.reshape(len(words), -1)
    wrong = (digits > 9).any(axis=1)
    numbers = np.zeros(len(words), np.int64)
    for column in digits.T:
        numbers = numbers * 10 + column
    numbers[wrong] = 0
    return numbers, np.where(wrong, quality.BAD_DATA_ENCODING_INVALID, quality.GOOD).astype(np.uint32)


def _scaled(group: Looked, words: Words, exponents: NDArray[np.int16]) -> tuple[NDArray[np.float64], NDArray[np.uint32]]:
    native = group.form.native
    raw = words.astype(np.uint16).view(native)[:, 0] if native.itemsize > 1 else words[:, 0].astype(native)
    small = np.abs(exponents.astype(np.int64)) <= LARGEST_EXPONENT
    powers = np.where(small, exponents, 0).astype(np.int64)
    numbers = raw.astype(np.float64)
    values = np.where(powers < 0, numbers / POWERS[np.maximum(-powers, 0)], numbers * POWERS[np.maximum(powers, 0)])
    marks = np.where(small, quality.GOOD, quality.BAD_DATA_ENCODING_INVALID).astype(np.uint32)
    marks[exponents == NOT_IMPLEMENTED] = quality.BAD_SENSOR_FAILURE
    if len(group.sentinel_at):
        marks[group.sentinel_at[raw[group.sentinel_at] == group.sentinels]] = quality.BAD_SENSOR_FAILURE
    values[marks != 0] = 0
    return values, marks
