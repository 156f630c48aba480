"""What the evidence rows of emissions say, as pure functions of what they name. The hub and a recomputation run the same ones.

    emissions   (register, site, samples of a day or an interval)  -> gases of every source, with hours, factors and notes
    inventory   (outputs of day rows, period, set of GWPs)         -> totals by scope, doubts, levels

Not for reading or storing anything. Outputs are text, numbers, lists and maps; `emissions_of` reads a day's back as records.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np

from cloud.esg import EsgError, Indeterminate
from cloud.esg.accounts import AS_STATED, Account, Columns, Span, accounts, day_of, read_day, read_interval, records, start_of
from cloud.esg.estimates import Estimate
from cloud.esg.factors import Factor, Status
from cloud.esg.gases import GwpSet, Masses, gwp_set
from cloud.esg.indicators import ogmp_level, ogmp_level_of_asset
from cloud.esg.inventory import Category, Emission, Scope, Total, totals
from cloud.esg.metered import NO_SAMPLES, Period, of_day
from cloud.esg.register import Flare, Register
from cloud.esg.spans import DAY_US
from cloud.esg.uncertainty import Input
from cloud.esg.units import Quantity, Unit
from protocols.batch.bundle import Samples

EMISSIONS: Final = "emissions"
INVENTORY: Final = "inventory"
SEED: Final = 1
MOST_DOUBTS: Final = 100  # told one by one; the others are counted
Output = dict[str, Any]
_CATEGORIES: Final = {one.value[0]: one for one in Category}


def day_subject(site: str, day: date) -> str:
    return f"{site}/{day.isoformat()}"


def joined(parts: Iterable[Mapping[str, Samples]]) -> dict[str, Samples]:
    """Samples of the same tags put together; their order is of no meaning here."""
    found: dict[str, list[Samples]] = {}
    for part in parts:
        for tag, samples in part.items():
            found.setdefault(tag, []).append(samples)
    return {
        tag: pieces[0]
        if len(pieces) == 1
        else Samples(
            np.concatenate([one.times_us for one in pieces]),
            np.concatenate([one.values for one in pieces]),
            np.concatenate([one.quality for one in pieces]),
        )
        for tag, pieces in found.items()
    }


def usable(samples: Columns, refused: Mapping[str, str]) -> Columns:
    """Without the tags whose gateway says another unit than the inventory."""
    return {tag: found for tag, found in samples.items() if tag not in refused}


def emissions(register: Register, site: str, day: date, samples: Columns, as_of_us: int, refused: Mapping[str, str]) -> Output:
    """A day as it stood at as_of_us. as_stated: the records that differ when unconfirmed factors are taken as they are stated."""
    period = Period(start_of(day), as_of_us)
    read, span = read_day(register.of(site), usable(samples, refused), period), Span(period.start_us, period.until_us)
    found, stated = accounts(read, span), accounts(read, span, AS_STATED)
    return {
        "site": site,
        "day": day.isoformat(),
        "open": int(period.open),
        "until_us": period.until_us,
        "records": [_record(one) for one in found],
        "as_stated": [_record(other) for one, other in zip(found, stated, strict=True) if one.estimate != other.estimate],
        "meters": _balanced_meters(register, site, usable(samples, refused), period),
        "refused": dict(refused),
    }


def _balanced_meters(register: Register, site: str, samples: Columns, period: Period) -> Output:
    """Hours of the meters that balances look at."""
    wanted = {meter for one in register.sections if one.site == site for meter in (*one.inflow, *one.outflow)}
    found = {meter.name: of_day(meter, samples.get(meter.tag, NO_SAMPLES), period) for meter in sorted(wanted, key=lambda one: one.name)}
    return {name: {"bar": one.bar, "hourly": list(one.hourly), "unit": one.unit.symbol} for name, one in found.items()}


def interval(register: Register, site: str, from_us: int, to_us: int, samples: Columns, refused: Mapping[str, str]) -> Output:
    """Exactly from_us <= time < to_us, day by day, with sums over the parts: what is known of each gas and of how much time."""
    parts: list[Output] = []
    stated: list[Account] = []
    for span in _parts(from_us, to_us):
        read, seconds = read_interval(register.of(site), usable(samples, refused), span), (span.end_us - span.start_us) / 1e6
        parts += [{**_record(one), "from_us": span.start_us, "to_us": span.end_us, "span_s": seconds} for one in accounts(read, span)]
        stated += accounts(read, span, AS_STATED)
    doubts = [f"{part['source']}: {gas} not estimated" for part in parts for gas in Masses(**part["gases_kg"]).missing]
    doubts += [
        f"{part['source']}: {part['span_s'] - part['known_s']:.0f} s of {part['span_s']:.0f} s not measured"
        for part in parts
        if part["known_s"] is not None and part["known_s"] < part["span_s"] - 1.0
    ]
    doubts += [f"{tag}: {reason}" for tag, reason in sorted(refused.items())]
    return {
        "site": site,
        "from_us": from_us,
        "to_us": to_us,
        "records": parts,
        "gases_kg": _by_scope((_CATEGORIES[part["category"]].scope, Masses(**part["gases_kg"])) for part in parts),
        "as_stated_kg": _by_scope((one.category.scope, one.estimate.masses) for one in stated),
        "doubts": doubts,
    }


def _parts(from_us: int, to_us: int) -> Iterable[Span]:
    start = from_us
    while start < to_us:
        end = min(to_us, (start // DAY_US + 1) * DAY_US)
        yield Span(start, end)
        start = end


def _by_scope(parts: Iterable[tuple[Scope, Masses]]) -> Output:
    """What is known of each gas."""
    found: dict[str, Masses] = {}
    for scope, masses in parts:
        found[scope.value] = found.get(scope.value, Masses()) + masses.known()
    return {scope: dict(masses.items()) for scope, masses in sorted(found.items())}


def _record(one: Account) -> Output:
    estimate, metered = one.estimate, one.metered
    (emission,) = records((one,), date(2000, 1, 1), ("-",), 0)
    return {
        "source": one.source.id,
        "asset": one.source.asset,
        "category": one.category.value[0],
        "purpose": one.source.what.purpose.value if isinstance(one.source.what, Flare) else None,
        "method": estimate.method,
        "ogmp_level": ogmp_level(emission),
        "quality": emission.quality,
        "activity": {"value": estimate.activity.value, "unit": estimate.activity.unit.symbol},
        "gases_kg": dict(estimate.masses.items()),
        "u95_pct": {each.name: each.u95_pct for each in one.source.every_input},
        "factors": [_factor(each) for each in estimate.factors],
        "notes": list(estimate.notes),
        "bar": None if metered is None else metered.bar,
        "hourly": None if metered is None or not metered.hourly else list(metered.hourly),
        "unit": None if metered is None else metered.unit.symbol,
        "excluded": {} if metered is None else dict(metered.excluded),
        "known_s": None if metered is None else metered.known_s,
        "measured_hours": 0 if metered is None else metered.hours("m"),
        "filled_hours": one.filled_hours,
        "missing_hours": one.missing_hours,
    }


def _factor(each: Factor) -> Output:
    return {
        "name": each.name,
        "value": each.value,
        "unit": each.unit,
        "from": each.start.isoformat(),
        "reference": each.reference,
        "status": each.status.value,
        "scenario": each.scenario,
    }


def emissions_of(output: Mapping[str, Any], digest: bytes, known_at_us: int, scenario: str = "") -> tuple[Emission, ...]:
    """The records of a day row, as the inventory knows them; scenario: AS_STATED or nothing. Raises EsgError for another."""
    if scenario not in ("", AS_STATED):
        raise EsgError(f'scenario "{scenario}": expected {AS_STATED} or none')
    stated = {(one["source"], one["category"]): one for one in output["as_stated"]} if scenario else {}
    start = date.fromisoformat(output["day"])
    return tuple(_emission(stated.get((one["source"], one["category"]), one), start, digest, known_at_us) for one in output["records"])


def _emission(one: Mapping[str, Any], start: date, digest: bytes, known_at_us: int) -> Emission:
    factors = tuple(
        Factor(
            each["name"], each["value"], each["unit"], date.fromisoformat(each["from"]), each["reference"], Status(each["status"]), each["scenario"]
        )
        for each in one["factors"]
    )  # fmt: skip
    activity = Quantity(one["activity"]["value"], Unit.named(one["activity"]["unit"]))
    estimate = Estimate(Masses(**one["gases_kg"]), activity, one["method"], factors, tuple(one["notes"]))
    inputs = tuple(Input(name, u95) for name, u95 in sorted(one["u95_pct"].items()))
    end = date.fromordinal(start.toordinal() + 1)
    return Emission(
        one["source"], one["asset"], _CATEGORIES[one["category"]], start, end, estimate, inputs, one["quality"], (digest.hex(),),
        known_at_us, one["filled_hours"], one["missing_hours"],
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class DayRow:
    """A day's row: where it stands, when it was known, what it says; log_size: what it has seen of the log, inventory: the text it rests on."""

    subject: str
    digest: bytes
    as_of_us: int
    output: Mapping[str, Any]
    log_size: int = 0
    inventory: bytes = b""

    def emissions(self, scenario: str = "") -> tuple[Emission, ...]:
        return emissions_of(self.output, self.digest, self.as_of_us, scenario)


