"""A deal: what we agreed with a counterparty, in one or more legs, as a chain of versions.

For capture, checking and asking "which deals did we know at that time". Not for delivery by period (schedules), for
netting (positions) or for any price or P&L (cloud/risk). Rules: prices, volumes and shares are Decimal and carry unit
and currency; volumes are never negative, the side says the direction; a version never changes, an amendment is the
next one; what is wrong with a deal is a list of faults with a named cause, given back beside the deals that are right.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    SPOT = "spot"
    FORWARD = "forward"
    FUTURE = "future"
    SWAP = "swap"
    OPTION = "option"


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"


class Right(StrEnum):
    CALL = "call"
    PUT = "put"


class Exercise(StrEnum):
    EUROPEAN = "european"
    AMERICAN = "american"


class Granularity(StrEnum):
    MONTH = "month"
    DAY = "day"
    HOUR = "hour"


class ShortfallRule(StrEnum):
    """What the seller owes for volume not delivered, unless force majeure excuses it."""

    BUY_BACK = "buy-back"  # replaces it at the market: gets the price, pays (1 + penalty share) x market + fee
    PENALTY = "penalty"  # is not paid, and pays penalty share x market + fee


class Cause(StrEnum):
    OUTSIDE_CALENDAR = "delivery outside the calendar"
    NO_CALENDAR = "no calendar for product and place"
    END_BEFORE_START = "end before start"
    UNIT_MISMATCH = "units do not match"
    CURRENCY_MISMATCH = "currencies do not match"
    NEGATIVE_VOLUME = "negative volume"
    NOT_FINITE = "not a finite number"
    SHARE_OUT_OF_RANGE = "share outside 0 to 1"
    NEGATIVE_PENALTY = "negative penalty"
    WRONG_LEGS = "legs do not fit the kind"
    OPTION_TERMS = "option terms missing or out of place"
    BROKEN_VERSIONS = "versions do not continue"


@dataclass(frozen=True, slots=True)
class Quantity:
    value: Decimal
    unit: str


@dataclass(frozen=True, slots=True)
class Price:
    """Currency per one unit of volume; may be negative."""

    value: Decimal
    currency: str
    unit: str


@dataclass(frozen=True, slots=True)
class FixedPrice:
    price: Price


@dataclass(frozen=True, slots=True)
class IndexPrice:
    """The index of the delivery period plus a differential."""

    index: str
    differential: Price


@dataclass(frozen=True, slots=True)
class ContractTerms:
    """Terms of physical delivery. Shares are fractions: 0.9 is 90 %.

    dcq, acq: contracted volume per day and per contract year. take_or_pay: share of the price the buyer owes for volume
    not taken. penalty: share of the market price owed by the seller on a shortfall, on top of the rule. fee: money per
    unit of shortfall. force_majeure: whether a declared event excuses a shortfall. cap: most that logistics move a day.
    """

    dcq: Quantity | None = None
    acq: Quantity | None = None
    take_or_pay: Decimal = Decimal(0)
    shortfall: ShortfallRule = ShortfallRule.BUY_BACK
    penalty: Decimal = Decimal(0)
    fee: Price | None = None
    force_majeure: bool = False
    cap: Quantity | None = None


@dataclass(frozen=True, slots=True)
class OptionTerms:
    right: Right
    exercise: Exercise
    strike: Price
    expiry: date
    premium: Price


@dataclass(frozen=True, slots=True)
class Leg:
    """One obligation. Delivery runs from first day to last day, both included, in the time zone of the place.

    volume is the total of the period. Physical legs deliver; financial legs only settle money on that volume.
    """

    side: Side
    product: str
    place: str
    volume: Quantity
    first: date
    last: date
    price: FixedPrice | IndexPrice
    physical: bool = True
    granularity: Granularity = Granularity.DAY
    zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Deal:
    id: str
    version: int  # 1, 2, ... without a hole
    known_us: int  # when this version was agreed or captured
    book: str
    counterparty: str
    kind: Kind
    legs: tuple[Leg, ...]
    terms: ContractTerms = ContractTerms()
    option: OptionTerms | None = None
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class DeliveryCalendar:
    """The days on which a product is delivered at a place."""

    first: date
    last: date
    closed: frozenset[date] = frozenset()

    def holds(self, first: date, last: date) -> bool:
        """Whether the period lies inside and its ends are open; closed days in between are simply without delivery."""
        return self.first <= first and last <= self.last and not {first, last} & self.closed


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one deal: cause for programs, detail for people."""

    deal_id: str
    version: int
    cause: Cause
    detail: str


