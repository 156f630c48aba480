"""Swaps and options in the book beside physical contracts."""

import numpy as np
import pytest

from cloud.risk.errors import Cause, RiskError
from cloud.risk.financial import Financial, hold
from cloud.risk.measures import expected_shortfall
from cloud.risk.supply import assess, prepare
from cloud.trading.deals import Right
from tests.cloud.risk.supply_books import PLAIN, paths, sale, whole


def test_payoffs_are_those_of_the_contract() -> None:
    prices = np.array([[70.0, 90.0], [80.0, 80.0]])
    volume, strike = np.array([10.0, 20.0]), np.array([75.0, 85.0])
    assert Financial("S", "oil", volume, strike).pays(prices).tolist() == [[-50.0, 100.0], [50.0, -100.0]]
    call, put = Financial("C", "oil", volume, strike, Right.CALL, 7.0), Financial("P", "oil", -volume, strike, Right.PUT)
    assert call.pays(prices).tolist() == [[0.0, 100.0], [50.0, 0.0]]
    assert put.pays(prices).tolist() == [[-50.0, 0.0], [0.0, -100.0]]
    assert hold([call, put, Financial("S", "oil", volume, strike)], 2)["oil"].total(prices).tolist() == [93.0, -107.0]


def test_put_and_call_of_one_strike_make_a_forward() -> None:
    found = paths(800)
    periods = int(found.period.max()) + 1
    volume, strike = np.full(periods, 500.0), np.full(periods, 81.0)
    parts = [Financial("C", "oil", volume, strike, Right.CALL), Financial("P", "oil", -volume, strike, Right.PUT)]
    both, one = (
        assess(prepare(found, [whole(found)], [sale(found)], settings=PLAIN, positions=held))
        for held in (parts, [Financial("F", "oil", volume, strike)])
    )
    np.testing.assert_allclose(both.pnl, one.pnl, rtol=1e-12, atol=1e-6)
    assert both.split.volume == pytest.approx(one.split.volume, rel=1e-9)


def test_components_with_options_add_up_to_the_expected_shortfall() -> None:
    found = paths(2000)
    periods = int(found.period.max()) + 1
    held = [Financial("C", "oil", np.full(periods, 300.0), np.full(periods, 85.0), Right.CALL, 100.0)]
    result = assess(prepare(found, [whole(found)], [sale(found, penalty=0.2)], settings=PLAIN, positions=held))
    shortfall = expected_shortfall(result.pnl.mean() - result.pnl, PLAIN.level)
    for parts in (result.components.unit.values(), result.components.deal.values(), result.components.bucket):
        assert sum(parts) == pytest.approx(shortfall, rel=1e-9)


def test_a_position_that_does_not_fit_is_listed_and_the_rest_is_valued() -> None:
    found = paths(200)
    bad = Financial("X", "oil", np.ones(99), np.ones(99))
    with pytest.raises(RiskError):
        bad.check(2)
    result = assess(prepare(found, [whole(found)], [sale(found)], settings=PLAIN, positions=[bad]))
    assert [(refusal.deal_id, refusal.cause) for refusal in result.refused] == [("X", Cause.SHAPES_DIFFER)]
    assert np.isfinite(result.measured.var)
