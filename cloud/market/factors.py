"""Price factors: n mean-reverting Gaussian factors under a forward curve, lognormal or normal, simulated exactly on arrays.

Under Q a forward has no drift: dF(t,T)/F = sum_k sigma_k exp(-a_k (T-t)) dB_k (lognormal; Clewlow & Strickland 1999, multi-factor) or
dF(t,T) = the same sum (normal, Bachelier: sigma in price units, so that negative prices live). With Y_k the factor at time t,
 dY_k = -a_k Y_k dt + sigma_k dB_k, Y_k(0) = 0,
the price for delivery T seen at t = min(T, horizon) is F(0,T) exp(X - v/2) or F(0,T) + X, X = sum_k l_k exp(-a_k (T-t)) Y_k(t), v = Var X.
E[P] = F(0,T) exactly in the model. a_k = 0 is a Brownian factor (the long end). Times are years from the valuation, Act/365F.
Arrays are (scenario, bucket), the scenarios of one bucket adjacent in memory; loops run over buckets, never over scenarios. Randomness comes from the Generator given.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cloud.market import correlation
from cloud.market.errors import MarketError

Floats = NDArray[np.float64]


MOST_VARIANCE: Final = 25.0  # beyond it E[exp(X - v/2)] = 1 lives in paths that no Monte Carlo run draws


class Kind(Enum):
    LOGNORMAL = "lognormal"
    NORMAL = "normal"


@dataclass(frozen=True, slots=True)
class Factors:
    """K factors: `reversion` (K,) per year >= 0, `volatility` (K,) per square root of a year >= 0 (relative when lognormal, price units
    when normal), `correlation` (K, K)."""

    names: tuple[str, ...]
    reversion: Floats
    volatility: Floats
    correlation: Floats

    def __post_init__(self) -> None:
        size = len(self.names)
        for name, column in (("reversion", self.reversion), ("volatility", self.volatility)):
            if column.shape != (size,) or not np.isfinite(column).all() or (column < 0).any():
                raise MarketError(f"{name} must be {size} finite numbers, not below zero")
        if self.correlation.shape != (size, size):
            raise MarketError(f"correlation has shape {self.correlation.shape}, it must be {(size, size)}")
        correlation.root(self.correlation, self.names)
        for array in (self.reversion, self.volatility, self.correlation):
            array.setflags(write=False)

    def covariance(self, years: float) -> Floats:
        """Of the increments of Y over `years` (K, K): rho_kl s_k s_l (1 - exp(-(a_k+a_l) t)) / (a_k+a_l)."""
        return self.correlation * np.outer(self.volatility, self.volatility) * decayed(np.add.outer(self.reversion, self.reversion), years)


@dataclass(frozen=True, slots=True)
class Forward:
    """One curve to simulate: `prices` (B,), `loadings` (K,) on the factors, `scale` (B,) seasonal multiplier of its volatility or None."""

    prices: Floats
    loadings: Floats
    kind: Kind
    scale: Floats | None = None


def decayed(rate: Floats, years: float) -> Floats:
    """(1 - exp(-rate t)) / rate, t where the rate is zero; accurate for small rates."""
    safe = np.where(rate > 0, rate, 1.0)
    return np.where(rate > 0, -np.expm1(-safe * years) / safe, years)


def seen_at(years: Floats, horizon: float | None) -> Floats:
    """When each bucket's price is observed: at delivery, or at the horizon (years) if that comes first; (B,). MarketError unless ascending."""
    if not np.isfinite(years).all() or (years < 0).any() or (np.diff(years) < 0).any():
        raise MarketError("years to delivery must be finite, ascending and not below zero")
    if horizon is not None and not (np.isfinite(horizon) and horizon >= 0):
        raise MarketError(f"horizon {horizon} years must be finite and not below zero")
    return np.asarray(years if horizon is None else np.minimum(years, horizon))


def normals(factors: Factors, buckets: int, scenarios: int, rng: np.random.Generator) -> Floats:
    """Independent standard normals (K, scenarios, B), the only randomness of `simulate`; share them for common random numbers."""
    if scenarios < 1 or buckets < 1:
        raise MarketError(f"{scenarios} scenarios of {buckets} buckets: both must be 1 or more")
    return rng.standard_normal((buckets, len(factors.names), scenarios)).transpose(1, 2, 0)


def blend(draws: Floats, outside: Floats, rho: float) -> Floats:
    """The normals with every factor's shock correlated by rho to a standard normal (scenarios, B) from outside (weather, availability)."""
    if not -1.0 <= rho <= 1.0:
        raise MarketError(f"correlation {rho} is outside of [-1, 1]")
    return np.asarray(rho * outside + np.sqrt(1.0 - rho * rho) * draws)


def simulate(factors: Factors, years: Floats, draws: Floats, horizon: float | None = None) -> Floats:
    """Factor values (K, scenarios, B) at min(years, horizon), from `draws` of the same shape. Exact transitions, any step.

    Buckets seen at the same time share one value. The first factor is driven by its draw alone where the correlation is regular
    (Cholesky); singular correlations use eigenvectors.
    """
    times = seen_at(years, horizon)
    if draws.shape[0] != len(factors.names) or draws.shape[2] != len(times) or not np.isfinite(draws).all():
        raise MarketError(f"draws have shape {draws.shape}, they must be finite (factors, scenarios, {len(times)})")
    values = np.empty((len(times), *draws.shape[:2])).transpose(1, 2, 0)
    current = np.zeros(draws.shape[:2])
    for index, step in enumerate(np.diff(times, prepend=0.0)):
        if step > 0:
            current = np.exp(-factors.reversion * step)[:, None] * current + _root(factors.covariance(step)) @ draws[:, :, index]
        values[:, :, index] = current
    return values


