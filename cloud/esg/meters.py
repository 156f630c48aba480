"""Hourly columns of meters: what is excluded and why, what is filled and how, what stays missing.

Not for turning volumes into gases (`hourly`). Arrays are (sources x hours). Excluded: negative, above the meter's range, frozen (the
same value for `frozen_hours` on end). Gaps up to `bridge_hours` are bridged in a straight line, or held where one end is open; longer ones
take the model's value where there is one. An hour above the range is never bridged: its neighbours say too little of it. Everything else
is missing, counted, and never zero.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from cloud.esg import Bools, EsgError, Floats

Codes = NDArray[np.uint8]
Ints = NDArray[np.int64]


class Origin(IntEnum):
    """Where an hour's value comes from."""

    MEASURED = 0
    BRIDGED = 1
    MODELLED = 2
    MISSING = 3


class Excluded(IntEnum):
    """Why an hour the meter did report is not used."""

    NO = 0
    ABSENT = 1
    NEGATIVE = 2
    ABOVE_RANGE = 3
    FROZEN = 4


@dataclass(frozen=True, slots=True)
class Columns:
    """Values of each hour and whether there is one; what stands where there is none does not matter."""

    values: Floats
    present: Bools

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape != self.present.shape:
            raise EsgError(f"columns: expected sources x hours twice, found {self.values.shape} and {self.present.shape}")
        bad = self.present & ~np.isfinite(self.values)
        if bad.any():
            source, hour = np.argwhere(bad)[0]
            raise EsgError(f"source {source}, hour {hour}: said to be present, but is no finite number")


@dataclass(frozen=True, slots=True)
class Rules:
    """Limits of the cleaning. `hold_zero`: a meter may stand at zero for long (a flare), only other values freeze."""

    bridge_hours: int = 2
    frozen_hours: int = 6
    hold_zero: bool = True

    def __post_init__(self) -> None:
        if self.bridge_hours < 0 or self.frozen_hours < 2:
            raise EsgError(f"bridge_hours >= 0 and frozen_hours >= 2 expected, found {self.bridge_hours} and {self.frozen_hours}")


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Values with the origin of each hour and the reason of each exclusion. A missing hour holds zero and must not be summed alone."""

    values: Floats
    origin: Codes
    excluded: Codes

    def hours(self, origin: Origin) -> Ints:
        """Hours of an origin per source."""
        return np.asarray(np.count_nonzero(self.origin == origin, axis=1), dtype=np.int64)

    def reasons(self, excluded: Excluded) -> Ints:
        """Hours of an exclusion per source."""
        return np.asarray(np.count_nonzero(self.excluded == excluded, axis=1), dtype=np.int64)


def clean(columns: Columns, range_high: Floats, rules: Rules, model: Columns | None = None) -> Cleaned:
    """One pass over all sources. `range_high` (sources) is each meter's upper limit."""
    if range_high.shape != columns.values.shape[:1]:
        raise EsgError(f"range_high: expected one limit for each of {columns.values.shape[0]} sources, found {range_high.shape}")
    if model is not None and model.values.shape != columns.values.shape:
        raise EsgError(f"model: expected columns of shape {columns.values.shape}, found {model.values.shape}")
    excluded = _exclusions(columns, range_high, rules)
    usable = excluded == Excluded.NO
    origin = np.where(usable, Origin.MEASURED, Origin.MISSING).astype(np.uint8)
    values = np.where(usable, columns.values, 0.0)
    _bridge(values, origin, usable, excluded != Excluded.ABOVE_RANGE, rules.bridge_hours)
    if model is not None:
        modelled = (origin == Origin.MISSING) & model.present & (model.values >= 0.0)
        values[modelled] = model.values[modelled]
        origin[modelled] = Origin.MODELLED
    return Cleaned(values, origin, excluded)


def _exclusions(columns: Columns, range_high: Floats, rules: Rules) -> Codes:
    values, present = columns.values, columns.present
    found = np.where(present, Excluded.NO, Excluded.ABSENT).astype(np.uint8)
    change = np.ones(values.shape, dtype=np.bool_)
    change[:, 1:] = (values[:, 1:] != values[:, :-1]) | ~present[:, 1:] | ~present[:, :-1]
    frozen = present & (_run_lengths(change) >= rules.frozen_hours)
    found[frozen & (values != 0.0) if rules.hold_zero else frozen] = Excluded.FROZEN
    found[present & (values > range_high[:, None])] = Excluded.ABOVE_RANGE
    found[present & (values < 0.0)] = Excluded.NEGATIVE
    return found


def _run_lengths(starts: Bools) -> Ints:
    """For every cell the length of the run it belongs to; a run begins where `starts` is true, as each row's first cell is."""
    run = np.cumsum(starts.ravel()) - 1
    lengths: Ints = np.bincount(run)[run].reshape(starts.shape)
    return lengths


def _bridge(values: Floats, origin: Codes, usable: Bools, allowed: Bools, longest: int) -> None:
    """Fill short gaps in place: straight between two good hours, held where the column begins or ends with the gap."""
    if not usable.size:
        return
    starts = np.ones(usable.shape, dtype=np.bool_)
    starts[:, 1:] = usable[:, 1:] != usable[:, :-1]
    rows, hours = np.nonzero(~usable & allowed & (_run_lengths(starts) <= longest))
    before, after = _neighbours(usable)
    left, right = before[rows, hours], after[rows, hours]
    last = usable.shape[1]
    some = (left >= 0) | (right < last)
    rows, hours, left, right = rows[some], hours[some], left[some], right[some]
    low = np.where(left >= 0, left, right)
    high = np.where(right < last, right, left)
    weight = np.where(high > low, (hours - low) / np.maximum(high - low, 1), 0.0)
    values[rows, hours] = values[rows, low] * (1.0 - weight) + values[rows, high] * weight
    origin[rows, hours] = Origin.BRIDGED


def _neighbours(usable: Bools) -> tuple[Ints, Ints]:
    """The last good hour at or before each cell (-1: none) and the first at or after it (the number of hours: none)."""
    hours = np.arange(usable.shape[1])
    before = np.maximum.accumulate(np.where(usable, hours, -1), axis=1)
    after = np.minimum.accumulate(np.where(usable, hours, usable.shape[1])[:, ::-1], axis=1)[:, ::-1]
    return before, after
