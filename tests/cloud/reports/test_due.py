from datetime import date
from pathlib import Path

import pytest

from cloud.reports import due
from cloud.reports.errors import ReportError
from protocols.tomlfile import ConfigError

DATES = due.shipped()
TERM = """
[[due]]
filing = "a"
from = 2026-01-01
count = 1
unit = "workdays"
calendar = "c"
reference = "r"
status = "confirmed"
"""
CALENDAR = """
[[calendar]]
name = "c"
first = 2026-01-01
last = 2026-12-31
reference = "r"
status = "confirmed"
holidays = [2026-11-24]
"""


@pytest.mark.parametrize(
    ("filing", "event", "day"),
    [
        ("remit-table1-standard", date(2026, 11, 19), date(2026, 11, 20)),
        ("remit-table1-standard", date(2026, 11, 20), date(2026, 11, 23)),
        ("remit-table1-standard", date(2026, 4, 2), date(2026, 4, 7)),
        ("remit-table1-standard", date(2026, 12, 24), date(2026, 12, 28)),
        ("remit-table1-non-standard", date(2026, 1, 31), date(2026, 2, 28)),
        ("emir-trade", date(2026, 11, 23), date(2026, 11, 24)),
        ("cftc-part45-execution-facility", date(2026, 11, 25), date(2026, 11, 27)),
        ("cftc-part45-off-facility-other", date(2026, 11, 25), date(2026, 11, 30)),
        ("ferc-eqr", date(2026, 9, 30), date(2026, 10, 31)),
        ("ferc-eqr", date(2026, 12, 31), date(2027, 1, 31)),
    ],
)
def test_due_day_follows_term_and_calendar(filing: str, event: date, day: date) -> None:
    assert DATES.due(filing, event).day == day


def test_an_unconfirmed_calendar_makes_the_answer_unconfirmed() -> None:
    found = DATES.due("remit-table1-standard", date(2026, 11, 19))
    assert (found.term.status, found.status) == ("confirmed", "unconfirmed")


@pytest.mark.parametrize(("event", "in_force"), [(date(2015, 10, 6), False), (date(2015, 10, 7), True), (date(2015, 10, 8), True)])
def test_a_term_is_in_force_from_its_day(event: date, in_force: bool) -> None:
    try:
        found = DATES.term("remit-table1-standard", event).count
    except ReportError:
        found = 0
    assert bool(found) == in_force


def test_the_later_term_is_in_force_from_its_day() -> None:
    later = TERM.replace("from = 2026-01-01", "from = 2026-06-01").replace("count = 1", "count = 2")
    dates = due.parse(Path("due.toml"), TERM + later + CALENDAR)
    assert [dates.term("a", date(2026, 5, 31)).count, dates.term("a", date(2026, 6, 1)).count] == [1, 2]
    assert dates.due("a", date(2026, 11, 23)).day == date(2026, 11, 26)


@pytest.mark.parametrize("event", [date(2024, 12, 31), date(2027, 12, 31)])
def test_a_day_outside_the_calendar_is_refused(event: date) -> None:
    with pytest.raises(ReportError, match="calendar eu-target is known from 2025-01-01 to 2027-12-31"):
        DATES.due("remit-table1-standard", event)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("count = 1", "count = -1", "due.toml:"),
        ("count = 1", "count = 1\nmore = 2", "unknown key"),
        ("from = 2026-01-01", 'from = "2026-01-01"', "without quotes"),
        ("from = 2026-01-01", "from = 2026-01-01T00:00:00Z", "without quotes"),
        ('calendar = "c"', 'calendar = "d"', "is not in this file"),
        ('unit = "workdays"', 'unit = "weeks"', "unit"),
        ('status = "confirmed"', 'status = "sure"', "status"),
        ("[2026-11-24]", "[2027-11-24]", "expected days from"),
        ("[2026-11-24]", "[2026-11-24, 2026-11-24]", "stands twice"),
        ('reference = "r"\n', "", "reference"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(old: str, new: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        due.parse(Path("due.toml"), (TERM + CALENDAR).replace(old, new, 1))
    assert said in str(error.value)


@pytest.mark.parametrize("text", [TERM + TERM + CALENDAR, TERM + CALENDAR + CALENDAR], ids=["term", "calendar"])
def test_what_stands_twice_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        due.parse(Path("due.toml"), text)