@dataclass(frozen=True, slots=True)
class Checked:
    deals: tuple[Deal, ...]
    faults: tuple[Fault, ...]


Calendars = Mapping[tuple[str, str], DeliveryCalendar]  # by (product, place)

LEGS: Final[Mapping[Kind, tuple[int, int]]] = {  # how many legs a kind has, at least and at most
    Kind.SPOT: (1, 1),
    Kind.FORWARD: (1, 100),
    Kind.FUTURE: (1, 1),
    Kind.SWAP: (2, 100),
    Kind.OPTION: (1, 1),
}


def amended(deal: Deal, known_us: int, **changes: object) -> Deal:
    """The next version. Raises ValueError when it would be known before the version it follows, or changes id or version."""
    if known_us < deal.known_us:
        raise ValueError(f"deal {deal.id}: version {deal.version} is known at {deal.known_us} us, its amendment at {known_us} us")
    if changes.keys() & {"id", "version"}:
        raise ValueError(f"deal {deal.id}: an amendment keeps the id and counts the version itself")
    return replace(deal, version=deal.version + 1, known_us=known_us, **changes)  # type: ignore[arg-type]


def as_of(versions: Iterable[Deal], as_of_us: int) -> tuple[Deal, ...]:
    """The latest version of each deal known at as_of_us, without cancelled ones, ordered by id."""
    latest: dict[str, Deal] = {}
    for deal in versions:
        held = latest.get(deal.id)
        if deal.known_us <= as_of_us and (held is None or held.version < deal.version):
            latest[deal.id] = deal
    return tuple(latest[key] for key in sorted(latest) if not latest[key].cancelled)


def check(deals: Iterable[Deal], calendars: Calendars) -> Checked:
    """Deals that are right, in their order, and every fault of those that are not. Never raises for a deal."""
    right: list[Deal] = []
    faults: list[Fault] = []
    for deal in deals:
        found = faults_of(deal, calendars)
        faults.extend(found)
        if not found:
            right.append(deal)
    return Checked(tuple(right), tuple(faults))


def check_versions(versions: Iterable[Deal]) -> tuple[Fault, ...]:
    """Chains that do not begin at 1, have a hole or a double, or run backwards in time."""
    chains: dict[str, list[Deal]] = {}
    for deal in versions:
        chains.setdefault(deal.id, []).append(deal)
    faults = []
    for chain in chains.values():
        ordered = sorted(chain, key=lambda deal: deal.version)
        times = [deal.known_us for deal in ordered]
        if [deal.version for deal in ordered] != list(range(1, len(ordered) + 1)) or times != sorted(times):
            found = ", ".join(f"{deal.version} at {deal.known_us} us" for deal in ordered)
            faults.append(_fault(ordered[-1], Cause.BROKEN_VERSIONS, f"expected 1, 2, ... in order of time, found {found}"))
    return tuple(faults)


def faults_of(deal: Deal, calendars: Calendars) -> tuple[Fault, ...]:
    """Everything wrong with a deal by itself and against the calendars of its products and places."""
    numbers = _number_faults(deal)
    if numbers:
        return tuple(numbers)
    found = _shape_faults(deal) + _terms_faults(deal)
    for leg in deal.legs:
        found += _leg_faults(deal, leg, calendars)
    return tuple(found)


def _fault(deal: Deal, cause: Cause, detail: str) -> Fault:
    return Fault(deal.id, deal.version, cause, detail)


