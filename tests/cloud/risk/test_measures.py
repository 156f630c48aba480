import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cloud.risk import measures
from cloud.risk.errors import Cause, Floats, RiskError

quick = settings(max_examples=80, deadline=None)
amount = st.integers(-1000, 1000).map(float)  # whole numbers: ties happen
samples = st.integers(1, 60).flatmap(lambda n: arrays(np.float64, n, elements=amount))
tables = st.tuples(st.integers(1, 60), st.integers(1, 5)).flatmap(lambda shape: arrays(np.float64, shape, elements=amount))
level = st.floats(0.01, 0.99)


@quick
@given(samples, level)
def test_var_is_the_smallest_loss_reached_with_the_probability_asked(losses: Floats, a: float) -> None:
    var = measures.value_at_risk(losses, a)
    assert np.mean(losses <= var) >= a - 1e-9
    assert np.mean(losses < var) < a
    assert var == np.quantile(losses, a, method="inverted_cdf") or (losses.size * a) % 1 < 1e-8


@quick
@given(samples, level)
def test_es_is_at_least_var_and_is_the_least_of_rockafellar_and_uryasev(losses: Floats, a: float) -> None:
    var, es = measures.value_at_risk(losses, a), measures.expected_shortfall(losses, a)
    assert es >= var - 1e-9
    each = losses[:, None]  # the minimum over z lies at a sample
    least = (losses + np.maximum(each - losses, 0).mean(axis=0) / (1 - a)).min()
    assert es == pytest.approx(least, abs=1e-7)


@quick
@given(samples, level, amount, st.integers(1, 9).map(float))
def test_moving_and_scaling_losses_moves_and_scales_var_and_es(losses: Floats, a: float, by: float, times: float) -> None:
    for function in (measures.value_at_risk, measures.expected_shortfall):
        assert function(losses * times + by, a) == pytest.approx(function(losses, a) * times + by, abs=1e-6)


@quick
@given(tables, level)
def test_components_add_up_and_es_is_subadditive(parts: Floats, a: float) -> None:
    whole = measures.expected_shortfall(parts.sum(axis=1), a)
    assert measures.component_es(parts, a).sum() == pytest.approx(whole, abs=1e-6)
    assert whole <= sum(measures.expected_shortfall(column, a) for column in parts.T) + 1e-6


@quick
@given(samples, level, level)
def test_var_and_es_rise_with_the_level(losses: Floats, a: float, b: float) -> None:
    for function in (measures.value_at_risk, measures.expected_shortfall):
        assert function(losses, min(a, b)) <= function(losses, max(a, b)) + 1e-9


def test_levels_that_are_no_binary_fraction_take_the_right_order_statistic() -> None:
    losses = np.arange(1.0, 1001.0)
    for thousandth in range(1, 1000):
        assert measures.value_at_risk(losses, thousandth / 1000) == thousandth


def test_standard_errors_match_repeated_sampling_and_halve_with_four_times_the_paths() -> None:
    draws = np.random.default_rng(3).standard_normal((400, 4000))
    found = [measures.measure(row, 0.975) for row in draws]
    truth = measures.normal(0.975)
    assert np.std([one.var for one in found]) == pytest.approx(np.mean([one.var_error for one in found]), rel=0.12)
    assert np.std([one.es for one in found]) == pytest.approx(np.mean([one.es_error for one in found]), rel=0.12)
    assert np.mean([one.var_low <= truth.var <= one.var_high for one in found]) >= 0.93
    fourfold = [measures.measure(row, 0.975) for row in draws.reshape(100, 16000)]
    assert np.mean([one.es_error for one in fourfold]) == pytest.approx(np.mean([one.es_error for one in found]) / 2, rel=0.2)
    assert np.mean([one.var_error for one in fourfold]) == pytest.approx(np.mean([one.var_error for one in found]) / 2, rel=0.2)


def test_student_t_with_many_degrees_is_normal_and_es_is_the_mean_of_the_tail() -> None:
    assert measures.student_t(0.99, 1e7).var == pytest.approx(measures.normal(0.99).var, rel=1e-5)
    levels = 0.99 + 0.01 * (np.arange(20000) + 0.5) / 20000
    tail = np.mean([measures.student_t(float(a), 4).var for a in levels[::10]])
    assert measures.student_t(0.99, 4).es == pytest.approx(float(tail), rel=0.02)


def test_linear_normal_adds_up_and_refuses_what_is_no_covariance() -> None:
    covariance = np.array([[4.0, 1.0], [1.0, 9.0]])
    tail, parts = measures.linear_normal([10.0, -5.0], covariance, 0.99)
    sd = np.sqrt(400.0 - 100.0 + 225.0)
    assert tail.var == pytest.approx(2.326347874 * sd)
    assert parts.sum() == pytest.approx(tail.es)
    assert measures.linear_normal([0.0, 0.0], covariance, 0.99)[0] == measures.Tail(0.0, 0.0)
    with pytest.raises(RiskError) as caught:
        measures.linear_normal([1.0, -1.0], [[1.0, 2.0], [2.0, 1.0]], 0.99)
    assert caught.value.cause is Cause.NOT_POSITIVE_SEMIDEFINITE


def test_filtered_history_is_history_at_even_vol_and_scales_with_todays() -> None:
    rng = np.random.default_rng(5)
    vols = np.where(np.arange(100_000) % 2000 < 1000, 0.01, 0.03)[:, None]
    returns = rng.standard_normal((100_000, 1)) * vols
    even = measures.filtered_losses(returns, np.full_like(returns, 0.02), [0.02], [100.0])
    assert even == pytest.approx(-100.0 * returns[:, 0])
    now = measures.value_at_risk(measures.filtered_losses(returns, vols, [0.03], [100.0]), 0.99)
    assert now == pytest.approx(3.0 * measures.normal(0.99).var, rel=0.02)


@pytest.mark.parametrize(
    ("losses", "a", "cause"),
    [([], 0.99, Cause.NO_DATA), ([1.0, float("nan")], 0.99, Cause.NOT_FINITE), ([1.0], 1.0, Cause.LEVEL_OUT_OF_RANGE)],
)
def test_measures_refuse_what_has_no_answer(losses: list[float], a: float, cause: Cause) -> None:
    for function in (measures.value_at_risk, measures.expected_shortfall, measures.measure, measures.inclusive_tail):
        with pytest.raises(RiskError) as caught:
            function(losses, a)
        assert caught.value.cause is cause
