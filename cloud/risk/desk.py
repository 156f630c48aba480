"""A desk's run: streams' volume paths, deals and quotes become one book, one path set and one result.

For what the trader reads: VaR, ES, split, components, sensitivities, data-quality add-on, hedge (`desk_detail` has what takes longer). Pure: the same snapshot and seed give the same bits. Not for where volumes come from (cloud/assets) nor for storing.
Rules: what cannot be priced is refused by name beside the rest; prices and volumes are drawn from different random streams of one seed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cloud.market import curves, factors, quotes
from cloud.market.errors import MarketError
from cloud.market.factors import Kind
from cloud.market.periods import DAY_US, YEAR_US, Granularity, Period, split
from cloud.market.quotes import Quote
from cloud.risk import hedge, supply, supply_health
from cloud.risk.errors import Cause, Floats, RiskError
from cloud.risk.hedge import Hedge
from cloud.risk.obligations import Grid, Obligations, Outlet, obligations
from cloud.risk.settings import DeskSettings, day_start_us
from cloud.risk.supply import Book, Reference, Settings, SupplyRisk
from cloud.risk.supply_health import QualityAddOn
from cloud.risk.supply_paths import PathSet, PriceDrivers, PriceModel
from cloud.risk.supply_terms import Refusal, Stream
from cloud.trading.deals import Calendars, Deal

PRICE_SHOCKS: Final = 10  # the random stream of prices; volumes use lower numbers of the same seed


@dataclass(frozen=True, slots=True)
class StreamPaths:
    """One stream's volumes per day bucket: delivered, certain (S, b, u), nameplate (b, u). certain: as if all telemetry were good.

    unit: of volume ("bbl"); cost: money per unit produced.
    """

    name: str
    product: str
    place: str
    unit: str
    units: tuple[str, ...]
    delivered: Floats
    certain: Floats
    nameplate: Floats
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class Desk:
    """What a run needs besides volumes. quotes: all that are known; as_of_us decides which may be used."""

    settings: DeskSettings
    deals: tuple[Deal, ...]
    calendars: Calendars
    quotes: tuple[Quote, ...]


@dataclass(frozen=True, slots=True)
class Prices:
    """Forward (p,) by product with the months it covers, and what could not be built."""

    months: tuple[Period, ...]
    forward: Mapping[str, Floats]
    unit: Mapping[str, str]
    refused: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True)
class Valued:
    """The whole result. hedge is None when no price moves."""

    book: Book = field(repr=False)
    grid: Grid = field(repr=False)
    prices: Prices
    obligations: Obligations = field(repr=False)
    risk: SupplyRisk
    quality: QualityAddOn
    hedge: Hedge | None
    hedged: tuple[tuple[str, int], ...]
    refused: tuple[Refusal, ...]


def horizon(settings: DeskSettings, as_of_us: int) -> NDArray[np.int64]:
    """Edges (days + 1,) of the run's day buckets, from the UTC day of the as-of."""
    start = day_start_us(as_of_us)
    return np.arange(start, start + (settings.days + 1) * DAY_US, DAY_US, dtype=np.int64)


def value(desk: Desk, streams: Sequence[StreamPaths], as_of_us: int) -> Valued:
    """Everything the desk sees at once. Raises RiskError when volumes are unusable or nothing at all can be valued."""
    settings = desk.settings
    edges = horizon(settings, as_of_us)
    grid, months = _grid(edges, as_of_us, settings.discount_rate)
    prices = forward_prices(desk, months, as_of_us)
    placed = tuple(stream for stream in streams if prices.unit.get(stream.product, stream.unit) == stream.unit)
    odd = [_wrong_unit(stream, prices) for stream in streams if stream not in placed]
    if not placed:
        raise RiskError(Cause.NO_DATA, "no stream can be valued" + "".join(f"; {refusal.detail}" for refusal in odd))
    outlets = [Outlet(stream.name, stream.product, stream.place, stream.unit) for stream in placed]
    owed = obligations(desk.deals, desk.calendars, outlets, settings.currency, grid)
    paths, own = _paths(settings, placed, grid, prices, as_of_us)
    book = supply.prepare(paths, own, owed.commitments, settings=_run(settings), positions=owed.positions)
    if not book.streams and not book.financial:
        raise RiskError(Cause.NO_DATA, "nothing can be valued: " + "; ".join(str(one.detail) for one in (*prices.refused, *book.refused)))
    risk = supply.assess(book)
    certain = np.concatenate([stream.certain for stream in placed], axis=2)
    quality = supply_health.quality_add_on(book, certain)
    found, hedged = _min_variance(book, risk)
    refused = (*prices.refused, *odd, *owed.refused, *book.refused)
    return Valued(book, grid, prices, owed, risk, quality, found, hedged, refused)


def forward_prices(desk: Desk, months: tuple[Period, ...], as_of_us: int) -> Prices:
    """A monthly curve for every product of the settings that has usable quotes without contradiction; the others are named."""
    settings = desk.settings
    usable, _ = quotes.usable(
        quotes.latest(quote for quote in desk.quotes if quote.as_of_us <= as_of_us), as_of_us, settings.max_quote_age_s * 1_000_000
    )
    forward: dict[str, Floats] = {}
    unit: dict[str, str] = {}
    refused: list[Refusal] = []
    for product in settings.products:
        mine = [quote for quote in usable if quote.product == product.name]
        try:
            curve = _curve(product.name, settings, mine, months, as_of_us)
        except (MarketError, RiskError) as error:
            refused.append(Refusal(f"prices of {product.name}", Cause.NO_DATA, str(error)))
            continue
        forward[product.name] = np.array([curve.price(month) for month in months])
        unit[product.name] = curve.unit
    return Prices(months, forward, unit, tuple(refused))


