"""When an asset may fail: first passage of degradation, Weibull age, an exponential clock, and what is learned from each.

Time is in one unit throughout a call (days in the forecast), probabilities are 0-1 and never fall with the horizon. All functions
broadcast. Not for repair and volume: `forecast` does that.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from cloud.assets import AssetError, Floats, numbers

# Health below this raises the hazard, up to a factor of 20 at health 0 (class prior until failures have been seen).
WATCHED_BELOW: Final = 0.80
WORST_FACTOR: Final = 20.0


def wiener_first_passage(left: ArrayLike, drift: ArrayLike, diffusion: ArrayLike, horizon: ArrayLike) -> Floats:
    """P(a Wiener process with drift reaches its threshold within `horizon`): the inverse Gaussian distribution function.

    left: threshold minus present level (<= 0: already there, probability 1 for any horizon > 0); drift per unit of time, may be
    negative (then some never fail); diffusion per square root of time, may be 0. F = N((mu s - l)/(sigma sqrt s)) +
    exp(2 mu l / sigma^2) N(-(mu s + l)/(sigma sqrt s)) (Chhikara and Folks, The Inverse Gaussian Distribution). The product is formed
    in logarithms, so that a small diffusion does not overflow.
    """
    gap, mu = numbers("left", left), numbers("drift", drift)
    sigma, time = numbers("diffusion", diffusion, low=0), numbers("horizon", horizon, low=0, infinite=True)
    gap, mu, sigma, time = np.broadcast_arrays(gap, mu, sigma, time)
    s, spread = np.clip(time, 1e-300, 1e150), np.maximum(sigma, 1e-12)
    scale, positive = spread * np.sqrt(s), np.maximum(gap, 1e-300)
    with np.errstate(over="ignore"):
        first = special.ndtr((mu * s - positive) / scale)
        exponent = 2 * mu * positive / spread**2 + special.log_ndtr(-(mu * s + positive) / scale)
        second = np.exp(np.minimum(exponent, 0.0))
    certain = np.where(mu * s >= positive, 1.0, 0.0)
    found = np.where(sigma > 0, np.minimum(first + second, 1.0), certain)
    return np.where(time <= 0, 0.0, np.where(gap <= 0, 1.0, found))


def wiener_mean_life(left: ArrayLike, drift: ArrayLike) -> Floats:
    """Mean time to the threshold, l / mu; infinite where the drift is not positive, 0 where the threshold is passed."""
    gap, mu = np.broadcast_arrays(numbers("left", left), numbers("drift", drift))
    return np.where(gap <= 0, 0.0, np.where(mu > 0, np.maximum(gap, 0) / np.where(mu > 0, mu, 1.0), np.inf))


def gamma_first_passage(left: ArrayLike, shape_rate: ArrayLike, scale: ArrayLike, horizon: ArrayLike) -> Floats:
    """P(a gamma process passes its threshold within `horizon`) = Q(alpha s, l / theta), Q the upper regularised incomplete gamma
    (van Noortwijk, A survey of the application of gamma processes in maintenance, 2009). For wear that never heals."""
    gap, alpha = numbers("left", left), numbers("shape_rate", shape_rate, low=0)
    theta, time = numbers("scale", scale, low=0), numbers("horizon", horizon, low=0)
    gap, alpha, theta, time = np.broadcast_arrays(gap, alpha, theta, time)
    shape = alpha * time
    moving = (shape > 0) & (theta > 0)
    passed = special.gammaincc(np.where(moving, shape, 1.0), np.maximum(gap, 0) / np.where(moving, theta, 1.0))
    return np.where(time <= 0, 0.0, np.where(gap <= 0, 1.0, np.where(moving, passed, 0.0)))


def weibull_survival(eta: ArrayLike, beta: ArrayLike, age: ArrayLike, horizon: ArrayLike) -> Floats:
    """P(an asset of `age` lives `horizon` longer) = exp((t/eta)^beta - ((t+s)/eta)^beta) (SUP-07)."""
    scale, shape = numbers("eta", eta, low=0), numbers("beta", beta, low=0)
    old, ahead = numbers("age", age, low=0), numbers("horizon", horizon, low=0)
    if np.any(scale <= 0) or np.any(shape <= 0):
        raise AssetError("weibull: expected eta > 0 and beta > 0")
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(-_aged(scale, shape, old, ahead)))


def _aged(scale: Floats, shape: Floats, old: Floats, ahead: Floats) -> Floats:
    """((t+s)/eta)^beta - (t/eta)^beta without inf - inf."""
    start = np.minimum((old / scale) ** shape, 1e300)
    return np.asarray(np.maximum(np.minimum(((old + ahead) / scale) ** shape, 1e300) - start, 0.0))


def health_factor(health: ArrayLike) -> Floats:
    """What health does to the hazard while no failures have been seen: 1 from 0.80 up, rising to 20 at 0, log-linear between."""
    index = np.clip(numbers("health", health), 0.0, 1.0)
    return np.asarray(np.exp(np.log(WORST_FACTOR) * np.maximum(WATCHED_BELOW - index, 0.0) / WATCHED_BELOW))


def probability(rate: ArrayLike, horizon: ArrayLike) -> Floats:
    """1 - e^(-rate horizon)."""
    return -np.expm1(-numbers("rate", rate, low=0) * numbers("horizon", horizon, low=0))


def rate(chance: ArrayLike, horizon: ArrayLike) -> Floats:
    """The constant rate that gives `chance` over `horizon`; a chance of 1 gives the rate of 1 - 1e-16."""
    found = numbers("chance", chance, low=0)
    return -np.log1p(-np.minimum(found, 1 - 1e-16)) / numbers("horizon", horizon, low=1e-300)


def competing(*chances: ArrayLike) -> Floats:
    """P(the first of several independent causes has struck) = 1 - product of (1 - p)."""
    alive: Floats = np.ones(())
    for chance in chances:
        alive = alive * (1.0 - np.clip(numbers("chance", chance), 0.0, 1.0))
    return np.asarray(1.0 - alive)


def rising(chances: ArrayLike) -> Floats:
    """Estimates for increasing horizons (last axis) made non-decreasing and kept in 0-1."""
    return np.maximum.accumulate(np.clip(numbers("chances", chances), 0.0, 1.0), axis=-1)


@dataclass(frozen=True, slots=True)
class WienerBelief:
    """Normal-inverse-gamma belief on drift and diffusion^2 of each asset, arrays of one shape.

    drift | diffusion ~ Normal(mean, diffusion^2 / time); diffusion^2 ~ InverseGamma(shape, spread). `time` is how much
    observed time the belief is worth.
    """

    mean: Floats
    time: Floats
    shape: Floats
    spread: Floats

    def updated(self, increments: ArrayLike, durations: ArrayLike, usable: ArrayLike = True) -> "WienerBelief":
        """After increments of the level over durations, shape (..., n); those not `usable` change nothing, so a gap keeps the
        belief as wide as it was. Conjugate update of dx ~ N(mu dt, sigma^2 dt) (Bernardo and Smith, Bayesian Theory)."""
        used = np.asarray(usable, dtype=bool) & (np.asarray(durations) > 0)
        dx, dt, used = np.broadcast_arrays(np.asarray(increments, np.float64), np.asarray(durations, np.float64), used)
        dx, dt = numbers("increments", np.where(used, dx, 0.0)), numbers("durations", np.where(used, dt, 0.0), low=0)
        time = self.time + dt.sum(-1)
        mean = (self.time * self.mean + dx.sum(-1)) / time
        squares = (dx**2 / np.where(used, dt, 1.0)).sum(-1)
        gained = 0.5 * (squares + self.time * self.mean**2 - time * mean**2)
        return WienerBelief(mean, time, self.shape + 0.5 * used.sum(-1), self.spread + np.maximum(gained, 0.0))

    def quantiles(self, chance_of_spread: Floats, normal: Floats) -> tuple[Floats, Floats]:
        """(drift, diffusion) draws, shape (..., n), from uniforms and standard normals of shape (n,): common random numbers."""
        precision = special.gammaincinv(self.shape[..., None], np.clip(chance_of_spread, 1e-9, 1 - 1e-9))
        diffusion = np.sqrt(self.spread[..., None] / np.maximum(precision, 1e-300))
        return self.mean[..., None] + diffusion * normal / np.sqrt(self.time[..., None]), diffusion


@dataclass(frozen=True, slots=True)
class GammaWearBelief:
    """Gamma process of known `shape_rate`: belief on 1/scale ~ Gamma(shape, rate), arrays of one shape."""

    shape_rate: Floats
    shape: Floats
    rate: Floats

    def updated(self, increments: ArrayLike, durations: ArrayLike, usable: ArrayLike = True) -> "GammaWearBelief":
        """Wear `increments` (>= 0) over `durations`, shape (..., n): conjugate update."""
        used = np.asarray(usable, dtype=bool)
        dx = numbers("increments", np.where(used, increments, 0.0), low=0).sum(-1)
        dt = numbers("durations", np.where(used, durations, 0.0), low=0).sum(-1)
        return GammaWearBelief(self.shape_rate, self.shape + self.shape_rate * dt, self.rate + dx)

    def first_passage(self, left: ArrayLike, horizon: ArrayLike) -> Floats:
        """Predictive P(threshold passed within horizon): wear over s is beta-prime, so P = 1 - I_{l/(l+rate)}(alpha s, shape)."""
        gap, time = np.broadcast_arrays(numbers("left", left), numbers("horizon", horizon, low=0))
        wear = np.maximum(self.shape_rate * time, 1e-300)
        reach = np.maximum(gap, 0.0) / (np.maximum(gap, 0.0) + self.rate)
        passed = 1.0 - special.betainc(wear, self.shape, reach)
        return np.where(time <= 0, 0.0, np.where(gap <= 0, 1.0, np.clip(passed, 0.0, 1.0)))


@dataclass(frozen=True, slots=True)
class WeibullBelief:
    """Weibull of known shape `beta`; eta^-beta ~ Gamma(failures, exposure), where exposure sums (age^beta at end - at start).

    A class prior of scale eta worth n failures is WeibullBelief.prior(eta, beta, n).
    """

    beta: Floats
    failures: Floats
    exposure: Floats

    @classmethod
    def prior(cls, eta: ArrayLike, beta: ArrayLike, failures: ArrayLike) -> "WeibullBelief":
        scale, shape, worth = np.broadcast_arrays(
            numbers("eta", eta, low=1e-12), numbers("beta", beta, low=1e-12), numbers("failures", failures)
        )
        return cls(shape, worth, worth * scale**shape)

    @property
    def eta(self) -> Floats:
        """The scale at the belief's mean."""
        return np.asarray((self.exposure / self.failures) ** (1.0 / self.beta))

    def updated(self, failures: ArrayLike, age_start: ArrayLike, age_end: ArrayLike) -> "WeibullBelief":
        """After operation from one age to another with so many failures (Gamma-Poisson conjugate)."""
        start, end = numbers("age_start", age_start, low=0), numbers("age_end", age_end, low=0)
        if np.any(end < start):
            raise AssetError("age_end: expected at least age_start")
        seen = numbers("failures", failures, low=0)
        return WeibullBelief(self.beta, self.failures + seen, self.exposure + end**self.beta - start**self.beta)

    def survival(self, age: ArrayLike, horizon: ArrayLike) -> Floats:
        """Predictive: (B / (B + (t+s)^beta - t^beta))^a, wider than at any fixed eta."""
        old, ahead = numbers("age", age, low=0), numbers("horizon", horizon, low=0)
        added = (old + ahead) ** self.beta - old**self.beta
        return np.asarray((self.exposure / (self.exposure + added)) ** self.failures)
