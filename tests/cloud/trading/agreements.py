"""Deals for tests: one good deal, to be changed where a test needs it."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from cloud.trading.deals import Deal, DeliveryCalendar, FixedPrice, Kind, Leg, Price, Quantity, Side

CALENDARS = {("gas", "TTF"): DeliveryCalendar(date(2026, 1, 1), date(2027, 12, 31))}
USD = Price(Decimal("75.5"), "USD", "MWh")


def leg(**changes: Any) -> Leg:
    plain = Leg(
        Side.SELL, "gas", "TTF", Quantity(Decimal(1000), "MWh"), date(2026, 3, 1), date(2026, 3, 31), FixedPrice(USD), zone="Europe/Berlin"
    )
    return replace(plain, **changes)


def deal(identity: str = "D1", **changes: Any) -> Deal:
    return replace(Deal(identity, 1, 1_000, "north", "Acme", Kind.FORWARD, (leg(),)), **changes)
