"""Estimation: planted parameters lie within their standard errors; what cannot be estimated is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.market import estimation, factors, history
from cloud.market.errors import HistoryTooShort, MarketError
from cloud.market.factors import Kind
from cloud.market.schwartz_smith import SchwartzSmith

DAILY, WEEKLY = 1 / 252, 7 / 365
TRUE = SchwartzSmith(1.4, 0.3, 0.1, 0.01, 0.16, 0.3)
MATURITIES = np.array([1 / 12, 5 / 12, 1.0, 2.0])


def panel(rows: int, seed: int) -> np.ndarray:
    """Weekly futures of the true model under P with a long-term drift of 0.03 and quotes 0.4 % noisy."""
    rng = np.random.default_rng(seed)
    model = TRUE.factors()
    years = np.arange(1, rows + 1) * WEEKLY
    values = factors.simulate(model, years, factors.normals(model, rows, 1, rng))[:, 0]
    xi = 4.0 + 0.03 * years + values[1]
    logs = np.exp(-TRUE.kappa * MATURITIES) * values[0][:, None] + xi[:, None] + TRUE.drift(MATURITIES)
    return np.exp(logs + 0.004 * rng.standard_normal(logs.shape))


@settings(max_examples=40, deadline=None)
@given(st.floats(0.05, 20), st.floats(0.01, 2), st.floats(0.01, 2), st.floats(-0.95, 0.95), st.floats(5e-4, 0.3))
def test_steady_state_solves_the_riccati_equation(kappa: float, short: float, long: float, rho: float, noise: float) -> None:
    model = SchwartzSmith(kappa, short, 0.0, 0.0, long, rho)
    moved, shocks = np.diag([np.exp(-kappa * WEEKLY), 1.0]), model.covariance(WEEKLY)
    seen = np.column_stack([np.exp(-kappa * MATURITIES), np.ones(4)])
    found = estimation.steady_state(moved, seen, shocks, noise)
    assert found is not None
    gain = found @ seen.T @ np.linalg.inv(seen @ found @ seen.T + noise**2 * np.eye(4))
    assert np.allclose(moved @ (found - gain @ seen @ found) @ moved.T + shocks, found, rtol=1e-6, atol=1e-9 * np.abs(found).max())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_schwartz_smith_parameters_are_recovered_within_their_errors(seed: int) -> None:
    fit = estimation.schwartz_smith(panel(520, seed), MATURITIES, WEEKLY)
    planted = {"kappa": 1.4, "sigma_chi": 0.3, "mu_xi_star": 0.01, "sigma_xi": 0.16, "rho": 0.3, "growth": 0.03, "noise": 0.004}
    found = {"growth": fit.growth, "noise": fit.noise} | {name: getattr(fit.model, name) for name in list(planted)[:5]}
    for name, value in planted.items():
        error = fit.errors[name]
        assert error is not None
        assert abs(found[name] - value) < 4 * error, name
    assert fit.model.kappa == pytest.approx(1.4, rel=0.15)
    assert fit.model.sigma_xi == pytest.approx(0.16, rel=0.15)


def test_fitted_model_prices_the_last_futures() -> None:
    prices = panel(300, 4)
    fit = estimation.schwartz_smith(prices, MATURITIES, WEEKLY)
    assert np.allclose(np.log(fit.model.futures(fit.chi, fit.xi, MATURITIES) / prices[-1]), 0, atol=0.02)


def test_steady_state_likelihood_is_near_that_of_the_full_filter() -> None:
    logs = np.log(panel(400, 5))
    point = np.array([np.log(1.4), np.log(0.3), 0.1, 0.01, np.log(0.16), np.arctanh(0.3), 0.03, np.log(0.004)])
    seen = np.column_stack([np.exp(-1.4 * MATURITIES), np.ones(4)])
    moved, noise = np.diag([np.exp(-1.4 * WEEKLY), 1.0]), 0.004**2 * np.eye(4)
    state = np.linalg.lstsq(seen, logs[0] - TRUE.drift(MATURITIES), rcond=None)[0]
    spread, likelihood = 0.004**2 * np.linalg.inv(seen.T @ seen), 0.0
    for row in logs[1:]:
        state, spread = moved @ state + [0, 0.03 * WEEKLY], moved @ spread @ moved.T + TRUE.covariance(WEEKLY)
        surprise, expected = row - TRUE.drift(MATURITIES) - seen @ state, seen @ spread @ seen.T + noise
        gain = spread @ seen.T @ np.linalg.inv(expected)
        likelihood -= 0.5 * (surprise @ np.linalg.solve(expected, surprise) + np.linalg.slogdet(2 * np.pi * expected)[1])
        state, spread = state + gain @ surprise, spread - gain @ seen @ spread
    found = estimation._filter(point, logs, MATURITIES, WEEKLY)
    assert found[0] == pytest.approx(likelihood, abs=8)
    assert found[1:] == pytest.approx(tuple(state), abs=1e-6)


def test_mean_reversion_is_recovered_within_its_errors() -> None:
    rng = np.random.default_rng(6)
    values, decay = [3.0], np.exp(-4.0 * DAILY)
    deviation = np.sqrt((1 - decay**2) / 8.0) * 0.9
    for shock in rng.standard_normal(20 * 252):
        values.append(3.2 + decay * (values[-1] - 3.2) + deviation * shock)
    fit = estimation.mean_reversion(np.exp(values), DAILY, Kind.LOGNORMAL)
    assert abs(fit.reversion - 4.0) < 3 * fit.reversion_error
    assert abs(fit.level - 3.2) < 3 * fit.level_error
    assert abs(fit.volatility - 0.9) < 3 * fit.volatility_error
    same = estimation.mean_reversion(np.array(values), DAILY, Kind.NORMAL)
    assert same.reversion == pytest.approx(fit.reversion)


def test_price_that_runs_away_has_no_reversion() -> None:
    with pytest.raises(MarketError, match="no mean reversion"):
        estimation.mean_reversion(np.exp(np.linspace(0, 5, 200) ** 1.5), DAILY, Kind.LOGNORMAL)


def test_brownian_factors_recover_volatility_and_correlation() -> None:
    rng = np.random.default_rng(7)
    shocks = rng.standard_normal((2000, 2)) @ np.linalg.cholesky([[1, 0.6], [0.6, 1]]).T * np.array([0.3, 0.5]) * np.sqrt(DAILY)
    fit = estimation.brownian(("a", "b"), 50 * np.exp(np.cumsum(shocks, axis=0)), DAILY, Kind.LOGNORMAL)
    assert (np.abs(fit.factors.volatility - [0.3, 0.5]) < 4 * fit.volatility_error).all()
    assert abs(fit.factors.correlation[0, 1] - 0.6) < 4 * fit.correlation_error[0, 1]


def test_real_history_through_the_negative_price_needs_the_normal_kind() -> None:
    _, prices = history.align(history.load_history("wti"), history.load_history("brent"))
    with pytest.raises(MarketError, match="Kind"):
        estimation.brownian(("WTI", "Brent"), prices, DAILY, Kind.LOGNORMAL)
    fit = estimation.brownian(("WTI", "Brent"), prices[-750:], DAILY, Kind.NORMAL, decay=0.99)
    assert np.isfinite(fit.factors.volatility).all()
    assert 0.3 < fit.factors.correlation[0, 1] < 1


def test_short_histories_are_refused_with_the_length_needed() -> None:
    with pytest.raises(HistoryTooShort, match="at least 100"):
        estimation.schwartz_smith(panel(60, 1), MATURITIES, WEEKLY)
    with pytest.raises(HistoryTooShort):
        estimation.mean_reversion(np.ones(20), DAILY, Kind.NORMAL)
    with pytest.raises(HistoryTooShort, match="effective"):
        estimation.brownian(("a",), np.arange(1.0, 500)[:, None], DAILY, Kind.NORMAL, decay=0.9)


@pytest.mark.parametrize(
    ("futures", "maturities"),
    [(np.full((200, 2), np.nan), MATURITIES[:2]), (-np.ones((200, 2)), MATURITIES[:2]), (np.ones((200, 2)), np.array([1.0, 1.0]))],
    ids=["missing", "negative", "one maturity"],
)
def test_futures_that_cannot_be_filtered_are_refused(futures: np.ndarray, maturities: np.ndarray) -> None:
    with pytest.raises(MarketError):
        estimation.schwartz_smith(futures, maturities, WEEKLY)


def test_price_that_never_moves_is_refused() -> None:
    with pytest.raises(MarketError, match="never moves"):
        estimation.brownian(("flat",), np.ones((200, 1)), DAILY, Kind.LOGNORMAL)
    with pytest.raises(MarketError):
        estimation.mean_reversion(np.ones(200), DAILY, Kind.LOGNORMAL)
