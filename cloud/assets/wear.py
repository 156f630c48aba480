"""What the course of a unit's tags tells about its wear so far: levels, drift from its own start, slope, spread, and age.

For whole histories at once, to learn from failures of the past; `features` is the same idea tick by tick for health. Causal: a row
depends on no later row, so what is learned on histories holds for a unit that is still running. Not for quality: `trust` decides what
is usable; `carried` bridges short gaps and says which rows it could not complete.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from cloud.assets import AssetError, Bools, Floats, numbers

Groups = NDArray[np.int64]

LEVELS: Final = (0.1, 0.03)
BASELINE: Final = 20  # cycles
WINDOW: Final = 30  # cycles
SHORTEST: Final = 5  # cycles, below which a slope is 0
STALE: Final = 5  # cycles that a tag may be carried over
FAMILIES: Final = ("level .1", "level .03", "drift", "slope 30", "spread 30")


def features(units: Groups, values: Floats) -> Floats:
    """(rows, tags) of histories to (rows, tags * 5 + 1): each of FAMILIES for all tags, then the age in cycles.

    units: (rows,), the unit of each row; rows of a unit are together, oldest first. Raises AssetError.
    """
    found = numbers("values", values)
    length = lengths(units)
    if found.ndim != 2 or found.shape[0] != units.size:
        raise AssetError(f"features: expected values of shape ({units.size}, tags), found {found.shape}")
    cycle = np.arange(int(length.max()))
    lived = cycle < length[:, None]
    course = np.zeros((*lived.shape, found.shape[1]))
    course[lived] = found
    start = course[:, :1].copy()
    course -= start * lived[:, :, None]  # sums of squares of small numbers, not of large levels
    fast, slow = (_level(course, weight) for weight in LEVELS)
    slope, spread = _window(course)
    families = (fast + start, slow + start, fast - _baseline(course), slope, spread)
    age = np.broadcast_to(cycle + 1.0, lived.shape)[:, :, None]
    return np.asarray(np.concatenate((*families, age), axis=2)[lived])


def carried(units: Groups, values: Floats, usable: Bools) -> tuple[Floats, Bools]:
    """(values, complete): a sample that is not usable takes its tag's latest usable one of the same unit.

    complete: (rows,), False while a tag of the unit has had no usable sample, or none for more than STALE cycles. Such rows hold numbers too,
    but not ones to judge by. What is not usable may be NaN.
    """
    length = lengths(units)
    row = np.arange(units.size)
    begin = np.repeat(np.cumsum(length) - length, length)[:, None]
    latest = np.maximum.accumulate(np.where(usable & np.isfinite(values), row[:, None], -1), axis=0)
    held = np.take_along_axis(np.where(usable & np.isfinite(values), values, 0.0), np.maximum(latest, 0), axis=0)
    seen = latest >= begin
    return np.where(seen, held, 0.0), np.all(seen & (row[:, None] - latest <= STALE), axis=1)


def lengths(units: Groups) -> NDArray[np.int64]:
    """Rows of each unit, in order of appearance. Raises AssetError when rows of a unit are not together, or there are none."""
    if not units.size:
        raise AssetError("units: expected at least one row, found none")
    begins = np.flatnonzero(np.r_[True, units[1:] != units[:-1]])
    if np.unique(units[begins]).size != begins.size:
        raise AssetError("units: expected the rows of each unit together, found a unit in two places")
    return np.asarray(np.diff(np.r_[begins, units.size]), dtype=np.int64)


def _level(course: Floats, weight: float) -> Floats:
    """EWMA over cycles, a plain mean while that weighs more."""
    level = course.copy()
    for cycle in range(1, course.shape[1]):
        level[:, cycle] = level[:, cycle - 1] + max(weight, 1 / (cycle + 1)) * (course[:, cycle] - level[:, cycle - 1])
    return level


def _baseline(course: Floats) -> Floats:
    """Mean of the first BASELINE cycles, of as many as there were until then."""
    early = np.cumsum(course[:, :BASELINE], axis=1) / np.arange(1, min(BASELINE, course.shape[1]) + 1)[:, None]
    return early[:, np.minimum(np.arange(course.shape[1]), BASELINE - 1)]


def _window(course: Floats) -> tuple[Floats, Floats]:
    """(slope, spread) over the last WINDOW cycles, of as many as there were."""
    cycle = np.arange(course.shape[1])
    count = np.minimum(cycle + 1, WINDOW)[:, None].astype(np.float64)
    total, squares = _ending(course), _ending(course**2)
    moment = _ending(course * cycle[:, None])
    middle = cycle[:, None] - (count - 1) / 2
    variance = np.maximum(squares / count - (total / count) ** 2, 0.0)
    slope = (moment - middle * total) / np.maximum(count * (count**2 - 1) / 12, 1.0)
    return np.where(count >= SHORTEST, slope, 0.0), np.sqrt(variance)


def _ending(course: Floats) -> Floats:
    """Sum over the WINDOW cycles that end with each."""
    total = np.cumsum(course, axis=1)
    return total - np.pad(total, ((0, 0), (WINDOW, 0), (0, 0)))[:, : course.shape[1]]
