"""MQTT payloads -> columns. Pure: bytes, topic and time of arrival in; samples out.

Samples of several messages are gathered in lists per numpy type and become arrays once per frame. A message that cannot be read raises
Malformed; a value that does not fit its tag is a sample of bad quality; a tag that a message does not mention gets no sample.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import Any, Final

import numpy as np

from protocols import quality
from protocols.devicemap import Device, TagType
from protocols.frame import Block
from protocols.mqtt.plan import MqttOptions, PathSteps, TimeUnit, parse_path
from protocols.mqtt.protobuf import WireError
from protocols.mqtt.sparkplug import Heard, Kind, Metric, Node, decode_payload

MAX_PAYLOAD: Final = 1_000_000
LATEST_US: Final = 1 << 62
_MISSING: Final = object()
Lists = tuple[list[int], list[int], list[float], list[int]]
_PER_SECOND: Final = {TimeUnit.MICROSECONDS: 1, TimeUnit.MILLISECONDS: 1_000, TimeUnit.SECONDS: 1_000_000}
# Sparkplug 3.0, 6.4.11: property "Quality" is 0 bad, 192 good, 500 stale; 64 as in OPC DA.
_METRIC_QUALITY: Final = {0: quality.BAD, 64: quality.UNCERTAIN, 192: quality.GOOD, 500: quality.UNCERTAIN_LAST_USABLE}
_FLOAT32_MAX: Final = float(np.finfo(np.float32).max)


class Malformed(Exception):
    """The message is not what the device map says; nothing of it can be kept."""


@dataclass(slots=True)
class Columns:
    """Samples in order of arrival, by numpy type."""

    _lists: dict[np.dtype[Any], Lists] = field(default_factory=dict)

    def lists(self, column: np.dtype[Any]) -> Lists:
        """Tags, times, values and qualities to append to."""
        return self._lists.get(column) or self._lists.setdefault(column, ([], [], [], []))

    def add(self, column: np.dtype[Any], tag: int, time_us: int, value: float, code: int) -> None:
        tags, times, values, codes = self.lists(column)
        tags.append(tag)
        times.append(time_us)
        values.append(value)
        codes.append(code)

    def blocks(self) -> tuple[Block, ...]:
        return tuple(
            Block(
                np.array(tags, np.uint32),
                np.array(times, np.int64),
                np.array(values, column),
                np.array(codes, np.uint32) if any(codes) else None,
            )
            for column, (tags, times, values, codes) in self._lists.items()
            if tags
        )

    def __bool__(self) -> bool:
        return any(lists[0] for lists in self._lists.values())


def convert(value: Any, kind: TagType) -> tuple[float, int]:
    """The number as its column carries it, and its quality. Floats stay exact, integers are checked against their type."""
    if value is None:
        return 0, quality.BAD_SENSOR_FAILURE
    if isinstance(value, bool):
        return (int(value), quality.GOOD) if kind is TagType.BOOL else (0, quality.BAD_TYPE_MISMATCH)
    if not isinstance(value, int | float):
        return 0, quality.BAD_TYPE_MISMATCH
    if isinstance(value, float) and not math.isfinite(value):
        return 0, quality.BAD_SENSOR_FAILURE
    if kind is TagType.FLOAT64 or kind is TagType.FLOAT32:
        limit = _FLOAT32_MAX if kind is TagType.FLOAT32 else 1.7976931348623157e308
        return (value, quality.GOOD) if -limit <= value <= limit else (0, quality.BAD_OUT_OF_RANGE)
    whole = int(value)
    if whole != value:
        return 0, quality.BAD_TYPE_MISMATCH
    return _carried(whole, kind)


def _carried(whole: int, kind: TagType) -> tuple[int, int]:
    low, high = (0, 1) if kind is TagType.BOOL else _LIMITS[kind]
    if not low <= whole <= high:
        return 0, quality.BAD_OUT_OF_RANGE
    size = 8 * kind.column.itemsize
    return (whole - (1 << size) if whole >> size - 1 and whole > 0 else whole), quality.GOOD


_LIMITS: Final[dict[TagType, tuple[int, int]]] = {
    kind: (int(np.iinfo(kind.native).min), int(np.iinfo(kind.native).max))
    for kind in TagType
    if kind not in (TagType.BOOL, TagType.FLOAT32, TagType.FLOAT64)
}


@dataclass(frozen=True, slots=True)
class _Item:
    """home, key: the place of the value as a number in the reader's list of containers and the last step into it; likewise its quality."""

    tag: int
    kind: TagType
    plain: bool
    home: int
    key: str | int
    quality_home: int | None
    quality_key: str | int
    invalid: int | None


