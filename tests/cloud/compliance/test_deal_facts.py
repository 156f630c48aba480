from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from cloud.compliance.deal_facts import Booked, View, facts_of, registered_utis
from cloud.compliance.facts import Derivative, Party, Swap, VenueTrade, WholesaleDeal
from cloud.compliance.parameters import shipped
from cloud.compliance.rules import Outcome, Terms
from cloud.compliance.runs import judge
from cloud.compliance.table import BY_ID
from cloud.trading.deals import ContractTerms, Kind, Side
from tests.cloud.compliance.desk_deals import ACME, DAY_US, FRIDAY_US, INDEXED, OPTION, OWN, VIEW, booked, leg

LATER_US = FRIDAY_US + 5 * DAY_US
FRIDAY = date(2026, 11, 13)


def fact(one: Booked, kind: type, view: View = VIEW, **registered: Any) -> Any:
    found = facts_of(one, view, {kind.__name__: registered}, LATER_US)
    assert not found.contradictions
    return next((each.facts for each in found.stated if isinstance(each.facts, kind)), None)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (booked(Kind.SPOT), False),
        (booked(Kind.FUTURE), True),
        (booked(Kind.FORWARD, leg(physical=False)), True),
        (booked(Kind.FORWARD), None),
        (booked(Kind.SWAP, leg(physical=False), leg(side=Side.BUY, physical=False)), True),
        (booked(Kind.SWAP, leg(physical=False), leg(side=Side.BUY)), None),
        (booked(Kind.OPTION, leg(physical=False), option=OPTION), True),
        (booked(Kind.OPTION, leg(), option=OPTION), None),
    ],
)
def test_a_deal_is_a_derivative_where_its_form_says_so(one: Booked, expected: bool | None) -> None:
    assert fact(one, Derivative).is_derivative is expected


def test_a_derivative_has_what_deal_and_profile_say() -> None:
    found = fact(booked(Kind.SWAP, leg(physical=False), leg(side=Side.BUY, physical=False)), Derivative)
    assert (found.otc, found.cleared, found.party, found.intragroup) == (True, None, Party.NFC_MINUS, False)
    assert (found.executed_on, found.ended_on, found.checked_on) == (FRIDAY, date(2027, 1, 31), date(2026, 11, 18))
    assert found.leis == (OWN, ACME)
    assert found.holidays == {date(2026, 11, 16)}
    assert found.reported_on is found.confirmed_on is found.uti is None


def test_a_future_is_cleared_and_not_over_the_counter() -> None:
    found = fact(booked(Kind.FUTURE), Derivative)
    assert (found.otc, found.cleared) == (False, True)


@pytest.mark.parametrize(
    ("legs", "expected"),
    [
        ((leg(),), True),
        ((leg("WTI", "Cushing"),), False),
        ((leg("WTI", "Cushing"), leg(side=Side.BUY)), True),
        ((leg("coal", "ARA"),), None),
        ((leg("WTI", "Cushing"), leg("coal", "ARA")), None),
    ],
)
def test_wholesale_energy_is_what_the_profile_says_of_the_products(legs: tuple[Any, ...], expected: bool | None) -> None:
    assert fact(booked(Kind.FORWARD, *legs), WholesaleDeal).wholesale_energy is expected


@pytest.mark.parametrize(
    ("one", "organised", "standard", "simple", "framework"),
    [
        (booked(), False, None, True, False),
        (booked(Kind.FORWARD, leg("power", "DE")), True, True, True, False),
        (booked(Kind.FORWARD, INDEXED), False, None, False, None),
        (booked(terms=ContractTerms(force_majeure=True)), False, None, False, None),
        (booked(Kind.FORWARD, leg("WTI", "Cushing")), None, None, True, False),
        (booked(Kind.FORWARD, leg(), leg("power", "DE")), None, None, True, False),
    ],
)
def test_market_and_terms_follow_from_profile_and_deal(one: Booked, organised: Any, standard: Any, simple: bool, framework: Any) -> None:
    found = fact(one, WholesaleDeal)
    assert (found.organised_market, found.standard, found.simple_terms, found.framework) == (organised, standard, simple, framework)
    assert found.concluded_on == FRIDAY


