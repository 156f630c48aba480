"""Volatility: EWMA, realised, and the term structure that a mean-reverting factor gives a future (Samuelson's rise towards delivery).

Not for option surfaces. Returns are logarithmic (relative) or differences (normal, price units); relative returns of a price that is
not above zero are refused, they do not exist. Volatilities are standard deviations per the period named.
"""

import numpy as np
from numpy.typing import NDArray

from cloud.market.errors import HistoryTooShort, MarketError
from cloud.market.factors import Factors, Forward, Kind, variance

Floats = NDArray[np.float64]


def returns(prices: Floats, kind: Kind) -> Floats:
    """Changes from row to row (n-1, ...) of prices (n, ...): of the logarithm (lognormal) or of the price (normal)."""
    if len(prices) < 2:
        raise HistoryTooShort("returns", len(prices), 2)
    if not np.isfinite(prices).all():
        raise MarketError("prices must be finite")
    if kind is Kind.NORMAL:
        return np.diff(prices, axis=0)
    if (prices <= 0).any():
        raise MarketError(f"relative returns need prices above zero, the lowest is {prices.min():g}; use Kind.NORMAL")
    return np.diff(np.log(prices), axis=0)


def ewma_update(volatility: float, last_return: float, decay: float) -> float:
    """The next volatility: sqrt(decay v^2 + (1 - decay) r^2), r without mean (RiskMetrics 1996; Hull, ch. on volatility)."""
    if not (0 <= decay <= 1 and volatility >= 0 and np.isfinite([volatility, last_return]).all()):
        raise MarketError("EWMA needs decay in [0, 1], a volatility not below zero and a finite return")
    return float(np.sqrt(decay * volatility**2 + (1.0 - decay) * last_return**2))


def ewma(changes: Floats, decay: float, start: float) -> Floats:
    """Volatilities (n + 1,): the start, then after each of n returns; the last one is the forecast."""
    path = np.empty(len(changes) + 1)
    path[0] = start
    for index, change in enumerate(changes):
        path[index + 1] = ewma_update(path[index], float(change), decay)
    return path


def ewma_covariance(changes: Floats, decay: float) -> Floats:
    """Weighted covariance (K, K) of returns (n, K) without mean, weights decay^age summing to one; positive semidefinite by construction."""
    if changes.ndim != 2 or len(changes) < 2:
        raise HistoryTooShort("EWMA covariance", len(changes), 2)
    if not (0 < decay <= 1 and np.isfinite(changes).all()):
        raise MarketError("EWMA covariance needs decay in (0, 1] and finite returns")
    weights = decay ** np.arange(len(changes) - 1, -1, -1.0)
    return np.asarray((changes * (weights / weights.sum())[:, None]).T @ changes)


def realised(prices: Floats, kind: Kind, per_year: float = 252.0) -> float:
    """Annual volatility: standard deviation (n - 1) of the returns times sqrt(observations per year)."""
    changes = returns(prices, kind)
    if len(changes) < 2:
        raise HistoryTooShort("realised volatility", len(changes) + 1, 3)
    return float(np.std(changes, ddof=1) * np.sqrt(per_year))


def instantaneous(factors: Factors, loadings: Floats, years: Floats) -> Floats:
    """Volatility per square root of a year of a future with `years` (B,) to delivery: sqrt(u' R u), u_k = l_k sigma_k exp(-a_k T)."""
    if not (np.isfinite(loadings).all() and np.isfinite(years).all() and (years >= 0).all()):
        raise MarketError("loadings and years must be finite, years not below zero")
    taken = (loadings * factors.volatility)[:, None] * np.exp(-factors.reversion[:, None] * years)
    return np.asarray(np.sqrt(np.maximum(np.einsum("kb,kl,lb->b", taken, factors.correlation, taken), 0.0)))


def average(factors: Factors, forward: Forward, years: Floats, expiry: float | None = None) -> Floats:
    """The constant volatility (B,) with the same total variance until min(delivery, expiry): what goes into Black-76 or Bachelier.

    MarketError for a bucket that is observed now (no time, no volatility).
    """
    times = np.asarray(years if expiry is None else np.minimum(years, expiry))
    if (times <= 0).any():
        raise MarketError("average volatility needs time above zero")
    return np.asarray(np.sqrt(variance(factors, forward, years, expiry) / times))
