"""Hourly series: one row per tag and hour, columns encoded like a batch column. Derived from batches and rebuildable. Pure.

A row holds the samples of one tag whose source time lies in [hour, hour + 1 h), in the order of source time; samples of equal time keep the
order of storing and are all kept. Values are engineering float64; a value under bad quality is NaN. Minute rollups are counted here too, from
whole hours, so that late samples are never added twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocols.batch import cbor, columns, frames
from protocols.batch.errors import MalformedBatch

HOUR_US: Final = 3_600_000_000
MINUTE_US: Final = 60_000_000
PART_SAMPLES: Final = 1 << 19  # of one zstd frame: what they need at most stays below its limit
GROWTH: Final = 2  # times what is added: frames up to that size are written anew with it
_EARLIEST_US: Final = -(1 << 63)
_ONLY_TAG: Final = np.zeros(1, np.uint32)


@dataclass(frozen=True, slots=True)
class Samples:
    """One tag's samples: int64 source times, float64 engineering values (NaN where the quality is bad), uint32 qualities."""

    times_us: NDArray[np.int64]
    values: NDArray[np.float64]
    quality: NDArray[np.uint32]

    def between(self, from_us: int, to_us: int) -> "Samples":
        """Those with from_us <= time < to_us, of samples in the order of time."""
        start, end = np.searchsorted(self.times_us, (from_us, to_us))
        return Samples(self.times_us[start:end], self.values[start:end], self.quality[start:end])


NOTHING: Final = Samples(np.empty(0, np.int64), np.empty(0), np.empty(0, np.uint32))


@dataclass(frozen=True, slots=True)
class Minutes:
    """Rollups of one tag, a row per minute that has samples. low, high, total, last: of the values there are, else NaN."""

    minute_us: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    total: NDArray[np.float64]
    last: NDArray[np.float64]
    count: NDArray[np.int64]
    good: NDArray[np.int64]


def merge(parts: Sequence[Samples]) -> Samples:
    """In the order of source time; equal times in the order of the parts, and as they stand within one."""
    if not parts:
        return NOTHING
    if len(parts) == 1:
        return _ordered(parts[0])
    times, values, codes = (np.concatenate(columns) for columns in zip(*((p.times_us, p.values, p.quality) for p in parts), strict=True))
    return _ordered(Samples(times, values, codes))


def _ordered(samples: Samples) -> Samples:
    if bool(np.all(samples.times_us[1:] >= samples.times_us[:-1])):
        return samples
    order = np.argsort(samples.times_us, kind="stable")
    return Samples(samples.times_us[order], samples.values[order], samples.quality[order])


