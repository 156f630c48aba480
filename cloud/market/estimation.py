"""Factor parameters from history, each with its standard error; too short a history is refused, never padded.

Three estimators: Brownian factors from aligned price histories (EWMA moments), one mean-reverting factor from a spot history (exact
AR(1) regression), and Schwartz-Smith from a panel of futures by maximum likelihood. The last runs a Kalman filter with the steady-state
gain from the first row on (Durbin & Koopman, Time Series Analysis by State Space Methods, 4.3.4): for fixed maturities the gain
settles within weeks, and one likelihood costs a millisecond. Rows are equally spaced, `step` years apart.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from cloud.market.errors import HistoryTooShort, MarketError
from cloud.market.factors import Factors, Kind
from cloud.market.schwartz_smith import SchwartzSmith
from cloud.market.volatility import ewma_covariance, returns

Floats = NDArray[np.float64]

LEAST_RETURNS: Final = 30
LEAST_SPOT: Final = 60
LEAST_FUTURES: Final = 100


@dataclass(frozen=True, slots=True)
class FactorsFit:
    """`volatility_error` (K,) and `correlation_error` (K, K): standard errors from the effective number of observations."""

    factors: Factors
    volatility_error: Floats
    correlation_error: Floats
    effective: float


def brownian(names: Sequence[str], prices: Floats, step: float, kind: Kind, decay: float = 1.0) -> FactorsFit:
    """One Brownian factor per column of prices (n, K), EWMA weights decay^age (1 = all alike), mean return taken as zero.

    Standard errors are those of Gaussian moments at the effective sample size 1 / sum w^2: sigma / sqrt(2 n), (1 - rho^2) / sqrt(n).
    """
    _require_step(step)
    changes = returns(prices, kind)
    weights = decay ** np.arange(len(changes) - 1, -1, -1.0)
    effective = float(weights.sum() ** 2 / (weights @ weights))
    if effective < LEAST_RETURNS:
        raise HistoryTooShort("Brownian factors: effective returns", int(effective), LEAST_RETURNS)
    covariance = ewma_covariance(changes, decay)
    deviation = np.sqrt(np.diag(covariance))
    if (deviation == 0).any():
        raise MarketError(f"{names[int(np.argmin(deviation))]} never moves; it has no volatility to estimate")
    correlation = covariance / np.outer(deviation, deviation)
    np.fill_diagonal(correlation, 1.0)
    volatility = deviation / np.sqrt(step)
    factors = Factors(tuple(names), np.zeros(len(names)), volatility, (correlation + correlation.T) / 2)
    return FactorsFit(factors, volatility / np.sqrt(2 * effective), (1 - correlation**2) / np.sqrt(effective), effective)


@dataclass(frozen=True, slots=True)
class ReversionFit:
    """dx = reversion (level - x) dt + volatility dB, x the logarithm (lognormal) or the price; each with its standard error."""

    kind: Kind
    reversion: float
    level: float
    volatility: float
    reversion_error: float
    level_error: float
    volatility_error: float
    observations: int

    def factors(self, name: str) -> Factors:
        """The one factor, to simulate with under any curve."""
        return Factors((name,), np.array([self.reversion]), np.array([self.volatility]), np.ones((1, 1)))


def mean_reversion(prices: Floats, step: float, kind: Kind) -> ReversionFit:
    """One mean-reverting factor from a spot history (n,): the exact discretisation x' = a + b x + e by least squares, errors by the delta
    method. The estimate of the reversion is biased upwards by about 4 / (n step) (Kendall). MarketError when no reversion is found."""
    _require_step(step)
    if len(prices) < LEAST_SPOT:
        raise HistoryTooShort("mean reversion", len(prices), LEAST_SPOT)
    values = np.r_[0.0, np.cumsum(returns(prices, kind))] + (np.log(prices[0]) if kind is Kind.LOGNORMAL else prices[0])
    design = np.column_stack([np.ones(len(values) - 1), values[:-1]])
    gram = np.linalg.pinv(design.T @ design)
    a, b = gram @ design.T @ values[1:]
    if not 0 < b < 1:
        raise MarketError(f"no mean reversion in {len(values)} prices (coefficient {b:.6f}); use a Brownian factor")
    residuals = values[1:] - design @ (a, b)
    noise = float(residuals @ residuals) / (len(residuals) - 2)
    if noise <= 1e-24:
        raise MarketError("the prices follow without noise; there is nothing to estimate")
    spread = noise * gram
    reversion, level = -np.log(b) / step, a / (1 - b)
    slope = np.array([1 / (1 - b), a / (1 - b) ** 2])
    growth = 2 * reversion / (1 - b * b)
    volatility = np.sqrt(noise * growth)
    by_b = 0.5 * volatility * (2 * b / (1 - b * b) - 1 / (b * step * reversion))
    error = np.sqrt(volatility**2 / (2 * len(residuals)) + by_b**2 * spread[1, 1])
    return ReversionFit(
        kind,
        float(reversion),
        float(level),
        float(volatility),
        float(np.sqrt(spread[1, 1]) / (b * step)),
        float(np.sqrt(slope @ spread @ slope)),
        float(error),
        len(prices),
    )


@dataclass(frozen=True, slots=True)
class SchwartzSmithFit:
    """`growth` per year of the long-term level under P; `noise` of the logarithm of a quoted future; `chi`, `xi` the last filtered state.

    `errors` by parameter name; None where the likelihood is flat or the parameter sits on its bound.
    """

    model: SchwartzSmith
    growth: float
    noise: float
    chi: float
    xi: float
    errors: Mapping[str, float | None]
    log_likelihood: float
    observations: int


NAMES: Final = ("kappa", "sigma_chi", "lambda_chi", "mu_xi_star", "sigma_xi", "rho", "growth", "noise")
_LOGARITHMIC: Final = np.array([True, True, False, False, True, False, False, True])
_BOUNDS: Final = (
    (np.log(0.02), np.log(30.0)),
    (np.log(0.005), np.log(3.0)),
    (-3.0, 3.0),
    (-1.0, 1.0),
    (np.log(0.005), np.log(3.0)),
    (-2.6, 2.6),  # artanh of 0.989
    (-2.0, 2.0),
    (np.log(2e-4), np.log(0.5)),
)


def schwartz_smith(futures: Floats, maturities: Floats, step: float) -> SchwartzSmithFit:
    """Maximum likelihood from futures prices (n, M) for constant times to delivery (M,) in years, M >= 2 and different.

    Rows with a missing price must be left out by the caller. lambda_chi and mu_xi_star come apart only with maturities beyond 1 / kappa:
    with near contracts alone their standard errors are large or None, and the figures say so. MarketError when no optimum is found.
    """
    _require_step(step)
    if futures.ndim != 2 or futures.shape[1] != len(maturities) or len(np.unique(maturities)) < 2:
        raise MarketError(f"futures have shape {futures.shape}, they must be (rows, maturities) for at least two different maturities")
    if not np.isfinite(futures).all() or (futures <= 0).any() or not np.isfinite(maturities).all() or (maturities <= 0).any():
        raise MarketError("futures prices and maturities must be finite and above zero")
    if len(futures) < LEAST_FUTURES:
        raise HistoryTooShort("Schwartz-Smith: rows of futures", len(futures), LEAST_FUTURES)
    logs = np.log(futures)

    def misfit(point: Floats) -> float:
        return -_filter(point, logs, maturities, step)[0] / len(logs)

    found = min(
        (minimize(misfit, start, method="L-BFGS-B", bounds=_BOUNDS) for start in _starts(logs, step)), key=lambda one: float(one.fun)
    )
    if not np.isfinite(found.fun) or found.fun >= _REFUSED / len(logs):
        raise MarketError("the likelihood of the futures has no optimum inside of the bounds")
    likelihood, chi, xi = _filter(found.x, logs, maturities, step)
    values = _natural(found.x)
    errors = _errors(lambda point: misfit(point) * len(logs), found.x, values)
    return SchwartzSmithFit(SchwartzSmith(*values[:6]), values[6], values[7], chi, xi, errors, likelihood, len(logs))


_REFUSED: Final = 1e10


def _natural(point: Floats) -> tuple[float, ...]:
    values = np.where(_LOGARITHMIC, np.exp(np.where(_LOGARITHMIC, point, 0.0)), point)
    values[5] = np.tanh(point[5])
    return tuple(float(value) for value in values)


def _starts(logs: Floats, step: float) -> list[Floats]:
    front, back = np.diff(logs[:, [0, -1]], axis=0).std(axis=0) / np.sqrt(step)
    near, far = np.log(np.clip([front, back], 0.02, 2.0))
    return [np.array([np.log(kappa), near, 0.0, 0.0, far, 0.0, 0.0, np.log(0.01)]) for kappa in (0.7, 3.0)]


def _filter(point: Floats, logs: Floats, maturities: Floats, step: float) -> tuple[float, float, float]:
    """Log likelihood of all rows but the first, which places the state, and the last filtered chi and xi."""
    *parameters, growth, noise = _natural(point)
    model = SchwartzSmith(*parameters)
    seen = np.column_stack([np.exp(-model.kappa * maturities), np.ones(len(maturities))])
    offset = model.drift(maturities)
    moved = np.diag([np.exp(-model.kappa * step), 1.0])
    error = noise**2 * np.eye(len(maturities))
    spread = steady_state(moved, seen, model.covariance(step), noise)
    if spread is None:
        return -_REFUSED, 0.0, 0.0
    expected = seen @ spread @ seen.T + error
    inverse = np.linalg.inv(expected)
    gain = spread @ seen.T @ inverse
    centred = logs - offset
    states = _states(
        moved - moved @ gain @ seen, centred @ (moved @ gain).T + [0.0, growth * step], np.linalg.lstsq(seen, centred[0], rcond=None)[0]
    )
    surprises = centred - states @ seen.T
    distance = np.einsum("ti,ij,tj->", surprises[1:], inverse, surprises[1:])
    constant = np.linalg.slogdet(expected)[1] + len(maturities) * np.log(2 * np.pi)
    chi, xi = states[-1] + gain @ surprises[-1]
    likelihood = -0.5 * (distance + (len(logs) - 1) * constant)
    return float(likelihood) if np.isfinite(likelihood) else -_REFUSED, float(chi), float(xi)


def steady_state(moved: Floats, seen: Floats, shocks: Floats, noise: float) -> Floats | None:
    """The covariance of the predicted state that the Kalman filter settles to, by doubling (Chu, Fan, Lin & Wang 2004); None when it does not.

    Written out because the matrices are 2 by 2: a general Riccati solver costs ten times the rest of the likelihood.
    """
    forth, pull, spread = moved.T, seen.T @ seen / noise**2, shocks
    for _ in range(60):
        solved = np.linalg.solve(np.eye(len(moved)) + pull @ spread, np.hstack([forth, pull]))
        half, drawn = solved[:, : len(moved)], solved[:, len(moved) :]
        grown = forth.T @ spread @ half
        forth, pull, spread = forth @ half, pull + forth @ drawn @ forth.T, spread + grown
        if not np.isfinite(spread).all():
            return None
        if np.abs(grown).max() <= 1e-13 * np.abs(spread).max():
            return (spread + spread.T) / 2
    return None


def _states(transition: Floats, inputs: Floats, first: Floats) -> Floats:
    """Predicted states (n, 2): s' = transition s + input. A recursion in time, in plain floats because it is short and hot."""
    (aa, ab), (ba, bb) = transition.tolist()
    chi, xi = first.tolist()
    path = [(chi, xi)]
    for to_chi, to_xi in inputs[:-1].tolist():
        chi, xi = aa * chi + ab * xi + to_chi, ba * chi + bb * xi + to_xi
        path.append((chi, xi))
    return np.array(path)


