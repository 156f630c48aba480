"""Deals as the risk run sees them: commitments on streams, and everything else as financial positions.

For turning the deals of a book into arrays on the run's buckets, once per change of the deals. Not for prices or P&L. A physical sale of
what one of our streams delivers is a commitment on it; any other physical leg is settled at the market like a financial one, since our
assets neither fill it nor fail it. What lies outside the run's horizon is left out and counted; what is wrong is refused and named.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cloud.risk.errors import Cause, Floats, RiskError
from cloud.risk.financial import Financial
from cloud.risk.supply_terms import Commitment, Refusal
from cloud.trading.deals import Calendars, Deal, FixedPrice, Granularity, Leg, Price, Quantity, Side, faults_of
from cloud.trading.positions import as_float64
from cloud.trading.schedules import buckets, strip


@dataclass(frozen=True, slots=True)
class Grid:
    """edges_us (b + 1): rising; period (b,): price period of each bucket; discount (b,): factors to the as-of."""

    edges_us: NDArray[np.int64]
    period: NDArray[np.int64]
    discount: Floats

    @property
    def periods(self) -> int:
        return int(self.period.max()) + 1

    def by_period(self, values: Floats) -> Floats:
        """Discounted sums (p,) of (b,)."""
        return np.asarray(np.bincount(self.period, values * self.discount, minlength=self.periods), np.float64)


@dataclass(frozen=True, slots=True)
class Outlet:
    """Where a stream's volume can be sold: name, product, place and unit of volume."""

    stream: str
    product: str
    place: str
    unit: str


@dataclass(frozen=True, slots=True)
class Obligations:
    """outside: deals without any delivery in the horizon."""

    commitments: tuple[Commitment, ...]
    positions: tuple[Financial, ...]
    refused: tuple[Refusal, ...]
    outside: tuple[str, ...]


def obligations(deals: Sequence[Deal], calendars: Calendars, outlets: Sequence[Outlet], currency: str, grid: Grid) -> Obligations:
    """Every deal in exactly one of the four lists, a deal of several legs as a whole."""
    at = {(outlet.product, outlet.place): outlet for outlet in outlets}
    commitments: list[Commitment] = []
    positions: list[Financial] = []
    refused: list[Refusal] = []
    outside: list[str] = []
    for deal in deals:
        try:
            sold, held = _legs(deal, calendars, at, currency, grid)
        except RiskError as error:
            refused.append(Refusal(deal.id, error.cause, str(error)))
            continue
        commitments += sold
        positions += held
        if not sold and not held:
            outside.append(deal.id)
    return Obligations(tuple(commitments), tuple(positions), tuple(refused), tuple(outside))


def _legs(
    deal: Deal, calendars: Calendars, outlets: Mapping[tuple[str, str], Outlet], currency: str, grid: Grid
) -> tuple[list[Commitment], list[Financial]]:
    if faults := faults_of(deal, calendars):
        raise RiskError(Cause.NOT_VALID, "; ".join(f"{fault.cause.value}: {fault.detail}" for fault in faults))
    sold, held = [], []
    for leg in deal.legs:
        agreed = _agreed(leg)
        if agreed.currency != currency:
            raise RiskError(Cause.NOT_VALID, f"deal {deal.id} is in {agreed.currency}, the book is valued in {currency}")
        volume = quantity(deal, leg, calendars, grid)
        if not volume.any():
            continue
        outlet = outlets.get((leg.product, leg.place)) if leg.physical and leg.side is Side.SELL and deal.option is None else None
        if outlet is None:
            held.append(_financial(deal, leg, volume, grid))
        elif outlet.unit != leg.volume.unit:
            raise RiskError(Cause.NOT_VALID, f"deal {deal.id} is in {leg.volume.unit}, stream {outlet.stream} delivers {outlet.unit}")
        else:
            sold.append(_commitment(deal, leg, outlet.stream, volume))
    return sold, held


def quantity(deal: Deal, leg: Leg, calendars: Calendars, grid: Grid) -> Floats:
    """Volume (b,) of a leg in the run's buckets; a delivery period that reaches over edges is spread evenly over its time.

    No more than DCQ and cap a day, and nothing beyond ACQ, is owed.
    """
    found = strip(leg, calendars.get((leg.product, leg.place)))
    reached = np.concatenate([[0.0], np.cumsum(np.asarray(found.quanta / 10.0**found.places, np.float64))])
    volume = np.diff(np.interp(grid.edges_us, _edges(leg.first, leg.last, leg.granularity, leg.zone), reached))
    days = np.diff(grid.edges_us) / 86_400e6
    for daily in (deal.terms.dcq, deal.terms.cap):
        if daily is not None:
            volume = np.minimum(volume, _number(daily) * days)
    if deal.terms.acq is not None:
        total = np.minimum(np.cumsum(volume), _number(deal.terms.acq))
        volume = np.diff(total, prepend=0.0)
    return np.asarray(volume)


@lru_cache(maxsize=256)
def _edges(first: date, last: date, granularity: Granularity, zone: str) -> Floats:
    """Of the delivery periods, in microseconds: most deals of a book share theirs."""
    found = buckets(first, last, granularity, zone)
    edges = np.array([found[0].from_us, *(bucket.to_us for bucket in found)], dtype=np.float64)
    edges.setflags(write=False)
    return edges


def _number(amount: Quantity) -> float:
    return float(as_float64([amount.value])[0])


def _agreed(leg: Leg) -> Price:
    return leg.price.price if isinstance(leg.price, FixedPrice) else leg.price.differential


def _commitment(deal: Deal, leg: Leg, stream: str, volume: Floats) -> Commitment:
    terms = deal.terms
    fee = terms.fee.value if terms.fee else Decimal(0)
    price, penalty, owed, share = as_float64([_agreed(leg).value, terms.penalty, fee, terms.take_or_pay])
    return Commitment(
        deal.id,
        stream,
        volume,
        float(price),
        not isinstance(leg.price, FixedPrice),
        float(penalty),
        float(owed),
        float(share),
        terms.shortfall,
        terms.force_majeure,
        leg.side,
    )


def _financial(deal: Deal, leg: Leg, volume: Floats, grid: Grid) -> Financial:
    """Fixed against the market, or an option; an index leg against the market leaves only its differential, which no price moves."""
    sign = 1.0 if leg.side is Side.BUY else -1.0
    signed = sign * grid.by_period(volume)
    price = float(as_float64([_agreed(leg).value])[0])
    if deal.option is not None:
        strike, premium = as_float64([deal.option.strike.value, deal.option.premium.value])
        paid = float(premium) * float(signed.sum())
        return Financial(deal.id, leg.product, signed, np.full(grid.periods, strike), deal.option.right, paid)
    if isinstance(leg.price, FixedPrice):
        return Financial(deal.id, leg.product, signed, np.full(grid.periods, price))
    nothing = np.zeros(grid.periods)
    return Financial(deal.id, leg.product, nothing, nothing, premium=price * float(signed.sum()))
