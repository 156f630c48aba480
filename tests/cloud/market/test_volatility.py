"""Volatility: EWMA, realised, Samuelson's term structure against direct integration, and what relative returns refuse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.market import history, volatility
from cloud.market.errors import HistoryTooShort, MarketError
from cloud.market.factors import Factors, Forward, Kind

MODEL = Factors(("short", "long"), np.array([1.5, 0.0]), np.array([0.3, 0.15]), np.array([[1, 0.3], [0.3, 1.0]]))


@given(st.floats(0, 1), st.floats(0, 2), st.floats(-2, 2))
def test_ewma_lies_between_the_old_volatility_and_the_return(decay: float, old: float, change: float) -> None:
    low, high = sorted((old, abs(change)))
    assert low * (1 - 1e-9) - 1e-150 <= volatility.ewma_update(old, change, decay) <= high * (1 + 1e-9) + 1e-150


def test_ewma_path_ends_in_the_weighted_sum() -> None:
    changes = np.random.default_rng(1).normal(0, 0.02, 50)
    path = volatility.ewma(changes, 0.94, 0.01)
    weights = 0.06 * 0.94 ** np.arange(49, -1, -1)
    assert path[-1] ** 2 == pytest.approx(weights @ changes**2 + 0.94**50 * 0.01**2)


def test_ewma_covariance_has_the_ewma_variances_and_is_semidefinite() -> None:
    changes = np.random.default_rng(2).normal(0, 0.02, (300, 4))
    covariance = volatility.ewma_covariance(changes, 0.97)
    assert np.linalg.eigvalsh(covariance)[0] > 0
    weights = 0.97 ** np.arange(299, -1, -1)
    assert covariance[1, 1] == pytest.approx(weights @ changes[:, 1] ** 2 / weights.sum())


def test_realised_volatility_of_simulated_prices_is_recovered() -> None:
    prices = 50 * np.exp(np.cumsum(np.random.default_rng(3).normal(0, 0.32 / np.sqrt(252), 20_000)))
    assert volatility.realised(prices, Kind.LOGNORMAL) == pytest.approx(0.32, rel=0.02)


def test_relative_returns_of_a_negative_price_are_refused_and_differences_are_not() -> None:
    wti = history.load_history("wti")
    with pytest.raises(MarketError, match=r"-36\.98"):
        volatility.realised(wti.prices, Kind.LOGNORMAL)
    assert volatility.realised(wti.prices, Kind.NORMAL) > 0


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_prices_are_refused(count: int) -> None:
    with pytest.raises(HistoryTooShort):
        volatility.realised(np.ones(count), Kind.NORMAL)


def test_volatility_rises_towards_delivery_and_ends_at_the_long_factor() -> None:
    curve = volatility.instantaneous(MODEL, np.ones(2), np.array([0.0, 0.5, 1.0, 50.0]))
    assert (np.diff(curve) < 0).all()
    assert curve[0] == pytest.approx(np.sqrt(0.3**2 + 0.15**2 + 2 * 0.3 * 0.3 * 0.15))
    assert curve[-1] == pytest.approx(0.15)


def test_average_volatility_is_the_integral_of_the_instantaneous() -> None:
    forward = Forward(np.array([50.0]), np.ones(2), Kind.LOGNORMAL)
    middles = (np.arange(20_000) + 0.5) / 20_000 * 0.75
    squared = volatility.instantaneous(MODEL, np.ones(2), 1.0 - middles) ** 2
    assert volatility.average(MODEL, forward, np.array([1.0]), 0.75)[0] == pytest.approx(np.sqrt(squared.mean()), rel=1e-7)
    with pytest.raises(MarketError, match="time above zero"):
        volatility.average(MODEL, forward, np.array([0.0]))
