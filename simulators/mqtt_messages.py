"""What a simulated MQTT device says: a step of engineering values as messages of its map's payload kind. Pure.

Tags that are elements of one Sparkplug array ("grid[2]") are told as that array; other members as metrics of their own name.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocols import quality
from protocols.devicemap import Device, Tag, TagType, to_engineering, to_raw
from protocols.mqtt.command import DATATYPES
from protocols.mqtt.datatypes import DataType
from protocols.mqtt.plan import MqttOptions, PathSteps, PayloadKind, RecordPaths, TimeUnit, named, parse_path, tag_topic
from protocols.mqtt.sparkplug import Metric
from simulators.face import Step

_ELEMENT: Final = re.compile(r"(.+)\[(\d{1,4})\]")
_WORDS: Final = ("good", "uncertain", "bad", "bad")


@dataclass(frozen=True, slots=True)
class Told:
    """A step as a message tells it: raw numbers or None, and what a client makes of them."""

    time_us: int
    numbers: tuple[float | bool | None, ...]
    severities: tuple[int, ...]
    values: NDArray[np.float64]
    quality: NDArray[np.uint32]


def tell(tags: Sequence[Tag], options: MqttOptions, step: Step) -> Told:
    """Raises OverflowError for a value that its type cannot hold."""
    sparkplug = options.payload is PayloadKind.SPARKPLUG
    all_rated = sparkplug or (options.records is not None and options.records.quality_at is not None)
    timed = options.time_at is not None or (options.records is not None and options.records.time_at is not None)
    milli = sparkplug or (timed and options.time_unit is TimeUnit.MILLISECONDS)
    numbers: list[float | bool | None] = []
    severities: list[int] = []
    values, codes = np.zeros(len(tags)), np.zeros(len(tags), np.uint32)
    for index, tag in enumerate(tags):
        value, severity = float(step.values[index]), min(int(step.quality[index]) >> 30, 2)
        rated = all_rated or bool(tag.quality_at)
        if np.isnan(value) or (severity == 2 and not rated):
            numbers.append(None)
            severities.append(2)
            codes[index] = quality.BAD_SENSOR_FAILURE
            continue
        raw = to_raw(np.array([value]), tag.type, tag.scale, tag.offset)
        values[index] = to_engineering(raw, tag.type, tag.scale, tag.offset)[0]
        number = raw.view(tag.type.native)[0] if tag.type in (TagType.UINT32, TagType.UINT64) else raw[0]
        numbers.append(bool(number) if tag.type is TagType.BOOL else number.item())
        severities.append(severity if rated else 0)
        codes[index] = (quality.GOOD, quality.UNCERTAIN, quality.BAD)[severity] if rated else quality.GOOD
    return Told(step.time_us // 1000 * 1000 if milli else step.time_us, tuple(numbers), tuple(severities), values, codes)


def json_message(tags: Sequence[Tag], options: MqttOptions, told: Told) -> bytes:
    document: dict[str, Any] = {}
    if options.time_at is not None:
        _place(document, options.time_at, _written(told.time_us, options.time_unit))
    for tag, number, severity in zip(tags, told.numbers, told.severities, strict=True):
        _place(document, parse_path(tag.at), number)
        if tag.quality_at:
            _place(document, parse_path(tag.quality_at), _WORDS[severity])
    return json.dumps(document, separators=(",", ":")).encode()


def _written(time_us: int, unit: TimeUnit) -> int | float | str:
    match unit:
        case TimeUnit.MICROSECONDS:
            return time_us
        case TimeUnit.MILLISECONDS:
            return time_us // 1000
        case TimeUnit.SECONDS:
            return time_us / 1_000_000
        case TimeUnit.ISO:
            return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)).isoformat()


def _place(document: Any, path: PathSteps, value: Any) -> None:
    for step, following in pairwise(path):
        empty: Any = [] if isinstance(following, int) else {}
        document = _at(document, step, empty)
    if isinstance(path[-1], int):
        _at(document, path[-1], None)
    document[path[-1]] = value


def _at(document: Any, step: str | int, empty: Any) -> Any:
    if isinstance(step, int):
        document.extend([None] * (step + 1 - len(document)))
        if document[step] is None:
            document[step] = empty
    elif step not in document:
        document[step] = empty
    return document[step]


def record_message(tags: Sequence[Tag], options: MqttOptions, told: Told) -> bytes:
    paths: RecordPaths = options.records or RecordPaths((), ("name",), ("value",), None, None)
    items: list[Any] = []
    for tag, number, severity in zip(tags, told.numbers, told.severities, strict=True):
        item: dict[str, Any] = {}
        _place(item, paths.key, tag.at)
        _place(item, paths.value, number)
        if paths.time_at is not None:
            _place(item, paths.time_at, _written(told.time_us, options.time_unit))
        if paths.quality_at is not None:
            _place(item, paths.quality_at, _WORDS[severity])
        items.append(item)
    document: Any = {}
    if options.time_at is not None:
        _place(document, options.time_at, _written(told.time_us, options.time_unit))
    if paths.items:
        _place(document, paths.items, items)
    return json.dumps(document if paths.items else items, separators=(",", ":")).encode()


def messages(device: Device, told: Told) -> list[tuple[str, bytes]]:
    """Topics and payloads of everything but Sparkplug."""
    options: MqttOptions = device.map.options
    tags = device.map.tags
    if options.payload is PayloadKind.RECORDS:
        return [(topic_of(options.topic, device), record_message(tags, options, told))]
    if options.payload is PayloadKind.PLAIN:
        return [
            (topic_of(tag.at, device), b"" if number is None else json.dumps(number).encode())
            for tag, number in zip(tags, told.numbers, strict=True)
        ]
    places: dict[str, list[int]] = {}
    for index, tag in enumerate(tags):
        places.setdefault(topic_of(tag_topic(options, tag), device), []).append(index)
    if len(places) == 1:
        return [(topic, json_message(tags, options, told)) for topic in places]
    return [(topic, json_message([tags[i] for i in mine], options, part(told, mine))) for topic, mine in places.items()]


def topic_of(pattern: str, device: Device) -> str:
    """A topic that the filter of the map matches."""
    return named(pattern, device.name).replace("+", device.name).replace("#", device.name)


def part(told: Told, places: Sequence[int]) -> Told:
    numbers, severities = (tuple(column[i] for i in places) for column in (told.numbers, told.severities))
    return Told(told.time_us, numbers, severities, told.values[list(places)], told.quality[list(places)])  # type: ignore[arg-type]


def metrics(tags: Sequence[Tag], told: Told, *, historical: bool = False) -> tuple[Metric, ...]:
    stated = (None, 64, 0)
    at_ms = told.time_us // 1000
    found: list[Metric] = []
    arrays: dict[str, list[tuple[int, int]]] = {}
    for index, (tag, number, severity) in enumerate(zip(tags, told.numbers, told.severities, strict=True)):
        if element := _ELEMENT.fullmatch(tag.at):
            arrays.setdefault(element[1], []).append((int(element[2]), index))
            continue
        null = number is None
        found.append(Metric(tag.at, number, DATATYPES[tag.type], at_ms, historical=historical, null=null, quality=stated[severity]))
    for name, elements in arrays.items():
        values = [0.0] * (1 + max(place for place, _ in elements))
        for place, index in elements:
            values[place] = float(told.numbers[index] or 0)
        worst = max(told.severities[index] for _, index in elements)
        found.append(Metric(name, tuple(values), DataType.DOUBLE_ARRAY, at_ms, historical=historical, quality=stated[worst]))
    return tuple(found)
