"""Scheduled volume beyond what a contract allows: more than DCQ or cap on a day, more than ACQ in a contract year.

For the desk to see before the operator does. Not a reason to refuse a deal, and no money. Rules: whatever the granularity, a leg counts by
local day, spread over open time; the legs of one side count together; a contract year begins at the deal's first day and each anniversary.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from cloud.trading.deals import Calendars, Deal, Granularity, Quantity, Side
from cloud.trading.schedules import EXACT, strip


class Entitlement(StrEnum):
    DCQ = "dcq"
    CAP = "cap"
    ACQ = "acq"


@dataclass(frozen=True, slots=True)
class Excess:
    """From first to last day `scheduled` is above `allowed`: the most on one of these days, or the sum over the contract year."""

    deal_id: str
    version: int
    entitlement: Entitlement
    side: Side
    first: date
    last: date
    scheduled: Decimal
    allowed: Decimal
    unit: str


@dataclass(frozen=True, slots=True)
class _Days:
    """Volume by day from `first` on, whole numbers of 10^-places."""

    first: date
    quanta: NDArray[np.object_]
    places: int

    def volume(self, quanta: int) -> Decimal:
        return Decimal(quanta).scaleb(-self.places, EXACT)

    def day(self, index: int) -> date:
        return self.first + timedelta(days=index)


def excesses(deals: Iterable[Deal], calendars: Calendars) -> tuple[Excess, ...]:
    """Of all deals, in their order. A deal whose schedule is impossible has none here; netting names it."""
    return tuple(excess for deal in deals if not deal.cancelled for excess in _of_deal(deal, calendars))


def _of_deal(deal: Deal, calendars: Calendars) -> Iterator[Excess]:
    terms = deal.terms
    daily = [(kind, limit) for kind, limit in ((Entitlement.DCQ, terms.dcq), (Entitlement.CAP, terms.cap)) if limit is not None]
    if deal.option is not None or not (daily or terms.acq):
        return
    for side in Side:
        try:
            days = _scheduled(deal, side, calendars)
        except ValueError:
            continue
        if days is None:
            continue
        for kind, limit in daily:
            yield from _above_daily(deal, side, kind, limit, days)
        if terms.acq is not None:
            yield from _above_yearly(deal, side, terms.acq, days)


def _scheduled(deal: Deal, side: Side, calendars: Calendars) -> _Days | None:
    legs = [replace(leg, granularity=Granularity.DAY) for leg in deal.legs if leg.physical and leg.side is side]
    if not legs:
        return None
    strips = [strip(leg, calendars.get((leg.product, leg.place))) for leg in legs]
    first, last = min(leg.first for leg in legs), max(leg.last for leg in legs)
    places = max(found.places for found in strips)
    quanta = np.zeros((last - first).days + 1, dtype=object)
    for leg, found in zip(legs, strips, strict=True):
        start = (leg.first - first).days
        quanta[start : start + len(found.quanta)] += found.quanta.astype(object) * 10 ** (places - found.places)
    return _Days(first, quanta, places)


def _above_daily(deal: Deal, side: Side, kind: Entitlement, limit: Quantity, days: _Days) -> Iterator[Excess]:
    """One excess per run of days."""
    allowed = int(limit.value.scaleb(days.places, EXACT))  # rounded down: shares are whole
    above = np.flatnonzero((days.quanta > allowed).astype(np.bool_)).tolist()
    for _, run in groupby(enumerate(above), lambda pair: pair[1] - pair[0]):
        indices = [index for _, index in run]
        most = max(days.quanta[indices[0] : indices[-1] + 1])
        first, last = days.day(indices[0]), days.day(indices[-1])
        yield Excess(deal.id, deal.version, kind, side, first, last, days.volume(most), limit.value, limit.unit)


def _above_yearly(deal: Deal, side: Side, limit: Quantity, days: _Days) -> Iterator[Excess]:
    start, year = min(leg.first for leg in deal.legs if leg.physical), 0
    while _anniversary(start, year) <= days.day(len(days.quanta) - 1):
        first, after = max(_anniversary(start, year), days.first), _anniversary(start, year + 1)
        part = days.quanta[(first - days.first).days : max((after - days.first).days, 0)]
        total = days.volume(sum(part))
        if total > limit.value:
            last = min(after - timedelta(days=1), days.day(len(days.quanta) - 1))
            yield Excess(deal.id, deal.version, Entitlement.ACQ, side, first, last, total, limit.value, limit.unit)
        year += 1


def _anniversary(start: date, years: int) -> date:
    """The same day `years` later; 29 February becomes 1 March."""
    try:
        return start.replace(year=start.year + years)
    except ValueError:
        return date(start.year + years, 3, 1)
