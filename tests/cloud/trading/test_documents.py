"""Deals and calendars as JSON: the same value back with all legs and terms, one canonical form, errors by path."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.document import DocumentError, Fields
from cloud.trading.deals import (
    ContractTerms,
    Deal,
    DeliveryCalendar,
    Exercise,
    FixedPrice,
    Granularity,
    IndexPrice,
    Kind,
    Leg,
    OptionTerms,
    Price,
    Quantity,
    Right,
    ShortfallRule,
    Side,
)
from cloud.trading.documents import deal_json, decode_calendar, decode_deal, encode_calendar, encode_deal, position_json, read_deal
from cloud.trading.positions import net
from tests.cloud.trading.agreements import CALENDARS, USD, deal, leg

WORDS = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=12)
NUMBERS = st.decimals(Decimal("-1e9"), Decimal("1e9"), allow_nan=False, allow_infinity=False, places=5)
DAYS = st.dates(date(2000, 1, 1), date(2060, 1, 1))
QUANTITIES = st.builds(Quantity, NUMBERS, WORDS)
PRICES = st.builds(Price, NUMBERS, st.sampled_from(["USD", "EUR"]), WORDS)
LEGS = st.builds(
    lambda first, length, **more: Leg(first=first, last=first + timedelta(days=length), **more),
    side=st.sampled_from(Side),
    product=WORDS,
    place=WORDS,
    volume=QUANTITIES,
    first=DAYS,
    length=st.integers(0, 1000),
    price=st.one_of(st.builds(FixedPrice, PRICES), st.builds(IndexPrice, WORDS, PRICES)),
    physical=st.booleans(),
    granularity=st.sampled_from(Granularity),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
)
TERMS = st.builds(
    ContractTerms,
    dcq=st.none() | QUANTITIES,
    acq=st.none() | QUANTITIES,
    take_or_pay=NUMBERS,
    shortfall=st.sampled_from(ShortfallRule),
    penalty=NUMBERS,
    fee=st.none() | PRICES,
    force_majeure=st.booleans(),
    cap=st.none() | QUANTITIES,
)
OPTIONS = st.builds(OptionTerms, st.sampled_from(Right), st.sampled_from(Exercise), PRICES, DAYS, PRICES)
DEALS = st.builds(
    Deal,
    id=WORDS,
    version=st.integers(1, 1000),
    known_us=st.integers(0, 10**15),
    book=WORDS,
    counterparty=WORDS,
    kind=st.sampled_from(Kind),
    legs=st.lists(LEGS, max_size=3).map(tuple),
    terms=TERMS,
    option=st.none() | OPTIONS,
    cancelled=st.booleans(),
)


@given(DEALS)
@settings(max_examples=60, deadline=None)
def test_a_deal_comes_back_from_its_bytes_with_every_leg_and_term(made: Deal) -> None:
    data = encode_deal(made)
    again = decode_deal(data.decode())
    assert again == made
    assert encode_deal(again) == data


@given(WORDS, WORDS, DAYS, st.integers(0, 400), st.sets(st.integers(0, 400), max_size=5))
@settings(max_examples=30, deadline=None)
def test_a_calendar_comes_back_from_its_bytes(product: str, place: str, first: date, length: int, closed: set[int]) -> None:
    days = frozenset(first + timedelta(days=count) for count in closed if count <= length)
    calendar = DeliveryCalendar(first, first + timedelta(days=length), days)
    assert decode_calendar(encode_calendar(product, place, calendar).decode()) == ((product, place), calendar)


def test_terms_that_are_left_out_give_the_same_document_as_plain_ones() -> None:
    table = deal_json(deal())
    for key in ("terms", "cancelled"):
        del table[key]
    for key in ("physical", "granularity"):
        del table["legs"][0][key]
    assert encode_deal(read_deal(Fields(table, "deal"))) == encode_deal(deal())


def _at(table: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    here: Any = table
    for part in parents:
        here = here[int(part) if part.isdecimal() else part]
    here[last] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("legs.0.volume.value", 1000, "deal.legs[0].volume.value: expected a number as text"),
        ("legs.0.volume.value", "Infinity", "deal.legs[0].volume.value: expected a number as text"),
        ("legs.0.first", "20260301", "deal.legs[0].first: expected a day"),
        ("legs.0.last", "2099-01-01", "deal.legs[0].last: expected at most"),
        ("legs.0.zone", "Europe/Berlim", "deal.legs[0].zone: expected a time zone"),
        ("legs.0.zone", "../../etc/passwd", "deal.legs[0].zone: expected a time zone"),
        ("legs.0.price", {}, 'deal.legs[0].price: expected "fixed", or "index"'),
        ("legs.0.price.fixed.currency", "usd", "deal.legs[0].price.fixed.currency: expected an ISO 4217 code"),
        ("legs.0.sid", "buy", 'did you mean "side"?'),
        ("legs", {}, "deal.legs: expected a list, found an object"),
        ("terms.takeorpay", "0.9", 'did you mean "take_or_pay"?'),
        ("version", 0, "deal.version: expected a whole number from 1"),
        ("kind", "forwards", 'did you mean "forward"?'),
        ("cancelled", "no", "deal.cancelled: expected true or false"),
    ],
    ids=str,
)
def test_a_malformed_deal_is_refused_by_path(path: str, value: Any, message: str) -> None:
    table = deal_json(deal())
    _at(table, path, value)
    with pytest.raises(DocumentError) as caught:
        read_deal(Fields(table, "deal"))
    assert message in str(caught.value)


def test_faults_of_all_legs_are_named_at_once() -> None:
    table = deal_json(deal(legs=(leg(), leg(), leg())))
    table["legs"][0]["side"] = "hold"
    table["legs"][2]["product"] = ""
    with pytest.raises(DocumentError) as caught:
        read_deal(Fields(table, "deal"))
    assert [fault.split(":")[0] for fault in caught.value.faults] == ["deal.legs[0].side", "deal.legs[2].product"]


def test_a_position_shows_exact_volumes() -> None:
    bought = deal("D2", legs=(leg(side=Side.BUY, volume=Quantity(Decimal("0.1"), "MWh"), last=date(2026, 3, 1)),))
    netted = net([replace(deal(legs=(leg(last=date(2026, 3, 1)),))), bought], calendars=CALENDARS)
    assert USD.unit == "MWh"
    assert position_json(netted.rows[0]) == {
        "book": "north",
        "product": "gas",
        "place": "TTF",
        "start_us": 1772319600000000,
        "end_us": 1772406000000000,
        "unit": "MWh",
        "bought": "0.100000",
        "sold": "1000.000000",
        "expected": "0",
        "net": "-999.900000",
        "open": "-999.900000",
    }
