"""Rows of notifications to the blocks of a frame. Pure.

One scattered block per carried type, in order of arrival. A value that the tag's type cannot hold exactly is BAD_TYPE_MISMATCH, a
good number that is none (NaN, infinite) or the map's "invalid" value is BAD_SENSOR_FAILURE; under bad quality the value is 0.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocols import quality
from protocols.devicemap import Device, TagType
from protocols.frame import Block

EPOCH_TICKS: Final = 116_444_736_000_000_000  # 1970-01-01 in ticks of 100 ns since 1601-01-01
_BUILTIN: Final = dict(
    zip(["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"], range(1, 12), strict=True)
)


def _holds(wanted: TagType, builtin: str) -> bool:
    """Every value of the built-in type is a value of the wanted one."""
    given = np.dtype(np.uint8) if builtin == "bool" else np.dtype(builtin)
    return wanted.value == builtin or (wanted is not TagType.BOOL and bool(np.can_cast(given, wanted.native, "safe")))


_FITS: Final = {kind: [False] + [_holds(kind, builtin) for builtin in _BUILTIN] + [False] * 14 for kind in TagType}


class Columns:
    """What is known of a device's tags before the first notification: ids, types, accepted built-in types, invalid values."""

    def __init__(self, device: Device) -> None:
        tags = device.map.tags
        self._ids = device.ids
        self._fits = np.array([_FITS[tag.type] for tag in tags], dtype=bool)
        self._dtypes = [tag.type.column for tag in tags]
        order = list(dict.fromkeys(self._dtypes))
        self._groups = order
        self._group = np.array([order.index(dtype) for dtype in self._dtypes])
        self._unsigned = np.array([tag.type is TagType.UINT64 for tag in tags])
        self._invalid = {index: tag.invalid for index, tag in enumerate(tags) if tag.invalid is not None}

    def blocks(self, rows: Sequence[tuple[int, int, Any, int, int, int]], gateway_us: int) -> list[Block]:
        handles, kinds, values, status, source, server = (list(column) for column in zip(*rows, strict=True))
        index = np.array(handles)
        codes = np.array(status, dtype=np.uint32)
        ticks = np.array(source, dtype=np.int64)
        if not ticks.all():
            ticks = np.where(ticks > 0, ticks, np.array(server, dtype=np.int64))
        times_us = np.where(ticks > 0, (ticks - EPOCH_TICKS) // 10, gateway_us)
        codes[~self._fits[index, kinds] & (codes >> 31 == 0)] = quality.BAD_TYPE_MISMATCH
        for tag, invalid in self._invalid.items():
            says_none = [handle == tag and value == invalid for handle, value in zip(handles, values, strict=True)]
            codes[np.array(says_none) & (codes >> 31 == 0)] = quality.BAD_SENSOR_FAILURE
        unusable = codes >> 31 != 0
        if unusable.any():
            values = [0 if bad else value for value, bad in zip(values, unusable.tolist(), strict=True)]
        if len(self._groups) == 1:
            return [self._block(0, index, times_us, values, codes)]
        group = self._group[index]
        blocks = []
        for number in np.unique(group).tolist():
            chosen = np.flatnonzero(group == number)
            blocks.append(self._block(number, index[chosen], times_us[chosen], [values[at] for at in chosen.tolist()], codes[chosen]))
        return blocks

    def _block(
        self, group: int, index: NDArray[np.intp], times_us: NDArray[np.int64], values: list[Any], codes: NDArray[np.uint32]
    ) -> Block:
        column = _column(values, self._groups[group], self._unsigned[index])
        if column.dtype.kind == "f" and not (finite := np.isfinite(column)).all():
            column[~finite] = 0
            codes[~finite] = quality.BAD_SENSOR_FAILURE
        return Block(self._ids[index], times_us, column, codes if codes.any() else None)


def _column(values: list[Any], dtype: np.dtype[Any], unsigned: NDArray[np.bool_]) -> NDArray[Any]:
    if dtype.kind == "f":
        return np.array(values, dtype=dtype)
    if dtype.itemsize == 4:
        return np.array(values, dtype=np.int64).astype(np.int32)
    if not unsigned.any():
        return np.array(values, dtype=np.int64)
    return np.array([value - (1 << 64) if value >= 1 << 63 else value for value in values], dtype=np.int64)
