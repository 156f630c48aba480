import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cloud.assets import Floats, health
from cloud.assets.health import HealthState
from cloud.assets.trust import TagRules
from simulators.replay import find_recordings, read_recording
from tests.cloud.assets.fleet import ASSETS, SECOND_US, START_US, TAGS, noise, rules, run


def test_sound_assets_are_good_with_a_narrow_interval() -> None:
    last = run(noise(1, 200))[-1]
    assert last.state.tolist() == [HealthState.GOOD] * ASSETS
    assert np.all(last.high - last.low < 0.06)


def test_nothing_is_claimed_while_the_baseline_is_learned() -> None:
    first = run(noise(1, 5))[-1]
    assert first.state.tolist() == [HealthState.NOT_EVALUATED] * ASSETS
    assert first.low.tolist() == [0.0] * ASSETS
    assert first.high.tolist() == [1.0] * ASSETS


def test_drifting_tag_makes_its_asset_critical_and_is_named_first() -> None:
    values = noise(2, 160)
    values[100:, 1, 4] += 6
    last = run(values)[-1]
    assert last.state.tolist() == [HealthState.GOOD, HealthState.CRITICAL, HealthState.GOOD]
    assert last.top[1, 0] == 4
    assert last.top_share[1, 0] > 0.8


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 50), st.lists(st.booleans(), min_size=TAGS, max_size=TAGS), st.floats(-8, 8), st.integers(0, TAGS - 1))
def test_replacing_tags_by_bad_data_never_lowers_health(seed: int, failed: list[bool], shift: float, tag: int) -> None:
    values = noise(seed, 90)
    values[50:, :, tag] += shift
    bad = np.zeros(values.shape, dtype=bool)
    bad[60:] = failed
    for whole, broken in zip(run(values), run(values, bad), strict=True):
        assert np.all(broken.index >= whole.index - 1e-12)
        assert np.all(broken.high - broken.low >= whole.high - whole.low - 1e-12)


@settings(max_examples=50)
@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_interval_holds_the_index_and_widens_with_what_is_missing(index: float, missing: float, more: float) -> None:
    low, high = health.interval(np.full(2, index), np.array([missing, min(missing + more, 1.0)]))
    assert np.all((low >= 0) & (low <= index + 1e-12) & (high >= index - 1e-12) & (high <= 1 + 1e-12))
    assert high[1] - low[1] >= high[0] - low[0] - 1e-12


def test_what_a_detector_finds_lowers_health_without_any_tag_drifting() -> None:
    state, limits, values = health.AssetState.start(2, TAGS), rules(), noise(9, 60, assets=2)
    for row, tags in enumerate(values):
        now, detected = START_US + row * SECOND_US, np.array([0.0, 9.0])
        good, times = np.zeros(tags.shape, np.uint32), np.full((2, 1), now)
        state, found = health.tick(state, limits, tags, good, times, now, detected)
    assert found.state.tolist() == [HealthState.GOOD, HealthState.CRITICAL]


def test_asset_with_less_than_half_of_its_tags_is_not_evaluated() -> None:
    values = noise(3, 80)
    bad = np.zeros(values.shape, dtype=bool)
    bad[60:, 0, :3] = True
    bad[60:, 1, :4] = True
    assert run(values, bad)[-1].state.tolist() == [HealthState.GOOD, HealthState.NOT_EVALUATED, HealthState.GOOD]


def test_nothing_returned_is_nan_when_everything_is_bad() -> None:
    last = run(noise(4, 10), np.ones((10, ASSETS, TAGS), dtype=bool))[-1]
    assert all(np.isfinite(getattr(last, name)).all() for name in ("index", "low", "high", "trust", "evidence", "top_share"))


@pytest.mark.parametrize(
    ("evidence", "index"), [(0.0, 1.0), (1.0, 1.0), (2.0, 0.8), (3.5, 0.5), (6.0, 0.0), (99.0, 0.0)], ids=lambda value: f"{value}"
)
def test_index_falls_from_one_decade_of_surprise_to_six(evidence: float, index: float) -> None:
    assert health.index_of(np.array(evidence)) == pytest.approx(index)


@pytest.mark.parametrize(("index", "state"), [(0.80, 0), (0.79, 1), (0.60, 1), (0.59, 2), (0.40, 2), (0.39, 3)])
def test_states_follow_their_limits(index: float, state: int) -> None:
    assert np.digitize(-index, [-limit for limit in health.LIMITS], right=True) == state


def well_health(pattern: str) -> tuple[Floats, NDArray[np.int32]]:
    """(index of each row, label of each row) of a recording, from the tags that mostly give good samples."""
    well = read_recording(find_recordings(pattern))
    names = [name for name, codes in well.quality.items() if np.mean(codes == 0) > 0.5]
    values, codes = (np.column_stack([part[name] for name in names])[:, None, :] for part in (well.columns, well.quality))
    one = np.ones(len(names))
    floor = np.array([1e4 if name.startswith("P") else 0.1 for name in names])  # 0.1 bar, 0.1 degC
    limits = TagRules(-1e12 * one, 1e12 * one, np.inf * one, floor, one, one > 0, one > 0).checked()
    state, index = health.AssetState.start(1, len(names)), np.empty(well.rows)
    for row, now in enumerate(well.times_us.tolist()):
        state, found = health.tick(state, limits, values[row], codes[row], np.full((1, 1), now), now)
        index[row] = found.index[0]
    return index, well.label


@pytest.mark.parametrize("pattern", ["2/WELL-00003_*", "2/WELL-00009_*", "2/WELL-00010_*", "6/WELL-00004_*"])
def test_real_well_is_critical_within_a_minute_of_its_event_and_good_before(pattern: str) -> None:
    index, label = well_health(pattern)
    begin = int(np.argmax(label > 0))
    assert np.mean(index[:begin][label[:begin] == 0] < 0.8) <= 0.05
    assert index[begin : begin + 60].min() < 0.4
