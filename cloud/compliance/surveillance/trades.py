"""Trades that change nothing: wash trades (one owner on both sides) and round trips (back to the first seller over one or two others).

MAR art. 12, CEA 4c(a). Not looked at: crossed give-ups and internal transfers (leave those rows out), owners with a duty to make a
market (`exempt`). Bounds are inclusive.
"""

import numpy as np

from cloud.compliance.surveillance.columns import UNKNOWN, Alert, Bools, Floats, Ints, Pattern, Trades, joined, key, ordered
from cloud.compliance.surveillance.definitions import RoundTrip, Wash

_ROUNDING = 1e-9  # of a percentage: prices are decimal, their differences are not exact


def wash_trades(trades: Trades, wash: Wash) -> tuple[Alert, ...]:
    same = np.flatnonzero((trades.buyer == trades.seller) & (trades.buyer != UNKNOWN))
    alone = [_alert(Pattern.WASH_TRADE, trades, int(trades.buyer[row]), (int(row),)) for row in same]
    return ordered([*alone, *_apart(trades, wash)])


def _apart(trades: Trades, wash: Wash) -> list[Alert]:
    """Where each side is reported by itself: a purchase and a sale of one owner, of one quantity, close in time and price."""
    bought = np.flatnonzero((trades.seller == UNKNOWN) & (trades.buyer != UNKNOWN))
    sold = np.flatnonzero((trades.buyer == UNKNOWN) & (trades.seller != UNKNOWN))
    found: list[Alert] = []
    for first, first_owner, second, second_owner, later in (
        (bought, trades.buyer, sold, trades.seller, False),
        (sold, trades.seller, bought, trades.buyer, True),
    ):
        both = np.concatenate((first, second))
        keys = key(np.concatenate((first_owner[first], second_owner[second])), trades.instrument[both])
        times = trades.time_us[both]
        left, right = joined((keys[: first.size], times[: first.size]), (keys[first.size :], times[first.size :]), wash.within_us)
        one, other = first[left], second[right]
        kept = (trades.quantity[one] == trades.quantity[other]) & _near(trades.price, one, other, wash.price_pct)
        if later:  # equal times were paired the other way round already
            kept &= trades.time_us[other] > trades.time_us[one]
        found += [
            _alert(Pattern.WASH_TRADE, trades, int(first_owner[a]), (int(a), int(b))) for a, b in zip(one[kept], other[kept], strict=True)
        ]
    return found


def round_trips(trades: Trades, trip: RoundTrip, exempt: frozenset[int] = frozenset()) -> tuple[Alert, ...]:
    rows = np.flatnonzero((trades.buyer != UNKNOWN) & (trades.seller != UNKNOWN) & (trades.buyer != trades.seller))
    rows = rows[~np.isin(trades.seller[rows], list(exempt)) & ~np.isin(trades.buyer[rows], list(exempt))]
    return ordered([*_there_and_back(trades, rows, trip), *_over_a_third(trades, rows, trip)])


def _there_and_back(trades: Trades, rows: Ints, trip: RoundTrip) -> list[Alert]:
    owners = int(max(trades.buyer.max(initial=0), trades.seller.max(initial=0))) + 1
    there = (trades.instrument[rows] * owners + trades.buyer[rows]) * owners + trades.seller[rows]
    back = (trades.instrument[rows] * owners + trades.seller[rows]) * owners + trades.buyer[rows]
    times = trades.time_us[rows]
    left, right = joined((there, times), (back, times), trip.within_us)
    one, other = rows[left], rows[right]
    kept = _alike(trades, one, other, trip) & _after(trades, one, other)
    return [
        _alert(Pattern.ROUND_TRIP, trades, int(trades.seller[a]), (int(a), int(b))) for a, b in zip(one[kept], other[kept], strict=True)
    ]


def _over_a_third(trades: Trades, rows: Ints, trip: RoundTrip) -> list[Alert]:
    owners = int(max(trades.buyer.max(initial=0), trades.seller.max(initial=0))) + 1
    times = trades.time_us[rows]
    received = trades.instrument[rows] * owners + trades.buyer[rows]
    given = trades.instrument[rows] * owners + trades.seller[rows]
    left, right = joined((received, times), (given, times), trip.within_us)
    one, two = rows[left], rows[right]
    onward = _alike(trades, one, two, trip) & _after(trades, one, two) & (trades.buyer[two] != trades.seller[one])
    one, two = one[onward], two[onward]
    wanted = (trades.instrument[one] * owners + trades.buyer[two]) * owners + trades.seller[one]
    closing = (trades.instrument[rows] * owners + trades.seller[rows]) * owners + trades.buyer[rows]
    pair, last = joined((wanted, trades.time_us[two]), (closing, times), trip.within_us)
    one, two, three = one[pair], two[pair], rows[last]
    kept = _alike(trades, one, three, trip) & _after(trades, two, three) & (trades.time_us[three] - trades.time_us[one] <= trip.within_us)
    return [
        _alert(Pattern.ROUND_TRIP, trades, int(trades.seller[a]), (int(a), int(b), int(c)))
        for a, b, c in zip(one[kept], two[kept], three[kept], strict=True)
    ]


def _after(trades: Trades, one: Ints, other: Ints) -> Bools:
    """Later, or at the same time further down."""
    first, second = trades.time_us[one], trades.time_us[other]
    after: Bools = (second > first) | ((second == first) & (other > one))
    return after


def _alike(trades: Trades, one: Ints, other: Ints, trip: RoundTrip) -> Bools:
    return _near(trades.price, one, other, trip.price_pct) & _near(trades.quantity, one, other, trip.quantity_pct)


def _near(column: Floats, one: Ints, other: Ints, percent: float) -> Bools:
    """Of the larger of both, so that it does not matter which came first."""
    larger = np.maximum(np.abs(column[one]), np.abs(column[other]))
    near: Bools = 100 * np.abs(column[other] - column[one]) <= larger * (percent + _ROUNDING)
    return near


def _alert(pattern: Pattern, trades: Trades, owner: int, members: tuple[int, ...]) -> Alert:
    times = trades.time_us[list(members)]
    prices = trades.price[list(members)]
    measures = (("seconds", float(times.max() - times.min()) / 1e6), ("price difference", float(prices.max() - prices.min())))
    return Alert(pattern, owner, int(trades.instrument[members[0]]), int(times.min()), int(times.max()), members, measures)
