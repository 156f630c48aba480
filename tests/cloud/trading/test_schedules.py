from datetime import date, time
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.trading.deals import DeliveryCalendar, Granularity, Quantity
from cloud.trading.schedules import EXACT, Bucket, Delivery, buckets, cascade, deliveries, spread
from tests.cloud.trading.agreements import leg

BERLIN = "Europe/Berlin"
VOLUMES = st.decimals(min_value=0, max_value=10**12, places=9, allow_nan=False)


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 6, 1), 24)], ids=["spring", "autumn", "plain"]
)
def test_a_local_day_has_the_hours_its_zone_says(day: date, hours: int) -> None:
    assert len(buckets(day, day, Granularity.HOUR, BERLIN)) == hours
    assert [bucket.hours for bucket in buckets(day, day, Granularity.DAY, BERLIN)] == [hours]


def test_a_gas_day_carries_the_change_of_clocks_in_the_day_before() -> None:
    days = buckets(date(2026, 3, 28), date(2026, 3, 29), Granularity.DAY, BERLIN, time(6))
    assert [day.hours for day in days] == [23, 24]


def test_buckets_follow_each_other_and_months_are_cut_at_the_ends() -> None:
    months = buckets(date(2026, 1, 15), date(2026, 3, 10), Granularity.MONTH, "UTC")
    assert [month.hours / 24 for month in months] == [17, 28, 10]
    assert all(before.to_us == after.from_us for before, after in pairwise(months))


def test_an_unknown_zone_and_a_backward_period_are_refused() -> None:
    with pytest.raises(ValueError, match="time zone 'Mars'"):
        buckets(date(2026, 1, 1), date(2026, 1, 1), Granularity.DAY, "Mars")
    with pytest.raises(ValueError, match="before it begins"):
        buckets(date(2026, 1, 2), date(2026, 1, 1), Granularity.DAY, "UTC")


@given(VOLUMES, st.lists(st.integers(0, 10**9), min_size=1, max_size=50).filter(any))
def test_shares_sum_to_the_total_to_the_last_digit_and_are_never_negative(total: Decimal, weights: list[int]) -> None:
    shares = spread(total, weights)
    whole = Decimal(0)
    for share in shares:
        whole = EXACT.add(whole, share)
    assert whole == total
    assert min(shares) >= 0


@settings(max_examples=20)
@given(VOLUMES, st.sampled_from(list(Granularity)))
def test_deliveries_of_a_leg_sum_to_its_volume(total: Decimal, granularity: Granularity) -> None:
    found = deliveries(leg(volume=Quantity(total, "MWh"), granularity=granularity))
    assert sum(item.volume for item in found) == total


def test_a_volume_by_hours_knows_the_short_day() -> None:
    days = deliveries(leg(volume=Quantity(Decimal(31 * 24 - 1), "MWh")))
    assert [day.volume for day in days[27:30]] == [24, 23, 24]


def test_closed_days_get_nothing_and_the_rest_everything() -> None:
    closed = DeliveryCalendar(date(2026, 1, 1), date(2026, 12, 31), frozenset({date(2026, 3, 7)}))
    found = deliveries(leg(), closed)
    assert found[6].volume == 0
    assert sum(item.volume for item in found) == 1000


@settings(max_examples=15)
@given(VOLUMES)
def test_month_to_day_to_hour_keeps_the_volume(total: Decimal) -> None:
    (month,) = buckets(date(2026, 3, 1), date(2026, 3, 31), Granularity.MONTH, BERLIN)
    days = cascade(Delivery(month, total), buckets(date(2026, 3, 1), date(2026, 3, 31), Granularity.DAY, BERLIN))
    hours = [hour for item in days for hour in cascade(item, _hours(item.bucket))]
    assert len(hours) == 31 * 24 - 1
    assert sum(item.volume for item in hours) == total


def test_cascading_into_buckets_with_a_gap_is_refused() -> None:
    with pytest.raises(ValueError, match="do not cover"):
        cascade(Delivery(Bucket(0, 10), Decimal(1)), [Bucket(0, 4), Bucket(5, 10)])


def _hours(day: Bucket) -> list[Bucket]:
    step = 3_600_000_000
    return [Bucket(start, start + step) for start in range(day.from_us, day.to_us, step)]
