"""Messages that are one value as text ("23.5", "true", "ON") -> columns. Pure.

A text that is no value of the tag's type is a sample of bad quality; an empty one, with which a publisher clears a retained message, says that
there is no value.
"""

import re
from collections.abc import Collection
from typing import Final

from protocols import quality
from protocols.devicemap import Device, Tag, TagType
from protocols.mqtt.columns import Columns, convert, words_of

_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?")
_WHOLE: Final = re.compile(r"[+-]?\d{1,40}")
_TRUTH: Final = {"true": 1, "false": 0, "on": 1, "off": 0}
LONGEST: Final = 200


class PlainReader:
    """Reads the messages of some tags that have the same topic."""

    def __init__(self, device: Device, only: Collection[int]) -> None:
        self._targets = [
            (device.first_id + index, tag, ({**_TRUTH} if tag.type is TagType.BOOL else {}) | words_of(tag))
            for index, tag in enumerate(device.map.tags)
            if index in only
        ]

    def read(self, payload: bytes, arrived_us: int, columns: Columns) -> None:
        text = payload[: LONGEST + 1].decode("utf-8", errors="replace").strip()
        for tag_id, tag, words in self._targets:
            columns.add(tag.type.column, tag_id, arrived_us, *_value(text, tag, words))


def _value(text: str, tag: Tag, words: dict[str, int]) -> tuple[float, int]:
    if not text or len(text) > LONGEST:
        return 0, quality.BAD_DATA_ENCODING_INVALID if text else quality.BAD_SENSOR_FAILURE
    number: float | None = words.get(text.casefold())
    if number is None and _NUMBER.fullmatch(text):
        number = int(text) if _WHOLE.fullmatch(text) else float(text)
    if number is None:
        return 0, quality.BAD_SENSOR_FAILURE if text.casefold() in ("nan", "null", "none") else quality.BAD_TYPE_MISMATCH
    return (0, quality.BAD_SENSOR_FAILURE) if tag.invalid is not None and number == tag.invalid else convert(number, tag.type)
