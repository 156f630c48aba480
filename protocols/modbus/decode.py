"""Answers of one poll -> columns, without Python per tag.

All register answers of a group are joined to one image of words, all bit answers to one image of bytes; where each value stands in them
is worked out once (`Layout`). A poll then costs one `frombuffer`, one take per type, and a few comparisons. Tags that look otherwise in the
registers than they are carried (digits, scaled integers, bit ranges) are the business of `looks`. Pure; numpy only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocols import quality
from protocols.devicemap import DeviceMap, Tag, TagType
from protocols.modbus.address import Address, Span
from protocols.modbus.looks import Kind, Looked, Words, kind_of, looked
from protocols.modbus.plan import Group, quality_span, scale_span, value_span
from protocols.modbus.settings import ModbusOptions, WordOrder, form_of, look_of, order_of

# Word at `quality_at`: 0 good, 1 uncertain, 2 bad; any other says nothing that could be trusted.
_QUALITY_WORDS: Final = np.array(
    [quality.GOOD, quality.UNCERTAIN_LAST_USABLE, quality.BAD_SENSOR_FAILURE, quality.BAD_DATA_ENCODING_INVALID], dtype=np.uint32
)


@dataclass(frozen=True, slots=True)
class Part:
    """The values of one type inside a column: `index` has a row of image words per value, lowest word first. swap: low byte first."""

    kind: TagType
    first: int
    index: NDArray[np.intp]
    masks: NDArray[np.uint16] | None = None
    of_bits: bool = False
    swap: bool = False

    @property
    def end(self) -> int:
        return self.first + len(self.index)


@dataclass(frozen=True, slots=True)
class Column:
    """Tags of one group that travel in one numpy type. tags: positions in the map, in the order of the values."""

    dtype: np.dtype[Any]
    tags: NDArray[np.intp]
    parts: tuple[Part, ...]
    sentinel_at: NDArray[np.intp]
    sentinels: NDArray[Any]
    quality_to: NDArray[np.intp]
    quality_from: NDArray[np.intp]
    looked: tuple[Looked, ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a group's values stand in its images. offsets: of each request, in words (registers) or bytes (bits)."""

    columns: tuple[Column, ...]
    offsets: tuple[int, ...]
    time_index: NDArray[np.intp] | None
    order: WordOrder
    swaps: bool = False

    def time_us(self, image: bytes) -> int:
        """The source time in the image, or in the first request's answer."""
        return self._time_us(image, 0)

    def time_alone_us(self, answer: bytes) -> int:
        """The source time in the answer of a request for it alone."""
        return self._time_us(answer, int(self.time_index.min()) if self.time_index is not None else 0)

    def _time_us(self, answer: bytes, first: int) -> int:
        if self.time_index is None:
            raise ValueError("the map has no source_time")
        words = np.frombuffer(answer, "<u2" if self.order.low_byte_first else ">u2")
        return int(words[self.time_index - first].astype(np.uint16).view(np.uint64)[0])


def layout(device_map: DeviceMap, group: Group) -> Layout:
    options: ModbusOptions = device_map.options
    offsets, places = _places(group)
    by_dtype: dict[np.dtype[Any], list[int]] = {}
    for index in group.tags:
        by_dtype.setdefault(device_map.tags[index].type.column, []).append(index)
    columns = tuple(_column(dtype, indices, device_map.tags, options, places) for dtype, indices in by_dtype.items())
    time_index = None
    if options.source_time:
        time_index = np.array(_low_first(places[options.source_time], options.source_time.count, options.word_order), dtype=np.intp)
    swaps = any(part.swap for column in columns for part in column.parts) or any(look.swap for column in columns for look in column.looked)
    return Layout(columns, offsets, time_index, options.word_order, swaps)


