"""Flares: what burns, what slips, what leaves a flare that is out. 40 CFR 98.233(n), equations W-19 and W-20.

Not for judging a flare against 40 CFR 60.18 (compliance does). The efficiency is the regulation's, by tier, or a measured one; a modelled
efficiency is a scenario beside it, never the figure.
"""

from collections.abc import Set
from dataclasses import dataclass
from datetime import date
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike

from cloud.esg import Bools, EsgError, Indeterminate, finite, share
from cloud.esg.estimates import Composition, Estimate
from cloud.esg.factors import Factor, FactorBook
from cloud.esg.gases import Masses
from cloud.esg.units import Quantity, Unit


class Tier(Enum):
    """Monitoring level that decides the combustion efficiency; the value is the factor's name."""

    DEFAULT = "flare.efficiency.default"
    TIER_1 = "flare.efficiency.tier_1"
    TIER_2 = "flare.efficiency.tier_2"
    TIER_3 = "flare.efficiency.tier_3"


class Purpose(Enum):
    """World Bank, Zero Routine Flaring: why gas was flared, from the reason code of the event."""

    ROUTINE = "routine"
    SAFETY = "safety"
    NON_ROUTINE = "non-routine"


@dataclass(frozen=True, slots=True)
class Flared:
    """Gas to one flare in a period. `heat_mmbtu` is its high heating value times volume, where known."""

    volume: Quantity
    composition: Composition
    unlit_share: float
    net_heating_value_btu_scf: float | None = None
    heat_mmbtu: float | None = None


def flare(
    gas: Flared, day: date, book: FactorBook, *, tier: Tier = Tier.DEFAULT, measured: float | None = None, scenarios: Set[str] = frozenset()
) -> Estimate:
    """CH4 = V X [(1 - eta) Z_L + Z_U] rho; CO2 = (V X_CO2 + eta V sum(Y_j R_j) Z_L) rho; N2O by W-40 when its factor may be used."""
    efficiency: tuple[Factor, ...] = (book.at(tier.value, day, scenarios),) if measured is None else ()
    eta = efficiency[0].value if measured is None else share("measured efficiency", measured)
    methane, dioxide = book.at("gas.density.ch4", day), book.at("gas.density.co2", day)
    scf, lit = gas.volume.to(Unit.SCF), 1.0 - share("unlit_share", gas.unlit_share)
    ch4 = scf * gas.composition["CH4"] * ((1.0 - eta) * lit + gas.unlit_share) * methane.value
    co2 = scf * (gas.composition["CO2"] + eta * gas.composition.burnable_carbon * lit) * dioxide.value
    n2o, used, notes = _n2o(gas, lit, day, book, scenarios)
    name = "flare-w19" if measured is None else "flare-w19-measured"
    return Estimate(Masses(co2, ch4, n2o), gas.volume, name, (*efficiency, methane, dioxide, *used), notes + _doubts(gas, day, book))


def _n2o(
    gas: Flared, lit: float, day: date, book: FactorBook, scenarios: Set[str]
) -> tuple[float | None, tuple[Factor, ...], tuple[str, ...]]:
    if gas.heat_mmbtu is None:
        return None, (), ("N2O: the heat released is missing",)
    try:
        factor = book.at("flare.n2o", day, scenarios)
    except Indeterminate as why:
        return None, (), (f"N2O: {why}",)
    return finite("heat_mmbtu", gas.heat_mmbtu, low=0.0) * lit * factor.value, (factor,), ()


def _doubts(gas: Flared, day: date, book: FactorBook) -> tuple[str, ...]:
    found = gas.net_heating_value_btu_scf
    if found is None:
        return ("net heating value missing: the efficiency is not supported by it",)
    least = book.at("flare.nhv.minimum", day)
    if finite("net_heating_value_btu_scf", found, low=0.0) < least.value:
        return (f"net heating value {found:g} Btu/scf is below {least.value:g} ({least.reference}): run a lower efficiency beside this",)
    return ()


def unlit_share(pilot_lit: Bools, flow: ArrayLike) -> float:
    """Share of the gas that passed while the pilot was out; zero when nothing flowed. Raises EsgError for columns that do not fit."""
    volumes = np.asarray(flow, dtype=np.float64)
    if volumes.shape != pilot_lit.shape:
        raise EsgError(f"pilot and flow: expected columns of one length, found {pilot_lit.shape} and {volumes.shape}")
    if not np.isfinite(volumes).all() or (volumes < 0).any():
        raise EsgError("flow beside the pilot: expected finite numbers, not negative; clean the column first")
    total = float(volumes.sum())
    return float(volumes[~pilot_lit].sum()) / total if total else 0.0
