from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from cloud.risk.errors import Cause, Floats, RiskError
from cloud.risk.supply_paths import availability_factor, check_paths, deliver, prices
from tests.cloud.risk.supply_books import normal_prices, paths

VOLUMES = npst.arrays(np.float64, (4, 8), elements=st.floats(0, 1000))


@settings(max_examples=100)
@given(VOLUMES, npst.arrays(np.float64, 8, elements=st.floats(0, 800)), st.floats(0, 2000), st.floats(0, 1))
def test_volume_is_conserved_between_wells_tank_and_pipe(produced: Floats, cap: Floats, capacity: float, filled: float) -> None:
    start = filled * capacity
    delivered, held, curtailed = deliver(produced, cap, capacity, start)
    before = np.concatenate([np.full((4, 1), start), held[:, :-1]], axis=1)
    np.testing.assert_allclose(before + produced, delivered + held + curtailed, atol=1e-9)
    assert (delivered <= cap).all() and (held >= 0).all() and (held <= capacity).all() and (curtailed >= 0).all()


def test_a_tank_bridges_an_outage() -> None:
    delivered, held, curtailed = deliver([[100.0, 0.0, 0.0]], [80.0, 80.0, 80.0], 1000.0, 100.0)
    np.testing.assert_array_equal(delivered, [[80.0, 80.0, 40.0]])
    np.testing.assert_array_equal(held, [[120.0, 40.0, 0.0]])
    assert curtailed.sum() == 0


def test_a_tank_that_starts_over_its_capacity_is_refused() -> None:
    with pytest.raises(RiskError, match="inventory must start"):
        deliver([[1.0]], [1.0], 10.0, 11.0)


@pytest.mark.parametrize("rho", [-0.8, 0.0, 0.5])
def test_price_shocks_correlate_with_availability_as_asked_and_keep_their_spread(rho: float) -> None:
    found = paths(100_000)
    factor = availability_factor(found.delivered)
    drivers = found.prices["oil"]
    moves = np.log(prices(drivers, factor, rho))
    assert np.corrcoef(moves[:, 0], factor)[0, 1] == pytest.approx(rho, abs=0.015)
    np.testing.assert_allclose(moves.std(axis=0), drivers.sd, rtol=0.02)


def test_the_factor_is_standard_normal_and_rises_with_volume() -> None:
    delivered = paths(5000).delivered
    factor = availability_factor(delivered)
    assert (factor.mean(), factor.std()) == (pytest.approx(0, abs=1e-9), pytest.approx(1, abs=0.01))
    order = np.argsort(factor)
    assert (np.diff(delivered.sum(axis=(1, 2))[order]) >= 0).all()


def test_an_outage_lifts_the_price_and_is_paid_for_by_the_others() -> None:
    drivers = normal_prices([50.0], [0.0], 4)
    outage = np.array([[1.0], [0.0], [0.0], [0.0]])
    np.testing.assert_allclose(prices(drivers, None, 0.0, outage, 0.4), [[65.0], [45.0], [45.0], [45.0]])


def test_an_impossible_correlation_is_refused() -> None:
    with pytest.raises(RiskError) as refusal:
        prices(normal_prices([1.0], [1.0], 3), None, 1.5)
    assert refusal.value.cause is Cause.CORRELATION_OUT_OF_RANGE


def test_price_periods_without_a_bucket_are_refused() -> None:
    with pytest.raises(RiskError, match="a bucket in each"):
        check_paths(replace(paths(10), period=np.array([0, 0, 0, 2, 2, 2])))
