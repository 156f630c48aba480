"""Burning fuel in engines, turbines, heaters and boilers: 40 CFR 98 subpart C, tiers 1, 3 and 4.

Not for flares (`flares`). The formulas give kilograms; the regulation's factor of 1e-3 to tonnes is left out.
"""

from collections.abc import Set
from datetime import date
from enum import Enum
from typing import Final

from cloud.esg import EsgError, Indeterminate, finite, share
from cloud.esg.estimates import Estimate
from cloud.esg.factors import Factor, FactorBook
from cloud.esg.gases import Masses
from cloud.esg.units import US_68F, Quantity, Unit, molar_volume_scf

CO2_PER_CARBON: Final = 44.0 / 12.0  # as written in eq. C-5
CO2_KG_PER_KMOL: Final = 44.01


class Burner(Enum):
    HEATER = "heater or boiler"
    ENGINE = "engine or turbine"


class Regime(Enum):
    """Who the figure is for; subpart W reporters may not use the default CH4 factor for engines and turbines (98.233(z)(4))."""

    GENERAL = "general"
    SUBPART_W = "40 CFR 98 subpart W"


def tier1(fuel: str, volume: Quantity, day: date, book: FactorBook, scenarios: Set[str] = frozenset()) -> Estimate:
    """Equations C-1 and C-8: volume x high heating value x factor, all defaults of the fuel."""
    hhv = book.at(f"fuel.{fuel}.hhv", day, scenarios)
    gases = tuple(book.at(f"fuel.{fuel}.{gas}", day, scenarios) for gas in ("co2", "ch4", "n2o"))
    return Estimate(burn(volume, hhv, *gases), volume, "tier1-c1", (hhv, *gases))


def burn(volume: Quantity, hhv: Factor, co2: Factor, ch4: Factor, n2o: Factor) -> Masses:
    """Kilograms of each gas. Raises EsgError when the volume is in no unit of the heating value."""
    heat_mmbtu = volume.to(Unit.named(hhv.unit.removeprefix("mmBtu/"))) * hhv.value
    return Masses(heat_mmbtu * co2.value, heat_mmbtu * ch4.value, heat_mmbtu * n2o.value)


def for_burner(estimate: Estimate, burner: Burner, regime: Regime) -> Estimate:
    """The estimate as the regime allows it: methane unknown where its default factor may not be used."""
    if burner is Burner.ENGINE and regime is Regime.SUBPART_W:
        masses = Masses(estimate.masses.co2_kg, None, estimate.masses.n2o_kg)
        note = "CH4: the default factor is not allowed for engines and turbines, 40 CFR 98.233(z)(4); measure it"
        return Estimate(masses, estimate.activity, estimate.method, estimate.factors, (*estimate.notes, note))
    return estimate


def tier3_gas(
    volume: Quantity,
    carbon_kg_per_kg: float | None,
    molecular_weight: float | None,
    day: date,
    book: FactorBook,
    *,
    hhv_mmbtu_scf: float | None = None,
) -> Estimate:
    """Equation C-5: CO2 = 44/12 x V x CC x MW / MVC. Without a heating value CH4 and N2O stay unknown (equation C-8 needs it)."""
    if carbon_kg_per_kg is None or molecular_weight is None:
        raise Indeterminate("tier 3: carbon content and molecular weight of the fuel are needed, one is missing")
    kmol = volume.to(Unit.SCF) / molar_volume_scf()
    co2 = (
        CO2_PER_CARBON * kmol * share("carbon_kg_per_kg", carbon_kg_per_kg) * finite("molecular_weight", molecular_weight, low=2, high=200)
    )
    ch4, n2o = book.at("fuel.fuel_gas.ch4", day), book.at("fuel.fuel_gas.n2o", day)
    if hhv_mmbtu_scf is None:
        return Estimate(Masses(co2, None, None), volume, "tier3-c5", (), ("CH4 and N2O: the heating value is missing",))
    heat = volume.to(Unit.SCF) * finite("hhv_mmbtu_scf", hhv_mmbtu_scf, low=0.0, high=0.01)
    return Estimate(Masses(co2, heat * ch4.value, heat * n2o.value), volume, "tier3-c5", (ch4, n2o))


def cems(stack_flow: Quantity, co2_share: float) -> Estimate:
    """Equation C-6: CO2 of a stack from its flow at 68 F and the CO2 share of the wet gas; other gases are not measured."""
    if stack_flow.unit is not Unit.SCF:
        raise EsgError(f"stack flow: expected scf (68 F), found {stack_flow.unit.symbol}")
    kmol = stack_flow.value * share("co2_share", co2_share) / molar_volume_scf(US_68F)
    return Estimate(Masses(kmol * CO2_KG_PER_KMOL, None, None), stack_flow, "cems-c6")


def sold_product(
    fuel: str, sold: Quantity, used_in_processing: Quantity, day: date, book: FactorBook, scenarios: Set[str] = frozenset()
) -> Estimate:
    """Scope 3 category 11: what buyers burn, net of what own processing used up already (it stands in scope 1)."""
    net = sold.value - used_in_processing.to(sold.unit)
    if net < 0:
        raise EsgError(f"{fuel}: {used_in_processing.value:g} {used_in_processing.unit.symbol} used in processing exceed what was sold")
    return tier1(fuel, Quantity(net, sold.unit), day, book, scenarios)
