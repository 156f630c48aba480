"""The forms of deals and calendars for OpenAPI. What decides is `documents`: these say the same to readers of the interface."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from cloud import document
from cloud.trading.deals import Exercise, Granularity, Kind, Right, ShortfallRule, Side
from cloud.trading.documents import MOST_LEGS, MOST_VERSIONS


def deals() -> Mapping[str, Any]:
    """The form of one deal or a list of them, for OpenAPI."""
    return {"oneOf": [_DEAL, {"type": "array", "items": _DEAL}]}


def calendars() -> Mapping[str, Any]:
    closed = {"type": "array", "items": _DAY}
    return {"type": "array", "items": _object({"product": _TEXT, "place": _TEXT, "first": _DAY, "last": _DAY, "closed": closed}, "closed")}


def _object(properties: Mapping[str, Any], *optional: str) -> dict[str, Any]:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "required": required, "properties": dict(properties), "additionalProperties": False}


def _names(kind: type[Enum]) -> dict[str, Any]:
    return {"type": "string", "enum": [option.value for option in kind]}


_TEXT: Final = {"type": "string", "minLength": 1, "maxLength": document.TEXT_LENGTH}
_DAY: Final = {"type": "string", "format": "date"}
_NUMBER: Final = {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$", "maxLength": document.DIGITS, "examples": ["1000.00"]}
_QUANTITY: Final = _object({"value": _NUMBER, "unit": _TEXT})
_PRICE: Final = _object({"value": _NUMBER, "currency": {"type": "string", "pattern": "^[A-Z]{3}$"}, "unit": _TEXT})
_LEG: Final = _object(
    {
        "side": _names(Side),
        "product": _TEXT,
        "place": _TEXT,
        "volume": _QUANTITY,
        "first": _DAY,
        "last": _DAY,
        "price": {"oneOf": [_object({"fixed": _PRICE}), _object({"index": _TEXT, "differential": _PRICE})]},
        "physical": {"type": "boolean", "default": True},
        "granularity": _names(Granularity),
        "zone": {"type": "string", "default": "UTC"},
    },
    *("physical", "granularity", "zone"),
)
_TERMS: Final = _object(
    {
        **dict.fromkeys(("dcq", "acq", "cap"), _QUANTITY),
        **dict.fromkeys(("take_or_pay", "penalty"), _NUMBER),
        "shortfall": _names(ShortfallRule),
        "fee": _PRICE,
        "force_majeure": {"type": "boolean"},
    },
    *("dcq", "acq", "cap", "take_or_pay", "penalty", "shortfall", "fee", "force_majeure"),
)
_OPTION: Final = _object({"right": _names(Right), "exercise": _names(Exercise), "strike": _PRICE, "expiry": _DAY, "premium": _PRICE})
_DEAL: Final = _object(
    {
        "id": _TEXT,
        "version": {"type": "integer", "minimum": 1, "maximum": MOST_VERSIONS},
        "known_us": {"type": "integer", "minimum": document.EARLIEST_US, "maximum": document.LATEST_US},
        "book": _TEXT,
        "counterparty": _TEXT,
        "kind": _names(Kind),
        "legs": {"type": "array", "items": _LEG, "minItems": 1, "maxItems": MOST_LEGS},
        "terms": _TERMS,
        "option": _OPTION,
        "cancelled": {"type": "boolean", "default": False},
    },
    *("terms", "option", "cancelled"),
)
