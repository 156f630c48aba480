"""JSON messages with the values of many tags at known paths -> columns. Pure.

A message that cannot be read raises Malformed and has then added nothing; a value that does not fit its tag is a sample of bad quality; a tag
that a message does not mention gets no sample.
"""

import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np

from protocols import quality
from protocols.devicemap import Device, TagType
from protocols.mqtt.columns import MAX_PAYLOAD, Columns, Malformed, convert, follow, stated_quality, time_us_of, words_of
from protocols.mqtt.plan import MqttOptions, PathSteps, parse_path
from protocols.mqtt.watch import Texts

_NO_WORDS: Mapping[str, int] = {}


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
    words: Mapping[str, int]


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

    def __init__(self, device: Device, only: Collection[int] | None = None, texts: Texts | None = None) -> None:
        """only: positions of the tags to read, None = all."""
        options: MqttOptions = device.map.options
        self._time_at, self._unit, self._texts = options.time_at, options.time_unit, texts
        self._homes: list[PathSteps] = []
        groups: dict[np.dtype[Any], list[_Item]] = {}
        for index, tag in enumerate(device.map.tags):
            if only is not None and index not in only:
                continue
            home, key = self._place(parse_path(tag.at))
            quality_home, quality_key = self._place(parse_path(tag.quality_at)) if tag.quality_at else (None, "")
            plain = tag.type is TagType.FLOAT64 and tag.invalid is None and not tag.labels
            words = words_of(tag) if tag.labels else _NO_WORDS
            item = _Item(device.first_id + index, tag.type, plain, home, key, quality_home, quality_key, tag.invalid, words)
            groups.setdefault(tag.type.column, []).append(item)
        self._groups = [(column, _Group.of(items)) for column, items in groups.items()]

    def _place(self, path: PathSteps) -> tuple[int, str | int]:
        if path[:-1] not in self._homes:
            self._homes.append(path[:-1])
        return self._homes.index(path[:-1]), path[-1]

    def read(self, payload: bytes, arrived_us: int, columns: Columns) -> None:
        """Raises Malformed, and has then added nothing."""
        document = parse(payload)
        time_us = arrived_us if self._time_at is None else time_us_of(follow(document, self._time_at), self._unit)
        homes = [follow(document, path) for path in self._homes]
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
                    code = stated_quality(homes[item.quality_home], item.quality_key)
                tags.append(item.tag)
                times.append(time_us)
                values.append(number)
                codes.append(code)
        if self._texts:
            for at, path in self._texts.paths:
                self._texts.hear(at, follow(document, path), time_us)


def _converted(value: Any, item: _Item) -> tuple[float, int]:
    if item.invalid is not None and value == item.invalid:
        return 0, quality.BAD_SENSOR_FAILURE
    if item.words and isinstance(value, str):
        value = item.words.get(value.casefold(), value)
    return convert(value, item.kind)


def parse(payload: bytes) -> Any:
    """Raises Malformed."""
    if len(payload) > MAX_PAYLOAD:
        raise Malformed(f"{len(payload)} bytes are more than {MAX_PAYLOAD}")
    try:
        return json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not JSON: {error}") from error
