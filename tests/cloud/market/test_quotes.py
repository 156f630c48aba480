"""Quotes: malformed ones are refused, future and stale ones come back beside the usable ones."""

from dataclasses import replace
from decimal import Decimal

import pytest

from cloud.market import quotes
from cloud.market.errors import QuoteError
from cloud.market.periods import HOUR_US, months
from cloud.market.quotes import Quote, Unusable

NOW = months(2024, 1).start_us
GOOD = Quote("WTI", "Cushing", months(2024, 3), Decimal("-37.63"), "USD", "bbl", NOW)


@pytest.mark.parametrize(
    "wrong",
    [{"price": Decimal("NaN")}, {"price": Decimal("Infinity")}, {"price": 70.0}, {"currency": "usd"}, {"currency": "US"}, {"unit": " "}],
    ids=str,
)
def test_malformed_quote_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(QuoteError):
        replace(GOOD, **wrong)


def test_future_stale_and_delivered_quotes_come_back_with_their_reason() -> None:
    ahead, old = replace(GOOD, as_of_us=NOW + 1), replace(GOOD, as_of_us=NOW - HOUR_US - 1)
    on_edge, over = replace(GOOD, as_of_us=NOW - HOUR_US), replace(GOOD, period=months(2023, 12))
    kept, refused = quotes.usable([GOOD, ahead, old, on_edge, over], NOW, HOUR_US)
    assert kept == (GOOD, on_edge)
    assert [(one.quote, one.reason) for one in refused] == [(ahead, Unusable.FUTURE), (old, Unusable.STALE), (over, Unusable.DELIVERED)]


def test_latest_keeps_the_most_recent_quote_of_each_period() -> None:
    newer, other = replace(GOOD, as_of_us=NOW + 5, price=Decimal(1)), replace(GOOD, period=months(2024, 4))
    assert quotes.latest([newer, GOOD, other]) == (newer, other)
