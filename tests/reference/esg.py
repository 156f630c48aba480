"""Adapters for the families ESG-* of tests/cases/esg_compliance.json, answered by cloud.esg."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from cloud.esg import combustion, flares, gases, indicators, leaks, methods, purchased, releases, temperature
from cloud.esg import uncertainty as spread
from cloud.esg.estimates import Composition, Estimate
from cloud.esg.factors import factor_book
from cloud.esg.units import Quantity, Unit

Members = Mapping[str, Any]
DAY = date(2025, 6, 30)
LEAK_NAMES = {"valve": "valve", "connector": "connector", "oel": "open_ended_line", "prv": "relief_valve"}


def tonnes(found: Estimate, gwp: str | None = None) -> dict[str, float]:
    """Tonnes of each gas; CO2e of the gases the case speaks of."""
    answer = {name.replace("_kg", "_t"): value / 1000 for name, value in found.masses.items() if value is not None}
    return answer | ({"co2e_t": gases.gwp_set(gwp).co2e_of_known(found.masses).tonnes} if gwp else {})


def combustion_case(inputs: Members, expected: Members) -> dict[str, float]:
    """The shipped factors must be those of the case."""
    fuel, unit = ("natural_gas", Unit.SCF) if "scf" in inputs else ("crude", Unit.GALLON)
    book = factor_book()
    for key, name in (("hhv", "hhv"), ("ef_co2", "co2"), ("ef_ch4", "ch4"), ("ef_n2o", "n2o")):
        assert inputs.get(key, book.at(f"fuel.{fuel}.{name}", DAY).value) == book.at(f"fuel.{fuel}.{name}", DAY).value
    found = combustion.tier1(fuel, Quantity(inputs[unit.symbol], unit), DAY, book)
    return tonnes(found, inputs.get("gwp_set")) | {"kg_co2_per_bbl": found.masses.co2_kg or 0.0}


def warming(inputs: Members, expected: Members) -> dict[str, float]:
    masses = gases.Masses(0.0, inputs["ch4_t"] * 1000, inputs["n2o_t"] * 1000)
    return {name: gases.gwp_set(name).co2e(masses).tonnes for name in expected}


def flare(inputs: Members, _: Any) -> dict[str, float]:
    gas = flares.Flared(Quantity(inputs["V_scf"], Unit.SCF), Composition.of(inputs["mole_fraction"]), inputs["unlit_fraction"])
    return tonnes(flares.flare(gas, DAY, factor_book(), measured=inputs["eta"]), inputs["gwp_set"])


def vent(inputs: Members, _: Any) -> dict[str, float]:
    gas = releases.Gas(inputs["x_ch4"], inputs["x_co2"])
    return tonnes(releases.vent(Quantity(inputs["V_scf"], Unit.SCF), gas, DAY, factor_book()), inputs["gwp_set"])


def pneumatics(inputs: Members, _: Any) -> dict[str, dict[str, float]]:
    answer: dict[str, dict[str, float]] = {"whole_gas_scf": {}, "ch4_t": {}}
    for year in inputs["ef"]:
        counts, gas, day = {"pneumatic.intermittent": inputs["devices"]}, releases.Gas(inputs["x_ch4"], 0.0), date(int(year), 6, 30)
        found = releases.by_count(counts, inputs["hours"], gas, day, factor_book())
        answer["whole_gas_scf"][year], answer["ch4_t"][year] = found.activity.value, tonnes(found)["ch4_t"]
    return answer


def fugitives(inputs: Members, _: Any) -> dict[str, float]:
    counts = {f"leak.component.east.{LEAK_NAMES[name]}": count for name, count in inputs["counts"].items()}
    found = releases.by_count(counts, inputs["hours"], releases.Gas(inputs["x_ch4"], 0.0), date(2024, 6, 30), factor_book())
    return {"whole_gas_scf_h": found.activity.value / inputs["hours"]} | tonnes(found)


def purchased_power(inputs: Members, _: Any) -> dict[str, float]:
    grid, residual, green = (
        purchased.Rate(gases.Masses(t_per_mwh * 1000), "the case") for t_per_mwh in (inputs["grid"], inputs["residual"], 0.0)
    )
    bought = purchased.Certificates(Quantity(inputs["cert_mwh"], Unit.MWH), green)
    found = purchased.power(Quantity(inputs["mwh"], Unit.MWH), grid, residual, (bought,))
    return {"location_t": tonnes(found.location)["co2_t"], "market_t": tonnes(found.market)["co2_t"]}


def methane_intensity(inputs: Members, _: Any) -> dict[str, float]:
    marketed = Quantity(inputs["marketed_m3"], Unit.SM3)
    found = indicators.methane_intensity(Quantity(inputs["ch4_t"], Unit.TONNE), inputs["rho"], marketed)
    return {"ch4_m3": found * inputs["marketed_m3"], "intensity_pct": found * 100}


def uncertainty(inputs: Members, _: Any) -> dict[str, float]:
    first, second = inputs["source1"], inputs["source2"]
    u1 = spread.product_u95_pct([first["u_activity_pct"], first["u_ef_pct"]])
    whole = spread.sum_u95_pct([first["emission"], second["emission"]], [u1, second["u_total_pct"]])
    return {"u1_pct": u1, "u_total_pct": whole}


def safety(inputs: Members, _: Any) -> dict[str, float]:
    return {"trir": indicators.safety(inputs["recordables"], 0, 0, inputs["hours"]).trir}


def data_quality(inputs: Members, _: Any) -> dict[str, list[int]]:
    return {"score": [methods.quality_by_stewi(name) for name in inputs["methods"]]}


def temperature_rise(inputs: Members, _: Any) -> dict[str, float | None]:
    budget = temperature.Budget(inputs["cum_budget"], inputs["global_budget_gt"], inputs["benchmark_temp"])
    paths = inputs["cum_target"], inputs["cum_trajectory"], inputs["target_probability"]
    found = temperature.implied(*paths, budget, inputs["tcre_multiplier"])
    return {"target_score": found.target_c, "trajectory_score": found.trajectory_c, "score": found.mixed_c}


def detection(inputs: Members, _: Any) -> dict[str, list[float]]:
    return {"p": leaks.metec_detection(inputs["rate_kg_h"], inputs["a"], inputs["b"]).tolist()}
