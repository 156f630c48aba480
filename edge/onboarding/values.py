"""Samples of a frame as a person reads them: engineering value with unit and label, quality by name. Pure.

Not for keeping: what is kept are the raw columns of the frame.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from protocols import quality
from protocols.devicemap import Device, Tag, TagType, to_engineering
from protocols.frame import Block, Frame


@dataclass(frozen=True, slots=True)
class Reading:
    """value: engineering; None under bad quality, where a value means nothing."""

    device: str
    tag: Tag
    source_us: int
    value: float | int | bool | None
    quality: int

    @property
    def text(self) -> str:
        return self.bare if self.value is None or not self.tag.unit else f"{self.bare} {self.tag.unit}"

    @property
    def bare(self) -> str:
        """Without unit."""
        if self.value is None:
            return "-"
        if isinstance(self.value, bool):
            return str(self.value).lower()
        label = self.tag.labels.get(int(self.value)) if self.tag.labels else None
        number = str(self.value) if isinstance(self.value, int) else written_number(self.value)
        return f"{number} ({label})" if label else number

    @property
    def condition(self) -> str:
        return "" if self.quality == quality.GOOD else quality.name(self.quality)

    def document(self) -> dict[str, Any]:
        found = {"tag": f"{self.device}.{self.tag.name}", "time": written_time(self.source_us), "value": self.value, "unit": self.tag.unit}
        label = self.tag.labels.get(int(self.value)) if self.tag.labels and self.value is not None else None
        return found | {"quality": quality.name(self.quality)} | ({"label": label} if label else {})


def readings(device: Device, frame: Frame) -> Iterator[Reading]:
    """In the order of the frame."""
    for block in frame.blocks:
        for row, column, at in _places(block):
            tag = device.map.tags[int(block.tags[column]) - device.first_id]
            code = 0 if block.quality is None else int(block.quality[at])
            raw = block.values[row, column : column + 1] if row is not None else block.values[column : column + 1]
            time_us = int(block.times_us[column if row is None else row])
            yield Reading(device.name, tag, time_us, None if quality.is_bad(code) else _value(raw, tag), code)


def _places(block: Block) -> Iterator[tuple[int | None, int, Any]]:
    if block.values.ndim == 2:
        rows, columns = block.values.shape
        yield from ((row, column, (row, column)) for row in range(rows) for column in range(columns))
    else:
        yield from ((None, column, column) for column in range(len(block.tags)))


def _value(raw: Any, tag: Tag) -> float | int | bool:
    if tag.type is TagType.BOOL:
        return bool(raw[0])
    if tag.scale == 1 and tag.offset == 0 and raw.dtype.kind == "i":
        return int(raw.view(tag.type.native)[0]) if tag.type in (TagType.UINT32, TagType.UINT64) else int(raw[0])
    value = float(to_engineering(raw.copy(), tag.type, tag.scale, tag.offset)[0])
    return float(f"{value:.7g}") if tag.type is TagType.FLOAT32 else value


def written_number(value: float) -> str:
    """Seven digits, without an exponent where a person would write none."""
    if value == 0 or not 1e-4 <= abs(value) < 1e15:
        return f"{value:.7g}"
    digits = max(0, 6 - math.floor(math.log10(abs(value))))
    text = f"{float(f'{value:.7g}'):.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def written_time(time_us: int) -> str:
    """ISO 8601 in UTC, to the millisecond."""
    try:
        return datetime.fromtimestamp(time_us / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return f"{time_us} us"
