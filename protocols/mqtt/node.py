"""One Sparkplug edge node as its messages describe it: births, aliases, sequence, deaths (3.0, chapter 5 and 6.4). Pure; times are handed in.

The sequence number runs over all messages of a node, those of its devices included. A number that is missing longer than REORDER_US, an alias
that no birth has named, or data before the birth ask for a rebirth. How often that is asked is limited (`Rebirths`), because a node that cannot
keep its sequence would otherwise be kept busy with births for ever.
"""

import enum
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from protocols.mqtt.datatypes import DataType
from protocols.mqtt.sparkplug import MessageValue, Metric, Payload, Template, encode_payload, retyped

BD_SEQ: Final = "bdSeq"
REBIRTH: Final = "Node Control/Rebirth"
REORDER_US: Final = 2_000_000  # Sparkplug 3.0, 6.4.6: how long a host waits for messages that overtook each other
FIRST_REBIRTH_US: Final = 5_000_000
LONGEST_REBIRTH_US: Final = 600_000_000


class Kind(enum.StrEnum):
    NBIRTH = "NBIRTH"
    NDEATH = "NDEATH"
    DBIRTH = "DBIRTH"
    DDEATH = "DDEATH"
    NDATA = "NDATA"
    DDATA = "DDATA"


KINDS: Final = {kind.value: kind for kind in Kind}


@dataclass(frozen=True, slots=True)
class Heard:
    """What a message means. metrics: with their names; died: our node or device is gone; rebirth: ask for a new birth; born: a birth of ours.

    unknown: it has aliases that no birth has named, and can be understood after one. held, freed: it waits for a birth; it, or one that
    waited, does no longer.
    """

    metrics: tuple[Metric, ...] = ()
    died: bool = False
    rebirth: bool = False
    born: bool = False
    unknown: bool = False
    held: bool = False
    freed: bool = False


@dataclass(slots=True)
class Numbers:
    """Sequence numbers 0 to 255 in turn. repeated: numbers that came a second time or far too late."""

    repeated: int = 0
    _next: int | None = None
    _missing: dict[int, int] = field(default_factory=dict)
    _behind: int | None = None

    def begin(self, seq: int | None) -> None:
        """With a birth, whatever its number."""
        self._missing.clear()
        self._next = None if seq is None else (seq + 1) % 256
        self._behind = None

    def note(self, seq: int | None, now_us: int) -> None:
        if seq is None and self._next == 0:
            seq = 0  # some encoders leave out a number of 0
        if seq is None or self._next is None or seq > 255:
            self._next = None if seq is None or seq > 255 else (seq + 1) % 256
            return
        ahead = (seq - self._next) % 256
        if ahead and seq in self._missing:
            del self._missing[seq]
        elif ahead < 128 or (self._behind is not None and seq == (self._behind + 1) % 256):
            self._missing |= dict.fromkeys(((self._next + place) % 256 for place in range(min(ahead, 128))), now_us)
            self._next, self._behind = (seq + 1) % 256, None
        else:
            self.repeated += 1
            self._behind = seq

    @property
    def gap(self) -> bool:
        return bool(self._missing)

    def overdue(self, now_us: int) -> bool:
        """Whether a number has been missing for too long; said once."""
        if not self._missing or now_us - min(self._missing.values()) < REORDER_US:
            return False
        self._missing.clear()
        return True


