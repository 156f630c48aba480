"""Delivery buckets of a period and the exact share of a volume in each.

For turning a leg into months, days or hours of its own time zone. Not for what can be delivered (cloud/assets) or prices.
Rules: times are UTC microseconds, half open; a local day has 23, 24 or 25 hours as its zone says, and a volume spread over
hours knows it; shares are whole quanta of the total, so that they sum to it to the last digit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal
from functools import lru_cache
from itertools import accumulate, pairwise
from math import gcd
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from cloud.trading.deals import DeliveryCalendar, Granularity, Leg

HOUR_US: Final = 3_600_000_000
PLACES: Final = 6  # decimal places of a share, more when the total has more
EXACT: Final = Context(prec=60)
MOST_INT64: Final = 2**62
MOST_KEPT: Final = 9_000  # buckets of a schedule that is kept for the next deal on it: a year of hours
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, order=True)
class Bucket:
    """A delivery period, from included, to not."""

    from_us: int
    to_us: int

    @property
    def hours(self) -> float:
        return (self.to_us - self.from_us) / HOUR_US


@dataclass(frozen=True, slots=True)
class Delivery:
    bucket: Bucket
    volume: Decimal


@dataclass(frozen=True, slots=True)
class Strip:
    """The same as deliveries, as columns: `quanta` (B,) whole numbers, int64 or Python's where those are too small, each 10^-places."""

    buckets: tuple[Bucket, ...]
    quanta: NDArray[Any]
    places: int


def buckets(first: date, last: date, granularity: Granularity, zone: str, day_begins: time = time(0)) -> tuple[Bucket, ...]:
    """Buckets from the first to the last day, both included, in order and without gaps.

    A month is cut off where the period begins or ends inside it. day_begins: local time at which a delivery day begins
    (06:00 for gas). Raises ValueError for an unknown zone or an end before the start.
    """
    if last < first:
        raise ValueError(f"delivery ends {last}, before it begins {first}")
    most = ((last - first).days + 1) * (24 if granularity is Granularity.HOUR else 1)
    return (_buckets if most <= MOST_KEPT else _buckets.__wrapped__)(first, last, granularity, zone, day_begins)


@lru_cache(maxsize=128)
def _buckets(first: date, last: date, granularity: Granularity, zone: str, day_begins: time) -> tuple[Bucket, ...]:
    days = [day for year in range(first.year, last.year + 1) for day in _days_of(year, zone, day_begins)]
    start = first.toordinal() - date(first.year, 1, 1).toordinal()
    chosen = days[start : start + (last - first).days + 1]
    if granularity is Granularity.DAY:
        return tuple(chosen)
    if granularity is Granularity.HOUR:
        edges = list(range(chosen[0].from_us, chosen[-1].to_us + 1, HOUR_US))
    else:
        firsts = [day.from_us for day, at in zip(chosen, range(first.toordinal(), last.toordinal() + 1), strict=True) if _begins(at)]
        edges = [chosen[0].from_us, *(edge for edge in firsts if edge > chosen[0].from_us), chosen[-1].to_us]
    return tuple(Bucket(start, end) for start, end in pairwise(edges))


def _begins(ordinal: int) -> bool:
    return date.fromordinal(ordinal).day == 1


@lru_cache(maxsize=512)
def _days_of(year: int, zone: str, day_begins: time) -> tuple[Bucket, ...]:
    """Every delivery day of a year."""
    try:
        place = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"time zone {zone!r} is not known") from error
    whole = (date(year + 1, 1, 1) - date(year, 1, 1)).days
    edges = [_us(datetime.combine(date(year, 1, 1) + timedelta(days=count), day_begins, place)) for count in range(whole + 1)]
    return tuple(Bucket(start, end) for start, end in pairwise(edges))


