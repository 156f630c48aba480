"""The shipped factors a second time, typed from the tables and not from the files: a digit that slips in one of them is seen."""

import json

from cloud.esg.factors import factor_book
from cloud.esg.gases import DATA

# fuel: high heating value [mmBtu per scf or gal], CO2, CH4, N2O [kg/mmBtu]; 40 CFR 98 tables C-1 and C-2
FUELS = {
    "natural_gas": (1.026e-3, 53.06, 1.0e-3, 1.0e-4),
    "distillate_2": (0.138, 73.96, 3.0e-3, 6.0e-4),
    "residual_6": (0.150, 75.10, 3.0e-3, 6.0e-4),
    "crude": (0.138, 74.54, 3.0e-3, 6.0e-4),
    "gasoline": (0.125, 70.22, 3.0e-3, 6.0e-4),
    "propane_gas": (2.516e-3, 61.46, 3.0e-3, 6.0e-4),
    "jet_kerosene": (0.135, 72.22, 3.0e-3, 6.0e-4),
}
# scf/h of whole gas, 40 CFR 98 table W-1 and what it replaced
PIECES = ("wellhead", "separator", "meter_piping", "compressor", "dehydrator", "heater", "storage_vessel")
GAS_SERVICE = (8.87, 9.65, 7.04, 13.8, 8.09, 5.22, 1.83)
CRUDE_SERVICE = (4.13, 4.77, 12.4, 13.8, 8.09, 3.2, 1.91)
OTHERS: dict[str, tuple[float | None, ...]] = {
    "fuel.fuel_gas.ch4": (3.0e-3,),
    "fuel.fuel_gas.n2o": (6.0e-4,),
    "gas.density.ch4": (0.0192,),
    "gas.density.co2": (0.0526,),
    "flare.efficiency.default": (0.98,),
    "flare.efficiency.tier_1": (0.98,),
    "flare.efficiency.tier_2": (0.95,),
    "flare.efficiency.tier_3": (0.92,),
    "flare.n2o": (1e-4,),
    "flare.nhv.minimum": (300.0,),
    "pneumatic.low": (1.39, 6.8),
    "pneumatic.intermittent": (13.5, 8.8),
    "pneumatic.high": (37.3, 21.0),
    "pneumatic.pump": (13.3, 13.3),
    "pneumatic.transmission.high": (30.0,),
    "pneumatic.transmission.intermittent": (2.3,),
    "leak.component.east.valve": (0.027, None),
    "leak.component.east.connector": (0.003, None),
    "leak.component.east.open_ended_line": (0.061, None),
    "leak.component.east.relief_valve": (0.04, None),
    "leak.gathering.steel_protected": (0.93,),
    "leak.gathering.steel_unprotected": (8.2,),
    "leak.gathering.plastic": (0.28,),
    "u95.meter.ultrasonic_flare": (5.0,),
    "u95.meter.orifice": (5.0,),
    "u95.analyser.gas_chromatograph": (2.0,),
    "u95.factor.population": (100.0,),
    "u95.engineering_estimate": (100.0,),
}


def expected() -> dict[str, tuple[float | None, ...]]:
    found = dict(OTHERS)
    for fuel, values in FUELS.items():
        found |= {f"fuel.{fuel}.{part}": (value,) for part, value in zip(("hhv", "co2", "ch4", "n2o"), values, strict=True)}
    for service, values in (("gas", GAS_SERVICE), ("crude", CRUDE_SERVICE)):
        found |= {f"leak.equipment.{service}.{piece}": (value,) for piece, value in zip(PIECES, values, strict=True)}
    return found


def shipped() -> dict[str, tuple[float | None, ...]]:
    return {name: tuple(step.value for step in steps) for name, (_, steps) in factor_book().steps.items()}


def test_every_shipped_factor_is_the_one_of_its_table() -> None:
    assert {name: values for name, values in shipped().items() if not name.startswith("grid.")} == expected()


def test_every_grid_is_the_one_of_the_published_file() -> None:
    published = json.loads((DATA / "electricity_emission_factors.json").read_text())
    expected_grids = {f"grid.us.{region}.{gas}": (value,) for region, rates in published.items() for gas, value in rates.items()}
    assert {name: values for name, values in shipped().items() if name.startswith("grid.")} == expected_grids
