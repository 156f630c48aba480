"""Which Modbus requests a device map needs: checks and the read planner. Pure. Options and keys are in `settings`.

Tags of one polling interval form a group; the spans of a group are sorted and joined while a request stays within `max_words`
(`max_bits`) and bridges no gap of more than `max_gap` unused registers. Spans do not overlap partially (checked), so taking as much as
fits from left to right gives the fewest requests there can be.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from protocols.devicemap import DeviceMap, Tag, TagType
from protocols.modbus.address import LAST_RECORD, Address, Area, Span, parse_address
from protocols.modbus.endpoint import parse_endpoint
from protocols.modbus.settings import (
    ModbusOptions,
    ModbusSettings,
    WordOrder,
    check_registers,
    form_of,
    look_of,
    parse_options,
    parse_settings,
    parse_tag,
    registers,
)
from protocols.modbus.texts import text_problems

__all__ = [
    "Group",
    "ModbusOptions",
    "ModbusSettings",
    "Request",
    "WordOrder",
    "aside_spans",
    "coalesce",
    "describe",
    "parse_endpoint",
    "parse_options",
    "parse_settings",
    "parse_tag",
    "plan",
    "problems",
    "quality_span",
    "scale_span",
    "text_problems",
    "value_span",
]

_FLOATS: Final = (TagType.FLOAT32, TagType.FLOAT64)


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


def value_span(tag: Tag, options: ModbusOptions) -> tuple[Address, Span]:
    """Where the value stands. Raises ValueError with a sentence."""
    address = parse_address(tag.at, options.base)
    if address.area.of_bits:
        if tag.type is not TagType.BOOL:
            raise ValueError(f'"{tag.at}" is a single bit; expected type bool, found {tag.type.value}')
        return address, address.span(1)
    if address.bit is not None:
        _check_bits(tag, address)
        return address, address.span(1)
    return address, _registers(address, registers(tag), tag.at)


def _check_bits(tag: Tag, address: Address) -> None:
    if tag.extra is not None:
        raise ValueError(f'"{tag.at}" names bits; form, scale_at and word_order are for whole registers')
    if address.width == 1 and tag.type is not TagType.BOOL:
        raise ValueError(f'"{tag.at}" names a bit; expected type bool, found {tag.type.value}')
    if address.width > 1 and (tag.type is TagType.BOOL or tag.type in _FLOATS or address.width > 8 * tag.type.native.itemsize):
        raise ValueError(f'"{tag.at}" names {address.width} bits; expected an integer type that holds them, found {tag.type.value}')


def quality_span(tag: Tag, options: ModbusOptions) -> Span | None:
    """Where the quality word stands, if the tag has one. Raises ValueError with a sentence."""
    return _aside("quality_at", tag.quality_at, options)


def scale_span(tag: Tag, options: ModbusOptions) -> Span | None:
    """Where the exponent stands that scales the tag, if one does. Raises ValueError with a sentence."""
    return _aside("scale_at", look_of(tag).scale_at, options)


def aside_spans(tag: Tag, options: ModbusOptions) -> tuple[Span, ...]:
    """What must be read besides the value."""
    return tuple(span for span in (quality_span(tag, options), scale_span(tag, options)) if span)


def _aside(key: str, text: str, options: ModbusOptions) -> Span | None:
    if not text:
        return None
    try:
        address = parse_address(text, options.base)
        if address.bit is not None:
            raise ValueError(f'"{text}" names bits; expected a whole register')
        return _registers(address, 1, text)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error


def _registers(address: Address, count: int, text: str) -> Span:
    span = address.span(count)
    check_registers(span, text)
    if span.area is Area.FILE and span.record + count - 1 > LAST_RECORD:
        raise ValueError(f'"{text}" with {count} records ends above record {LAST_RECORD}')
    return span


def problems(device_map: DeviceMap) -> Iterator[tuple[int, str]]:
    """What is wrong with the tags of a map: position and sentence."""
    options: ModbusOptions = device_map.options
    found: list[tuple[Span, TagType | None, int]] = []
    for index, tag in enumerate(device_map.tags):
        try:
            address, span = value_span(tag, options)
            quality, scale = quality_span(tag, options), scale_span(tag, options)
        except ValueError as error:
            yield index, str(error)
            continue
        if span.count > options.max_words and not span.area.of_bits:
            yield index, f'"{tag.at}" needs {span.count} registers, max_words allows {options.max_words}'
        if tag.invalid is not None and not _fits(tag):
            yield index, f'"invalid": {tag.invalid} does not fit into {form_of(tag).value}'
        if tag.write and span.area in (Area.INPUT, Area.DISCRETE, Area.FILE):
            yield index, f'"write": "{tag.at}" can only be read; holding registers and coils can be written'
        found.append((span, None if address.bit is not None else form_of(tag), index))
        if quality:
            found.append((quality, TagType.UINT16, index))
        if scale:
            found.append((scale, TagType.INT16, index))
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
    kind = form_of(tag)
    if kind in _FLOATS or tag.invalid is None:
        return True
    bits = 8 * kind.native.itemsize if kind is not TagType.BOOL else 1
    low = int(np.iinfo(kind.native).min) if kind is not TagType.BOOL else 0
    return low <= tag.invalid < int(2**bits)


def plan(device_map: DeviceMap, options: ModbusOptions | None = None) -> tuple[Group, ...]:
    """The polls of a device, shortest interval first. The map has no `problems`. options: the device's own, None = the map's."""
    limits: ModbusOptions = options or device_map.options
    groups: dict[int, list[int]] = {}
    for index, tag in enumerate(device_map.tags):
        groups.setdefault(tag.every_us, []).append(index)
    return tuple(group_of(every_us, indices, device_map.tags, limits) for every_us, indices in sorted(groups.items()))


def group_of(every_us: int, indices: list[int], tags: tuple[Tag, ...], options: ModbusOptions) -> Group:
    spans: set[Span] = {options.source_time} if options.source_time else set()
    for index in indices:
        spans.add(value_span(tags[index], options)[1])
        spans.update(aside_spans(tags[index], options))
    requests = coalesce(spans, options)
    if options.source_time:
        requests.sort(key=lambda request: options.source_time not in request.parts)
    return Group(every_us, tuple(indices), tuple(requests))


def coalesce(spans: Iterable[Span], options: ModbusOptions) -> list[Request]:
    """The fewest requests that cover the spans within the limits."""
    requests: list[Request] = []
    parts: list[Span] = []
    for span in sorted(spans):
        limit = options.most(span.area)
        if parts and (span.area is not parts[0].area or span.end - parts[0].start > limit or span.start - parts[-1].end > options.max_gap):
            requests.append(_request(parts))
            parts = []
        parts.append(span)
    if parts:
        requests.append(_request(parts))
    return requests


def _request(parts: list[Span]) -> Request:
    return Request(Span(parts[0].area, parts[0].start, parts[-1].end - parts[0].start), tuple(parts))


def describe(groups: Iterable[Group], device_map: DeviceMap | None = None) -> str:
    """One line per group: "every 1s: 3 requests touching 118 holding registers for 60 tags"; with the map, one more per request."""
    lines: list[str] = []
    for group in groups:
        lines.append(f"every {group.every_us / 1_000_000:g}s: {_describe(group)}")
        if device_map:
            lines.extend(f"  {_request_line(request, group, device_map)}" for request in group.requests)
    return "\n".join(lines)


def _describe(group: Group) -> str:
    touched = {area: sum(request.span.count for request in group.requests if request.span.area is area) for area in Area}
    areas = " and ".join(f"{count} {area.plural}" for area, count in touched.items() if count)
    return f"{_count(len(group.requests), 'request')} touching {areas} for {_count(len(group.tags), 'tag')}"


def _request_line(request: Request, group: Group, device_map: DeviceMap) -> str:
    """ "holding:100..215, 116 words, 60 tags" in the map's own numbers; the time between them is the device's."""
    options: ModbusOptions = device_map.options
    parts = set(request.parts)
    tags = sum(value_span(device_map.tags[index], options)[1] in parts for index in group.tags)
    size = _count(request.span.count, "bit" if request.span.area.of_bits else "word")
    return f"{request.span.text(options.base)}, {size}, {_count(tags, 'tag')}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
