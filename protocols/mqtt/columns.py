"""Samples of several messages in columns, and how one value, quality word or time becomes what a column carries. Pure.

Lists per numpy type, which become arrays once per frame.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import numpy as np

from protocols import quality
from protocols.devicemap import Tag, TagType
from protocols.frame import Block
from protocols.mqtt.plan import PathSteps, TimeUnit

MAX_PAYLOAD: Final = 1_000_000
LATEST_US: Final = 1 << 62
MISSING: Final = object()
Lists = tuple[list[int], list[int], list[float], list[int]]
_PER_SECOND: Final = {TimeUnit.MICROSECONDS: 1, TimeUnit.MILLISECONDS: 1_000, TimeUnit.SECONDS: 1_000_000}
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

    def marks(self) -> dict[np.dtype[Any], int]:
        """How many samples there are, to `lower` what comes behind."""
        return {column: len(lists[0]) for column, lists in self._lists.items()}

    def lower(self, marks: Mapping[np.dtype[Any], int], code: int) -> None:
        """Give the samples behind `marks` that are good the quality `code`."""
        for column, (tags, _, _, codes) in self._lists.items():
            for place in range(marks.get(column, 0), len(tags)):
                codes[place] = codes[place] or code

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


def stated_quality(home: Any, key: str | int) -> int:
    """The quality a message states; a word that is none is no reason to trust the value."""
    try:
        word = home[key]
    except (KeyError, IndexError, TypeError):
        return quality.BAD_DATA_ENCODING_INVALID
    if isinstance(word, str):
        return quality.PLAIN.get(word if word in quality.PLAIN else word.lower(), quality.BAD_DATA_ENCODING_INVALID)
    return quality.PLAIN.get(word, quality.BAD_DATA_ENCODING_INVALID) if type(word) is int else quality.BAD_DATA_ENCODING_INVALID


def time_us_of(value: Any, unit: TimeUnit) -> int:
    """Raises Malformed where the value is no time of that unit."""
    time_us = -1
    if unit is TimeUnit.ISO and isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
            offset = moment.utcoffset()
            naive = None if offset is None else moment.replace(tzinfo=None) - offset - datetime(1970, 1, 1)  # noqa: DTZ001
        except (ValueError, OverflowError) as error:
            raise Malformed(f"source time {value[:40]!r} is not ISO 8601") from error
        if naive is None:
            raise Malformed(f"source time {value[:40]!r} names no time zone")
        time_us = (naive.days * 86_400 + naive.seconds) * 1_000_000 + naive.microseconds
    elif unit is not TimeUnit.ISO and (type(value) is int or (type(value) is float and math.isfinite(value))):
        time_us = round(value * _PER_SECOND[unit])
    if not 0 <= time_us < LATEST_US:
        raise Malformed(
            "source time is missing"
            if value is MISSING
            else f"source time {str(value)[:40] if isinstance(value, str | float) else type(value).__name__} is no time in {unit.value}"
        )
    return time_us


def follow(document: Any, path: PathSteps) -> Any:
    """What stands at the path, MISSING where nothing does."""
    try:
        for step in path:
            document = document[step]
    except (KeyError, IndexError, TypeError):
        return MISSING
    return document


def words_of(tag: Tag) -> dict[str, int]:
    """Numbers by the words that stand for them in a message: the tag's labels, in any case."""
    return {label.casefold(): number for number, label in tag.labels.items()}