@dataclass(slots=True)
class Node:
    """device: the Sparkplug device whose metrics are wanted, "" = the node's own. Times are of a monotonic clock."""

    device: str = ""
    numbers: Numbers = field(default_factory=Numbers)
    _aliases: dict[int, tuple[str, int]] = field(default_factory=dict)
    _types: dict[str, int] = field(default_factory=dict)
    _born: bool = False
    _bd_seq: MessageValue = None

    def hear(self, kind: Kind, device: str, payload: Payload, now_us: int = 0) -> Heard:
        ours = device == self.device
        if kind is Kind.NDEATH:
            return self._death(payload)
        if kind is Kind.NBIRTH:
            self._bd_seq = bd_seq_of(payload)
            self._born = True
            self.numbers.begin(payload.seq)
            self._aliases.clear()  # those of the devices below it too
            self._types.clear()
        else:
            self.numbers.note(payload.seq, now_us)
        rebirth = not self._born or self.numbers.overdue(now_us)
        if not ours:
            return Heard(rebirth=rebirth)
        if kind is Kind.DDEATH:
            return Heard(died=True, rebirth=rebirth)
        if kind in (Kind.NBIRTH, Kind.DBIRTH):
            self._aliases.clear()
            self._types.clear()
            self._learn(payload.metrics)
            return Heard(payload.metrics, born=True, rebirth=rebirth)
        unknown = any(not metric.name and metric.alias not in self._aliases for metric in payload.metrics)
        if unknown:
            return Heard(payload.metrics, rebirth=True, unknown=True)
        return Heard(self.name(payload.metrics), rebirth=rebirth)

    def _death(self, payload: Payload) -> Heard:
        """A late will of an earlier session (other bdSeq) says nothing about this one (Sparkplug 3.0, 6.4.8)."""
        if self._born and bd_seq_of(payload) != self._bd_seq:
            return Heard()
        self._born = False
        self.numbers.begin(None)
        return Heard(died=True)

    def _learn(self, metrics: Iterable[Metric], above: str = "") -> None:
        for metric in metrics:
            name = above + metric.name
            self._types[name] = metric.datatype
            if metric.alias is not None and not above:
                self._aliases[metric.alias] = (name, metric.datatype)
            if isinstance(metric.value, Template):
                self._learn(metric.value.metrics, name + "/")

    def type_of(self, name: str) -> int:
        """Data type of a metric, or of a template's member, as its birth told; 0 = not told."""
        return self._types.get(name, 0)

    def name(self, metrics: Sequence[Metric]) -> tuple[Metric, ...]:
        """With names and types from the birth; without those whose alias is not known."""
        named = [self._named(metric) for metric in metrics]
        return tuple(metric for metric in named if metric is not None)

    def _named(self, metric: Metric) -> Metric | None:
        if metric.name:
            return metric if metric.datatype else retyped(metric, metric.name, self._types.get(metric.name, 0))
        if metric.alias is None or metric.alias not in self._aliases:
            return None
        name, datatype = self._aliases[metric.alias]
        return retyped(metric, name, metric.datatype or datatype)


@dataclass(slots=True)
class Rebirths:
    """When a rebirth may be asked for: at once, then after 5 s, 10 s, 20 s ... 10 min, until an hour has passed without need. count: asked."""

    count: int = 0
    _last_us: int | None = None
    _pause_us: int = FIRST_REBIRTH_US

    def ask(self, now_us: int) -> bool:
        if self._last_us is not None:
            since_us = now_us - self._last_us
            if since_us < self._pause_us:
                return False
            self._pause_us = FIRST_REBIRTH_US if since_us > 6 * LONGEST_REBIRTH_US else min(2 * self._pause_us, LONGEST_REBIRTH_US)
        self._last_us = now_us
        self.count += 1
        return True


def bd_seq_of(payload: Payload) -> MessageValue:
    return next((metric.value for metric in payload.metrics if metric.name == BD_SEQ), None)


def rebirth_command(timestamp_ms: int) -> bytes:
    return encode_payload(Payload(timestamp_ms, None, (Metric(REBIRTH, value=True, datatype=DataType.BOOLEAN, timestamp_ms=timestamp_ms),)))


def birth(timestamp_ms: int, bd_seq: int, metrics: Sequence[Metric]) -> Payload:
    control = Metric(REBIRTH, value=False, datatype=DataType.BOOLEAN, timestamp_ms=timestamp_ms)
    return Payload(timestamp_ms, 0, (Metric(BD_SEQ, bd_seq, DataType.INT64, timestamp_ms), control, *metrics))


def state(*, online: bool, timestamp_ms: int) -> bytes:
    """What a host application says on its STATE topic (Sparkplug 3.0, 6.4.28)."""
    return json.dumps({"online": online, "timestamp": timestamp_ms}, separators=(",", ":")).encode()


def state_of(payload: bytes) -> tuple[bool, int] | None:
    """Online and timestamp, None for what is no such message."""
    try:
        told = json.loads(payload)
        online, timestamp_ms = told["online"], told["timestamp"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return (online, timestamp_ms) if isinstance(online, bool) and type(timestamp_ms) is int else None


def is_number(value: MessageValue) -> bool:
    return isinstance(value, int | float) and not (isinstance(value, float) and math.isnan(value))
