from datetime import date
from decimal import Decimal

import pytest

from cloud.trading.deals import (
    Cause,
    ContractTerms,
    Deal,
    DeliveryCalendar,
    Exercise,
    FixedPrice,
    Kind,
    OptionTerms,
    Price,
    Quantity,
    Right,
    Side,
    amended,
    as_of,
    check,
    check_versions,
    faults_of,
)
from tests.cloud.trading.agreements import CALENDARS, USD, deal, leg

OPTION = OptionTerms(Right.CALL, Exercise.EUROPEAN, USD, date(2026, 2, 20), Price(Decimal(2), "USD", "MWh"))


def test_a_good_deal_of_each_kind_has_no_fault() -> None:
    both = (leg(side=Side.BUY, physical=False), leg(physical=False))
    for good in (
        deal(kind=Kind.SPOT),
        deal(),
        deal(kind=Kind.FUTURE),
        deal(kind=Kind.SWAP, legs=both),
        deal(kind=Kind.OPTION, option=OPTION),
    ):
        assert faults_of(good, CALENDARS) == ()


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        (deal(legs=(leg(last=date(2028, 1, 1)),)), Cause.OUTSIDE_CALENDAR),
        (deal(legs=(leg(product="oil"),)), Cause.NO_CALENDAR),
        (deal(legs=(leg(first=date(2026, 4, 2), last=date(2026, 4, 1)),)), Cause.END_BEFORE_START),
        (deal(legs=(leg(volume=Quantity(Decimal(5), "bbl")),)), Cause.UNIT_MISMATCH),
        (deal(terms=ContractTerms(cap=Quantity(Decimal(5), "bbl"))), Cause.UNIT_MISMATCH),
        (deal(terms=ContractTerms(fee=Price(Decimal(1), "EUR", "MWh"))), Cause.CURRENCY_MISMATCH),
        (deal(legs=(leg(volume=Quantity(Decimal(-5), "MWh")),)), Cause.NEGATIVE_VOLUME),
        (deal(terms=ContractTerms(dcq=Quantity(Decimal(-5), "MWh"))), Cause.NEGATIVE_VOLUME),
        (deal(legs=(leg(volume=Quantity(Decimal("NaN"), "MWh")),)), Cause.NOT_FINITE),
        (deal(legs=(leg(price=FixedPrice(Price(Decimal("Infinity"), "USD", "MWh"))),)), Cause.NOT_FINITE),
        (deal(terms=ContractTerms(take_or_pay=Decimal("1.1"))), Cause.SHARE_OUT_OF_RANGE),
        (deal(terms=ContractTerms(penalty=Decimal("-0.1"))), Cause.NEGATIVE_PENALTY),
        (deal(legs=()), Cause.WRONG_LEGS),
        (deal(kind=Kind.SWAP, legs=(leg(), leg())), Cause.WRONG_LEGS),
        (deal(kind=Kind.OPTION), Cause.OPTION_TERMS),
        (deal(option=OPTION), Cause.OPTION_TERMS),
    ],
)
def test_what_is_wrong_with_a_deal_is_named(wrong: Deal, cause: Cause) -> None:
    assert [fault.cause for fault in faults_of(wrong, CALENDARS)] == [cause]


def test_a_wrong_deal_is_listed_and_the_others_stay() -> None:
    checked = check([deal("A"), deal("B", legs=()), deal("C")], CALENDARS)
    assert [good.id for good in checked.deals] == ["A", "C"]
    assert [fault.deal_id for fault in checked.faults] == ["B"]


def test_delivery_on_a_closed_day_is_outside_the_calendar() -> None:
    closed = DeliveryCalendar(date(2026, 1, 1), date(2026, 12, 31), frozenset({date(2026, 3, 1)}))
    assert faults_of(deal(), {("gas", "TTF"): closed})[0].cause is Cause.OUTSIDE_CALENDAR


def test_any_past_time_sees_the_version_known_then() -> None:
    first = deal()
    second = amended(first, 2_000, book="south")
    gone = amended(second, 3_000, cancelled=True)
    chain = (gone, first, second)
    assert [as_of(chain, at) for at in (999, 1_000, 2_500, 3_000)] == [(), (first,), (second,), ()]
    assert check_versions(chain) == ()


def test_broken_chains_of_versions_are_named() -> None:
    assert check_versions([deal(version=2)])[0].cause is Cause.BROKEN_VERSIONS
    assert check_versions([deal(), deal()])[0].cause is Cause.BROKEN_VERSIONS
    assert check_versions([deal(), deal(version=2, known_us=5)])[0].cause is Cause.BROKEN_VERSIONS


def test_an_amendment_is_not_known_before_what_it_amends() -> None:
    with pytest.raises(ValueError, match="version 1 is known"):
        amended(deal(), 999)
    with pytest.raises(ValueError, match="keeps the id"):
        amended(deal(), 2_000, id="other")
