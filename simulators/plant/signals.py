"""The plant's named signals, as devices measure them, and the source that shows them as a device's tags.

Process noise is drawn per step from (seed, step), so that a run is the same whatever was asked for in between. The plant moves by
its course's seconds per step, whatever the wall time between steps.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from protocols.devicemap import Tag
from protocols.tomlfile import nearest
from simulators.face import Step
from simulators.plant.platform import BAR, DAY_S, ZERO_CELSIUS_K, Flows, Parameters, State, flows, genset, step

POWER_FACTOR: Final = 0.85
PHASE_V: Final = 11_000 / math.sqrt(3)
Signals = Mapping[str, float]


def feeder_signals(state: State, now: Flows, parameters: Parameters, noise: Sequence[float]) -> dict[str, float]:
    """The generator feeder of the platform's substation: 11 kV, one breaker."""
    machine = genset(parameters, now.compressor_w)
    active_w = machine.active_w * (1 + 0.004 * noise[0])
    reactive_var = active_w * math.tan(math.acos(POWER_FACTOR)) * (1 + 0.004 * noise[1])
    apparent_va = math.hypot(active_w, reactive_var)
    volts = [PHASE_V * (1 + 0.002 * value) for value in noise[2:5]]
    amperes = [apparent_va / 3 / volt * (1 + 0.003 * value) for volt, value in zip(volts, noise[5:8], strict=True)]
    return {
        "total_w": active_w,
        "total_var": reactive_var,
        "total_va": apparent_va,
        "power_factor": active_w / apparent_va,
        "frequency": machine.frequency_hz + 0.01 * noise[8],
        **dict(zip(("volt_a", "volt_b", "volt_c"), volts, strict=True)),
        **dict(zip(("ampere_a", "ampere_b", "ampere_c"), amperes, strict=True)),
        "winding_temperature": 55 + 60 * machine.load**2 + 0.2 * noise[9],
        "exhaust_temperature": machine.exhaust_c + 0.5 * noise[10],
        "fuel_flow": machine.fuel_kg_s,
        "running": 1.0,
        "breaker": 2.0,  # double point: 2 = closed
        "operations": 117.0,
        "bearing_temperature": state.bearing_c,
    }


def separator_signals(state: State, now: Flows, parameters: Parameters, noise: Sequence[float]) -> dict[str, float]:
    """Wells, separator and compressor of the platform."""
    wellheads = {f"wellhead_bar_{number}": pressure / BAR for number, pressure in enumerate(state.wellhead_pa, 1)}
    return {
        **wellheads,
        "liquid_m3_d": now.liquid * DAY_S,
        "oil_m3_d": now.oil * DAY_S,
        "water_m3_d": now.water * DAY_S,
        "gas_ksm3_d": now.oil * parameters.gas_oil_ratio * DAY_S / 1000,
        "separator_bar": state.separator_pa / BAR,
        "level_m": state.level_m,
        "oil_valve_percent": 100 * now.oil_valve,
        "compressor_kg_s": state.compressor_kg_s,
        "compressor_rpm": state.speed * parameters.rated_rpm,
        "compressor_ratio": now.ratio,
        "discharge_c": state.discharge_k - ZERO_CELSIUS_K,
        "compressor_mw": now.compressor_w / 1e6,
        "vibration_mm_s": now.vibration_mm_s * (1 + 0.04 * noise[0]),
        "bearing_c": state.bearing_c,
        "flare_kg_s": now.flare_kg_s,
    }


SUCTION_K: Final = 330.0


