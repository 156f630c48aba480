"""Sources and what their meters said of a period into gases: the records of a day, and the gases of an interval.

Pure: samples, register, factors and scenarios in, records out. A factor that does not hold on the day and a fact that is missing leave the gas
unknown with the reason as a note; they never make it zero. Not for totals (`inventory`) or for storing (`days`).
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Final

from cloud.esg import EsgError, Indeterminate, releases
from cloud.esg.combustion import cems, for_burner, sold_product, tier1, tier3_gas
from cloud.esg.estimates import Estimate
from cloud.esg.factors import FactorBook, factor_book
from cloud.esg.flares import Flared, flare
from cloud.esg.gases import Masses
from cloud.esg.inventory import Category, Emission
from cloud.esg.metered import NO_SAMPLES, Companion, Metered, Period, of_day, of_interval
from cloud.esg.methods import method
from cloud.esg.purchased import Certificates, Rate, freight, grid_rate, power
from cloud.esg.register import (
    Counted,
    Flare,
    Flow,
    Freight,
    Fuel,
    Power,
    Release,
    Seals,
    Sold,
    Source,
    Surveyed,
    Tank,
    Vent,
)
from cloud.esg.releases import Leak, SealMode
from cloud.esg.spans import DAY_US, HOUR_US
from cloud.esg.units import Quantity, Unit
from protocols.batch.bundle import Samples

Columns = Mapping[str, Samples]
AS_STATED: Final = "as-stated"
NOT_KNOWN: Final = Masses(None, None, None)


@dataclass(frozen=True, slots=True)
class Span:
    """start_us <= time < end_us of one UTC day, of which `end_us` may be the present. hours: how much of it is over."""

    start_us: int
    end_us: int

    @property
    def day(self) -> date:
        return datetime.fromtimestamp(self.start_us / 1e6, UTC).date()

    @property
    def hours(self) -> float:
        return (self.end_us - self.start_us) / HOUR_US

    def holds(self, at_us: int) -> bool:
        return self.start_us <= at_us < self.end_us

    def overlap_hours(self, start_us: int, end_us: int | None) -> float:
        end = self.end_us if end_us is None else min(end_us, self.end_us)
        return max(0, end - max(start_us, self.start_us)) / HOUR_US


@dataclass(frozen=True, slots=True)
class Account:
    """One source in one category: its gases, and what its meter said; None: registered, no meter."""

    source: Source
    category: Category
    estimate: Estimate
    metered: Metered | None

    @property
    def missing_hours(self) -> int:
        return 0 if self.metered is None else self.metered.hours("x")

    @property
    def filled_hours(self) -> int:
        return 0 if self.metered is None else self.metered.hours("b") + self.metered.hours("d")


def scenarios(name: str, book: FactorBook | None = None) -> frozenset[str]:
    """The factors' scenarios that a run asks for. "as-stated": every unconfirmed value as it is stated, proposals left out."""
    if not name:
        return frozenset()
    every = {(step.scenario, step.status.value) for _, steps in (book or factor_book()).steps.values() for step in steps if step.scenario}
    if name == AS_STATED:
        return frozenset(each for each, status in every if status == "unconfirmed")
    if name not in {each for each, _ in every}:
        raise EsgError(f'scenario "{name}": expected {AS_STATED} or one of {", ".join(sorted({each for each, _ in every}))}')
    return frozenset((name,))


Read = tuple[tuple[Source, Metered | None], ...]


def read_day(sources: tuple[Source, ...], columns: Columns, period: Period) -> Read:
    """What the meters say of every source that runs on the day, as much of it as is over; None: it has no meter."""
    day = Span(period.start_us, period.until_us).day
    return tuple((source, _day_meter(source, columns, period)) for source in sources if source.runs_on(day))


def read_interval(sources: tuple[Source, ...], columns: Columns, span: Span) -> Read:
    """Of exactly that stretch of a day."""
    return tuple((source, _interval_meter(source, columns, span)) for source in sources if source.runs_on(span.day))


def accounts(read: Read, span: Span, scenario: str = "") -> tuple[Account, ...]:
    """Gases of what was read, by the factors of the day and of the scenario."""
    return tuple(each for source, metered in read for each in _accounts(source, metered, span, scenario))


def of_the_day(sources: tuple[Source, ...], columns: Columns, period: Period, scenario: str = "") -> tuple[Account, ...]:
    return accounts(read_day(sources, columns, period), Span(period.start_us, period.until_us), scenario)


def of_an_interval(sources: tuple[Source, ...], columns: Columns, span: Span, scenario: str = "") -> tuple[Account, ...]:
    return accounts(read_interval(sources, columns, span), span, scenario)


