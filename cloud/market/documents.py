"""Quotes as JSON: the same value back from the same bytes, and the digest by which evidence names it.

Not for feeds (`feeds`) or answers that show curves. A price is a text, a time is microseconds since 1970 UTC.
"""

from collections.abc import Mapping
from typing import Any, Final

from cloud import document
from cloud.document import DocumentError, Fields
from cloud.market.errors import MarketError
from cloud.market.periods import Period
from cloud.market.quotes import Profile, Quote

COLUMNS: Final = ("product", "place", "start_us", "end_us", "price", "currency", "unit", "as_of_us", "profile")


def quote_json(quote: Quote) -> dict[str, Any]:
    return {
        "product": quote.product,
        "place": quote.place,
        "start_us": quote.period.start_us,
        "end_us": quote.period.end_us,
        "price": str(quote.price),
        "currency": quote.currency,
        "unit": quote.unit,
        "as_of_us": quote.as_of_us,
        "profile": quote.profile.value,
    }


def read_quote(fields: Fields) -> Quote:
    """DocumentError names what is wrong. `profile` may be left out: base."""
    product, place = fields.text("product"), fields.text("place")
    start_us, end_us = fields.time_us("start_us"), fields.time_us("end_us")
    price, currency, unit = fields.decimal("price"), fields.text("currency"), fields.text("unit")
    as_of_us, profile = fields.time_us("as_of_us"), fields.choice("profile", Profile, Profile.BASE)
    fields.done()
    try:
        return Quote(product, place, Period(start_us, end_us), price, currency, unit, as_of_us, profile)
    except MarketError as error:
        raise DocumentError(f"{fields.where}: {error}") from error


def encode_quote(quote: Quote) -> bytes:
    return document.encode(quote_json(quote))


def decode_quote(data: bytes | str) -> Quote:
    return read_quote(Fields(document.parse(data), "quote"))


def schema() -> Mapping[str, Any]:
    """The form of a quote for OpenAPI."""
    text = {"type": "string", "minLength": 1, "maxLength": document.TEXT_LENGTH}
    time = {"type": "integer", "minimum": document.EARLIEST_US, "maximum": document.LATEST_US, "description": "microseconds since 1970 UTC"}
    properties: dict[str, Any] = dict.fromkeys(("product", "place", "unit"), text) | dict.fromkeys(("start_us", "end_us", "as_of_us"), time)
    properties["price"] = {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$", "maxLength": document.DIGITS, "examples": ["75.50"]}
    properties["currency"] = {"type": "string", "pattern": "^[A-Z]{3}$"}
    properties["profile"] = {"type": "string", "enum": [profile.value for profile in Profile], "default": Profile.BASE.value}
    return {
        "type": "object",
        "required": [name for name in COLUMNS if name != "profile"],
        "properties": properties,
        "additionalProperties": False,
    }
