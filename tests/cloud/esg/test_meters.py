import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cloud.esg import EsgError, Floats
from cloud.esg.hourly import emissions
from cloud.esg.meters import Columns, Excluded, Origin, Rules, clean

RULES = Rules()
LIMIT = np.array([100.0])
FACTORS = np.array([[2.0, 0.5, 0.1]])


def column(*values: float | None) -> Columns:
    row = np.array([[np.nan if value is None else value for value in values]])
    return Columns(row, ~np.isnan(row))


def ramp(hours: int) -> Floats:
    return np.arange(1.0, hours + 1)[None, :]


@pytest.mark.parametrize(
    ("hours", "origin"),
    [(1, Origin.BRIDGED), (2, Origin.BRIDGED), (3, Origin.MISSING)],
    ids=["one hour", "two hours", "three hours"],
)
def test_a_gap_is_bridged_up_to_two_hours(hours: int, origin: Origin) -> None:
    present = np.ones((1, 10), dtype=np.bool_)
    present[0, 4 : 4 + hours] = False
    cleaned = clean(Columns(ramp(10), present), LIMIT, RULES)
    assert set(cleaned.origin[0, 4 : 4 + hours]) == {origin}
    expected = ramp(10)[0, 4 : 4 + hours] if origin is Origin.BRIDGED else np.zeros(hours)
    assert cleaned.values[0, 4 : 4 + hours] == pytest.approx(expected)


def test_a_gap_at_the_edge_is_held_and_a_column_of_nothing_stays_missing() -> None:
    assert clean(column(None, 3.0, 4.0, None, None), LIMIT, RULES).values.tolist() == [[3.0, 3.0, 4.0, 4.0, 4.0]]
    assert clean(column(None, None), LIMIT, RULES).hours(Origin.MISSING).tolist() == [2]


def test_a_model_fills_what_is_longer_and_is_marked() -> None:
    target = column(1.0, None, None, None, 5.0)
    cleaned = clean(target, LIMIT, RULES, column(9.0, 2.0, 3.0, None, 9.0))
    assert cleaned.values.tolist() == [[1.0, 2.0, 3.0, 0.0, 5.0]]
    assert cleaned.origin.tolist() == [[Origin.MEASURED, Origin.MODELLED, Origin.MODELLED, Origin.MISSING, Origin.MEASURED]]


@pytest.mark.parametrize(
    ("value", "reason"),
    [(-0.1, Excluded.NEGATIVE), (0.0, Excluded.NO), (100.0, Excluded.NO), (100.1, Excluded.ABOVE_RANGE)],
    ids=["below zero", "zero", "at the range", "above the range"],
)
def test_samples_outside_the_range_are_excluded_with_their_reason(value: float, reason: Excluded) -> None:
    assert clean(column(1.0, value, 3.0), LIMIT, RULES).excluded[0, 1] == reason


def test_an_hour_above_the_range_is_not_bridged_but_takes_a_model() -> None:
    peak = column(1.0, 100.1, 3.0)
    assert clean(peak, LIMIT, RULES).origin[0, 1] == Origin.MISSING
    assert clean(peak, LIMIT, RULES, column(1.0, 140.0, 3.0)).values.tolist() == [[1.0, 140.0, 3.0]]


@pytest.mark.parametrize(("hours", "frozen"), [(5, 0), (6, 6), (7, 7)])
def test_a_meter_is_frozen_after_six_equal_hours(hours: int, frozen: int) -> None:
    cleaned = clean(column(1.0, *[7.0] * hours, 2.0), LIMIT, RULES)
    assert cleaned.reasons(Excluded.FROZEN).tolist() == [frozen]


def test_a_flare_at_zero_is_not_frozen_unless_it_must_move() -> None:
    still = column(1.0, *[0.0] * 30, 2.0)
    assert clean(still, LIMIT, RULES).reasons(Excluded.FROZEN).tolist() == [0]
    assert clean(still, LIMIT, Rules(hold_zero=False)).reasons(Excluded.FROZEN).tolist() == [30]


