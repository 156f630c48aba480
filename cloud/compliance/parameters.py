"""Dated parameters of rules: which value a law gave on a day, where that is written, and whether anybody has confirmed it.

For reading the files in `data`, for the value in force on a date, and for naming a whole set by its hash. Not for deciding anything:
rules do. Rules kept here: the latest start on or before the date is in force; `ended` ends a value; a value that is proposed applies
only in the named scenario it belongs to; an unconfirmed one only in the scenario `as-stated`, and never counts as confirmed.
A wrong date, an unknown or doubled key, dates out of order or twice, and a missing reference are errors with file and line.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from cloud import document
from protocols.tomlfile import Section, TomlFile

AS_STATED: Final = "as-stated"  # the scenario in which unconfirmed values apply as they are written
MOST_ASKED: Final = 100_000  # answers that are kept
Value = Decimal | str | tuple[str, ...]


class Undetermined(Exception):
    """A rule cannot be decided: a fact is missing, or no confirmed value is in force. Becomes INDETERMINATE."""


class Status(StrEnum):
    CONFIRMED = "confirmed"
    PROPOSED = "proposed"
    UNCONFIRMED = "unconfirmed"


@dataclass(frozen=True, slots=True)
class DatedValue:
    """`value` None: not known, or ended. `scenario` names the run in which a proposed value applies."""

    start: date
    value: Value | None
    reference: str
    status: Status
    ended: bool = False
    scenario: str | None = None


@dataclass(frozen=True, slots=True)
class Parameter:
    id: str
    description: str
    unit: str
    last_reviewed: date
    reviewer: str
    values: tuple[DatedValue, ...]

    def at(self, as_of: date, scenarios: frozenset[str] = frozenset()) -> DatedValue | None:
        """The value in force, a chosen scenario's before the baseline's of the same day; None when there is none yet."""
        applying = [value for value in self.values if value.start <= as_of and (value.scenario is None or value.scenario in scenarios)]
        return max(applying, key=lambda value: (value.start, value.scenario is not None), default=None)


@dataclass(frozen=True, slots=True)
class Used:
    """A value as a rule used it; printed under the step that did."""

    id: str
    value: Value
    unit: str
    start: date
    reference: str
    status: Status


@dataclass(frozen=True, slots=True)
class ParameterSet:
    """Which value of a parameter applies is looked for once per day and scenarios."""

    parameters: Mapping[str, Parameter]
    digest: str = field(init=False)
    _asked: dict[tuple[str, date, frozenset[str]], Used | str] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", document.digest(document.encode(_content(self.parameters))).hex())
        object.__setattr__(self, "_asked", {})

    def known_scenarios(self) -> frozenset[str]:
        return frozenset(value.scenario for one in self.parameters.values() for value in one.values if value.scenario) | {AS_STATED}

    def used(self, name: str, as_of: date, scenarios: frozenset[str] = frozenset()) -> Used:
        """The value in force, or Undetermined with the reason. KeyError names a parameter no file has: a fault of the rule."""
        key = (name, as_of, scenarios)
        found = self._asked.get(key)
        if found is None:
            if len(self._asked) >= MOST_ASKED:
                self._asked.clear()
            found = self._asked[key] = _used(self.parameters[name], as_of, scenarios)
        if isinstance(found, str):
            raise Undetermined(found)
        return found


def _used(parameter: Parameter, as_of: date, scenarios: frozenset[str]) -> Used | str:
    """The value in force, or why there is none to be used."""
    name, found = parameter.id, parameter.at(as_of, scenarios)
    if found is None or found.ended:
        return f"{name}: no value in force on {as_of}"
    if found.value is None:
        return f"{name}: the value in force on {as_of} is not known ({found.reference})"
    if found.status is Status.UNCONFIRMED and AS_STATED not in scenarios:
        return f"{name}: the value in force on {as_of} is unconfirmed ({found.reference})"
    return Used(name, found.value, parameter.unit, found.start, found.reference, found.status)


def merge(sets: Iterable[ParameterSet]) -> ParameterSet:
    together: dict[str, Parameter] = {}
    for one in sets:
        for name, parameter in one.parameters.items():
            if name in together:
                raise ValueError(f'parameter "{name}" is in two files')
            together[name] = parameter
    return ParameterSet(together)


def shipped() -> ParameterSet:
    """Every file of this package's `data`."""
    folder = Path(str(files("cloud.compliance"))) / "data"
    return merge(read(path) for path in sorted(folder.glob("*.toml")))


