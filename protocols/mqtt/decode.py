"""MQTT messages of one device -> columns and events: which reader a message is for, and what a message that cannot be read means. No IO.

A message that cannot be read becomes a bad sample of every tag that it could have told; one that says that the device is gone, of every tag.
"""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from protocols import quality
from protocols.devicemap import Device
from protocols.event import Event
from protocols.mqtt.columns import Columns, Malformed, convert
from protocols.mqtt.inbox import Message
from protocols.mqtt.jsonmessage import JsonReader
from protocols.mqtt.metrics import Seen, SparkplugReader
from protocols.mqtt.plain import PlainReader
from protocols.mqtt.plan import MqttOptions, PayloadKind, named, tag_topic
from protocols.mqtt.records import RecordsReader
from protocols.mqtt.topics import matches
from protocols.mqtt.watch import Texts

__all__ = ["Columns", "Decoder", "JsonReader", "Malformed", "Seen", "SparkplugReader", "Verdict", "convert"]

log = logging.getLogger("qenergyz.mqtt")
MAX_TOPICS: Final = 10_000  # remembered, for a device with wildcards
_Read = Callable[[bytes, int, Columns], None]
_Route = tuple[Collection[int] | None, _Read]


@dataclass(frozen=True, slots=True)
class Verdict:
    """live: the device said something of now. held: do not acknowledge the message yet. freed: those held before can be, with this one's frame."""

    live: bool = True
    rebirth: bool = False
    held: bool = False
    freed: bool = False


LIVE: Final = Verdict()
QUIET: Final = Verdict(live=False)


class Decoder:
    """`take` messages in their order of arrival. malformed: messages that could not be read."""

    def __init__(self, device: Device) -> None:
        options: MqttOptions = device.map.options
        self._device, self._options = device, options
        self._texts = Texts(device) if device.map.texts else None
        self._seen = Seen()
        self.sparkplug = SparkplugReader(device, self._texts) if options.payload is PayloadKind.SPARKPLUG else None
        self._patterns: list[tuple[str, _Route]] = [] if self.sparkplug else list(_routes(device, options, self._texts))
        self._routes: dict[str, tuple[_Route, ...]] = {}
        self._status = named(options.status.topic, device.name) if options.status else None
        self.malformed = 0

    def take(self, message: Message, columns: Columns, now_us: int) -> Verdict:
        """Add the message's samples. now_us: of a monotonic clock."""
        if message.too_large:
            self._refused(message, None, columns, f"{message.too_large} bytes are too many")
            return LIVE
        if self.sparkplug is not None:
            return self._metrics(self.sparkplug, message, columns, now_us)
        if message.topic == self._status:
            return self._presence(message, columns)
        marks = columns.marks() if message.retained and not self._options.stamped else None
        routes = self._routes.get(message.topic)
        for only, read in self._find(message.topic) if routes is None else routes:
            try:
                read(message.payload, message.arrived_us, columns)
            except Malformed as error:
                self._refused(message, only, columns, str(error))
        if marks is not None:  # what a broker kept, of a time that nobody knows
            columns.lower(marks, quality.UNCERTAIN_LAST_USABLE)
        return QUIET if message.retained else LIVE

    def _find(self, topic: str) -> tuple[_Route, ...]:
        found = tuple(route for pattern, route in self._patterns if matches(pattern, topic))
        if len(self._routes) < MAX_TOPICS:
            self._routes[topic] = found
        return found

    def _metrics(self, reader: SparkplugReader, message: Message, columns: Columns, now_us: int) -> Verdict:
        try:
            heard = reader.read(message.topic, message.payload, message.arrived_us, columns, self._seen, now_us)
        except Malformed as error:
            self._refused(message, None, columns, str(error))
            return LIVE
        return Verdict(reader.live, heard.rebirth, heard.held, heard.freed)

    def _presence(self, message: Message, columns: Columns) -> Verdict:
        status = self._options.status
        text = message.payload[:200].decode(errors="replace").strip()
        if status is not None and text == status.offline:
            self._add_all(None, message.arrived_us, columns, quality.BAD_NO_COMMUNICATION)
            return QUIET
        if status is not None and text != status.online and text:
            self._count(message, f'status is "{text[:40]}", expected "{status.online}" or "{status.offline}"')
        return QUIET

    def _refused(self, message: Message, only: Collection[int] | None, columns: Columns, cause: str) -> None:
        self._count(message, cause)
        self._add_all(only, message.arrived_us, columns, quality.BAD_DATA_ENCODING_INVALID)

    def _count(self, message: Message, cause: str) -> None:
        self.malformed += 1
        if self.malformed == 1:
            log.warning("message_malformed device=%s topic=%s cause=%s", self._device.name, message.topic[:200], cause)

    def _add_all(self, only: Collection[int] | None, arrived_us: int, columns: Columns, code: int) -> None:
        for index, tag in enumerate(self._device.map.tags):
            if only is None or index in only:
                columns.add(tag.type.column, self._device.first_id + index, arrived_us, 0, code)

    def gone(self, arrived_us: int, columns: Columns) -> None:
        """The publisher is silent: no tag has a value any more."""
        self._add_all(None, arrived_us, columns, quality.BAD_NO_COMMUNICATION)

    def give_up(self, columns: Columns, now_us: int) -> bool:
        """See `SparkplugReader.give_up`."""
        return self.sparkplug is not None and self.sparkplug.give_up(now_us, columns, self._seen)

    def events(self, gateway_us: int) -> list[Event]:
        """What happened in the messages taken since the last call."""
        found = self._texts.events(gateway_us) if self._texts else []
        return found + self.sparkplug.events() if self.sparkplug else found


def _routes(device: Device, options: MqttOptions, texts: Texts | None) -> list[tuple[str, _Route]]:
    """Which topics tell which tags, and who reads them."""
    if options.payload is PayloadKind.RECORDS:
        read = RecordsReader(device, texts).read
        topics = {options.topic, *(tag_topic(options, tag) for tag in device.map.tags)}
        return [(named(topic, device.name), (None, read)) for topic in topics]
    tags: dict[str, set[int]] = {}
    for index, tag in enumerate(device.map.tags):
        tags.setdefault(named(tag_topic(options, tag), device.name), set()).add(index)
    if options.payload is PayloadKind.PLAIN:
        told: list[tuple[str, _Route]] = [(topic, (only, PlainReader(device, only).read)) for topic, only in tags.items()]
        return told + [(topic, (frozenset(), _text_reader(topic, texts))) for topic in (texts.wanted if texts else ())]
    ours = named(options.topic, device.name)
    if texts and ours not in tags:
        tags[ours] = set()
    return [(topic, (only, JsonReader(device, only, texts if topic == ours else None).read)) for topic, only in tags.items()]


def _text_reader(topic: str, texts: Texts | None) -> _Read:
    def read(payload: bytes, arrived_us: int, columns: Columns) -> None:  # noqa: ARG001
        if texts:
            texts.hear(topic, payload.decode(errors="replace"), arrived_us)

    return read
