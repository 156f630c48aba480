import pytest

from cloud.compliance.surveillance.columns import UNKNOWN, Pattern
from cloud.compliance.surveillance.trades import round_trips, wash_trades
from tests.cloud.compliance.surveillance.figures import FIGURES, S, trades

A, B, C = 0, 1, 2


def members(alerts: tuple) -> list[tuple[int, ...]]:  # type: ignore[type-arg]
    return [alert.members for alert in alerts]


def test_one_owner_on_both_sides_is_a_wash_trade() -> None:
    found = wash_trades(trades((0, A, A, 70, 50), (10, A, B, 70.01, 50), (20, C, B, 70, 50)), FIGURES.wash)
    assert [(alert.pattern, alert.owner, alert.members) for alert in found] == [(Pattern.WASH_TRADE, A, (0,))]


@pytest.mark.parametrize(
    ("second", "price", "quantity", "is_wash"),
    [
        (60, 100, 5, True),
        (60.000001, 100, 5, False),
        (0, 100.05, 5, True),
        (0, 100.06, 5, False),
        (0, 99.95, 5, True),
        (0, 100, 5.1, False),
    ],
)
def test_sides_reported_apart_are_paired_within_time_and_price(second: float, price: float, quantity: float, is_wash: bool) -> None:
    buy_first = trades((0, A, UNKNOWN, 100, 5), (second, UNKNOWN, A, price, quantity))
    sell_first = trades((0, UNKNOWN, A, 100, 5), (second, A, UNKNOWN, price, quantity))
    assert len(wash_trades(buy_first, FIGURES.wash)) == is_wash
    assert len(wash_trades(sell_first, FIGURES.wash)) == is_wash


def test_sides_of_different_owners_are_no_wash_trade() -> None:
    assert wash_trades(trades((0, A, UNKNOWN, 100, 5), (1, UNKNOWN, B, 100, 5)), FIGURES.wash) == ()


@pytest.mark.parametrize(
    ("second", "price", "quantity", "is_trip"),
    [
        (60, 100, 100, True),
        (60.000001, 100, 100, False),
        (1, 99.9, 100, True),
        (1, 99.89, 100, False),
        (1, 100.11, 100, False),
        (1, 100, 98, True),
        (1, 100, 97.9, False),
        (1, 100, 102.1, False),
    ],
)
def test_a_sale_that_comes_back_is_a_round_trip(second: float, price: float, quantity: float, is_trip: bool) -> None:
    found = round_trips(trades((0, B, A, 100, 100), (second, A, B, price, quantity)), FIGURES.round_trip)
    assert members(found) == ([(0, 1)] if is_trip else [])


def test_a_sale_that_comes_back_over_a_third_is_a_round_trip() -> None:
    found = round_trips(trades((0, B, A, 100, 10), (20, C, B, 100, 10), (60, A, C, 100, 10)), FIGURES.round_trip)
    assert members(found) == [(0, 1, 2)]
    assert (found[0].owner, found[0].first_us, found[0].last_us) == (A, 0, 60 * S)
    assert round_trips(trades((0, B, A, 100, 10), (20, C, B, 100, 10), (61, A, C, 100, 10)), FIGURES.round_trip) == ()


def test_an_owner_with_a_duty_to_make_a_market_is_left_out() -> None:
    rows = trades((0, B, A, 100, 10), (1, A, B, 100, 10))
    assert round_trips(rows, FIGURES.round_trip, frozenset({B})) == ()


def test_the_same_trades_give_the_same_alerts_in_any_order_of_rows() -> None:
    rows = [(0.0, B, A, 100.0, 10.0), (20.0, C, B, 100.0, 10.0), (60.0, A, C, 100.0, 10.0), (70.0, C, A, 100.0, 10.0)]
    one = round_trips(trades(*rows), FIGURES.round_trip)
    other = round_trips(trades(*reversed(rows)), FIGURES.round_trip)
    assert [(alert.owner, alert.first_us, alert.last_us) for alert in one] == [
        (alert.owner, alert.first_us, alert.last_us) for alert in other
    ]
    assert len(one) == 2


def test_no_trades_give_no_alerts() -> None:
    assert wash_trades(trades(), FIGURES.wash) == ()
    assert round_trips(trades(), FIGURES.round_trip) == ()
