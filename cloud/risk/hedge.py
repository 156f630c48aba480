"""Forwards against a distribution of P&L: minimum variance, minimum CVaR, and what forwards cannot hedge.

For proposing volumes, not for trading them. Positive volume = bought forward at F, earning P - F. Volume risk is only hedged as far as it
moves with price, so every proposal states the share of VaR that is left (section 2.4 of the specification).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linprog
from scipy.sparse import csr_array, eye_array, hstack, vstack

from cloud.risk.errors import Cause, Floats, RiskError, finite, inside
from cloud.risk.measures import expected_shortfall, value_at_risk


@dataclass(frozen=True, slots=True)
class Hedge:
    """volume (k,): forwards to buy (+) or sell (-). VaR and ES of -(X - E X) before and after on the same scenarios, cost apart.

    left = VaR after / VaR before: what these forwards cannot hedge.
    """

    volume: Floats
    level: float
    var_before: float
    var_after: float
    es_before: float
    es_after: float
    cost: float

    @property
    def left(self) -> float:
        return self.var_after / self.var_before if self.var_before > 0 else 1.0

    @property
    def statement(self) -> str:
        if self.left > 1:
            return (
                f"forwards lower the variance and raise the {self.level:.1%} VaR by {self.left - 1:.1%}: what is left comes from volume"
                " and from options, and is not hedged by forwards"
            )
        return f"forwards leave {self.left:.1%} of the {self.level:.1%} VaR; that part comes from volume and is not hedged by forwards"


def min_variance(price_covariance: ArrayLike, price_pnl_covariance: ArrayLike) -> Floats:
    """h* (k,) = -Cov(P)^-1 Cov(P, X), X being the P&L to hedge (SUP-01 states the sale of P Q, whose cover is -h*).

    A price that does not move, or moves as a combination of others does, gets the least volume that does the same (pseudo-inverse).
    """
    cov, cross = (
        np.atleast_2d(finite("covariance of prices", price_covariance)),
        np.atleast_1d(finite("covariance with P&L", price_pnl_covariance)),
    )
    if cov.shape != (cross.size, cross.size):
        raise RiskError(Cause.SHAPES_DIFFER, f"covariance {cov.shape}, covariance with P&L {cross.shape}")
    scale = np.sqrt(np.maximum(np.diag(cov), 0.0))
    scale[scale == 0] = 1.0
    volume: Floats = -(np.linalg.pinv(cov / np.outer(scale, scale), rcond=1e-12, hermitian=True) @ (cross / scale)) / scale
    return volume


def min_variance_hedge(pnl: ArrayLike, prices: ArrayLike, forward: ArrayLike, level: float = 0.99, cost: ArrayLike = 0.0) -> Hedge:
    """Minimum-variance forwards for paths of P&L (S,) and prices (S, k); cost (k,) per unit of volume either way, only reported."""
    x, moves = _paths(pnl, prices, forward)
    centred = moves - moves.mean(axis=0)
    volume = min_variance(centred.T @ centred, centred.T @ (x - x.mean()))
    return outcome(x, moves, volume, level, cost)


def min_cvar_hedge(
    pnl: ArrayLike,
    prices: ArrayLike,
    forward: ArrayLike,
    limit: ArrayLike,
    level: float = 0.99,
    cost: ArrayLike = 0.0,
    budget: float | None = None,
) -> Hedge:
    """Forwards that minimise CVaR + cost: min z + 1/((1-a) S) sum (L_i(h) - z)+ + cost' |h| (Rockafellar-Uryasev 2000), by HiGHS.

    L = -(X + h'(P - F) - its mean): no premium is speculated on. limit (k,): most volume either way; budget: most cost, None for
    no row. Raises RiskError when there is no solution. Some thousand scenarios take about a second; thin the path set for more.
    """
    x, moves = _paths(pnl, prices, forward)
    inside("level", level, 0.0, 1.0)
    count, items = moves.shape
    costs, limits = (np.broadcast_to(finite(name, value), (items,)) for name, value in (("cost", cost), ("limit", limit)))
    centred = moves - moves.mean(axis=0)
    # Columns: bought (k), sold (k), z, excess (S). Rows: loss - z - excess <= 0.
    objective = np.concatenate([costs, costs, [1.0], np.full(count, 1 / ((1 - level) * count))])
    rows = hstack([csr_array(-centred), csr_array(centred), csr_array(-np.ones((count, 1))), -eye_array(count)], format="csr")
    bounds_right = x - x.mean()
    if budget is not None:
        spent = csr_array(np.concatenate([costs, costs, np.zeros(count + 1)])[None, :])
        rows = vstack([rows, spent], format="csr")
        bounds_right = np.append(bounds_right, budget)
    bounds = [(0, most) for most in limits] * 2 + [(None, None)] + [(0, None)] * count
    solved = linprog(objective, A_ub=rows, b_ub=bounds_right, bounds=bounds, method="highs")
    if not solved.success:
        raise RiskError(Cause.NO_CONVERGENCE, f"CVaR hedge: {solved.message}")
    volume = solved.x[:items] - solved.x[items : 2 * items]
    return outcome(x, moves, volume, level, costs)


def outcome(pnl: Floats, moves: Floats, volume: Floats, level: float, cost: ArrayLike = 0.0) -> Hedge:
    """What given volumes (k,) do to the P&L (S,) when prices move by `moves` = P - F (S, k)."""
    before = pnl.mean() - pnl
    hedged = pnl + moves @ volume
    after = hedged.mean() - hedged
    var_before, var_after = value_at_risk(before, level), value_at_risk(after, level)
    es_before, es_after = expected_shortfall(before, level), expected_shortfall(after, level)
    return Hedge(volume, level, var_before, var_after, es_before, es_after, float(np.sum(np.abs(volume) * np.asarray(cost))))


def normal_product(mean_p: float, mean_q: float, sd_p: float, sd_q: float, rho: float) -> tuple[float, float, float]:
    """E[PQ], Var[PQ] and Cov(PQ, P) of jointly normal price and volume (Isserlis), in the units of P Q, its square, and P Q P."""
    inside("rho", rho, -1.0 - 1e-12, 1.0 + 1e-12)
    covariance = rho * sd_p * sd_q
    mean = mean_p * mean_q + covariance
    variance = (mean_p * sd_q) ** 2 + (mean_q * sd_p) ** 2 + 2 * mean_p * mean_q * covariance + (sd_p * sd_q) ** 2 * (1 + rho**2)
    return mean, variance, mean_q * sd_p**2 + mean_p * covariance


def _paths(pnl: ArrayLike, prices: ArrayLike, forward: ArrayLike) -> tuple[Floats, Floats]:
    x, p, f = finite("P&L", pnl), finite("prices", prices), finite("forward", forward)
    if p.ndim != 2 or x.shape != p.shape[:1] or f.shape != p.shape[1:]:
        raise RiskError(Cause.SHAPES_DIFFER, f"P&L {x.shape}, prices {p.shape}, forward {f.shape}")
    return x, p - f
