"""Filling long gaps of a meter from meters that move with it, with an interval whose coverage was measured.

Never writes to the inventory: it offers a model column (data quality 4) that `meters.clean` marks as modelled. Least squares on the hours both
were good, a conformal interval from hours held back, and the coverage counted on gaps cut out on purpose; outside 85-95 % it is unfit.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from cloud.esg import Bools, EsgError, Floats

CONFIDENCE: Final = 0.90
FIT_COVERAGE: Final = (0.85, 0.95)
LEAST_HOURS: Final = 200


@dataclass(frozen=True, slots=True)
class Filled:
    """A column for every hour, the half width of its 90 % interval, and how the interval did on cut-out gaps."""

    values: Floats
    half_width: float
    coverage: float
    filled_share: float

    @property
    def fit(self) -> bool:
        return FIT_COVERAGE[0] <= self.coverage <= FIT_COVERAGE[1]


def fill(target: Floats, good: Bools, companions: Floats, *, gap_hours: int = 24) -> Filled:
    """`companions` (meters x hours) are whole. Good hours are cut into blocks of `gap_hours`, dealt to fit, width and coverage in turn."""
    if target.shape != good.shape or companions.ndim != 2 or companions.shape[1:] != target.shape:
        raise EsgError(f"gap filling: expected columns of one length, found {target.shape}, {good.shape}, {companions.shape}")
    if not np.isfinite(companions).all() or not np.isfinite(target[good]).all():
        raise EsgError("gap filling: expected finite numbers in the companions and in the target's good hours")
    if np.count_nonzero(good) < LEAST_HOURS or gap_hours < 1:
        raise EsgError(f"gap filling: expected at least {LEAST_HOURS} good hours, found {np.count_nonzero(good)}")
    block = (np.arange(target.size) // gap_hours) % 3
    fit, width, check = (good & (block == part) for part in range(3))
    if min(np.count_nonzero(part) for part in (fit, width, check)) < 30:
        raise EsgError("gap filling: the good hours lie too unevenly to fit, size and check the interval on different ones")
    design = np.vstack([np.ones(target.size), companions]).T
    weights, *_ = np.linalg.lstsq(design[fit], target[fit], rcond=None)
    values = np.maximum(design @ weights, 0.0)
    errors = np.sort(np.abs(target[width] - values[width]))
    rank = min(int(np.ceil((errors.size + 1) * CONFIDENCE)), errors.size) - 1
    half = float(errors[rank])
    coverage = float(np.mean(np.abs(target[check] - values[check]) <= half))
    return Filled(values, half, coverage, float(np.mean(~good)))
