"""Net volume by book, product, place and delivery bucket, in exact decimals, with expected production beside the deals.

For what we hold. Not for money: exposures and P&L are cloud/risk's. Rules: plus is long; the sum over buckets equals the
sum of deal volumes to the last digit and does not depend on the order of deals; one unit per position, a leg in another
unit is a failure given back beside the rest; `as_float64` is the only crossing from booked to estimated numbers.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal, localcontext

import numpy as np
from numpy.typing import NDArray

from cloud.trading.deals import Calendars, Cause, Deal, Fault, Leg, Side
from cloud.trading.schedules import EXACT, Bucket, deliveries


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


@dataclass(slots=True)
class _Sums:
    unit: str
    bought: list[Decimal] = field(default_factory=list)
    sold: list[Decimal] = field(default_factory=list)
    expected: list[Decimal] = field(default_factory=list)


def lines(deal: Deal, calendars: Calendars | None = None) -> tuple[Line, ...]:
    """Signed volumes of the physical legs of a deal by bucket. An option is no volume before it is exercised."""
    if deal.option is not None:
        return ()
    return tuple(line for leg in deal.legs if leg.physical for line in _leg_lines(deal.book, leg, calendars or {}))


def net(
    deals: Iterable[Deal], production: Iterable[Line] = (), units: dict[str, str] | None = None, calendars: Calendars | None = None
) -> Positions:
    """Positions of all deals and of expected production (lines with expected=True).

    units: unit of each product where one is prescribed; otherwise the first line of a key decides. A deal with a line in
    another unit is left out as a whole and listed with the cause; so is a deal whose period or time zone is impossible.
    calendars: closed days in them get no volume.
    """
    sums: dict[Key, _Sums] = {}
    for line in production:
        _add(sums, line)
    faults: list[Fault] = []
    for deal in deals:
        found = _lines_or_fault(deal, sums, units or {}, calendars)
        if isinstance(found, Fault):
            faults.append(found)
        else:
            for line in found:
                _add(sums, line)
    with localcontext(EXACT):
        return Positions(tuple(_position(key, sums[key]) for key in sorted(sums)), tuple(faults))


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


def _lines_or_fault(deal: Deal, sums: dict[Key, _Sums], units: dict[str, str], calendars: Calendars | None) -> tuple[Line, ...] | Fault:
    try:
        found = lines(deal, calendars)
    except ValueError as error:
        return Fault(deal.id, deal.version, Cause.OUTSIDE_CALENDAR, str(error))
    seen: dict[Key, str] = {}
    for line in found:
        held = sums.get(line.key)
        wanted = units.get(line.key.product) or (held.unit if held else seen.setdefault(line.key, line.unit))
        if line.unit != wanted:
            return Fault(deal.id, deal.version, Cause.UNIT_MISMATCH, f"{line.key.product}: expected {wanted}, found {line.unit}")
    return found


def _add(sums: dict[Key, _Sums], line: Line) -> None:
    held = sums.setdefault(line.key, _Sums(line.unit))
    if held.unit != line.unit:
        raise ValueError(f"{line.key.product} at {line.key.place}: expected {held.unit}, found {line.unit}")
    if line.expected:
        held.expected.append(line.volume)
    elif line.volume < 0:
        held.sold.append(-line.volume)
    else:
        held.bought.append(line.volume)


def _position(key: Key, sums: _Sums) -> Position:
    bought, sold, expected = (sum(part, Decimal(0)) for part in (sums.bought, sums.sold, sums.expected))
    return Position(key, sums.unit, bought, sold, expected, bought - sold, bought - sold + expected)
