"""Delivery periods: half-open intervals of UTC microseconds, cut along local midnights so that DST days have 23 or 25 hours.

Not for trading days or expiries (`calendars`). A delivery day, month or year begins at local midnight of its zone; hours are
real hours of 3,600 s, so they are contiguous through both DST changes.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from cloud.market.errors import MarketError

HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US
YEAR_US: Final = 365 * DAY_US  # Act/365F, the day count of all times to delivery here
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Granularity(Enum):
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """[start_us, end_us), UTC."""

    start_us: int
    end_us: int

    def __post_init__(self) -> None:
        if self.end_us <= self.start_us:
            raise MarketError(f"period [{self.start_us}, {self.end_us}): the end is not after the start")

    @property
    def hours(self) -> float:
        return (self.end_us - self.start_us) / HOUR_US

    def contains(self, other: "Period") -> bool:
        return self.start_us <= other.start_us and other.end_us <= self.end_us

    def overlaps(self, other: "Period") -> bool:
        return self.start_us < other.end_us and other.start_us < self.end_us

    def label(self) -> str:
        return f"{to_datetime(self.start_us):%Y-%m-%dT%H:%MZ}/{to_datetime(self.end_us):%Y-%m-%dT%H:%MZ}"


def to_us(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise MarketError(f"{moment.isoformat()}: a time without zone is not accepted")
    return (moment - EPOCH) // timedelta(microseconds=1)


def to_datetime(moment_us: int) -> datetime:
    return EPOCH + timedelta(microseconds=moment_us)


def midnight_us(day: date, zone: str = "UTC") -> int:
    return to_us(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC))


def days(first: date, after_last: date, zone: str = "UTC") -> Period:
    """The period of the local days `first` up to and without `after_last`."""
    return Period(midnight_us(first, zone), midnight_us(after_last, zone))


def day(of: date, zone: str = "UTC") -> Period:
    return days(of, of + timedelta(days=1), zone)


def months(year: int, month: int, count: int = 1, zone: str = "UTC") -> Period:
    """`count` whole local months from (year, month) on: 1 a month, 3 a quarter, 6 a season, 12 a year."""
    return days(date(year, month, 1), following_month(date(year, month, 1), count), zone)


def following_month(day_: date, count: int = 1) -> date:
    """The first of the month `count` months later (earlier when negative)."""
    index = day_.year * 12 + day_.month - 1 + count
    return date(index // 12, index % 12 + 1, 1)


def split(period: Period, granularity: Granularity, zone: str = "UTC") -> tuple[Period, ...]:
    """The period cut at local hours, midnights or firsts of the month. Its ends must lie on such a cut.

    MarketError when they do not. Hours of a DST day: 23 in spring, 25 in autumn.
    """
    if granularity is Granularity.HOUR:
        edges = list(range(period.start_us, period.end_us + 1, HOUR_US))
    else:
        step: Callable[[date], date] = following_month if granularity is Granularity.MONTH else _tomorrow
        local = to_datetime(period.start_us).astimezone(ZoneInfo(zone)).date()
        if granularity is Granularity.MONTH:
            local = local.replace(day=1)
        edges = [midnight_us(local, zone)]
        while edges[-1] < period.end_us:
            local = step(local)
            edges.append(midnight_us(local, zone))
    if edges[0] != period.start_us or edges[-1] != period.end_us:
        raise MarketError(f"period {period.label()} does not begin and end at a {granularity.value} of {zone}")
    return tuple(map(Period, edges[:-1], edges[1:]))


def _tomorrow(day_: date) -> date:
    return day_ + timedelta(days=1)


def bounds(buckets: Sequence[Period]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and ends of the buckets, us, int64 (B,)."""
    starts = np.fromiter((bucket.start_us for bucket in buckets), np.int64, len(buckets))
    return starts, np.fromiter((bucket.end_us for bucket in buckets), np.int64, len(buckets))


def peak_mask(
    buckets: Sequence[Period], zone: str, first_hour: int = 8, after_last_hour: int = 20, holidays: Collection[date] = ()
) -> NDArray[np.bool_]:
    """Which hourly buckets are peak: local Monday to Friday without `holidays`, hours [first_hour, after_last_hour); bool (B,).

    European products have no holidays (the default); North American ones take those of their region.
    """
    local = [to_datetime(bucket.start_us).astimezone(ZoneInfo(zone)) for bucket in buckets]
    within = [first_hour <= moment.hour < after_last_hour for moment in local]
    working = [moment.weekday() < 5 and moment.date() not in holidays for moment in local]
    return np.array(within, dtype=np.bool_) & np.array(working, dtype=np.bool_)


def years_to(buckets: Sequence[Period], as_of_us: int) -> NDArray[np.float64]:
    """Years (Act/365F) from as_of to the middle of each bucket, never below zero; (B,)."""
    starts, ends = bounds(buckets)
    return np.maximum((starts + (ends - starts) / 2 - as_of_us) / YEAR_US, 0.0)