def _errors(misfit: Callable[[Floats], float], point: Floats, values: Sequence[float]) -> Mapping[str, float | None]:
    """Standard errors by the inverse Hessian over the parameters that are not on a bound, and the delta method."""
    inside = [k for k, (low, high) in enumerate(_BOUNDS) if low + 1e-6 < point[k] < high - 1e-6]
    hessian = _hessian(misfit, point, inside)
    slopes = np.where(_LOGARITHMIC, values, 1.0)
    slopes[5] = 1.0 - values[5] ** 2
    errors: dict[str, float | None] = dict.fromkeys(NAMES)
    curvature = np.linalg.eigvalsh(hessian) if inside else np.zeros(1)
    if curvature[0] > 1e-9 * curvature[-1]:
        for k, variance in zip(inside, np.diag(np.linalg.inv(hessian)), strict=True):
            errors[NAMES[k]] = float(np.sqrt(variance) * slopes[k])
    return MappingProxyType(errors)


def _hessian(misfit: Callable[[Floats], float], point: Floats, inside: Sequence[int], width: float = 2e-3) -> Floats:
    steps = np.eye(len(point))[list(inside)] * width
    size = len(inside)
    hessian = np.empty((size, size))
    for i in range(size):
        for j in range(i, size):
            corners = [misfit(point + one * steps[i] + other * steps[j]) for one, other in ((1, 1), (1, -1), (-1, 1), (-1, -1))]
            hessian[i, j] = hessian[j, i] = (corners[0] - corners[1] - corners[2] + corners[3]) / (4 * width * width)
    return hessian


def _require_step(step: float) -> None:
    if not (np.isfinite(step) and step > 0):
        raise MarketError(f"step {step} years must be finite and above zero")