def _curve(product: str, settings: DeskSettings, mine: Sequence[Quote], months: tuple[Period, ...], as_of_us: int) -> curves.Curve:
    if not mine:
        raise RiskError(Cause.NO_DATA, f"no usable quote of {product} (none newer than {settings.max_quote_age_s} s)")
    if {quote.currency for quote in mine} != {settings.currency}:
        raise RiskError(Cause.NOT_VALID, f"quotes of {product} are not all in {settings.currency}")
    first = min(months[0].start_us, *(quote.period.start_us for quote in mine))
    last = max(months[-1].end_us, *(quote.period.end_us for quote in mine))
    return curves.build(mine, curves.Grid(split(Period(first, last), Granularity.MONTH)), as_of_us)


def _grid(edges: NDArray[np.int64], as_of_us: int, rate: float) -> tuple[Grid, tuple[Period, ...]]:
    """Day buckets with their calendar month, and the whole months they touch."""
    month = edges[:-1].astype("datetime64[us]").astype("datetime64[M]")
    wanted = np.unique(month)
    starts = np.append(wanted, wanted[-1] + 1).astype("datetime64[us]").astype(np.int64)
    months = tuple(Period(int(start), int(end)) for start, end in pairwise(starts))
    years = (edges[:-1] + DAY_US // 2 - as_of_us) / YEAR_US
    return Grid(edges, np.searchsorted(wanted, month).astype(np.int64), np.exp(-rate * np.maximum(years, 0.0))), months


def _paths(
    settings: DeskSettings, streams: Sequence[StreamPaths], grid: Grid, prices: Prices, as_of_us: int
) -> tuple[PathSet, list[Stream]]:
    drivers = _drivers(settings, grid, prices, as_of_us, streams[0].delivered.shape[0])
    own, at = [], 0
    for stream in streams:
        own.append(Stream(stream.name, stream.product, tuple(range(at, at + len(stream.units))), stream.cost))
        at += len(stream.units)
    names = tuple(name for stream in streams for name in stream.units)
    delivered, nameplate = (
        np.concatenate(parts, axis=-1) for parts in zip(*((stream.delivered, stream.nameplate) for stream in streams), strict=True)
    )
    return PathSet(names, delivered, nameplate, grid.period, grid.discount, drivers), own


def _drivers(settings: DeskSettings, grid: Grid, prices: Prices, as_of_us: int, scenarios: int) -> dict[str, PriceDrivers]:
    """Prices are seen in the middle of what is left of their month; one set of factor paths for all products."""
    moved = settings.factors()
    middle = np.array([grid.edges_us[:-1][grid.period == index].mean() + DAY_US / 2 for index in range(grid.periods)])
    years = np.maximum((middle - as_of_us) / YEAR_US, 0.0)
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(settings.seed, spawn_key=(PRICE_SHOCKS,))))
    values = factors.simulate(moved, years, factors.normals(moved, grid.periods, scenarios, rng))
    drivers = {}
    for index, product in enumerate(settings.products):
        if product.name not in prices.forward:
            continue
        sd = moved.volatility[index] * np.sqrt(years)
        shocks = np.divide(values[index], sd, out=np.zeros_like(values[index]), where=sd > 0)
        model = PriceModel.LOGNORMAL if product.kind is Kind.LOGNORMAL else PriceModel.NORMAL
        drivers[product.name] = PriceDrivers(prices.forward[product.name], sd, shocks, model)
    return drivers


def _run(settings: DeskSettings) -> Settings:
    return Settings(settings.level, Reference(settings.reference), settings.rho_pv, settings.jump)


def _wrong_unit(stream: StreamPaths, prices: Prices) -> Refusal:
    return Refusal(
        f"stream {stream.name}", Cause.NOT_VALID, f"{stream.name} is in {stream.unit}, {stream.product} in {prices.unit[stream.product]}"
    )


def _min_variance(book: Book, risk: SupplyRisk) -> tuple[Hedge | None, tuple[tuple[str, int], ...]]:
    """Forwards of every product and month that moves."""
    names, spot, forward = movable(book, risk)
    if not names:
        return None, ()
    return hedge.min_variance_hedge(risk.pnl, spot, forward, book.settings.level), names


def movable(book: Book, risk: SupplyRisk) -> tuple[tuple[tuple[str, int], ...], Floats, Floats]:
    """(product, month) of every price that moves, its paths (S, k) and forwards (k,)."""
    names, columns, forward = [], [], []
    for product, spot in risk.prices.items():
        drivers = book.paths.prices[product]
        for period in range(spot.shape[1]):
            if drivers.sd[period] > 0:
                names.append((product, period))
                columns.append(spot[:, period])
                forward.append(drivers.forward[period])
    return tuple(names), np.column_stack(columns) if columns else np.zeros((risk.pnl.size, 0)), np.array(forward)
