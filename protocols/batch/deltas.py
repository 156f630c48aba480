"""Columns of numbers as bytes that compress well: differences, zigzag, byte planes; and runs of quality codes.

A column here is one row of a (k, r) array: the r values of one tag in order of time. All arithmetic is exact: integers wrap
around at their width in both directions, floats are treated as their bit patterns. No compression happens here.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocols.batch.errors import Bomb, MalformedBatch

WIDTHS: Final = (0, 1, 2, 4, 8)
MAX_SAMPLES: Final = 1 << 22  # of one batch: 32 MiB of int64 once decoded

_UNSIGNED: Final[Mapping[int, np.dtype[Any]]] = {1: np.dtype("<u1"), 2: np.dtype("<u2"), 4: np.dtype("<u4"), 8: np.dtype("<u8")}
_RUN: Final = np.dtype([("count", "u1"), ("code", "<u4")])


def shuffle(values: NDArray[Any]) -> bytes:
    """Byte planes: the lowest byte of every value, then the next byte of every value, and so on."""
    planes: bytes = np.ascontiguousarray(values).reshape(-1).view(np.uint8).reshape(-1, values.dtype.itemsize).T.tobytes()
    return planes


def unshuffle(data: bytes, width: int) -> NDArray[Any]:
    """Unsigned integers of `width` bytes back from their planes; a copy that may be written to."""
    if len(data) % width:
        raise MalformedBatch(f"{len(data)} bytes are no planes of width {width}")
    return np.ascontiguousarray(np.frombuffer(data, np.uint8).reshape(width, -1).T).view(_UNSIGNED[width]).reshape(-1)


def zigzag(signed: NDArray[Any]) -> NDArray[Any]:
    """Small magnitudes to small unsigned numbers: 0, -1, 1, -2 -> 0, 1, 2, 3."""
    unsigned = _UNSIGNED[signed.dtype.itemsize]
    folded: NDArray[Any] = signed << 1 ^ signed >> (signed.dtype.itemsize * 8 - 1)
    return folded.view(unsigned)


def unzigzag(unsigned: NDArray[Any]) -> NDArray[Any]:
    signed: NDArray[Any] = unsigned >> 1 ^ (~(unsigned & 1) + unsigned.dtype.type(1))
    return signed


def narrow(unsigned: NDArray[Any]) -> tuple[int, bytes]:
    """The smallest width that holds every value (0: all are zero), and the planes at that width."""
    top = int(unsigned.max()) if unsigned.size else 0
    width = next(w for w in WIDTHS if top < 1 << (8 * w))
    return width, shuffle(unsigned.astype(_UNSIGNED[width])) if width else b""


def encode_deltas(columns: NDArray[Any]) -> tuple[int, bytes, bytes]:
    """(k, r) signed integers of 4 or 8 bytes -> width, `first`, `rest`."""
    width, rest = narrow(zigzag(columns[:, 1:] - columns[:, :-1]))
    return width, shuffle(columns[:, 0]), rest


def decode_deltas(first: NDArray[Any], width: int, rest: bytes, rows: int) -> NDArray[Any]:
    """Inverse of `encode_deltas`: `first` unsigned of the column's width -> (k, rows) unsigned of that width."""
    columns = _with_first(first, width, rest, rows)
    columns[:, 1:] = unzigzag(columns[:, 1:])
    return np.cumsum(columns, axis=1, dtype=columns.dtype, out=columns)


def encode_xor(columns: NDArray[Any]) -> tuple[int, bytes, bytes]:
    """(k, r) float64 -> width (0 or 8), `first`, `rest`: each bit pattern XOR the one before."""
    bits = columns.view(_UNSIGNED[8])
    changed = bits[:, 1:] ^ bits[:, :-1]
    return (8, shuffle(bits[:, 0]), shuffle(changed)) if changed.any() else (0, shuffle(bits[:, 0]), b"")


def decode_xor(first: NDArray[Any], width: int, rest: bytes, rows: int) -> NDArray[Any]:
    if width not in (0, 8):
        raise MalformedBatch(f"XOR deltas have width 0 or 8, found {width}")
    columns = _with_first(first, width, rest, rows)
    return np.bitwise_xor.accumulate(columns, axis=1, out=columns)


def _with_first(first: NDArray[Any], width: int, rest: bytes, rows: int) -> NDArray[Any]:
    k = len(first)
    if width not in WIDTHS or width > first.dtype.itemsize or len(rest) != width * k * (rows - 1):
        raise MalformedBatch(f"{len(rest)} bytes of width {width} are not {k} columns of {rows} rows")
    columns: NDArray[Any] = np.zeros((k, rows), first.dtype)
    columns[:, 0] = first
    if width:
        columns[:, 1:] = unshuffle(rest, width).reshape(k, rows - 1)
    return columns


