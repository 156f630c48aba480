"""One value into one node, with the node's own type, after a look at what stands there. Whether it may be written is decided elsewhere."""

import math
from typing import Any, Final

import asyncua.ua
import numpy as np

from protocols import quality
from protocols.devicemap import Tag
from protocols.driver import WriteRefused
from protocols.opcua.session import Session

ua: Any = asyncua.ua
_NATIVE: Final = dict(
    zip(range(1, 12), ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"], strict=True)
)


async def write(session: Session, node: Any, tag: Tag, raw: float, expected: float | None) -> None:
    """Raises WriteRefused; what asyncua raises when the link fails passes through."""
    if node is None:
        raise WriteRefused(f'tag "{tag.name}": the server has no such node, or it is a part of a value')
    (present,) = await session.read([node])
    code = present.StatusCode.value if present.StatusCode else 0
    kind = 0 if present.Value is None else present.Value.VariantType.value
    if kind not in _NATIVE:
        kind = await _declared(session, node)
    if kind not in _NATIVE or (present.Value is not None and isinstance(present.Value.Value, list)):
        raise WriteRefused(f'tag "{tag.name}": its node holds no single number')
    value = _exact(tag, raw, kind)
    if expected is not None:
        if quality.is_bad(code) or present.Value is None or present.Value.Value is None:
            raise WriteRefused(f'tag "{tag.name}": expected {expected:g}, but the value there is {quality.name(code)}')
        if present.Value.Value != _exact(tag, expected, kind):
            raise WriteRefused(f'tag "{tag.name}": expected {expected:g}, found {present.Value.Value}')
    # without status and times: many servers refuse a write that brings its own (OPC 10000-4, 5.11.4)
    change = ua.DataValue(Value=ua.Variant(value, ua.VariantType(kind)), StatusCode=None, SourceTimestamp=None, ServerTimestamp=None)
    try:
        (status,) = await session.client.uaclient.write_attributes([node], [change])
    except ua.UaStatusCodeError as error:
        raise WriteRefused(f'tag "{tag.name}": the server refuses: {error}') from error
    if not status.is_good():
        raise WriteRefused(f'tag "{tag.name}": the server refuses: {status.name}')


async def _declared(session: Session, node: Any) -> int:
    """The built-in type that the node's DataType attribute names, 0 = none."""
    (found,) = await session.read([node], ua.AttributeIds.DataType)
    declared: Any = found.Value.Value if found.Value is not None else None
    plain = isinstance(declared, ua.NodeId) and not declared.NamespaceIndex and isinstance(declared.Identifier, int)
    return declared.Identifier if plain else 0


def _exact(tag: Tag, raw: float, kind: int) -> Any:
    """The number as the node's type has it. Raises WriteRefused for what it cannot hold."""
    native = _NATIVE[kind]
    if native in ("float32", "float64"):
        value = float(np.dtype(native).type(raw)) if math.isfinite(raw) else raw
        if not math.isfinite(value):
            raise WriteRefused(f'tag "{tag.name}": {raw} does not fit {native}')
        return value
    low, high = (0, 1) if native == "bool" else (int(np.iinfo(native).min), int(np.iinfo(native).max))
    if raw != int(raw) or not low <= raw <= high:
        raise WriteRefused(f'tag "{tag.name}": {raw} does not fit {native}')
    return bool(raw) if native == "bool" else int(raw)