@dataclass(frozen=True, slots=True)
class Asked:
    """A period (`last` belongs to it), the set and the scenario; missing: days with sources and without a row."""

    first: date
    last: date
    gwp: str
    scenario: str
    missing: tuple[str, ...]


def inventory(rows: Sequence[DayRow], asked: Asked, reconciled: frozenset[str] = frozenset()) -> Output:
    """Totals by scope of the days as these rows have them. `figure_t` is None while there are doubts; what is known stands beside it."""
    found = [record for row in rows for record in row.emissions(asked.scenario)]
    told = [f"{row.output['site']} {row.output['day']}: the day is not over" for row in rows if row.output["open"]]
    told += [f"{tag}: {reason}" for row in rows for tag, reason in sorted(row.output["refused"].items())]
    told += [f"{subject}: not accounted for" for subject in asked.missing]
    gwp = gwp_set(asked.gwp)
    known_at_us = max((row.as_of_us for row in rows), default=0)
    scopes = {}
    for scope in Scope:
        try:
            scopes[scope.value] = _scope(totals(found, scope, gwp, known_at_us=known_at_us, seed=SEED), told)
        except Indeterminate:
            continue
        except EsgError as error:
            scopes[scope.value] = {"figure_t": None, "doubts": [str(error)], "more_doubts": 0}
    return {
        "from": asked.first.isoformat(),
        "to": asked.last.isoformat(),
        "gwp": asked.gwp,
        "scenario": asked.scenario,
        "days": len(rows),
        "scopes": scopes,
        "sources": _by_source(found, gwp, reconciled),
        "assets": _by_asset(found, reconciled),
        "flared": _flared(rows),
    }


