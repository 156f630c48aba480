"""Facts as JSON: read strictly into the values of `facts` and `plant_facts`, written as the rules hash them.

One codec for every kind, driven by the fields of its class: a number is a text, a day 2026-03-31, a choice one of its words, a set or a
tuple a list, a nested value an object; null or an absent key is a fact that is not known. Keys nobody knows, values of another kind and
values that cannot be are DocumentErrors that name the key. `checked_on` and `checked_us`, until when one knows, may be left out: the reader
says it then. Not for where facts are kept: register_store.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, is_dataclass
from dataclasses import fields as fields_of
from datetime import date
from decimal import Decimal
from enum import Enum
from functools import cache, partial
from typing import Any, Final, get_args, get_origin, get_type_hints

from cloud.compliance.facts import FactsError
from cloud.compliance.trace import day_of, plain_facts
from cloud.document import DocumentError, Fields
from protocols.tomlfile import nearest

MOST_ITEMS: Final = 1_000  # of one list
_MOST: Final = 1 << 53  # a whole number that every reader of JSON keeps
CHECKED: Final = ("checked_on", "checked_us")
Read = Callable[[Any, str, str], Any]  # value, where it stands, its key


def write(facts: object) -> dict[str, Any]:
    """Every field; what is not known is null."""
    found: dict[str, Any] = plain_facts(facts)
    return found


def read(kind: type, value: Any, known_us: int, where: str = "facts") -> Any:
    """Facts of the kind. known_us: until when one knows, where the document does not say. Raises DocumentError."""
    fields = _fields(value, where)
    known = {name: one for name, one in fields.items() if one is not None}
    if "checked_on" in readers(kind):
        known.setdefault("checked_on", day_of(known_us).isoformat())
    if "checked_us" in readers(kind):
        known.setdefault("checked_us", known_us)
    return _made(kind, known, where)


def values(kind: type, value: Mapping[str, Any], where: str = "facts") -> dict[str, Any]:
    """What the document knows, by field, without making facts of it."""
    found = {}
    for name, one in _fields(value, where).items():
        if name not in readers(kind):
            known = ", ".join(readers(kind))
            raise DocumentError(f'{where}: unknown key "{name[:60]}"{nearest(name[:60], readers(kind))}; {kind.__name__} knows {known}')
        if one is not None:
            found[name] = readers(kind)[name](one, where, name)
    return found


def normal(kind: type, value: Mapping[str, Any], where: str = "facts") -> dict[str, Any]:
    """The document with what is known only, sets in order: so that the same facts have the same document."""
    return {name: plain_facts(one) for name, one in values(kind, value, where).items()}


def _made(kind: type, value: Mapping[str, Any], where: str) -> Any:
    found = values(kind, value, where)
    for one in fields_of(kind):
        if one.default is MISSING and one.name not in found:
            if type(None) not in get_args(get_type_hints(kind)[one.name]):
                raise DocumentError(f"{where}.{one.name}: missing; {kind.__name__} cannot be without it")
            found[one.name] = None
    try:
        return kind(**found)
    except FactsError as error:
        raise DocumentError(f"{where}.{error}") from error


def _fields(value: Any, where: str) -> Mapping[str, Any]:
    Fields(value, where)
    fields: Mapping[str, Any] = value
    return fields


@cache
def readers(kind: type) -> Mapping[str, Read]:
    """How each field is read."""
    return {name: _reader(hint, name) for name, hint in get_type_hints(kind).items()}


def _reader(hint: Any, name: str) -> Read:
    inner = [one for one in get_args(hint) if one is not type(None)]
    if type(None) in get_args(hint):
        return _reader(inner[0], name)
    if get_origin(hint) is tuple and get_args(hint)[-1] is not Ellipsis:
        return partial(_exactly, tuple(_reader(one, name) for one in get_args(hint)))
    if get_origin(hint) in (tuple, frozenset):
        return partial(_each, get_origin(hint), _reader(inner[0], name))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return lambda value, where, key: Fields({key: value}, where).choice(key, hint)
    if is_dataclass(hint):
        return lambda value, where, key: _made(hint, _fields(value, f"{where}.{key}"), f"{where}.{key}")  # type: ignore[arg-type]  # a class
    if hint is int and name.endswith("_us"):
        return lambda value, where, key: Fields({key: value}, where).time_us(key)
    return _PLAIN[hint]


_PLAIN: Final[Mapping[Any, Read]] = {
    bool: lambda value, where, key: Fields({key: value}, where).flag(key),
    int: lambda value, where, key: Fields({key: value}, where).integer(key, -_MOST, _MOST),
    str: lambda value, where, key: Fields({key: value}, where).text(key),
    Decimal: lambda value, where, key: Fields({key: value}, where).decimal(key),
    date: lambda value, where, key: Fields({key: value}, where).day(key),
}


def _items(value: Any, where: str, key: str, most: int) -> list[Any]:
    if not isinstance(value, list):
        raise DocumentError(f"{where}.{key}: expected a list, found {value!a:.60}")
    if len(value) > most:
        raise DocumentError(f"{where}.{key}: expected at most {most} items, found {len(value)}")
    return value


def _each(kind: Callable[[Any], Any], one: Read, value: Any, where: str, key: str) -> Any:
    items = _items(value, where, key, MOST_ITEMS)
    found = [one(item, f"{where}.{key}", str(at)) for at, item in enumerate(items)]
    if kind is frozenset and len(set(found)) != len(found):
        raise DocumentError(f"{where}.{key}: expected each once")
    return kind(found)


def _exactly(each: tuple[Read, ...], value: Any, where: str, key: str) -> Any:
    items = _items(value, where, key, len(each))
    if len(items) != len(each):
        raise DocumentError(f"{where}.{key}: expected {len(each)} items, found {len(items)}")
    return tuple(one(item, f"{where}.{key}", str(at)) for at, (one, item) in enumerate(zip(each, items, strict=True)))
