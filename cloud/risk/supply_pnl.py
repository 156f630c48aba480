"""P&L of a stream's contracts on all paths, reduced to what is linear in price, and its means by contract, bucket and unit.

For `cloud/risk/supply`. Because terms are coefficients (supply_terms), a scenario's P&L is A + sum over periods of P_p U_p: A and U hold
everything about volume, P everything about price. Repricing (rho, J, W at its mean, P at F) costs one product, not another pass.
Money is discounted to the as-of of the run; plus is a gain.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cloud.risk.errors import Floats
from cloud.risk.supply_paths import PathSet
from cloud.risk.supply_terms import Stream, Terms

BLOCK: Final = 256  # scenarios at a time where a pass has many temporaries: they stay in the cache


@dataclass(frozen=True, slots=True)
class Volumes:
    """One stream on all paths: delivered by unit (S, b, u), their sum w (S, b), shortfall s (S, b), produced v (S, b), excused share fm."""

    by_unit: Floats
    w: Floats
    s: Floats
    v: Floats
    fm: Floats | None


@dataclass(frozen=True, slots=True)
class Totals:
    """A scenario's P&L is fixed (S,) + sum over p of P_p per_price (S, p); per_price is the volume exposed to the price."""

    fixed: Floats
    per_price: Floats

    def pnl(self, prices: Floats) -> Floats:
        """(S,) for prices (S, p) or (p,)."""
        return np.asarray(self.fixed + np.einsum("sp,sp->s", self.per_price, np.broadcast_to(prices, (self.fixed.size, prices.shape[-1]))))


@dataclass(frozen=True, slots=True)
class Means:
    """Weighted means (b,) of what contract terms multiply; p_x is the mean of price times x."""

    p: Floats
    w: Floats
    p_w: Floats
    s: Floats
    p_s: Floats
    e: Floats  # excused shortfall
    p_e: Floats
    v: Floats


@dataclass(frozen=True, slots=True)
class Grid:
    """Period of each bucket, number of periods, discount factors."""

    period: NDArray[np.int64]
    periods: int
    discount: Floats

    def by_period(self, values: Floats) -> Floats:
        """Sums (S, p) of (S, b)."""
        if self.one_to_one:
            return values
        if (np.diff(self.period) >= 0).all():
            starts = np.flatnonzero(np.diff(self.period, prepend=-1))
            return np.asarray(np.add.reduceat(values, starts, axis=1))
        indicator = np.zeros((self.period.size, self.periods))
        indicator[np.arange(self.period.size), self.period] = 1.0
        summed: Floats = values @ indicator
        return summed

    @property
    def one_to_one(self) -> bool:
        return self.periods == self.period.size and bool((self.period == np.arange(self.periods)).all())


def volumes(paths: PathSet, stream: Stream, committed: Floats, by_unit: Floats | None = None) -> Volumes:
    """The stream's volumes on all paths; by_unit (S, b, all units) replaces the paths' delivered volumes."""
    every = paths.delivered if by_unit is None else by_unit
    mine = np.zeros(len(paths.units))
    mine[list(stream.units)] = 1.0
    w = every @ mine
    v = w if paths.produced is None or by_unit is not None else paths.produced @ mine
    return Volumes(every, w, np.maximum(committed - w, 0.0), v, paths.force_majeure.get(stream.name))


def planned(paths: PathSet, stream: Stream, committed: Floats, w: Floats) -> Volumes:
    """One scenario (1, b) with volumes by unit w (b, u): the plan, or the mean. Events excuse as they do on average."""
    event = paths.force_majeure.get(stream.name)
    sums = w[:, list(stream.units)].sum(axis=1)[None, :]
    return Volumes(w[None], sums, np.maximum(committed - sums, 0.0), sums, None if event is None else event.mean(axis=0)[None, :])


def totals(stream: Stream, terms: Terms, grid: Grid, found: Volumes) -> Totals:
    """The volume side of every scenario's P&L."""
    share, committed, df = terms.share, terms.q.sum(axis=0), grid.discount
    d0, d1, s0, s1, x0, x1 = ((share * part).sum(axis=0) for part in (terms.d0, terms.d1, terms.s0, terms.s1, terms.x0, terms.x1))
    e = terms.surplus
    fixed = found.s @ (df * (s0 - d0)) - found.v @ (df * stream.cost) + float(df @ (d0 * committed))
    exposed = found.s * (df * (s1 - d1 + e))
    if e:
        exposed += found.w * (df * e)
    if found.fm is not None:
        excused = found.s * found.fm
        fixed = fixed - excused @ (df * x0)
        exposed -= excused * (df * x1)
    per_price = grid.by_period(exposed) + grid.by_period((df * (d1 - e) * committed)[None, :])
    return Totals(fixed, per_price)


