"""Contract terms as coefficients: the P&L of section 2.2(f) is linear in the share of a stream a contract has.

For one stream with delivered W, committed Q, price P, shortfall s = (Q - W)+ and surplus (W - Q)+, a bucket earns
    (d0 + d1 P) (Q - s) + e P (W - Q + s) + (s0 + s1 P) s - (x0 + x1 P) s fm - c V
fixed price K: d0 = K, d1 = 0; index-linked: d0 = differential, d1 = 1. A seller who buys back: s0 = d0 - fee, s1 = d1 - (1 + penalty);
one who only pays: s0 = -fee, s1 = -penalty. x: what force majeure takes away again (the whole shortfall term) of contracts that have it.
A buyer, whose W is the volume it can take: earns (P - price) on what it takes and owes take-or-pay x price on the rest; e = 0.

Contracts of a stream share its volume in proportion to what they commit in the bucket (pro rata curtailment), so a thousand of them
cost what one costs. Not here: scenarios, and checking what was agreed (cloud/trading/deals).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cloud.risk.errors import Cause, Floats, RiskError, finite
from cloud.trading.deals import Deal, DeliveryCalendar, FixedPrice, Leg, ShortfallRule, Side
from cloud.trading.positions import as_float64
from cloud.trading.schedules import Bucket, deliveries


@dataclass(frozen=True, slots=True)
class Stream:
    """Units that deliver together into one product at one place. cost: money per unit of produced volume."""

    name: str
    product: str
    units: tuple[int, ...]  # indices into PathSet.units
    cost: float = 0.0
    side: Side = Side.SELL


@dataclass(frozen=True, slots=True)
class Commitment:
    """A contract on a stream: quantity (b,) >= 0 per bucket; price is K, or the differential when index-linked (scalar or (b,))."""

    deal_id: str
    stream: str
    quantity: Floats
    price: Floats | float
    indexed: bool = False
    penalty: float = 0.0
    fee: float = 0.0
    take_or_pay: float = 0.0
    rule: ShortfallRule = ShortfallRule.BUY_BACK
    force_majeure: bool = False
    side: Side = Side.SELL


@dataclass(frozen=True, slots=True)
class Refusal:
    """A contract that is not in the result, and why."""

    deal_id: str
    cause: Cause
    detail: str


@dataclass(frozen=True, slots=True)
class Terms:
    """Coefficients of one stream; rows are contracts (n, b), q their quantities, and `surplus` is e."""

    deal_ids: tuple[str, ...]
    surplus: float
    q: Floats
    d0: Floats
    d1: Floats
    s0: Floats
    s1: Floats
    x0: Floats
    x1: Floats

    @property
    def share(self) -> Floats:
        """Share (n, b) of the stream each contract has; 0 where nothing is committed."""
        total = self.q.sum(axis=0)
        share: Floats = np.divide(self.q, total, out=np.zeros_like(self.q), where=total > 0)
        return share


def commitment(deal: Deal, leg: Leg, stream: str, grid: Sequence[Bucket], calendar: DeliveryCalendar | None = None) -> Commitment:
    """A physical leg on the run's grid of buckets. Raises RiskError when a delivery falls outside or is coarser than the grid."""
    index = {bucket: number for number, bucket in enumerate(grid)}
    found = deliveries(leg, calendar)
    missing = [item.bucket for item in found if item.bucket not in index]
    if missing:
        raise RiskError(Cause.SHAPES_DIFFER, f"deal {deal.id}: {missing[0]} is no bucket of the run ({len(missing)} of {len(found)})")
    quantity = np.zeros(len(grid))
    quantity[[index[item.bucket] for item in found]] = as_float64(item.volume for item in found)
    fixed = isinstance(leg.price, FixedPrice)
    agreed = leg.price.price if isinstance(leg.price, FixedPrice) else leg.price.differential
    terms = deal.terms
    price, penalty, fee, share = as_float64(
        [agreed.value, terms.penalty, terms.fee.value if terms.fee else agreed.value * 0, terms.take_or_pay]
    )
    return Commitment(
        deal.id,
        stream,
        quantity,
        float(price),
        not fixed,
        float(penalty),
        float(fee),
        float(share),
        terms.shortfall,
        terms.force_majeure,
        leg.side,
    )


def combine(stream: Stream, commitments: Sequence[Commitment], buckets: int) -> tuple[Terms, tuple[Refusal, ...]]:
    """The coefficients of every contract of the stream that can be valued, and the others with their cause."""
    rows = np.empty((7, len(commitments), buckets))
    names: list[str] = []
    refused = []
    for item in commitments:
        try:
            parts = _coefficients(stream, item, buckets)
        except RiskError as error:
            refused.append(Refusal(item.deal_id, error.cause, str(error)))
            continue
        for row, part in zip(rows, parts, strict=True):
            row[len(names)] = part
        names.append(item.deal_id)
    kept = rows[:, : len(names)]
    return Terms(tuple(names), 1.0 if stream.side is Side.SELL else 0.0, *kept), tuple(refused)


def unplaced(streams: Mapping[str, Stream], commitments: Sequence[Commitment]) -> tuple[Refusal, ...]:
    """Contracts on a stream that is not there."""
    missing = [item for item in commitments if item.stream not in streams]
    return tuple(Refusal(item.deal_id, Cause.NO_DATA, f"no stream {item.stream!r}") for item in missing)


def _coefficients(stream: Stream, item: Commitment, buckets: int) -> tuple[Floats | float, ...]:
    """q, d0, d1, s0, s1, x0, x1, each (b,) or one for all buckets."""
    quantity, price = finite("quantity", item.quantity), finite("price", item.price)
    terms = finite("penalty, fee, take-or-pay", [item.penalty, item.fee, item.take_or_pay])
    if quantity.shape != (buckets,) or price.shape not in {(), (buckets,)}:
        raise RiskError(Cause.SHAPES_DIFFER, f"quantity {quantity.shape}, price {price.shape}, {buckets} buckets")
    if item.side is not stream.side:
        raise RiskError(Cause.SHAPES_DIFFER, f"a {item.side} contract on the {stream.side} stream {stream.name}")
    if float(quantity.min()) < 0 or float(terms.min()) < 0 or item.take_or_pay > 1:
        raise RiskError(
            Cause.LEVEL_OUT_OF_RANGE, "quantity, penalty, fee >= 0, take-or-pay in 0 to 1", float(min(quantity.min(), terms.min()))
        )
    agreed, floating = price, float(item.indexed)
    parts: tuple[Floats | float, ...]
    if item.side is Side.BUY:
        parts = (-agreed, 1 - floating, -item.take_or_pay * agreed, -item.take_or_pay * floating)
    elif item.rule is ShortfallRule.BUY_BACK:
        parts = (agreed, floating, agreed - item.fee, floating - (1 + item.penalty))
    else:
        parts = (agreed, floating, -item.fee, -item.penalty)
    excused = float(item.force_majeure)
    return (quantity, *parts, parts[2] * excused, parts[3] * excused)