def _flared(rows: Sequence[DayRow]) -> list[Output]:
    """Gas to flares by purpose, bridged hours included."""
    found: dict[str, float] = {}
    for one in (one for row in rows for one in row.output["records"] if one["purpose"] is not None):
        volume = Quantity(one["activity"]["value"], Unit.named(one["activity"]["unit"])).to(Unit.SCF)
        found[one["purpose"]] = found.get(one["purpose"], 0.0) + volume
    return [{"purpose": purpose, "scf": scf} for purpose, scf in sorted(found.items())]


def _scope(found: Total, told: Sequence[str]) -> Output:
    doubts = list(dict.fromkeys([*told, *found.doubts]))
    return {
        "figure_t": None if doubts else found.co2e.tonnes,
        "known_t": found.co2e.tonnes,
        "low_t": found.spread.low_kg / 1000,
        "high_t": found.spread.high_kg / 1000,
        "u95_pct": found.spread.u95_pct,
        "approach": found.spread.approach,
        "quality": found.quality,
        "gases_kg": dict(found.masses.items()),
        "doubts": doubts[:MOST_DOUBTS],
        "more_doubts": max(0, len(doubts) - MOST_DOUBTS),
    }


def _by_source(found: Sequence[Emission], gwp: GwpSet, reconciled: frozenset[str]) -> list[Output]:
    each: dict[tuple[str, Category], list[Emission]] = {}
    for record in found:
        each.setdefault(record.key, []).append(record)
    shown = []
    for (source, category), some in sorted(each.items(), key=lambda pair: (pair[0][0], pair[0][1].value[0])):
        masses = _masses([record.estimate.masses.known() for record in some])
        shown.append(
            {
                "source": source,
                "asset": some[0].asset,
                "category": category.value[0],
                "scope": category.scope.value,
                "gases_kg": dict(masses.items()),
                "known_t": gwp.co2e_of_known(masses).tonnes,
                "not_estimated": sorted({gas for record in some for gas in record.estimate.masses.missing}),
                "ogmp_level": min(ogmp_level(record, reconciled) for record in some),
                "quality": max(record.quality for record in some),
                "filled_hours": sum(record.filled_hours for record in some),
                "missing_hours": sum(record.missing_hours for record in some),
            }
        )
    return shown


def _masses(parts: Iterable[Masses]) -> Masses:
    whole = Masses()
    for each in parts:
        whole = whole + each
    return whole


def _by_asset(found: Sequence[Emission], reconciled: frozenset[str]) -> list[Output]:
    """Methane and OGMP 2.0 level of each asset, of what it emits itself."""
    shown = []
    for asset in sorted({record.asset for record in found if record.category.scope is Scope.ONE}):
        some = [record for record in found if record.asset == asset and record.category.scope is Scope.ONE]
        try:
            level, why = ogmp_level_of_asset(some, reconciled), ""
        except Indeterminate as error:
            level, why = None, str(error)
        ch4 = sum(record.estimate.masses.ch4_kg or 0.0 for record in some)
        shown.append({"asset": asset, "ch4_kg": ch4, "ogmp_level": level, "why": why})
    return shown


def days_between(first: date, last: date) -> list[date]:
    return [date.fromordinal(number) for number in range(first.toordinal(), last.toordinal() + 1)]


def today(now_us: int) -> date:
    return day_of(now_us)
