"""Quantities with their unit, and gas volumes with the state they are stated at.

Not for money and not for rates per time. A volume of gas means nothing without temperature and pressure: "standard" is 60 F and 14.696
psia in the US (scf), 15 C and 101.325 kPa (Sm3), 0 C and 101.325 kPa (Nm3). Conversion is by the gas law, p V = Z n R T; Z is 1 (ideal
gas) unless it is given.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from cloud.esg import EsgError, finite

M3_PER_FT3: Final = 0.3048**3
R_KJ_PER_KMOL_K: Final = 8.31446261815324  # CODATA 2018, exact
KPA_PER_PSI: Final = 6.894757293168361


class Dimension(Enum):
    MASS = "mass"
    ENERGY = "energy"
    LIQUID = "liquid volume"
    DISTANCE_MASS = "freight"
    COUNT = "count"
    TIME = "time"
    GAS = "gas volume at a reference state"


class Unit(Enum):
    """Symbol, dimension, size in the dimension's first unit (kg, MWh, m3, tkm, 1, h)."""

    KG = ("kg", Dimension.MASS, 1.0)
    TONNE = ("t", Dimension.MASS, 1000.0)
    POUND = ("lb", Dimension.MASS, 0.45359237)
    MWH = ("MWh", Dimension.ENERGY, 1.0)
    KWH = ("kWh", Dimension.ENERGY, 1e-3)
    MMBTU = ("mmBtu", Dimension.ENERGY, 0.29307107017222)
    GIGAJOULE = ("GJ", Dimension.ENERGY, 1 / 3.6)
    M3 = ("m3", Dimension.LIQUID, 1.0)
    LITRE = ("l", Dimension.LIQUID, 1e-3)
    GALLON = ("gal", Dimension.LIQUID, 3.785411784e-3)
    BARREL = ("bbl", Dimension.LIQUID, 42 * 3.785411784e-3)
    TONNE_KM = ("tkm", Dimension.DISTANCE_MASS, 1.0)
    EACH = ("1", Dimension.COUNT, 1.0)
    HOUR = ("h", Dimension.TIME, 1.0)
    SCF = ("scf", Dimension.GAS, M3_PER_FT3)
    SM3 = ("Sm3", Dimension.GAS, 1.0)
    NM3 = ("Nm3", Dimension.GAS, 1.0)

    @property
    def symbol(self) -> str:
        return self.value[0]

    @property
    def dimension(self) -> Dimension:
        return self.value[1]

    @property
    def size(self) -> float:
        return self.value[2]

    @classmethod
    def named(cls, symbol: str) -> "Unit":
        """The unit of a symbol as written. Raises EsgError for one that is not known."""
        for unit in cls:
            if unit.symbol == symbol:
                return unit
        raise EsgError(f'unit "{symbol}": expected one of {", ".join(unit.symbol for unit in cls)}')


@dataclass(frozen=True, slots=True)
class State:
    """Temperature, absolute pressure and compressibility of a gas."""

    temperature_k: float
    pressure_kpa: float
    z: float = 1.0

    def __post_init__(self) -> None:
        finite("temperature_k", self.temperature_k, low=100.0, high=2500.0)
        finite("pressure_kpa (absolute)", self.pressure_kpa, low=0.1, high=200_000.0)
        finite("z", self.z, low=0.1, high=3.0)

    @classmethod
    def of_celsius(cls, temperature_c: float, pressure_bar: float, z: float = 1.0) -> "State":
        """From a thermometer and an absolute pressure."""
        return cls(temperature_c + 273.15, pressure_bar * 100.0, z)

    @property
    def molar_volume_m3_kmol(self) -> float:
        return self.z * R_KJ_PER_KMOL_K * self.temperature_k / self.pressure_kpa


US_STANDARD: Final = State((60.0 + 459.67) / 1.8, 14.696 * KPA_PER_PSI)
US_68F: Final = State((68.0 + 459.67) / 1.8, 14.696 * KPA_PER_PSI)
METRIC_STANDARD: Final = State(288.15, 101.325)
NORMAL: Final = State(273.15, 101.325)
REFERENCE: Final = {Unit.SCF: US_STANDARD, Unit.SM3: METRIC_STANDARD, Unit.NM3: NORMAL}


@dataclass(frozen=True, slots=True)
class Quantity:
    """An amount, not negative, in a unit. Gas goes from one reference state to another; nothing else changes dimension."""

    value: float
    unit: Unit

    def __post_init__(self) -> None:
        finite(f"quantity in {self.unit.symbol}", self.value, low=0.0)

    def to(self, unit: Unit) -> float:
        """The number in another unit. Raises EsgError between dimensions."""
        if unit is self.unit:
            return self.value
        if unit.dimension is not self.unit.dimension:
            raise EsgError(f"{self.value:g} {self.unit.symbol}: is a {self.unit.dimension.value}, asked for in {unit.symbol}")
        volume = self.value * self.unit.size / unit.size
        return between(volume, REFERENCE[self.unit], REFERENCE[unit]) if unit.dimension is Dimension.GAS else volume

    def __add__(self, other: "Quantity") -> "Quantity":
        return Quantity(self.value + other.to(self.unit), self.unit)


def between(volume: float, at: State, to: State) -> float:
    """The same moles of gas, their volume at another state, in the same unit of volume."""
    return volume * to.molar_volume_m3_kmol / at.molar_volume_m3_kmol


def standard_volume(actual_m3: float, at: State, unit: Unit) -> Quantity:
    """What a line or a vessel at `at` holds, at the reference state of `unit` (scf, Sm3, Nm3)."""
    if unit not in REFERENCE:
        raise EsgError(f"{unit.symbol}: is no unit of gas at a reference state")
    return Quantity(between(finite("actual_m3", actual_m3, low=0.0), at, REFERENCE[unit]) / unit.size, unit)


def molar_volume_scf(state: State = US_STANDARD) -> float:
    """scf per kmol of ideal gas: 836.6 at 60 F, 849.5 at 68 F (MVC of 40 CFR 98.33, eq. C-5)."""
    return state.molar_volume_m3_kmol / M3_PER_FT3
