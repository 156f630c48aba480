"""Which Modbus requests a device map needs: options, checks and the read planner. Pure.

Tags of one polling interval form a group; the spans of a group are sorted and joined while a request stays within `max_words`
(`max_bits`) and bridges no gap of more than `max_gap` unused registers. Spans do not overlap partially (checked), so taking as much as
fits from left to right gives the fewest requests there can be.

Word order of values of two or four registers, for a value with the bytes A B C D (E F G H) from high to low:
ABCD as the standard has it; CDAB registers reversed (GHEFCDAB); BADC bytes swapped inside each register (BADCFEHG);
DCBA both, little-endian (HGFEDCBA). Values of one register are always high byte first.
"""

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from protocols.devicemap import DeviceMap, Tag, TagType
from protocols.modbus.address import LAST, Address, Area, Span, parse_address, words
from protocols.tomlfile import Section

MAX_WORDS: Final = 125  # Modbus AP v1.1b3, 6.3
MAX_BITS: Final = 2000  # Modbus AP v1.1b3, 6.1
TIME_WORDS: Final = 4
_FLOATS: Final = (TagType.FLOAT32, TagType.FLOAT64)


class WordOrder(enum.StrEnum):
    ABCD = "ABCD"
    CDAB = "CDAB"
    BADC = "BADC"
    DCBA = "DCBA"

    @property
    def low_word_first(self) -> bool:
        return self in (WordOrder.CDAB, WordOrder.DCBA)

    @property
    def low_byte_first(self) -> bool:
        return self in (WordOrder.BADC, WordOrder.DCBA)


@dataclass(frozen=True, slots=True)
class ModbusOptions:
    """The `modbus` table of a device map.

    source_time: a uint64 of microseconds since the epoch, in the map's word order, that stamps everything the device shows;
    it must change whenever a value does. base: number of the first register (0, or 1 with one-based addressing).
    """

    base: int = 0
    word_order: WordOrder = WordOrder.ABCD
    max_words: int = MAX_WORDS
    max_bits: int = MAX_BITS
    max_gap: int = 8
    timeout_us: int = 1_000_000
    min_pause_us: int = 0
    source_time: Span | None = None


@dataclass(frozen=True, slots=True)
class ModbusSettings:
    """The device's own keys."""

    unit: int = 1


