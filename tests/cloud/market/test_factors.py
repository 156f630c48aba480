"""Factor models: the simulated mean is the curve, variances are the closed form, correlations are recovered, bad matrices are named."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.market import correlation, factors
from cloud.market.errors import MarketError, NotPositiveSemidefinite
from cloud.market.factors import Factors, Forward, Kind
from cloud.market.schwartz_smith import SchwartzSmith

YEARS = np.array([0.0, 0.1, 0.1, 0.5, 1.0, 2.0])


def two(rho: float = 0.3, scale: float = 1.0) -> Factors:
    return Factors(("short", "long"), np.array([1.5, 0.0]), scale * np.array([0.3, 0.15]), np.array([[1, rho], [rho, 1.0]]))


def simulated(model: Factors, forward: Forward, scenarios: int, seed: int, horizon: float | None = None) -> np.ndarray:
    draws = factors.normals(model, len(YEARS), scenarios, np.random.default_rng(seed))
    return factors.prices(model, forward, YEARS, factors.simulate(model, YEARS, draws, horizon), horizon)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(list(Kind)), st.floats(-0.95, 0.95), st.one_of(st.none(), st.floats(0.05, 3)), st.integers(0, 2**32))
def test_mean_of_simulated_prices_is_the_curve_and_variance_the_closed_form(
    kind: Kind, rho: float, horizon: float | None, seed: int
) -> None:
    level = np.array([50.0, 52, 51, -5 if kind is Kind.NORMAL else 5, 60, 55])
    model = two(rho, 1.0 if kind is Kind.LOGNORMAL else 30.0)
    forward = Forward(level, np.ones(2), kind, np.linspace(0.8, 1.2, 6))
    prices = simulated(model, forward, 20_000, seed, horizon)
    error = prices.std(axis=0, ddof=1) / np.sqrt(len(prices))
    assert (np.abs(prices.mean(axis=0) - level) <= 5 * error + 1e-9).all()
    moved = np.log(prices / level) if kind is Kind.LOGNORMAL else prices
    assert np.allclose(moved.var(axis=0), factors.variance(model, forward, YEARS, horizon), rtol=0.06, atol=1e-12)


def test_normal_model_gives_negative_prices_and_lognormal_refuses_such_a_curve() -> None:
    level = np.full(6, -3.0)
    assert (simulated(two(scale=30), Forward(level, np.ones(2), Kind.NORMAL), 1000, 1)[:, 3:] < 0).any()
    with pytest.raises(MarketError, match=r"Kind\.NORMAL"):
        simulated(two(), Forward(level, np.ones(2), Kind.LOGNORMAL), 10, 1)


@settings(max_examples=10, deadline=None)
@given(st.floats(-0.95, 0.95), st.integers(0, 2**32))
def test_correlation_of_factors_is_recovered(rho: float, seed: int) -> None:
    matrix = np.array([[1, rho], [rho, 1.0]])
    model = Factors(("gas", "power"), np.zeros(2), np.array([0.4, 0.6]), matrix)
    values = factors.simulate(model, YEARS, factors.normals(model, 6, 20_000, np.random.default_rng(seed)))
    assert np.corrcoef(values[0, :, -1], values[1, :, -1])[0, 1] == pytest.approx(rho, abs=0.035)


def test_buckets_of_one_moment_move_together_and_the_present_does_not_move() -> None:
    prices = simulated(two(), Forward(np.full(6, 50.0), np.ones(2), Kind.LOGNORMAL), 100, 3)
    assert np.allclose(prices[:, 0], 50, rtol=1e-14)
    assert np.allclose(prices[:, 1], prices[:, 2])


def test_same_seed_gives_the_same_bits() -> None:
    forward = Forward(np.full(6, 50.0), np.ones(2), Kind.LOGNORMAL)
    assert simulated(two(), forward, 500, 9).tobytes() == simulated(two(), forward, 500, 9).tobytes()


def test_perfectly_correlated_factors_are_simulated_through_the_singular_matrix() -> None:
    model = Factors(("a", "b"), np.zeros(2), np.array([0.2, 0.4]), np.ones((2, 2)))
    values = factors.simulate(model, YEARS, factors.normals(model, 6, 100, np.random.default_rng(0)))
    assert np.allclose(values[1], 2 * values[0], atol=1e-6)


def test_matrix_that_is_not_positive_semidefinite_is_refused_with_its_eigenvalue() -> None:
    bad = np.array([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1.0]])
    with pytest.raises(NotPositiveSemidefinite, match="WTI") as caught:
        Factors(("WTI", "Brent", "gas"), np.zeros(3), np.ones(3), bad)
    assert caught.value.eigenvalue == pytest.approx(-0.8)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 6), st.integers(1, 8), st.integers(0, 2**32))
def test_root_of_a_true_correlation_gives_it_back(size: int, observations: int, seed: int) -> None:
    data = np.random.default_rng(seed).standard_normal((size, observations + 1))
    covariance = data @ data.T
    scale = np.sqrt(np.diag(covariance))
    matrix = covariance / np.outer(scale, scale)
    np.fill_diagonal(matrix, 1.0)
    found = correlation.root((matrix + matrix.T) / 2)
    assert np.allclose(found @ found.T, matrix, atol=1e-7)


@pytest.mark.parametrize(
    "matrix",
    [np.array([[1, 0.5], [0.4, 1]]), np.array([[1, np.nan], [np.nan, 1]]), np.array([[2, 0.0], [0, 1]]), np.ones((2, 3))],
    ids=["not symmetric", "nan", "diagonal", "not square"],
)
def test_matrix_that_is_no_correlation_is_refused(matrix: np.ndarray) -> None:
    with pytest.raises(MarketError):
        correlation.root(matrix)


def test_blended_shocks_have_the_asked_correlation_with_the_outside() -> None:
    rng = np.random.default_rng(5)
    model = two()
    outside = rng.standard_normal((50_000, 6))
    draws = factors.blend(factors.normals(model, 6, 50_000, rng), outside, -0.4)
    assert np.corrcoef(draws[0, :, 3], outside[:, 3])[0, 1] == pytest.approx(-0.4, abs=0.02)
    assert draws.std() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("kind", list(Kind))
def test_impact_of_our_outage_creates_no_value_but_lifts_outage_scenarios(kind: Kind) -> None:
    forward = Forward(np.full(6, 50.0), np.ones(2), kind)
    prices = simulated(two(scale=1.0), forward, 2000, 4)
    outage = (np.random.default_rng(6).random(prices.shape) < 0.1).astype(float)
    moved = factors.impact(prices, forward, outage, 0.5)
    assert np.allclose(moved.mean(axis=0), prices.mean(axis=0))
    assert moved[outage == 1].mean() > 1.3 * moved[outage == 0].mean()


def test_premium_shifts_the_mean_by_its_integral() -> None:
    model = two()
    values = np.zeros((2, 3, 6))
    shifted = factors.with_premium(model, values, YEARS, np.array([0.15, 0.02]))
    assert shifted[0, 0, 4] == pytest.approx(0.15 * (1 - np.exp(-1.5)) / 1.5)
    assert shifted[1, 0, 4] == pytest.approx(0.02)


def test_schwartz_smith_simulation_reprices_its_own_futures() -> None:
    model = SchwartzSmith(1.49, 0.286, 0.157, 0.0115, 0.145, 0.3)
    draws = factors.normals(model.factors(), len(YEARS), 100_000, np.random.default_rng(7))
    chi, xi = model.simulate(0.119, 2.857, YEARS, factors.simulate(model.factors(), YEARS, draws))
    spot = np.exp(chi + xi)
    error = spot.std(axis=0) / np.sqrt(len(spot))
    assert (np.abs(spot.mean(axis=0) - model.futures(0.119, 2.857, YEARS)) <= 4 * error + 1e-9).all()


@pytest.mark.parametrize("wrong", [{"kappa": 0.0}, {"rho": 1.1}, {"sigma_xi": float("nan")}], ids=str)
def test_schwartz_smith_refuses_impossible_parameters(wrong: dict[str, float]) -> None:
    good = {"kappa": 1.0, "sigma_chi": 0.3, "lambda_chi": 0.1, "mu_xi_star": 0.0, "sigma_xi": 0.1, "rho": 0.2}
    with pytest.raises(MarketError):
        SchwartzSmith(**(good | wrong))


def test_volatility_beyond_sampling_is_refused() -> None:
    with pytest.raises(MarketError, match="no sample"):
        simulated(two(scale=200), Forward(np.full(6, 50.0), np.ones(2), Kind.LOGNORMAL), 2000, 4)


@pytest.mark.parametrize("horizon", [float("nan"), -1.0, float("inf")])
def test_horizon_that_is_no_time_is_refused(horizon: float) -> None:
    with pytest.raises(MarketError, match="horizon"):
        simulated(two(), Forward(np.full(6, 50.0), np.ones(2), Kind.LOGNORMAL), 10, 1, horizon)


@pytest.mark.parametrize(
    "call",
    [
        lambda nan: factors.with_premium(two(), np.zeros((2, 3, 6)), YEARS, np.array([nan, 0])),
        lambda nan: factors.simulate(two(), YEARS, np.full((2, 3, 6), nan)),
        lambda nan: factors.simulate(two(), np.full(6, nan), np.zeros((2, 3, 6))),
        lambda nan: factors.prices(two(), Forward(np.full(6, nan), np.ones(2), Kind.NORMAL), YEARS, np.zeros((2, 3, 6))),
        lambda nan: factors.prices(two(), Forward(np.ones(6), np.ones(2), Kind.NORMAL), YEARS, np.full((2, 3, 6), nan)),
        lambda nan: factors.impact(np.full((3, 6), nan), Forward(np.ones(6), np.ones(2), Kind.NORMAL), np.zeros((3, 6)), 0.1),
        lambda nan: Factors(("a",), np.array([nan]), np.ones(1), np.ones((1, 1))),
        lambda nan: correlation.covariance_root(np.full((2, 2), nan)),
        lambda nan: SchwartzSmith(1.0, 0.3, 0.1, 0.0, 0.1, 0.2).futures(nan, 3.0, YEARS),
    ],
    ids=["premium", "draws", "years", "curve", "values", "impact", "reversion", "covariance", "state"],
)
def test_nan_is_refused_at_every_door(call: Callable[[float], object]) -> None:
    with pytest.raises(MarketError):
        call(float("nan"))
