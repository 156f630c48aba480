"""Leak triage: where somebody should look. Mass balance residual with CUSUM, what a sensor would have seen, what a site measurement adds.

Never a source of the inventory: nothing here returns an `Emission`. The answer is a probability, an interval in kg/h and the meters that speak
for it; a person opens a work order.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from cloud.esg import EsgError, Floats, finite

OGI_STEEPNESS: Final = 4.9  # per decade of rate; LDAR-Sim, optical gas imaging, after Ravikumar et al. 2018
OGI_HALF_G_S: Final = 0.01275


def metec_detection(rate_kg_h: ArrayLike, a: float, b: float) -> Floats:
    """Probability that a fixed sensor without wind sees a rate: 1 / (1 + exp(a - b rate)), METEC's controlled releases."""
    rates = _rates(rate_kg_h)
    return _logistic(finite("b", b, low=0.0) * rates - finite("a", a))


def ogi_detection(rate_kg_h: ArrayLike) -> Floats:
    """Probability that a camera survey sees a rate: logistic in log10 of g/s, one half at 0.01275 g/s."""
    grams = np.maximum(_rates(rate_kg_h) / 3.6, 1e-12)
    return _logistic(OGI_STEEPNESS * (np.log10(grams) - np.log10(OGI_HALF_G_S)))


def _logistic(exponent: Floats) -> Floats:
    found: Floats = 1.0 / (1.0 + np.exp(-np.clip(exponent, -700.0, 700.0)))
    return found


def _rates(rate_kg_h: ArrayLike) -> Floats:
    rates = np.asarray(rate_kg_h, dtype=np.float64)
    if not np.isfinite(rates).all() or (rates < 0.0).any():
        raise EsgError("rate_kg_h: expected finite numbers, not negative")
    return rates


@dataclass(frozen=True, slots=True)
class Balance:
    """Mass flows of a section by the hour, kg/h: meters in, meters out, change of inventory; `sd` is each meter's one sigma."""

    inflow: tuple[tuple[str, Floats], ...]
    outflow: tuple[tuple[str, Floats], ...]
    held_change: Floats
    sd: tuple[tuple[str, float], ...]

    def residual(self) -> Floats:
        """In less out less what stayed: zero on average when nothing escapes and no meter drifts."""
        shape = self.held_change.shape
        return _sum_of(self.inflow, shape) - _sum_of(self.outflow, shape) - _sum_of((("held_change", self.held_change),), shape)

    def residual_sd(self) -> float:
        """One sigma of the residual. Raises EsgError for a meter whose uncertainty nobody told."""
        untold = {name for name, _ in (*self.inflow, *self.outflow)} - {name for name, _ in self.sd}
        if untold:
            raise EsgError(f"balance: the uncertainty of {', '.join(sorted(untold))} is missing")
        return float(np.sqrt(sum(finite(f"{name}: sd", sd, low=0.0) ** 2 for name, sd in self.sd)))


def _sum_of(columns: tuple[tuple[str, Floats], ...], shape: tuple[int, ...]) -> Floats:
    total = np.zeros(shape)
    for name, column in columns:
        if column.shape != shape or not np.isfinite(column).all():
            raise EsgError(f"{name}: expected {shape[0]} finite hours, found shape {column.shape}")
        total += column
    return total


@dataclass(frozen=True, slots=True)
class Triage:
    """`probability` that more escapes than the meters explain; the interval holds its rate with 95 % when it does."""

    probability: float
    low_kg_h: float
    rate_kg_h: float
    high_kg_h: float
    since_hour: int | None
    suspects: tuple[str, ...]


def triage(balance: Balance, *, prior: float, slack: float = 0.5, limit: float = 5.0) -> Triage:
    """CUSUM of the standardised residual (slack and limit in sigma), then Bayes: no leak against an unknown rate since the change.

    The data choose the hour of the change, so the probability errs to the high side: it ranks sections to look at and proves nothing.
    Suspects are the meters with the largest share of the residual's variance: first to be checked, before a leak is believed.
    """
    finite("prior", prior, low=1e-9, high=1.0 - 1e-9)
    sd = balance.residual_sd()
    if sd == 0.0:
        raise EsgError("balance: the uncertainty of every meter is zero, expected one above")
    residual = balance.residual()
    since = alarm_start(residual / sd, slack, limit)
    suspects = tuple(name for name, _ in sorted(balance.sd, key=lambda each: -each[1])[:3])
    part = residual if since is None else residual[since:]
    mean, error = float(part.mean()), sd / np.sqrt(part.size)
    z = max(mean, 0.0) / error
    # unit-information prior on the rate: ln B = z^2/2 n/(n+1) - ln(n+1)/2
    log_odds = 0.5 * z * z * part.size / (part.size + 1) - 0.5 * np.log1p(part.size) + np.log(prior) - np.log1p(-prior)
    probability = float(_logistic(np.asarray(log_odds)))
    low, rate, high = (max(mean + side * 1.96 * error, 0.0) for side in (-1.0, 0.0, 1.0))
    return Triage(probability, low, rate, high, since, suspects)


def alarm_start(standardised: Floats, slack: float, limit: float) -> int | None:
    """Page's one-sided CUSUM: the hour the first excursion that crossed `limit` began, or None."""
    steps = standardised - slack
    path = np.cumsum(steps)
    floor = np.minimum.accumulate(np.concatenate([[0.0], path]))
    cusum = path - floor[:-1]
    cusum = np.maximum(cusum, 0.0)
    over = np.flatnonzero(cusum > limit)
    if not over.size:
        return None
    zero = np.flatnonzero(cusum[: over[0]] == 0.0)
    return int(zero[-1] + 1) if zero.size else 0


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The bottom-up figure beside what the site measurements make of it, both in kg/h."""

    inventory_kg_h: float
    posterior_kg_h: float
    low_kg_h: float
    high_kg_h: float


def reconcile(
    inventory_kg_h: float, inventory_u95_pct: float, measured: tuple[tuple[float, float], ...], misses: int, a: float, b: float
) -> Reconciled:
    """Lognormal prior from the inventory, normal site measurements (rate, sd), and visits that saw nothing, weighed by 1 - POD."""
    finite("inventory_kg_h", inventory_kg_h, low=1e-9)
    log_sd = np.sqrt(np.log1p((finite("inventory_u95_pct", inventory_u95_pct, low=0.1) / 196.0) ** 2))
    grid = inventory_kg_h * np.exp(np.linspace(-6.0, 6.0, 4001) * max(log_sd, 0.05))
    weight = -0.5 * ((np.log(grid / inventory_kg_h) + 0.5 * log_sd**2) / log_sd) ** 2
    finite("misses", misses, low=0)
    for rate, sd in measured:
        weight = weight - 0.5 * ((finite("measured rate", rate, low=0.0) - grid) / finite("measured sd", sd, low=1e-9)) ** 2
    weight = weight + misses * np.log(np.maximum(1.0 - metec_detection(grid, a, b), 1e-300))
    density = np.exp(weight - weight.max())
    cumulative = np.cumsum(density) / density.sum()
    low, high = (float(grid[np.searchsorted(cumulative, edge)]) for edge in (0.025, 0.975))
    return Reconciled(inventory_kg_h, float((grid * density).sum() / density.sum()), low, high)
