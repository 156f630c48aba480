"""Supply-linked risk: what the desk may lose when assets deliver less and prices move, from ONE path set.

For P&L, VaR and ES of physical contracts on health-driven volumes with their financial hedges, split into price, volume and interaction,
and by unit, bucket and deal (sections 2.2(f) and 2.3 of the specification). Not for drawing paths (cloud/assets, cloud/market), nor for
choosing hedges (cloud/risk/hedge). Rules: losses are positive, L = reference - X with the reference stated in the result; VaR and ES as
in cloud/risk/measures; every variant uses the same scenarios; a contract that cannot be valued is listed and the rest is valued.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import hypot

import numpy as np

from cloud.risk import financial
from cloud.risk import supply_pnl as pnl
from cloud.risk.errors import Cause, Floats, RiskError
from cloud.risk.financial import Financial, Held
from cloud.risk.measures import Measured, expected_shortfall, measure, tail_weights, value_at_risk
from cloud.risk.supply_paths import PathSet, PriceModel, availability_factor, check_drivers, check_paths, prices
from cloud.risk.supply_terms import Commitment, Refusal, Stream, Terms, combine, unplaced


class Reference(StrEnum):
    """What a loss is measured against."""

    MEAN = "mean"  # L = E X - X, each variant against its own mean
    PLAN = "plan"  # L = X_plan - X, X_plan = P&L at forward prices and nameplate volumes


@dataclass(frozen=True, slots=True)
class Settings:
    """level: confidence of VaR and ES. rho_pv, jump: what the run itself uses; rhos, jumps: what the sensitivity report tries."""

    level: float = 0.99
    reference: Reference = Reference.MEAN
    rho_pv: float = 0.0
    jump: float = 0.0
    rhos: tuple[float, ...] = (-0.5, -0.25, 0.0, 0.25)
    jumps: tuple[float, ...] = (0.0, 0.1, 0.25, 0.5)


@dataclass(frozen=True, slots=True)
class Split:
    """VaR with W at its mean (price), with P at F (volume), with both (joint); interaction = joint - sqrt(price^2 + volume^2)."""

    price: float
    volume: float
    joint: float

    @property
    def interaction(self) -> float:
        return self.joint - hypot(self.price, self.volume)


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Joint VaR and ES of the run with one parameter changed."""

    parameter: str  # "rho_PV" or "J"
    value: float
    var: float
    es: float


@dataclass(frozen=True, slots=True)
class Components:
    """Shares of ES, E[-(X_i - reference_i) | L >= VaR]; each member adds up to it. Negative: it hedges.

    unit: by name; "commitment <stream>" is the obligation without any delivery, "financial" everything financial.
    deal: by id, "uncommitted <stream>" and "hedges <product>". bucket (b,): in order of the buckets.
    """

    unit: Mapping[str, float]
    deal: Mapping[str, float]
    bucket: Floats


@dataclass(frozen=True, slots=True)
class SupplyRisk:
    """The result. pnl (S,) and prices (S, p) by product are the paths themselves, for hedges and evidence."""

    settings: Settings
    expected: float
    plan: float
    measured: Measured
    split: Split
    components: Components
    sensitivities: tuple[Sensitivity, ...]
    refused: tuple[Refusal, ...]
    pnl: Floats = field(repr=False)
    prices: Mapping[str, Floats] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Book:
    """Contracts, streams and financial positions ready to be valued on a path set."""

    paths: PathSet
    settings: Settings
    grid: pnl.Grid
    streams: tuple[Stream, ...]
    terms: tuple[Terms, ...]
    financial: Mapping[str, Held]
    refused: tuple[Refusal, ...]

    @property
    def products(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*(stream.product for stream in self.streams), *self.financial]))


