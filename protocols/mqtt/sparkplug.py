"""Sparkplug B: payloads in and out of bytes, and the state of one edge node (births, aliases, sequence). Pure; no sockets, no clock.

Written from the Sparkplug 3.0 specification, chapters 5 and 6. Templates, data sets and arrays are passed over: they are no tags.
The sequence number runs over all messages of a node, those of its devices included; a gap, an unknown alias or data before the birth
asks for a rebirth, because the alias table can no longer be trusted.
"""

import enum
import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from protocols.mqtt.protobuf import Value, WireError, bytes_field, double_field, fields, float_field, number_field

BD_SEQ: Final = "bdSeq"
REBIRTH: Final = "Node Control/Rebirth"
QUALITY: Final = "Quality"
MessageValue = int | float | bool | str | bytes | None


class DataType(enum.IntEnum):
    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATETIME = 13
    TEXT = 14


_SIGNED_BITS: Final[dict[int, int]] = {DataType.INT8: 8, DataType.INT16: 16, DataType.INT32: 32, DataType.INT64: 64}
_LONG: Final = (DataType.INT64, DataType.UINT64, DataType.DATETIME)


@dataclass(frozen=True, slots=True)
class Metric:
    """quality: the property "Quality" where given. value None: null, or of a kind that is no tag (`known` is then False)."""

    name: str = ""
    value: MessageValue = None
    datatype: int = 0
    timestamp_ms: int | None = None
    alias: int | None = None
    historical: bool = False
    null: bool = False
    quality: int | None = None
    known: bool = True


@dataclass(frozen=True, slots=True)
class Payload:
    timestamp_ms: int | None
    seq: int | None
    metrics: tuple[Metric, ...]


def decode_payload(data: bytes) -> Payload:
    """Raises WireError."""
    timestamp_ms: int | None = None
    seq: int | None = None
    metrics: list[Metric] = []
    for number, value in fields(data):
        match number:
            case 1:
                timestamp_ms = _whole(value)
            case 2:
                metrics.append(_metric(_octets(value)))
            case 3:
                seq = _whole(value)
            case _:
                pass
    return Payload(timestamp_ms, seq, tuple(metrics))


def _metric(data: bytes) -> Metric:
    found: dict[int, Value] = dict(fields(data))
    datatype = _whole(found.get(4, 0))
    properties = found.get(9)
    carried = next((number for number in range(10, 20) if number in found), 0)
    alias, timestamp = found.get(2), found.get(3)
    return Metric(
        name=_text(found.get(1, b"")),
        value=_value(carried, found[carried], datatype) if 10 <= carried <= 15 else None,
        datatype=datatype,
        timestamp_ms=None if timestamp is None else _whole(timestamp),
        alias=None if alias is None else _whole(alias),
        historical=bool(found.get(5, 0)),
        null=bool(found.get(7, 0)),
        quality=None if properties is None else _quality(_octets(properties)),
        known=carried < 16,
    )


def _value(number: int, value: Value, datatype: int) -> MessageValue:
    match number:
        case 10 | 11:
            whole = _whole(value)
            if bits := _SIGNED_BITS.get(datatype, 0):
                whole &= (1 << bits) - 1
                return whole - (1 << bits) if whole >> bits - 1 else whole
            return whole
        case 12:
            return float(struct.unpack("<f", _whole(value).to_bytes(8, "little")[:4])[0])
        case 13:
            return float(struct.unpack("<d", _whole(value).to_bytes(8, "little"))[0])
        case 14:
            return bool(value)
        case _:
            return _text(value)


def _quality(data: bytes) -> int | None:
    keys: list[str] = []
    values: list[int | None] = []
    for number, value in fields(data):
        if number == 1:
            keys.append(_text(value))
        elif number == 2:
            inner = dict(fields(_octets(value)))
            number_at = inner.get(3, inner.get(4))
            values.append(None if number_at is None else _whole(number_at))
    return next((value for key, value in zip(keys, values, strict=False) if key == QUALITY), None)


def _whole(value: Value) -> int:
    if not isinstance(value, int):
        raise WireError("expected a number, found bytes")
    return value


