import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.assets import AssetError, hazard

HORIZONS = np.linspace(0, 400, 81)


def test_wiener_first_passage_equals_the_inverse_gaussian_case() -> None:
    assert hazard.wiener_first_passage(0.6, 0.02, 0.05, 30) == pytest.approx(0.5869006253, abs=1e-8)
    assert hazard.wiener_mean_life(0.6, 0.02) == pytest.approx(30.0)


def test_weibull_survival_equals_the_case() -> None:
    assert hazard.weibull_survival(2000, 2.2, 1500, 720) == pytest.approx(0.4833387994, abs=1e-9)


def test_gamma_first_passage_is_exponential_for_shape_one() -> None:
    # one unit of time of a gamma process with alpha 1 is an exponential jump: P(jump >= l) = e^(-l/theta)
    assert hazard.gamma_first_passage(2.0, 1.0, 0.5, 1.0) == pytest.approx(np.exp(-4.0))


@settings(max_examples=80)
@given(st.floats(-1, 5), st.floats(-2, 2), st.floats(0, 3))
def test_first_passage_never_falls_with_the_horizon_nor_rises_with_the_distance(left: float, drift: float, diffusion: float) -> None:
    near = hazard.wiener_first_passage(left, drift, diffusion, HORIZONS)
    far = hazard.wiener_first_passage(left + 0.1, drift, diffusion, HORIZONS)
    assert np.all(np.diff(near) >= -1e-12)
    assert np.all(far <= near + 1e-9)
    assert np.all((near >= 0) & (near <= 1))


@settings(max_examples=40)
@given(st.floats(-1, 5), st.floats(0.01, 3), st.floats(0.01, 2))
def test_wear_probability_never_falls_with_the_horizon(left: float, alpha: float, theta: float) -> None:
    assert np.all(np.diff(hazard.gamma_first_passage(left, alpha, theta, HORIZONS)) >= -1e-12)


@pytest.mark.parametrize(("diffusion", "expected"), [(0.0, [0.0, 1.0]), (1e-9, [0.0, 1.0])])
def test_degradation_without_noise_arrives_on_the_day(diffusion: float, expected: list[float]) -> None:
    assert hazard.wiener_first_passage(1.0, 0.1, diffusion, [9.9, 10.1]).tolist() == expected


def test_falling_degradation_leaves_some_assets_alive_for_ever() -> None:
    # P(ever) of a process with negative drift is e^(2 mu l / sigma^2)
    assert hazard.wiener_first_passage(1.0, -0.1, 0.5, np.inf) == pytest.approx(np.exp(-0.8))


def test_posterior_learns_drift_and_diffusion_of_each_asset() -> None:
    rng = np.random.default_rng(3)
    truth = np.array([[0.02], [0.10]])
    steps = truth * 0.5 + 0.05 * np.sqrt(0.5) * rng.standard_normal((2, 4000))
    prior = hazard.WienerBelief(np.zeros(2), np.full(2, 1e-3), np.full(2, 1.0), np.full(2, 1e-3))
    belief = prior.updated(steps, np.full(4000, 0.5))
    drift, diffusion = belief.quantiles(np.full(500, 0.5), rng.standard_normal(500))
    assert drift.mean(-1) == pytest.approx(truth[:, 0], abs=0.005)
    assert diffusion.mean(-1) == pytest.approx([0.05, 0.05], rel=0.05)


def test_unusable_increments_change_no_belief_even_when_they_are_nan() -> None:
    prior = hazard.WienerBelief(np.zeros(1), np.ones(1), np.ones(1), np.ones(1))
    belief = prior.updated([[np.nan, 0.3]], [[1.0, 1.0]], [[False, True]])
    alone = prior.updated([[0.3]], [[1.0]])
    assert (belief.mean, belief.spread) == (alone.mean, alone.spread)


def test_update_in_two_parts_equals_update_at_once() -> None:
    prior = hazard.WienerBelief(np.zeros(1), np.ones(1), np.ones(1), np.ones(1))
    at_once = prior.updated([[0.3, 0.1, -0.2]], [[1.0, 2.0, 1.0]])
    in_parts = prior.updated([[0.3]], [[1.0]]).updated([[0.1, -0.2]], [[2.0, 1.0]])
    assert at_once.mean == pytest.approx(in_parts.mean)
    assert at_once.spread == pytest.approx(in_parts.spread)


def test_gamma_wear_belief_tends_to_the_known_process() -> None:
    belief = hazard.GammaWearBelief(np.array([2.0]), np.array([1e6]), np.array([1e6 * 0.5]))
    assert belief.first_passage(3.0, 2.5)[0] == pytest.approx(hazard.gamma_first_passage(3.0, 2.0, 0.5, 2.5), rel=1e-3)


def test_weibull_prior_moves_with_exposure_and_failures() -> None:
    prior = hazard.WeibullBelief.prior(2000, 2.2, 2)
    assert prior.eta == pytest.approx(2000)
    assert prior.updated(0, 0, 3000).eta > 2000
    assert prior.updated(5, 0, 1000).eta < 2000
    assert hazard.WeibullBelief.prior(2000, 2.2, 1e7).survival(1500, 720) == pytest.approx(0.4833387994, abs=1e-5)


def test_health_raises_the_hazard_only_below_watch() -> None:
    assert hazard.health_factor([1.0, 0.8, 0.0]) == pytest.approx([1, 1, 20])


def test_competing_risks_multiply_survival() -> None:
    assert hazard.competing(0.1, [0.2, 1.0]) == pytest.approx([0.28, 1.0])
    assert hazard.rate(hazard.probability(0.01, 30), 30) == pytest.approx(0.01)
    assert hazard.rising([0.1, 0.05, 0.4]).tolist() == [0.1, 0.1, 0.4]


def test_nan_is_refused() -> None:
    with pytest.raises(AssetError, match="drift"):
        hazard.wiener_first_passage(1.0, float("nan"), 1.0, 1.0)