def prepare(
    paths: PathSet,
    streams: Sequence[Stream],
    commitments: Sequence[Commitment],
    hedges: Mapping[str, Floats] | None = None,
    settings: Settings | None = None,
    positions: Sequence[Financial] = (),
) -> Book:
    """Sort out what can be valued. hedges (p,) by product: forwards held at F, plus = bought; positions: other financial ones. Raises RiskError when the volumes themselves are unusable; anything less is listed in `refused`."""
    check_paths(paths)
    grid = pnl.Grid(paths.period, int(paths.period.max()) + 1, paths.discount)
    refused: list[Refusal] = []
    causes = {item: _price_fault(paths, grid, item) for item in _products(streams, hedges or {}, positions)}
    named = {stream.name: stream for stream in streams}
    refused += unplaced(named, commitments)
    kept, terms = [], []
    for stream in streams:
        mine = [item for item in commitments if item.stream == stream.name]
        if fault := causes[stream.product]:
            names = [item.deal_id for item in mine] or [f"uncommitted {stream.name}"]
            refused += [Refusal(name, fault.cause, str(fault)) for name in names]
            continue
        found, bad = combine(stream, mine, grid.period.size)
        refused += bad
        kept.append(stream)
        terms.append(found)
    held = []
    for position in [*positions, *(_forwards(paths, grid, product, volume) for product, volume in (hedges or {}).items())]:
        fault = causes[position.product]
        try:
            if fault is None:
                position.check(grid.periods)
                held.append(position)
        except RiskError as error:
            fault = error
        if fault is not None:
            refused.append(Refusal(position.deal_id, fault.cause, str(fault)))
    return Book(paths, settings or Settings(), grid, tuple(kept), tuple(terms), financial.hold(held, grid.periods), tuple(refused))


def _products(streams: Sequence[Stream], hedges: Mapping[str, Floats], positions: Sequence[Financial]) -> list[str]:
    return list(dict.fromkeys([*(stream.product for stream in streams), *hedges, *(one.product for one in positions)]))


def _forwards(paths: PathSet, grid: pnl.Grid, product: str, volume: Floats) -> Financial:
    drivers = paths.prices.get(product)
    at = np.zeros(grid.periods) if drivers is None else drivers.forward[: grid.periods]
    return Financial(f"hedges {product}", product, np.asarray(volume, np.float64), at)


def assess(book: Book) -> SupplyRisk:
    """Everything section 2.3 asks for, on the book's paths."""
    settings, level = book.settings, book.settings.level
    found = [pnl.volumes(book.paths, stream, terms.q.sum(axis=0)) for stream, terms in zip(book.streams, book.terms, strict=True)]
    sums = _totals(book, found)
    factor = _factor(book) if settings.rho_pv or any(settings.rhos) else None
    spot = _prices(book, found, factor, settings.rho_pv, settings.jump)
    x, plan = _pnl(book, sums, spot), plan_of(book)
    losses = _losses(x, plan, settings)
    sensitivities = [
        _sensitivity(book, found, sums, factor, plan, name, value)
        for name, values in (("rho_PV", settings.rhos), ("J", settings.jumps))
        for value in values
    ]
    return SupplyRisk(
        settings,
        float(x.mean()),
        plan,
        measure(losses, level),
        _split(book, found, sums, spot, plan, losses),
        _components(book, found, spot, tail_weights(losses, level)),
        tuple(sensitivities),
        book.refused,
        x,
        spot,
    )


def joint_losses(book: Book, delivered: Floats | None = None) -> Floats:
    """L (S,) of the whole book, with other delivered volumes (S, b, u) on the same scenarios when given."""
    found = [
        pnl.volumes(book.paths, stream, terms.q.sum(axis=0), delivered) for stream, terms in zip(book.streams, book.terms, strict=True)
    ]
    factor = _factor(book) if book.settings.rho_pv else None
    spot = _prices(book, found, factor, book.settings.rho_pv, book.settings.jump)
    return _losses(_pnl(book, _totals(book, found), spot), plan_of(book), book.settings)


def by_bucket(book: Book, stream: int, scenario: int, spot: Mapping[str, Floats]) -> Floats:
    """P&L (n + 1, b) of each contract of one stream in one scenario, bucket by bucket: 2.2(f) without any mean, for drill-down."""
    weights = np.zeros(book.paths.delivered.shape[0])
    weights[scenario] = 1.0
    chosen, terms = book.streams[stream], book.terms[stream]
    found = pnl.volumes(book.paths, chosen, terms.q.sum(axis=0))
    return pnl.by_contract(chosen, terms, book.grid, pnl.means(book.grid, found, spot[chosen.product], weights))


