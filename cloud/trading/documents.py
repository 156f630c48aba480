"""Deals, delivery calendars and positions as JSON: the same value back from the same bytes, every digit and every version kept.

Not for checking what a deal says against calendars (`deals`, `capture`): here only the form is read. Absent terms are left out of the
canonical form, everything else is written, so that one deal has one document.
"""

from functools import lru_cache
from typing import Any, Final

from cloud import document
from cloud.document import DocumentError, Fields
from cloud.trading.deals import (
    ContractTerms,
    Deal,
    DeliveryCalendar,
    Exercise,
    Fault,
    FixedPrice,
    Granularity,
    IndexPrice,
    Kind,
    Leg,
    OptionTerms,
    Price,
    Quantity,
    Right,
    ShortfallRule,
    Side,
)
from cloud.trading.entitlements import Excess
from cloud.trading.positions import Position

MOST_LEGS: Final = 100
MOST_DAYS: Final = 40 * 366  # of delivery of one leg, and closed days of one calendar
MOST_VERSIONS: Final = 1_000_000
_PLAIN: Final = ContractTerms()


def quantity_json(quantity: Quantity) -> dict[str, Any]:
    return {"value": str(quantity.value), "unit": quantity.unit}


def price_json(price: Price) -> dict[str, Any]:
    return {"value": str(price.value), "currency": price.currency, "unit": price.unit}


def leg_json(leg: Leg) -> dict[str, Any]:
    terms = leg.price
    agreed: dict[str, Any] = (
        {"fixed": price_json(terms.price)}
        if isinstance(terms, FixedPrice)
        else {"index": terms.index, "differential": price_json(terms.differential)}
    )
    return {
        "side": leg.side.value,
        "product": leg.product,
        "place": leg.place,
        "volume": quantity_json(leg.volume),
        "first": leg.first.isoformat(),
        "last": leg.last.isoformat(),
        "price": agreed,
        "physical": leg.physical,
        "granularity": leg.granularity.value,
        "zone": leg.zone,
    }


def terms_json(terms: ContractTerms) -> dict[str, Any]:
    quantities = {name: quantity for name in ("dcq", "acq", "cap") if (quantity := getattr(terms, name)) is not None}
    return {
        **{name: quantity_json(quantity) for name, quantity in quantities.items()},
        "take_or_pay": str(terms.take_or_pay),
        "shortfall": terms.shortfall.value,
        "penalty": str(terms.penalty),
        **({} if terms.fee is None else {"fee": price_json(terms.fee)}),
        "force_majeure": terms.force_majeure,
    }


def option_json(option: OptionTerms) -> dict[str, Any]:
    return {
        "right": option.right.value,
        "exercise": option.exercise.value,
        "strike": price_json(option.strike),
        "expiry": option.expiry.isoformat(),
        "premium": price_json(option.premium),
    }


def deal_json(deal: Deal) -> dict[str, Any]:
    return {
        "id": deal.id,
        "version": deal.version,
        "known_us": deal.known_us,
        "book": deal.book,
        "counterparty": deal.counterparty,
        "kind": deal.kind.value,
        "legs": [leg_json(leg) for leg in deal.legs],
        "terms": terms_json(deal.terms),
        **({} if deal.option is None else {"option": option_json(deal.option)}),
        "cancelled": deal.cancelled,
    }


def calendar_json(product: str, place: str, calendar: DeliveryCalendar) -> dict[str, Any]:
    return {
        "product": product,
        "place": place,
        "first": calendar.first.isoformat(),
        "last": calendar.last.isoformat(),
        "closed": [day.isoformat() for day in sorted(calendar.closed)],
    }


def position_json(position: Position) -> dict[str, Any]:
    """One row of positions; volumes are exact, as text."""
    key = position.key
    volumes = {name: str(getattr(position, name)) for name in ("bought", "sold", "expected", "net", "open")}
    bucket = {"start_us": key.bucket.from_us, "end_us": key.bucket.to_us}
    return {"book": key.book, "product": key.product, "place": key.place, **bucket, "unit": position.unit, **volumes}


def fault_json(fault: Fault) -> dict[str, Any]:
    return {"deal": fault.deal_id, "version": fault.version, "cause": fault.cause.value, "detail": fault.detail}


def excess_json(excess: Excess) -> dict[str, Any]:
    period = {"first": excess.first.isoformat(), "last": excess.last.isoformat()}
    volumes = {"scheduled": str(excess.scheduled), "allowed": str(excess.allowed), "unit": excess.unit}
    terms = {"entitlement": excess.entitlement.value, "side": excess.side.value}
    return {"deal": excess.deal_id, "version": excess.version, **terms, **period, **volumes}


