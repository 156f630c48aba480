"""Delivery periods: local midnights in UTC microseconds, and the 23 and 25 hours of DST days."""

from datetime import date, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.market import periods
from cloud.market.errors import MarketError
from cloud.market.periods import Granularity


@pytest.mark.parametrize(
    ("of", "hours"), [(date(2024, 3, 31), 23), (date(2024, 10, 27), 25), (date(2024, 6, 1), 24)], ids=["spring", "autumn", "ordinary"]
)
def test_delivery_day_has_its_real_hours(of: date, hours: int) -> None:
    assert len(periods.split(periods.day(of, "Europe/Berlin"), Granularity.HOUR)) == hours


def test_leap_year_has_its_days_and_months() -> None:
    year = periods.months(2024, 1, 12, "America/Chicago")
    assert len(periods.split(year, Granularity.DAY, "America/Chicago")) == 366
    assert [bucket.hours for bucket in periods.split(year, Granularity.MONTH, "America/Chicago")][1:3] == [29 * 24, 31 * 24 - 1]


def test_period_that_does_not_fit_the_zone_is_refused() -> None:
    with pytest.raises(MarketError, match="Europe/Berlin"):
        periods.split(periods.months(2024, 1), Granularity.MONTH, "Europe/Berlin")


def test_empty_period_and_time_without_zone_are_refused() -> None:
    with pytest.raises(MarketError):
        periods.Period(5, 5)
    with pytest.raises(MarketError, match="zone"):
        periods.to_us(datetime(2024, 1, 1))  # noqa: DTZ001


@settings(max_examples=60, deadline=None)
@given(st.integers(1990, 2060), st.integers(1, 12), st.integers(1, 14), st.sampled_from(list(Granularity)))
def test_split_is_contiguous_and_complete(year: int, month: int, count: int, granularity: Granularity) -> None:
    whole = periods.months(year, month, count, "Europe/Oslo")
    starts, ends = periods.bounds(periods.split(whole, granularity, "Europe/Oslo"))
    assert (starts[0], ends[-1]) == (whole.start_us, whole.end_us)
    assert (starts[1:] == ends[:-1]).all()


def test_years_are_to_the_middle_and_never_negative() -> None:
    buckets = periods.split(periods.months(2024, 1, 2), Granularity.MONTH)
    years = periods.years_to(buckets, periods.midnight_us(date(2024, 1, 31)))
    assert years[0] == 0
    assert years[1] == pytest.approx((1 + 14.5) / 365)
    assert np.isfinite(years).all()