def relative_var(book: Book, product: str, level: float) -> Floats:
    """VaR (p,) of the price as a share of the forward. Raises RiskError where the price can be <= 0: a share of it means nothing."""
    drivers = book.paths.prices[product]
    spot = prices(drivers)
    if drivers.model is PriceModel.NORMAL or float(spot.min()) <= 0:
        raise RiskError(Cause.FORWARD_NOT_POSITIVE, f"relative VaR of {product}, whose price can be <= 0, is refused", float(spot.min()))
    return np.array([value_at_risk(1.0 - column / forward, level) for column, forward in zip(spot.T, drivers.forward, strict=True)])


def _price_fault(paths: PathSet, grid: pnl.Grid, product: str) -> RiskError | None:
    drivers = paths.prices.get(product)
    if drivers is None:
        return RiskError(Cause.NO_DATA, f"no prices of {product}")
    try:
        check_drivers(product, drivers, paths.delivered.shape[0], grid.periods)
    except RiskError as error:
        return error
    return None


def _totals(book: Book, found: Sequence[pnl.Volumes]) -> list[pnl.Totals]:
    return [pnl.totals(stream, terms, book.grid, own) for stream, terms, own in zip(book.streams, book.terms, found, strict=True)]


def _factor(book: Book) -> Floats:
    held = book.paths.availability
    return availability_factor(book.paths.delivered) if held is None else held


def _prices(book: Book, found: Sequence[pnl.Volumes], factor: Floats | None, rho: float, jump: float) -> dict[str, Floats]:
    spot = {}
    for product in book.products:
        outage = _outage(book, found, product) if jump else None
        spot[product] = prices(book.paths.prices[product], factor, rho, outage, jump)[:, : book.grid.periods]
    return spot


def _outage(book: Book, found: Sequence[pnl.Volumes], product: str) -> Floats:
    """Share (S, p) of the nameplate of the product's streams that is not delivered."""
    mine = [(stream, own) for stream, own in zip(book.streams, found, strict=True) if stream.product == product]
    planned = sum((book.paths.nameplate[:, list(stream.units)].sum(axis=1) for stream, _ in mine), np.zeros(book.grid.period.size))
    delivered = sum((own.w for _, own in mine), np.zeros((1, book.grid.period.size)))
    plan = book.grid.by_period(planned[None, :])
    lost = np.clip(plan - book.grid.by_period(np.asarray(delivered)), 0.0, None)
    share: Floats = np.divide(lost, plan, out=np.zeros_like(lost), where=plan > 0)
    missing = book.paths.prices[product].forward.size - book.grid.periods
    return np.pad(share, ((0, 0), (0, missing)))


def _pnl(book: Book, sums: Sequence[pnl.Totals], spot: Mapping[str, Floats]) -> Floats:
    x = np.zeros(book.paths.delivered.shape[0])
    for stream, own in zip(book.streams, sums, strict=True):
        x += own.pnl(spot[stream.product])
    x += financial.total(book.financial, spot)
    return x


def _forward(book: Book, product: str) -> Floats:
    return book.paths.prices[product].forward[: book.grid.periods]


def _forwards_of(book: Book) -> dict[str, Floats]:
    return {product: _forward(book, product) for product in book.products}


def _at(book: Book, by_unit: Floats) -> list[pnl.Volumes]:
    """Every stream with one given set of volumes (b, u)."""
    pairs = zip(book.streams, book.terms, strict=True)
    return [pnl.planned(book.paths, stream, terms.q.sum(axis=0), by_unit) for stream, terms in pairs]


def plan_of(book: Book) -> float:
    """P&L at forward prices and nameplate volumes."""
    sums = _totals(book, _at(book, book.paths.nameplate))
    planned = sum(float(own.pnl(_forward(book, stream.product))[0]) for stream, own in zip(book.streams, sums, strict=True))
    return planned + float(financial.total(book.financial, _forwards_of(book)))


def _losses(x: Floats, plan: float, settings: Settings) -> Floats:
    return (float(x.mean()) if settings.reference is Reference.MEAN else plan) - x


