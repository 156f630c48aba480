import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.risk.errors import Cause, Floats, RiskError
from cloud.risk.stress import Scenario, least_unusual, smallest_in_direction, stress

EXPOSURES = np.array([100.0, -40.0])
COVARIANCE = np.array([[4.0, 1.0], [1.0, 9.0]])


def linear(moves: Floats) -> Floats:
    return moves @ EXPOSURES


def curved(moves: Floats) -> Floats:
    return moves @ EXPOSURES - 10 * (moves**2).sum(axis=1)


def test_named_scenarios_lose_what_their_moves_say_and_a_broken_one_is_listed() -> None:
    scenarios = [Scenario("oil down", {"oil": -5.0}), Scenario("both", {"oil": -5.0, "gas": 2.0}), Scenario("typo", {"oli": 1.0})]
    done, failed = stress(linear, ["oil", "gas"], scenarios)
    assert [(item.scenario, item.loss) for item in done] == [("oil down", 500.0), ("both", 580.0)]
    assert [(item.scenario, item.cause) for item in failed] == [("typo", Cause.NO_DATA)]


def test_a_scenario_whose_pnl_is_no_number_is_listed() -> None:
    done, failed = stress(lambda moves: moves[:, 0] * np.nan, ["oil"], [Scenario("any", {"oil": 1.0})])
    assert (done, failed[0].cause) == ((), Cause.NOT_FINITE)


def test_the_smallest_move_in_a_direction_loses_the_amount() -> None:
    found = smallest_in_direction(linear, np.array([-1.0, 0.0]), 250.0, most=10.0)
    assert found.size == pytest.approx(2.5)
    assert found.loss == pytest.approx(250.0)


def test_the_first_of_several_crossings_is_taken() -> None:
    def wave(moves: Floats) -> Floats:
        return -np.sin(moves[:, 0])

    assert smallest_in_direction(wave, np.ones(1), 0.5, most=20.0).size == pytest.approx(np.pi / 6)


def test_a_loss_out_of_reach_is_refused() -> None:
    with pytest.raises(RiskError, match="no move up to 10"):
        smallest_in_direction(linear, np.array([1.0, 0.0]), 1.0, most=10.0)


def test_the_least_unusual_move_of_a_linear_book_is_the_closed_form() -> None:
    found = least_unusual(linear, COVARIANCE, 500.0)
    sd = np.sqrt(EXPOSURES @ COVARIANCE @ EXPOSURES)
    np.testing.assert_allclose(found.moves, -COVARIANCE @ EXPOSURES * 500 / sd**2, rtol=1e-6)
    assert found.size == pytest.approx(500 / sd)


@settings(max_examples=25, deadline=None)
@given(st.floats(10, 2000))
def test_the_least_unusual_move_of_a_curved_book_reprices_and_no_random_one_is_shorter(loss: float) -> None:
    found = least_unusual(curved, COVARIANCE, loss)
    assert -curved(found.moves[None, :])[0] == pytest.approx(loss, rel=5e-3)
    directions = np.random.default_rng(1).standard_normal((500, 2))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    inside = 0.995 * found.size * directions @ np.linalg.cholesky(COVARIANCE).T
    assert (-curved(inside)).max() < loss


def test_a_covariance_that_is_none_is_refused() -> None:
    for wrong, cause in (
        ([[1.0, 2.0], [2.0, 1.0]], Cause.NOT_POSITIVE_SEMIDEFINITE),
        ([[1.0, 0.5], [0.0, 1.0]], Cause.NOT_SYMMETRIC),
    ):
        with pytest.raises(RiskError) as refusal:
            least_unusual(linear, np.array(wrong), 10.0)
        assert refusal.value.cause is cause