def _number_faults(deal: Deal) -> list[Fault]:
    """NaN and infinities first: nothing else can be compared with them."""
    terms, option = deal.terms, deal.option
    values = [terms.take_or_pay, terms.penalty]
    values += [item.value for item in (terms.dcq, terms.acq, terms.cap, terms.fee) if item is not None]
    values += [option.strike.value, option.premium.value] if option else []
    values += [value for leg in deal.legs for value in (leg.volume.value, _price(leg).value)]
    return [_fault(deal, Cause.NOT_FINITE, f"found {value}") for value in values if not value.is_finite()]


def _shape_faults(deal: Deal) -> list[Fault]:
    least, most = LEGS[deal.kind]
    found = []
    if not least <= len(deal.legs) <= most:
        found.append(_fault(deal, Cause.WRONG_LEGS, f"a {deal.kind} has {least} to {most} legs, found {len(deal.legs)}"))
    if deal.kind is Kind.SWAP and {leg.side for leg in deal.legs} != {Side.BUY, Side.SELL}:
        found.append(_fault(deal, Cause.WRONG_LEGS, "a swap has a leg on either side"))
    if (deal.kind is Kind.OPTION) != (deal.option is not None):
        found.append(_fault(deal, Cause.OPTION_TERMS, f"a {deal.kind} has {'no ' if deal.option is None else ''}option terms"))
    if deal.option and deal.legs and deal.option.expiry > deal.legs[0].last:
        found.append(_fault(deal, Cause.OPTION_TERMS, f"expires {deal.option.expiry}, after delivery ends {deal.legs[0].last}"))
    return found


def _terms_faults(deal: Deal) -> list[Fault]:
    terms = deal.terms
    found = []
    if not 0 <= terms.take_or_pay <= 1:
        found.append(_fault(deal, Cause.SHARE_OUT_OF_RANGE, f"take-or-pay {terms.take_or_pay}"))
    if terms.penalty < 0 or (terms.fee is not None and terms.fee.value < 0):
        found.append(_fault(deal, Cause.NEGATIVE_PENALTY, f"penalty {terms.penalty}, fee {terms.fee}"))
    for name, quantity in (("DCQ", terms.dcq), ("ACQ", terms.acq), ("cap", terms.cap)):
        if quantity is not None and quantity.value < 0:
            found.append(_fault(deal, Cause.NEGATIVE_VOLUME, f"{name} {quantity.value} {quantity.unit}"))
    return found


def _leg_faults(deal: Deal, leg: Leg, calendars: Calendars) -> list[Fault]:
    found = _unit_faults(deal, leg)
    if leg.volume.value < 0:
        found.append(_fault(deal, Cause.NEGATIVE_VOLUME, f"{leg.volume.value} {leg.volume.unit}; the side says the direction"))
    calendar = calendars.get((leg.product, leg.place))
    if leg.last < leg.first:
        found.append(_fault(deal, Cause.END_BEFORE_START, f"delivery {leg.first} to {leg.last}"))
    elif calendar is None:
        found.append(_fault(deal, Cause.NO_CALENDAR, f"{leg.product} at {leg.place}"))
    elif not calendar.holds(leg.first, leg.last):
        found.append(_fault(deal, Cause.OUTSIDE_CALENDAR, f"{leg.first} to {leg.last}, open {calendar.first} to {calendar.last}"))
    return found


def _unit_faults(deal: Deal, leg: Leg) -> list[Fault]:
    terms, option, agreed = deal.terms, deal.option, _price(leg)
    prices = [price for price in (agreed, terms.fee, option and option.strike, option and option.premium) if price]
    units = {price.unit for price in prices} | {item.unit for item in (terms.dcq, terms.acq, terms.cap) if item}
    found = []
    if units != {leg.volume.unit}:
        found.append(_fault(deal, Cause.UNIT_MISMATCH, f"volume in {leg.volume.unit}, terms in {', '.join(sorted(units))}"))
    if len({price.currency for price in prices}) > 1:
        found.append(_fault(deal, Cause.CURRENCY_MISMATCH, ", ".join(sorted({price.currency for price in prices}))))
    return found


def _price(leg: Leg) -> Price:
    return leg.price.price if isinstance(leg.price, FixedPrice) else leg.price.differential
