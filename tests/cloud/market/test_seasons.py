"""Seasonal factors: planted ones are recovered, short or non-positive histories are refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.market import history, seasons
from cloud.market.errors import HistoryTooShort, MarketError
from cloud.market.periods import HOUR_US, Granularity, months, split
from cloud.market.seasons import Against

DAYS = np.arange(np.datetime64("2015-01-01"), np.datetime64("2021-01-01"))
MONTH = DAYS.astype("datetime64[M]").astype(int) % 12
WEEKDAY = (DAYS.astype(int) + 3) % 7


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.5, 2.0), min_size=12, max_size=12))
def test_planted_months_are_recovered_by_ratio_and_difference(planted: list[float]) -> None:
    factors = np.array(planted) / np.mean(planted)
    assert np.allclose(seasons.monthly(DAYS, 40 * factors[MONTH]), factors, rtol=1e-9)
    found = seasons.monthly(DAYS, 40 * (factors[MONTH] - 1), Against.DIFFERENCE)
    assert np.allclose(found, 40 * (factors - 1), atol=1e-9)


def test_planted_weekdays_are_recovered_and_absent_ones_are_neutral() -> None:
    factors = np.array([1.1, 1.0, 0.9, 1.05, 0.95, 1.0, 1.0])
    weekdays = WEEKDAY < 5
    found = seasons.weekday(DAYS[weekdays], 30 * factors[WEEKDAY[weekdays]])
    assert np.allclose(found, factors, atol=2e-3)


def test_planted_hours_are_recovered_through_dst() -> None:
    factors = 1 + 0.3 * np.sin(np.arange(24) / 24 * 2 * np.pi)
    hours = split(months(2024, 1, 12, "Europe/Berlin"), Granularity.HOUR)
    planted = seasons.shape(hours, "Europe/Berlin", by_hour=factors)
    found = seasons.hourly(np.array([hour.start_us for hour in hours]), 50 * planted, "Europe/Berlin")
    assert np.allclose(found, factors / factors.mean(), atol=2e-3)


def test_real_gas_history_gives_a_mean_of_one() -> None:
    gas = history.load_history("henry_hub")
    found = seasons.monthly(gas.days, gas.prices)
    assert found.mean() == pytest.approx(1)
    assert np.isfinite(found).all()
    assert (found > 0).all()


def test_short_history_is_refused_with_what_is_needed() -> None:
    with pytest.raises(HistoryTooShort):
        seasons.monthly(DAYS[:700], np.ones(700))
    with pytest.raises(HistoryTooShort):
        seasons.hourly(np.arange(24, dtype=np.int64) * HOUR_US, np.ones(24), "UTC")


def test_ratio_of_negative_prices_is_refused() -> None:
    wti = history.load_history("wti")
    with pytest.raises(MarketError, match="above zero"):
        seasons.monthly(wti.days, wti.prices)


def test_shape_that_is_not_positive_is_refused() -> None:
    with pytest.raises(MarketError):
        seasons.shape(split(months(2024, 1), Granularity.DAY), "UTC", by_month=np.zeros(12))
