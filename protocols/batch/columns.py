"""The samples of a batch as columns: from the blocks of frames to groups, from groups to the wire form of profile qz1, and back.

A group is a set of tags that have the same row times and the same type. `gather` arranges blocks into groups without losing,
reordering within a tag, or changing anything; `encode_groups` and `decode_groups` are exact to the bit (NaN payloads, -0.0,
integer wrap-around). Neither touches a single sample in Python. Units and scales are not known here: they are in the tag table.
docs/wire-format.md has the byte layout.
"""

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocols.batch import cbor, deltas
from protocols.batch.errors import MalformedBatch, TooLarge
from protocols.frame import Block, Priority

MAX_GROUPS: Final = 1 << 14
COLUMN_TYPES: Final = tuple(np.dtype(name) for name in ("<i4", "<i8", "<f4", "<f8"))
_MAX_DECIMALS: Final = 22  # 10**22 is the largest power of ten that a float64 holds exactly
_TRIED_DECIMALS: Final = 10
_SMALL: Final = 512  # samples; below, a group costs more by itself than its times do in company
_SHORT_FRACTION: Final = 26  # trailing zero bits of a float64 that make it a short binary fraction
_INT32_MAX: Final = (1 << 31) - 1


class Encoding(enum.IntEnum):
    RAW = 0
    COUNTS = 1
    FLOAT32 = 2
    XOR = 3
    CONSTANT = 4
    DECIMAL = 5


class GapReason(enum.IntEnum):
    """Why samples are missing. Below 100 the gap is a range of times in microseconds, from 100 a range of batch numbers."""

    DROPPED_BY_CAP = 1
    AGENT_DOWN = 2
    DEVICE_UNREACHABLE = 3
    BUFFER_QUARANTINED = 4
    AGENT_STOPPED = 5
    THINNED_OUT = 6
    NEVER_KEPT = 7
    SEALED_DROPPED = 101

    @property
    def is_sequence(self) -> bool:
        return is_sequence(self)


def is_sequence(reason: int) -> bool:
    """Whether a gap of that reason is a range of batch numbers; also for reasons a newer gateway may send."""
    return reason >= 100


@dataclass(frozen=True, slots=True)
class Gap:
    """Both ends belong to the gap. A reason this version does not know stays a plain int.

    samples: how many are missing, where that is known (else 0); priority: of the devices that they are of.
    """

    start: int
    end: int
    reason: int
    samples: int = 0
    priority: int = Priority.NORMAL


@dataclass(frozen=True, slots=True)
class ClockRecord:
    """source: 0 unknown, 1 local clock, 2 NTP, 3 PTP, 4 GNSS. boot: 16 bytes that change with every start of the machine."""

    source: int
    offset_us: int
    error_us: int
    boot: bytes
    mono_us: int


@dataclass(frozen=True, slots=True)
class Group:
    """values[i, j] and quality[i, j] belong to tags[j] at times_us[i]; quality None = all good.

    tags uint32 (k,); times_us int64 (r,); values int32, int64, float32 or float64 (r, k); quality uint32 (r, k). A tag may
    stand in several groups and more than once in one.
    """

    tags: NDArray[np.uint32]
    times_us: NDArray[np.int64]
    values: NDArray[Any]
    quality: NDArray[np.uint32] | None = None

    @property
    def samples(self) -> int:
        return self.values.size


