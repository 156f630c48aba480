"""Trading days and expiries from the shipped slice, against published dates and against the exchange rules."""

from datetime import date

import pytest

from cloud.market import calendars
from cloud.market.calendars import Contract, Roll, Source
from cloud.market.errors import MarketError

NYMEX = calendars.load_calendar("nymex")


def test_shipped_holidays_and_weekends_are_no_trading_days() -> None:
    assert not NYMEX.is_trading_day(date(2024, 12, 25))
    assert not NYMEX.is_trading_day(date(2024, 6, 1))
    assert NYMEX.is_trading_day(date(2024, 12, 24))


def test_modified_following_stays_in_the_month() -> None:
    saturday = date(2024, 8, 31)
    assert NYMEX.roll(saturday, Roll.FOLLOWING) == date(2024, 9, 3)  # Labor Day is the 2nd
    assert NYMEX.roll(saturday, Roll.MODIFIED_FOLLOWING) == date(2024, 8, 30)
    assert NYMEX.roll(saturday, Roll.PRECEDING) == date(2024, 8, 30)


def test_days_and_count_and_shift_agree() -> None:
    days = NYMEX.trading_days(date(2024, 1, 1), date(2025, 1, 1))
    assert len(days) == NYMEX.count(date(2024, 1, 1), date(2025, 1, 1))
    assert NYMEX.shift(days[0].item(), len(days) - 1) == days[-1].item()


def test_day_beyond_the_shipped_holidays_is_refused_not_guessed() -> None:
    with pytest.raises(MarketError, match="known from"):
        NYMEX.is_trading_day(date(2031, 7, 4))
    assert calendars.WEEKENDS.is_trading_day(date(2031, 7, 4))


def test_unknown_calendar_is_refused() -> None:
    with pytest.raises(MarketError, match="nymex"):
        calendars.load_calendar("eex")


@pytest.mark.parametrize(
    ("contract", "month", "last"),
    [
        (Contract.WTI, (2020, 5), date(2020, 4, 21)),
        (Contract.BRENT, (2020, 6), date(2020, 4, 30)),
        (Contract.BRENT, (2023, 8), date(2023, 6, 30)),
        (Contract.BRENT, (2016, 2), date(2016, 1, 14)),
        (Contract.HENRY_HUB, (2021, 3), date(2021, 2, 24)),
    ],
    ids=["WTI May 2020", "Brent June 2020", "Brent August 2023", "Brent before the change", "Henry Hub March 2021"],
)
def test_last_trade_days_are_the_published_ones(contract: Contract, month: tuple[int, int], last: date) -> None:
    found = calendars.expiry(contract, *month)
    assert (found.last_trade, found.source) == (last, Source.TABLE)


@pytest.mark.parametrize(
    ("contract", "first", "exceptions"),
    [
        (Contract.WTI, 2013, 0),
        (Contract.HENRY_HUB, 2012, 0),
        (Contract.RBOB, 2011, 0),
        (Contract.ULSD, 2011, 0),
        (Contract.BRENT, 2017, 3),
    ],
)
def test_rule_gives_the_table_where_both_are_known(contract: Contract, first: int, exceptions: int) -> None:
    """Brent: three last days of a month on which the shipped holidays and the table disagree (London bank holidays, 2021-12-31)."""
    months = [(year, month) for year in range(first, 2026) for month in range(1, 13)]
    different = [month for month in months if calendars.expiry(contract, *month).last_trade != calendars.rule_last_trade(contract, *month)]
    assert len(different) <= exceptions


def test_rule_is_used_and_named_where_the_table_ends() -> None:
    found = calendars.expiry(Contract.HENRY_HUB, 2034, 1, calendars.WEEKENDS)
    assert (found.last_trade, found.source) == (date(2033, 12, 28), Source.RULE)
    assert calendars.expiry(Contract.BRENT, 2034, 2, calendars.WEEKENDS).last_trade == date(2033, 12, 29)
    with pytest.raises(MarketError, match="known from"):
        calendars.expiry(Contract.HENRY_HUB, 2034, 1)
    with pytest.raises(MarketError, match="no rule"):
        calendars.expiry(Contract.GASOIL, 2034, 1)


def test_front_contract_rolls_the_day_after_its_last_trade() -> None:
    assert calendars.front(Contract.WTI, date(2020, 4, 21)).last_trade == date(2020, 4, 21)
    following = calendars.front(Contract.WTI, date(2020, 4, 22))
    assert following == calendars.expiry(Contract.WTI, 2020, 6)
    assert calendars.front(Contract.WTI, date(2020, 4, 21), nearby=2) == following
