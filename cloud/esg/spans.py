"""Samples of a tag as stretches of time with one value, and what they add up to between given moments.

A good sample holds until the next sample of any quality, at most for the meter's `hold`; where no good sample holds, nothing is known, and
nothing is made up. Everything is put in order of time and value first, so that the order in which batches came changes nothing. Not for
judging hours (`meters`) or for gases (`accounts`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cloud.esg import Floats
from protocols import quality
from protocols.batch.bundle import Samples

Times = NDArray[np.int64]
SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
DAY_US = 24 * HOUR_US


@dataclass(frozen=True, slots=True)
class Spans:
    """Rising, without overlap: value holds for start_us <= time < end_us."""

    start_us: Times
    end_us: Times
    value: Floats

    @property
    def seconds(self) -> Floats:
        return np.asarray((self.end_us - self.start_us) / SECOND_US, dtype=np.float64)


def in_order(samples: Samples) -> tuple[Times, Floats, NDArray[np.bool_]]:
    """Times, values and whether each is good; a time that stands twice keeps its last, good before bad, by value."""
    good = ((samples.quality & np.uint32(0xC000_0000)) == quality.GOOD) & np.isfinite(samples.values)
    order = np.lexsort((samples.values, good, samples.times_us))
    times, values, good = samples.times_us[order], samples.values[order], good[order]
    last = np.ones(times.size, dtype=np.bool_)
    last[:-1] = times[1:] != times[:-1]
    return times[last], values[last], good[last]


def spans(samples: Samples, hold_us: int, from_us: int, to_us: int) -> Spans:
    """What is known of from_us <= time < to_us."""
    times, values, good = in_order(samples)
    ends = np.minimum(np.append(times[1:], to_us), times + hold_us)
    starts, ends = np.maximum(times, from_us), np.minimum(ends, to_us)
    kept = good & (ends > starts)
    return Spans(starts[kept], ends[kept], values[kept])


def both(one: Spans, other: Spans) -> tuple[Spans, Floats]:
    """Where both are known: spans of `one`, cut where either changes, and the value of `other` in each."""
    edges = np.unique(np.concatenate([one.start_us, one.end_us, other.start_us, other.end_us]))
    if edges.size < 2:
        return Spans(one.start_us[:0], one.end_us[:0], one.value[:0]), other.value[:0]
    starts, ends = edges[:-1], edges[1:]
    first, second = _value_at(one, starts), _value_at(other, starts)
    kept = np.isfinite(first) & np.isfinite(second)
    return Spans(starts[kept], ends[kept], first[kept]), second[kept]


def _value_at(found: Spans, times: Times) -> Floats:
    """NaN where nothing is known."""
    if not found.start_us.size:
        return np.full(times.size, np.nan)
    place = np.maximum(np.searchsorted(found.start_us, times, side="right") - 1, 0)
    known = (times >= found.start_us[place]) & (times < found.end_us[place])
    return np.where(known, found.value[place], np.nan)


def integrals(found: Spans, edges_us: Times, weight: Floats | None = None) -> tuple[Floats, Floats]:
    """Between each two edges: value x seconds (x weight), and the seconds that are known."""
    if not found.start_us.size:
        return np.zeros(edges_us.size - 1), np.zeros(edges_us.size - 1)
    seconds = found.seconds
    parts = found.value * seconds if weight is None else found.value * weight * seconds
    knots = np.column_stack([found.start_us, found.end_us]).ravel().astype(np.float64)
    sums = np.column_stack([np.cumsum(parts) - parts, np.cumsum(parts)]).ravel()
    known = np.column_stack([np.cumsum(seconds) - seconds, np.cumsum(seconds)]).ravel()
    edges = edges_us.astype(np.float64)
    return np.diff(np.interp(edges, knots, sums)), np.diff(np.interp(edges, knots, known))


def extremes(found: Spans, edges_us: Times) -> tuple[Floats, Floats]:
    """Lowest and highest value between each two edges; NaN where nothing is known."""
    low, high = np.full(edges_us.size - 1, np.nan), np.full(edges_us.size - 1, np.nan)
    for at, (start, end) in enumerate(zip(edges_us[:-1].tolist(), edges_us[1:].tolist(), strict=True)):
        some = found.value[np.searchsorted(found.end_us, start, "right") : np.searchsorted(found.start_us, end, "left")]
        if some.size:
            low[at], high[at] = some.min(), some.max()
    return low, high


def counted(samples: Samples, hold_us: int, edges_us: Times) -> tuple[Floats, Floats]:
    """Of a counter: how far it ran between each two edges, read in a straight line between samples, and the seconds that this stands for.

    Before its first and after its last good sample a counter says nothing; an edge less than `hold` away takes the nearest.
    """
    times, values, good = in_order(samples)
    times, values = times[good], values[good]
    if not times.size:
        return np.zeros(edges_us.size - 1), np.zeros(edges_us.size - 1)
    near = np.where((edges_us < times[0]) & (edges_us >= times[0] - hold_us), times[0], edges_us)
    near = np.where((near > times[-1]) & (near <= times[-1] + hold_us), times[-1], near)
    inside = np.clip(near, times[0], times[-1])
    base = times[0]
    ran = np.diff(np.interp((inside - base).astype(np.float64), (times - base).astype(np.float64), values))
    whole = np.diff(np.where(near == inside, edges_us, inside)) / SECOND_US
    return ran, np.asarray(whole, dtype=np.float64)
