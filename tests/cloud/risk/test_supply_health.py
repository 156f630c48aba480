"""Monotone in degradation with common random numbers; repair and data quality (sections 2.3 and 2.5 of the specification)."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from cloud.risk.errors import RiskError
from cloud.risk.measures import value_at_risk
from cloud.risk.supply import Book, joint_losses, prepare
from cloud.risk.supply_health import Variant, health_delta, quality_add_on
from cloud.risk.supply_paths import PathSet, PriceDrivers
from cloud.risk.supply_terms import Stream, combine, commitment
from cloud.trading.deals import ContractTerms, Granularity, IndexPrice, Price, Quantity, ShortfallRule
from cloud.trading.schedules import buckets
from tests.cloud.risk.supply_books import PLANNED, book, paths, sale, whole
from tests.cloud.trading.agreements import deal, leg


def random_book(seed: int) -> tuple[Book, Variant]:
    """A random book of sales, and one unit on the same uniforms with a higher and with no failure rate."""
    rng = np.random.default_rng(seed)
    scenarios, size, units = 400, int(rng.integers(1, 8)), int(rng.integers(1, 5))
    nameplate = rng.uniform(10, 200, (size, units))
    chance, luck = rng.uniform(0, 0.5), rng.random((scenarios, size, units))
    drivers = PriceDrivers(rng.uniform(20, 120, size), rng.uniform(0, 0.6, size), rng.standard_normal((scenarios, size)))
    names = tuple(f"U{index}" for index in range(units))
    found = PathSet(names, nameplate * (luck >= chance), nameplate, np.arange(size), np.ones(size), {"oil": drivers})
    deals = [
        sale(
            found,
            f"D{index}",
            rng.uniform(0, 0.8),
            price=rng.uniform(0, 150),
            indexed=bool(rng.integers(2)),
            penalty=rng.uniform(0, 1),
            fee=rng.uniform(0, 5),
            rule=ShortfallRule.BUY_BACK if rng.integers(2) else ShortfallRule.PENALTY,
        )
        for index in range(int(rng.integers(1, 4)))
    ]
    mine = nameplate[:, 0]
    variant = Variant("U0", 0.2, mine * (luck[:, :, 0] >= chance + 0.2), mine * np.ones((scenarios, 1)))
    return prepare(found, [whole(found)], deals, settings=PLANNED), variant


def test_more_degradation_never_lowers_the_var_of_a_seller_in_200_random_books() -> None:
    for seed in range(200):
        made, variant = random_book(seed)
        assert variant.worse.mean() <= made.paths.delivered[:, :, 0].mean() <= variant.repaired.mean()
        found = health_delta(made, variant)
        tolerance = 1e-9 * abs(value_at_risk(joint_losses(made), 0.99)) + 1e-6
        assert found.per_step >= -tolerance
        assert found.repair_var <= tolerance
        assert found.repair_es <= tolerance


def test_repair_is_worth_the_difference_of_two_runs() -> None:
    made, variant = random_book(7)
    repaired = made.paths.delivered.copy()
    repaired[:, :, 0] = variant.repaired
    again = replace(made, paths=replace(made.paths, delivered=repaired))
    expected = value_at_risk(joint_losses(again), 0.99) - value_at_risk(joint_losses(made), 0.99)
    assert health_delta(made, variant).repair_var == pytest.approx(expected, rel=1e-12)


def test_a_wider_volume_band_from_bad_data_is_an_add_on_of_its_own() -> None:
    certain = paths(4000, outage=0.1)
    wider = np.maximum(certain.delivered * (1 + 0.3 * np.random.default_rng(1).standard_normal(certain.delivered.shape)), 0.0)
    found = quality_add_on(book(replace(certain, delivered=wider)), certain.delivered)
    assert found.add_on > 0
    assert found.var_certain == value_at_risk(joint_losses(book(certain)), 0.99)


def test_an_unknown_unit_a_wrong_shape_and_a_step_of_zero_are_refused() -> None:
    made, variant = random_book(1)
    for wrong in (replace(variant, unit="X"), replace(variant, step=0.0), replace(variant, worse=np.ones((3, 3)))):
        with pytest.raises(RiskError):
            health_delta(made, wrong)
    with pytest.raises(RiskError):
        quality_add_on(made, np.ones((1, 1, 1)))


def test_a_deal_becomes_a_commitment_on_the_grid() -> None:
    grid = buckets(date(2026, 3, 1), date(2026, 3, 31), Granularity.DAY, "Europe/Berlin")
    usd = Price(Decimal("-1.25"), "USD", "MWh")
    terms = ContractTerms(penalty=Decimal("0.2"), fee=Price(Decimal(3), "USD", "MWh"), force_majeure=True)
    item = leg(volume=Quantity(Decimal(31 * 24 - 1), "MWh"), price=IndexPrice("TTF", usd))
    found = commitment(deal(terms=terms, legs=(item,)), item, "north", grid)
    assert (found.price, found.indexed, found.penalty, found.fee, found.force_majeure) == (-1.25, True, 0.2, 3.0, True)
    np.testing.assert_array_equal(found.quantity[27:30], [24, 23, 24])
    made, refused = combine(Stream("north", "gas", (0,)), [found], 31)
    assert (made.deal_ids, refused) == (("D1",), ())


def test_a_delivery_outside_the_grid_is_refused() -> None:
    grid = buckets(date(2026, 3, 1), date(2026, 3, 30), Granularity.DAY, "Europe/Berlin")
    with pytest.raises(RiskError, match="is no bucket of the run"):
        commitment(deal(), leg(), "north", grid)
