"""Hedges of section 2.4 and their closed forms (2.5 of the specification)."""

import numpy as np
import pytest

from cloud.risk.errors import Floats, RiskError
from cloud.risk.hedge import Hedge, min_cvar_hedge, min_variance, min_variance_hedge, normal_product, outcome
from cloud.risk.measures import expected_shortfall
from cloud.risk.supply import assess
from tests.cloud.risk.supply_books import book, paths, sale


def test_normal_price_and_volume_have_the_closed_moments_and_hedge() -> None:
    mean, variance, covariance = normal_product(80.0, 1000.0, 12.0, 150.0, -0.4)
    assert (mean, variance) == (pytest.approx(79280.0), pytest.approx(176558400.0))
    assert -min_variance(144.0, covariance) == pytest.approx([600.0])  # SUP-01


def test_simulated_normal_price_and_volume_agree_with_the_closed_form() -> None:
    count, rho = 400_000, -0.4
    one, two = np.random.default_rng(1).standard_normal((2, count))
    price, volume = 80 + 12 * one, 1000 + 150 * (rho * one + np.sqrt(1 - rho**2) * two)
    x = price * volume
    mean, variance, covariance = normal_product(80.0, 1000.0, 12.0, 150.0, rho)
    assert abs(x.mean() - mean) < 3 * x.std() / np.sqrt(count)
    assert x.var() == pytest.approx(variance, rel=0.01)
    found = min_variance_hedge(x, price[:, None], [80.0])
    residual = (x + found.volume[0] * price).std() / 12
    assert abs(found.volume[0] + covariance / 144) < 3 * residual / np.sqrt(count)


def test_lognormal_price_and_volume_have_the_closed_hedge() -> None:
    count, sp, sq, rho, forward, mean_q = 1_000_000, 0.3, 0.2, -0.4, 80.0, 1000.0
    one, two = np.random.default_rng(2).standard_normal((2, count))
    price = forward * np.exp(sp * one - sp**2 / 2)
    volume = mean_q * np.exp(sq * (rho * one + np.sqrt(1 - rho**2) * two) - sq**2 / 2)
    found = min_variance_hedge(price * volume, price[:, None], [forward])
    quanto = np.exp(rho * sp * sq)
    closed = mean_q * (np.exp(sp**2 + 2 * rho * sp * sq) - quanto) / (np.exp(sp**2) - 1)
    assert -found.volume[0] == pytest.approx(closed, rel=0.005)


def test_min_variance_is_better_than_its_neighbours_and_survives_a_dead_price() -> None:
    rng = np.random.default_rng(3)
    prices = 50 + rng.standard_normal((5000, 3)) @ np.diag([5.0, 2.0, 0.0])
    x = -30 * prices[:, 0] + 8 * prices[:, 1] + rng.standard_normal(5000)
    found = min_variance_hedge(x, prices, np.full(3, 50.0))
    assert found.volume == pytest.approx([30.0, -8.0, 0.0], abs=0.1)
    best = (x + prices @ found.volume).var()
    for nudge in 0.5 * np.eye(3)[:2]:
        assert (x + prices @ (found.volume + nudge)).var() > best < (x + prices @ (found.volume - nudge)).var()


def skewed(seed: int, count: int = 2500) -> tuple[Floats, Floats]:
    """An index of outages that comes with dear prices, so that the tail wants more cover than the variance does."""
    rng = np.random.default_rng(seed)
    out = rng.random(count) < 0.05
    price = 80 + 8 * rng.standard_normal((count, 1)) + 30 * out[:, None]
    return -100 * (price[:, 0] - 80) * (1 + 2 * out), price


def test_min_cvar_improves_es_on_paths_it_has_not_seen() -> None:
    x, price = skewed(1)
    found = min_cvar_hedge(x, price, [80.0], limit=1000.0, level=0.95)
    fresh, moved = skewed(2, 50_000)
    again = outcome(fresh, moved - 80.0, found.volume, 0.95)
    assert again.es_after < 0.5 * again.es_before
    assert found.es_after <= min_variance_hedge(x, price, [80.0], 0.95).es_after + 1e-6


def test_min_cvar_is_the_best_volume_of_a_fine_grid() -> None:
    x, price = skewed(3)
    found = min_cvar_hedge(x, price, [80.0], limit=1000.0, level=0.95)
    moves = price[:, 0] - 80
    costs = [expected_shortfall((x + h * moves).mean() - x - h * moves, 0.95) for h in np.linspace(0, 400, 401)]
    assert found.es_after <= min(costs) + 1e-6


def test_limits_costs_and_budget_bind() -> None:
    x, price = skewed(1)
    free = min_cvar_hedge(x, price, [80.0], limit=1000.0, level=0.95).volume[0]
    assert min_cvar_hedge(x, price, [80.0], limit=50.0, level=0.95).volume[0] == pytest.approx(50.0)
    assert min_cvar_hedge(x, price, [80.0], limit=1000.0, level=0.95, cost=1e6).volume[0] == pytest.approx(0.0, abs=1e-6)
    bounded = min_cvar_hedge(x, price, [80.0], limit=1000.0, level=0.95, cost=0.1, budget=2.0)
    assert abs(bounded.volume[0]) * 0.1 == pytest.approx(2.0) == bounded.cost
    assert free > 50


def test_forwards_barely_cut_the_var_of_an_outage_driven_book_and_the_report_says_so() -> None:
    """The order of magnitude of section 2.4: 5 units, a year of days, a share of the VaR that is well below 10 %."""
    found = paths(4000, buckets=60, units=5, outage=0.05)
    calm = {"oil": type(found.prices["oil"])(np.array([80.0, 82.0]), np.array([0.02, 0.02]), found.prices["oil"].shocks)}
    found = type(found)(found.units, found.delivered, found.nameplate, found.period, found.discount, calm)
    result = assess(book(found, sale(found, share=0.95, penalty=0.1)))
    hedged = min_variance_hedge(result.pnl, result.prices["oil"], calm["oil"].forward)
    assert 0.9 < hedged.left <= 1.01
    assert "not hedged by forwards" in hedged.statement


def test_shapes_that_do_not_fit_and_prices_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(RiskError):
        min_variance_hedge(np.ones(3), np.ones((4, 1)), [1.0])
    with pytest.raises(RiskError):
        min_cvar_hedge(np.ones(2), np.array([[np.nan], [1.0]]), [1.0], limit=1.0)


def test_forwards_that_raise_the_tail_say_so() -> None:
    plain = Hedge(np.zeros(1), 0.99, 100.0, 95.0, 1.0, 1.0, 0.0)
    assert plain.statement == "forwards leave 95.0% of the 99.0% VaR; that part comes from volume and is not hedged by forwards"
    assert "raise the 99.0% VaR by 19.0%" in Hedge(np.zeros(1), 0.99, 100.0, 119.0, 1.0, 1.0, 0.0).statement
