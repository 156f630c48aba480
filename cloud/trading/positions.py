"""Net volume by book, product, place and delivery bucket, in exact decimals, with expected production beside the deals.

For what we hold. Not for money: exposures and P&L are cloud/risk's. Rules: plus is long; the sum over buckets equals the
sum of deal volumes to the last digit and does not depend on the order of deals; one unit per book, product and place, a leg
in another unit is a failure given back beside the rest; `as_float64` is the only crossing from booked to estimated numbers.
Legs on one schedule are added up as columns of whole numbers: a thousand deals by day and year are netted in a tenth of a second.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cloud.trading.deals import Calendars, Cause, Deal, Fault, Granularity, Leg, Side
from cloud.trading.schedules import EXACT, MOST_INT64, Bucket, Strip, buckets, deliveries, strip


@dataclass(frozen=True, slots=True, order=True)
class Key:
    book: str
    product: str
    place: str
    bucket: Bucket


@dataclass(frozen=True, slots=True)
class Line:
    """One signed volume: plus = bought or produced. expected = production foreseen, not agreed."""

    key: Key
    volume: Decimal
    unit: str
    expected: bool = False


@dataclass(frozen=True, slots=True)
class Position:
    """bought, sold and expected are not negative; net = bought - sold; open = net + expected production."""

    key: Key
    unit: str
    bought: Decimal
    sold: Decimal
    expected: Decimal
    net: Decimal
    open: Decimal


@dataclass(frozen=True, slots=True)
class Positions:
    rows: tuple[Position, ...]  # ordered by key
    faults: tuple[Fault, ...]


def lines(deal: Deal, calendars: Calendars | None = None) -> tuple[Line, ...]:
    """Signed volumes of the physical legs of a deal by bucket. An option is no volume before it is exercised."""
    if deal.option is not None:
        return ()
    return tuple(line for leg in deal.legs if leg.physical for line in _leg_lines(deal.book, leg, calendars or {}))


def net(
    deals: Iterable[Deal], production: Iterable[Line] = (), units: dict[str, str] | None = None, calendars: Calendars | None = None
) -> Positions:
    """Positions of all deals and of expected production (lines with expected=True).

    units: unit of each product where one is prescribed; otherwise the first line of a book, product and place decides. A deal with a
    line in another unit is left out as a whole and listed with the cause; so is a deal whose period or time zone is impossible.
    calendars: closed days in them get no volume.
    """
    tally = _Tally(units or {}, calendars or {})
    for line in production:
        tally.add_line(line)
    faults = [fault for deal in deals if (fault := tally.add_deal(deal))]
    with localcontext(EXACT):
        return Positions(tally.rows(), tuple(faults))


def as_float64(values: Iterable[Decimal]) -> NDArray[np.float64]:
    """Booked numbers as statistics, shape (n,): the one crossing. Raises ValueError for what is not finite."""
    array = np.fromiter((float(value) for value in values), np.float64)
    if not np.isfinite(array).all():
        raise ValueError("a booked number is not finite or too large for float64")
    return array


def _leg_lines(book: str, leg: Leg, calendars: Calendars) -> Iterable[Line]:
    for item in deliveries(leg, calendars.get((leg.product, leg.place))):
        volume = item.volume if leg.side is Side.BUY else -item.volume
        yield Line(Key(book, leg.product, leg.place, item.bucket), volume, leg.volume.unit)


_Market = tuple[str, str, str]  # book, product, place


@dataclass(slots=True)
class _Column:
    """Volumes on one schedule, in quanta of 10^-places; `most` bounds every sum. Days of any period share one column, which grows."""

    market: _Market
    first: date
    buckets: tuple[Bucket, ...]
    places: int
    quanta: NDArray[Any]
    held: NDArray[np.bool_]  # where anything was added, be it zero
    most: int = 0

    def add(self, leg: Leg, found: Strip) -> None:
        self.most += abs(int(found.quanta.sum()))
        if self.most >= MOST_INT64:
            self.quanta = self.quanta.astype(object)
        if leg.granularity is Granularity.DAY:
            self._reach(leg)
        start = (leg.first - self.first).days if leg.granularity is Granularity.DAY else 0
        here = slice(start, start + len(found.quanta))
        self.quanta[here] += found.quanta.astype(self.quanta.dtype)
        self.held[here] = True

    def _reach(self, leg: Leg) -> None:
        """Grow to the days of the leg."""
        last = self.first + timedelta(days=len(self.buckets) - 1)
        if self.first <= leg.first and leg.last <= last:
            return
        first = min(self.first, leg.first)
        here = slice((self.first - first).days, (self.first - first).days + len(self.buckets))
        self.buckets = buckets(first, max(last, leg.last), leg.granularity, leg.zone)
        quanta, held = np.zeros(len(self.buckets), self.quanta.dtype), np.zeros(len(self.buckets), np.bool_)
        quanta[here], held[here] = self.quanta, self.held
        self.first, self.quanta, self.held = first, quanta, held


class _Tally:
    """Everything added so far: legs as columns by schedule, lines by key."""

    def __init__(self, units: Mapping[str, str], calendars: Calendars) -> None:
        self._prescribed, self._calendars = units, calendars
        self._units: dict[_Market, str] = {}
        self._columns: dict[tuple[object, ...], _Column] = {}
        self._lines: list[Line] = []

    def add_line(self, line: Line) -> None:
        """ValueError for another unit than that of the market."""
        market = (line.key.book, line.key.product, line.key.place)
        if self._units.setdefault(market, line.unit) != line.unit:
            raise ValueError(f"{line.key.product} at {line.key.place}: expected {self._units[market]}, found {line.unit}")
        self._lines.append(line)

    def add_deal(self, deal: Deal) -> Fault | None:
        """Nothing of a deal with a fault is added."""
        legs = [leg for leg in deal.legs if leg.physical] if deal.option is None else []
        try:
            strips = [strip(leg, self._calendars.get((leg.product, leg.place))) for leg in legs]
        except ValueError as error:
            return Fault(deal.id, deal.version, Cause.OUTSIDE_CALENDAR, str(error))
        seen: dict[_Market, str] = {}
        for leg in legs:
            market = (deal.book, leg.product, leg.place)
            wanted = self._prescribed.get(leg.product) or self._units.get(market) or seen.setdefault(market, leg.volume.unit)
            if leg.volume.unit != wanted:
                return Fault(deal.id, deal.version, Cause.UNIT_MISMATCH, f"{leg.product}: expected {wanted}, found {leg.volume.unit}")
        for leg, found in zip(legs, strips, strict=True):
            self._add_strip((deal.book, leg.product, leg.place), leg, found)
        return None

    def _add_strip(self, market: _Market, leg: Leg, found: Strip) -> None:
        self._units.setdefault(market, leg.volume.unit)
        period = () if leg.granularity is Granularity.DAY else (leg.first, leg.last)
        schedule = (*market, leg.side, leg.granularity, leg.zone, found.places, *period)
        column = self._columns.get(schedule)
        if column is None:
            size = len(found.buckets)
            column = _Column(market, leg.first, found.buckets, found.places, np.zeros(size, np.int64), np.zeros(size, np.bool_))
            self._columns[schedule] = column
        column.add(leg, found)

    def rows(self) -> tuple[Position, ...]:
        """Ordered by key. In a context that is exact."""
        sums: dict[Key, dict[str, Decimal]] = {}
        for schedule, column in self._columns.items():
            part = "bought" if schedule[3] is Side.BUY else "sold"
            for at in np.flatnonzero(column.held).tolist():
                _count(sums, Key(*column.market, column.buckets[at]), part, Decimal(int(column.quanta[at])).scaleb(-column.places))
        for line in self._lines:
            part = "expected" if line.expected else "sold" if line.volume < 0 else "bought"
            _count(sums, line.key, part, abs(line.volume) if part == "sold" else line.volume)
        return tuple(_position(key, self._units[key.book, key.product, key.place], sums[key]) for key in sorted(sums))


def _count(sums: dict[Key, dict[str, Decimal]], key: Key, part: str, volume: Decimal) -> None:
    held = sums.setdefault(key, {})
    held[part] = held.get(part, Decimal(0)) + volume


def _position(key: Key, unit: str, sums: Mapping[str, Decimal]) -> Position:
    bought, sold, expected = (sums.get(part, Decimal(0)) for part in ("bought", "sold", "expected"))
    return Position(key, unit, bought, sold, expected, bought - sold, bought - sold + expected)
