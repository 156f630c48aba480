"""Sparkplug B payloads in and out of bytes (3.0, chapter 6.4). Pure; no sockets, no clock, no memory of earlier payloads: see `node.py`.

Bytes that are no payload raise WireError. A metric whose value is of an unknown kind, is damaged or is nested deeper than DEEPEST is not `known`
and costs itself only. Property sets other than the quality are passed over.
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from protocols.mqtt.datatypes import ARRAYS, KNOWN, LONG, DataType, pack, signed, unpack
from protocols.mqtt.protobuf import Value, WireError, bytes_field, double_field, fields, float_field, number_field, numbers

QUALITY: Final = "Quality"
DEEPEST: Final = 8
COMPRESSED: Final = b"SPBV1.0_COMPRESSED"  # uuid of a payload whose body is another one
MAX_INFLATED: Final = 4_000_000
MAX_METRICS: Final = 50_000  # of one payload; a birth of the largest nodes has some 20,000


@dataclass(frozen=True, slots=True)
class DataSet:
    """types: data types of the columns. A cell may be None."""

    columns: tuple[str, ...]
    types: tuple[int, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, slots=True)
class Template:
    """reference: name of the definition, "" in the definition itself. parameters: without aliases or times."""

    metrics: "tuple[Metric, ...]"
    reference: str = ""
    version: str = ""
    definition: bool = False
    parameters: "tuple[Metric, ...]" = ()


MessageValue = int | float | bool | str | bytes | tuple[Any, ...] | DataSet | Template | None


@dataclass(frozen=True, slots=True)
class Metric:
    """quality: the property "Quality" where given. value None: null, or one that cannot be understood (`known` is then False).

    datatype 0: not told here, but in the birth; bytes and whole numbers are then as they came.
    """

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


def decode_payload(data: bytes, *, nested: bool = False) -> Payload:
    """Raises WireError. A compressed payload is decoded as what is in it."""
    timestamp_ms: int | None = None
    seq: int | None = None
    metrics: list[Metric] = []
    uuid = body = b""
    for number, value in fields(data):
        match number:
            case 1:
                timestamp_ms = _whole(value)
            case 2:
                metrics.append(_metric(_octets(value)))
                if len(metrics) > MAX_METRICS:
                    raise WireError(f"more than {MAX_METRICS} metrics")
            case 3:
                seq = _whole(value)
            case 4:
                uuid = _octets(value)
            case 5:
                body = _octets(value)
            case _:
                pass
    if uuid == COMPRESSED:
        if nested:
            raise WireError("compressed twice")
        inner = decode_payload(_inflated(body), nested=True)
        return Payload(inner.timestamp_ms or timestamp_ms, seq if inner.seq is None else inner.seq, inner.metrics)
    return Payload(timestamp_ms, seq, tuple(metrics))


def _inflated(body: bytes) -> bytes:
    """Of zlib or gzip, which tell themselves apart; no more than MAX_INFLATED."""
    stream = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        found = stream.decompress(body, MAX_INFLATED)
    except zlib.error as error:
        raise WireError(f"the compressed body cannot be read ({error})") from error
    if not stream.eof:
        raise WireError(f"the compressed body is cut, or more than {MAX_INFLATED} bytes")
    return found


def _metric(data: bytes, depth: int = 0) -> Metric:
    found: dict[int, Value] = dict(fields(data))
    datatype = _whole(found.get(4, 0))
    properties = found.get(9)
    carried = next((number for number in range(10, 20) if number in found), 0)
    alias, timestamp = found.get(2), found.get(3)
    value, known = _value_of(carried, found[carried], datatype, depth) if carried else (None, True)
    return Metric(
        name=_text(found.get(1, b"")),
        value=value,
        datatype=datatype,
        timestamp_ms=None if timestamp is None else _whole(timestamp),
        alias=None if alias is None else _whole(alias),
        historical=bool(found.get(5, 0)),
        null=bool(found.get(7, 0)),
        quality=None if properties is None else _quality(_octets(properties)),
        known=known,
    )


def _value_of(carried: int, value: Value, datatype: int, depth: int) -> tuple[MessageValue, bool]:
    """The value and whether it is understood."""
    if carried < 16:
        return _scalar(carried - 10, value, datatype), datatype in KNOWN or not datatype
    try:
        match carried:
            case 16:
                return typed(_octets(value), datatype), datatype in KNOWN or not datatype
            case 17:
                return _data_set(_octets(value)), True
            case 18 if depth < DEEPEST:
                return _template(_octets(value), depth + 1), True
    except ValueError:  # WireError among them
        pass
    return None, False


def _scalar(place: int, value: Value, datatype: int) -> int | float | bool | str:
    """place: of the value's field behind int_value, which comes first in every message that has values."""
    match place:
        case 0 | 1:
            return signed(_whole(value), datatype)
        case 2:
            return float(struct.unpack("<f", _whole(value).to_bytes(8, "little")[:4])[0])
        case 3:
            return float(struct.unpack("<d", _whole(value).to_bytes(8, "little"))[0])
        case 4:
            return bool(value)
        case _:
            return _text(value)


