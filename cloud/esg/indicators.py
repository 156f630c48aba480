"""Figures beside emissions: methane and flaring intensity, OGMP 2.0 level, water, spills, safety.

Not for targets or judgements. OGMP 2.0 level 5 is level 4 together with a site measurement that was reconciled with it. Water, spills and
safety follow SASB EM-EP (140a, 160a, 320a); a figure whose denominator is zero is Indeterminate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cloud.esg import EsgError, Indeterminate, finite
from cloud.esg.flares import Purpose
from cloud.esg.inventory import Emission
from cloud.esg.methods import method
from cloud.esg.units import Quantity, Unit

MATERIAL_SHARE: Final = 0.05
HOURS_BASE: Final = 200_000  # 100 people for a year, OSHA 1904
REPORTABLE_SPILL_BBL: Final = 1.0


def methane_intensity(ch4: Quantity, density_kg_m3: float, marketed: Quantity) -> float:
    """Volume of methane emitted over volume of gas marketed, both at 15 C. The density is a parameter: sources differ in the third digit."""
    gas = marketed.to(Unit.SM3)
    if gas == 0.0:
        raise Indeterminate("methane intensity: no gas was marketed")
    return ch4.to(Unit.KG) / finite("density_kg_m3", density_kg_m3, low=0.5, high=0.9) / gas


@dataclass(frozen=True, slots=True)
class FlaredGas:
    volume: Quantity
    purpose: Purpose


def flaring_intensity(flared: Sequence[FlaredGas], production_boe: float, purpose: Purpose | None = None) -> float:
    """Sm3 flared per barrel of oil equivalent, of all gas or of one purpose."""
    if finite("production_boe", production_boe, low=0.0) == 0.0:
        raise Indeterminate("flaring intensity: nothing was produced")
    return sum(each.volume.to(Unit.SM3) for each in flared if purpose in (None, each.purpose)) / production_boe


def ogmp_level(record: Emission, reconciled_assets: frozenset[str] = frozenset()) -> int:
    """OGMP 2.0 level of one source, from its method; 5 where the asset's site measurement was reconciled with it."""
    level = method(record.estimate.method).ogmp_level
    return 5 if level == 4 and record.asset in reconciled_assets else level


def ogmp_level_of_asset(records: Sequence[Emission], reconciled_assets: frozenset[str] = frozenset()) -> int:
    """The lowest level among sources above 5 % of the asset's methane. Raises Indeterminate when methane is not known."""
    assets = {record.asset for record in records}
    if len(assets) != 1:
        raise EsgError(f"OGMP level: expected the records of one asset, found {', '.join(sorted(assets)) or 'none'}")
    methane: dict[str, float] = {}
    for record in records:
        if record.estimate.masses.ch4_kg is None:
            raise Indeterminate(f"OGMP level of {record.asset}: CH4 of {record.source_id} is not estimated")
        methane[record.source_id] = methane.get(record.source_id, 0.0) + record.estimate.masses.ch4_kg
    least = MATERIAL_SHARE * sum(methane.values())
    material = [ogmp_level(record, reconciled_assets) for record in records if methane[record.source_id] > least]
    if not material:
        raise Indeterminate(f"OGMP level of {records[0].asset}: no source is above 5 % of its methane")
    return min(material)


@dataclass(frozen=True, slots=True)
class Water:
    """SASB EM-EP-140a: what one site took, gave back and produced in a year; `stressed` by the basin it takes from."""

    site: str
    withdrawn_m3: float
    returned_m3: float
    stressed: bool
    produced_m3: float
    oil_discharged_kg: float

    def __post_init__(self) -> None:
        for name in ("withdrawn_m3", "returned_m3", "produced_m3", "oil_discharged_kg"):
            finite(f"{self.site}: {name}", getattr(self, name), low=0.0)


@dataclass(frozen=True, slots=True)
class WaterFigures:
    withdrawn_m3: float
    consumed_m3: float
    stressed_share: float
    produced_m3: float
    oil_in_water_mg_l: float


def water(sites: Sequence[Water]) -> WaterFigures:
    """Sums and shares over sites. Consumed is withdrawn less returned."""
    withdrawn = sum(site.withdrawn_m3 for site in sites)
    produced = sum(site.produced_m3 for site in sites)
    consumed = withdrawn - sum(site.returned_m3 for site in sites)
    if consumed < 0.0:
        raise EsgError(f"water: {-consumed:g} m3 more returned than withdrawn; produced water is counted apart")
    if not withdrawn or not produced:
        raise Indeterminate("water: nothing withdrawn or produced, shares have no meaning")
    stressed = sum(site.withdrawn_m3 for site in sites if site.stressed)
    oil_mg_l = sum(site.oil_discharged_kg for site in sites) * 1000.0 / produced
    return WaterFigures(withdrawn, consumed, stressed / withdrawn, produced, oil_mg_l)


@dataclass(frozen=True, slots=True)
class Spill:
    volume_bbl: float
    recovered_bbl: float

    def __post_init__(self) -> None:
        finite("recovered_bbl", self.recovered_bbl, low=0.0, high=finite("volume_bbl", self.volume_bbl, low=0.0))


@dataclass(frozen=True, slots=True)
class SpillFigures:
    count: int
    volume_bbl: float
    recovered_bbl: float


def spills(every: Sequence[Spill]) -> SpillFigures:
    """Spills above one barrel (SASB EM-EP-160a.2)."""
    counted = [spill for spill in every if spill.volume_bbl > REPORTABLE_SPILL_BBL]
    return SpillFigures(len(counted), sum(s.volume_bbl for s in counted), sum(s.recovered_bbl for s in counted))


@dataclass(frozen=True, slots=True)
class SafetyFigures:
    """Per 200,000 hours worked: recordable cases, lost time cases, near misses."""

    trir: float
    ltir: float
    nmfr: float


def safety(recordables: int, lost_time: int, near_misses: int, hours: float) -> SafetyFigures:
    """SASB EM-EP-320a.1. Every lost time case is recordable."""
    if min(recordables, lost_time, near_misses) < 0 or lost_time > recordables:
        raise EsgError(f"safety: {recordables} recordable, {lost_time} lost time, {near_misses} near misses cannot be")
    if finite("hours", hours, low=0.0) == 0.0:
        raise Indeterminate("safety: no hours were worked")
    return SafetyFigures(*(count * HOURS_BASE / hours for count in (recordables, lost_time, near_misses)))