def _starts(times_us: NDArray[np.int64], length_us: int) -> NDArray[np.int64]:
    """The start of each one's hour or minute. What lies before the first that an int64 can name belongs to that one."""
    starts: NDArray[np.int64] = np.maximum(times_us // length_us, -(-_EARLIEST_US // length_us)) * length_us
    return starts


def hour_of(time_us: int) -> int:
    return int(_starts(np.array([time_us], np.int64), HOUR_US)[0])


def hour_cuts(times_us: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """(hour, start, end) of the runs of each hour, of at least one time in order."""
    if hour_of(int(times_us[0])) == (last := hour_of(int(times_us[-1]))):
        return [(last, 0, times_us.size)]
    hours, first = np.unique(_starts(times_us, HOUR_US), return_index=True)
    return list(zip(hours.tolist(), first.tolist(), [*first[1:].tolist(), times_us.size], strict=True))


@dataclass(frozen=True, slots=True)
class Part:
    """Samples of a row that stand in one frame: how many, and the source times of the first and the last."""

    size: int
    first_us: int
    last_us: int
    frame: bytes


def encode(samples: Samples) -> bytes:
    """At least one sample. Exact to the bit."""
    return _join(_parts(samples))


def decode(data: bytes) -> Samples:
    """Raises BatchError when the row was damaged."""
    return merge([_decode(part.frame) for part in _split(data)])


def append(data: bytes, fresh: Samples) -> tuple[bytes, int, Samples]:
    """The row with samples, in the order of time, that were stored after all it has; how many it has then; and all of them in the minutes of the fresh ones.

    What is written again are the last frames that are not much larger than what is added, so that a sample is written about as often as
    the logarithm of the number of passes over its hour; only frames that reach into the minutes of the fresh ones are read besides.
    """
    kept, tail, size = _split(data), [fresh], fresh.times_us.size
    while kept and kept[-1].size <= GROWTH * size and kept[-1].size + size <= PART_SAMPLES:
        last = kept.pop()
        tail.append(_decode(last.frame))
        size += last.size
    merged = merge(tail[::-1])
    parts = [*kept, *_parts(merged)]
    low_us, high_us = _starts(fresh.times_us[[0, -1]], MINUTE_US)
    bounds = _starts(np.array([(part.first_us, part.last_us) for part in kept], np.int64).reshape(-1, 2), MINUTE_US)
    reach = (bounds[:, 0] <= high_us) & (bounds[:, 1] >= low_us)
    near = [_decode(kept[at].frame) for at in np.flatnonzero(reach)]
    return _join(parts), sum(part.size for part in parts), _touched(merge([*near, merged]), fresh)


def _touched(samples: Samples, fresh: Samples) -> Samples:
    """Those in minutes in which `fresh`, a part of them, has samples."""
    touched = np.isin(_starts(samples.times_us, MINUTE_US), np.unique(_starts(fresh.times_us, MINUTE_US)))
    return Samples(samples.times_us[touched], samples.values[touched], samples.quality[touched])


def _parts(samples: Samples) -> list[Part]:
    found = []
    for start in range(0, samples.times_us.size, PART_SAMPLES):
        end = min(start + PART_SAMPLES, samples.times_us.size)
        found.append(Part(end - start, int(samples.times_us[start]), int(samples.times_us[end - 1]), _encode(samples, start, end)))
    return found


def _join(parts: Sequence[Part]) -> bytes:
    return cbor.encode([[part.size, part.first_us, part.last_us, part.frame] for part in parts])


def _split(data: bytes) -> list[Part]:
    match cbor.decode_strict(data):
        case [*listed] if listed:
            return [_part(one) for one in listed]
    raise MalformedBatch("a row of series is a list of frames")


def _part(found: object) -> Part:
    match found:
        case [int(size), int(first_us), int(last_us), bytes(frame)]:
            return Part(size, first_us, last_us, frame)
        case bytes(frame):  # rows of before parts named their times
            times_us = _decode(frame).times_us
            return Part(times_us.size, int(times_us[0]), int(times_us[-1]), frame)
    raise MalformedBatch("a row of series is a list of frames")


def _encode(samples: Samples, start: int, end: int) -> bytes:
    codes = samples.quality[start:end, None]
    values = np.ascontiguousarray(samples.values[start:end, None])
    grid, wire = columns.encode_groups((columns.Group(_ONLY_TAG, samples.times_us[start:end], values, codes if codes.any() else None),))
    return frames.compress(cbor.encode([[grid.t0_us, grid.dt_us, grid.rows], wire]))


def _decode(frame: bytes) -> Samples:
    match cbor.decode_strict(frames.decompress(frame)):
        case [[t0_us, dt_us, rows], list(wire)] if cbor.are_ints(t0_us, dt_us, rows) and len(wire) == 1:
            (group,) = columns.decode_groups(columns.Grid(t0_us, dt_us, rows), wire)
        case _:
            raise MalformedBatch("a frame of series is a grid and one group")
    codes = np.zeros(len(group.times_us), np.uint32) if group.quality is None else group.quality[:, 0].astype(np.uint32)
    return Samples(group.times_us, group.values[:, 0].astype(np.float64), codes)


def minutes(samples: Samples) -> Minutes:
    """Rollups of samples in the order of time."""
    starts_us, first = np.unique(_starts(samples.times_us, MINUTE_US), return_index=True)
    values = samples.values
    usable = ~np.isnan(values)
    count = np.diff(np.append(first, values.size))
    minute_of = np.repeat(np.arange(first.size), count)
    has = np.zeros(first.size, bool)
    has[minute_of[usable]] = True
    last = np.full(first.size, np.nan)
    last[minute_of[usable]] = values[usable]  # of repeated places the last assignment stands
    with np.errstate(invalid="ignore", over="ignore"):
        total = np.add.reduceat(np.where(usable, values, 0.0), first)
    return Minutes(
        starts_us,
        np.where(has, np.minimum.reduceat(np.where(usable, values, np.inf), first), np.nan),
        np.where(has, np.maximum.reduceat(np.where(usable, values, -np.inf), first), np.nan),
        np.where(has, total, np.nan),
        last,
        count,
        np.add.reduceat((samples.quality >> np.uint32(30) == 0).astype(np.int64), first),
    )


def decimate(samples: Samples, points: int) -> Samples:
    """At most `points` samples (5 or more) that keep every extreme: the first, last, lowest and highest of each of points // 5 equal
    stretches of time.

    A stretch that has samples without a value keeps one of them, so that a line drawn through the rest still breaks there.
    """
    size = samples.times_us.size
    if size <= points:
        return samples
    stretches = max(1, points // 5)
    begin, end = int(samples.times_us[0]), int(samples.times_us[-1])
    step_us = min((end - begin) // stretches + 1, (1 << 64) - 1)
    offset = samples.times_us.view(np.uint64) - np.uint64(begin & (1 << 64) - 1)  # exact also where int64 would overflow
    stretch = (offset // np.uint64(step_us)).astype(np.int64)
    first = np.flatnonzero(np.append(True, stretch[1:] != stretch[:-1]))
    missing = np.isnan(samples.values)
    lengths = np.diff(np.append(first, size))
    lowest = np.repeat(np.minimum.reduceat(np.where(missing, np.inf, samples.values), first), lengths)
    highest = np.repeat(np.maximum.reduceat(np.where(missing, -np.inf, samples.values), first), lengths)
    chosen = [first, first + lengths - 1]
    for wanted in (samples.values == lowest, samples.values == highest, missing):
        at = np.flatnonzero(wanted)
        chosen.append(at[np.append(True, stretch[at[1:]] != stretch[at[:-1]])[: at.size]])  # the first of each stretch
    kept = np.unique(np.concatenate(chosen))
    return Samples(samples.times_us[kept], samples.values[kept], samples.quality[kept])
