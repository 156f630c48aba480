"""Gas that leaves unburnt: vents, blowdowns, pneumatic devices, leaks, compressor seals, tank flash. 40 CFR 98.233.

Not for finding leaks (`leaks`). Every formula ends in whole gas at 60 F and 14.696 psia, times mole fraction and density. Compressor seals
have no default factor here: none was seen in its source, so they are measured by mode.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import date
from typing import Final

from cloud.esg import EsgError, finite, share
from cloud.esg.estimates import Estimate
from cloud.esg.factors import FactorBook
from cloud.esg.gases import Masses
from cloud.esg.units import Quantity, State, Unit, standard_volume

HOURS_PER_YEAR: Final = 8784  # of a leap year: no source runs longer in a reporting year


@dataclass(frozen=True, slots=True)
class Gas:
    """Mole fractions that matter of what leaves."""

    ch4: float
    co2: float

    def __post_init__(self) -> None:
        if share("mole fraction of CH4", self.ch4) + share("mole fraction of CO2", self.co2) > 1.0 + 1e-9:
            raise EsgError(f"mole fractions of CH4 and CO2: expected at most 1 together, found {self.ch4 + self.co2:g}")


def vent(volume: Quantity, gas: Gas, day: date, book: FactorBook, method: str = "vent-metered") -> Estimate:
    """Volume x mole fraction x density. N2O is zero: nothing burns."""
    methane, dioxide = book.at("gas.density.ch4", day), book.at("gas.density.co2", day)
    scf = volume.to(Unit.SCF)
    return Estimate(Masses(scf * gas.co2 * dioxide.value, scf * gas.ch4 * methane.value), volume, method, (methane, dioxide))


def blowdown(vessel_m3: float, before: State, after: State, gas: Gas, day: date, book: FactorBook) -> Estimate:
    """What a vessel of known volume lost between two states. Raises EsgError when it holds more afterwards."""
    held, holds = standard_volume(vessel_m3, before, Unit.SCF), standard_volume(vessel_m3, after, Unit.SCF)
    if holds.value > held.value:
        raise EsgError(f"blowdown: {held.value:.0f} scf before, {holds.value:.0f} scf after; nothing was blown down")
    return vent(Quantity(held.value - holds.value, Unit.SCF), gas, day, book, "blowdown-geometry")


def by_count(
    counts: Mapping[str, int], hours: float, gas: Gas, day: date, book: FactorBook, *, scenarios: Set[str] = frozenset()
) -> Estimate:
    """Sum of count x factor x hours; keys are names of factors in scf/h (pneumatic.low, leak.component.east.valve)."""
    running = finite("hours", hours, low=0.0, high=HOURS_PER_YEAR)
    factors = tuple(book.at(name, day, scenarios) for name in counts)
    wrong = next((each for each in factors if each.unit != "scf/h"), None)
    if wrong:
        raise EsgError(f"factor {wrong.name}: expected scf/h per piece, found {wrong.unit}")
    if any(count < 0 for count in counts.values()):
        raise EsgError(f"counts: expected no negative count, found {dict(counts)}")
    rate = sum(count * factor.value for count, factor in zip(counts.values(), factors, strict=True))
    found = vent(Quantity(rate * running, Unit.SCF), gas, day, book, "population-factor")
    return Estimate(found.masses, found.activity, found.method, factors + found.factors)


@dataclass(frozen=True, slots=True)
class Leak:
    """One leak a survey found: its rate, and for how long (from the last survey without it to its repair)."""

    component: str
    rate_scf_h: float
    hours: float


def leakers(leaks: tuple[Leak, ...], gas: Gas, day: date, book: FactorBook, *, measured: bool) -> Estimate:
    """Leaks one by one, their rates measured or taken from a leaker factor by the surveyor."""
    volume = sum(
        finite(f"{leak.component}: rate_scf_h", leak.rate_scf_h, low=0.0)
        * finite(f"{leak.component}: hours", leak.hours, low=0.0, high=HOURS_PER_YEAR)
        for leak in leaks
    )
    return vent(Quantity(float(volume), Unit.SCF), gas, day, book, "leak-measured" if measured else "leaker-factor")


@dataclass(frozen=True, slots=True)
class SealMode:
    """Hours of a compressor in a mode (running, standby pressurised, depressurised) and the vent metered in it."""

    name: str
    hours: float
    vent_scf_h: float


def seals(modes: tuple[SealMode, ...], gas: Gas, day: date, book: FactorBook) -> Estimate:
    """Sum over modes of metered vent x hours. Raises EsgError for a mode named twice or more hours than a year has."""
    names = [mode.name for mode in modes]
    if len(set(names)) != len(names):
        raise EsgError(f"compressor modes: expected each once, found {', '.join(names)}")
    finite("hours of all modes", sum(mode.hours for mode in modes), low=0.0, high=HOURS_PER_YEAR)
    flows = (finite(f"{m.name}: vent_scf_h", m.vent_scf_h, low=0.0) * finite(f"{m.name}: hours", m.hours, low=0.0) for m in modes)
    return vent(Quantity(sum(flows), Unit.SCF), gas, day, book, "seal-measured")


def tank_flash(
    oil: Quantity, gor_scf_per_bbl: float, gas: Gas, day: date, book: FactorBook, *, recovery: float, recovery_uptime: float
) -> Estimate:
    """Oil x flash gas-oil ratio (from a laboratory) x what vapour recovery did not take; recovery that is down takes nothing."""
    escaped = 1.0 - share("recovery", recovery) * share("recovery_uptime", recovery_uptime)
    scf = oil.to(Unit.BARREL) * finite("gor_scf_per_bbl", gor_scf_per_bbl, low=0.0, high=5000.0) * escaped
    found = vent(Quantity(scf, Unit.SCF), gas, day, book, "tank-flash")
    return Estimate(found.masses, oil, found.method, found.factors, (f"flash gas released: {scf:.6g} scf",))