def _split(
    book: Book, found: Sequence[pnl.Volumes], sums: Sequence[pnl.Totals], spot: Mapping[str, Floats], plan: float, losses: Floats
) -> Split:
    """W at its mean over scenarios; P at F."""
    settings = book.settings
    scenarios = book.paths.delivered.shape[0]
    volume_only, price_only = np.zeros(scenarios), np.zeros(scenarios)
    for stream, terms, own, total in zip(book.streams, book.terms, found, sums, strict=True):
        volume_only += total.pnl(_forward(book, stream.product))
        w, v = own.w.mean(axis=0, keepdims=True), own.v.mean(axis=0, keepdims=True)
        event = None if own.fm is None else own.fm.mean(axis=0, keepdims=True)
        middle = pnl.Volumes(own.by_unit[:1], w, np.maximum(terms.q.sum(axis=0) - w, 0.0), v, event)
        mean = pnl.totals(stream, terms, book.grid, middle)
        price_only += mean.fixed[0] + spot[stream.product] @ mean.per_price[0]
    price_only += financial.total(book.financial, spot)
    volume_only += financial.total(book.financial, _forwards_of(book))
    price_var, volume_var = (value_at_risk(_losses(x, plan, settings), settings.level) for x in (price_only, volume_only))
    return Split(price_var, volume_var, value_at_risk(losses, settings.level))


def _sensitivity(
    book: Book,
    found: Sequence[pnl.Volumes],
    sums: Sequence[pnl.Totals],
    factor: Floats | None,
    plan: float,
    name: str,
    value: float,
) -> Sensitivity:
    settings = book.settings
    rho, jump = (value, settings.jump) if name == "rho_PV" else (settings.rho_pv, value)
    losses = _losses(_pnl(book, sums, _prices(book, found, factor, rho, jump)), plan, settings)
    return Sensitivity(name, value, value_at_risk(losses, settings.level), expected_shortfall(losses, settings.level))


def _components(book: Book, found: Sequence[pnl.Volumes], spot: Mapping[str, Floats], tail: Floats) -> Components:
    """Reference less tail mean of every part; both are means of the same linear parts, so they add up by construction."""
    even = np.full(tail.size, 1.0 / tail.size)
    settled = book.settings.reference is Reference.PLAN
    unit: dict[str, float] = dict.fromkeys(book.paths.units, 0.0)
    deal: dict[str, float] = {}
    bucket = np.zeros(book.grid.period.size)
    plans = _at(book, book.paths.nameplate) if settled else found
    for stream, terms, own, plan in zip(book.streams, book.terms, found, plans, strict=True):
        base = (plan, _forward(book, stream.product), np.ones(1)) if settled else (own, spot[stream.product], even)
        sides = (base, (own, spot[stream.product], tail))
        before, after = (pnl.by_contract(stream, terms, book.grid, pnl.means(book.grid, *side)) for side in sides)
        lost = before - after
        bucket += lost.sum(axis=0)
        for name, value in zip((*terms.deal_ids, f"uncommitted {stream.name}"), lost.sum(axis=1), strict=True):
            deal[name] = deal.get(name, 0.0) + float(value)
        normal, bad = (pnl.by_unit(stream, terms, book.grid, *side) for side in sides)
        for index in stream.units:
            unit[book.paths.units[index]] += float(normal[index] - bad[index])
        unit[f"commitment {stream.name}"] = float(lost.sum() - (normal - bad).sum())
    by_period = np.zeros(book.grid.periods)
    for product, held in book.financial.items():
        expected = held.mean(_forward(book, product)[None], np.ones(1)) if settled else held.mean(spot[product], even)
        lost = expected - held.mean(spot[product], tail)
        by_period += lost.sum(axis=0)
        for name, value in zip(held.names, lost.sum(axis=1), strict=True):
            deal[name] = deal.get(name, 0.0) + float(value)
    unit["financial"] = float(by_period.sum())
    return Components(unit, deal, bucket + _to_buckets(book.grid, by_period))


def _to_buckets(grid: pnl.Grid, by_period: Floats) -> Floats:
    """A period's amount in equal parts to its buckets."""
    return np.asarray((by_period / np.maximum(np.bincount(grid.period, minlength=grid.periods), 1))[grid.period])