def _flow_of(source: Source) -> Flow | None:
    for name in ("flow", "oil", "energy", "sold", "work"):
        flow = getattr(source.what, name, None)
        if isinstance(flow, Flow):
            return flow
    return None


def _companion(source: Source, columns: Columns) -> Companion | None:
    if isinstance(source.what, Flare):
        return source.what.pilot, columns.get(source.what.pilot.tag, NO_SAMPLES), source.what.lit_above
    return None


def _day_meter(source: Source, columns: Columns, period: Period) -> Metered | None:
    flow = _flow_of(source)
    if flow is None or flow.meter is None:
        return None
    return of_day(flow.meter, columns.get(flow.meter.tag, NO_SAMPLES), period, _companion(source, columns))


def _interval_meter(source: Source, columns: Columns, span: Span) -> Metered | None:
    flow = _flow_of(source)
    if flow is None or flow.meter is None:
        return None
    return of_interval(flow.meter, columns.get(flow.meter.tag, NO_SAMPLES), span.start_us, span.end_us, _companion(source, columns))


def _accounts(source: Source, metered: Metered | None, span: Span, scenario: str) -> tuple[Account, ...]:
    flow = _flow_of(source)
    amount = Quantity(0.0, Unit.EACH)
    if metered is not None:
        amount = metered.quantity
    elif flow is not None and flow.per_day is not None:
        amount = Quantity(flow.per_day.value * span.hours / 24.0, flow.per_day.unit)
    try:
        found = _estimates(source, amount, metered, span, scenarios(scenario))
    except EsgError as error:  # the answer is not known, and the reason is part of it
        found = _unknown(source, amount, error)
    return tuple(Account(source, category, estimate, metered) for category, estimate in found)


def _unknown(source: Source, amount: Quantity, error: EsgError) -> tuple[tuple[Category, Estimate], ...]:
    both = (Category.POWER_LOCATION, Category.POWER_MARKET) if isinstance(source.what, Power) else (source.category,)
    what = "not known" if isinstance(error, Indeterminate) else "cannot be computed"
    estimate = Estimate(NOT_KNOWN, amount, method_of(source), (), (f"{what}: {error}",))
    return tuple((category, estimate) for category in both)


def method_of(source: Source) -> str:
    """The name of the formula, before it is computed."""
    match source.what:
        case Fuel(co2_share=None, carbon_kg_per_kg=None) | Sold():
            return "tier1-c1"
        case Fuel(co2_share=None):
            return "tier3-c5"
        case Fuel():
            return "cems-c6"
        case Flare(efficiency=efficiency):
            return "flare-w19" if efficiency is None else "flare-w19-measured"
        case Vent(releases=registered):
            return "blowdown-geometry" if any(each.volume is None for each in registered) else "vent-metered"
        case Counted():
            return "population-factor"
        case Surveyed(measured=measured):
            return "leak-measured" if measured else "leaker-factor"
        case Seals():
            return "seal-measured"
        case Tank():
            return "tank-flash"
        case Power():
            return "power-grid"
        case Freight():
            return "freight"


def _estimates(
    source: Source, amount: Quantity, metered: Metered | None, span: Span, chosen: Set[str]
) -> tuple[tuple[Category, Estimate], ...]:
    """Raises EsgError."""
    book, day, what = factor_book(), span.day, source.what
    if isinstance(what, Power):
        return _power(what, amount, span, book, chosen)
    match what:
        case Fuel():
            found = _fuel(what, amount, day, book, chosen)
        case Flare():
            found = _flare(what, amount, 0.0 if metered is None else metered.special, day, book, chosen)
        case Vent():
            found = _vent(what, amount, span, book)
        case Counted():
            found = releases.by_count(dict(what.counts), span.hours, what.gas, day, book, scenarios=chosen)
        case Surveyed():
            leaks = [Leak(leak.component, leak.rate_scf_h, span.overlap_hours(start, end)) for leak, start, end in what.leaks]
            found = releases.leakers(tuple(leak for leak in leaks if leak.hours > 0.0), what.gas, day, book, measured=what.measured)
        case Seals():
            modes = tuple(SealMode(name, part * span.hours, vent) for name, part, vent in what.modes)
            found = releases.seals(modes, what.gas, day, book)
        case Tank():
            found = releases.tank_flash(
                amount, what.gor_scf_per_bbl, what.gas, day, book, recovery=what.recovery, recovery_uptime=what.recovery_uptime
            )
        case Sold():
            used = Quantity(0.0, amount.unit) if what.used is None else Quantity(what.used.value * span.hours / 24.0, what.used.unit)
            found = sold_product(what.fuel, amount, used, day, book, chosen)
        case Freight():
            found = freight(amount, what.intensity)
    return ((source.category, found),)


