"""How the blocks of a frame stand in an open row: columns one after the other, and the tags of a poll only once for all polls.

A row begins with MARK and the CRC-32 of what follows, so that a bit that fell over in the file becomes a declared gap and never a wrong value;
rows of earlier versions have neither. Bytes of one block: flags (1 grid, 2 has quality), column type, layout (0 = tags follow inline), number of tags, number of times; then tags
where inline, times, values, quality. The layouts themselves are rows of the table `layout`, whose numbers are the CRC-32 of their tags.
"""

import sqlite3
import struct
import zlib
from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocols.frame import Block

COLUMNS: Final = tuple(np.dtype(name) for name in ("int32", "int64", "float32", "float64"))
MAX_LAYOUTS: Final = 4096
MARK: Final = 0xC5  # no flags of a block
COUNTED_LAYOUTS: Final = 1 << 16  # numbers below are of earlier versions, which counted
_BLOCK: Final = struct.Struct("<BBIII")
_HEAD: Final = struct.Struct("<BI")


class Rows:
    """Packs and unpacks blocks. `forget` after a transaction that was rolled back: it may have made layouts that are no more."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._layouts: dict[int, NDArray[np.uint32]] = {}
        self._layout_of: dict[int, tuple[NDArray[np.uint32], int]] = {}

    def forget(self) -> None:
        self._layouts.clear()
        self._layout_of.clear()

    def pack(self, blocks: Iterable[Block]) -> bytes:
        parts: list[bytes] = []
        for block in blocks:
            grid = block.values.ndim == 2
            layout = self._layout(block.tags) if grid else 0
            flags = (1 if grid else 0) | (2 if block.quality is not None else 0)
            parts.append(_BLOCK.pack(flags, COLUMNS.index(block.values.dtype), layout, len(block.tags), len(block.times_us)))
            if not layout:
                parts.append(block.tags.tobytes())
            parts.append(block.times_us.tobytes())
            parts.append(block.values.tobytes())
            if block.quality is not None:
                parts.append(block.quality.tobytes())
        data = b"".join(parts)
        return _HEAD.pack(MARK, zlib.crc32(data)) + data

    def unpack(self, data: bytes) -> Iterable[Block]:
        """Raises ValueError when the row is not what was packed."""
        at = 0
        if data[:1] == bytes((MARK,)):
            at = _HEAD.size
            if len(data) < at or _HEAD.unpack_from(data)[1] != zlib.crc32(memoryview(data)[at:]):
                raise ValueError("the row was altered in the file")
        while at < len(data):
            flags, column, layout, width, rows = _BLOCK.unpack_from(data, at)
            at += _BLOCK.size
            count = width * rows if flags & 1 else width
            if layout:
                tags = self._tags_of(layout)
            else:
                tags = np.frombuffer(data, np.uint32, width, at)
                at += 4 * width
            times = np.frombuffer(data, np.int64, rows, at)
            at += 8 * rows
            values = np.frombuffer(data, COLUMNS[column], count, at)
            at += values.nbytes
            quality = None
            if flags & 2:
                quality = np.frombuffer(data, np.uint32, count, at)
                at += 4 * count
            if flags & 1:
                values, quality = values.reshape(rows, width), None if quality is None else quality.reshape(rows, width)
            yield Block(tags, times, values, quality)

    def _layout(self, tags: NDArray[np.uint32]) -> int:
        """Grid blocks of one poll group share their tag ids: stored once, not with every poll. Drivers reuse the array object."""
        known = self._layout_of.get(id(tags))
        if known is not None:
            return known[1]
        data = tags.tobytes()
        layout = max(COUNTED_LAYOUTS, zlib.crc32(data))
        self._db.execute("INSERT OR IGNORE INTO layout (id, tags) VALUES (?, ?)", (layout, data))
        found = self._db.execute("SELECT id FROM layout WHERE tags = ?", (data,)).fetchone()
        layout = int(found[0]) if found else 0  # another layout has the number: the tags stand in the row
        if len(self._layout_of) > MAX_LAYOUTS:
            self._layout_of.clear()
        self._layout_of[id(tags)] = (tags, layout)  # the reference keeps id() from being reused
        return layout

    def _tags_of(self, layout: int) -> NDArray[np.uint32]:
        if layout not in self._layouts:
            row = self._db.execute("SELECT tags FROM layout WHERE id = ?", (layout,)).fetchone()
            if row is None or (layout >= COUNTED_LAYOUTS and layout != max(COUNTED_LAYOUTS, zlib.crc32(row[0]))):
                raise ValueError("the layout of the row was altered in the file")
            self._layouts[layout] = np.frombuffer(row[0], np.uint32)
        return self._layouts[layout]
