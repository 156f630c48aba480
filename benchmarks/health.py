"""Time of one health tick of 10,000 assets x 20 tags, and of a supply-linked volume forecast of 5 units x 365 days x 10,000 paths.

Floors, measured in the same run: for the tick, plain numpy EWMAs, a z and a CUSUM of the same values without quality, trust, baseline
or reasons; for the forecast, a day-by-day two-state chain in plain numpy (one uniform per unit, path and day). Best of several.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import report
from cloud.assets import forecast, health
from cloud.assets.hazard import WienerBelief
from cloud.assets.outages import Draws, Units
from cloud.assets.topology import Kind, Node
from cloud.assets.trust import TagRules

ASSETS, TAGS = 10_000, 20
UNITS, DAYS, PATHS = 5, 365, 10_000
START_US, SECOND_US = 1_717_200_000_000_000, 1_000_000
GOALS = {"tick ms": 50.0, "forecast / floor": 3.0}


def times_of(work: Callable[[int], object], count: int) -> list[float]:
    found = []
    for index in range(count):
        start = time.perf_counter()
        work(index)
        found.append((time.perf_counter() - start) * 1e3)
    return sorted(found)


def tick_times(count: int, bad_share: float) -> list[float]:
    rng = np.random.default_rng(1)
    samples = [50 + rng.standard_normal((ASSETS, TAGS)) for _ in range(8)]
    quality = np.where(rng.random((ASSETS, TAGS)) < bad_share, 0x8031_0000, 0).astype(np.uint32)
    one = np.ones(TAGS)
    rules = TagRules(0 * one, 100 * one, 50 * one, 1e-3 * one, one, one < 0, one > 0, learn=20).checked()
    state = [health.AssetState.start(ASSETS, TAGS)]

    def work(index: int) -> None:
        now = START_US + index * SECOND_US
        state[0], _ = health.tick(state[0], rules, samples[index % 8], quality, np.full((ASSETS, 1), now), now)

    times_of(work, 25)  # the baseline is learned before the clock starts
    return times_of(lambda index: work(index + 25), count)


def tick_floor(count: int) -> list[float]:
    rng = np.random.default_rng(1)
    samples = [50 + rng.standard_normal((ASSETS, TAGS)) for _ in range(8)]
    fast, slow, variance, up = (np.zeros((ASSETS, TAGS)) for _ in range(4))

    def work(index: int) -> None:
        value = samples[index % 8]
        fast[:] += 0.1 * (value - fast)
        slow[:] += 0.03 * (value - slow)
        variance[:] += 0.03 * ((value - slow) ** 2 - variance)
        up[:] = np.maximum(up + (value - slow) / np.sqrt(variance + 1e-9) - 0.5, 0.0)
        np.abs(fast - slow).max(axis=1)

    return times_of(work, count)


def forecast_times(count: int) -> list[float]:
    one = np.ones(UNITS)
    belief = WienerBelief(0.002 * one, 500 * one, 20 * one, 20 * 0.03**2 * one)
    units = Units(1000 * one, 0.2 * one, 0.05 * one, one, belief, one / 200, 5 * one, 0.5 * one, one, 0.01 * one, one)
    plan = forecast.Plan.daily(DAYS, UNITS)
    topology = Node(Kind.PARALLEL, tuple(range(UNITS)))
    return times_of(lambda index: forecast.forecast(units, topology, plan, Draws(index, PATHS)), count)


def forecast_floor(count: int) -> list[float]:
    def work(index: int) -> None:
        rng = np.random.default_rng(index)
        up = np.ones((UNITS, PATHS), dtype=bool)
        volume = np.empty((PATHS, DAYS))
        for day in range(DAYS):
            chance = rng.random((UNITS, PATHS))
            up = np.where(up, chance > 1 / 200, chance < 1 / 5)
            volume[:, day] = 1000.0 * up.sum(axis=0)

    return times_of(work, count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    few = max(asked.repeat // 4, 3)
    found = {
        "health tick": (tick_times(asked.repeat, 0.0), tick_floor(asked.repeat)),
        "health tick, 5 % bad": (tick_times(asked.repeat, 0.05), tick_floor(asked.repeat)),
        "volume forecast": (forecast_times(few), forecast_floor(few)),
    }
    rows = [
        (name, f"{ours[0]:.1f}", f"{ours[len(ours) // 2]:.1f}", f"{ours[-1]:.1f}", f"{floor[0]:.1f}", f"{ours[0] / floor[0]:.2f}")
        for name, (ours, floor) in found.items()
    ]
    report.table("Assets: ms", ("what", "best", "median", "worst", "floor best", "ratio"), rows)
    result = {
        name: {"best_ms": ours[0], "median_ms": ours[len(ours) // 2], "worst_ms": ours[-1], "floor_ms": floor[0]}
        for name, (ours, floor) in found.items()
    }
    report.write(asked.json, {"goals": GOALS, **result})


if __name__ == "__main__":
    main()
