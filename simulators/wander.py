"""Plausible moving values for any device map: what `qenergyz sim serve` shows where there is neither a recording nor a plant.

Measurements swing slowly around a middle that suits their range or unit, counters rise, truth values and enumerations change now and then.
Seeded and a function of (seed, tag, step) alone, so that two runs show the same. It imitates no physics: a model is `simulators/plant`.
"""

import math
import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocols.devicemap import Tag, TagType, to_engineering
from simulators.face import Step

# Middle and swing by unit, for tags without a range.
TYPICAL: Final = {
    "V": (230.0, 6.0), "kV": (11.0, 0.2), "A": (40.0, 15.0), "Hz": (50.0, 0.05), "degC": (45.0, 8.0), "K": (318.0, 8.0), "bar": (6.0, 1.0),
    "kPa": (600.0, 80.0), "Pa": (6e5, 5e4), "m": (4.0, 1.0), "%": (55.0, 20.0), "1/min": (1480.0, 20.0), "W": (4000.0, 900.0),
    "kW": (40.0, 12.0), "kVA": (45.0, 12.0), "kvar": (9.0, 3.0), "m3/h": (120.0, 15.0), "kg/h": (900.0, 80.0), "kg/m3": (840.0, 4.0),
}  # fmt: skip
OTHERWISE: Final = (10.0, 3.0)
STEPS_PER_CHANGE: Final = 30


class WanderSource:
    """See `simulators.face.Source`; never ends."""

    def __init__(self, tags: Sequence[Tag], seed: int) -> None:
        self._tags = tags
        self._keys = [zlib.crc32(f"{seed}/{tag.name}".encode()) for tag in tags]
        self._limits = [_limits(tag) for tag in tags]

    def step(self, index: int, time_us: int) -> Step:
        values = [self._value(tag, key, limits, index) for tag, key, limits in zip(self._tags, self._keys, self._limits, strict=True)]
        return Step(time_us, np.array(values), np.zeros(len(values), np.uint32))

    def _value(self, tag: Tag, key: int, limits: tuple[float, float], index: int) -> float:
        turn = (index + key % STEPS_PER_CHANGE) // STEPS_PER_CHANGE
        if tag.labels:
            numbers = sorted(tag.labels)
            raw = numbers[(key + turn) % len(numbers)]
            return _engineering(tag, raw) if tag.type is not TagType.BOOL else float(raw)
        if tag.type is TagType.BOOL:
            return float(key + turn & 1)
        if tag.counter:
            raw = key % 50_000 + index
            return _engineering(tag, raw % tag.rollover if tag.rollover else raw)
        middle, swing = _middle(tag)
        angle = 2 * math.pi * (index / (20 + key % 40) + key % 97 / 97)
        found = min(max(middle + swing * math.sin(angle), limits[0]), limits[1])
        return _avoid(tag, found, swing)


def _middle(tag: Tag) -> tuple[float, float]:
    middle, swing = TYPICAL.get(tag.unit, OTHERWISE)
    swing = max(swing, 3 * float(abs(tag.scale)))  # so that integers are seen to move
    if tag.range is None:
        return middle, swing
    low, high = tag.range
    span = high - low
    return (middle, min(swing, span / 4)) if low + span / 8 <= middle <= high - span / 8 else (low + 0.45 * span, 0.15 * span)


def _limits(tag: Tag) -> tuple[float, float]:
    """What the tag's type can carry, a little inside."""
    if tag.type in (TagType.FLOAT32, TagType.FLOAT64):
        return -3e38, 3e38
    if tag.type is TagType.BOOL:
        return 0.0, 1.0
    bounds = np.iinfo(tag.type.native)
    ends = sorted((_engineering(tag, max(int(bounds.min), -(1 << 53)) + 1), _engineering(tag, min(int(bounds.max), 1 << 53) - 1)))
    return ends[0], ends[1]


def _engineering(tag: Tag, raw: int) -> float:
    column: NDArray[np.int64] = np.array([raw])
    return float(to_engineering(column, TagType.INT64, tag.scale, tag.offset)[0])


def _avoid(tag: Tag, value: float, swing: float) -> float:
    """Not the number by which the device says that it has none."""
    if tag.invalid is None:
        return value
    near = abs(value - _engineering(tag, tag.invalid)) <= float(abs(tag.scale))
    return value + max(swing, 2 * float(abs(tag.scale))) if near else value
