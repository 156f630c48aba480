"""What a tag tells about wear: level at two horizons, drift from the asset's own baseline, slope, spread, and CUSUM both ways.

Every asset is compared with itself: raw levels identify the asset, not its fault. The baseline is learned from the first accepted
samples (or since the last overhaul) and then follows slowly while nothing is suspicious. Only accepted samples change anything.
State is O(1) per tag, arrays of shape (assets, tags).
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from cloud.assets import Bools, Floats

FAST, SLOW, ADAPT = 0.1, 0.03, 0.003  # EWMA weights per accepted sample
OUTLIER: Final = 3.0  # the baseline sees no sample further away than so many of its deviations
CUSUM_SLACK: Final = 0.5
CUSUM_MOST: Final = 100.0
# An EWMA of weight a lags a ramp by (1 - a) / a samples, so the two levels differ by slope times the difference of their lags.
_LAG: Final = (1 - SLOW) / SLOW - (1 - FAST) / FAST


@dataclass(frozen=True, slots=True)
class Features:
    """count: accepted samples (kept below 2^31); fast, slow: levels; variance: about the slow level; base, base_m2: the baseline's mean
    and (while learning) summed squares, afterwards its variance; up, down: CUSUM in baseline deviations."""

    count: Floats
    fast: Floats
    slow: Floats
    variance: Floats
    base: Floats
    base_variance: Floats
    up: Floats
    down: Floats

    @classmethod
    def start(cls, assets: int, tags: int) -> "Features":
        zero = np.zeros((assets, tags))
        return cls(zero, zero, zero, zero, zero, zero, zero, zero)

    def learned(self, learn: int) -> Bools:
        """Where the baseline rests on at least `learn` samples."""
        return np.asarray(self.count >= learn)

    def slope(self) -> Floats:
        """Change per accepted sample, from the distance of the two levels."""
        return (self.fast - self.slow) / _LAG

    def spread(self) -> Floats:
        """Standard deviation about the slow level."""
        return np.sqrt(self.variance)

    def drift(self, resolution: Floats) -> Floats:
        """Fast level minus baseline in the baseline's deviations of a single sample.

        Not in standard errors of the level: process data wander, and on the shipped wells a white-noise error calls every hour an event.
        """
        return (self.fast - self.base) / np.sqrt(np.maximum(self.base_variance, resolution**2))

    def overhauled(self, assets: Bools) -> "Features":
        """Those assets learn their baseline anew."""
        kept = ~assets[:, None]
        return Features(*(np.where(kept, getattr(self, name), 0.0) for name in self.__dataclass_fields__))


def tick(
    state: Features, values: Floats, accepted: Bools, suspect: Bools, resolution: Floats, learn: int, adapt: float = ADAPT
) -> Features:
    """One sample of each tag. suspect: (assets,), whose baseline stands still; resolution: (tags,), floor of a deviation; learn: samples
    of the baseline; adapt: weight with which it follows afterwards."""
    value = np.where(accepted, values, state.base)
    learning = accepted & (state.count < learn)
    count = np.minimum(state.count + accepted, 2.0**31)
    steady = accepted & ~learning
    levels = _levels(state, value, accepted, learning, count)
    adapting = np.where(steady & ~suspect[:, None], adapt, 0.0)
    off = value - state.base
    deviation = np.sqrt(np.maximum(state.base_variance, resolution**2))
    score = off / deviation
    off = np.where(learning, off, np.clip(score, -OUTLIER, OUTLIER) * deviation)
    weight = np.where(learning, 1.0 / np.maximum(count, 1.0), adapting)
    base = state.base + weight * off
    # Welford while learning (mean of squares), exponential afterwards: both are v + w ((1 - w) off^2 - v).
    base_variance = state.base_variance + weight * ((1.0 - weight) * off * off - state.base_variance)
    up = np.where(steady, np.clip(state.up + score - CUSUM_SLACK, 0.0, CUSUM_MOST), state.up)
    down = np.where(steady, np.clip(state.down - score - CUSUM_SLACK, 0.0, CUSUM_MOST), state.down)
    return replace(levels, count=count, base=base, base_variance=base_variance, up=up, down=down)


def _levels(state: Features, value: Floats, accepted: Bools, learning: Bools, count: Floats) -> Features:
    """Levels and variance; while learning they are plain means, so that no start value lingers."""
    mean = np.where(learning, 1.0 / np.maximum(count, 1.0), 0.0)
    fast_weight = np.where(accepted, np.maximum(mean, FAST), 0.0)
    slow_weight = np.where(accepted, np.maximum(mean, SLOW), 0.0)
    off = value - state.slow
    return replace(
        state,
        fast=state.fast + fast_weight * (value - state.fast),
        slow=state.slow + slow_weight * off,
        variance=state.variance + slow_weight * ((1.0 - slow_weight) * off * off - state.variance),
    )
