"""Missing data count as missing: coverage falls, intervals and bands widen, nothing is claimed where nothing came; no value is carried on flat."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.assets.assess import AssetHealth, Samples, advance, start
from cloud.assets.outages import Draws
from cloud.assets.outlook import Horizon, foresee
from cloud.assets.state import SiteState
from protocols import quality
from tests.cloud.assets.wells import SECOND_US, START_US, noise, samples, wells

RIG = wells()
LEARNED = 120  # ticks


def judged(found: Mapping[str, Samples], now: int, state: SiteState | None = None) -> tuple[SiteState, tuple[AssetHealth, ...]]:
    return advance(RIG, "rig", state or start(RIG, "rig"), found, START_US + now * SECOND_US)


def with_outage(length: int, after: int = 1) -> dict[str, Samples]:
    """A learned baseline, so many seconds of nothing, then `after` good seconds."""
    kept = np.array([*range(LEARNED), *range(LEARNED + length, LEARNED + length + after)])
    return {name: one.at(kept) for name, one in samples(noise(7, LEARNED + length + after)).items()}


@settings(max_examples=20, deadline=None)
@given(st.integers(10, 3000), st.integers(1, 3000))
def test_trust_after_an_outage_falls_with_its_length_and_comes_back_with_data(length: int, more: int) -> None:
    whole, short, long = (judged(with_outage(one), LEARNED + one)[1][0].trust for one in (0, length, length + more))
    assert long < short < whole
    assert judged(with_outage(length, 60), LEARNED + length + 59)[1][0].trust > short


@pytest.mark.parametrize("length", [60, 600])
def test_an_outage_counts_like_bad_samples_all_the_time(length: int) -> None:
    whole = samples(noise(7, LEARNED + length + 1))
    away = np.arange(LEARNED + length + 1)
    bad = ((away >= LEARNED) & (away < LEARNED + length)) * np.uint32(quality.BAD_NO_COMMUNICATION)
    told = {name: Samples(one.times_us, np.where(bad > 0, np.nan, one.values), bad.astype(np.uint32)) for name, one in whole.items()}
    _, silent = judged(with_outage(length), LEARNED + length)
    _, said = judged(told, LEARNED + length)
    assert [one.trust for one in silent] == pytest.approx([one.trust for one in said], abs=0.05)


def test_a_flat_line_is_not_what_an_outage_is_taken_for() -> None:
    flat = {name: Samples(START_US + np.arange(LEARNED + 600, dtype=np.int64) * SECOND_US,
                          np.append(one.values[:LEARNED], np.repeat(one.values[LEARNED - 1], 600)), np.zeros(LEARNED + 600, np.uint32))
            for name, one in samples(noise(7, LEARNED)).items()}  # fmt: skip
    _, held = judged(flat, LEARNED + 599)
    _, silent = judged(with_outage(600, 0), LEARNED + 599)
    assert {one.state for one in held} == {"good"}
    assert {one.state for one in silent} == {"not evaluated"}
    assert {(one.low, one.high) for one in silent} == {(0.0, 1.0)}


def test_time_without_samples_is_not_time_standing_still() -> None:
    """Twenty equal samples within a minute are not stuck, and are not because an hour of nothing lies between them."""
    values = noise(9, LEARNED + 20)
    values[LEARNED:, 0, 0] = values[LEARNED - 1, 0, 0]
    found = samples(values)
    later = found["rig1/well0.wellhead_pressure"].times_us + np.where(np.arange(LEARNED + 20) >= LEARNED + 10, 3600 * SECOND_US, 0)
    shifted = {name: Samples(later, one.values, one.quality) for name, one in found.items()}
    _, judged_ = judged(shifted, LEARNED + 19 + 3600)
    assert judged_[0].trust == pytest.approx(judged_[1].trust)


def test_the_band_of_the_forecast_widens_while_nothing_comes() -> None:
    state, known = judged(samples(noise(7, LEARNED)), LEARNED - 1)
    _, silent = judged({}, LEARNED + 600, state)
    horizon = Horizon(START_US, 60, 60)
    worn = [tuple(replace(one, level=0.6) for one in found) for found in (known, silent)]  # where the level decides something
    before, after = (foresee(RIG, "oil", found, horizon, Draws(1, 4000)) for found in worn)
    widths = [float(one.quantiles[4, 0] - one.quantiles[0, 0]) for one in (before, after)]
    assert widths[1] > 1.02 * widths[0]
    assert after.error.std() > 2 * before.error.std()
