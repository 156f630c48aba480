import numpy as np
import pytest

from cloud.assets import Floats, features
from cloud.assets.features import Features
from tests.cloud.assets.fleet import noise

RESOLUTION = np.full(1, 1e-3)
LEARN = 20
SOUND = np.zeros(1, dtype=bool)


def followed(values: Floats, *, suspect: bool = False) -> Features:
    state = Features.start(1, 1)
    for value in values:
        row = np.array([[value]])
        state = features.tick(state, row, np.isfinite(row), SOUND | suspect, RESOLUTION, LEARN)
    return state


def test_levels_and_baseline_start_as_plain_means() -> None:
    values = noise(1, 10)[:, 0, 0]
    state = followed(values)
    assert state.fast == pytest.approx(values.mean())
    assert state.base == pytest.approx(values.mean())
    assert state.base_variance == pytest.approx(values.var())
    assert not state.learned(LEARN).item()


def test_slope_of_a_ramp_is_its_rate() -> None:
    assert followed(0.25 * np.arange(600.0)).slope() == pytest.approx(0.25, rel=1e-3)


def test_drift_is_small_on_noise_and_large_after_a_shift() -> None:
    values = noise(2, 400)[:, 0, 0]
    assert abs(followed(values).drift(RESOLUTION).item()) < 1.5
    assert followed(np.concatenate([values, values[:60] + 5])).drift(RESOLUTION).item() > 2


def test_cusum_sees_a_small_lasting_shift_on_its_side_only() -> None:
    values = noise(3, 300)[:, 0, 0]
    state = followed(np.concatenate([values, values[:80] + 1.5]), suspect=True)
    assert state.up.item() > 8
    assert state.down.item() < 8


def test_sample_that_is_not_accepted_changes_nothing() -> None:
    before = followed(noise(4, 50)[:, 0, 0])
    after = features.tick(before, np.array([[np.nan]]), SOUND[:, None], SOUND, RESOLUTION, LEARN)
    assert all(np.array_equal(getattr(before, name), getattr(after, name)) for name in Features.__dataclass_fields__)


def test_baseline_stands_still_while_something_is_suspect() -> None:
    values = np.concatenate([noise(5, 30)[:, 0, 0], np.full(500, 60.0)])
    adapting, frozen = followed(values), followed(values, suspect=True)
    assert adapting.base.item() > 55
    assert frozen.base.item() < 51


def test_overhauled_asset_learns_anew() -> None:
    assert followed(noise(6, 40)[:, 0, 0]).overhauled(~SOUND).count.item() == 0
