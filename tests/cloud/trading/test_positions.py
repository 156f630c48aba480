from datetime import date, timedelta
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.trading.deals import Cause, Deal, DeliveryCalendar, Granularity, Kind, Leg, Quantity, Side
from cloud.trading.positions import Key, Line, as_float64, lines, net
from tests.cloud.trading.agreements import deal, leg
from tests.cloud.trading.test_deals import OPTION

SIDES = st.sampled_from(list(Side))
VOLUMES = st.decimals(min_value=0, max_value=10**9, places=7, allow_nan=False)


@st.composite
def books(draw: st.DrawFn) -> list[Deal]:
    count = draw(st.integers(0, 6))
    return [
        deal(
            f"D{index}", legs=(leg(side=draw(SIDES), volume=Quantity(draw(VOLUMES), "MWh"), last=date(2026, 3, draw(st.integers(1, 31)))),)
        )
        for index in range(count)
    ]


@settings(max_examples=40)
@given(books(), books())
def test_netting_is_additive_and_loses_no_digit(one: list[Deal], other: list[Deal]) -> None:
    both, left, right = net(one + other), net(one), net(other)
    assert _total(both.rows) == _total(left.rows) + _total(right.rows) == sum(map(_signed, one + other))
    by_key = {row.key: row.net for row in left.rows}
    for row in right.rows:
        by_key[row.key] = by_key.get(row.key, Decimal(0)) + row.net
    assert by_key == {row.key: row.net for row in both.rows}


@settings(max_examples=20)
@given(books(), st.randoms())
def test_the_order_of_deals_does_not_matter(book: list[Deal], random: object) -> None:
    shuffled = list(book)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert net(shuffled) == net(book)


PERIODS = st.tuples(st.dates(date(2026, 1, 1), date(2027, 3, 31)), st.integers(0, 100))


@st.composite
def legs(draw: st.DrawFn) -> Leg:
    first, length = draw(PERIODS)
    volume = Quantity(draw(VOLUMES | st.just(Decimal(10) ** 20)), "MWh")
    granularity, zone = draw(st.sampled_from(Granularity)), draw(st.sampled_from(["UTC", "Europe/Berlin"]))
    return leg(side=draw(SIDES), volume=volume, first=first, last=first + timedelta(days=length), granularity=granularity, zone=zone)


@settings(max_examples=40, deadline=None)
@given(st.lists(legs(), max_size=5))
def test_positions_are_the_sum_of_the_lines_of_every_deal(drawn: list[Leg]) -> None:
    calendars = {("gas", "TTF"): DeliveryCalendar(date(2026, 1, 1), date(2027, 12, 31), frozenset({date(2026, 5, 1)}))}
    closed = [one for one in drawn if (one.first, one.last) != (date(2026, 5, 1), date(2026, 5, 1))]
    book = [deal(f"D{number}", legs=(one,)) for number, one in enumerate(closed)]
    expected: dict[Key, Decimal] = {}
    with localcontext(prec=60):
        for line in (line for one in book for line in lines(one, calendars)):
            expected[line.key] = expected.get(line.key, Decimal(0)) + line.volume
    assert {row.key: row.net for row in net(book, calendars=calendars).rows} == expected


def test_days_without_delivery_between_two_deals_have_no_row() -> None:
    late = leg(first=date(2026, 12, 1), last=date(2026, 12, 2))
    early = leg(first=date(2026, 2, 1), last=date(2026, 2, 1))
    rows = net([deal(legs=(leg(last=date(2026, 3, 1)),)), deal("D2", legs=(late,)), deal("D3", legs=(early,))]).rows
    assert [row.net for row in rows] == [-1000, -1000, -500, -500]


def test_expected_production_stands_beside_sales() -> None:
    sale = deal(legs=(leg(last=date(2026, 3, 1)),))
    (line,) = lines(sale)
    (row,) = net([sale], [Line(line.key, Decimal(950), "MWh", expected=True)]).rows
    assert (row.sold, row.expected, row.net, row.open) == (1000, 950, -1000, -50)


def test_a_deal_in_another_unit_is_listed_and_the_rest_netted() -> None:
    other = leg(volume=Quantity(Decimal(1), "bbl"))
    found = net([deal("A"), deal("B", legs=(other,)), deal("C")])
    assert [(fault.deal_id, fault.cause) for fault in found.faults] == [("B", Cause.UNIT_MISMATCH)]
    assert _total(found.rows) == -2000


def test_an_impossible_zone_is_listed_and_the_rest_netted() -> None:
    found = net([deal("A", legs=(leg(zone="Mars"),)), deal("B")])
    assert [fault.deal_id for fault in found.faults] == ["A"]
    assert _total(found.rows) == -1000


def test_closed_days_have_no_position() -> None:
    closed = {("gas", "TTF"): DeliveryCalendar(date(2026, 1, 1), date(2026, 12, 31), frozenset({date(2026, 3, 7)}))}
    rows = net([deal()], calendars=closed).rows
    assert rows[6].net == 0
    assert _total(rows) == -1000


def test_options_and_financial_legs_are_no_volume() -> None:
    assert lines(deal(kind=Kind.OPTION, option=OPTION)) == ()
    assert lines(deal(legs=(leg(physical=False),))) == ()


def test_the_crossing_to_float64_refuses_what_is_not_finite() -> None:
    np.testing.assert_array_equal(as_float64([Decimal("0.1"), Decimal(2)]), [0.1, 2.0])
    with pytest.raises(ValueError, match="not finite"):
        as_float64([Decimal("NaN")])


def _total(rows: tuple[object, ...]) -> Decimal:
    return sum((row.net for row in rows), Decimal(0))  # type: ignore[attr-defined]


def _signed(item: Deal) -> Decimal:
    volume = item.legs[0].volume.value
    return volume if item.legs[0].side is Side.BUY else -volume
