from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cloud.assets import AssetError
from cloud.assets.forecast import Plan, deliver, forecast
from cloud.assets.hazard import WienerBelief, wiener_first_passage
from cloud.assets.outages import Draws, Units, simulate_outages
from cloud.assets.topology import Kind, Node

DRAWS = Draws(7, 2000)
PARALLEL = Node(Kind.PARALLEL, (0, 1, 2))
SERIES = Node(Kind.SERIES, (0, 1, 2))


def sure(drift: float, diffusion: float, count: int) -> WienerBelief:
    """A belief so strong that every draw is the same."""
    strong = np.full(count, 1e9)
    return WienerBelief(np.full(count, drift), strong, strong, strong * diffusion**2)


def units(count: int = 3, **changed: float) -> Units:
    """Pumps of 1,000 a day that wear by 0.002 a day towards 1 and fail every 200 days besides."""
    values = {
        "nameplate": 1000.0,
        "level": 0.2,
        "level_sd": 0.0,
        "threshold": 1.0,
        "clock": 1 / 200,
        "repair_median": 5.0,
        "repair_spread": 0.5,
        "derate": 1.0,
        "sensor_sd": 0.01,
        "trust": 1.0,
        **changed,
    }
    return Units(belief=sure(0.002, 0.03, count), **{name: np.full(count, value) for name, value in values.items()})


def unfailing(count: int = 3) -> Units:
    return replace(units(count, clock=0.0), belief=sure(0.0, 0.0, count))


def test_without_hazard_every_path_delivers_nameplate_exactly() -> None:
    found = forecast(unfailing(), PARALLEL, Plan.daily(360, 3, days_in_bucket=30), DRAWS)
    assert np.all(found.delivered == 3 * 1000.0 * 30)
    assert np.all(found.uptime == 1.0)


@pytest.mark.parametrize("topology", [PARALLEL, SERIES], ids=["parallel", "series"])
def test_with_endless_hazard_nothing_is_delivered(topology: Node) -> None:
    found = forecast(units(clock=np.inf), topology, Plan.daily(60, 3), DRAWS)
    assert np.all(found.delivered == 0.0)


def test_growing_hazard_brings_the_volume_to_zero() -> None:
    means = [forecast(units(clock=rate), PARALLEL, Plan.daily(30, 3), Draws(7, 200)).delivered.mean() for rate in (0.01, 1.0, 100.0)]
    assert means[0] > means[1] > means[2]
    assert means[2] < 0.01 * 3000


def test_first_failures_follow_first_passage_and_clock_in_competition() -> None:
    _, first = simulate_outages(units(1), 300.0, Draws(3, 40_000, 0.0))
    for day in (30.0, 120.0, 250.0):
        alive = (1 - wiener_first_passage(0.8, 0.002, 0.03, day)) * np.exp(-day / 200)
        assert np.mean(first > day) == pytest.approx(float(alive), abs=4 * 0.5 / 200)


@pytest.mark.parametrize(("mtbf", "fixed", "days"), [(41.7, 2.0, 30), (10.0, 1.0, 90), (200.0, 20.0, 365), (5.0, 10.0, 60)])
def test_volume_with_fixed_repair_equals_the_renewal_closed_form(mtbf: float, fixed: float, days: int) -> None:
    # Up at t after k repairs of length r: the k-th term of a Poisson law of mean (t - k r) / mtbf.
    one = replace(units(1, clock=1 / mtbf, repair_median=fixed, repair_spread=0.0), belief=sure(0.0, 0.0, 1))
    share = forecast(one, 0, Plan.daily(days, 1), Draws(5, 20_000)).delivered.sum(axis=1) / (1000.0 * days)
    time = (np.arange(20_000) + 0.5) * days / 20_000
    repairs = np.arange(int(days / fixed) + 1)[:, None]
    load = np.maximum(time - repairs * fixed, 0.0) / mtbf
    exact = (stats.poisson.pmf(repairs, load) * (time >= repairs * fixed)).sum(axis=0).mean()
    assert share.mean() == pytest.approx(exact, abs=4 * share.std() / np.sqrt(share.size))


def test_produced_volume_is_nameplate_times_uptime() -> None:
    found = forecast(units(1), 0, Plan.daily(365, 1), DRAWS)
    assert found.produced.sum() / (2000 * 365 * 1000.0) == pytest.approx(found.uptime[0], rel=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.floats(-0.5, 1.2), st.floats(0, 0.5), st.integers(0, 99))
