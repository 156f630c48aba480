"""Scenarios of the simulators as the hub would see them: samples by tag, once a second of wall time, without gateway and network."""

from collections.abc import Iterator, Mapping

import numpy as np

from cloud.assets.assess import Samples
from simulators.scenario import find_scenario, load_scenario, open_sources

START_US, SECOND_US = 1_795_000_000_000_000, 1_000_000
Polled = tuple[int, dict[str, Samples], dict[str, int]]


def polled(scenarios: Mapping[str, str], seconds: int, *, every_us: int = SECOND_US) -> Iterator[Polled]:
    """(time, samples by tag, label by device) of each second; scenarios: by the name of the gateway that reads them."""
    shown = []
    for gateway, name in scenarios.items():
        scenario = load_scenario(find_scenario(name))
        shown += [(gateway, device, source, scenario.rate) for device, source in zip(scenario.devices, open_sources(scenario), strict=True)]
    for second in range(seconds):
        found, labels = {}, {}
        for gateway, device, source, rate in shown:
            times = range(START_US + second * SECOND_US, START_US + (second + 1) * SECOND_US, every_us)
            steps = [source.step(round((now - START_US) * rate / SECOND_US), now) for now in times]
            rows = [step for step in steps if step is not None]
            labels[device.name] = rows[-1].label
            values, codes = np.stack([row.values for row in rows]), np.stack([row.quality for row in rows])
            stamps = np.array([row.time_us for row in rows], np.int64)
            for at, tag in enumerate(device.map.tags):
                found[f"{gateway}/{device.name}.{tag.name}"] = Samples(stamps, values[:, at], codes[:, at])
        yield START_US + (second + 1) * SECOND_US, found, labels
