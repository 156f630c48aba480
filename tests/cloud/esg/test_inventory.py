from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.esg import EsgError, Indeterminate
from cloud.esg.estimates import Estimate
from cloud.esg.factors import factor_book
from cloud.esg.flares import Purpose
from cloud.esg.gases import Masses, gwp_set
from cloud.esg.indicators import (
    FlaredGas,
    Spill,
    Water,
    flaring_intensity,
    methane_intensity,
    ogmp_level,
    ogmp_level_of_asset,
    safety,
    spills,
    water,
)
from cloud.esg.inventory import Category, Emission, Scope, corrected, known, restated, totals
from cloud.esg.uncertainty import Input, Source, approach, monte_carlo, product_u95_pct, sum_u95_pct, total
from cloud.esg.units import Quantity, Unit

AR5 = gwp_set("AR5")
METER = Input("meter FT-101", 5.0)


def estimate(co2: float, ch4: float | None = 0.0, method: str = "vent-metered") -> Estimate:
    return Estimate(Masses(co2, ch4), Quantity(1.0, Unit.SCF), method)


def record(source: str = "V-1", co2: float = 1000.0, known_at_us: int = 10, **changed: object) -> Emission:
    made = Emission(
        source, "rig A", Category.VENT, date(2025, 1, 1), date(2025, 2, 1), estimate(co2), (METER,), 2, ("batch 7",), known_at_us
    )
    return replace(made, **changed)  # type: ignore[arg-type]


def test_a_restatement_is_seen_by_those_who_ask_later_only() -> None:
    first = record()
    second = corrected(first, estimate(900.0), 20, ("batch 9",))
    every = (second, first)
    assert [r.estimate.masses.co2_kg for r in known(every, 19)] == [1000.0]
    assert [r.estimate.masses.co2_kg for r in known(every, 20)] == [900.0]
    (change,) = restated(every, 19, 20)
    assert (change.before, change.after) == (first, second)
    assert restated(every, 20, 30) == ()
    with pytest.raises(EsgError, match="must be known later"):
        corrected(first, estimate(1.0), 10, ("batch 9",))


def test_records_that_stand_twice_or_overlap_are_refused() -> None:
    with pytest.raises(EsgError, match="stands twice"):
        known((record(), record()), 10)
    with pytest.raises(EsgError, match="stands twice"):
        known((record(), record(known_at_us=20), record()), 20)
    with pytest.raises(EsgError, match="overlaps"):
        known((record(), record(start=date(2025, 1, 31), end=date(2025, 3, 1))), 10)
    assert len(known((record(), record(start=date(2025, 2, 1), end=date(2025, 3, 1))), 10)) == 2


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"end": date(2025, 1, 1)}, "has no day"),
        ({"quality": 1}, "better than method"),
        ({"quality": 6}, "expected 1 to 5"),
        ({"evidence": ()}, "expected the batches"),
        ({"inputs": ()}, "expected the uncertainty"),
        ({"missing_hours": -1}, "hours cannot be"),
        ({"estimate": estimate(1.0, method="guess")}, "not known"),
    ],
    ids=["no day", "quality too good", "quality out of range", "no evidence", "no uncertainty", "negative hours", "unknown method"],
)
def test_a_record_that_cannot_be_is_refused(changed: dict[str, object], message: str) -> None:
    with pytest.raises(EsgError, match=message):
        record(**changed)


def test_a_total_has_gases_co2e_quality_and_spread_by_scope() -> None:
    every = (
        record(),
        record("V-2", 500.0, estimate=estimate(500.0, 10.0), quality=4),
        record("P-1", 7.0, category=Category.POWER_LOCATION),
    )
    found = totals(every, Scope.ONE, AR5, known_at_us=10, seed=1)
    assert (found.masses.co2_kg, found.masses.ch4_kg, found.figure().kg) == (1500.0, 10.0, 1780.0)
    assert found.quality == pytest.approx((1000 * 2 + 780 * 4) / 1780)
    assert found.spread.approach == 2  # both read the same meter
    assert found.spread.low_kg < 1780.0 < found.spread.high_kg
    assert totals(every, Scope.TWO_LOCATION, AR5, known_at_us=10, seed=1).figure().kg == 7.0
    with pytest.raises(Indeterminate, match="no record"):
        totals(every, Scope.TWO_MARKET, AR5, known_at_us=10, seed=1)


@pytest.mark.parametrize(
    ("changed", "doubt"),
    [({"estimate": estimate(1.0, None)}, "ch4 not estimated"), ({"missing_hours": 3}, "3 hours missing")],
)
def test_a_total_with_doubts_is_no_figure(changed: dict[str, object], doubt: str) -> None:
    found = totals((record(), record("V-2", **changed)), Scope.ONE, AR5, known_at_us=10, seed=1)
    assert found.co2e.kg >= 1000.0
    with pytest.raises(Indeterminate, match=doubt):
        found.figure()


def test_a_record_on_an_unconfirmed_factor_is_a_doubt() -> None:
    tier = factor_book().at("flare.efficiency.tier_2", date(2025, 6, 1), {"flare-tiers-2025"})
    doubted = record(estimate=replace(estimate(1.0), factors=(tier,)))
    assert doubted.doubts == ("V-1: flare.efficiency.tier_2 is unconfirmed",)


amounts = st.lists(st.floats(1.0, 1e6), min_size=1, max_size=6)


