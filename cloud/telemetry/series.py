"""Hourly series: one row per tag and hour, columns encoded like a batch column. Derived from batches and rebuildable. Pure.

A row holds the samples of one tag whose source time lies in [hour, hour + 1 h), in the order of source time; samples of equal time keep the
order of storing and are all kept. Values are engineering float64; a value under bad quality is NaN. Minute rollups are counted here too, from
whole hours, so that late samples are never added twice.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocols import quality
from protocols.batch import cbor, columns, frames

HOUR_US: Final = 3_600_000_000
MINUTE_US: Final = 60_000_000
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
    """Rollups of one tag, a row per minute that has samples. low, high, total, last: of values that are not bad, else NaN."""

    minute_us: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    total: NDArray[np.float64]
    last: NDArray[np.float64]
    count: NDArray[np.int64]
    good: NDArray[np.int64]


def merge(parts: list[Samples]) -> Samples:
    """In the order of source time, stably."""
    if len(parts) < 2:
        return parts[0] if parts else NOTHING
    times = np.concatenate([part.times_us for part in parts])
    order = np.argsort(times, kind="stable")
    return Samples(times[order], np.concatenate([p.values for p in parts])[order], np.concatenate([p.quality for p in parts])[order])


def by_hour(samples: Samples) -> dict[int, Samples]:
    """Samples in the order of time, cut at full hours; keys are the hours' starts."""
    if not samples.times_us.size:
        return {}
    first, last = int(samples.times_us[0]) // HOUR_US, int(samples.times_us[-1]) // HOUR_US
    if first == last:
        return {first * HOUR_US: samples}
    hours = samples.times_us // HOUR_US
    return {int(hour) * HOUR_US: samples.between(int(hour) * HOUR_US, (int(hour) + 1) * HOUR_US) for hour in np.unique(hours)}


def encode(samples: Samples) -> bytes:
    codes = samples.quality[:, None] if samples.quality.any() else None
    group = columns.Group(_ONLY_TAG, samples.times_us, np.ascontiguousarray(samples.values[:, None]), codes)
    grid, wire = columns.encode_groups((group,))
    return frames.compress(cbor.encode([[grid.t0_us, grid.dt_us, grid.rows], wire]))


def decode(data: bytes) -> Samples:
    """Raises BatchError when the row was damaged."""
    (t0_us, dt_us, rows), wire = cbor.decode_strict(frames.decompress(data))
    (group,) = columns.decode_groups(columns.Grid(t0_us, dt_us, rows), wire)
    codes = np.zeros(len(group.times_us), np.uint32) if group.quality is None else group.quality[:, 0].astype(np.uint32)
    return Samples(group.times_us, group.values[:, 0].astype(np.float64), codes)


def minutes(samples: Samples) -> Minutes:
    """Rollups of samples in the order of time."""
    starts_us, first = np.unique(samples.times_us // MINUTE_US * MINUTE_US, return_index=True)
    usable = samples.quality & np.uint32(quality.BAD) == 0
    values = samples.values
    count = np.diff(np.append(first, values.size))
    minute_of = np.repeat(np.arange(first.size), count)
    has = np.zeros(first.size, bool)
    has[minute_of[usable]] = True
    last = np.full(first.size, np.nan)
    last[minute_of[usable]] = values[usable]  # of repeated places the last assignment stands
    return Minutes(
        starts_us,
        np.where(has, np.minimum.reduceat(np.where(usable, values, np.inf), first), np.nan),
        np.where(has, np.maximum.reduceat(np.where(usable, values, -np.inf), first), np.nan),
        np.where(has, np.add.reduceat(np.where(usable, values, 0.0), first), np.nan),
        last,
        count,
        np.add.reduceat((samples.quality >> np.uint32(30) == 0).astype(np.int64), first),
    )


def decimate(samples: Samples, points: int) -> Samples:
    """At most about `points` samples that keep every extreme: of each of points/4 equal stretches of time the first, last, lowest and highest value.

    A stretch that has bad samples keeps one of them, so that a line drawn through the rest still breaks there.
    """
    size = samples.times_us.size
    if size <= points:
        return samples
    span = int(samples.times_us[-1] - samples.times_us[0]) + 1
    bucket = (samples.times_us - samples.times_us[0]) * max(1, points // 4) // span
    first = np.flatnonzero(np.append(True, bucket[1:] != bucket[:-1]))
    missing = np.isnan(samples.values)
    order_low = np.lexsort((np.where(missing, np.inf, samples.values), bucket))
    order_high = np.lexsort((np.where(missing, np.inf, -samples.values), bucket))
    broken = np.flatnonzero(missing)
    broken = broken[np.unique(bucket[broken], return_index=True)[1]] if broken.size else broken
    kept = np.unique(np.concatenate((first, np.append(first[1:] - 1, size - 1), order_low[first], order_high[first], broken)))
    return Samples(samples.times_us[kept], samples.values[kept], samples.quality[kept])