@dataclass(frozen=True, slots=True)
class _Group:
    """Items of one numpy type. values_at, words_at: (container, how to take all values or quality words out of it), where they share one."""

    items: tuple[_Item, ...]
    tags: tuple[int, ...]
    values_at: tuple[int, Callable[[Any], tuple[Any, ...]]] | None
    words_at: tuple[int, Callable[[Any], tuple[Any, ...]]] | None
    rated: bool

    @classmethod
    def of(cls, items: list[_Item]) -> "_Group":
        values_at = words_at = None
        if len(items) > 1 and all(item.plain for item in items) and len({item.home for item in items}) == 1:
            values_at = (items[0].home, itemgetter(*(item.key for item in items)))
        quality_home = items[0].quality_home
        if len(items) > 1 and quality_home is not None and len({item.quality_home for item in items}) == 1:
            words_at = (quality_home, itemgetter(*(item.quality_key for item in items)))
        return cls(
            tuple(items), tuple(item.tag for item in items), values_at, words_at, any(item.quality_home is not None for item in items)
        )

    def all_good(self, homes: list[Any]) -> tuple[float, ...] | None:
        """The values when every one is a finite float of stated good quality, else None."""
        if self.values_at is None or (self.rated and self.words_at is None):
            return None
        try:
            numbers = self.values_at[1](homes[self.values_at[0]])
            words = self.words_at[1](homes[self.words_at[0]]) if self.words_at else ()
        except (KeyError, IndexError, TypeError):
            return None
        if words.count("good") != len(words) or set(map(type, numbers)) != {float} or not math.isfinite(sum(map(abs, numbers))):
            return None
        return numbers


class JsonReader:
    """Reads the JSON messages of one device. Containers on the way to the values are looked up once per message, not once per tag."""

    def __init__(self, device: Device) -> None:
        options: MqttOptions = device.map.options
        self._time_at, self._unit = options.time_at, options.time_unit
        self._homes: list[PathSteps] = []
        groups: dict[np.dtype[Any], list[_Item]] = {}
        for index, tag in enumerate(device.map.tags):
            home, key = self._place(parse_path(tag.at))
            quality_home, quality_key = self._place(parse_path(tag.quality_at)) if tag.quality_at else (None, "")
            plain = tag.type is TagType.FLOAT64 and tag.invalid is None
            item = _Item(device.first_id + index, tag.type, plain, home, key, quality_home, quality_key, tag.invalid)
            groups.setdefault(tag.type.column, []).append(item)
        self._groups = [(column, _Group.of(items)) for column, items in groups.items()]

    def _place(self, path: PathSteps) -> tuple[int, str | int]:
        if path[:-1] not in self._homes:
            self._homes.append(path[:-1])
        return self._homes.index(path[:-1]), path[-1]

    def read(self, payload: bytes, arrived_us: int, columns: Columns) -> None:
        """Raises Malformed, and has then added nothing."""
        if len(payload) > MAX_PAYLOAD:
            raise Malformed(f"{len(payload)} bytes are more than {MAX_PAYLOAD}")
        try:
            document = json.loads(payload)
        except (ValueError, RecursionError) as error:
            raise Malformed(f"not JSON: {error}") from error
        time_us = arrived_us if self._time_at is None else _time_us(_follow(document, self._time_at), self._unit)
        homes = [_follow(document, path) for path in self._homes]
        for column, group in self._groups:
            tags, times, values, codes = columns.lists(column)
            if numbers := group.all_good(homes):
                tags.extend(group.tags)
                times.extend([time_us] * len(numbers))
                values.extend(numbers)
                codes.extend([0] * len(numbers))
                continue
            for item in group.items:
                try:
                    value = homes[item.home][item.key]
                except (KeyError, IndexError, TypeError):
                    continue
                number, code = _converted(value, item)
                if item.quality_home is not None and not code:
                    code = _stated(homes[item.quality_home], item.quality_key)
                tags.append(item.tag)
                times.append(time_us)
                values.append(number)
                codes.append(code)


def _converted(value: Any, item: _Item) -> tuple[float, int]:
    if item.invalid is not None and value == item.invalid:
        return 0, quality.BAD_SENSOR_FAILURE
    return convert(value, item.kind)


def _follow(document: Any, path: PathSteps) -> Any:
    try:
        for step in path:
            document = document[step]
    except (KeyError, IndexError, TypeError):
        return _MISSING
    return document


