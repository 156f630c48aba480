"""The two-factor model of Schwartz & Smith (Management Science 46(7), 2000): ln S = chi + xi, short-term deviation and long-term level.

Under Q: d chi = (-kappa chi - lambda_chi) dt + sigma_chi dz1, d xi = mu_xi_star dt + sigma_xi dz2, dz1 dz2 = rho dt.
Not for prices that can be zero or negative: there use `factors` with Kind.NORMAL. Times are years.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from cloud.market.errors import MarketError
from cloud.market.factors import Factors

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SchwartzSmith:
    """kappa per year > 0; sigmas per square root of a year >= 0; lambda_chi, mu_xi_star per year; rho in [-1, 1]."""

    kappa: float
    sigma_chi: float
    lambda_chi: float
    mu_xi_star: float
    sigma_xi: float
    rho: float

    def __post_init__(self) -> None:
        for field in fields(self):
            if not np.isfinite(getattr(self, field.name)):
                raise MarketError(f"Schwartz-Smith {field.name} is not finite")
        if self.kappa <= 0 or self.sigma_chi < 0 or self.sigma_xi < 0 or abs(self.rho) > 1:
            raise MarketError("Schwartz-Smith needs kappa > 0, volatilities >= 0 and rho in [-1, 1]")

    def covariance(self, years: float) -> Floats:
        """Of (chi, xi) after `years` given today, (2, 2); eq. 3."""
        return self.factors().covariance(years)

    def drift(self, years: Floats) -> Floats:
        """A(T), eq. 9: ln F = exp(-kappa T) chi + xi + A(T)."""
        one = -np.expm1(-self.kappa * years)
        two = -np.expm1(-2.0 * self.kappa * years)
        spread = two * self.sigma_chi**2 / (2 * self.kappa) + self.sigma_xi**2 * years
        cross = 2.0 * one * self.rho * self.sigma_chi * self.sigma_xi / self.kappa
        return np.asarray(self.mu_xi_star * years - one * self.lambda_chi / self.kappa + 0.5 * (spread + cross))

    def futures(self, chi: float, xi: float, years: Floats) -> Floats:
        """F(0, T) for each time to delivery (same shape), in the price unit of exp(xi)."""
        times = np.asarray(years, dtype=np.float64)
        if not np.isfinite(times).all() or (times < 0).any() or not np.isfinite([chi, xi]).all():
            raise MarketError("state and years must be finite, years not below zero")
        quoted = np.exp(np.exp(-self.kappa * times) * chi + xi + self.drift(times))
        if not np.isfinite(quoted).all():
            raise MarketError("the futures price is not finite")
        return np.asarray(quoted)

    def factors(self) -> Factors:
        """The same dynamics as n-factor model: simulate it under any curve, with loadings (1, 1)."""
        matrix = np.array([[1.0, self.rho], [self.rho, 1.0]])
        return Factors(("chi", "xi"), np.array([self.kappa, 0.0]), np.array([self.sigma_chi, self.sigma_xi]), matrix)

    def simulate(self, chi: float, xi: float, years: Floats, values: Floats) -> tuple[Floats, Floats]:
        """chi and xi (scenarios, B) at `years` under Q, from the factor values of `factors.simulate(self.factors(), years, ...)`."""
        times = np.asarray(years, dtype=np.float64)
        fallen = -np.expm1(-self.kappa * times) / self.kappa
        if not np.isfinite([chi, xi]).all() or values.shape[0] != 2 or values.shape[2] != len(times):
            raise MarketError(f"the state must be finite and the factor values (2, scenarios, {len(times)})")
        chis = chi * np.exp(-self.kappa * times) - self.lambda_chi * fallen + values[0]
        return np.asarray(chis), np.asarray(xi + self.mu_xi_star * times + values[1])
