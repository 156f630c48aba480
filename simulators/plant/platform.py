"""An offshore platform: eight wells, chokes, separator, compressor, flare, generator set.

`step` is pure: state and parameters in, next state out; SI units inside, names with a unit where it is not SI. Liquids leave the wells
by an inflow curve (straight above bubble point, Vogel below), the separator holds levels and pressure by PI control, the compressor
takes the gas away and the generator set carries its power. Controls hide faults: fouling shows in speed and temperature, not in flow.
"""

import math
from dataclasses import dataclass, replace
from typing import Final

BAR: Final = 1e5
DAY_S: Final = 86_400.0
GRAVITY: Final = 9.81
GAS_CONSTANT: Final = 8.314
ZERO_CELSIUS_K: Final = 273.15


@dataclass(frozen=True, slots=True)
class Parameters:
    """Tuned values. hydrate: share of each choke that is blocked; fouling: share of compressor capacity lost; bearing: wear exponent."""

    wells: int = 8
    reservoir_pa: float = 250 * BAR
    bubble_point_pa: float = 160 * BAR
    productivity: float = 4.0e-9
    depth_m: float = 2500.0
    tubing_m: float = 0.1144
    gas_oil_ratio: float = 120.0
    water_cut: float = 0.25
    shrinkage: float = 0.75
    gas_density: float = 0.90
    compliance_pa: float = 1.2e7
    choke_capacity: float = 1.9e-4
    choke_percent: tuple[float, ...] = (42.0,) * 8
    hydrate: tuple[float, ...] = (0.0,) * 8
    pressure_set_pa: float = 20 * BAR
    level_set_m: float = 1.40
    water_level_set_m: float = 0.60
    fouling: float = 0.0
    bearing: float = 0.0
    compressor_running: bool = True
    rated_rpm: float = 11_000.0
    aux_w: float = 1.2e6
    genset_rated_w: float = 3.0e6


@dataclass(frozen=True, slots=True)
class State:
    """level, water_level in m; speed is the compressor's share of rated speed; the integrals belong to the PI controllers."""

    wellhead_pa: tuple[float, ...] = (93.5 * BAR,) * 8
    separator_pa: float = 20 * BAR
    level_m: float = 1.40
    water_level_m: float = 0.60
    oil_integral: float = 0.0
    water_integral: float = 0.0
    speed_integral: float = 0.0
    speed: float = 0.8277
    compressor_kg_s: float = 3.64
    discharge_k: float = 427.0
    bearing_c: float = 56.0


@dataclass(frozen=True, slots=True)
class Flows:
    """What follows from a state. Volumes in m3/s, masses in kg/s."""

    liquid: float
    oil: float
    water: float
    gas_kg_s: float
    oil_valve: float
    water_valve: float
    flare_kg_s: float
    recycle_kg_s: float
    ratio: float
    compressor_w: float
    vibration_mm_s: float


def inflow(parameters: Parameters, wellhead_pa: float) -> float:
    """Liquid from the reservoir into a well, m3/s."""
    p = parameters
    density = 650 * (1 - p.water_cut) + 1020 * p.water_cut - 120
    flowing_pa = wellhead_pa + density * GRAVITY * p.depth_m * 0.85 + 8 * BAR
    if flowing_pa >= p.bubble_point_pa:
        return p.productivity * (p.reservoir_pa - flowing_pa)
    x = flowing_pa / p.bubble_point_pa
    return p.productivity * (p.reservoir_pa - p.bubble_point_pa) + p.productivity * p.bubble_point_pa / 1.8 * (1 - 0.2 * x - 0.8 * x * x)


def choke_flows(state: State, parameters: Parameters) -> tuple[float, ...]:
    """Liquid through each well's choke, m3/s."""
    return tuple(
        parameters.choke_capacity * (percent / 100) ** 1.5 * (1 - blocked) * math.sqrt(max(0.0, wellhead_pa - state.separator_pa) / 350)
        for wellhead_pa, percent, blocked in zip(state.wellhead_pa, parameters.choke_percent, parameters.hydrate, strict=True)
    )