def compressor_signals(state: State, now: Flows, parameters: Parameters, noise: Sequence[float]) -> dict[str, float]:
    """The export compressor as its own instruments show it: end points, flow, speed, vibration. Pressures absolute."""
    suction_bar = state.separator_pa / BAR
    return {
        "suction_bar": suction_bar * (1 + 0.0005 * noise[0]),
        "discharge_bar": suction_bar * now.ratio * (1 + 0.0005 * noise[1]),
        "suction_c": SUCTION_K - ZERO_CELSIUS_K + 0.1 * noise[2],
        "discharge_c": state.discharge_k - ZERO_CELSIUS_K + 0.15 * noise[3],
        "gas_flow": state.compressor_kg_s * (1 + 0.002 * noise[4]),
        "rpm": state.speed * parameters.rated_rpm * (1 + 0.0002 * noise[5]),
        "vibration_mm_s": now.vibration_mm_s * (1 + 0.04 * noise[6]),
        "bearing_c": state.bearing_c + 0.1 * noise[7],
        "power_mw": now.compressor_w / 1e6 * (1 + 0.003 * noise[8]),
    }


Measure = Callable[[State, Flows, Parameters, Sequence[float]], dict[str, float]]
UNITS: Final[Mapping[str, Measure]] = {"genset": feeder_signals, "platform": separator_signals, "compressor": compressor_signals}


def signal_problems(unit: str, tags: Sequence[Tag]) -> str:
    """Why these tags cannot show that unit, or nothing."""
    if unit not in UNITS:
        return f'no plant unit "{unit}"{nearest(unit, UNITS)} Known: {", ".join(UNITS)}.'
    known = UNITS[unit](State(), flows(State(), Parameters()), Parameters(), [0.0] * 16)
    for tag in tags:
        if tag.vendor not in known and tag.name not in known:
            return f'tag "{tag.name}": the unit "{unit}" has no such signal{nearest(tag.name, known)}'
    return ""


@dataclass(frozen=True, slots=True)
class Course:
    """How a plant's time runs and what befalls it. step_s: seconds of the plant per step; warm_up_s: run before the first step, until all
    is steady; fouling_per_day: share of the compressor's capacity, from `from_s` of plant time after the first step on."""

    step_s: int = 1
    warm_up_s: int = 0
    fouling_per_day: float = 0.0
    from_s: int = 0


MOST_FOULING: Final = 0.6
FOULED: Final = 1  # label: F01 of the fault catalogue


class Plant:
    """One platform shared by all devices that look at it."""

    def __init__(self, seed: int, parameters: Parameters | None = None, course: Course | None = None) -> None:
        self._seed, self._clean, self._course = seed, parameters or Parameters(), course or Course()
        self.parameters, self._state, self._second = self._clean, State(), -self._course.warm_up_s

    @property
    def label(self) -> int:
        """What truly happens now: 0 normal."""
        return FOULED if self.parameters.fouling > self._clean.fouling else 0

    def at(self, index: int) -> tuple[State, Flows, Sequence[float]]:
        """The plant after `index` steps. Asked for in rising order."""
        wanted = index * self._course.step_s
        if wanted < self._second:
            self.parameters, self._state, self._second = self._clean, State(), -self._course.warm_up_s
        while self._second < wanted:
            self._state = step(self._state, self.parameters)
            self._second += 1
            self._foul()
        noise: list[float] = np.random.Generator(np.random.PCG64([self._seed, index])).standard_normal(16).tolist()
        return self._state, flows(self._state, self.parameters), noise

    def _foul(self) -> None:
        since_s = self._second - self._course.from_s
        if self._course.fouling_per_day > 0 and since_s > 0:
            fouling = min(self._clean.fouling + self._course.fouling_per_day * since_s / DAY_S, MOST_FOULING)
            self.parameters = replace(self.parameters, fouling=fouling)


class PlantSource:
    """Tags of one device showing signals of one plant unit, each under its vendor name or its name."""

    def __init__(self, plant: Plant, unit: str, tags: Sequence[Tag]) -> None:
        self._plant, self._measure, self._tags = plant, UNITS[unit], tags

    def step(self, index: int, time_us: int) -> Step:
        state, now, noise = self._plant.at(index)
        signals = self._measure(state, now, self._plant.parameters, noise)
        values = [signals[tag.vendor if tag.vendor in signals else tag.name] for tag in self._tags]
        return Step(time_us, np.array(values), np.zeros(len(values), dtype=np.uint32), self._plant.label)