def _places(group: Group) -> tuple[tuple[int, ...], dict[Span, int]]:
    """Offset of every request in its image, and position (in words, or in bits) of every part."""
    offsets: list[int] = []
    places: dict[Span, int] = {}
    next_word = next_byte = 0
    for request in group.requests:
        bits = request.span.area.of_bits
        offset = next_byte if bits else next_word
        offsets.append(offset)
        for part in request.parts:
            places[part] = (8 * offset if bits else offset) + part.start - request.span.start
        if bits:
            next_byte += (request.span.count + 7) // 8
        else:
            next_word += request.span.count
    return tuple(offsets), places


def _low_first(place: int, count: int, order: WordOrder) -> list[int]:
    ascending = list(range(place, place + count))
    return ascending if order.low_word_first else ascending[::-1]


def _column(dtype: np.dtype[Any], indices: list[int], tags: Sequence[Tag], options: ModbusOptions, places: dict[Span, int]) -> Column:
    spots = {index: value_span(tags[index], options) for index in indices}
    kinds: dict[tuple[TagType, bool, WordOrder], list[int]] = {}
    looks: dict[tuple[Kind, TagType, bool], list[int]] = {}
    for index in indices:
        tag, (address, span) = tags[index], spots[index]
        order = order_of(tag, options)
        if look := kind_of(tag, address):
            looks.setdefault((look, form_of(tag), order.low_byte_first and span.count > 1), []).append(index)
        else:
            kinds.setdefault((tag.type, address.area.of_bits, order), []).append(index)
    parts: list[Part] = []
    for (kind, of_bits, order), members in kinds.items():
        parts.append(_part(kind, of_bits, order, parts[-1].end if parts else 0, [spots[index] for index in members], places))
    groups: list[Looked] = []
    first = parts[-1].end if parts else 0
    for key, members in looks.items():
        groups.append(_looked(key, first, [(tags[index], *spots[index]) for index in members], options, places))
        first += len(members)
    positions = [index for members in (*kinds.values(), *looks.values()) for index in members]
    marked = [(at, tag) for at, tag in enumerate(map(tags.__getitem__, positions)) if tag.invalid is not None and not look_of(tag).scale_at]
    rated = [(position, rating) for position, index in enumerate(positions) if (rating := quality_span(tags[index], options))]
    return Column(
        dtype=dtype,
        tags=np.array(positions, dtype=np.intp),
        parts=tuple(parts),
        sentinel_at=np.array([position for position, _ in marked], dtype=np.intp),
        sentinels=np.array([_sentinel(tag, tag.type, dtype) for _, tag in marked], dtype=dtype),
        quality_to=np.array([position for position, _ in rated], dtype=np.intp),
        quality_from=np.array([places[rating] for _, rating in rated], dtype=np.intp),
        looked=tuple(groups),
    )


def _part(kind: TagType, of_bits: bool, order: WordOrder, first: int, spots: list[tuple[Address, Span]], places: dict[Span, int]) -> Part:
    rows = np.array([_low_first(places[span], span.count, order) for _, span in spots], dtype=np.intp)
    masks = None
    if kind is TagType.BOOL and not of_bits:
        masks = np.array([0xFFFF if address.bit is None else 1 << address.bit for address, _ in spots], dtype=np.uint16)
    return Part(kind, first, rows, masks, of_bits, order.low_byte_first)


def _looked(
    key: tuple[Kind, TagType, bool], first: int, members: list[tuple[Tag, Address, Span]], options: ModbusOptions, places: dict[Span, int]
) -> Looked:
    kind, form, swap = key
    scales = [scale_span(tag, options) for tag, _, _ in members]
    marked = [(at, tag) for at, (tag, _, _) in enumerate(members) if tag.invalid is not None and kind is Kind.SCALED]
    return Looked(
        kind=kind,
        form=form,
        first=first,
        index=np.array([_low_first(places[span], span.count, order_of(tag, options)) for tag, _, span in members], dtype=np.intp),
        swap=swap,
        aside=np.array(
            [places[scale] if scale else address.bit or 0 for scale, (_, address, _) in zip(scales, members, strict=True)], dtype=np.intp
        ),
        extent=np.array([address.width for _, address, _ in members], dtype=np.int64),
        sentinel_at=np.array([at for at, _ in marked], dtype=np.intp),
        sentinels=np.array([_sentinel(tag, form, form.native) for _, tag in marked], dtype=form.native),
    )


