"""Deals and a profile for tests of what rules are told of deals."""

from datetime import date
from decimal import Decimal
from typing import Any

from cloud.compliance.deal_facts import Booked, View
from cloud.compliance.profile import parse_profile
from cloud.trading.deals import Deal, Exercise, FixedPrice, IndexPrice, Kind, Leg, OptionTerms, Price, Quantity, Right, Side

OWN, ACME = "213800KUD8LAJWSQ9D15", "54930084UKLVMY22DS16"
FRIDAY_US = 1_794_571_200_000_000  # 2026-11-13T12:00Z
DAY_US = 86_400_000_000
PROFILE = f"""
[participant]
name = "Example Energy"
lei = "{OWN}"
acer_code = "T1241247G.EU"
party = "NFC-"
[trading]
investment_firm = false
holidays = [2026-11-16]
[[product]]
name = "gas"
place = "TTF"
commodity = "gas"
eu_delivery = true
market = "bilateral"
[[product]]
name = "power"
place = "DE"
commodity = "electricity"
eu_delivery = true
market = "organised"
venue = "XEER"
[[product]]
name = "WTI"
place = "Cushing"
commodity = "oil"
eu_delivery = false
[[counterparty]]
name = "Acme"
lei = "{ACME}"
intragroup = false
"""
VIEW = View(parse_profile(PROFILE))
EUR = Price(Decimal("30.5"), "EUR", "MWh")


def leg(product: str = "gas", place: str = "TTF", side: Side = Side.SELL, **changes: Any) -> Leg:
    given: dict[str, Any] = {"volume": Quantity(Decimal(1000), "MWh"), "first": date(2027, 1, 1), "last": date(2027, 1, 31)}
    return Leg(side, product, place, **{**given, "price": FixedPrice(EUR), **changes})


def booked(kind: Kind = Kind.FORWARD, *legs: Leg, first_us: int = FRIDAY_US, **changes: Any) -> Booked:
    given = {"id": "D-1", "version": 1, "known_us": first_us, "book": "north", "counterparty": "Acme", "kind": kind}
    return Booked(Deal(**{**given, "legs": legs or (leg(),), **changes}), first_us)


INDEXED = leg(price=IndexPrice("TTF", EUR))
OPTION = OptionTerms(Right.CALL, Exercise.EUROPEAN, EUR, date(2026, 12, 31), EUR)