def test_spot_and_future_are_no_us_swaps_and_others_do_not_say() -> None:
    assert [fact(booked(kind), Swap).us_swap for kind in (Kind.SPOT, Kind.FUTURE, Kind.FORWARD)] == [False, False, None]


def test_a_deal_between_two_parties_is_no_trade_on_a_venue() -> None:
    assert fact(booked(), VenueTrade) is None
    assert fact(booked(Kind.FORWARD, leg("power", "DE")), VenueTrade).investment_firm is False
    assert fact(booked(Kind.FORWARD, leg("WTI", "Cushing")), VenueTrade).executed_on == FRIDAY


def test_without_a_profile_what_it_would_say_is_not_known() -> None:
    found = fact(booked(), Derivative, View(None))
    assert (found.party, found.leis, found.otc, found.holidays) == (None, None, None, frozenset())


def test_what_is_registered_fills_what_the_deal_does_not_say() -> None:
    found = fact(booked(), Derivative, is_derivative=True, reported_on="2026-11-16", uti=OWN + "X", cleared=False)
    assert (found.is_derivative, found.reported_on, found.uti, found.cleared) == (True, date(2026, 11, 16), OWN + "X", False)
    assert found.executed_on == FRIDAY


def test_the_same_value_registered_again_is_no_contradiction() -> None:
    assert fact(booked(), Derivative, otc=True, executed_on="2026-11-13").otc is True


def test_a_contradiction_names_both_values_and_neither_counts() -> None:
    found = facts_of(booked(), VIEW, {"Derivative": {"otc": False, "uti": OWN + "X"}}, LATER_US)
    (one,) = found.contradictions
    assert (one.subject, one.kind) == ("deal/D-1", "Derivative")
    assert '"otc" is registered as no, the hub derives yes' in one.detail
    derivative = next(each.facts for each in found.stated if isinstance(each.facts, Derivative))
    assert (derivative.otc, derivative.uti) == (None, OWN + "X")


def test_registered_facts_that_cannot_stand_beside_the_deal_do_not_count() -> None:
    found = facts_of(booked(), VIEW, {"Derivative": {"is_derivative": True, "reported_on": "2026-11-12"}}, LATER_US)
    assert "reported_on: 2026-11-12 is before executed_on 2026-11-13" in found.contradictions[0].detail
    (judged,) = judge([BY_ID["E-01"]], [one for one in found.stated if isinstance(one.facts, Derivative)], Terms(shipped(), FRIDAY))
    assert judged.outcome is Outcome.INDETERMINATE


def test_a_uti_used_for_two_deals_is_found() -> None:
    registered = [("Derivative", f"deal/{n}", {"uti": OWN + "X"}) for n in (1, 2)] + [("Derivative", "deal/3", {"uti": OWN + "Y"})]
    utis = registered_utis(registered)
    swap = booked(Kind.FORWARD, leg(physical=False))
    outcomes = []
    for uti in ("X", "Y"):
        found = facts_of(swap, VIEW, {"Derivative": {"uti": OWN + uti}}, LATER_US, utis)
        outcomes += [one.outcome for one in judge([BY_ID["E-04"]], found.stated, Terms(shipped(), FRIDAY))]
    assert outcomes == [Outcome.FAIL, Outcome.PASS]


def test_a_deal_captured_after_its_delivery_does_not_say_when_it_ended() -> None:
    assert fact(booked(Kind.SPOT, leg(first=date(2026, 11, 1), last=date(2026, 11, 2))), Derivative).ended_on is None


def test_a_financial_swap_that_nobody_reported_fails_on_the_day_after_its_due_day() -> None:
    swap = booked(Kind.FORWARD, leg(physical=False))
    outcomes = []
    for days in (4, 5):  # Friday, a holiday on Monday: due on Tuesday
        found = facts_of(swap, VIEW, {}, FRIDAY_US + days * DAY_US)
        outcomes += [one.outcome for one in judge([BY_ID["E-01"]], found.stated, Terms(shipped(), FRIDAY))]
    assert outcomes == [Outcome.NOT_APPLICABLE, Outcome.FAIL]


def test_a_later_version_leaves_the_day_of_execution() -> None:
    amended = replace(booked(), deal=replace(booked().deal, version=2, known_us=LATER_US))
    assert fact(amended, Derivative).executed_on == FRIDAY