def _octets(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise WireError("expected bytes, found a number")
    return value


def _text(value: Value) -> str:
    try:
        return _octets(value).decode()
    except UnicodeDecodeError as error:
        raise WireError("a name is not UTF-8") from error


def encode_payload(payload: Payload) -> bytes:
    out = b"" if payload.timestamp_ms is None else number_field(1, payload.timestamp_ms)
    out += b"".join(bytes_field(2, _encode_metric(metric)) for metric in payload.metrics)
    return out if payload.seq is None else out + number_field(3, payload.seq)


def _encode_metric(metric: Metric) -> bytes:
    out = bytes_field(1, metric.name.encode()) if metric.name else b""
    for number, optional in ((2, metric.alias), (3, metric.timestamp_ms), (4, metric.datatype or None)):
        if optional is not None:
            out += number_field(number, optional)
    if metric.historical:
        out += number_field(5, 1)
    if metric.quality is not None:
        inner = number_field(1, DataType.INT32) + number_field(3, metric.quality)
        out += bytes_field(9, bytes_field(1, QUALITY.encode()) + bytes_field(2, inner))
    return out + (number_field(7, 1) if metric.null or metric.value is None else _encode_value(metric.value, metric.datatype))


def _encode_value(value: MessageValue, datatype: int) -> bytes:
    match value:
        case bool():
            return number_field(14, int(value))
        case int():
            return number_field(11, value & (1 << 64) - 1) if datatype in _LONG else number_field(10, value & 0xFFFF_FFFF)
        case float():
            return float_field(12, value) if datatype == DataType.FLOAT else double_field(13, value)
        case str():
            return bytes_field(15, value.encode())
        case _:
            raise ValueError(f"cannot encode {value!r}")


class Kind(enum.StrEnum):
    NBIRTH = "NBIRTH"
    NDEATH = "NDEATH"
    DBIRTH = "DBIRTH"
    DDEATH = "DDEATH"
    NDATA = "NDATA"
    DDATA = "DDATA"


@dataclass(frozen=True, slots=True)
class Heard:
    """What a message means. metrics: with their names; died: our node or device is gone; rebirth: ask for a new birth; born: a birth."""

    metrics: tuple[Metric, ...] = ()
    died: bool = False
    rebirth: bool = False
    born: bool = False


@dataclass(slots=True)
class Node:
    """One edge node as its messages describe it. device: the Sparkplug device whose metrics are wanted, "" = the node's own."""

    device: str = ""
    _aliases: dict[int, tuple[str, int]] = field(default_factory=dict)
    _types: dict[str, int] = field(default_factory=dict)
    _born: bool = False
    _next_seq: int | None = None
    _bd_seq: MessageValue = None

    def hear(self, kind: Kind, device: str, payload: Payload) -> Heard:
        ours = device == self.device
        match kind:
            case Kind.NDEATH:
                return self._death(payload)
            case Kind.NBIRTH:
                self._bd_seq = next((metric.value for metric in payload.metrics if metric.name == BD_SEQ), None)
                self._next_seq = None
                self._born = True
                if ours or self.device:
                    self._aliases.clear()
                    self._types.clear()
            case _:
                pass
        gap = not self._in_sequence(payload.seq)
        if not ours:
            return Heard(rebirth=gap or not self._born)
        if kind is Kind.DDEATH:
            return Heard(died=True, rebirth=gap)
        if kind in (Kind.NBIRTH, Kind.DBIRTH):
            self._learn(payload.metrics)
            return Heard(payload.metrics, born=True, rebirth=gap or not self._born)
        named = [self._named(metric) for metric in payload.metrics]
        known = tuple(metric for metric in named if metric is not None)
        return Heard(known, rebirth=gap or not self._born or len(known) < len(named))

    def _death(self, payload: Payload) -> Heard:
        """A late will of an earlier session (other bdSeq) says nothing about this one (Sparkplug 3.0, 6.4.8)."""
        bd_seq = next((metric.value for metric in payload.metrics if metric.name == BD_SEQ), None)
        if self._born and bd_seq != self._bd_seq:
            return Heard()
        self._born, self._next_seq = False, None
        return Heard(died=True)

    def _in_sequence(self, seq: int | None) -> bool:
        if seq is None:
            return False
        expected, self._next_seq = self._next_seq, (seq + 1) % 256
        return expected is None or expected == seq

    def _learn(self, metrics: Iterable[Metric]) -> None:
        for metric in metrics:
            self._types[metric.name] = metric.datatype
            if metric.alias is not None:
                self._aliases[metric.alias] = (metric.name, metric.datatype)

    def _named(self, metric: Metric) -> Metric | None:
        """With name and type from the birth, or None when the alias is not known."""
        if metric.name:
            return metric
        if metric.alias is None or metric.alias not in self._aliases:
            return None
        name, datatype = self._aliases[metric.alias]
        value = metric.value
        if isinstance(value, int) and not isinstance(value, bool) and not metric.datatype:
            value = _value(10, value & (1 << 64) - 1, datatype)
        return Metric(
            name, value, datatype, metric.timestamp_ms, metric.alias, metric.historical, metric.null, metric.quality, metric.known
        )


def rebirth_command(timestamp_ms: int) -> bytes:
    return encode_payload(Payload(timestamp_ms, None, (Metric(REBIRTH, value=True, datatype=DataType.BOOLEAN, timestamp_ms=timestamp_ms),)))


def birth(timestamp_ms: int, bd_seq: int, metrics: Sequence[Metric]) -> Payload:
    control = Metric(REBIRTH, value=False, datatype=DataType.BOOLEAN, timestamp_ms=timestamp_ms)
    return Payload(timestamp_ms, 0, (Metric(BD_SEQ, bd_seq, DataType.INT64, timestamp_ms), control, *metrics))


def is_number(value: MessageValue) -> bool:
    return isinstance(value, int | float) and not (isinstance(value, float) and math.isnan(value))