def read(path: Path) -> ParameterSet:
    return _parameters(TomlFile.read(path))


def parse(path: Path, text: str) -> ParameterSet:
    """As `read`, for a text that is already there; a doubled key is refused by TOML itself."""
    return _parameters(TomlFile(path, text))


def _parameters(file: TomlFile) -> ParameterSet:
    root = file.root
    return ParameterSet({name: _parameter(name, root.section(name)) for name in root.keys})


def _parameter(name: str, section: Section) -> Parameter:
    found = Parameter(
        name,
        _worded(section, "description"),
        _worded(section, "unit"),
        _date(section, "last_reviewed"),
        section.text("reviewer", ""),
        tuple(_dated(each) for each in section.sections("values")),
    )
    section.done()
    if not found.values:
        raise section.error("values", f'"{name}" has no values: state at least one, with its date')
    _in_order(section, found)
    return found


def _in_order(section: Section, parameter: Parameter) -> None:
    latest: dict[str | None, date] = {}
    for place, value in zip(section.sections("values"), parameter.values, strict=True):
        before = latest.get(value.scenario)
        if before is not None and value.start <= before:
            raise place.error("from", f'"{parameter.id}": {value.start} overlaps the value from {before}; dates must rise')
        latest[value.scenario] = value.start


def _dated(section: Section) -> DatedValue:
    status = Status(section.choice("status", [one.value for one in Status]))
    ended = section.boolean("ended", False)
    scenario = section.text("scenario", None)
    found = DatedValue(_date(section, "from"), _value(section), _worded(section, "reference"), status, ended, scenario)
    section.done()
    if ended and found.value is not None:
        raise section.error("value", "a value that is ended has none: leave out one of the two")
    if found.value is None and not ended and status is not Status.UNCONFIRMED:
        raise section.error(None, f'"value" is missing: only an unconfirmed one may be unknown, this is {status}')
    if (status is Status.PROPOSED) != (scenario is not None):
        raise section.error("status", "a proposed value names its scenario, and only a proposed one does")
    if scenario == AS_STATED:
        raise section.error("scenario", f'"{AS_STATED}" is kept for unconfirmed values: choose another name')
    return found


def _value(section: Section) -> Value | None:
    raw: Any = section.raw("value", None)
    if raw is None or isinstance(raw, str):
        return raw
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        number = Decimal(repr(raw))
        if number.is_finite():
            return number
    if isinstance(raw, list) and raw and all(isinstance(one, str) for one in raw):
        return tuple(raw)
    raise section.error("value", f'"value": expected a finite number, a text or a list of texts, found {raw!r}')


def _date(section: Section, key: str) -> date:
    raw: Any = section.raw(key)
    if isinstance(raw, datetime) or not isinstance(raw, date):
        raise section.error(key, f'"{key}": expected a date such as 2026-01-31 without quotes, found {raw!r}')
    return raw


def _worded(section: Section, key: str) -> str:
    text = section.text(key)
    if not text.strip():
        raise section.error(key, f'"{key}" is empty: say it')
    return text


def _content(parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    return {
        name: {
            "unit": one.unit,
            "values": [[str(v.start), plain(v.value), v.reference, v.status.value, v.ended, v.scenario] for v in one.values],
        }
        for name, one in parameters.items()
    }


def plain(value: Value | None) -> str | list[str] | None:
    """As it stands in JSON: a number as its text, so that no digit is lost."""
    return str(value) if isinstance(value, Decimal) else list(value) if isinstance(value, tuple) else value
