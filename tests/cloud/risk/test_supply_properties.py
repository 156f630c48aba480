"""Five properties from asset model to VaR, over random models and books. Each lives where it is decided, and once more here from end to end:

hazard 0 gives the price-only VaR            here; volumes alone: assets/test_outlook, test_forecast; one book: test_supply
hazard to infinity gives the short forward   here; volumes alone: assets/test_outlook, test_forecast; one book: test_supply
more degradation: no more volume, no less VaR of a seller
                                             here with the forecast's own outages; 200 random books on thinned volumes:
                                             test_supply_health; volumes alone: assets/test_outlook, test_forecast
components add up to ES by unit, bucket, deal
                                             here; fixed seeds, options and the desk's run: test_supply, test_financial, test_desk
bad data never lowers health                 assets/test_health by tick, assets/test_assess from samples; what it does to VaR:
                                             here (a wider level never makes the certain volumes another), test_supply_health
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.assets.assess import AssetHealth, prior_wear
from cloud.assets.model import Model
from cloud.assets.outages import Draws
from cloud.assets.outlook import Horizon, StreamOutlook, foresee
from cloud.risk.measures import expected_shortfall, value_at_risk
from cloud.risk.supply import Book, Reference, Settings, assess, joint_losses, prepare
from cloud.risk.supply_paths import PathSet, PriceDrivers, PriceModel
from cloud.risk.supply_terms import Commitment, Stream
from cloud.trading.deals import ShortfallRule
from tests.cloud.assets.wells import START_US, wells

SCENARIOS, DAYS, LEVEL = 300, 30, 0.95
RUNS = {reference: Settings(LEVEL, reference, rhos=(), jumps=()) for reference in Reference}


@dataclass(frozen=True, slots=True)
class Case:
    """A model of `count` wells with their nameplates, the terms of some sales, prices, and the seed of all random numbers."""

    kind: str
    nameplates: tuple[float, ...]
    sales: tuple[dict[str, Any], ...]
    forward: tuple[float, float]
    volatility: float
    seed: int

    @property
    def model(self) -> Model:
        made = wells(len(self.nameplates), self.kind)
        assets = tuple(replace(asset, nameplate=own) for asset, own in zip(made.assets, self.nameplates, strict=True))
        streams = tuple(replace(stream, assets=assets) for stream in made.streams)
        return replace(made, assets=assets, streams=streams)

    def outlook(self, model: Model, healths: tuple[AssetHealth, ...] = (), days_in_bucket: int = 1, **changes: Any) -> StreamOutlook:
        horizon = Horizon(START_US, DAYS, days_in_bucket)
        return foresee(model, "oil", healths, horizon, Draws(self.seed, SCENARIOS), **changes)

    def book(
        self, found: StreamOutlook, reference: Reference = Reference.MEAN, sales: tuple[dict[str, Any], ...] = (), **more: Any
    ) -> Book:
        """Two price periods, as far as there are buckets."""
        buckets = found.delivered.shape[1]
        rng, period = np.random.default_rng(self.seed), np.arange(buckets) * 2 // max(buckets, 2)
        count = int(period.max()) + 1
        shocks = rng.standard_normal((SCENARIOS, count))
        drivers = PriceDrivers(np.array(self.forward[:count]), np.full(count, self.volatility), shocks, PriceModel.LOGNORMAL)
        paths = PathSet(found.units, found.delivered, found.nameplate, period, np.linspace(1.0, 0.97, buckets), {"crude": drivers})
        own = [_sale(found, at, terms) for at, terms in enumerate(sales or self.sales)]
        stream = Stream("oil", "crude", tuple(range(len(found.units))))
        return prepare(paths, [stream], own, settings=RUNS[reference], **more)


def _sale(found: StreamOutlook, at: int, terms: dict[str, Any]) -> Commitment:
    made = {name: value for name, value in terms.items() if name != "share"}
    return Commitment(f"D{at}", "oil", terms["share"] * found.nameplate.sum(axis=1), **made)


def without_hazard(model: Model) -> Model:
    return _failing(model, clock=0.0, drift=0.0, diffusion=0.0)


def _failing(model: Model, **changes: Any) -> Model:
    return replace(model, classes=tuple(replace(kind, failure=replace(kind.failure, **changes)) for kind in model.classes))


def sound(model: Model, level: float = 0.0, level_sd: float = 0.0, trust: float = 1.0) -> tuple[AssetHealth, ...]:
    """Every well at one level of degradation, wearing as its class says."""
    return tuple(
        AssetHealth(asset.name, 1 - level, 0.0, 1.0, "good", trust, 0.0, (), (), level, level_sd, prior_wear(model.class_of(asset).failure))
        for asset in model.assets
    )


SALE = st.fixed_dictionaries(
    {
        "share": st.floats(0.05, 1.2),
        "price": st.floats(0, 150),
        "indexed": st.booleans(),
        "penalty": st.floats(0, 1),
        "fee": st.floats(0, 5),
        "rule": st.sampled_from(ShortfallRule),
    }
)
CASES = st.builds(
    Case,
    st.sampled_from(["parallel", "series"]),
    st.lists(st.floats(10, 2000), min_size=1, max_size=4).map(tuple),
    st.lists(SALE, min_size=1, max_size=4).map(tuple),
    st.tuples(st.floats(20, 120), st.floats(20, 120)),
    st.floats(0.05, 0.6),
    st.integers(0, 2**32 - 1),
)
PARALLEL = CASES.map(lambda case: replace(case, kind="parallel"))


@settings(max_examples=30, deadline=None)
@given(CASES, st.sampled_from(Reference))
def test_hazard_zero_gives_the_price_only_var(case: Case, reference: Reference) -> None:
    model = without_hazard(case.model)
    found = case.outlook(model, sound(model))
    result = assess(case.book(found, reference))
    scale = 1e-9 * (abs(result.plan) + 1.0)
    np.testing.assert_allclose(found.delivered, np.broadcast_to(found.nameplate, found.delivered.shape), rtol=1e-12)
    assert result.split.joint == pytest.approx(result.split.price, rel=1e-9, abs=scale)
    assert result.split.volume == pytest.approx(0.0, abs=scale)
    assert result.split.interaction == pytest.approx(0.0, abs=2 * scale)


@settings(max_examples=30, deadline=None)
@given(CASES)
def test_hazard_to_infinity_gives_the_short_forward_of_one_plus_penalty(case: Case) -> None:
    """A seller who delivers nothing buys (1 + penalty) of what is owed at the market; what the buyer pays for it is fixed, or one of it at the
    market again where the price is an index."""
    sales = tuple({**terms, "rule": ShortfallRule.BUY_BACK} for terms in case.sales)
    model = _failing(case.model, clock=np.inf)
    book = case.book(case.outlook(model, sound(model)), sales=sales)
    result = assess(book)
    owed = np.array([terms["share"] for terms in sales])[:, None] * book.paths.nameplate.sum(axis=1) * book.grid.discount
    short = np.array([1 + terms["penalty"] - terms["indexed"] for terms in sales]) @ owed
    spot = result.prices["crude"]
    forward = -np.stack([spot[:, at] for at in book.grid.period], axis=1) @ short
    assert result.split.joint == pytest.approx(value_at_risk(forward.mean() - forward, LEVEL), rel=1e-9, abs=1e-6)
    assert result.split.joint == pytest.approx(result.split.price, rel=1e-9, abs=1e-6)


def test_var_goes_to_the_short_forward_as_hazard_grows() -> None:
    sales = ({"share": 0.9, "price": 80.0, "penalty": 0.25},)
    case = Case("parallel", (1000.0, 500.0), sales, (80.0, 82.0), 0.3, 7)
    models = [_failing(case.model, clock=rate) for rate in (0.1, 1.0, 10.0, 50.0, np.inf)]
    found = [assess(case.book(case.outlook(model, sound(model)))).split.joint for model in models]
    away = np.abs(np.array(found) - found[-1]) / found[-1]
    assert away[0] > 0.1
    assert away[-2] < 0.02 < away[1]


@settings(max_examples=200, deadline=None)
@given(PARALLEL, st.floats(0.3, 0.79), st.floats(0.05, 0.5), st.integers(0, 3))
def test_more_degradation_never_raises_volume_nor_lowers_a_sellers_var(case: Case, level: float, more: float, unit: int) -> None:
    """With the forecast's own outages: in each path the wells have been up no longer at the end, so over one bucket the seller has no more to
    deliver. By the day this holds in the mean only: what fails sooner is repaired sooner."""
    model = case.model
    name = model.assets[unit % len(model.assets)].name
    healths = sound(model, level)
    now, worse = (case.outlook(model, healths, DAYS, worse=(name, step)) for step in (0.0, more))
    assert np.all(worse.total <= now.total * (1 + 1e-9))
    assert worse.expected.sum() <= now.expected.sum() * (1 + 1e-9)
    losses = [joint_losses(case.book(found, Reference.PLAN)) for found in (now, worse)]
    slack = 1e-9 * (np.abs(losses[0]).max() + 1.0)
    assert value_at_risk(losses[1], LEVEL) >= value_at_risk(losses[0], LEVEL) - slack
    assert expected_shortfall(losses[1], LEVEL) >= expected_shortfall(losses[0], LEVEL) - slack


@settings(max_examples=40, deadline=None)
@given(CASES, st.sampled_from(Reference), st.floats(0, 0.7), st.lists(st.floats(-5000, 5000), min_size=2, max_size=2))
def test_components_add_up_to_es_by_unit_bucket_and_deal(case: Case, reference: Reference, level: float, held: list[float]) -> None:
    model = case.model
    book = case.book(case.outlook(model, sound(model, level)), reference, hedges={"crude": np.array(held)})
    result = assess(book)
    es = expected_shortfall(joint_losses(book), LEVEL)
    scale = 1e-9 * (np.abs(result.pnl).max() + abs(result.plan) + 1.0)
    parts = result.components
    assert result.measured.es == pytest.approx(es, rel=1e-9, abs=scale)
    for total in (sum(parts.unit.values()), sum(parts.deal.values()), float(parts.bucket.sum())):
        assert total == pytest.approx(es, rel=1e-9, abs=scale)


@settings(max_examples=25, deadline=None)
@given(CASES, st.floats(0, 0.7), st.floats(0.02, 0.25), st.floats(0, 1))
def test_bad_data_leaves_the_certain_volumes_as_they_are(case: Case, level: float, wider: float, trust: float) -> None:
    """What bad data does to health is a wider level and less trust; the run with certain data, which the add-on is measured from, ignores it."""
    model = case.model
    known, bad = sound(model, level, 0.01), sound(model, level, wider, trust)
    one, two = (case.outlook(model, healths, certain=True) for healths in (known, bad))
    assert one.digest == two.digest
