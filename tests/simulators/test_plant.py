"""The platform's normal operation, and what faults must show."""

import dataclasses

import numpy as np
import pytest

from protocols.devicemap import SHIPPED, load_device_map
from simulators.plant.platform import BAR, DAY_S, Parameters, State, flows, genset, step
from simulators.plant.signals import UNITS, Course, Plant, PlantSource


def after(hours, parameters=None):
    state, parameters = State(), parameters or Parameters()
    for _ in range(int(hours * 3600)):
        state = step(state, parameters)
    return state, flows(state, parameters)


def test_normal_steady_state_has_the_published_numbers():
    state, now = after(1.5)
    found = {
        "liquid": now.liquid * DAY_S,
        "oil": now.oil * DAY_S,
        "water": now.water * DAY_S,
        "gas": now.oil * 120 * DAY_S / 1000,
        "wellhead": state.wellhead_pa[0] / BAR,
        "separator": state.separator_pa / BAR,
        "level": state.level_m,
        "oil valve": now.oil_valve,
        "mass": state.compressor_kg_s,
        "rpm": state.speed * 11_000,
        "ratio": now.ratio,
        "discharge": state.discharge_k - 273.15,
        "power": now.compressor_w,
        "vibration": now.vibration_mm_s,
        "bearing": state.bearing_c,
    }
    wanted = [5180, 2914, 1295, 350, 93.5, 20.0, 1.40, 0.45, 3.64, 9105, 2.64, 154, 0.79e6, 1.9, 56]
    assert found == pytest.approx(dict(zip(found, wanted, strict=True)), rel=0.03)
    assert now.flare_kg_s == 0


def test_a_hydrate_raises_its_wellhead_pressure_and_costs_production():
    blocked = dataclasses.replace(Parameters(), hydrate=(0.9,) + (0.0,) * 7)
    state, now = after(1.0, blocked)
    assert state.wellhead_pa[0] / BAR > 105
    assert now.oil * DAY_S < 2914 * 0.92


def test_a_compressor_trip_ends_in_the_flare():
    state, now = after(1.0, dataclasses.replace(Parameters(), compressor_running=False))
    assert 24.0 < state.separator_pa / BAR < 24.6
    assert now.flare_kg_s == pytest.approx(now.gas_kg_s, rel=0.02)


def test_fouling_shows_in_speed_and_temperature_while_flow_holds():
    state, now = after(1.5, dataclasses.replace(Parameters(), fouling=0.115))
    assert now.oil * DAY_S == pytest.approx(2914, rel=0.01)
    assert state.speed * 11_000 == pytest.approx(10_280, rel=0.02)
    assert state.discharge_k - 273.15 == pytest.approx(177, rel=0.03)


def test_genset_frequency_droops_with_load():
    assert genset(Parameters(), 1.8e6).frequency_hz < genset(Parameters(), 0.0).frequency_hz


@pytest.mark.parametrize("unit", UNITS)
def test_the_same_seed_gives_the_same_run(unit):
    from protocols.devicemap import Tag, TagType

    names = PlantSource(Plant(3), unit, ())._measure(State(), flows(State(), Parameters()), Parameters(), [0.0] * 16)
    tags = [Tag(name=name, at="", type=TagType.FLOAT64) for name in names]
    runs = [[PlantSource(Plant(seed), unit, tags).step(index, 0).values for index in range(3)] for seed in (3, 3, 4)]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def compressor(course, steps):
    tags = load_device_map(SHIPPED / "qenergyz_compressor_modbus.toml").tags
    source = PlantSource(Plant(5, course=course), "compressor", tags)
    shown = [source.step(index, 0) for index in range(steps)]
    return {tag.name: np.array([step.values[at] for step in shown]) for at, tag in enumerate(tags)}, [step.label for step in shown]


def test_fouling_by_a_ramp_shows_in_efficiency_and_not_in_flow():
    found, labels = compressor(Course(step_s=60, warm_up_s=5400, fouling_per_day=0.4, from_s=7200), 600)
    ratio, heat = found["discharge_bar"] / found["suction_bar"], (found["discharge_c"] + 273.15) / (found["suction_c"] + 273.15)
    efficiency = 0.27 / 1.27 * np.log(ratio) / np.log(heat)
    before, after = slice(0, 120), slice(480, 600)
    assert labels[:121] == [0] * 121
    assert set(labels[121:]) == {1}
    assert efficiency[after].mean() < efficiency[before].mean() - 0.05
    assert abs(np.polyfit(np.arange(120), efficiency[before], 1)[0] * 120) < 0.002
    assert abs(found["gas_flow"][after].mean() / found["gas_flow"][before].mean() - 1) < 0.01
    assert found["rpm"][-1] > found["rpm"][0] * 1.05


def test_a_plant_moves_by_its_seconds_per_step():
    slow, quick = Plant(1, course=Course(step_s=1)), Plant(1, course=Course(step_s=60))
    assert slow.at(120)[0] == quick.at(2)[0]
    assert quick.at(1)[0] == slow.at(60)[0]


def test_a_clean_plant_is_normal():
    plant = Plant(1)
    plant.at(10)
    assert plant.label == 0