def _stated(home: Any, key: str | int) -> int:
    """The quality a message states; a word that is none is no reason to trust the value."""
    try:
        word = home[key]
    except (KeyError, IndexError, TypeError):
        return quality.BAD_DATA_ENCODING_INVALID
    if isinstance(word, str):
        return quality.PLAIN.get(word if word in quality.PLAIN else word.lower(), quality.BAD_DATA_ENCODING_INVALID)
    return quality.PLAIN.get(word, quality.BAD_DATA_ENCODING_INVALID) if type(word) is int else quality.BAD_DATA_ENCODING_INVALID


def _time_us(value: Any, unit: TimeUnit) -> int:
    time_us = -1
    if unit is TimeUnit.ISO and isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
            offset = moment.utcoffset()
        except ValueError as error:
            raise Malformed(f"source time {value!r} is not ISO 8601") from error
        if offset is None:
            raise Malformed(f"source time {value!r} names no time zone")
        naive = moment.replace(tzinfo=None) - offset - datetime(1970, 1, 1)  # noqa: DTZ001
        time_us = (naive.days * 86_400 + naive.seconds) * 1_000_000 + naive.microseconds
    elif unit is not TimeUnit.ISO and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        time_us = round(value * _PER_SECOND[unit])
    if not 0 <= time_us < LATEST_US:
        raise Malformed("source time is missing" if value is _MISSING else f"source time {value!r} is no time in {unit.value}")
    return time_us


class SparkplugReader:
    """Reads the messages of one Sparkplug node or device, and keeps its birth state."""

    def __init__(self, device: Device) -> None:
        options: MqttOptions = device.map.options
        self._node = Node(options.device.replace("{device}", device.name))
        self._tags: dict[str, list[tuple[int, TagType, int | None]]] = {}
        for index, tag in enumerate(device.map.tags):
            self._tags.setdefault(tag.at, []).append((device.first_id + index, tag.type, tag.invalid))
        self._all = [(device.first_id + index, tag.type) for index, tag in enumerate(device.map.tags)]

    def read(self, topic: str, payload: bytes, arrived_us: int, columns: Columns, seen: "Seen") -> Heard:
        """Raises Malformed, and has then added nothing."""
        levels = topic.split("/")
        if len(levels) not in (4, 5) or levels[2] not in tuple(Kind):
            return Heard()  # commands and host states are for others
        if len(payload) > MAX_PAYLOAD:
            raise Malformed(f"{len(payload)} bytes are more than {MAX_PAYLOAD}")
        try:
            decoded = decode_payload(payload)
        except WireError as error:
            raise Malformed(f"not a Sparkplug payload: {error}") from error
        kind = Kind(levels[2])
        heard = self._node.hear(kind, levels[4] if len(levels) == 5 else "", decoded)
        if heard.died:
            for tag, tag_type in self._all:
                columns.add(tag_type.column, tag, arrived_us, 0, quality.BAD_NO_COMMUNICATION)
        default_ms = decoded.timestamp_ms
        for metric in heard.metrics:
            for tag, tag_type, invalid in self._tags.get(metric.name, ()):
                stamp_ms = metric.timestamp_ms if metric.timestamp_ms is not None else default_ms
                time_us = arrived_us if stamp_ms is None or stamp_ms >= LATEST_US // 1000 else 1000 * stamp_ms
                if not heard.born or seen.fresh(tag, time_us):
                    columns.add(tag_type.column, tag, time_us, *_metric_value(metric, tag_type, invalid))
                seen.note(tag, time_us)
        return heard


def _metric_value(metric: Metric, kind: TagType, invalid: int | None) -> tuple[float, int]:
    if metric.null or not metric.known or (invalid is not None and metric.value == invalid):
        return 0, quality.BAD_SENSOR_FAILURE if metric.known else quality.BAD_TYPE_MISMATCH
    number, code = convert(metric.value, kind)
    if metric.quality is not None and not code:
        code = _METRIC_QUALITY.get(metric.quality, quality.BAD)
    return number, code


class Seen:
    """Latest source time by tag, so that a birth that repeats the current values adds no second sample."""

    def __init__(self) -> None:
        self._latest: dict[int, int] = {}

    def fresh(self, tag: int, time_us: int) -> bool:
        latest = self._latest.get(tag)
        return latest is None or time_us > latest

    def note(self, tag: int, time_us: int) -> None:
        if time_us > self._latest.get(tag, -1):
            self._latest[tag] = time_us


def add_undecoded(device: Device, arrived_us: int, columns: Columns) -> None:
    """What the tags get when a message of their topic could not be read."""
    for index, tag in enumerate(device.map.tags):
        columns.add(tag.type.column, device.first_id + index, arrived_us, 0, quality.BAD_DATA_ENCODING_INVALID)