def _sentinel(tag: Tag, kind: TagType, dtype: np.dtype[Any]) -> Any:
    """The tag's "no value" as the type has it; a bit pattern written unsigned means the same as the signed number."""
    invalid = tag.invalid or 0
    if kind in (TagType.FLOAT32, TagType.FLOAT64):
        return float(invalid)
    native = kind.native
    raw = np.array([invalid % (1 << 8 * native.itemsize)], dtype=f"u{native.itemsize}").view(native)
    return (raw.view(dtype) if native.itemsize == dtype.itemsize else raw.astype(dtype))[0]


def decode(
    plan: Layout, words: bytes, bits: bytes, faults: NDArray[np.uint32] | None = None
) -> list[tuple[NDArray[Any], NDArray[np.uint32] | None]]:
    """Values and quality (None = all good) of each column, in the layout's order. faults: quality by position in the map, 0 = answered."""
    network = np.frombuffer(words, ">u2")
    registers = network.astype(np.uint16)
    swapped = np.frombuffer(words, "<u2") if plan.swaps else registers
    flags = np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little") if bits else np.empty(0, np.uint8)
    results: list[tuple[NDArray[Any], NDArray[np.uint32] | None]] = []
    for column in plan.columns:
        values = np.empty(len(column.tags), column.dtype)
        for part in column.parts:
            values[part.first : part.end] = _values(part, registers, swapped, flags)
        marks = looked(column.looked, values, registers, swapped) if column.looked else None
        results.append((values, _quality(column, values, registers, faults, marks)))
    return results


def _values(part: Part, registers: Words, swapped: Words, flags: NDArray[np.uint8]) -> NDArray[Any]:
    if part.of_bits:
        return flags[part.index[:, 0]]
    if part.masks is not None:
        flagged: NDArray[Any] = (registers[part.index[:, 0]] & part.masks) != 0
        return flagged
    if part.index.shape[1] > 1:
        taken = (swapped if part.swap else registers)[part.index]
        return taken.view(part.kind.native if part.kind is not TagType.UINT32 else np.int32)[:, 0]
    taken = registers[part.index[:, 0]]
    if part.kind in (TagType.INT8, TagType.UINT8):
        return taken.astype(part.kind.native)
    return taken.view(np.int16) if part.kind is TagType.INT16 else taken


def _quality(
    column: Column, values: NDArray[Any], registers: Words, faults: NDArray[np.uint32] | None, marks: NDArray[np.uint32] | None
) -> NDArray[np.uint32] | None:
    """Marks bad values; a float that is no finite number becomes 0, because a value under bad quality means nothing."""
    if faults is None and marks is None and column.dtype.kind != "f" and not len(column.quality_to) and not len(column.sentinel_at):
        return None
    codes = np.zeros(len(values), np.uint32)
    if len(column.quality_to):
        codes[column.quality_to] = _QUALITY_WORDS[np.minimum(registers[column.quality_from], 3)]
    if len(column.sentinel_at):
        codes[column.sentinel_at[values[column.sentinel_at] == column.sentinels]] = quality.BAD_SENSOR_FAILURE
    if column.dtype.kind == "f" and not (known := np.isfinite(values)).all():
        codes[~known] = quality.BAD_SENSOR_FAILURE
        values[~known] = 0
    if marks is not None:
        codes[marks != 0] = marks[marks != 0]
    if faults is not None:
        mine = faults[column.tags]
        codes[mine != 0] = mine[mine != 0]
    return codes if codes.any() else None