def typed(value: MessageValue, datatype: int) -> MessageValue:
    """A value that came without its type, with it. Raises ValueError when it is none of that type."""
    if isinstance(value, bytes) and datatype in ARRAYS:
        return unpack(value, datatype)
    return signed(value, datatype) if type(value) is int else value


def retyped(metric: Metric, name: str, datatype: int) -> Metric:
    """The metric with name and type from its birth. Without a type, a number that may be a negative one is not known."""
    value, known = metric.value, metric.known
    if isinstance(value, int | bytes):
        try:
            value = typed(value, datatype)
        except ValueError:
            value, known = None, False
        if not datatype and type(value) is int and value >> 31:
            value, known = None, False
    return Metric(name, value, datatype, metric.timestamp_ms, metric.alias, metric.historical, metric.null, metric.quality, known)


def _data_set(data: bytes) -> DataSet:
    columns: list[str] = []
    types: list[int] = []
    rows: list[list[tuple[int, Value] | None]] = []
    for number, value in fields(data):
        match number:
            case 2:
                columns.append(_text(value))
            case 3:
                types.extend(numbers(value))
            case 4:
                rows.append([_cell(_octets(inner)) for place, inner in fields(_octets(value)) if place == 1])
            case _:
                pass
    if len(columns) != len(types) or any(len(row) != len(columns) for row in rows):
        raise WireError("a data set whose rows, columns and types differ in number")
    return DataSet(
        tuple(columns),
        tuple(types),
        tuple(tuple(None if c is None else _scalar(c[0] - 1, c[1], kind) for c, kind in zip(row, types, strict=True)) for row in rows),
    )


def _cell(data: bytes) -> tuple[int, Value] | None:
    return next(((number, value) for number, value in fields(data) if 1 <= number <= 6), None)


def _template(data: bytes, depth: int) -> Template:
    metrics: list[Metric] = []
    parameters: list[Metric] = []
    found: dict[int, Value] = {}
    for number, value in fields(data):
        match number:
            case 2:
                metrics.append(_metric(_octets(value), depth))
            case 3:
                parameters.append(_parameter(_octets(value)))
            case _:
                found[number] = value
    version, reference = _text(found.get(1, b"")), _text(found.get(4, b""))
    return Template(tuple(metrics), reference, version, bool(found.get(5, 0)), tuple(parameters))


def _parameter(data: bytes) -> Metric:
    found = dict(fields(data))
    datatype = _whole(found.get(2, 0))
    carried = next((number for number in range(3, 9) if number in found), 0)
    value = _scalar(carried - 3, found[carried], datatype) if carried else None
    return Metric(_text(found.get(1, b"")), value, datatype, null=value is None)


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


# -- into bytes


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
        case bytes():
            return bytes_field(16, value)
        case tuple():
            return bytes_field(16, pack(value, datatype))
        case DataSet():
            return bytes_field(17, _encode_data_set(value))
        case Template():
            return bytes_field(18, _encode_template(value))
        case _:
            return _encode_scalar(value, datatype, 10)


def _encode_scalar(value: Any, datatype: int, first: int) -> bytes:
    """first: number of the field int_value in the message."""
    match value:
        case bool():
            return number_field(first + 4, int(value))
        case int():
            long = datatype in LONG
            return number_field(first + 1, value & (1 << 64) - 1) if long else number_field(first, value & 0xFFFF_FFFF)
        case float():
            return float_field(first + 2, value) if datatype == DataType.FLOAT else double_field(first + 3, value)
        case str():
            return bytes_field(first + 5, value.encode())
        case _:
            raise ValueError(f"cannot encode {value!r}")


def _encode_data_set(found: DataSet) -> bytes:
    out = number_field(1, len(found.columns)) + b"".join(bytes_field(2, name.encode()) for name in found.columns)
    out += b"".join(number_field(3, kind) for kind in found.types)
    cell: Callable[[Any, int], bytes] = lambda value, kind: b"" if value is None else _encode_scalar(value, kind, 1)  # noqa: E731
    for row in found.rows:
        out += bytes_field(4, b"".join(bytes_field(1, cell(value, kind)) for value, kind in zip(row, found.types, strict=True)))
    return out


def _encode_template(found: Template) -> bytes:
    out = bytes_field(1, found.version.encode()) if found.version else b""
    out += b"".join(bytes_field(2, _encode_metric(metric)) for metric in found.metrics)
    for one in found.parameters:
        value = b"" if one.value is None else _encode_scalar(one.value, one.datatype, 3)
        out += bytes_field(3, bytes_field(1, one.name.encode()) + number_field(2, one.datatype) + value)
    out += bytes_field(4, found.reference.encode()) if found.reference else b""
    return out + number_field(5, int(found.definition))
