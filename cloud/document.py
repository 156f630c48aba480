"""JSON documents of booked values: read strictly, written in one canonical form.

For what people and programs hand in as JSON and what is kept and hashed. Not for answers that only show something. Rules: a number of
money or volume is a text, so that no digit is lost; keys that nobody asked for, doubled keys and values of another kind are errors
that name their path; the canonical form has sorted keys and no spaces, and its SHA-256 names the document.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from difflib import get_close_matches
from enum import Enum
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from protocols.tomlfile import nearest

REQUIRED: Final[Any] = object()
TEXT_LENGTH: Final = 200
DIGITS: Final = 34  # of a number, as in IEEE 754 decimal128; before and after the point together
EARLIEST_US: Final = -2_208_988_800_000_000  # 1900-01-01 UTC
LATEST_US: Final = 7_258_118_400_000_000  # 2200-01-01 UTC
MOST_FAULTS: Final = 20  # named at once
_DECIMAL: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")
_KINDS: Final = {dict: "an object", list: "a list", str: "the text", bool: "the truth value", int: "the number", float: "the number"}

E = TypeVar("E", bound=Enum)
T = TypeVar("T")


class DocumentError(ValueError):
    """The document says something that cannot be meant; `faults` names each by its path."""

    def __init__(self, *faults: str) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def encode(document: Mapping[str, Any]) -> bytes:
    """The canonical bytes."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def parse(data: bytes | str) -> Any:
    """The JSON value, with doubled keys, NaN and infinities refused."""
    try:
        return json.loads(data, object_pairs_hook=_distinct, parse_constant=_no_constant)
    except DocumentError:
        raise
    except RecursionError as error:
        raise DocumentError("the JSON is nested too deeply") from error
    except ValueError as error:  # not JSON, not UTF-8, or a number of thousands of digits
        raise DocumentError(f"expected JSON: {error}") from error


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        keys = [key for key, _ in pairs]
        raise DocumentError(f'key "{next(key for key in keys if keys.count(key) > 1)}" stands twice in one object')
    return table


def _no_constant(name: str) -> Any:
    raise DocumentError(f"{name} is not a number that can be booked; leave the item out")


