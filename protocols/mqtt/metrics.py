"""Sparkplug B messages of one node or device -> columns. Keeps the node's birth state and the messages that wait for a birth; no IO.

A message with an alias that no birth has named is held, with all that follow it, and decoded once the birth is there, in the order of arrival
and before the values of the birth itself. It is given up, and that is told as an event, when the node dies or gives no birth within HOLD_US.
Members: a tag may name an element of an array, a cell of a data set or a member of a template, see `plan.py`.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from protocols import quality
from protocols.devicemap import Device, Tag, TagType
from protocols.event import Event
from protocols.mqtt.columns import LATEST_US, MAX_PAYLOAD, Columns, Malformed, convert, words_of
from protocols.mqtt.node import KINDS, Heard, Node
from protocols.mqtt.plan import MqttOptions
from protocols.mqtt.protobuf import WireError
from protocols.mqtt.sparkplug import DataSet, MessageValue, Metric, Template, decode_payload, retyped
from protocols.mqtt.watch import Texts

HOLD_US: Final = 30_000_000
MAX_HELD: Final = 5_000  # messages, in memory only
NO_ELEMENT: Final = quality.BAD_NODE_ID_UNKNOWN
# Sparkplug 3.0, 6.4.11: property "Quality" is 0 bad, 192 good, 500 stale; 64 as in OPC DA.
_METRIC_QUALITY: Final = {0: quality.BAD, 64: quality.UNCERTAIN, 192: quality.GOOD, 500: quality.UNCERTAIN_LAST_USABLE}
_ELEMENT: Final = re.compile(r"(.+)\[(\d{1,7})\]")
_Target = tuple[int, TagType, int | None, dict[str, int]]
_Held = tuple[tuple[Metric, ...], int | None, int]


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


class SparkplugReader:
    """undecoded: metrics given up so far because no birth explained their aliases. live: whether the last message had a value of now."""

    def __init__(self, device: Device, texts: Texts | None = None) -> None:
        options: MqttOptions = device.map.options
        self._name, self._texts = device.name, texts
        self._node = Node(options.device.replace("{device}", device.name))
        self._tags: dict[str, list[_Target]] = {}
        self._members: dict[str, list[str]] = {}
        for index, tag in enumerate(device.map.tags):
            self._tags.setdefault(tag.at, []).append(_target(device.first_id + index, tag))
        for at in dict.fromkeys((*self._tags, *(texts.wanted if texts else ()))):
            for above in _above(at):
                self._members.setdefault(above, []).append(at)
        self._all = [(device.first_id + index, tag.type) for index, tag in enumerate(device.map.tags)]
        self._held: list[_Held] = []
        self._held_since_us = 0
        self._events: list[Event] = []
        self.undecoded = 0
        self.live = False

    @property
    def repeated(self) -> int:
        """Messages whose sequence number came again."""
        return self._node.numbers.repeated

    def read(self, topic: str, payload: bytes, arrived_us: int, columns: Columns, seen: Seen, now_us: int = 0) -> Heard:
        """now_us: of a monotonic clock. Raises Malformed, and has then added nothing."""
        levels = topic.split("/")
        if len(levels) not in (4, 5) or levels[2] not in KINDS:
            return Heard()  # commands and host states are for others
        if len(payload) > MAX_PAYLOAD:
            raise Malformed(f"{len(payload)} bytes are more than {MAX_PAYLOAD}")
        try:
            decoded = decode_payload(payload)
        except WireError as error:
            raise Malformed(f"not a Sparkplug payload: {error}") from error
        kind = KINDS[levels[2]]
        heard = self._node.hear(kind, levels[4] if len(levels) == 5 else "", decoded, now_us)
        if heard.unknown or (self._held and heard.metrics and not heard.born):
            return self._hold(heard, decoded.timestamp_ms, arrived_us, now_us, columns, seen)
        freed = bool(self._held) and (heard.died or heard.born)
        if freed:
            self._free(columns, seen)
        if heard.died:
            for tag, tag_type in self._all:
                columns.add(tag_type.column, tag, arrived_us, 0, quality.BAD_NO_COMMUNICATION)
        self._add(heard.metrics, decoded.timestamp_ms, arrived_us, columns, seen, born=heard.born)
        self.live = heard.born or any(not metric.historical for metric in heard.metrics)
        return Heard(heard.metrics, heard.died, heard.rebirth, heard.born, freed=freed) if freed else heard

    def _hold(self, heard: Heard, stamp_ms: int | None, arrived_us: int, now_us: int, columns: Columns, seen: Seen) -> Heard:
        self._held_since_us = self._held_since_us if self._held else now_us
        freed = len(self._held) >= MAX_HELD
        if freed:
            self._free(columns, seen)
        self._held.append((heard.metrics, stamp_ms, arrived_us))
        self.live = True
        return Heard((), rebirth=True, held=True, freed=freed)

    def _free(self, columns: Columns, seen: Seen) -> None:
        """Decode what waited, as far as it can be."""
        held, self._held = self._held, []
        lost = 0
        for metrics, stamp_ms, arrived_us in held:
            named = self._node.name(metrics)
            lost += len(metrics) - len(named)
            self._add(named, stamp_ms, arrived_us, columns, seen, born=False)
        if lost:
            self.undecoded += lost
            arrived_us = held[-1][2]
            message = f"{lost} values came under aliases that no birth explains"
            self._events.append(Event("device", self._name, self._name, arrived_us, arrived_us, message, 700, {"values": lost}))

    def give_up(self, now_us: int, columns: Columns, seen: Seen) -> bool:
        """End a wait that was too long; True when there was one."""
        if not self._held or now_us - self._held_since_us < HOLD_US:
            return False
        self._free(columns, seen)
        return True

    def rebirth_due(self, now_us: int) -> bool:
        """Whether a gap in the sequence has lasted too long although nothing arrives."""
        return self._node.numbers.overdue(now_us)

    @property
    def gap(self) -> bool:
        return self._node.numbers.gap

    def events(self) -> list[Event]:
        found, self._events = self._events, []
        return found

    def _add(self, metrics: Iterable[Metric], stamp_ms: int | None, arrived_us: int, columns: Columns, seen: Seen, *, born: bool) -> None:
        for metric in metrics:
            metric_ms = metric.timestamp_ms if metric.timestamp_ms is not None else stamp_ms
            time_us = arrived_us if metric_ms is None or metric_ms >= LATEST_US // 1000 else 1000 * metric_ms
            self._one(metric, metric.name, time_us, columns, seen, born=born)
            if metric.name in self._members and isinstance(metric.value, tuple | DataSet | Template):
                for at in self._members[metric.name]:
                    for member in self._member(metric, metric.name, at):
                        self._one(member, at, time_us, columns, seen, born=born)

    def _one(self, metric: Metric, at: str, time_us: int, columns: Columns, seen: Seen, *, born: bool) -> None:
        for tag, tag_type, invalid, words in self._tags.get(at, ()):
            if not born or seen.fresh(tag, time_us):
                columns.add(tag_type.column, tag, time_us, *_number(metric, tag_type, invalid, words))
            seen.note(tag, time_us)
        if self._texts and self._texts.wants(at) and metric.known and not metric.null:
            value = metric.value
            self._texts.hear(at, value.hex() if isinstance(value, bytes) else value, time_us)

    def _member(self, whole: Metric, name: str, at: str) -> Iterator[Metric]:
        """The member of `whole`, a metric called `name`, that `at` means; nothing where a template does not mention it this time."""
        rest = at[len(name) :]
        match whole.value:
            case Template() as template:
                for member in (*template.metrics, *template.parameters):
                    path = f"{name}/{member.name}"
                    if not member.datatype:
                        member = retyped(member, member.name, self._node.type_of(path))  # noqa: PLW2901
                    if path == at:
                        yield _within(whole, member)
                    elif at.startswith(path) and isinstance(member.value, tuple | DataSet | Template) and at[len(path)] in "/[":
                        yield from self._member(_within(whole, member), path, at)
            case DataSet() as table if rest.startswith("/"):
                yield _within(whole, _cell(table, rest[1:]))
            case tuple() as array if element := _ELEMENT.fullmatch("x" + rest):
                yield _within(whole, _element(array, int(element[2])))


def _target(tag_id: int, tag: Tag) -> _Target:
    return tag_id, tag.type, tag.invalid, words_of(tag)


def _above(at: str) -> Iterator[str]:
    """Names of metrics that `at` may be a member of."""
    if element := _ELEMENT.fullmatch(at):
        yield element[1]
        at = element[1]
    parts = at.split("/")
    yield from ("/".join(parts[:count]) for count in range(1, len(parts)))


def _within(whole: Metric, member: Metric) -> Metric:
    """A member with the quality of the whole where that is worse known."""
    code = whole.quality if member.quality is None else member.quality
    return Metric(member.name, member.value, member.datatype, None, None, whole.historical, member.null, code, member.known)


def _missing(name: str) -> Metric:
    return Metric(name, _NO_MEMBER)


_NO_MEMBER: Final = Template(())


def _element(array: tuple[Any, ...], place: int) -> Metric:
    return Metric(str(place), array[place]) if place < len(array) else _missing(str(place))


def _cell(table: DataSet, column: str) -> Metric:
    row = 0
    if column not in table.columns and (element := _ELEMENT.fullmatch(column)):
        column, row = element[1], int(element[2])
    if column not in table.columns or row >= len(table.rows):
        return _missing(column)
    value = table.rows[row][table.columns.index(column)]
    return Metric(column, value, null=value is None)


def _number(metric: Metric, kind: TagType, invalid: int | None, words: dict[str, int]) -> tuple[float, int]:
    value: MessageValue = metric.value
    if metric.null or not metric.known or (invalid is not None and value == invalid):
        return 0, quality.BAD_SENSOR_FAILURE if metric.known else quality.BAD_TYPE_MISMATCH
    if value is _NO_MEMBER:
        return 0, NO_ELEMENT
    if words and isinstance(value, str):
        value = words.get(value.casefold(), value)
    number, code = convert(value, kind)
    if metric.quality is not None and not code:
        code = _METRIC_QUALITY.get(metric.quality, quality.BAD)
    return number, code
