"""How much can be lost: VaR and expected shortfall of samples and of distributions, their standard errors, and who contributes.

Not here: where the losses come from (`deltagamma`, `montecarlo`, the supply-linked paths) and volatility itself (market).

Conventions: a loss is positive; a P&L enters as `losses = -pnl`. `level` is the confidence a, 0.99 for the worst one in a hundred.
VaR_a = inf{x : P(L <= x) >= a}, an order statistic, never an interpolation. ES_a is the mean of the worst (1 - a) of probability,
the sample at VaR counted by the share of it that falls in (atom split; Rockafellar & Uryasev 2002, Acerbi & Tasche 2002).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from cloud.risk.errors import Cause, Floats, RiskError, finite, inside


@dataclass(frozen=True, slots=True)
class Measured:
    """VaR and ES of one sample with the sampling error of both: `var_low`..`var_high` holds the true VaR with `confidence`."""

    var: float
    es: float
    var_error: float
    es_error: float
    var_low: float
    var_high: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Tail:
    """VaR and ES of a distribution."""

    var: float
    es: float


def value_at_risk(losses: ArrayLike, level: float) -> float:
    """The smallest loss not exceeded with probability `level` (numpy's `inverted_cdf`), of equally likely losses (n)."""
    found = finite("losses", losses)
    return float(np.partition(found.ravel(), _rank(found.size, level))[_rank(found.size, level)])


def expected_shortfall(losses: ArrayLike, level: float) -> float:
    """ES = (1/(1-a)) [sum of p L over L > VaR + VaR (P(L <= VaR) - a)], of equally likely losses (n)."""
    found = finite("losses", losses).ravel()
    return float(tail_weights(found, level) @ found)


def tail_weights(losses: Floats, level: float) -> Floats:
    """Weights (n), summing to one, whose product with the losses is ES: the Rockafellar-Uryasev tail, ties shared evenly."""
    var = value_at_risk(losses, level)
    above, at = losses > var, losses == var
    share = 1.0 / (losses.size * (1.0 - level))
    rest = max(1.0 - share * np.count_nonzero(above), 0.0)
    weights: Floats = above * share + at * (rest / np.count_nonzero(at))
    return weights


def inclusive_tail(pnl: ArrayLike, p: float) -> Tail:
    """The convention of ORE's historical simulation, to compare with it: not the VaR and ES of this module, and not coherent.

    Of equally likely P&L (n): VaR is minus the lower order statistic of the P&L at p (numpy `inverted_cdf`), ES minus the mean of all
    P&L <= that one, itself and its ties included. Where n p is whole, this VaR is one order statistic deeper than `value_at_risk`.
    """
    found = finite("pnl", pnl).ravel()
    quantile = value_at_risk(found, p)
    return Tail(-quantile, -float(found[found <= quantile].mean()))


def measure(losses: ArrayLike, level: float, confidence: float = 0.95) -> Measured:
    """VaR and ES with standard errors, of independent equally likely losses (n).

    The interval of VaR needs no density: the number of losses <= the true quantile is binomial(n, a), so two order statistics
    enclose it (David & Nagaraja 2003, 7.1); its half width over z is given as the standard error. ES: sd of (VaR + (L - VaR)+/(1-a))
    over sqrt(n), the influence function (Manistre & Hancock 2005). Overlapping or path-dependent losses have larger errors.
    """
    found = np.sort(finite("losses", losses).ravel())
    inside("confidence", confidence, 0.0, 1.0)
    n, var = found.size, float(found[_rank(found.size, level)])
    low, high = stats.binom.ppf([0.5 - confidence / 2, 0.5 + confidence / 2], n, level)
    edges = found[int(max(low - 1, 0))], found[int(min(high, n - 1))]
    influence = var + np.maximum(found - var, 0.0) / (1.0 - level)
    es_error = float(influence.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0
    z = float(stats.norm.ppf(0.5 + confidence / 2))
    es = float(tail_weights(found, level) @ found)
    return Measured(var, es, float(edges[1] - edges[0]) / (2 * z), es_error, float(edges[0]), float(edges[1]), confidence)


def normal(level: float, mean: float = 0.0, sd: float = 1.0) -> Tail:
    """Loss ~ N(mean, sd^2): VaR = mean + sd z_a, ES = mean + sd phi(z_a)/(1-a)."""
    inside("level", level, 0.0, 1.0)
    z = float(stats.norm.ppf(level))
    return Tail(mean + _scale(sd) * z, mean + sd * float(stats.norm.pdf(z)) / (1.0 - level))


def student_t(level: float, degrees: float, mean: float = 0.0, scale: float = 1.0) -> Tail:
    """Loss = mean + scale t(degrees), degrees > 1 (McNeil, Frey & Embrechts 2015, 2.3). The sd is scale sqrt(nu/(nu-2)), not scale."""
    inside("level", level, 0.0, 1.0)
    inside("degrees of freedom", degrees, 1.0, float("inf"))
    t = float(stats.t.ppf(level, degrees))
    es = float(stats.t.pdf(t, degrees)) / (1.0 - level) * (degrees + t * t) / (degrees - 1.0)
    return Tail(mean + _scale(scale) * t, mean + scale * es)


def linear_normal(exposures: ArrayLike, covariance: ArrayLike, level: float) -> tuple[Tail, Floats]:
    """Parametric VaR and ES of P&L = exposures . moves, moves ~ N(0, covariance) (k, k), and the ES of each factor (k); they add up.

    Euler: component = exposure x d ES / d exposure = d (C d) / sqrt(d' C d) x multiplier (Jorion 2007, 7.2).
    """
    d, c = finite("exposures", exposures), finite("covariance", covariance)
    if c.shape != (d.size, d.size):
        raise RiskError(Cause.SHAPES_DIFFER, f"{d.size} exposures and a covariance of {c.shape}")
    variance = float(d @ c @ d)
    if variance < -1e-12 * float(np.abs(d) @ np.abs(c) @ np.abs(d)):
        raise RiskError(Cause.NOT_POSITIVE_SEMIDEFINITE, "variance of the exposures", variance)
    sd, one = float(np.sqrt(max(variance, 0.0))), normal(level)
    parts = d * (c @ d) * (one.es / sd) if sd > 0 else np.zeros_like(d)
    return Tail(one.var * sd, one.es * sd), parts


def filtered_losses(returns: ArrayLike, vols: ArrayLike, vol_now: ArrayLike, exposures: ArrayLike) -> Floats:
    """Losses (n) of filtered historical simulation: each day's returns divided by that day's volatility, multiplied by today's.

    returns, vols: (n, k), vols[i] known before returns[i]; vol_now, exposures: (k), money per unit of return. Whole days are kept
    together, so the dependence between factors stays as it was (Hull & White 1998, Barone-Adesi et al. 1999). With all vols equal to
    `vol_now` this is plain historical simulation.
    """
    r, v = finite("returns", returns), finite("vols", vols)
    now, d = finite("vol_now", vol_now), finite("exposures", exposures)
    if r.ndim != 2 or v.shape != r.shape or now.shape != r.shape[1:] or d.shape != now.shape:
        raise RiskError(Cause.SHAPES_DIFFER, f"returns {r.shape}, vols {v.shape}, vol_now {now.shape}, exposures {d.shape}")
    if (v <= 0).any() or (now < 0).any():
        raise RiskError(Cause.VOL_NEGATIVE, "a volatility that divides must be > 0", float(min(v.min(), now.min())))
    return -(r / v) @ (now * d)


def component_es(losses: ArrayLike, level: float) -> Floats:
    """ES of each item (k) within the whole: E[L_i | L in its tail], losses (n, k). Adds up to the ES of the row sums.

    Items may be deals, buckets, units or factors; a negative component is a hedge (Tasche 2002).
    """
    parts = finite("losses", losses)
    if parts.ndim != 2:
        raise RiskError(Cause.SHAPES_DIFFER, f"losses must be (scenarios, items), not {parts.shape}")
    return tail_weights(parts.sum(axis=1), level) @ parts


def _rank(size: int, level: float) -> int:
    """Index of the order statistic: the smallest k with (k+1)/n >= a, robust against 0.95 * 100 = 95.00000000000001."""
    inside("level", level, 0.0, 1.0)
    return min(int(np.ceil(round(size * level, 9))) - 1, size - 1) if size * level > 1e-9 else 0


def _scale(value: float) -> float:
    if not value >= 0:
        raise RiskError(Cause.VOL_NEGATIVE, "scale", value)
    return value