@given(amounts, st.floats(0.0, 200.0))
def test_sources_with_nothing_in_common_are_never_less_certain_than_the_worst(kg: list[float], u: float) -> None:
    assert sum_u95_pct(kg, [u] * len(kg)) <= u * (1 + 1e-12)


def test_a_product_is_less_certain_than_its_parts_and_lengths_must_fit() -> None:
    assert product_u95_pct([3.0, 4.0]) == pytest.approx(5.0)
    assert sum_u95_pct([], []) == 0.0
    with pytest.raises(EsgError, match="2 amounts, 1"):
        sum_u95_pct([1.0, 2.0], [1.0])


@pytest.mark.parametrize(("u", "asked"), [(29.9, 1), (30.0, 1), (30.1, 2)])
def test_approach_2_begins_above_thirty_per_cent(u: float, asked: int) -> None:
    assert approach([Source("a", 1.0, (Input("x", u),))]) == asked


def test_shared_meters_do_not_average_out_and_order_does_not_matter() -> None:
    shared = [Source("a", 100.0, (Input("m", 20.0),)), Source("b", 100.0, (Input("m", 20.0),))]
    apart = [Source("a", 100.0, (Input("m", 20.0),)), Source("b", 100.0, (Input("n", 20.0),))]
    assert monte_carlo(shared, 7).u95_pct == pytest.approx(20.0, rel=0.05)
    assert monte_carlo(apart, 7).u95_pct == pytest.approx(20.0 / 2**0.5, rel=0.05)
    assert monte_carlo(apart, 7).u95_pct == pytest.approx(total(apart, 7).u95_pct, rel=0.05)
    assert monte_carlo(apart, 7).low_kg == pytest.approx(monte_carlo(apart[::-1], 7).low_kg)
    assert total(shared, 7) == total(shared, 7)


def test_a_wide_factor_never_makes_a_negative_emission() -> None:
    assert monte_carlo([Source("a", 100.0, (Input("factor", 150.0),))], 3).low_kg > 0.0


def test_inputs_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(EsgError, match="20 % here and 10 % elsewhere"):
        total([Source("a", 1.0, (Input("m", 10.0),)), Source("b", 1.0, (Input("m", 20.0),))], 1)
    with pytest.raises(EsgError, match="named twice"):
        Source("a", 1.0, (METER, METER))
    with pytest.raises(EsgError, match="at least 1000"):
        monte_carlo([Source("a", 1.0, (METER,))], 1, 10)


def test_ogmp_level_of_an_asset_is_its_lowest_material_source() -> None:
    big = record("big", estimate=estimate(0.0, 95.0))
    at, above = (record("small", estimate=estimate(0.0, small, "population-factor"), quality=3) for small in (5.0, 5.1))
    assert ogmp_level_of_asset((big, at)) == 4  # 5 % is not above 5 %
    assert ogmp_level_of_asset((big, above)) == 3
    assert ogmp_level_of_asset((big, at), frozenset({"rig A"})) == 5
    assert ogmp_level(above, frozenset({"rig A"})) == 3


def test_ogmp_level_is_not_known_without_methane() -> None:
    with pytest.raises(Indeterminate, match="CH4 of V-1 is not estimated"):
        ogmp_level_of_asset((record(estimate=estimate(0.0, None)),))
    with pytest.raises(Indeterminate, match="no source is above"):
        ogmp_level_of_asset((record(),))
    with pytest.raises(EsgError, match="one asset"):
        ogmp_level_of_asset((record(), record("V-2", asset="rig B")))


def test_intensities_need_a_denominator() -> None:
    flared = (FlaredGas(Quantity(100, Unit.SM3), Purpose.ROUTINE), FlaredGas(Quantity(50, Unit.SM3), Purpose.SAFETY))
    assert flaring_intensity(flared, 50.0) == 3.0
    assert flaring_intensity(flared, 50.0, Purpose.ROUTINE) == 2.0
    with pytest.raises(Indeterminate, match="nothing was produced"):
        flaring_intensity(flared, 0.0)
    with pytest.raises(Indeterminate, match="no gas was marketed"):
        methane_intensity(Quantity(1, Unit.KG), 0.678, Quantity(0, Unit.SM3))


def test_water_spills_and_safety_follow_their_definitions() -> None:
    found = water((Water("A", 100, 40, True, 50, 1.0), Water("B", 300, 60, False, 50, 1.0)))
    assert (found.consumed_m3, found.stressed_share, found.oil_in_water_mg_l) == (300, 0.25, 20.0)
    assert spills((Spill(0.9, 0.0), Spill(1.0, 0.0), Spill(1.1, 0.5))).count == 1
    assert safety(3, 1, 12, 1_200_000).ltir == pytest.approx(1 / 6)


def test_water_spills_and_safety_that_cannot_be_are_refused() -> None:
    with pytest.raises(EsgError, match="more returned than withdrawn"):
        water((Water("A", 1, 2, False, 1, 0),))
    with pytest.raises(Indeterminate, match="nothing withdrawn or produced"):
        water((Water("A", 1, 0, False, 0, 0),))
    with pytest.raises(EsgError, match="recovered_bbl"):
        Spill(1.0, 2.0)
    with pytest.raises(EsgError, match="cannot be"):
        safety(1, 2, 0, 100.0)
    with pytest.raises(Indeterminate, match="no hours"):
        safety(0, 0, 0, 0.0)