@dataclass(frozen=True, slots=True)
class Request:
    """One read: `span` on the wire, `parts` that are wanted of it, sorted."""

    span: Span
    parts: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Tags (positions in the map) that are polled together; the request that holds the source time comes first."""

    every_us: int
    tags: tuple[int, ...]
    requests: tuple[Request, ...]


def parse_options(section: Section) -> ModbusOptions:
    base = 1 if section.choice("addressing", ("zero_based", "one_based"), "zero_based") == "one_based" else 0
    timeout_us = section.duration_us("timeout", "1s")
    if timeout_us <= 0:
        raise section.error("timeout", '"timeout" must be longer than nothing')
    where = section.text("source_time", "")
    source_time = None
    if where:
        try:
            source_time = _registers(parse_address(where, base), TIME_WORDS, where)
        except ValueError as error:
            raise section.error("source_time", f'"source_time": {error}') from error
    return ModbusOptions(
        base=base,
        word_order=WordOrder(section.choice("word_order", tuple(WordOrder), WordOrder.ABCD)),
        max_words=section.integer("max_words", MAX_WORDS, low=TIME_WORDS, high=MAX_WORDS),
        max_bits=section.integer("max_bits", MAX_BITS, low=1, high=MAX_BITS),
        max_gap=section.integer("max_gap", 8, low=0, high=MAX_WORDS),
        timeout_us=timeout_us,
        min_pause_us=section.duration_us("min_pause", "0ms"),
        source_time=source_time,
    )


def parse_settings(section: Section) -> ModbusSettings:
    try:
        parse_endpoint(section.text("address"))
    except ValueError as error:
        raise section.error("address", f'"address": {error}') from error
    return ModbusSettings(unit=section.integer("unit", 1, low=0, high=255))


def parse_endpoint(address: str) -> tuple[str, int]:
    """Host and port of "host:port" or "[v6]:port"; port 502 when left out. Raises ValueError."""
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        host, port = address, "502"
    if not host or not (port.isascii() and port.isdigit()) or int(port) > LAST:
        raise ValueError(f'expected "host:port", found "{address}"')
    return host.removeprefix("[").removesuffix("]"), int(port)


def value_span(tag: Tag, options: ModbusOptions) -> tuple[Address, Span]:
    """Where the value stands. Raises ValueError with a sentence."""
    address = parse_address(tag.at, options.base)
    if address.area.of_bits:
        if tag.type is not TagType.BOOL:
            raise ValueError(f'"{tag.at}" is a single bit; expected type bool, found {tag.type.value}')
        return address, address.span(1)
    if address.bit is not None and tag.type is not TagType.BOOL:
        raise ValueError(f'"{tag.at}" names a bit; expected type bool, found {tag.type.value}')
    return address, _registers(address, words(tag.type), tag.at)


def quality_span(tag: Tag, options: ModbusOptions) -> Span | None:
    """Where the quality word stands, if the tag has one. Raises ValueError with a sentence."""
    if not tag.quality_at:
        return None
    try:
        return _registers(parse_address(tag.quality_at, options.base), 1, tag.quality_at)
    except ValueError as error:
        raise ValueError(f"quality_at: {error}") from error


def _registers(address: Address, count: int, text: str) -> Span:
    if address.area.of_bits:
        raise ValueError(f'"{text}" is a single bit; expected a holding or input register')
    if address.start + count - 1 > LAST:
        raise ValueError(f'"{text}" with {count} registers ends above register {LAST}')
    return address.span(count)


def problems(device_map: DeviceMap) -> Iterator[tuple[int, str]]:
    """What is wrong with the tags of a map: position and sentence."""
    options: ModbusOptions = device_map.options
    found: list[tuple[Span, TagType | None, int]] = []
    for index, tag in enumerate(device_map.tags):
        try:
            address, span = value_span(tag, options)
            quality = quality_span(tag, options)
        except ValueError as error:
            yield index, str(error)
            continue
        if span.count > options.max_words and not span.area.of_bits:
            yield index, f'"{tag.at}" needs {span.count} registers, max_words allows {options.max_words}'
        if tag.invalid is not None and not _fits(tag):
            yield index, f'"invalid": {tag.invalid} does not fit into {tag.type.value}'
        found.append((span, None if address.bit is not None else tag.type, index))
        if quality:
            found.append((quality, TagType.UINT16, index))
    if options.source_time:
        found.append((options.source_time, TagType.UINT64, -1))
    yield from _overlaps(device_map, sorted(found, key=lambda row: (row[0], row[2])))


def _overlaps(device_map: DeviceMap, rows: list[tuple[Span, TagType | None, int]]) -> Iterator[tuple[int, str]]:
    """Neighbours in address order that share registers without being the same registers read as the same type."""
    for (left, left_type, left_index), (right, right_type, right_index) in pairwise(rows):
        if left.area is right.area and right.start < left.end and (left != right or left_type is not right_type):
            later, earlier = max(left_index, right_index), min(left_index, right_index)
            other = "source_time" if earlier < 0 else f'tag "{device_map.tags[earlier].name}"'
            first, last = right.start + device_map.options.base, min(left.end, right.end) - 1 + device_map.options.base
            place = f"{right.area.value}:{first}" if first == last else f"{right.area.value}:{first} to {last}"
            how = "as another type" if left == right else "in part"
            yield later, f"shares {place} with {other} {how}; one register holds one value"


def _fits(tag: Tag) -> bool:
    """A sentinel may be written signed or as its bit pattern."""
    if tag.type in _FLOATS or tag.invalid is None:
        return True
    bits = 8 * tag.type.native.itemsize if tag.type is not TagType.BOOL else 1
    low = int(np.iinfo(tag.type.native).min) if tag.type is not TagType.BOOL else 0
    return low <= tag.invalid < int(2**bits)


def plan(device_map: DeviceMap) -> tuple[Group, ...]:
    """The polls of a device, shortest interval first. The map has no `problems`."""
    options: ModbusOptions = device_map.options
    groups: dict[int, list[int]] = {}
    for index, tag in enumerate(device_map.tags):
        groups.setdefault(tag.every_us, []).append(index)
    return tuple(_group(every_us, indices, device_map.tags, options) for every_us, indices in sorted(groups.items()))


def _group(every_us: int, indices: list[int], tags: tuple[Tag, ...], options: ModbusOptions) -> Group:
    spans: set[Span] = {options.source_time} if options.source_time else set()
    for index in indices:
        spans.add(value_span(tags[index], options)[1])
        if quality := quality_span(tags[index], options):
            spans.add(quality)
    requests = coalesce(spans, options)
    if options.source_time:
        requests.sort(key=lambda request: options.source_time not in request.parts)
    return Group(every_us, tuple(indices), tuple(requests))


def coalesce(spans: Iterable[Span], options: ModbusOptions) -> list[Request]:
    """The fewest requests that cover the spans within the limits."""
    requests: list[Request] = []
    parts: list[Span] = []
    for span in sorted(spans):
        limit = options.max_bits if span.area.of_bits else options.max_words
        if parts and (span.area is not parts[0].area or span.end - parts[0].start > limit or span.start - parts[-1].end > options.max_gap):
            requests.append(_request(parts))
            parts = []
        parts.append(span)
    if parts:
        requests.append(_request(parts))
    return requests


def _request(parts: list[Span]) -> Request:
    return Request(Span(parts[0].area, parts[0].start, parts[-1].end - parts[0].start), tuple(parts))


def describe(groups: Iterable[Group]) -> str:
    """One line per group: "every 1s: 3 requests touching 118 holding registers for 60 tags"."""
    return "\n".join(f"every {group.every_us / 1_000_000:g}s: {_describe(group)}" for group in groups)


def _describe(group: Group) -> str:
    touched = {area: sum(request.span.count for request in group.requests if request.span.area is area) for area in Area}
    areas = " and ".join(f"{count} {area.plural}" for area, count in touched.items() if count)
    requests = "1 request" if len(group.requests) == 1 else f"{len(group.requests)} requests"
    tags = "1 tag" if len(group.tags) == 1 else f"{len(group.tags)} tags"
    return f"{requests} touching {areas} for {tags}"