def _root(covariance: Floats) -> Floats:
    try:
        return np.asarray(np.linalg.cholesky(covariance))
    except np.linalg.LinAlgError:
        return correlation.covariance_root(covariance)


def exposures(factors: Factors, forward: Forward, years: Floats, horizon: float | None = None) -> Floats:
    """What each bucket takes of each factor, l_k exp(-a_k (T - t)) times its scale: (K, B)."""
    size = len(years)
    for name, column, length in (("prices", forward.prices, size), ("loadings", forward.loadings, len(factors.names))):
        if column.shape != (length,) or not np.isfinite(column).all():
            raise MarketError(f"{name} must be {length} finite numbers")
    if forward.kind is Kind.LOGNORMAL and (forward.prices <= 0).any():
        raise MarketError(f"lognormal prices must be above zero, bucket {int(np.argmax(forward.prices <= 0))} is not; use Kind.NORMAL")
    taken = forward.loadings[:, None] * np.exp(-factors.reversion[:, None] * (years - seen_at(years, horizon)))
    if forward.scale is None:
        return np.asarray(taken)
    if forward.scale.shape != (size,) or not np.isfinite(forward.scale).all():
        raise MarketError(f"scale must be {size} finite numbers")
    return np.asarray(taken * forward.scale)


def variance(factors: Factors, forward: Forward, years: Floats, horizon: float | None = None) -> Floats:
    """Var X per bucket (B,): total variance of ln P (lognormal) or of P (normal) up to the observation."""
    taken = exposures(factors, forward, years, horizon)
    rates = np.add.outer(factors.reversion, factors.reversion)
    grown = np.stack([decayed(rates, moment) for moment in seen_at(years, horizon)], axis=-1)
    weights = factors.correlation * np.outer(factors.volatility, factors.volatility)
    return np.asarray(np.einsum("kb,lb,klb,kl->b", taken, taken, grown, weights))


def prices(factors: Factors, forward: Forward, years: Floats, values: Floats, horizon: float | None = None) -> Floats:
    """Prices (scenarios, B) of one curve from the factor values of `simulate`; E[P_b] = F(t0, b) in the model."""
    taken = exposures(factors, forward, years, horizon)
    if values.shape[0] != len(taken) or values.shape[2] != taken.shape[1] or not np.isfinite(values).all():
        raise MarketError(f"factor values have shape {values.shape}, they must be finite ({len(taken)}, scenarios, {taken.shape[1]})")
    moves = np.zeros((taken.shape[1], values.shape[1])).T  # buckets lie behind each other, as in the factor values
    for share, value in zip(taken, values, strict=True):
        moves += share * value
    if forward.kind is Kind.NORMAL:
        moves += forward.prices
        return moves
    spread = variance(factors, forward, years, horizon)
    if spread.max(initial=0.0) > MOST_VARIANCE:
        raise MarketError(
            f"variance {spread.max():.3g} of the logarithm of a price is above {MOST_VARIANCE:g}: no sample would have its mean"
        )
    moves += np.log(forward.prices) - 0.5 * spread
    np.exp(moves, out=moves)
    if not np.isfinite(moves).all():
        raise MarketError("a simulated price is not finite; are the factor values those of these factors?")
    return moves


def with_premium(factors: Factors, values: Floats, years: Floats, premium: Floats, horizon: float | None = None) -> Floats:
    """Factor values under P: `premium` (K,) is a constant drift per year of each factor; adds premium_k (1 - exp(-a_k t)) / a_k."""
    times = seen_at(years, horizon)
    if premium.shape != factors.reversion.shape or not np.isfinite(premium).all():
        raise MarketError(f"premium must be {len(factors.names)} finite numbers")
    grown = np.stack([decayed(factors.reversion, moment) for moment in times], axis=-1)
    return np.asarray(values + (premium[:, None] * grown)[:, None, :])


def impact(simulated: Floats, forward: Forward, outage: Floats, jump: float) -> Floats:
    """Prices (scenarios, B) when our own outage (share 0..1, same shape) moves them: spot times (1 + jump * outage), compensated.

    The compensation makes the sample mean of every bucket what it was, so that no value is created; by a factor when lognormal, by an
    amount when normal. jump above -1.
    """
    if not (np.isfinite(jump) and jump > -1) or not np.isfinite(outage).all() or outage.min() < 0 or outage.max() > 1:
        raise MarketError("jump must be above -1 and outage between 0 and 1")
    before = simulated.mean(axis=0)
    if not np.isfinite(before).all():
        raise MarketError("simulated prices must be finite")
    if forward.kind is Kind.NORMAL:
        moved = simulated + jump * outage * np.abs(forward.prices)
        return np.asarray(moved - (moved.mean(axis=0) - before))
    moved = simulated * (1.0 + jump * outage)
    return np.asarray(moved * (before / moved.mean(axis=0)))