def read_quantity(fields: Fields) -> Quantity:
    quantity = Quantity(fields.decimal("value"), fields.text("unit"))
    fields.done()
    return quantity


def read_price(fields: Fields) -> Price:
    price = Price(fields.decimal("value"), _currency(fields), fields.text("unit"))
    fields.done()
    return price


def read_leg(fields: Fields) -> Leg:
    leg = Leg(
        fields.choice("side", Side),
        fields.text("product"),
        fields.text("place"),
        read_quantity(fields.fields("volume")),
        fields.day("first"),
        fields.day("last"),
        _price_terms(fields.fields("price")),
        fields.flag("physical", True),
        fields.choice("granularity", Granularity, Granularity.DAY),
        _zone(fields),
    )
    fields.done()
    if (leg.last - leg.first).days >= MOST_DAYS:
        raise fields.error("last", f"expected at most {MOST_DAYS} days of delivery, found {leg.first} to {leg.last}")
    return leg


def read_terms(fields: Fields) -> ContractTerms:
    terms = ContractTerms(
        fields.optional("dcq", read_quantity),
        fields.optional("acq", read_quantity),
        fields.decimal("take_or_pay", _PLAIN.take_or_pay),
        fields.choice("shortfall", ShortfallRule, _PLAIN.shortfall),
        fields.decimal("penalty", _PLAIN.penalty),
        fields.optional("fee", read_price),
        fields.flag("force_majeure", _PLAIN.force_majeure),
        fields.optional("cap", read_quantity),
    )
    fields.done()
    return terms


def read_option(fields: Fields) -> OptionTerms:
    option = OptionTerms(
        fields.choice("right", Right),
        fields.choice("exercise", Exercise),
        read_price(fields.fields("strike")),
        fields.day("expiry"),
        read_price(fields.fields("premium")),
    )
    fields.done()
    return option


def read_deal(fields: Fields) -> Deal:
    """DocumentError names what is wrong with the form; `deals.faults_of` judges the content."""
    deal = Deal(
        fields.text("id"),
        fields.integer("version", 1, MOST_VERSIONS),
        fields.time_us("known_us"),
        fields.text("book"),
        fields.text("counterparty"),
        fields.choice("kind", Kind),
        fields.each("legs", read_leg, MOST_LEGS),
        fields.optional("terms", read_terms) or _PLAIN,
        fields.optional("option", read_option),
        fields.flag("cancelled", False),
    )
    fields.done()
    return deal


def read_calendar(fields: Fields) -> tuple[tuple[str, str], DeliveryCalendar]:
    """((product, place), calendar)."""
    product, place = fields.text("product"), fields.text("place")
    first, last, closed = fields.day("first"), fields.day("last"), fields.days("closed", MOST_DAYS)
    fields.done()
    if last < first:
        raise fields.error("last", f"expected a day not before {first}, found {last}")
    if outside := [day for day in closed if not first <= day <= last]:
        raise fields.error("closed", f"expected days from {first} to {last}, found {outside[0]}")
    return (product, place), DeliveryCalendar(first, last, frozenset(closed))


def encode_deal(deal: Deal) -> bytes:
    return document.encode(deal_json(deal))


@lru_cache(maxsize=32_768)
def decode_deal(text: bytes | str) -> Deal:
    """Deals never change, so each stored text is read once."""
    return read_deal(Fields(document.parse(text), "deal"))


def encode_calendar(product: str, place: str, calendar: DeliveryCalendar) -> bytes:
    return document.encode(calendar_json(product, place, calendar))


def decode_calendar(text: bytes | str) -> tuple[tuple[str, str], DeliveryCalendar]:
    return read_calendar(Fields(document.parse(text), "calendar"))


def _price_terms(fields: Fields) -> FixedPrice | IndexPrice:
    terms: FixedPrice | IndexPrice
    if "fixed" in fields:
        terms = FixedPrice(read_price(fields.fields("fixed")))
    elif "index" in fields:
        terms = IndexPrice(fields.text("index"), read_price(fields.fields("differential")))
    else:
        raise DocumentError(f'{fields.where}: expected "fixed", or "index" with "differential"')
    fields.done()
    return terms


def _currency(fields: Fields) -> str:
    code = fields.text("currency")
    if not (len(code) == 3 and code.isascii() and code.isalpha() and code.isupper()):
        raise fields.error("currency", f"expected an ISO 4217 code such as USD, found {code!r}")
    return code


def _zone(fields: Fields) -> str:
    zone = fields.text("zone", "UTC")
    if not document.is_zone(zone):
        raise fields.error("zone", f"expected a time zone such as Europe/Berlin, found {zone!r}")
    return zone
