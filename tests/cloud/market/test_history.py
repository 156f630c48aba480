"""Shipped history: what it holds, and that a cut never sees the future."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.market import history
from cloud.market.errors import HistoryTooShort, MarketError
from cloud.market.periods import DAY_US, midnight_us


@pytest.mark.parametrize(("name", "count", "unit"), [("wti", 9072, "bbl"), ("brent", 8789, "bbl"), ("henry_hub", 6282, "MMBtu")])
def test_shipped_series_load_whole_with_unit_and_source(name: str, count: int, unit: str) -> None:
    series = history.load_history(name)
    assert (len(series.prices), series.unit, series.currency) == (count, unit, "USD")
    assert "Energy Information Administration" in series.source


def test_negative_price_of_april_2020_is_kept() -> None:
    wti = history.load_history("wti")
    assert wti.prices[wti.days == np.datetime64("2020-04-20")] == [-36.98]


def test_price_of_a_day_is_known_from_the_next_midnight() -> None:
    wti = history.load_history("wti")
    midnight = midnight_us(date(2020, 4, 21))
    assert wti.cut(midnight).days[-1] == np.datetime64("2020-04-20")
    assert wti.cut(midnight - 1).days[-1] == np.datetime64("2020-04-17")


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 60 * 365 * DAY_US))
def test_cut_never_sees_a_day_that_is_not_over(as_of_us: int) -> None:
    seen = history.load_history("brent").cut(as_of_us)
    assert (((seen.days.astype(np.int64) + 1) * DAY_US) <= as_of_us).all()


def test_window_has_the_asked_length_or_is_refused() -> None:
    wti = history.load_history("wti")
    assert len(wti.window(midnight_us(date(2015, 1, 1)), 250).prices) == 250
    with pytest.raises(HistoryTooShort):
        wti.window(midnight_us(date(1986, 2, 1)), 250)


def test_align_keeps_the_common_days() -> None:
    wti, brent = history.load_history("wti"), history.load_history("brent")
    days, prices = history.align(wti, brent)
    assert prices.shape == (len(days), 2)
    assert prices[0, 0] == wti.prices[wti.days == days[0]][0]


def test_prices_that_are_not_finite_and_unknown_series_are_refused() -> None:
    with pytest.raises(MarketError, match="finite"):
        history.History("x", "y", "USD", "bbl", np.array(["2020-01-01"], dtype="datetime64[D]"), np.array([np.nan]), "test")
    with pytest.raises(MarketError, match="henry_hub"):
        history.load_history("gold")
