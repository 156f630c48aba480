import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.risk import backtest
from cloud.risk.backtest import Zone
from cloud.risk.errors import Cause, RiskError

# Kupiec 1995, as in Jorion (Value at Risk, 2007, table 6-2): non-rejection regions at 95 %, bounds exclusive. For 255 days at 99 % it
# says N < 7; its own formula rejects N = 0 too (LR = 5.1), as KUP-03 of the reference cases does for 250 days.
KUPIEC_TABLE = [
    (255, 0.01, 0, 7), (510, 0.01, 1, 11), (1000, 0.01, 4, 17),
    (255, 0.025, 2, 12), (510, 0.025, 6, 21), (1000, 0.025, 15, 36),
    (255, 0.05, 6, 21), (510, 0.05, 16, 36), (1000, 0.05, 37, 65),
]  # fmt: skip


@pytest.mark.parametrize(("days", "p", "above", "below"), KUPIEC_TABLE)
def test_non_rejection_regions_are_those_published(days: int, p: float, above: int, below: int) -> None:
    low, high = backtest.non_rejection(days, p)
    assert (low - 1, high + 1) == (above, below)


def test_kupiec_is_zero_where_the_share_is_as_foreseen_and_rises_away_from_it() -> None:
    ratios = [backtest.kupiec(1000, x, 0.01).lr for x in range(1001)]
    assert ratios[10] == pytest.approx(0.0, abs=1e-9)
    assert (np.diff(ratios[:11]) < 0).all()
    assert (np.diff(ratios[10:]) > 0).all()
    assert np.isfinite(ratios).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), min_size=2, max_size=80), st.floats(0.005, 0.2))
def test_conditional_coverage_is_coverage_and_independence_together(hits: list[bool], p: float) -> None:
    found = backtest.christoffersen(hits, p)
    assert found.n00 + found.n01 + found.n10 + found.n11 == len(hits) - 1
    assert found.conditional.lr == pytest.approx(found.independence.lr + found.unconditional.lr)
    assert found.independence.lr >= 0
    assert found.unconditional == backtest.kupiec(len(hits), sum(hits), p)
    assert 0 <= found.conditional.p_value <= 1


def test_clustered_exceptions_are_dependent_and_scattered_ones_are_not() -> None:
    clustered = np.arange(500) >= 490
    scattered = np.arange(500) % 50 == 25
    assert backtest.christoffersen(clustered, 0.02).independence.p_value < 0.001
    assert backtest.christoffersen(scattered, 0.02).independence.p_value > 0.3


def test_an_exception_is_a_loss_above_that_days_var() -> None:
    assert backtest.exceptions([1.0, 2.0, 3.0], 2.0).tolist() == [False, False, True]
    assert backtest.exceptions([1.0, 2.0, 3.0], [0.5, 2.5, 3.0]).tolist() == [True, False, False]
    with pytest.raises(RiskError):
        backtest.exceptions([1.0, 2.0], [1.0, 2.0, 3.0])


def test_zones_and_plus_factors_follow_the_table_of_bcbs22() -> None:
    light = backtest.traffic_light()
    assert [light.zone(x) for x in (0, 4, 5, 9, 10)] == [Zone.GREEN, Zone.GREEN, Zone.AMBER, Zone.AMBER, Zone.RED]
    assert [backtest.plus_factor(x) for x in (0, 4, 5, 9, 10, 50)] == [0.0, 0.0, 0.4, 0.85, 1.0, 1.0]


def test_counts_that_cannot_be_are_refused() -> None:
    for call in (lambda: backtest.kupiec(10, 11, 0.01), lambda: backtest.kupiec(10, 1, 0.0), lambda: backtest.plus_factor(-1)):
        with pytest.raises(RiskError) as caught:
            call()
        assert caught.value.cause is Cause.LEVEL_OUT_OF_RANGE
    with pytest.raises(RiskError):
        backtest.christoffersen([True], 0.01)
