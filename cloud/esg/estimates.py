"""What a formula returns: gases, how they were found, from which factors; and the mixture of a gas.

Not for who emitted it and when (`inventory`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from cloud.esg import EsgError, share
from cloud.esg.factors import Factor
from cloud.esg.gases import Masses
from cloud.esg.units import Quantity
from protocols.tomlfile import nearest

CARBON_ATOMS: Final[Mapping[str, int]] = MappingProxyType(
    {"CH4": 1, "C2H6": 2, "C3H8": 3, "C4H10": 4, "C5+": 5, "CO2": 0, "N2": 0, "H2": 0, "H2S": 0, "H2O": 0, "O2": 0}
)
SUM_TOLERANCE: Final = 0.005  # an analysis that sums further from one is not normalised


@dataclass(frozen=True, slots=True)
class Estimate:
    """Gases of one activity with the pedigree of the number."""

    masses: Masses
    activity: Quantity
    method: str
    factors: tuple[Factor, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Composition:
    """Mole fractions that sum to one. C5+ burns as pentane, five carbon atoms; CO2 passes a flame unchanged."""

    fractions: tuple[tuple[str, float], ...]

    @classmethod
    def of(cls, fractions: Mapping[str, float]) -> "Composition":
        for name, fraction in fractions.items():
            if name not in CARBON_ATOMS:
                raise EsgError(f'composition: component "{name}" is not known{nearest(name, CARBON_ATOMS)}')
            share(f"composition: {name}", fraction)
        total = sum(fractions.values())
        if abs(total - 1.0) > SUM_TOLERANCE:
            raise EsgError(f"composition: expected a sum of 1, found {total:.4f}")
        return cls(tuple(sorted(fractions.items())))

    def __getitem__(self, name: str) -> float:
        """Mole fraction; zero for a component the analysis does not list."""
        return dict(self.fractions).get(name, 0.0)

    @property
    def burnable_carbon(self) -> float:
        """Moles of carbon per mole of gas that become CO2 when all of it burns."""
        return sum(CARBON_ATOMS[name] * fraction for name, fraction in self.fractions)