@dataclass(frozen=True, slots=True)
class Grid:
    """Row times t0, t0 + dt, ... of the groups that carry none of their own. dt 0: there is no grid."""

    t0_us: int = 0
    dt_us: int = 0
    rows: int = 0

    def times(self) -> NDArray[np.int64]:
        return self.t0_us + self.dt_us * np.arange(self.rows, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class _Columns:
    """What becomes one group on the wire: values and quality as (k, r), times as (1, r) or (k, r) or None: on the grid."""

    ids: NDArray[np.uint32]
    values: NDArray[Any]
    quality: NDArray[np.uint32] | None
    times: NDArray[np.int64] | None

    def pick(self, chosen: NDArray[np.bool_]) -> "_Columns":
        times = self.times if self.times is None or len(self.times) == 1 else self.times[chosen]
        return _Columns(self.ids[chosen], self.values[chosen], None if self.quality is None else self.quality[chosen], times)


def gather(blocks: Sequence[Block]) -> tuple[Group, ...]:
    """All samples of the blocks. Within a group, each tag's samples stand in their order of arrival, also at equal or falling times.

    Raises ValueError for a block whose arrays do not fit each other or whose type is not a column type.
    """
    stacks: dict[tuple[bytes, str], list[Block]] = {}
    loose: dict[str, list[Block]] = {}
    for block in blocks:
        _check(block)
        if block.values.size == 0:
            continue
        if block.values.ndim == 2:
            stacks.setdefault((block.tags.tobytes(), block.values.dtype.str), []).append(block)
        else:
            loose.setdefault(block.values.dtype.str, []).append(block)
    groups = [_stack(same) for same in stacks.values()]
    for same in loose.values():
        groups.extend(_pivot(same))
    return _merge(groups)


def _check(block: Block) -> None:
    tags, times, values = block.tags, block.times_us, block.values
    if values.dtype.newbyteorder("<") not in COLUMN_TYPES or tags.dtype != np.uint32 or times.dtype != np.int64:
        kinds = f"tags {tags.dtype}, times {times.dtype}, values {values.dtype}"
        raise ValueError(f"a block of {kinds}: expected uint32, int64, and int32, int64, float32 or float64")
    shape = (times.size, tags.size) if values.ndim == 2 else (tags.size,)
    if values.shape != shape or times.size != shape[0] or (block.quality is not None and block.quality.shape != shape):
        raise ValueError(f"a block of {tags.size} tags and {times.size} times has values of shape {values.shape}")


def _stack(blocks: list[Block]) -> Group:
    if len(blocks) == 1:
        block = blocks[0]
        return Group(block.tags, block.times_us, block.values, block.quality)
    return Group(blocks[0].tags, _joined([b.times_us for b in blocks]), _joined([b.values for b in blocks]), _joined_quality(blocks))


def _joined(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _joined_quality(parts: Sequence[Block | Group], axis: int = 0) -> NDArray[np.uint32] | None:
    if all(part.quality is None for part in parts):
        return None
    return np.concatenate([np.zeros(part.values.shape, np.uint32) if part.quality is None else part.quality for part in parts], axis=axis)


def _pivot(blocks: list[Block]) -> Iterable[Group]:
    """Scattered samples of one type -> one group per distinct array of times."""
    tags = _joined([b.tags for b in blocks])
    order = np.argsort(tags, kind="stable")
    ordered = tags[order]
    times = _joined([b.times_us for b in blocks])[order]
    values = _joined([b.values for b in blocks])[order]
    joined = _joined_quality(blocks)
    quality = None if joined is None else joined[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    ends = np.append(starts[1:], len(ordered))
    alike: dict[bytes, list[int]] = {}
    for index, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        alike.setdefault(times[start:end].tobytes(), []).append(index)
    for members in alike.values():
        firsts = starts[members]
        cells = firsts + np.arange(ends[members[0]] - firsts[0])[:, None]
        yield Group(ordered[firsts], times[cells[:, 0]], values[cells], None if quality is None else quality[cells])


def _merge(groups: list[Group]) -> tuple[Group, ...]:
    """Groups of one type and the same times become one, side by side."""
    alike: dict[tuple[bytes, str], list[Group]] = {}
    for group in groups:
        alike.setdefault((group.times_us.tobytes(), group.values.dtype.str), []).append(group)
    return tuple(_side_by_side(same) for same in alike.values())


def _side_by_side(groups: list[Group]) -> Group:
    if len(groups) == 1:
        return groups[0]
    values = np.concatenate([g.values for g in groups], axis=1)
    return Group(np.concatenate([g.tags for g in groups]), groups[0].times_us, values, _joined_quality(groups, axis=1))


def encode_groups(groups: Sequence[Group]) -> tuple[Grid, list[list[Any]]]:
    """The default grid and the wire form of each group. Raises TooLarge beyond the limits of a batch."""
    groups = [group for group in groups if group.samples]
    samples = sum(group.samples for group in groups)
    if samples > deltas.MAX_SAMPLES:
        raise TooLarge(f"{samples} samples in one batch, {deltas.MAX_SAMPLES} are allowed")
    grids = [_grid_of(group.times_us) for group in groups]
    weight: dict[Grid, int] = {}
    for group, grid in zip(groups, grids, strict=True):
        if grid is not None:
            weight[grid] = weight.get(grid, 0) + group.samples
    default = max(weight, key=weight.__getitem__, default=Grid())
    wire: list[list[Any]] = []
    for columns in _arrange(groups, [grid == default for grid in grids]):
        wire.extend(_encode(part) for part in _by_encoding(columns))
    if len(wire) > MAX_GROUPS:
        raise TooLarge(f"{len(wire)} groups in one batch, {MAX_GROUPS} are allowed")
    return default, wire


def _grid_of(times: NDArray[np.int64]) -> Grid | None:
    """The grid that gives exactly these times, if there is one. A single row lies on a grid of step 1."""
    if len(times) == 1:
        return Grid(int(times[0]), 1, 1)
    step = int(times[1]) - int(times[0])
    even = step > 0 and int(times[0]) + step * (len(times) - 1) == int(times[-1]) and bool((times[1:] - times[:-1] == step).all())
    return Grid(int(times[0]), step, len(times)) if even else None


def _arrange(groups: Sequence[Group], on_grid: list[bool]) -> Iterable[_Columns]:
    """Small groups with times of their own, of one type and as many rows, travel together; every other group by itself."""
    small: dict[tuple[str, int], list[Group]] = {}
    for group, fits in zip(groups, on_grid, strict=True):
        if not fits and group.samples < _SMALL:
            small.setdefault((group.values.dtype.str, len(group.times_us)), []).append(group)
            continue
        own = None if fits else group.times_us[None, :]
        yield _Columns(group.tags, group.values.T, None if group.quality is None else group.quality.T, own)
    for same in small.values():
        quality = _joined_quality(same, axis=1)
        times = np.stack([g.times_us for g in same])
        if len(same) > 1:
            times = np.repeat(times, [len(g.tags) for g in same], axis=0)
        values = np.concatenate([g.values for g in same], axis=1)
        yield _Columns(np.concatenate([g.tags for g in same]), values.T, None if quality is None else quality.T, times)


def _by_encoding(columns: _Columns) -> Iterable[tuple[Encoding, _Columns, NDArray[np.uint8] | None]]:
    """Integers and float32 have one encoding; float64 columns are split into those that are decimals and those that are not."""
    kind = columns.values.dtype.str[-2:]
    if kind != "f8":
        yield (Encoding.FLOAT32 if kind == "f4" else Encoding.COUNTS), columns, None
        return
    digits = decimals(columns.values)
    exact = (digits >= 0) & ~((digits >= 2) & _are_dyadic(columns.values))
    if exact.any():
        yield Encoding.DECIMAL, columns if exact.all() else columns.pick(exact), digits[exact].astype(np.uint8)
    if not exact.all():
        yield Encoding.XOR, columns.pick(~exact) if exact.any() else columns, None


def _are_dyadic(columns: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Per row of (k, r): whether all values are short binary fractions, such as scaled counts. Their XOR is smaller than
    their decimals (measured: 1.2 against 2.7 bytes a sample), since a step of 2**-d is 5**d steps of 10**-d."""
    used = np.bitwise_or.reduce(np.ascontiguousarray(columns).view(np.uint64), axis=1)
    dyadic: NDArray[np.bool_] = used & np.uint64((1 << _SHORT_FRACTION) - 1) == 0
    return dyadic


def decimals(columns: NDArray[np.float64]) -> NDArray[np.int8]:
    """Per row of (k, r): the smallest d with every value exactly k / 10**d for an int32 k, else -1.

    A few values of each column decide which d to try, so that measured noise costs no more than they do.
    """
    k, rows = columns.shape
    probe = columns[:, sorted({0, rows // 3, rows // 2, 2 * rows // 3, rows - 1})]
    result = np.full(k, -1, np.int8)
    open_ = np.arange(k)
    for d in range(_TRIED_DECIMALS):
        likely = open_[_are_decimals(probe[open_], d)]
        result[likely[_are_decimals(columns[likely], d)]] = d
        open_ = np.flatnonzero(result < 0)
        if not open_.size:
            break
    return result


def _are_decimals(columns: NDArray[np.float64], d: int) -> NDArray[np.bool_]:
    power = 10.0**d
    with np.errstate(over="ignore", invalid="ignore"):
        counts = np.rint(columns * power)
        back = (counts + 0.0) / power  # + 0.0 turns -0.0 into 0.0, as the integer will
        exact = (back.view(np.uint64) == np.ascontiguousarray(columns).view(np.uint64)) & (np.abs(counts) <= _INT32_MAX)
    found: NDArray[np.bool_] = exact.all(axis=1)
    return found


def _encode(part: tuple[Encoding, _Columns, NDArray[np.uint8] | None]) -> list[Any]:
    encoding, columns, digits = part
    width, first, rest = encode_columns(encoding, np.ascontiguousarray(columns.values), digits)
    group: list[Any] = [cbor.typed_tag(columns.ids), int(encoding), width, first, rest]
    quality = columns.quality
    if quality is not None and quality.any():
        group.append(deltas.encode_runs(quality.reshape(-1)))
    if columns.times is not None:
        times = deltas.encode_times(columns.times, shared=len(columns.times) == 1)
        group += [times] if len(group) == 6 else [b"", times]
    return group


def encode_columns(encoding: Encoding, columns: NDArray[Any], digits: NDArray[np.uint8] | None = None) -> tuple[int, bytes, bytes]:
    """(k, r) values -> width, `first`, `rest` in the given encoding, which must fit them. `digits`: per column, for DECIMAL alone."""
    match encoding:
        case Encoding.COUNTS:
            return deltas.encode_deltas(columns)
        case Encoding.FLOAT32:
            return deltas.encode_deltas(columns.view(np.int32))
        case Encoding.XOR:
            return deltas.encode_xor(columns)
        case Encoding.DECIMAL:
            assert digits is not None
            counts = np.rint(columns * 10.0 ** digits[:, None]).astype(np.int32)
            width, first, rest = deltas.encode_deltas(counts)
            return width, digits.tobytes() + first, rest
        case Encoding.CONSTANT:
            return 0, cbor.encode(cbor.typed_tag(columns[:, 0])), b""
        case Encoding.RAW:
            return 0, b"", cbor.encode(cbor.typed_tag(columns.T))


def decode_groups(grid: Grid, wire: Sequence[Any]) -> tuple[Group, ...]:
    """Inverse of `encode_groups`, up to the arrangement into groups. Raises MalformedBatch or Bomb; limits hold before memory is taken."""
    if len(wire) > MAX_GROUPS:
        raise MalformedBatch(f"{len(wire)} groups in one batch, {MAX_GROUPS} are allowed")
    groups: list[Group] = []
    samples = 0
    for item in wire:
        for group in _decode(grid, item, deltas.MAX_SAMPLES - samples):
            groups.append(group)
            samples += group.samples
    return tuple(groups)


def _decode(grid: Grid, item: Any, room: int) -> Iterable[Group]:
    match item:
        case [cbor.Tag(70) as ids_tag, encoding, width, bytes(first), bytes(rest), *extra] if cbor.are_ints(encoding, width):
            pass
        case _:
            raise MalformedBatch("a group is [ids, encoding, width, first, rest, quality, times]")
    if len(extra) > 2 or not all(isinstance(part, bytes) for part in extra):
        raise MalformedBatch("a group has quality runs and times as byte strings, and nothing after them")
    ids = cbor.typed_array(ids_tag)
    if not len(ids):
        raise MalformedBatch("a group without tags")
    runs, own = (*extra, b"", b"")[:2]
    if own:
        times, shared = deltas.decode_times(own, len(ids))
    elif grid.dt_us > 0 and 0 < grid.rows <= deltas.MAX_SAMPLES:
        times, shared = grid.times()[None, :], True
    else:
        raise MalformedBatch("a group without times in a batch without a grid")
    rows = times.shape[1]
    if rows * len(ids) > room:
        deltas.check_samples(deltas.MAX_SAMPLES - room + rows * len(ids))
    values = decode_columns(encoding, width, first, rest, len(ids), rows).T
    quality = deltas.decode_runs(runs, rows * len(ids)).reshape(len(ids), rows).T if runs else None
    if quality is not None and not quality.any():
        quality = None
    if shared:
        yield Group(ids, times[0], values, quality)
        return
    edges = np.flatnonzero((times[1:] != times[:-1]).any(axis=1)) + 1  # neighbours of the same times are one group again
    for start, end in pairwise((0, *edges.tolist(), len(ids))):
        some = slice(start, end)
        yield Group(ids[some], times[start], values[:, some], None if quality is None else quality[:, some])


def decode_columns(encoding: int, width: int, first: bytes, rest: bytes, k: int, rows: int) -> NDArray[Any]:
    """(k, rows) values of their own type. Raises MalformedBatch when the bytes do not hold exactly that many."""
    match encoding:
        case Encoding.COUNTS if len(first) in (4 * k, 8 * k):
            size = len(first) // k
            return deltas.decode_deltas(deltas.unshuffle(first, size), width, rest, rows).view(f"<i{size}")
        case Encoding.FLOAT32 if len(first) == 4 * k:
            return deltas.decode_deltas(deltas.unshuffle(first, 4), width, rest, rows).view("<f4")
        case Encoding.XOR if len(first) == 8 * k:
            return deltas.decode_xor(deltas.unshuffle(first, 8), width, rest, rows).view("<f8")
        case Encoding.DECIMAL if len(first) == 5 * k and max(first[:k]) <= _MAX_DECIMALS:
            counts = deltas.decode_deltas(deltas.unshuffle(first[k:], 4), width, rest, rows).view("<i4")
            values: NDArray[np.float64] = counts / 10.0 ** np.frombuffer(first, np.uint8, k)[:, None]
            return values
        case Encoding.CONSTANT if width == 0 and not rest:
            return np.repeat(_column_array(first, k)[:, None], rows, axis=1)
        case Encoding.RAW if width == 0 and not first:
            return np.ascontiguousarray(_column_array(rest, k * rows).reshape(rows, k).T)
    raise MalformedBatch(f"encoding {encoding} does not hold {k} columns in a `first` of {len(first)} bytes and width {width}")


def _column_array(data: bytes, size: int) -> NDArray[Any]:
    array = cbor.typed_array(cbor.decode_strict(data))
    if array.size != size:
        raise MalformedBatch(f"a typed array of {array.size} values where {size} belong")
    if array.dtype == np.dtype("<i2"):
        return array.astype(np.int32)
    if array.dtype not in COLUMN_TYPES or array.dtype.byteorder == ">":
        raise MalformedBatch(f"a typed array of {array.dtype} is no column")
    return array
