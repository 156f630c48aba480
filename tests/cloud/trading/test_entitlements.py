"""Scheduled volume beyond DCQ, cap and ACQ, exactly and by day."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from cloud.trading.deals import ContractTerms, Deal, DeliveryCalendar, Granularity, Quantity, Side
from cloud.trading.entitlements import Entitlement, excesses
from tests.cloud.trading.agreements import deal, leg

TEN = leg(first=date(2026, 3, 1), last=date(2026, 3, 10), volume=Quantity(Decimal(1000), "MWh"), zone="UTC")


def mwh(text: str) -> Quantity:
    return Quantity(Decimal(text), "MWh")


def agreed(*legs: object, **terms: object) -> Deal:
    return deal(legs=legs or (TEN,), terms=ContractTerms(**terms))  # type: ignore[arg-type]


@pytest.mark.parametrize("granularity", list(Granularity))
def test_a_day_above_the_dcq_is_found_whatever_the_granularity(granularity: Granularity) -> None:
    made = agreed(replace(TEN, granularity=granularity), dcq=mwh("99.999999"))
    (found,) = excesses([made], {})
    assert (found.entitlement, found.first, found.last) == (Entitlement.DCQ, date(2026, 3, 1), date(2026, 3, 10))
    assert (found.scheduled, found.allowed, found.side) == (Decimal(100), Decimal("99.999999"), Side.SELL)
    assert excesses([agreed(replace(TEN, granularity=granularity), dcq=mwh("100"))], {}) == ()


def test_legs_of_one_side_count_together_and_runs_of_days_are_told_apart() -> None:
    peaks = [replace(TEN, first=date(2026, 3, day), last=date(2026, 3, day), volume=mwh("0.5")) for day in (3, 4, 8)]
    bought = replace(TEN, side=Side.BUY)
    found = excesses([agreed(TEN, *peaks, bought, cap=mwh("100"))], {})
    assert [(one.first.day, one.last.day, one.scheduled) for one in found] == [(3, 4, Decimal("100.5")), (8, 8, Decimal("100.5"))]


def test_closed_days_press_the_volume_into_the_open_ones() -> None:
    calendars = {("gas", "TTF"): DeliveryCalendar(date(2026, 1, 1), date(2026, 12, 31), frozenset({date(2026, 3, 5)}))}
    found = excesses([agreed(dcq=mwh("100"))], calendars)
    assert [(one.first.day, one.last.day) for one in found] == [(1, 4), (6, 10)]


def test_contract_years_begin_at_the_first_day_and_its_anniversaries() -> None:
    long = replace(TEN, first=date(2024, 2, 29), last=date(2026, 2, 28), volume=mwh("731"))
    found = excesses([agreed(long, acq=mwh("365.9"))], {})
    assert [(one.first, one.last, one.scheduled) for one in found] == [(date(2024, 2, 29), date(2025, 2, 28), Decimal(366))]
    assert excesses([agreed(long, acq=mwh("366"))], {}) == ()


def test_deals_without_such_terms_options_and_cancelled_ones_have_none() -> None:
    assert excesses([deal(), replace(agreed(dcq=mwh("1")), cancelled=True), agreed(replace(TEN, physical=False), dcq=mwh("1"))], {}) == ()
