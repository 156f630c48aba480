"""European options in closed form: Black-76, generalised Black-Scholes, Bachelier, Kirk's spread and Margrabe's exchange option.

Not for early exercise, averages or barriers. Every argument broadcasts against every other (contracts x scenarios), all float64.

Conventions: prices and strikes in one currency per one unit of volume; `vol` per square root of a year (lognormal: a fraction;
normal: money); `expiry` in years; `rate` and `dividend` continuously compounded per year; value and Greeks are those of one long
option. Delta and gamma per unit move of the price named in the signature (forward or spot); vega per 1.00 of vol (0.01 of it is a
percent point); theta per year of passing time with price, vol and rate held, so an option that loses value has theta < 0.
Without time or vol left an option is worth its discounted intrinsic value; gamma and vega are then 0 and delta at the money is half.

The functions raise `RiskError` for the first item that cannot be valued; `value_each` values the others and lists the failures.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from cloud.risk.errors import Cause, Failure, Floats, RiskError

SQRT_2PI = float(np.sqrt(2 * np.pi))


class Right(IntEnum):
    """What the option lets its holder do; arrays of +1 and -1 are accepted wherever a Right is."""

    CALL = 1
    PUT = -1


@dataclass(frozen=True, slots=True)
class Greeks:
    """Value and sensitivities, all of the broadcast shape; conventions in the module's docstring."""

    value: Floats
    delta: Floats
    gamma: Floats
    vega: Floats
    theta: Floats


@dataclass(frozen=True, slots=True)
class Valued:
    """`values[k]` belongs to item `indices[k]` of the flattened broadcast input; every other item is in `failures`."""

    values: Floats
    indices: np.ndarray[tuple[int], np.dtype[np.intp]]
    failures: tuple[Failure, ...]


Check = tuple[Cause, Floats, np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]


def black76(right: ArrayLike, forward: ArrayLike, strike: ArrayLike, vol: ArrayLike, expiry: ArrayLike, rate: ArrayLike = 0.0) -> Floats:
    """Value of a European option on a forward or future (Black 1976), premium paid today."""
    return black76_greeks(right, forward, strike, vol, expiry, rate).value


def black76_greeks(
    right: ArrayLike, forward: ArrayLike, strike: ArrayLike, vol: ArrayLike, expiry: ArrayLike, rate: ArrayLike = 0.0
) -> Greeks:
    """Black-76 with delta and gamma to the forward: the generalised formula with no carry (Haug 2007, 1.1.6, b = 0)."""
    return _lognormal(right, forward, strike, vol, expiry, rate, rate)


def black_scholes(
    right: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    vol: ArrayLike,
    expiry: ArrayLike,
    rate: ArrayLike = 0.0,
    dividend: ArrayLike = 0.0,
) -> Floats:
    """Value of a European option on a spot price with carry yield `dividend` (convenience yield less storage cost)."""
    return black_scholes_greeks(right, spot, strike, vol, expiry, rate, dividend).value


def black_scholes_greeks(
    right: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    vol: ArrayLike,
    expiry: ArrayLike,
    rate: ArrayLike = 0.0,
    dividend: ArrayLike = 0.0,
) -> Greeks:
    """Generalised Black-Scholes, delta and gamma to the spot; forward = spot exp((rate - dividend) expiry) (Haug 2007, 1.1.6)."""
    return _lognormal(right, spot, strike, vol, expiry, rate, dividend)


def bachelier(right: ArrayLike, forward: ArrayLike, strike: ArrayLike, vol: ArrayLike, expiry: ArrayLike, rate: ArrayLike = 0.0) -> Floats:
    """Value under normally distributed prices, for prices that can be <= 0; `vol` in money per square root of a year."""
    return bachelier_greeks(right, forward, strike, vol, expiry, rate).value


def bachelier_greeks(
    right: ArrayLike, forward: ArrayLike, strike: ArrayLike, vol: ArrayLike, expiry: ArrayLike, rate: ArrayLike = 0.0
) -> Greeks:
    """V = D [s (F-K) N(s d) + v sqrt(T) phi(d)], d = (F-K) / (v sqrt(T)) (Bachelier 1900; Haug 2007, 1.3.1, discounted)."""
    sign, f, k, v, t, r = _arrays(right, forward, strike, vol, expiry, rate)
    _refuse(_common(v, t, f, k, r))
    root = np.sqrt(t)
    deviation = v * root
    alive = deviation > 0
    d = _ratio(f - k, deviation)
    discount, density = np.exp(-r * t), np.where(alive, _density(d), 0.0)
    inner = ndtr(sign * d)
    value = discount * (sign * (f - k) * inner + deviation * density)
    gamma = discount * np.divide(density, deviation, out=np.zeros_like(d), where=alive)
    return Greeks(value, discount * sign * inner, gamma, discount * root * density, r * value - 0.5 * v * v * gamma)


def kirk(
    forward1: ArrayLike, forward2: ArrayLike, strike: ArrayLike, vol1: ArrayLike, vol2: ArrayLike, rho: ArrayLike, expiry: ArrayLike,
    rate: ArrayLike = 0.0, right: ArrayLike = Right.CALL,
) -> Floats:  # fmt: skip
    """Spread option max(F1 - F2 - K, 0) on two futures, lognormal each; Kirk's approximation (Kirk 1995; Haug 2007, 5.10.1).

    Exact for K = 0 (then Margrabe); needs F2 + K > 0. The put pays max(K - F1 + F2, 0).
    """
    sign, f1, f2, k, v1, v2, corr, t, r = _arrays(right, forward1, forward2, strike, vol1, vol2, rho, expiry, rate)
    _refuse([*_common(v1, t, f1, f2, k, r, v2, corr), (Cause.VOL_NEGATIVE, v2, v2 < 0), *_positive(f1, f2 + k), *_positive(f2)])
    _refuse([_correlation(corr)])
    weight = f2 / (f2 + k)
    variance = v1 * v1 - 2 * corr * v1 * v2 * weight + (v2 * weight) ** 2
    return black76(sign, f1, f2 + k, np.sqrt(np.maximum(variance, 0.0)), t, r)


