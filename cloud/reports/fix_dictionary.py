"""FIX 4.4 as its data dictionary has it: which fields a message may and must have, of which form and values, in which groups.

For the schema layer of `fix`. Not a session and not other versions: a message that begins otherwise is refused. The check ids end with the
reason for which a FIX session would reject the message (SessionRejectReason, field 373): FIX-S-1 is a required tag that is missing.
The dictionary is QuickFIX's, shipped unchanged with its licence.
"""

import gzip
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Final

from lxml import etree  # type: ignore[import-untyped]

from cloud.reports.xmlfile import Node

BEGIN: Final = "FIX.4.4"
_NUMBER, _TIME = r"-?\d+(\.\d*)?|-?\.\d+", r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{3})?|23:59:60(\.\d{3})?"
_DAY: Final = r"\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"
# Forms by type (FIX 4.4, volume 1, field data types); a type that is not here is any text.
FORMS: Final[Mapping[str, re.Pattern[str]]] = {
    **dict.fromkeys(("INT", "DAYOFMONTH"), re.compile(r"-?\d+")),
    **dict.fromkeys(("NUMINGROUP", "LENGTH", "SEQNUM"), re.compile(r"\d+")),
    **dict.fromkeys(("PRICE", "QTY", "AMT", "PERCENTAGE", "FLOAT", "PRICEOFFSET"), re.compile(_NUMBER)),
    "CHAR": re.compile(r"."),
    "BOOLEAN": re.compile(r"[YN]"),
    "CURRENCY": re.compile(r"[A-Z]{3}"),
    "COUNTRY": re.compile(r"[A-Z]{2}"),
    "UTCTIMESTAMP": re.compile(rf"{_DAY}-({_TIME})"),
    "UTCTIMEONLY": re.compile(_TIME),
    **dict.fromkeys(("UTCDATEONLY", "LOCALMKTDATE"), re.compile(_DAY)),
    "MONTHYEAR": re.compile(r"\d{6}(\d\d|w[1-5])?"),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """reason: SessionRejectReason."""

    reason: int
    tag: int
    message: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A field: its type, and the values it may have where they are a list."""

    name: str
    type: str
    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class Part:
    """Fields of a message or of one entry of a group: tag -> required, and groups by the tag that counts them; `first` opens an entry."""

    required: Mapping[int, bool]
    groups: Mapping[int, "Part"] = field(default_factory=dict)
    first: int = 0


@dataclass(frozen=True, slots=True)
class Dictionary:
    kinds: Mapping[int, Kind]
    header: Part
    trailer: Part
    messages: Mapping[str, Part]


Pair = tuple[int, str]


@cache
def fix44() -> Dictionary:
    data = gzip.decompress((resources.files("cloud.reports") / "schemas" / "FIX44.xml.gz").read_bytes())
    return parse(etree.fromstring(data))


def parse(root: Node) -> Dictionary:
    fields = root.find("fields")
    kinds = {
        int(one.get("number")): Kind(one.get("name"), one.get("type"), frozenset(value.get("enum") for value in one.findall("value")))
        for one in fields
    }
    tags = {kind.name: tag for tag, kind in kinds.items()}
    components = {one.get("name"): one for one in root.find("components")}

    def part(node: Node) -> Part:
        required: dict[int, bool] = {}
        groups: dict[int, Part] = {}
        for one, needed in members(node):
            tag = tags[one.get("name")]
            required[tag] = needed
            if one.tag == "group":
                groups[tag] = part(one)
        return Part(required, groups, next(iter(required), 0))

    def members(node: Node, all_needed: bool = True) -> Iterator[tuple[Node, bool]]:
        for one in node:
            needed = all_needed and one.get("required") == "Y"
            if one.tag == "component":
                yield from members(components[one.get("name")], needed)
            else:
                yield one, needed

    messages = {one.get("msgtype"): part(one) for one in root.find("messages")}
    return Dictionary(kinds, part(root.find("header")), part(root.find("trailer")), messages)


def faults(pairs: Sequence[Pair], book: Dictionary) -> tuple[Fault, ...]:
    """Of a whole message, 8= first and 10= last, whose fields could be told apart."""
    values = dict(reversed(pairs))
    if values.get(8) != BEGIN:
        return (Fault(5, 8, f"expected {BEGIN}, found {values.get(8, '')[:20]!r}"),)
    found = [fault for tag, value in pairs if (fault := _valued(tag, value, book)) is not None]
    body = book.messages.get(values.get(35, ""))
    if body is None:
        return (*found, Fault(11, 35, f"{values.get(35, '')[:20]!r} is no type of message"))
    known = [pair for pair in pairs if pair[0] in book.kinds]
    head, rest = _cut(known, book.header)
    inner, tail = _cut(rest, body)
    found += _listed(head, book.header)
    found += _listed(inner, body)
    found += _left(tail, book, body)
    found += _missing(values.keys(), (book.header, body, book.trailer))
    return tuple(found)


def _valued(tag: int, value: str, book: Dictionary) -> Fault | None:
    kind = book.kinds.get(tag)
    if kind is None:
        return Fault(0, tag, "no field of the dictionary")
    if not value:
        return Fault(4, tag, f"{kind.name} has no value")
    form = FORMS.get(kind.type)
    if form is not None and not form.fullmatch(value):
        return Fault(6, tag, f"{kind.name}: expected {kind.type}, found {value[:40]!r}")
    each = value.split(" ") if kind.type == "MULTIPLEVALUESTRING" else [value]
    if kind.values and not kind.values.issuperset(each):
        return Fault(5, tag, f"{kind.name}: expected one of {', '.join(sorted(kind.values)[:12])}, found {value[:40]!r}")
    return None


def _cut(pairs: Sequence[Pair], part: Part) -> tuple[list[Pair], list[Pair]]:
    """The run of fields that belong to the part, and what follows it."""
    own = _tags(part)
    end = next((at for at, (tag, _) in enumerate(pairs) if tag not in own), len(pairs))
    return list(pairs[:end]), list(pairs[end:])


def _tags(part: Part) -> frozenset[int]:
    return frozenset(part.required).union(*(_tags(one) for one in part.groups.values()))


def _listed(pairs: Sequence[Pair], part: Part) -> Iterator[Fault]:
    """A field stands once; the entries of a group are as many as said and have what each must have."""
    seen: set[int] = set()
    at = 0
    while at < len(pairs):
        tag, value = pairs[at]
        at += 1
        if tag in seen:
            yield Fault(13, tag, "stands more than once")
        seen.add(tag)
        if tag in part.groups:
            inner = part.groups[tag]
            entries, _ = _cut(pairs[at:], inner)
            at += len(entries)
            yield from _entries(tag, value, entries, inner)


def _entries(tag: int, count: str, pairs: Sequence[Pair], part: Part) -> Iterator[Fault]:
    starts = [at for at, (each, _) in enumerate(pairs) if each == part.first]
    if count.isdigit() and int(count) != len(starts):
        yield Fault(16, tag, f"says {count} entries, found {len(starts)}")
    if not pairs:
        return
    if starts[:1] != [0]:
        yield Fault(15, tag, f"an entry begins with {part.first}, found {pairs[0][0]}")
        return
    for start, end in zip(starts, [*starts[1:], len(pairs)], strict=True):
        yield from _listed(pairs[start:end], part)
        yield from _missing({each for each, _ in pairs[start:end]}, (part,))


def _left(pairs: Sequence[Pair], book: Dictionary, body: Part) -> Iterator[Fault]:
    """What stands after the body: the trailer, else a field out of its place or of no place in this message."""
    trailer, header, own = _tags(book.trailer), _tags(book.header), _tags(body)
    for tag, _ in pairs:
        if tag not in trailer:
            misplaced = tag in header or tag in own
            yield Fault(14, tag, "stands outside of its part") if misplaced else Fault(2, tag, "is not defined for this type of message")


def _missing(there: Container[int], parts: Sequence[Part]) -> Iterator[Fault]:
    for part in parts:
        for tag, needed in part.required.items():
            if needed and tag not in there:
                yield Fault(1, tag, "a required tag is missing")