def _fuel(what: Fuel, amount: Quantity, day: date, book: FactorBook, chosen: Set[str]) -> Estimate:
    if what.co2_share is not None:
        return cems(amount, what.co2_share)
    if what.carbon_kg_per_kg is not None:
        found = tier3_gas(amount, what.carbon_kg_per_kg, what.molecular_weight, day, book, hhv_mmbtu_scf=what.hhv_mmbtu_scf)
    else:
        found = tier1(what.fuel, amount, day, book, chosen)
    return for_burner(found, what.burner, what.regime)


def _flare(what: Flare, amount: Quantity, unlit: float, day: date, book: FactorBook, chosen: Set[str]) -> Estimate:
    heat = None if what.hhv_btu_scf is None else amount.to(Unit.SCF) * what.hhv_btu_scf / 1e6
    gas = Flared(amount, what.composition, unlit, what.nhv_btu_scf, heat)
    found = flare(gas, day, book, tier=what.tier, measured=what.efficiency, scenarios=chosen)
    notes = (*found.notes, f"pilot out for {unlit:.4%} of the gas") if unlit > 0.0 else found.notes
    return Estimate(found.masses, found.activity, found.method, found.factors, notes)


def _vent(what: Vent, amount: Quantity, span: Span, book: FactorBook) -> Estimate:
    """Metered gas and the releases of the register that fall into the span."""
    day = span.day
    metered = amount if what.flow is not None else Quantity(0.0, Unit.SCF)
    parts = [releases.vent(metered, what.gas, day, book)]
    parts += [_release(each, what, day, book) for each in what.releases if span.holds(each.at_us)]
    masses, volume = parts[0].masses, parts[0].activity
    for part in parts[1:]:
        masses, volume = masses + part.masses, volume + part.activity
    worst = max((part.method for part in parts), key=lambda name: method(name).quality)
    named = "blowdown-geometry" if any(each.volume is None for each in what.releases) else worst
    return Estimate(masses, volume, named, parts[0].factors, (f"releases: {len(parts) - 1}",) if what.releases else ())


def _release(each: Release, what: Vent, day: date, book: FactorBook) -> Estimate:
    if each.volume is not None:
        return releases.vent(each.volume, what.gas, day, book)
    if each.vessel_m3 is None or each.before is None or each.after is None:
        raise Indeterminate("release: neither a volume nor a vessel between two states")
    return releases.blowdown(each.vessel_m3, each.before, each.after, what.gas, day, book)


def _power(what: Power, amount: Quantity, span: Span, book: FactorBook, chosen: Set[str]) -> tuple[tuple[Category, Estimate], ...]:
    """Each by its own rate: what is not known of one says nothing of the other."""
    day = span.day
    bought = tuple(
        Certificates(Quantity(each.mwh_on(day) * span.hours / 24.0, Unit.MWH), each.rate)
        for each in what.certificates
        if each.mwh_on(day) > 0.0
    )
    found = []
    for category, named in ((Category.POWER_LOCATION, what.grid), (Category.POWER_MARKET, what.residual)):
        try:
            rate = named if isinstance(named, Rate) else grid_rate(named, day, book, chosen)
            both = power(amount, rate, rate, bought if category is Category.POWER_MARKET else ())
            estimate = both.location if category is Category.POWER_LOCATION else both.market
            if category is Category.POWER_MARKET and both.unused_mwh > 0.0:
                notes = (*estimate.notes, f"certificates: {both.unused_mwh:.3f} MWh more than was bought reduce nothing")
                estimate = replace(estimate, notes=notes)
        except EsgError as error:
            estimate = Estimate(NOT_KNOWN, amount, "power-grid", (), (f"not known: {error}",))
        found.append((category, estimate))
    return tuple(found)


def records(found: tuple[Account, ...], day: date, evidence: tuple[str, ...], known_at_us: int) -> tuple[Emission, ...]:
    """What the inventory keeps of a day."""
    return tuple(
        Emission(
            each.source.id,
            each.source.asset,
            each.category,
            day,
            date.fromordinal(day.toordinal() + 1),
            each.estimate,
            each.source.every_input,
            method(each.estimate.method).quality,
            evidence,
            known_at_us,
            each.filled_hours,
            each.missing_hours,
        )
        for each in found
    )


def day_of(at_us: int) -> date:
    return datetime.fromtimestamp(at_us // DAY_US * 86_400, UTC).date()


def start_of(day: date) -> int:
    return (day.toordinal() - date(1970, 1, 1).toordinal()) * DAY_US