def test_more_degradation_never_raises_cumulative_volume_in_any_path(level: float, more: float, seed: int) -> None:
    draws, plan = Draws(seed, 100), Plan.daily(120, 1)
    better, worse = (forecast(units(1, level=at), 0, plan, draws).produced.cumsum(axis=1) for at in (level, level + more))
    assert np.all(worse <= better + 1e-6)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from([PARALLEL, SERIES, Node(Kind.K_OF_N, (0, 1, 2), k=2)]), st.integers(0, 2), st.floats(0.05, 0.5))
def test_more_degradation_of_one_unit_never_raises_expected_volume(topology: Node, unit: int, more: float) -> None:
    sound = units()
    level = sound.level.copy()
    level[unit] += more
    before, after = (forecast(state, topology, Plan.daily(180, 3), DRAWS).expected.sum() for state in (sound, replace(sound, level=level)))
    assert after <= before * (1 + 1e-3)


def test_open_level_widens_the_band() -> None:
    known, open_ = (forecast(units(1, level=0.6, level_sd=sd), 0, Plan.daily(180, 1), Draws(1, 4000)).first_failure for sd in (0.0, 0.3))
    early = [np.mean(first < 40) for first in (known, open_)]
    assert early[1] > early[0]


def test_common_cause_fattens_the_tail_and_keeps_the_mean() -> None:
    plan = Plan.daily(90, 3, days_in_bucket=90)
    alone, together = (forecast(units(repair_median=60.0), PARALLEL, plan, Draws(2, 20_000, rho)).delivered[:, 0] for rho in (0.0, 0.6))
    assert together.mean() == pytest.approx(alone.mean(), rel=0.01)
    assert np.quantile(together, 0.02) < np.quantile(alone, 0.02)


def test_another_unit_changes_no_draw_of_the_others() -> None:
    three, four = (simulate_outages(units(count), 300.0, DRAWS)[1] for count in (3, 4))
    assert np.array_equal(three, four[:3])


def test_same_seed_gives_the_same_bits() -> None:
    once, again = (forecast(units(), PARALLEL, Plan.daily(90, 3), DRAWS).delivered for _ in range(2))
    assert np.array_equal(once, again)


def test_derate_and_maintenance_take_their_share() -> None:
    plan = replace(Plan.daily(2, 3), remaining=np.array([[0.0, 1.0], [1.0, 1.0], [1.0, 1.0]]))
    found = forecast(replace(unfailing(), derate=np.full(3, 0.5)), PARALLEL, plan, Draws(1, 1))
    assert found.delivered.tolist() == [[1000.0, 1500.0]]


@settings(max_examples=40)
@given(st.lists(st.floats(0, 100), min_size=4, max_size=4), st.lists(st.floats(0, 100), min_size=4, max_size=4), st.floats(0, 50))
def test_stock_creates_no_volume_and_cap_holds(volume: list[float], cap: list[float], most: float) -> None:
    plan = replace(Plan.daily(4, 1), cap=np.array(cap), stock=most / 2, stock_most=most)
    produced = np.array([volume])
    delivered = deliver(produced, plan)
    assert np.all(delivered <= np.array(cap) + 1e-9)
    assert np.all(delivered.cumsum() <= produced.cumsum() + most / 2 + 1e-9)


def test_stock_bridges_an_outage() -> None:
    plan = replace(Plan.daily(3, 1), cap=np.full(3, 10.0), stock=0.0, stock_most=100.0)
    assert deliver(np.array([[20.0, 0.0, 10.0]]), plan).tolist() == [[10.0, 10.0, 10.0]]


def test_measurement_is_a_channel_of_its_own_and_grows_with_distrust() -> None:
    clear, doubtful = (forecast(units(trust=trust), PARALLEL, Plan.daily(30, 3), DRAWS) for trust in (1.0, 0.5))
    assert np.array_equal(clear.delivered, doubtful.delivered)
    assert doubtful.measurement.std() == pytest.approx(2 * clear.measurement.std())


def test_quantiles_rise_with_their_chance() -> None:
    found = forecast(units(), PARALLEL, Plan.daily(90, 3, days_in_bucket=30), DRAWS).quantiles()
    assert found.shape == (6, 3)
    assert np.all(np.diff(found, axis=0) >= 0)


@pytest.mark.parametrize("field", ["nameplate", "level", "level_sd", "threshold", "clock", "repair_median", "derate", "trust"])
def test_nan_in_any_field_is_refused(field: str) -> None:
    with pytest.raises(AssetError, match=field):
        forecast(units(**{field: float("nan")}), PARALLEL, Plan.daily(3, 3), DRAWS)


def test_repair_without_length_and_a_huge_hazard_is_refused() -> None:
    with pytest.raises(AssetError, match="fails more than"):
        forecast(units(1, clock=1e6, repair_median=1e-6), 0, Plan.daily(10, 1), Draws(1, 2))
