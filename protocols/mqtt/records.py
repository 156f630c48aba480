"""JSON messages that are, or contain, a list of records with a name and a value each -> columns. Pure.

A record without a name is counted and costs itself only. A record of a name that the map does not have is passed over. Records of one tag stay in
their order, whatever their times: a buffer that a device sends after an outage is history, and is kept as such.
"""

from typing import Any

from protocols.devicemap import Device, Tag
from protocols.mqtt.columns import MISSING, Columns, Malformed, convert, follow, stated_quality, time_us_of, words_of
from protocols.mqtt.jsonmessage import parse
from protocols.mqtt.plan import MqttOptions, RecordPaths
from protocols.mqtt.watch import Texts
from protocols.quality import BAD_DATA_ENCODING_INVALID, BAD_SENSOR_FAILURE

_Target = tuple[int, Tag, dict[str, int]]


class RecordsReader:
    """unusable: records without a name so far."""

    def __init__(self, device: Device, texts: Texts | None = None) -> None:
        options: MqttOptions = device.map.options
        if options.records is None:
            raise ValueError("the map is not one of records")
        self._paths: RecordPaths = options.records
        self._message_time_at, self._unit, self._texts = options.time_at, options.time_unit, texts
        self._targets: dict[str, list[_Target]] = {}
        for index, tag in enumerate(device.map.tags):
            self._targets.setdefault(tag.at, []).append((device.first_id + index, tag, words_of(tag)))
        self.unusable = 0

    def read(self, payload: bytes, arrived_us: int, columns: Columns) -> None:
        """Raises Malformed, and has then added nothing."""
        document = parse(payload)
        items = follow(document, self._paths.items)
        if isinstance(items, dict):
            items = [items]
        if not isinstance(items, list):
            raise Malformed("there is no list of records where the map says")
        default_us = arrived_us if self._message_time_at is None else time_us_of(follow(document, self._message_time_at), self._unit)
        for item in items:
            name = follow(item, self._paths.key)
            if isinstance(name, str):
                self._record(name, item, default_us, columns)
            else:
                self.unusable += 1

    def _record(self, name: str, item: Any, time_us: int, columns: Columns) -> None:
        targets = self._targets.get(name, ())
        value = follow(item, self._paths.value)
        code = 0
        if self._paths.time_at is not None:
            try:
                time_us = time_us_of(follow(item, self._paths.time_at), self._unit)
            except Malformed:  # a value whose time is unknown is no sample of that time
                code = BAD_DATA_ENCODING_INVALID
        if not code and self._paths.quality_at is not None:
            code = stated_quality(follow(item, self._paths.quality_at[:-1]), self._paths.quality_at[-1])
        for tag_id, tag, words in targets:
            columns.add(tag.type.column, tag_id, time_us, *_converted(value, tag, words, code))
        if self._texts:
            self._texts.hear(name, value, time_us)


def _converted(value: Any, tag: Tag, words: dict[str, int], stated: int) -> tuple[float, int]:
    if value is MISSING or (tag.invalid is not None and value == tag.invalid):
        return 0, BAD_SENSOR_FAILURE
    if words and isinstance(value, str):
        value = words.get(value.casefold(), value)
    number, code = convert(value, tag.type)
    return number, code or stated