def test_a_run_does_not_reach_into_the_next_source() -> None:
    two = Columns(np.array([[1.0, 7.0, 7.0, 7.0], [7.0, 7.0, 7.0, 2.0]]), np.ones((2, 4), dtype=np.bool_))
    assert clean(two, np.array([9.0, 9.0]), Rules(frozen_hours=4)).reasons(Excluded.FROZEN).tolist() == [0, 0]


def test_columns_that_do_not_fit_are_refused_with_their_place() -> None:
    with pytest.raises(EsgError, match="source 0, hour 1"):
        Columns(np.array([[1.0, np.inf]]), np.ones((1, 2), dtype=np.bool_))
    with pytest.raises(EsgError, match="one limit for each of 1"):
        clean(column(1.0), np.array([1.0, 2.0]), RULES)
    with pytest.raises(EsgError, match="frozen_hours"):
        Rules(frozen_hours=1)
    with pytest.raises(EsgError, match="factors are"):
        emissions(clean(column(1.0), LIMIT, RULES), np.ones((2, 3)), (2,))
    with pytest.raises(EsgError, match="kg_per_unit"):
        emissions(clean(column(1.0), LIMIT, RULES), -FACTORS, (2,))


@settings(max_examples=60, deadline=None)
@given(arrays(np.float64, (3, 30), elements=st.floats(-20, 150)), arrays(np.bool_, (3, 30)))
def test_every_hour_has_one_origin_and_what_is_measured_is_unchanged(values: Floats, present: np.ndarray) -> None:
    cleaned = clean(Columns(values, present), np.full(3, 100.0), RULES)
    assert sum(cleaned.hours(origin) for origin in Origin).tolist() == [30, 30, 30]
    measured = cleaned.origin == Origin.MEASURED
    assert (cleaned.values[measured] == values[measured]).all()
    assert ((cleaned.values >= 0.0) & (cleaned.values <= 100.0)).all()
    assert (cleaned.values[cleaned.origin == Origin.MISSING] == 0.0).all()


def test_a_year_with_missing_hours_is_not_complete_and_filled_hours_lower_the_quality() -> None:
    gap = column(1.0, None, None, None, 5.0)
    (part,) = emissions(clean(gap, LIMIT, RULES), FACTORS, (2,))
    assert (part.complete, part.missing_hours, part.masses.co2_kg) == (False, 3, 12.0)
    (whole,) = emissions(clean(gap, LIMIT, RULES, column(1.0, 2.0, 3.0, 4.0, 5.0)), FACTORS, (2,))
    assert (whole.complete, whole.modelled_hours, whole.quality, whole.masses.ch4_kg) == (True, 3, 4, 7.5)


def test_factors_by_the_hour_give_the_same_when_they_do_not_change() -> None:
    cleaned = clean(Columns(ramp(48), np.ones((1, 48), dtype=np.bool_)), LIMIT, RULES)
    steady, hourly = emissions(cleaned, FACTORS, (2,)), emissions(cleaned, np.repeat(FACTORS[:, None, :], 48, axis=1), (2,))
    assert steady[0].masses.co2_kg == pytest.approx(hourly[0].masses.co2_kg)
    assert steady[0].measured_hours == hourly[0].measured_hours == 48


def test_a_year_of_a_hundred_sources_takes_less_than_a_second() -> None:
    draws = np.random.default_rng(1)
    columns = Columns(draws.uniform(0, 90, (100, 8760)), draws.random((100, 8760)) > 0.02)
    began = time.perf_counter()
    found = emissions(clean(columns, np.full(100, 100.0), RULES, columns), np.repeat(FACTORS, 100, axis=0), (2,) * 100)
    assert time.perf_counter() - began < 1.0
    assert len(found) == 100