def encode_runs(codes: NDArray[np.uint32]) -> bytes:
    """[varint count, code as u32 little-endian]* over `codes` in their order."""
    edges = np.flatnonzero(codes[1:] != codes[:-1]) + 1
    starts = np.concatenate(([0], edges))
    counts = np.diff(np.concatenate((starts, [codes.size])))
    lengths = 1 + (counts[:, None] >> np.array([7, 14, 21, 28]) > 0).sum(axis=1)
    offsets = np.cumsum(lengths + 4) - (lengths + 4)
    out = np.zeros(int((lengths + 4).sum()), np.uint8)
    for part in range(int(lengths.max())):
        has = lengths > part
        more = np.where(lengths[has] - 1 > part, 0x80, 0)
        out[offsets[has] + part] = (counts[has] >> (7 * part) & 0x7F) | more
    quads = codes[starts].astype("<u4").view(np.uint8).reshape(-1, 4)
    out[(offsets + lengths)[:, None] + np.arange(4)] = quads
    runs: bytes = out.tobytes()
    return runs


def decode_runs(data: bytes, total: int) -> NDArray[np.uint32]:
    """Inverse of `encode_runs`; the counts must add up to `total`. Raises MalformedBatch."""
    if len(data) % 5 == 0 and max(data[::5], default=0) < 0x80:  # every count is one byte: the usual case, without a loop
        runs = np.frombuffer(data, _RUN)
        counts, codes = runs["count"].astype(np.int64), runs["code"]
    else:
        counts, codes = _walk_runs(data)
    if counts.size == 0 or counts.min() < 1 or int(counts.sum()) != total:
        raise MalformedBatch(f"quality runs do not cover the {total} samples of the group")
    return np.repeat(codes, counts).astype(np.uint32, copy=False)


def _walk_runs(data: bytes) -> tuple[NDArray[np.int64], NDArray[Any]]:
    counts: list[int] = []
    codes: list[int] = []
    at = 0
    while at < len(data):
        count = shift = 0
        while True:
            if at >= len(data) or shift > 28:
                raise MalformedBatch("quality runs end in the middle of a count, or a count is too long")
            byte = data[at]
            count |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if byte < 0x80:
                break
        if (shift > 7 and byte == 0) or at + 4 > len(data):
            raise MalformedBatch("quality runs hold a count in long form, or end in the middle of a code")
        counts.append(count)
        codes.append(int.from_bytes(data[at : at + 4], "little"))
        at += 4
    return np.array(counts, np.int64), np.array(codes, np.uint32)


def encode_times(columns: NDArray[np.int64], *, shared: bool) -> bytes:
    """(c, r) microseconds, c = 1 when all tags of the group share them: head, firsts, first deltas, deltas of deltas."""
    rows = columns.shape[1]
    steps = columns[:, 1:] - columns[:, :-1]
    width, rest = narrow(zigzag(steps[:, 1:] - steps[:, :-1]))
    head = bytes((width | (0 if shared else _PER_ID),)) + rows.to_bytes(4, "little")
    times: bytes = head + shuffle(columns[:, 0]) + (shuffle(steps[:, 0]) if rows > 1 else b"") + rest
    return times


def decode_times(data: bytes, k: int) -> tuple[NDArray[np.int64], bool]:
    """(c, rows) microseconds and whether the k tags share them. Raises MalformedBatch, or Bomb for more rows than a batch may have."""
    if len(data) < 5 or data[0] & ~(_PER_ID | 0x0F):
        raise MalformedBatch("times of a group have no valid head")
    width, shared, rows = data[0] & 0x0F, not data[0] & _PER_ID, int.from_bytes(data[1:5], "little")
    c = 1 if shared else k
    if rows < 1:
        raise MalformedBatch("a group without rows")
    check_samples(rows * k)
    if len(data) < 5 + 8 * c * min(rows, 2):
        raise MalformedBatch("times of a group end early")
    first = unshuffle(data[5 : 5 + 8 * c], 8)
    if rows == 1:
        steps = np.zeros((c, 0), np.uint64)
        if width or len(data) != 5 + 8 * c:
            raise MalformedBatch("one row has one time and no deltas")
    else:
        steps = decode_deltas(unshuffle(data[5 + 8 * c : 5 + 16 * c], 8), width, data[5 + 16 * c :], rows - 1)
    times = np.concatenate((first[:, None], steps), axis=1)
    return np.cumsum(times, axis=1, dtype=np.uint64, out=times).view(np.int64), shared


def check_samples(samples: int) -> None:
    if samples > MAX_SAMPLES:
        raise Bomb(f"{samples} samples in one batch, {MAX_SAMPLES} are allowed")


_PER_ID: Final = 0x10