def means(grid: Grid, found: Volumes, prices: Floats, weights: Floats) -> Means:
    """Means under weights (S,) that sum to one; scenarios of weight zero are not touched."""
    chosen = np.flatnonzero(weights)
    every = chosen.size == weights.size
    pick = slice(None) if every else chosen
    u, p = weights[pick], np.broadcast_to(prices, (found.w.shape[0], grid.periods))[pick]
    w, s, v = found.w[pick], found.s[pick], found.v[pick]
    excused = None if found.fm is None else s * found.fm[pick]
    nothing = np.zeros(grid.period.size)

    def priced(values: Floats) -> Floats:
        total = np.zeros(grid.period.size)
        for start in range(0, u.size, BLOCK):
            block = slice(start, start + BLOCK)
            total += np.einsum("sb,sb->b", (u[block, None] * p[block])[:, grid.period], values[block])
        return total

    e, p_e = (nothing, nothing) if excused is None else (u @ excused, priced(excused))
    produced = u @ v if v is not w else u @ w
    return Means((u @ p)[grid.period], u @ w, priced(w), u @ s, priced(s), e, p_e, produced)


def by_contract(stream: Stream, terms: Terms, grid: Grid, mean: Means) -> Floats:
    """Mean P&L (n + 1, b) of each contract and bucket; the last row is what the stream earns where nothing is committed."""
    committed, e = terms.q.sum(axis=0), terms.surplus
    surplus = e * (mean.p_w - committed * mean.p + mean.p_s) - stream.cost * mean.v
    taken, p_taken = committed - mean.s, committed * mean.p - mean.p_s
    rows = (
        terms.d0 * taken + terms.d1 * p_taken + terms.s0 * mean.s + terms.s1 * mean.p_s - terms.x0 * mean.e - terms.x1 * mean.p_e + surplus
    )
    uncommitted = np.where(committed > 0, 0.0, surplus)
    return np.asarray(np.vstack([terms.share * rows, uncommitted]) * grid.discount)


def by_unit(stream: Stream, terms: Terms, grid: Grid, found: Volumes, prices: Floats, weights: Floats) -> Floats:
    """Mean P&L (u,) that each unit's volume adds against delivering nothing; what is left to the stream's total is the bare commitment.

    Within a bucket every unit of volume is worth the same: [X(W) - X(0)] / W.
    """
    total = np.zeros(found.by_unit.shape[2])
    for block, worth in _worth(stream, terms, grid, found, prices, weights):
        total += np.einsum("sb,sbu->u", worth, found.by_unit[block])
    mine = np.zeros(total.size, bool)
    mine[list(stream.units)] = True
    return np.where(mine, total, 0.0)


def _worth(
    stream: Stream, terms: Terms, grid: Grid, found: Volumes, prices: Floats, weights: Floats
) -> Iterator[tuple[slice | NDArray[np.int64], Floats]]:
    """Blocks of scenarios with a weight, and the weighted money (S, b) that one unit of volume adds."""
    share, committed, df, e = terms.share, terms.q.sum(axis=0), grid.discount, terms.surplus
    g0, g1 = ((share * (s - d)).sum(axis=0) * df for s, d in ((terms.s0, terms.d0), (terms.s1, terms.d1 - e)))
    x0, x1 = ((share * x).sum(axis=0) * df for x in (terms.x0, terms.x1))
    chosen = np.flatnonzero(weights)
    every = np.broadcast_to(prices, (found.w.shape[0], grid.periods))
    for start in range(0, chosen.size, BLOCK):
        some = chosen[start : start + BLOCK]
        block = slice(start, start + some.size) if chosen.size == weights.size else some  # a slice copies nothing
        w, p = found.w[block], every[block][:, grid.period]
        lost = g0 + g1 * p
        if found.fm is not None:
            lost -= found.fm[block] * (x0 + x1 * p)
        lost *= np.divide(committed, w, out=np.ones_like(w), where=w > committed)
        worth = p * (df * e) - df * stream.cost - lost
        yield block, worth * weights[block, None]
