"""The way through the area: history to factors and seasons, quotes to a shaped curve, both to scenarios."""

from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from cloud.market import curves, estimation, factors, history, seasons
from cloud.market.factors import Forward, Kind
from cloud.market.periods import Granularity, midnight_us, months, split, years_to
from cloud.market.quotes import Quote

AS_OF = midnight_us(date(2021, 10, 1))


def test_history_quotes_and_seasons_become_scenarios_around_the_curve() -> None:
    gas = history.load_history("henry_hub").cut(AS_OF)
    by_month = seasons.monthly(gas.days, gas.prices)
    buckets = split(months(2022, 1, 12), Granularity.MONTH)
    quotes = [
        Quote(gas.product, gas.place, months(2022, first, 3), Decimal(price), gas.currency, gas.unit, AS_OF)
        for first, price in ((1, "5.6"), (4, "4.1"), (7, "4.0"), (10, "4.2"))
    ]
    curve = curves.build(quotes, curves.Grid(buckets, shape=seasons.shape(buckets, "UTC", by_month)), AS_OF)
    fit = estimation.mean_reversion(gas.window(AS_OF, 1500).prices, 1 / 252, Kind.LOGNORMAL)
    model = fit.factors("gas")
    years = years_to(buckets, AS_OF)
    draws = factors.normals(model, len(buckets), 20_000, np.random.default_rng(1))
    prices = factors.prices(model, Forward(curve.prices, np.ones(1), Kind.LOGNORMAL), years, factors.simulate(model, years, draws))

    assert [curve.price(quote.period) for quote in quotes] == pytest.approx([5.6, 4.1, 4.0, 4.2], abs=1e-9)
    error = prices.std(axis=0) / np.sqrt(len(prices))
    assert (np.abs(prices.mean(axis=0) - curve.prices) < 4.5 * error).all()
    assert (prices > 0).all()