def is_zone(name: str) -> bool:
    """Whether it is a time zone, such as Europe/Berlin."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # unknown; no name of a zone; a folder of them
        return False
    return True


def read_each(values: Any, where: str, read: Callable[["Fields"], T], most: int) -> tuple[T, ...]:
    """Every item of a list. DocumentError names the faults of all items, up to MOST_FAULTS."""
    if not isinstance(values, list):
        raise DocumentError(f"{where}: expected a list, found {_shown(values)}")
    if len(values) > most:
        raise DocumentError(f"{where}: expected at most {most} items, found {len(values)}")
    found: list[T] = []
    faults: list[str] = []
    for index, value in enumerate(values):
        try:
            found.append(read(Fields(value, f"{where}[{index}]")))
        except DocumentError as error:
            faults += error.faults
            if len(faults) >= MOST_FAULTS:
                break
    if faults:
        raise DocumentError(*faults[:MOST_FAULTS])
    return tuple(found)


class Fields:
    """One object of the document. Read every key you know, then call `done`."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise DocumentError(f"{where}: expected an object, found {_shown(value)}")
        self._table: dict[str, Any] = value
        self._known: set[str] = set()
        self.where = where

    def __contains__(self, key: str) -> bool:
        return key in self._table

    def error(self, key: str, message: str) -> DocumentError:
        return DocumentError(f"{self.where}.{key}: {message}")

    def _value(self, key: str, kind: type, expected: str, default: Any) -> Any:
        self._known.add(key)
        if key not in self._table:
            if default is REQUIRED:
                unread = [found for found in self._table if found not in self._known]
                raise self.error(key, f"missing, expected {expected}{_misspelt(key, unread)}")
            return default
        value = self._table[key]
        if type(value) is not kind:
            raise self.error(key, f"expected {expected}, found {_shown(value)}")
        return value

    def text(self, key: str, default: Any = REQUIRED) -> str:
        value = self._value(key, str, "a text", default)
        if key in self._table and not (0 < len(value) <= TEXT_LENGTH and value.isprintable() and value == value.strip()):
            raise self.error(key, f"expected 1 to {TEXT_LENGTH} printable characters without spaces around, found {_shown(value)}")
        return str(value)

    def decimal(self, key: str, default: Any = REQUIRED) -> Decimal:
        value = self._value(key, str, 'a number as text, such as "75.5"', default)
        return value if key not in self._table else self._decimal(key, value)

    def _decimal(self, key: str, text: str) -> Decimal:
        if len(text) <= TEXT_LENGTH and _DECIMAL.fullmatch(text):
            number = Decimal(text)
            exponent = number.as_tuple().exponent
            if isinstance(exponent, int) and max(len(number.as_tuple().digits), -exponent, number.adjusted() + 1) <= DIGITS:
                return number
        raise self.error(key, f'expected a number as text of at most {DIGITS} digits, such as "75.5", found {_shown(text)}')

    def integer(self, key: str, low: int, high: int, default: Any = REQUIRED) -> int:
        value: int = self._value(key, int, f"a whole number from {low} to {high}", default)
        if key in self._table and not low <= value <= high:
            raise self.error(key, f"expected a whole number from {low} to {high}, found {_shown(value)}")
        return value

    def time_us(self, key: str, default: Any = REQUIRED) -> int:
        """Microseconds since 1970 UTC, in the years 1900 to 2199."""
        return self.integer(key, EARLIEST_US, LATEST_US, default)

    def flag(self, key: str, default: Any = REQUIRED) -> bool:
        value: bool = self._value(key, bool, "true or false", default)
        return value

    def day(self, key: str) -> date:
        return _day(self.text(key), f"{self.where}.{key}")

    def days(self, key: str, most: int) -> tuple[date, ...]:
        values = self._value(key, list, "a list of days", [])
        if len(values) > most:
            raise self.error(key, f"expected at most {most} days, found {len(values)}")
        return tuple(_day(value, f"{self.where}.{key}[{index}]") for index, value in enumerate(values))

    def choice(self, key: str, options: type[E], default: Any = REQUIRED) -> E:
        names = [str(option.value) for option in options]
        value = self._value(key, str, f"one of {', '.join(names)}", default)
        if key not in self._table:
            chosen: E = default
            return chosen
        if value not in names:
            raise self.error(key, f"expected one of {', '.join(names)}, found {_shown(value)}{nearest(value[:TEXT_LENGTH], names)}")
        return options(value)

    def fields(self, key: str) -> "Fields":
        return Fields(self._value(key, dict, "an object", REQUIRED), f"{self.where}.{key}")

    def optional(self, key: str, read: Callable[["Fields"], T]) -> T | None:
        """The object under the key as a value; None when the key is absent."""
        self._known.add(key)
        return read(self.fields(key)) if key in self._table else None

    def each(self, key: str, read: Callable[["Fields"], T], most: int) -> tuple[T, ...]:
        return read_each(self._value(key, list, "a list", REQUIRED), f"{self.where}.{key}", read, most)

    def done(self) -> None:
        """Raise for the first key that nobody asked for."""
        unknown = [key for key in self._table if key not in self._known]
        if unknown:
            known = ", ".join(sorted(self._known))
            key = unknown[0][:TEXT_LENGTH]
            raise DocumentError(f"{self.where}: unknown key {_shown(key)}{nearest(key, self._known)} Known here: {known}")


def _day(value: Any, where: str) -> date:
    try:
        day = date.fromisoformat(value)
        if day.isoformat() == value and 1900 <= day.year < 2200:
            return day
    except (TypeError, ValueError):
        pass
    raise DocumentError(f"{where}: expected a day of the years 1900 to 2199 as 2026-03-31, found {_shown(value)}")


def _misspelt(key: str, unread: Sequence[str]) -> str:
    close = get_close_matches(key, [found[:TEXT_LENGTH] for found in unread], n=1, cutoff=0.75)
    return f" (is {close[0]!a} a misspelling of it?)" if close else ""


def _shown(value: Any) -> str:
    """A value in a message: short, and in characters that every answer can carry."""
    if value is None:
        return "null"
    if isinstance(value, dict | list):
        return _KINDS[type(value)]
    text = ascii(value)
    return f"{_KINDS.get(type(value), 'the value')} {text if len(text) <= 60 else text[:57] + '...'}"
