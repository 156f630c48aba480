"""Was the VaR right? Kupiec's and Christoffersen's tests and the Basel traffic light, on days when the loss exceeded VaR.

`p` is the probability of an exception, 1 - level (0.01 for a 99 % VaR). Likelihood ratios are asymptotically chi-square; with few
exceptions they have little power, which is why the non-rejection region is reported beside the verdict.
Sources: Kupiec 1995; Christoffersen 1998; Basel Committee, bcbs22 (January 1996).
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.special import xlog1py, xlogy

from cloud.risk.errors import Cause, Floats, RiskError, finite, inside

# bcbs22, table 2: additions to the multiplier of 3 for 5..9 exceptions in 250 days at 99 %; below none, above one.
PLUS_FACTORS: Final = (0.4, 0.5, 0.65, 0.75, 0.85)
GREEN_BELOW: Final = 0.95
RED_FROM: Final = 0.9999


class Zone(Enum):
    GREEN = "green"
    AMBER = "amber"
    RED = "red"


@dataclass(frozen=True, slots=True)
class Ratio:
    """A likelihood ratio and the probability of one at least as large when the VaR is right."""

    lr: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Christoffersen:
    """Transitions n_ij from state i to state j (1 = exception), independence, unconditional and conditional coverage."""

    n00: int
    n01: int
    n10: int
    n11: int
    independence: Ratio
    unconditional: Ratio
    conditional: Ratio


@dataclass(frozen=True, slots=True)
class Light:
    """Largest number of exceptions that is still green, still amber."""

    green_max: int
    amber_max: int

    def zone(self, exceptions: int) -> Zone:
        if exceptions <= self.green_max:
            return Zone.GREEN
        return Zone.AMBER if exceptions <= self.amber_max else Zone.RED


def exceptions(losses: ArrayLike, var: ArrayLike) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """True on days (n) whose loss exceeded the VaR foreseen for that day; equal is no exception."""
    found, foreseen = finite("losses", losses), finite("var", var)
    if found.ndim != 1 or foreseen.shape not in ((), found.shape):
        raise RiskError(Cause.SHAPES_DIFFER, f"losses {found.shape}, var {foreseen.shape}")
    return found > foreseen


def kupiec(days: int, exceptions: int, p: float) -> Ratio:
    """Proportion of failures: LR = -2 ln[(1-p)^(n-x) p^x / ((1-x/n)^(n-x) (x/n)^x)], chi-square(1)."""
    _counts(days, exceptions, p)
    return _ratio(float(_kupiec(days, np.asarray(exceptions, dtype=np.float64), p)), 1)


def non_rejection(days: int, p: float, confidence: float = 0.95) -> tuple[int, int]:
    """Fewest and most exceptions in `days` that Kupiec's test does not reject."""
    _counts(days, 0, p)
    kept = np.flatnonzero(_kupiec(days, np.arange(days + 1, dtype=np.float64), p) < critical_value(confidence, 1))
    if kept.size == 0:
        raise RiskError(Cause.NO_DATA, f"no number of exceptions in {days} days passes")
    return int(kept[0]), int(kept[-1])


def critical_value(confidence: float, degrees: int) -> float:
    """Chi-square quantile: 1 degree for coverage or independence, 2 for both together."""
    return float(stats.chi2.ppf(inside("confidence", confidence, 0.0, 1.0), degrees))


def christoffersen(hits: ArrayLike, p: float) -> Christoffersen:
    """Independence (chi-square(1)) and conditional coverage (2) of a sequence of exceptions (n, true = exception), oldest first.

    The first day has no predecessor: transitions cover n-1 days, unconditional coverage all n; LR_cc = LR_uc + LR_ind.
    """
    hit = np.asarray(hits, dtype=np.bool_)
    if hit.ndim != 1 or hit.size < 2:
        raise RiskError(Cause.NO_DATA, "a sequence of at least two days is needed", float(hit.size))
    n00, n01, n10, n11 = (int(count) for count in np.bincount(2 * hit[:-1] + hit[1:], minlength=4))
    days, count = hit.size, int(np.count_nonzero(hit))
    apart = _likelihood(n00, n01) + _likelihood(n10, n11)
    together = _likelihood(n00 + n10, n01 + n11)
    independence = _ratio(max(2.0 * (apart - together), 0.0), 1)
    unconditional = kupiec(days, count, p)
    return Christoffersen(n00, n01, n10, n11, independence, unconditional, _ratio(independence.lr + unconditional.lr, 2))


def cumulative(days: int, p: float, most: int) -> Floats:
    """P(at most x exceptions) for x = 0..most when the VaR is right and days are independent."""
    _counts(days, 0, p)
    found: Floats = stats.binom.cdf(np.arange(most + 1), days, p)
    return found


def traffic_light(days: int = 250, p: float = 0.01) -> Light:
    """Zones by cumulative probability: amber from 95 %, red from 99.99 % (bcbs22), for independent days."""
    _counts(days, 0, p)
    chance = stats.binom.cdf(np.arange(days + 1), days, p)
    return Light(int(np.searchsorted(chance, GREEN_BELOW)) - 1, int(np.searchsorted(chance, RED_FROM)) - 1)


def plus_factor(exceptions: int) -> float:
    """Addition to the capital multiplier for exceptions in 250 days at 99 %."""
    if exceptions < 0:
        raise RiskError(Cause.LEVEL_OUT_OF_RANGE, "exceptions", exceptions)
    if exceptions < 5:
        return 0.0
    return PLUS_FACTORS[exceptions - 5] if exceptions < 10 else 1.0


def _kupiec(days: int, count: Floats, p: float) -> Floats:
    share = count / days
    seen = xlog1py(days - count, -share) + xlogy(count, share)
    meant = (days - count) * np.log1p(-p) + count * np.log(p)
    found: Floats = np.maximum(2.0 * (seen - meant), 0.0)
    return found


def _likelihood(misses: int, hits: int) -> float:
    total = misses + hits
    return float(xlogy(misses, misses / total) + xlogy(hits, hits / total)) if total else 0.0


def _ratio(lr: float, degrees: int) -> Ratio:
    return Ratio(lr, float(stats.chi2.sf(lr, degrees)))


def _counts(days: int, count: int, p: float) -> None:
    inside("p", p, 0.0, 1.0)
    if days < 1 or not 0 <= count <= days:
        raise RiskError(Cause.LEVEL_OUT_OF_RANGE, f"exceptions in {days} days", count)
