"""Forward curves: prices by delivery bucket that reprice every quote and are otherwise as smooth as possible.

A quote states a weighted mean: sum_b w_b p_b / sum_b w_b over the buckets of its period and profile, w_b the delivered volume of the
bucket (its hours unless given). Quotes may overlap (months inside a quarter, peak inside base) as long as one curve can meet them all;
otherwise the conflicting ones are named. Prices are p = shape * level: the level minimises

    |first differences|^2 + stiffness |second differences|^2 (per step of time) + RIDGE |level - mean level|^2

under the quotes as equality constraints, solved by one banded Cholesky factor and the Schur complement of the constraints
(Nocedal & Wright, Numerical Optimization, 16.2), then refined until the quotes are met to rounding. Buckets no quote covers are
extrapolated by the same smoothness and marked in `quoted`. Not for volatility or scenarios.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve_banded, cholesky_banded

from cloud.market.errors import InconsistentQuotes, MarketError, QuoteError
from cloud.market.periods import Period, bounds
from cloud.market.quotes import Profile, Quote, as_float

Floats = NDArray[np.float64]

AGREEMENT: Final = 1e-9  # price units, relative to the larger of 1 and the price: two statements about one period agree
DEPENDENCE: Final = 1e-9  # relative residual below which a quote is implied by the others
RIDGE: Final = 1e-8  # pull of the level to its mean; decides only what nothing else decides
REFINEMENTS: Final = 4


@dataclass(frozen=True, slots=True)
class Curve:
    """Prices (B,) in `currency` per `unit` for contiguous ascending `buckets`; `volumes` (B,) weigh them in means; `quoted` (B,) is
    False where the price is extrapolated. The arrays are read-only."""

    product: str
    place: str
    currency: str
    unit: str
    as_of_us: int
    buckets: tuple[Period, ...]
    prices: Floats
    volumes: Floats
    quoted: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if not self.buckets:
            raise MarketError("a curve needs at least one bucket")
        for name, column in (("prices", self.prices), ("volumes", self.volumes)):
            if column.shape != (len(self.buckets),) or not np.isfinite(column).all():
                raise MarketError(f"curve {self.product}@{self.place}: {name} must be {len(self.buckets)} finite numbers")
        if (self.volumes <= 0).any():
            raise MarketError(f"curve {self.product}@{self.place}: volumes must be above zero")
        starts, ends = bounds(self.buckets)
        if (starts[1:] != ends[:-1]).any():
            raise MarketError(f"curve {self.product}@{self.place}: buckets must be contiguous and ascending")
        for array in (self.prices, self.volumes, self.quoted):
            array.setflags(write=False)

    def price(self, period: Period) -> float:
        """Volume-weighted mean price over a period that begins and ends at bucket edges. MarketError otherwise."""
        inside = covered(self.buckets, period)
        return float(np.average(self.prices[inside], weights=self.volumes[inside]))


@dataclass(frozen=True, slots=True)
class Grid:
    """Where a curve is wanted: contiguous `buckets`; `volumes` (B,) above zero, default the hours; `shape` (B,) above zero, default flat,
    only its ratios matter; `peak` (B,) bool, needed when a quote is peak or off-peak."""

    buckets: tuple[Period, ...]
    volumes: Floats | None = None
    shape: Floats | None = None
    peak: NDArray[np.bool_] | None = None

    def weights(self) -> Floats:
        return self._positive("volumes", self.volumes, np.array([bucket.hours for bucket in self.buckets]))

    def factors(self) -> Floats:
        factors = self._positive("shape", self.shape, np.ones(len(self.buckets)))
        return np.asarray(factors / factors.mean())

    def _positive(self, name: str, given: Floats | None, default: Floats) -> Floats:
        column = default if given is None else np.array(given, dtype=np.float64)
        if column.shape != (len(self.buckets),) or not np.isfinite(column).all() or (column <= 0).any():
            raise MarketError(f"{name} must be {len(self.buckets)} finite numbers above zero")
        return column


@dataclass(frozen=True, slots=True)
class Contradiction:
    """`quote` states another price than the one `implied` by the quotes `against` it."""

    quote: Quote
    against: tuple[Quote, ...]
    implied: float

    def __str__(self) -> str:
        return f"{self.quote.label()} contradicts {'; '.join(one.label() for one in self.against)}, which imply {self.implied:.10g}"


def build(quotes: Sequence[Quote], grid: Grid, as_of_us: int, stiffness: float = 1.0) -> Curve:
    """The smoothest curve on the grid that reprices every quote to 1e-9.

    QuoteError when quotes mix products, places, currencies or units, are newer than as_of, or do not begin and end at bucket edges;
    InconsistentQuotes when two or more of them contradict each other (`reconcile` sorts them out first). Negative prices are as good as positive ones.
    """
    if not quotes:
        raise QuoteError("a curve needs at least one quote")
    _require_one_market(quotes, as_of_us)
    volumes, shape = grid.weights(), grid.factors()
    rows = np.array([_row(quote, grid, volumes) for quote in quotes])
    kept, conflicts = _independent(rows, quotes)
    if conflicts:
        raise InconsistentQuotes(str(conflicts[0]), [quote.label() for quote in (*conflicts[0].against, conflicts[0].quote)])
    prices = np.array([as_float(quotes[index].price) for index in kept])
    levels = _smoothest(rows[kept] * shape, prices, grid.buckets, stiffness)
    first = quotes[0]
    return Curve(
        first.product,
        first.place,
        first.currency,
        first.unit,
        as_of_us,
        tuple(grid.buckets),
        shape * levels,
        volumes,
        np.asarray(rows.any(axis=0)),
    )


def cascade(curve: Curve, grid: Grid, stiffness: float = 1.0) -> Curve:
    """The curve on finer buckets (month to day, day to hour): the volume-weighted mean over every coarse bucket stays its price.

    The finer grid must cover exactly the same time; its volumes within a coarse bucket are scaled to the coarse volume, so volume and
    value are kept.
    """
    fine, shape = grid.weights(), grid.factors()
    if (grid.buckets[0].start_us, grid.buckets[-1].end_us) != (curve.buckets[0].start_us, curve.buckets[-1].end_us):
        raise MarketError("the finer buckets do not cover the time of the curve")
    rows = np.zeros((len(curve.buckets), len(fine)))
    for index, bucket in enumerate(curve.buckets):
        inside = covered(grid.buckets, bucket)
        fine[inside] *= curve.volumes[index] / fine[inside].sum()
        rows[index, inside] = fine[inside] / fine[inside].sum()
    prices = shape * _smoothest(rows * shape, curve.prices, grid.buckets, stiffness)
    quoted = curve.quoted[rows.argmax(axis=0)]
    return Curve(curve.product, curve.place, curve.currency, curve.unit, curve.as_of_us, tuple(grid.buckets), prices, fine, quoted)


def implied_remainder(whole: float, whole_weight: float, parts: Sequence[float], part_weights: Sequence[float]) -> float:
    """The price of what is left of a period once its priced parts are taken out: the missing month of a quarter, off-peak of base and peak.

    Identity whole W = sum part_i w_i + rest (W - sum w_i). Weights are days, hours or volumes alike, above zero; the remainder must be too.
    """
    numbers = np.array([whole, whole_weight, *parts, *part_weights], dtype=np.float64)
    if not np.isfinite(numbers).all() or len(parts) != len(part_weights) or min(part_weights, default=1.0) <= 0:
        raise MarketError("prices must be finite and every part needs a weight above zero")
    rest = whole_weight - float(np.sum(part_weights))
    if rest <= 0:
        raise MarketError(f"the parts weigh {whole_weight - rest}, nothing is left of {whole_weight}")
    return float((whole * whole_weight - np.dot(parts, part_weights)) / rest)


def covered(buckets: Sequence[Period], period: Period) -> slice:
    """The slice of contiguous buckets that is exactly the period. MarketError when it begins or ends inside a bucket or outside of them."""
    starts, ends = bounds(buckets)
    first, last = int(np.searchsorted(starts, period.start_us)), int(np.searchsorted(ends, period.end_us))
    if first >= len(starts) or last >= len(ends) or starts[first] != period.start_us or ends[last] != period.end_us:
        raise MarketError(f"period {period.label()} does not begin and end at bucket edges of the curve")
    return slice(first, last + 1)


def reconcile(quotes: Sequence[Quote], grid: Grid) -> tuple[tuple[Quote, ...], tuple[Contradiction, ...]]:
    """The quotes that one curve can meet, and the others with what contradicts them; give the kept ones to `build`.

    Shorter periods are believed before longer ones, then newer before older: months decide what a rounded quarter may say.
    """
    ranked = sorted(quotes, key=lambda quote: (quote.period.end_us - quote.period.start_us, -quote.as_of_us, quote.label()))
    volumes = grid.weights()
    rows = [_row(quote, grid, volumes) for quote in ranked]
    _, conflicts = _independent(np.array(rows), ranked) if ranked else ([], [])
    refused = {id(conflict.quote) for conflict in conflicts}
    return tuple(quote for quote in ranked if id(quote) not in refused), tuple(conflicts)


def _independent(rows: Floats, quotes: Sequence[Quote]) -> tuple[list[int], list[Contradiction]]:
    """Indices of rows (Q, B) that say something the earlier ones do not, and the quotes of the others that disagree with them.

    Gram-Schmidt with reorthogonalisation; the combination that implies a dependent row names the quotes in conflict.
    """
    prices = np.array([as_float(quote.price) for quote in quotes])
    kept: list[int] = []
    conflicts: list[Contradiction] = []
    basis = np.zeros((min(rows.shape), rows.shape[1]))
    for index, row in enumerate(rows):
        known = basis[: len(kept)]
        rest = row - (known @ row) @ known
        rest -= (known @ rest) @ known
        length = np.linalg.norm(rest)
        if len(kept) < len(basis) and length > DEPENDENCE * np.linalg.norm(row):
            basis[len(kept)] = rest / length
            kept.append(index)
            continue
        shares = np.linalg.lstsq(rows[kept].T, row, rcond=None)[0]
        implied = float(shares @ prices[kept])
        if abs(implied - prices[index]) > AGREEMENT * max(1.0, abs(implied)):
            against = tuple(quotes[kept[k]] for k in np.flatnonzero(np.abs(shares) > 1e-6))
            conflicts.append(Contradiction(quotes[index], against, implied))
    return kept, conflicts


def _require_one_market(quotes: Sequence[Quote], as_of_us: int) -> None:
    first = quotes[0]
    market = (first.product, first.place, first.currency, first.unit)
    for quote in quotes:
        if (quote.product, quote.place, quote.currency, quote.unit) != market:
            raise QuoteError(f"{quote.label()} is not of the same market as {first.label()}")
        if quote.as_of_us > as_of_us:
            raise QuoteError(f"{quote.label()}: observed after the as_of of the curve")


def _row(quote: Quote, grid: Grid, volumes: Floats) -> Floats:
    """The non-negative weights (B,) of one quote, sum one."""
    try:
        inside = covered(grid.buckets, quote.period)
    except MarketError as error:
        raise QuoteError(f"{quote.label()}: {error}") from error
    row = np.zeros(len(volumes))
    row[inside] = volumes[inside]
    if quote.profile is not Profile.BASE:
        if grid.peak is None:
            raise QuoteError(f"{quote.label()}: the grid has no peak hours; give hourly buckets with a peak mask")
        row[grid.peak if quote.profile is Profile.OFF_PEAK else ~grid.peak] = 0.0
    if not row.any():
        raise QuoteError(f"{quote.label()}: no bucket of the period has {quote.profile.value} hours")
    return np.asarray(row / row.sum())


def _smoothest(rows: Floats, prices: Floats, buckets: Sequence[Period], stiffness: float) -> Floats:
    """The level (B,) of least roughness with rows @ level = prices; rows (Q, B) independent."""
    totals = rows.sum(axis=1)
    mean = float(totals @ prices / (totals @ totals))
    level = np.full(rows.shape[1], mean)
    factor = cholesky_banded(_roughness(buckets, stiffness), lower=True)
    pulls = cho_solve_banded((factor, True), rows.T)
    schur = rows @ pulls
    for _ in range(REFINEMENTS):
        level += pulls @ np.linalg.lstsq(schur, prices - rows @ level, rcond=1e-15)[0]
    missed = np.abs(rows @ level - prices).max()
    if not missed <= AGREEMENT * max(1.0, float(np.abs(prices).max())):
        raise MarketError(
            f"the quotes are nearly dependent: one is missed by {missed:.3g}; leave out the least liquid of the overlapping ones"
        )
    return level


def _roughness(buckets: Sequence[Period], stiffness: float) -> Floats:
    """The penalty matrix in lower banded form (3, B)."""
    if not (np.isfinite(stiffness) and stiffness >= 0):
        raise MarketError(f"stiffness {stiffness} must be a finite number, not below zero")
    starts, ends = bounds(buckets)
    size = len(buckets)
    banded = np.zeros((3, size))
    banded[0] = RIDGE
    if size < 2:
        return banded
    gaps = np.diff((starts + ends) / 2.0)
    inverse = gaps.mean() / gaps  # first difference per mean step
    banded[0, :-1] += inverse**2
    banded[0, 1:] += inverse**2
    banded[1, :-1] -= inverse**2
    left, right = inverse[:-1], inverse[1:]
    middle = -(left + right)
    for offset, (one, other) in enumerate(((left, left), (left, middle), (left, right))):
        banded[offset, : size - 2] += stiffness * one * other
    for offset, (one, other) in enumerate(((middle, middle), (middle, right))):
        banded[offset, 1 : size - 1] += stiffness * one * other
    banded[0, 2:] += stiffness * right**2
    return banded
