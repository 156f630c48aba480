"""The inventory: emission records, what was known of them when, totals by scope and set of GWPs.

Not for making figures (`estimates` and the sources). Records are never changed: a later `known_at_us` for the same source, category and period
replaces an earlier one for whoever asks later. Gases not estimated and records on factors nobody confirmed stand beside every total.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from enum import Enum
from itertools import pairwise

from cloud.esg import EsgError, Indeterminate, finite
from cloud.esg.estimates import Estimate
from cloud.esg.factors import Status
from cloud.esg.gases import Co2e, GwpSet, Masses
from cloud.esg.methods import method
from cloud.esg.uncertainty import Input, Source, Spread, total


class Scope(Enum):
    """Location and market are two answers to one question; no total holds both."""

    ONE = "scope 1"
    TWO_LOCATION = "scope 2, location"
    TWO_MARKET = "scope 2, market"
    THREE = "scope 3"


class Category(Enum):
    FUEL = ("fuel", Scope.ONE)
    FLARE = ("flare", Scope.ONE)
    VENT = ("vent", Scope.ONE)
    PNEUMATIC = ("pneumatic", Scope.ONE)
    FUGITIVE = ("fugitive", Scope.ONE)
    COMPRESSOR_SEAL = ("compressor seal", Scope.ONE)
    TANK = ("tank", Scope.ONE)
    POWER_LOCATION = ("purchased power, location", Scope.TWO_LOCATION)
    POWER_MARKET = ("purchased power, market", Scope.TWO_MARKET)
    FREIGHT = ("freight", Scope.THREE)
    SOLD_PRODUCTS = ("sold products", Scope.THREE)

    @property
    def scope(self) -> Scope:
        return self.value[1]


@dataclass(frozen=True, slots=True)
class Emission:
    """One record. `start`..`end` are days, the end not included; `inputs` carry u95 by the name of meter, analyser or factor.

    `filled_hours` were bridged or modelled and are in the estimate; `missing_hours` are not.
    """

    source_id: str
    asset: str
    category: Category
    start: date
    end: date
    estimate: Estimate
    inputs: tuple[Input, ...]
    quality: int
    evidence: tuple[str, ...]
    known_at_us: int
    filled_hours: int = 0
    missing_hours: int = 0

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise EsgError(f"{self.source_id}: period {self.start} to {self.end} has no day")
        finite(f"{self.source_id}: quality", self.quality, low=1, high=5)
        if self.quality < method(self.estimate.method).quality:
            raise EsgError(f"{self.source_id}: quality {self.quality} is better than method {self.estimate.method} allows")
        if not self.inputs:
            raise EsgError(f"{self.source_id}: expected the uncertainty of at least one input, found none")
        if self.filled_hours < 0 or self.missing_hours < 0:
            raise EsgError(f"{self.source_id}: {self.filled_hours} filled and {self.missing_hours} missing hours cannot be")
        if not self.evidence:
            raise EsgError(f"{self.source_id}: expected the batches this rests on, found none")

    @property
    def key(self) -> tuple[str, Category]:
        return self.source_id, self.category

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why this record alone keeps a total from being complete."""
        gases = tuple(f"{self.source_id}: {gas} not estimated" for gas in self.estimate.masses.missing)
        factors = tuple(
            f"{self.source_id}: {each.name} is {each.status.value}" for each in self.estimate.factors if each.status is not Status.CONFIRMED
        )
        hours = (f"{self.source_id}: {self.missing_hours} hours missing",) if self.missing_hours else ()
        return gases + factors + hours


@dataclass(frozen=True, slots=True)
class Total:
    """What is known, and why it may not be all. `co2e` without doubts is the figure; with doubts it is a part of it."""

    scope: Scope
    masses: Masses
    co2e: Co2e
    spread: Spread
    quality: float
    doubts: tuple[str, ...]

    def figure(self) -> Co2e:
        """The total as a number to file. Raises Indeterminate while there are doubts."""
        if self.doubts:
            raise Indeterminate(f"{self.scope.value}: {'; '.join(self.doubts[:5])}")
        return self.co2e


@dataclass(frozen=True, slots=True)
class Restated:
    """A record that says something else now; `before` is None where there was none."""

    before: Emission | None
    after: Emission


def known(records: Iterable[Emission], known_at_us: int) -> tuple[Emission, ...]:
    """The records as they stood at a time. Raises EsgError for two that say the same thing at once, or periods that overlap."""
    latest: dict[tuple[str, Category, date, date], Emission] = {}
    told: set[tuple[str, Category, date, date, int]] = set()
    for record in records:
        if record.known_at_us > known_at_us:
            continue
        key = (*record.key, record.start, record.end)
        if (*key, record.known_at_us) in told:
            raise EsgError(f"{record.source_id} {record.category.value[0]} {record.start}: stands twice, known at the same time")
        told.add((*key, record.known_at_us))
        if key not in latest or latest[key].known_at_us < record.known_at_us:
            latest[key] = record
    found = sorted(latest.values(), key=lambda record: (record.source_id, record.category.value[0], record.start, record.end))
    for one, other in pairwise(found):
        if one.key == other.key and other.start < one.end:
            raise EsgError(f"{one.source_id} {one.category.value[0]}: {one.start}..{one.end} overlaps {other.start}..{other.end}")
    return tuple(found)


def restated(records: Iterable[Emission], before_us: int, after_us: int) -> tuple[Restated, ...]:
    """What changed between two times of knowledge."""
    every = tuple(records)
    old = {(*record.key, record.start, record.end): record for record in known(every, before_us)}
    now = known(every, after_us)
    pairs = (Restated(old.get((*record.key, record.start, record.end)), record) for record in now)
    return tuple(pair for pair in pairs if pair.before is not pair.after)


def totals(records: Iterable[Emission], scope: Scope, gwp: GwpSet, *, known_at_us: int, seed: int) -> Total:
    """One scope's total by one set, as known at a time. Quality is weighted by CO2e. Raises Indeterminate without any record."""
    found = [record for record in known(records, known_at_us) if record.category.scope is scope]
    if not found:
        raise Indeterminate(f"{scope.value}: no record is known")
    masses, co2e, weighted = Masses(), Co2e(0.0, gwp.name), 0.0
    for record in found:
        part = gwp.co2e_of_known(record.estimate.masses)
        masses, co2e, weighted = masses + record.estimate.masses.known(), co2e + part, weighted + part.kg * record.quality
    sources = [Source(record.source_id, gwp.co2e_of_known(record.estimate.masses).kg, record.inputs) for record in found]
    quality = weighted / co2e.kg if co2e.kg else max(float(record.quality) for record in found)
    return Total(scope, masses, co2e, total(sources, seed), quality, tuple(doubt for record in found for doubt in record.doubts))


def corrected(record: Emission, estimate: Estimate, known_at_us: int, evidence: tuple[str, ...]) -> Emission:
    """A restatement: the same source and period, found again later."""
    if known_at_us <= record.known_at_us:
        raise EsgError(f"{record.source_id}: a restatement must be known later than {record.known_at_us}")
    return replace(record, estimate=estimate, known_at_us=known_at_us, evidence=evidence)
