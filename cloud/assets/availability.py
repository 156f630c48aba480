"""Availability in closed form: the two-state Markov asset, and the capacity outage table of a set of units.

These are the yardsticks of the simulated volume forecast, and quick answers where rates are constant. Not for degradation
(`hazard`) and not for topology (`model`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from cloud.assets import AssetError, Floats, numbers


@dataclass(frozen=True, slots=True)
class Availability:
    """Shares of time, 0-1. `steady`: long-run; `mean_from_up`: mean over the period, up at its start; `variance`: of the
    period's mean availability when the asset is found in its stationary state at the start."""

    steady: Floats
    mean_from_up: Floats
    variance: Floats


def two_state(mtbf_h: ArrayLike, mttr_h: ArrayLike, hours: ArrayLike) -> Availability:
    """Constant failure rate 1/mtbf and repair rate 1/mttr over a period of `hours`; all broadcast.

    Alternating renewal with exponential times: theta = lambda + mu, x = theta T; mean A + (1-A)(1-e^-x)/x,
    variance 2 A (1-A)(x-1+e^-x)/x^2 (Barlow and Proschan, Mathematical Theory of Reliability). mtbf may be infinite, mttr zero.
    """
    mtbf, mttr = numbers("mtbf_h", mtbf_h, low=0, infinite=True), numbers("mttr_h", mttr_h, low=0)
    period = numbers("hours", hours, low=0)
    if np.any(mtbf <= 0):
        raise AssetError("mtbf_h: expected more than 0")
    mtbf, mttr, period = np.broadcast_arrays(mtbf, mttr, period)
    with np.errstate(divide="ignore"):
        steady = 1.0 / (1.0 + mttr / mtbf)
        x = period * (1.0 / mtbf + 1.0 / np.maximum(mttr, 1e-100))
    return Availability(steady, steady + (1 - steady) * _mean_decay(x), 2 * steady * (1 - steady) * _spread_decay(x))


def _mean_decay(x: Floats) -> Floats:
    """(1 - e^-x) / x, which is 1 at 0."""
    safe = np.maximum(x, 1e-12)
    return np.where(x < 1e-12, 1.0, -np.expm1(-safe) / safe)


def _spread_decay(x: Floats) -> Floats:
    """(x - 1 + e^-x) / x^2, which is 1/2 at 0; by its series below 1e-2, where the difference would cancel."""
    safe = np.clip(x, 1e-2, 1e150)
    small = np.minimum(x, 1e-2)
    series = 0.5 - small / 6 + small**2 / 24 - small**3 / 120 + small**4 / 720
    return np.where(x < 1e-2, series, (safe + np.expm1(-safe)) / safe**2)


@dataclass(frozen=True, slots=True)
class OutageTable:
    """`probability[k]`: that exactly `k * step` of capacity is out. Sums to 1."""

    step: float
    probability: Floats

    @property
    def outage(self) -> Floats:
        """Capacity out of each row, in the unit of the capacities."""
        return np.arange(self.probability.size, dtype=np.float64) * self.step

    @property
    def exceedance(self) -> Floats:
        """P(outage >= k * step)."""
        return np.asarray(np.cumsum(self.probability[::-1])[::-1], dtype=np.float64)

    def expected_shortfall_of(self, demand: float) -> float:
        """Mean of what `demand` misses: E[(demand - available)+]; the expected unserved volume per unit of time."""
        available = self.outage[-1] - self.outage
        return float(self.probability @ np.maximum(demand - available, 0.0))


def outage_table(capacity: ArrayLike, unavailability: ArrayLike, step: float) -> OutageTable:
    """Convolution of independent two-state units (Billinton and Allan, Reliability Evaluation of Power Systems, recursive algorithm).

    capacity, unavailability: shape (units,); each capacity must be a whole number of `step`. One shift-and-add per unit, so that
    small tail probabilities keep their relative precision (a product of transforms would not). Raises AssetError.
    """
    sizes, out = np.broadcast_arrays(numbers("capacity", capacity, low=0), numbers("unavailability", unavailability, low=0))
    if step <= 0 or np.any(out > 1):
        raise AssetError("outage_table: expected step > 0 and unavailability in 0..1")
    steps = np.rint(sizes / step)
    if np.any(np.abs(sizes / step - steps) > 1e-9 * np.maximum(steps, 1)):
        raise AssetError(f"capacity: expected whole multiples of step {step:g}")
    table = np.zeros(int(steps.sum()) + 1)
    table[0] = 1.0
    for shift, share in zip(steps.astype(int).ravel().tolist(), out.ravel().tolist(), strict=True):
        down = table[: table.size - shift] * share
        table *= 1.0 - share
        table[shift:] += down
    return OutageTable(step, table)
