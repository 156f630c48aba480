"""A year of hourly volumes of many sources into kilograms per gas, in one pass, with what was measured and what was not.

Not for single events (`flares`, `releases`) or for cleaning (`meters`). A source's gas per unit of volume is a number, or an hourly column
where an analyser follows the composition.
"""

from dataclasses import dataclass

import numpy as np

from cloud.esg import EsgError, Floats
from cloud.esg.gases import Masses
from cloud.esg.meters import Cleaned, Origin

MODEL_QUALITY = 4


@dataclass(frozen=True, slots=True)
class SourceYear:
    """One source's sum. `masses` covers the hours that have a value: with `missing_hours` above zero it is not the year."""

    masses: Masses
    volume: float
    measured_hours: int
    bridged_hours: int
    modelled_hours: int
    missing_hours: int
    quality: int

    @property
    def complete(self) -> bool:
        return self.missing_hours == 0


def emissions(cleaned: Cleaned, kg_per_unit: Floats, quality: tuple[int, ...]) -> tuple[SourceYear, ...]:
    """`kg_per_unit`: (sources, 3) of CO2, CH4, N2O, or (sources, hours, 3); `quality`: the method's, per source."""
    sources, hours = cleaned.values.shape
    if kg_per_unit.shape not in ((sources, 3), (sources, hours, 3)) or len(quality) != sources:
        raise EsgError(f"{sources} sources x {hours} hours: factors are {kg_per_unit.shape}, qualities are {len(quality)}")
    if not np.isfinite(kg_per_unit).all() or (kg_per_unit < 0.0).any():
        raise EsgError("kg_per_unit: expected finite numbers, not negative")
    volume = cleaned.values.sum(axis=1)
    steady = kg_per_unit.ndim == 2
    kilograms = volume[:, None] * kg_per_unit if steady else np.matmul(cleaned.values[:, None, :], kg_per_unit)[:, 0, :]
    counts = np.stack([cleaned.hours(origin) for origin in Origin], axis=1)
    modelled = np.where(cleaned.origin == Origin.MODELLED, cleaned.values, 0.0).sum(axis=1)
    return tuple(
        SourceYear(
            Masses(*(float(kg) for kg in kilograms[row])),
            float(volume[row]),
            int(counts[row, Origin.MEASURED]),
            int(counts[row, Origin.BRIDGED]),
            int(counts[row, Origin.MODELLED]),
            int(counts[row, Origin.MISSING]),
            _quality(quality[row], float(modelled[row]), float(volume[row])),
        )
        for row in range(sources)
    )


def _quality(measured: int, modelled: float, volume: float) -> int:
    """Weighted by volume and rounded to the worse: a filled hour counts with the quality of a model."""
    if modelled == 0.0 or volume == 0.0:
        return measured
    mixed = measured + (max(measured, MODEL_QUALITY) - measured) * modelled / volume
    return int(np.ceil(mixed))
