"""Emission factors as dated data: a value from a day on, with unit, reference and status.

Not for applying them. The latest value that began on or before the day is in force; `ended = true` ends it. A `proposed` or `unconfirmed`
value applies only in a run that names the value's scenario, and stays marked. Without it a proposal changes nothing, while an unconfirmed
value makes the answer `Indeterminate`: the law changed, and what it says now is not known.
"""

import hashlib
from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import date
from enum import Enum
from functools import cache
from itertools import pairwise
from pathlib import Path

from cloud.esg import EsgError, Indeterminate
from cloud.esg.gases import DATA
from protocols.tomlfile import Section, TomlFile, nearest

FILES = ("combustion.toml", "petroleum.toml", "power.toml", "u95.toml")


class Status(Enum):
    CONFIRMED = "confirmed"
    PROPOSED = "proposed"
    UNCONFIRMED = "unconfirmed"


@dataclass(frozen=True, slots=True)
class Factor:
    """One value in force, as an emission record names it."""

    name: str
    value: float
    unit: str
    start: date
    reference: str
    status: Status
    scenario: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """What a file says from a day on; `value` is None where the factor ends."""

    start: date
    value: float | None
    reference: str
    status: Status
    scenario: str


@dataclass(frozen=True, slots=True)
class FactorBook:
    """All factors of some files. `digest` names exactly these bytes."""

    steps: Mapping[str, tuple[str, tuple[Step, ...]]]
    digest: str

    def at(self, name: str, day: date, scenarios: Set[str] = frozenset()) -> Factor:
        """The factor in force on a day. Raises EsgError for an unknown name, Indeterminate when there is none to rely on."""
        if name not in self.steps:
            raise EsgError(f'factor "{name}": not known{nearest(name, self.steps)}')
        unit, steps = self.steps[name]
        applies = [step for step in steps if step.start <= day and (step.status is not Status.PROPOSED or step.scenario in scenarios)]
        if not applies:
            begins = [step.start for step in steps if step.status is not Status.PROPOSED]
            raise Indeterminate(f"factor {name} on {day}: " + (f"begins {begins[0]}" if begins else f"is proposed ({steps[0].scenario})"))
        step = applies[-1]
        if step.status is Status.UNCONFIRMED and step.scenario not in scenarios:
            raise Indeterminate(f"factor {name} on {day}: is unconfirmed since {step.start} (scenario {step.scenario})")
        if step.value is None:
            raise Indeterminate(f"factor {name} on {day}: ended {step.start}")
        return Factor(name, step.value, unit, step.start, step.reference, step.status, step.scenario)


@cache
def factor_book() -> FactorBook:
    """The factors that ship with the project."""
    return read_factors(tuple(DATA / name for name in FILES))


def read_factors(paths: tuple[Path, ...]) -> FactorBook:
    """Raises ConfigError with file and line for what cannot be meant, a name in two files included."""
    steps: dict[str, tuple[str, tuple[Step, ...]]] = {}
    digest = hashlib.sha256()
    for path in paths:
        root = TomlFile.read(path).root
        digest.update(path.read_bytes())
        for name in root.keys:
            if name in steps:
                raise root.error(name, f'"{name}": stands in another file too')
            steps[name] = _factor(root.section(name))
    return FactorBook(steps, digest.hexdigest())


def _factor(section: Section) -> tuple[str, tuple[Step, ...]]:
    unit = section.text("unit")
    section.text("description")
    found = tuple(_step(item) for item in section.sections("values"))
    if not found:
        raise section.error("values", '"values": expected at least one')
    for before, after in pairwise(found):
        if after.start <= before.start:
            raise section.error("values", f'"values": {after.start} overlaps {before.start}; expected rising dates')
    section.done()
    return unit, found


def _step(item: Section) -> Step:
    start = item.raw("from")
    if type(start) is not date:
        raise item.error("from", f'"from": expected a date such as 2025-01-01, found {start!r}')
    ended = item.boolean("ended", False)
    value = None if ended else item.number("value")
    if ended and "value" in item:
        raise item.error("value", '"value": a factor that ended has none')
    if value is not None and not 0.0 <= value < 1e9:
        raise item.error("value", f'"value": expected 0 to 1e9, found {value}')
    status = Status(item.choice("status", [each.value for each in Status]))
    scenario = item.text("scenario", "")
    if (status is Status.CONFIRMED) != (not scenario):
        raise item.error("scenario", '"scenario": expected for a proposed or unconfirmed value, and for no other')
    reference = item.text("reference")
    if not reference.strip():
        raise item.error("reference", '"reference": expected the source of the value, found nothing')
    item.done()
    return Step(start, None if value is None else float(value), reference, status, scenario)
