"""When a filing is due: terms and calendars from data files, each with its reference and status.

For the day a file must have reached its receiver. Not for judging whether one was late (rules of compliance). Rules: the term in force on
the day of the event counts; a calendar knows a span of days, and a day outside of it is refused rather than guessed; the status of the
term and of its calendar travel with the answer, so that nothing unconfirmed looks confirmed.
"""

from calendar import monthrange
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from cloud.compliance.workdays import add_months, add_workdays
from cloud.reports.errors import ReportError
from protocols.tomlfile import Section, TomlFile


class Unit(StrEnum):
    WORKDAYS = "workdays"
    DAYS = "days"
    MONTHS = "months"
    ENDS_OF_MONTH = "ends of month"  # 1: the last day of the month after the event's


STATUSES: Final = ("confirmed", "proposed", "unconfirmed")


@dataclass(frozen=True, slots=True)
class Calendar:
    name: str
    first: date
    last: date
    holidays: frozenset[date]
    reference: str
    status: str


@dataclass(frozen=True, slots=True)
class Term:
    filing: str
    start: date
    count: int
    unit: Unit
    calendar: str
    reference: str
    status: str


@dataclass(frozen=True, slots=True)
class Event:
    """term: the filing's name in the file. day: from which the term counts."""

    term: str
    day: date


@dataclass(frozen=True, slots=True)
class Due:
    day: date
    term: Term
    status: str  # the weakest of term and calendar


@dataclass(frozen=True, slots=True)
class DueDates:
    terms: tuple[Term, ...]
    calendars: Mapping[str, Calendar]

    def term(self, filing: str, event: date) -> Term:
        found = [term for term in self.terms if term.filing == filing and term.start <= event]
        if not found:
            raise ReportError(f"due date of {filing}", f"no term is in force on {event}")
        return max(found, key=lambda term: term.start)

    def due(self, filing: str, event: date) -> Due:
        """Raises ReportError when no term is in force or the calendar does not reach."""
        term = self.term(filing, event)
        if term.unit is not Unit.WORKDAYS:
            return Due(_ADD[term.unit](event, term.count), term, term.status)
        calendar = self.calendars[term.calendar]
        day = add_workdays(event, term.count, calendar.holidays)
        if event < calendar.first or day > calendar.last:
            raise ReportError(
                f"due date of {filing}",
                f"calendar {calendar.name} is known from {calendar.first} to {calendar.last}, not for {event} to {day}",
            )
        return Due(day, term, max(term.status, calendar.status, key=STATUSES.index))


def _end_of_month(day: date, count: int) -> date:
    later = add_months(day.replace(day=1), count)
    return later.replace(day=monthrange(later.year, later.month)[1])


_ADD: Final[Mapping[Unit, Callable[[date, int], date]]] = {
    Unit.DAYS: lambda day, count: day + timedelta(days=count),
    Unit.MONTHS: add_months,
    Unit.ENDS_OF_MONTH: _end_of_month,
}


def shipped() -> DueDates:
    found = files("cloud.reports") / "data" / "due_dates.toml"
    return parse(Path(str(found)), found.read_text(encoding="utf-8"))


def parse(path: Path, text: str) -> DueDates:
    """Raises ConfigError with file and line: unknown and missing keys, wrong and doubled dates, a calendar nobody knows."""
    root = TomlFile(path, text).root
    calendars: dict[str, Calendar] = {}
    for section in root.sections("calendar"):
        calendar = _calendar(section)
        if calendar.name in calendars:
            raise section.error("name", f'calendar "{calendar.name}" stands twice')
        calendars[calendar.name] = calendar
    terms: list[Term] = []
    for section in root.sections("due"):
        term = _term(section)
        if any((term.filing, term.start) == (other.filing, other.start) for other in terms):
            raise section.error("from", f'"{term.filing}" has two terms from {term.start}')
        if term.unit is Unit.WORKDAYS and term.calendar not in calendars:
            raise section.error("calendar", f'calendar "{term.calendar}" is not in this file')
        terms.append(term)
    root.done()
    return DueDates(tuple(terms), calendars)


def _calendar(section: Section) -> Calendar:
    first, last = _day(section, "first"), _day(section, "last")
    holidays: Any = section.raw("holidays")
    if not isinstance(holidays, list) or not all(_is_day(day) and first <= day <= last for day in holidays):
        raise section.error("holidays", f"expected days from {first} to {last} without quotes")
    if len(set(holidays)) < len(holidays):
        raise section.error("holidays", "a day stands twice")
    found = Calendar(section.text("name"), first, last, frozenset(holidays), section.text("reference"), section.choice("status", STATUSES))
    section.done()
    return found


def _term(section: Section) -> Term:
    unit = Unit(section.choice("unit", [unit.value for unit in Unit]))
    found = Term(
        section.text("filing"), _day(section, "from"), section.integer("count", low=0, high=1000), unit,
        section.text("calendar") if unit is Unit.WORKDAYS else "", section.text("reference"), section.choice("status", STATUSES),
    )  # fmt: skip
    section.done()
    return found


def _is_day(value: object) -> bool:
    return isinstance(value, date) and not isinstance(value, datetime)


def _day(section: Section, key: str) -> date:
    value: Any = section.raw(key)
    if not _is_day(value):
        raise section.error(key, f'"{key}": expected a day such as 2026-01-31 without quotes, found {value!r}')
    return date(value.year, value.month, value.day)
