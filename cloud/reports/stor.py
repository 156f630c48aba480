"""Reports of suspicious transactions and orders (STOR): what is said of a conduct alert that was decided to be reported, as a file.

For the fields that Delegated Regulation (EU) 2016/957, annex, asks for: who reports, instrument, orders and trades, reasons, persons with LEI and
account, time, attachments. The elements and their schema are ours, named after the fields: authorities take STORs by forms of
their own. Not for deciding: a case did.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from cloud import document
from cloud.reports import xmlfile
from cloud.reports.codes import NOTHING_KNOWN, Placed, References, check_shape
from cloud.reports.columns import Column, How, column, read, write
from cloud.reports.deal_rows import Built
from cloud.reports.errors import ReportError
from cloud.reports.filed import STOR
from cloud.reports.filings import Action
from cloud.reports.identifiers import Kind
from cloud.reports.layers import Fault, Layer, Validation
from cloud.reports.told import Gap, Incomplete
from cloud.reports.xmlfile import Node

KIND: Final = STOR
ROOT: Final = "SuspiciousTransactionAndOrderReport"
SCHEMA: Final = "qenergyz_stor.xsd"


@dataclass(frozen=True, slots=True)
class Person:
    """lei: empty for a natural person, who is told by account and identifier."""

    name: str
    lei: str
    identifier: str
    accounts: str


@dataclass(frozen=True, slots=True)
class Line:
    """One order event. time: RFC 3339, UTC. venue: empty where nobody stated it."""

    time: str
    order: str
    action: str
    side: str
    price: str
    volume: str


@dataclass(frozen=True, slots=True)
class Stor:
    """capacity: in which the reporter acted. description: pattern and measures. attachments: evidence rows by their digest."""

    action: str
    reporter: str
    reporter_lei: str
    contact: str
    capacity: str
    authority: str
    instrument: str
    pattern: str
    description: str
    reasons: str
    first: str
    last: str
    persons: tuple[Person, ...]
    lines: tuple[Line, ...]
    attachments: tuple[str, ...]


_NEEDED: Final = {
    "reporter": "a name in the compliance profile",
    "reporter_lei": "an LEI in the compliance profile",
    "contact": "how the authority reaches who reports",
    "capacity": "in which the reporter acted",
    "authority": "the authority reported to",
    "reasons": "the reasons of the decision",
}
_TABLE: Final[tuple[Column, ...]] = (
    column("action", "action"),
    column("reporter/name", "reporter"),
    column("reporter/lei", "reporter_lei"),
    column("reporter/contact", "contact"),
    column("reporter/capacity", "capacity"),
    column("authority", "authority"),
    column("instrument", "instrument"),
    column("suspicion/pattern", "pattern"),
    column("suspicion/description", "description"),
    column("suspicion/reasons", "reasons"),
    column("period/first", "first"),
    column("period/last", "last"),
    column("person", "persons", How.GROUPS),
    column("event", "lines", How.GROUPS),
    column("attachment", "attachments", How.TEXTS),
)


@dataclass(frozen=True, slots=True)
class _Texts:
    """As the table writes and reads it."""

    action: str
    reporter: str
    reporter_lei: str
    contact: str
    capacity: str
    authority: str
    instrument: str
    pattern: str
    description: str
    reasons: str
    first: str
    last: str
    persons: tuple[Any, ...] = ()
    lines: tuple[Any, ...] = ()
    attachments: tuple[str, ...] = ()


def encode(stor: Stor) -> bytes:
    return document.encode(asdict(stor))


def decode(source: bytes) -> Stor:
    held: Any = document.parse(source)
    persons = tuple(Person(**one) for one in held.pop("persons"))
    lines = tuple(Line(**one) for one in held.pop("lines"))
    return Stor(**{**held, "attachments": tuple(held["attachments"])}, persons=persons, lines=lines)


def build(source: bytes) -> Built:
    """Raises Incomplete."""
    stor = decode(source)
    gaps = [Gap("", name, f"missing, expected {what}") for name, what in _NEEDED.items() if not getattr(stor, name)]
    if not stor.persons:
        gaps.append(Gap("", "persons", "missing, expected who acted"))
    gaps += [
        Gap("", f"persons[{at}]", f"{one.name}: expected an LEI or an identifier")
        for at, one in enumerate(stor.persons)
        if not (one.lei or one.identifier)
    ]
    if gaps:
        raise Incomplete(gaps)
    return Built(to_xml(stor), len(stor.lines), None)


def to_xml(stor: Stor) -> bytes:
    held = {name: getattr(stor, name) for name in _Texts.__dataclass_fields__}
    held |= {name: tuple(tuple(asdict(one).items()) for one in held[name]) for name in ("persons", "lines")}
    outer = xmlfile.root("Document", f"urn:qenergyz:{ROOT.lower()}:1")
    write(outer, ROOT, _Texts(**held), _TABLE)
    return xmlfile.write(outer)


def of(root: Node) -> Stor:
    """Raises ReportError naming the element."""
    if len(root) != 1 or xmlfile.name(root[0]) != ROOT:
        raise ReportError(xmlfile.place(root), f"expected one {ROOT}")
    told = read(root[0], _Texts, _TABLE)
    held = {name: getattr(told, name) for name in _Texts.__dataclass_fields__}
    try:
        persons = tuple(Person(**dict(one)) for one in held.pop("persons"))
        lines = tuple(Line(**dict(one)) for one in held.pop("lines"))
    except TypeError as error:
        raise ReportError(xmlfile.place(root), f"a person or an event is not told as expected: {error}") from error
    return Stor(**held, persons=persons, lines=lines)


def check(data: bytes, references: References = NOTHING_KNOWN) -> Validation:
    root = xmlfile.read(data)
    return check_shape(
        lambda: of(root),
        KIND,
        lambda: _codes(root),
        lambda: cross_field(root),
        references,
        lambda: xmlfile.schema_faults(root, SCHEMA, "STOR-S-XSD"),
    )


def _codes(root: Node) -> Iterator[Placed]:
    for node in xmlfile.leaves(root):
        if xmlfile.name(node) == "lei" and node.text:
            yield Placed(Kind.LEI, xmlfile.text(node), node)


def cross_field(root: Node) -> Iterator[Fault]:
    try:
        stor = of(root)
        times = [datetime.fromisoformat(text) for text in (stor.first, stor.last, *(one.time for one in stor.lines))]
    except (ReportError, ValueError) as error:
        yield Fault(Layer.CROSS_FIELD, "STOR-X-READ", xmlfile.path(root), 0, str(error))
        return
    if times[1] < times[0] or not all(times[0] <= one <= times[1] for one in times[2:]):
        yield Fault(Layer.CROSS_FIELD, "STOR-X-TIME", xmlfile.path(root), 0, "an event is outside of the period")
    if stor.action not in {one.value for one in Action}:
        yield Fault(Layer.CROSS_FIELD, "STOR-X-ACTION", xmlfile.path(root), 0, f"expected an action, found {stor.action[:40]!r}")


def written_time(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat().replace("+00:00", "Z")
