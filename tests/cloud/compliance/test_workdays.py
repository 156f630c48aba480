from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.compliance.workdays import add_months, add_workdays, is_workday, workdays_between

DAYS = st.dates(date(2015, 1, 1), date(2030, 12, 31))


@pytest.mark.parametrize(
    ("day", "count", "due"),
    [("2015-10-09", 1, "2015-10-12"), ("2015-10-10", 1, "2015-10-12"), ("2015-10-11", 0, "2015-10-11"), ("2026-03-05", 2, "2026-03-09")],
)
def test_weekends_are_no_working_days(day: str, count: int, due: str) -> None:
    assert add_workdays(date.fromisoformat(day), count) == date.fromisoformat(due)


def test_a_holiday_is_no_working_day() -> None:
    assert add_workdays(date(2015, 10, 9), 1, frozenset({date(2015, 10, 12)})) == date(2015, 10, 13)


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ValueError, match="found -1"):
        add_workdays(date(2026, 1, 1), -1)


@given(DAYS, st.integers(1, 30), st.frozensets(DAYS, max_size=5))
def test_counting_back_finds_the_count(day: date, count: int, holidays: frozenset[date]) -> None:
    due = add_workdays(day, count, holidays)
    assert is_workday(due, holidays)
    assert workdays_between(day, due, holidays) == count
    assert workdays_between(day, due - timedelta(days=1), holidays) == count - 1


@pytest.mark.parametrize(
    ("day", "months", "then"), [("2016-01-31", 1, "2016-02-29"), ("2015-10-09", 1, "2015-11-09"), ("2026-12-31", 2, "2027-02-28")]
)
def test_a_month_later_is_the_same_day_or_the_last(day: str, months: int, then: str) -> None:
    assert add_months(date.fromisoformat(day), months) == date.fromisoformat(then)
