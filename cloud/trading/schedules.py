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
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cloud.trading.deals import DeliveryCalendar, Granularity, Leg

HOUR_US: Final = 3_600_000_000
PLACES: Final = 6  # decimal places of a share, more when the total has more
EXACT: Final = Context(prec=60)
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


def buckets(first: date, last: date, granularity: Granularity, zone: str, day_begins: time = time(0)) -> tuple[Bucket, ...]:
    """Buckets from the first to the last day, both included, in order and without gaps.

    A month is cut off where the period begins or ends inside it. day_begins: local time at which a delivery day begins
    (06:00 for gas). Raises ValueError for an unknown zone or an end before the start.
    """
    if last < first:
        raise ValueError(f"delivery ends {last}, before it begins {first}")
    return _buckets(first, last, granularity, zone, day_begins)


@lru_cache(maxsize=256)
def _buckets(first: date, last: date, granularity: Granularity, zone: str, day_begins: time) -> tuple[Bucket, ...]:
    try:
        place = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"time zone {zone!r} is not known") from error
    days = [first + timedelta(days=count) for count in range((last - first).days + 2)]
    if granularity is Granularity.MONTH:
        days = [day for day in days if day.day == 1 or day in {days[0], days[-1]}]
    edges = [_us(datetime.combine(day, day_begins, place)) for day in days]
    if granularity is Granularity.HOUR:
        edges = list(range(edges[0], edges[-1] + 1, HOUR_US))
    return tuple(Bucket(start, end) for start, end in pairwise(edges))


def spread(total: Decimal, weights: Sequence[int]) -> tuple[Decimal, ...]:
    """The total cut in proportion to whole weights, exactly: shares sum to the total, and none is off by a quantum or more.

    Cumulative shares are rounded down and subtracted, in integers. Raises ValueError for weights that are negative or all zero.
    """
    if not weights or min(weights) < 0 or sum(weights) == 0:
        raise ValueError("a volume needs at least one weight above zero and none below")
    exponent = total.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"a volume is a finite number, found {total}")
    places = max(PLACES, -exponent)
    quanta = int(total.scaleb(places, EXACT))
    whole = sum(weights)
    reached = [quanta * weight // whole for weight in accumulate(weights, initial=0)]
    return tuple(Decimal(end - start).scaleb(-places, EXACT) for start, end in pairwise(reached))


def deliveries(leg: Leg, calendar: DeliveryCalendar | None = None, day_begins: time = time(0)) -> tuple[Delivery, ...]:
    """The leg's volume by bucket of its granularity, in proportion to duration; closed days of the calendar get none."""
    periods = buckets(leg.first, leg.last, leg.granularity, leg.zone, day_begins)
    weights = [bucket.to_us - bucket.from_us for bucket in periods]
    if calendar is not None and calendar.closed:
        closed = [buckets(day, day, Granularity.DAY, leg.zone, day_begins)[0] for day in sorted(calendar.closed)]
        weights = [weight - _overlap(bucket, closed) for bucket, weight in zip(periods, weights, strict=True)]
    return tuple(map(Delivery, periods, spread(leg.volume.value, weights)))


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