def spread(total: Decimal, weights: Sequence[int]) -> tuple[Decimal, ...]:
    """The total cut in proportion to whole weights, exactly: shares sum to the total, and none is off by a quantum or more.

    Cumulative shares are rounded down and subtracted, in integers. Raises ValueError for weights that are negative or all zero.
    """
    quanta, places = _cut(total, _reached(weights))
    return tuple(Decimal(share).scaleb(-places, EXACT) for share in quanta.tolist())


def _cut(total: Decimal, reached: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """(whole shares, their decimal places) of the total by cumulative weights, first 0, last all of it."""
    exponent = total.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"a volume is a finite number, found {total}")
    places = max(PLACES, -exponent)
    quanta, whole = int(total.scaleb(places, EXACT)), int(reached[-1])
    if abs(quanta) * whole >= MOST_INT64:
        reached = reached.astype(object)
    return np.diff(quanta * reached // whole), places


def _reached(weights: Sequence[int]) -> NDArray[Any]:
    """Cumulative weights in their lowest terms, from 0 on; read-only."""
    if not weights or min(weights) < 0 or sum(weights) == 0:
        raise ValueError("a volume needs at least one weight above zero and none below")
    divisor = gcd(*weights)
    column = np.array(list(accumulate((weight // divisor for weight in weights), initial=0)), dtype=object)
    reached = column.astype(np.int64) if column[-1] < MOST_INT64 else column
    reached.setflags(write=False)
    return reached


def strip(leg: Leg, calendar: DeliveryCalendar | None = None, day_begins: time = time(0)) -> Strip:
    """The leg's volume by bucket of its granularity, in proportion to duration; closed days of the calendar get none."""
    periods = buckets(leg.first, leg.last, leg.granularity, leg.zone, day_begins)
    opening = _opening if len(periods) <= MOST_KEPT else _opening.__wrapped__
    closed = calendar.closed if calendar else frozenset()
    return Strip(periods, *_cut(leg.volume.value, opening(leg.first, leg.last, leg.granularity, leg.zone, day_begins, closed)))


@lru_cache(maxsize=128)
def _opening(first: date, last: date, granularity: Granularity, zone: str, day_begins: time, closed: frozenset[date]) -> NDArray[Any]:
    """Cumulative open time of the buckets."""
    periods = buckets(first, last, granularity, zone, day_begins)
    shut = [buckets(day, day, Granularity.DAY, zone, day_begins)[0] for day in sorted(closed) if first <= day <= last]
    return _reached([bucket.to_us - bucket.from_us - (_overlap(bucket, shut) if shut else 0) for bucket in periods])


def deliveries(leg: Leg, calendar: DeliveryCalendar | None = None, day_begins: time = time(0)) -> tuple[Delivery, ...]:
    """The strip of the leg, each bucket with its volume."""
    found = strip(leg, calendar, day_begins)
    volumes = (Decimal(share).scaleb(-found.places, EXACT) for share in found.quanta.tolist())
    return tuple(map(Delivery, found.buckets, volumes))


def cascade(delivery: Delivery, into: Sequence[Bucket]) -> tuple[Delivery, ...]:
    """One delivery cut into finer buckets that cover it exactly; the volumes sum to its volume.

    Raises ValueError when the buckets leave a gap, overlap or reach outside.
    """
    edges = [delivery.bucket.from_us, *(bucket.to_us for bucket in into)]
    if [bucket.from_us for bucket in into] != edges[:-1] or edges[-1] != delivery.bucket.to_us:
        raise ValueError(f"the buckets do not cover {delivery.bucket} exactly")
    return tuple(map(Delivery, into, spread(delivery.volume, [bucket.to_us - bucket.from_us for bucket in into])))


def _overlap(bucket: Bucket, others: Sequence[Bucket]) -> int:
    return sum(max(0, min(bucket.to_us, other.to_us) - max(bucket.from_us, other.from_us)) for other in others)


def _us(when: datetime) -> int:
    """Whole microseconds since the epoch, without a float in between."""
    return (when.astimezone(UTC) - EPOCH) // timedelta(microseconds=1)
