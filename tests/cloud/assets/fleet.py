"""A small class of assets with tags that hover around 50, sampled every second."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from cloud.assets import Bools, Floats, health
from cloud.assets.trust import TagRules
from protocols import quality

START_US, SECOND_US = 1_717_200_000_000_000, 1_000_000
ASSETS, TAGS = 3, 6


def rules(tags: int = TAGS) -> TagRules:
    one = np.ones(tags)
    return TagRules(0 * one, 100 * one, 60 * one, 1e-3 * one, one, one < 0, one > 0, learn=20).checked()


def noise(seed: int, ticks: int, assets: int = ASSETS, tags: int = TAGS) -> Floats:
    return 50 + np.random.default_rng(seed).standard_normal((ticks, assets, tags))


def run(values: Floats, bad: Bools | None = None) -> list[health.Health]:
    """The health after each tick; where `bad`, the value is NaN and the quality says that communication failed."""
    state = health.AssetState.start(*values.shape[1:])
    limits, found = rules(values.shape[2]), []
    for index, (row, codes) in enumerate(rows(values, bad)):
        now = START_US + index * SECOND_US
        state, answer = health.tick(state, limits, row, codes, np.full((values.shape[1], 1), now), now)
        found.append(answer)
    return found


def rows(values: Floats, bad: Bools | None) -> Iterable[tuple[Floats, NDArray[np.uint32]]]:
    failed = np.zeros(values.shape, dtype=bool) if bad is None else bad
    codes = np.where(failed, quality.BAD_NO_COMMUNICATION, quality.GOOD).astype(np.uint32)
    return zip(np.where(failed, np.nan, values), codes, strict=True)