def margrabe(
    spot1: ArrayLike, spot2: ArrayLike, vol1: ArrayLike, vol2: ArrayLike, rho: ArrayLike, expiry: ArrayLike,
    dividend1: ArrayLike = 0.0, dividend2: ArrayLike = 0.0, quantity1: ArrayLike = 1.0, quantity2: ArrayLike = 1.0,
) -> Floats:  # fmt: skip
    """Option to give q2 units of the second for q1 units of the first (Margrabe 1978): max(q1 S1 - q2 S2, 0). Free of the rate."""
    arrays = _arrays(spot1, spot2, vol1, vol2, rho, expiry, dividend1, dividend2, quantity1, quantity2)
    s1, s2, v1, v2, corr, t, y1, y2, q1, q2 = arrays
    _refuse([*_common(v1, t, *arrays), (Cause.VOL_NEGATIVE, v2, v2 < 0), *_positive(q1 * s1, q2 * s2), _correlation(corr)])
    variance = v1 * v1 + v2 * v2 - 2 * corr * v1 * v2
    own, other = q1 * s1 * np.exp(-y1 * t), q2 * s2 * np.exp(-y2 * t)
    return black76(Right.CALL, own, other, np.sqrt(np.maximum(variance, 0.0)), t)


def value_each(model: Callable[..., Floats], *arguments: ArrayLike) -> Valued:
    """Value a whole book with `model`; items it refuses are set aside with their cause, the rest is still valued."""
    flat = [array.ravel() for array in _arrays(*arguments)]
    keep = np.arange(flat[0].size)
    failures: list[Failure] = []
    while keep.size:
        try:
            values = model(*(array[keep] for array in flat))
        except ItemsError as error:
            failures += [Failure(int(keep[at]), error.cause, float(value)) for at, value in zip(error.items, error.values, strict=True)]
            keep = np.delete(keep, error.items)
        else:
            return Valued(values, keep, tuple(sorted(failures, key=lambda failure: failure.index)))
    return Valued(np.empty(0), keep, tuple(sorted(failures, key=lambda failure: failure.index)))


class ItemsError(RiskError):
    """Some items of the arrays cannot be valued, all for the same cause."""

    def __init__(self, cause: Cause, items: np.ndarray[tuple[int], np.dtype[np.intp]], values: Floats) -> None:
        super().__init__(cause, f"item {int(items[0])}" + (f" and {items.size - 1} more" if items.size > 1 else ""), float(values[0]))
        self.items = items
        self.values = values


def _lognormal(
    right: ArrayLike, price: ArrayLike, strike: ArrayLike, vol: ArrayLike, expiry: ArrayLike, rate: ArrayLike, dividend: ArrayLike
) -> Greeks:
    sign, s, k, v, t, r, y = _arrays(right, price, strike, vol, expiry, rate, dividend)
    _refuse([*_common(v, t, s, k, r, y), *_positive(s, k)])
    root = np.sqrt(t)
    deviation = v * root
    alive = deviation > 0
    d1 = _ratio(np.log(s / k) + (r - y) * t, deviation) + 0.5 * deviation
    grown, discount = np.exp(-y * t), np.exp(-r * t)
    first, second = grown * sign * ndtr(sign * d1), discount * sign * ndtr(sign * (d1 - deviation))
    density = np.where(alive, grown * _density(d1), 0.0)
    gamma = np.divide(density, s * deviation, out=np.zeros_like(s), where=alive)
    vega = s * density * root
    theta = y * s * first - r * k * second - 0.5 * gamma * (s * v) ** 2
    return Greeks(s * first - k * second, first, gamma, vega, theta)


def _arrays(*values: ArrayLike) -> tuple[Floats, ...]:
    try:
        return tuple(np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in values)))
    except ValueError as error:
        raise RiskError(Cause.SHAPES_DIFFER, str(error)) from error


def _ratio(above: Floats, deviation: Floats) -> Floats:
    """above / deviation; without deviation the limit: -inf, 0 or +inf."""
    with np.errstate(over="ignore"):
        return np.divide(above, deviation, out=np.where(above == 0, 0.0, np.copysign(np.inf, above)), where=deviation > 0)


def _density(d: Floats) -> Floats:
    found: Floats = np.exp(-0.5 * np.minimum(np.abs(d), 100.0) ** 2) / SQRT_2PI
    return found


def _common(vol: Floats, expiry: Floats, *others: Floats) -> list[Check]:
    finite: list[Check] = [(Cause.NOT_FINITE, array, ~np.isfinite(array)) for array in (vol, expiry, *others)]
    return [*finite, (Cause.VOL_NEGATIVE, vol, vol < 0), (Cause.EXPIRY_NEGATIVE, expiry, expiry < 0)]


def _positive(forward: Floats, strike: Floats | None = None) -> list[Check]:
    checks: list[Check] = [(Cause.FORWARD_NOT_POSITIVE, forward, forward <= 0)]
    return checks if strike is None else [*checks, (Cause.STRIKE_NOT_POSITIVE, strike, strike <= 0)]


def _correlation(rho: Floats) -> Check:
    return Cause.CORRELATION_OUT_OF_RANGE, rho, np.abs(rho) > 1


def _refuse(checks: list[Check]) -> None:
    for cause, values, bad in checks:
        if bad.any():
            raise ItemsError(cause, np.flatnonzero(bad), values[bad])