def flows(state: State, parameters: Parameters) -> Flows:
    p = parameters
    liquid = sum(choke_flows(state, p))
    oil = liquid * p.shrinkage * (1 - p.water_cut)
    ratio = 1 + 2.4 * state.speed**2 * (1 - 0.6 * p.fouling)
    recycle = max(0.0, 0.55 * 4.4 * state.speed - state.compressor_kg_s)
    suction_k = 330.0
    return Flows(
        liquid=liquid,
        oil=oil,
        water=liquid * p.water_cut,
        gas_kg_s=oil * p.gas_oil_ratio * p.gas_density,
        oil_valve=_clamp(0.45 + 0.8 * (state.level_m - p.level_set_m) + state.oil_integral),
        water_valve=_clamp(0.43 + 0.8 * (state.water_level_m - p.water_level_set_m) + state.water_integral),
        flare_kg_s=max(0.0, 2.0 * (state.separator_pa / BAR - 22.5)),
        recycle_kg_s=recycle,
        ratio=ratio,
        compressor_w=(state.compressor_kg_s + recycle) * 2150 * (state.discharge_k - suction_k) / 0.96 if p.compressor_running else 0.0,
        vibration_mm_s=(1.6 + 0.3 * state.speed) * math.exp(p.bearing),
    )


def step(state: State, parameters: Parameters, dt: float = 1.0) -> State:
    p, now = parameters, flows(state, parameters)
    tubing_m3 = math.pi * p.tubing_m**2 / 4 * p.depth_m
    chokes = choke_flows(state, p)
    wellhead = tuple(
        pressure + dt * p.compliance_pa / tubing_m3 * (inflow(p, pressure) - through)
        for pressure, through in zip(state.wellhead_pa, chokes, strict=True)
    )
    pressure_bar = state.separator_pa / BAR
    oil_out = 0.075 * now.oil_valve * math.sqrt(max(0.0, pressure_bar - 6) / 14)
    water_out = 0.035 * now.water_valve * math.sqrt(max(0.0, pressure_bar - 4) / 16)
    surface_m2 = 0.9 * 3.0 * 10.0
    gas_m3 = math.pi * 9.0 / 4 * 10.0 - surface_m2 * state.level_m
    stiffness = 0.93 * GAS_CONSTANT * 330 / (0.0215 * gas_m3)
    pressure_error = (state.separator_pa - p.pressure_set_pa) / p.pressure_set_pa
    speed_integral = state.speed_integral + dt * 3.0 / 90.0 * pressure_error
    speed = _clamp(0.8277 + 3.0 * pressure_error + speed_integral, 0.4, 1.05)
    if speed in (0.4, 1.05):
        speed_integral = state.speed_integral
    capacity = 4.4 * state.speed * (1 - p.fouling) * pressure_bar / 20 if p.compressor_running else 0.0
    efficiency = 0.78 * (1 - 0.8 * p.fouling)
    discharge = 330.0 * (1 + (now.ratio ** (0.27 / 1.27) - 1) / efficiency)
    bearing = 35 + 14 * state.speed + 5 * now.vibration_mm_s
    return replace(
        state,
        wellhead_pa=wellhead,
        separator_pa=max(BAR, state.separator_pa + dt * stiffness * (now.gas_kg_s - state.compressor_kg_s - now.flare_kg_s)),
        level_m=state.level_m + dt * (now.oil + now.water - oil_out - water_out) / surface_m2,
        water_level_m=state.water_level_m + dt * (now.water - water_out) / surface_m2,
        oil_integral=state.oil_integral + dt * 0.8 / 300.0 * (state.level_m - p.level_set_m),
        water_integral=state.water_integral + dt * 0.8 / 300.0 * (state.water_level_m - p.water_level_set_m),
        speed_integral=speed_integral,
        speed=speed,
        compressor_kg_s=state.compressor_kg_s + dt / 6.0 * (capacity - state.compressor_kg_s),
        discharge_k=state.discharge_k + dt / 60.0 * (discharge - state.discharge_k),
        bearing_c=state.bearing_c + dt / 600.0 * (bearing - state.bearing_c),
    )


@dataclass(frozen=True, slots=True)
class Genset:
    """What the generator set shows for a load. active_w electrical; frequency_hz by 4 % droop around two thirds load."""

    load: float
    active_w: float
    fuel_kg_s: float
    frequency_hz: float
    exhaust_c: float


def genset(parameters: Parameters, compressor_w: float) -> Genset:
    active_w = parameters.aux_w + compressor_w
    load = active_w / parameters.genset_rated_w
    efficiency = 0.36 * (1 - 0.25 * (1 - load) ** 2)
    return Genset(
        load, active_w, active_w / (efficiency * 47e6), 50 * (1 + 0.04 * (2 / 3 - load)), 480 + 120 * load * (1 + 2 * parameters.fouling)
    )


def _clamp(value: float, low: float = 0.0, high: float = 1.0) -> float:
    return min(high, max(low, value))
