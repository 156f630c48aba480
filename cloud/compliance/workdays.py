"""Counting of days for deadlines: working days with the holidays of a calendar, and months.

Pure; the holidays are handed in. The day of the event is never counted.
"""

from calendar import monthrange
from collections.abc import Set as AbstractSet
from datetime import date, timedelta


def is_workday(day: date, holidays: AbstractSet[date] = frozenset()) -> bool:
    return day.weekday() < 5 and day not in holidays


def add_workdays(day: date, count: int, holidays: AbstractSet[date] = frozenset()) -> date:
    """The count-th working day after `day`."""
    if count < 0:
        raise ValueError(f"expected no negative count of working days, found {count}")
    while count:
        day += timedelta(days=1)
        count -= is_workday(day, holidays)
    return day


def workdays_between(first: date, last: date, holidays: AbstractSet[date] = frozenset()) -> int:
    """Working days after `first` up to and with `last`; 0 when that is not later."""
    return sum(is_workday(first + timedelta(days=n), holidays) for n in range(1, (last - first).days + 1))


def add_days(day: date, count: int) -> date:
    return day + timedelta(days=count)


def add_months(day: date, count: int) -> date:
    """The same day of a later month, or its last day."""
    year, month = divmod(day.year * 12 + day.month - 1 + count, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def add_years(day: date, count: int) -> date:
    return add_months(day, 12 * count)
