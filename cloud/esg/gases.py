"""Masses per gas, and their CO2 equivalent by one named set of global warming potentials.

Not for the factors that make masses. A mass is zero when a source does not emit the gas, and None when it may and nobody estimated it: None
is never summed away. A `Co2e` remembers its set, and two sets do not add.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path

from cloud.esg import EsgError, Indeterminate, finite
from protocols.tomlfile import TomlFile, nearest

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True, slots=True)
class Masses:
    """Kilograms of each gas (or kilograms per unit of activity, where a name says so)."""

    co2_kg: float | None = 0.0
    ch4_kg: float | None = 0.0
    n2o_kg: float | None = 0.0
    sf6_kg: float | None = 0.0

    def __post_init__(self) -> None:
        for name, value in self.items():
            if value is not None:
                finite(name, value, low=0.0)

    def items(self) -> tuple[tuple[str, float | None], ...]:
        return tuple((item.name, getattr(self, item.name)) for item in fields(self))

    @property
    def missing(self) -> tuple[str, ...]:
        """Gases that were not estimated."""
        return tuple(name.removesuffix("_kg") for name, value in self.items() if value is None)

    def __add__(self, other: "Masses") -> "Masses":
        pairs = zip(self.items(), other.items(), strict=True)
        return Masses(**{name: None if a is None or b is None else a + b for (name, a), (_, b) in pairs})

    def __mul__(self, times: float) -> "Masses":
        return Masses(**{name: None if value is None else value * times for name, value in self.items()})

    def known(self) -> "Masses":
        """The part that was estimated; say `missing` beside it."""
        return Masses(**{name: value or 0.0 for name, value in self.items()})


@dataclass(frozen=True, slots=True)
class Co2e:
    """Kilograms of CO2 equivalent by one set."""

    kg: float
    gwp_set: str

    @property
    def tonnes(self) -> float:
        return self.kg / 1000.0

    def __add__(self, other: "Co2e") -> "Co2e":
        if other.gwp_set != self.gwp_set:
            raise EsgError(f"CO2e by {self.gwp_set} and by {other.gwp_set} in one sum: convert the gases by one set")
        return Co2e(self.kg + other.kg, self.gwp_set)


@dataclass(frozen=True, slots=True)
class GwpSet:
    """Kilograms of CO2 per kilogram of each gas over a horizon."""

    name: str
    published: date
    horizon_years: int
    reference: str
    co2: float
    ch4: float
    n2o: float
    sf6: float

    def co2e(self, masses: Masses) -> Co2e:
        """Raises Indeterminate when a gas was not estimated."""
        if masses.missing:
            raise Indeterminate(f"CO2e: {', '.join(masses.missing)} not estimated")
        return self.co2e_of_known(masses)

    def co2e_of_known(self, masses: Masses) -> Co2e:
        """Of what was estimated; only beside a list of what was not."""
        known = masses.known()
        each = zip((self.co2, self.ch4, self.n2o, self.sf6), (value for _, value in known.items()), strict=True)
        return Co2e(sum(factor * (value or 0.0) for factor, value in each), self.name)


def gwp_sets(path: Path = DATA / "gwp.toml") -> Mapping[str, GwpSet]:
    """The sets of a file. Raises ConfigError naming file and line."""
    root = TomlFile.read(path).root
    found: dict[str, GwpSet] = {}
    for name in root.keys:
        section = root.section(name)
        published = section.raw("published")
        if type(published) is not date:
            raise section.error("published", f'"published": expected a date, found {published!r}')
        numbers = {gas: section.number(gas) for gas in ("co2", "ch4", "n2o", "sf6")}
        wrong = next((gas for gas, value in numbers.items() if not 1.0 <= value < 1e6), None)
        if wrong:
            raise section.error(wrong, f'"{wrong}": expected 1 to 1,000,000, found {numbers[wrong]}')
        horizon = section.integer("horizon_years", low=1, high=500)
        found[name] = GwpSet(name, published, horizon, section.text("reference"), **numbers)
        section.done()
    return found


def gwp_set(name: str, sets: Mapping[str, GwpSet] | None = None) -> GwpSet:
    """Raises EsgError for a set nobody published here."""
    known = gwp_sets() if sets is None else sets
    if name not in known:
        raise EsgError(f'set of global warming potentials "{name}": not known{nearest(name, known)}')
    return known[name]
