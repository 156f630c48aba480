"""The codes inside a file: their format and check characters (checksum layer), and whether they are in force (reference data layer).

For any format that can say where its codes stand. Not for the arithmetic of check characters (`identifiers`). A format that a schema
leaves open, such as small letters in an LEI, is reported by the checksum layer too: it is a property of the code, not of the file.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from cloud.reports import xmlfile
from cloud.reports.errors import ReportError
from cloud.reports.identifiers import Judged, Kind, judge
from cloud.reports.layers import CannotRun, Fault, Layer, Validation, validate


@dataclass(frozen=True, slots=True)
class Placed:
    """A code where it stands; place and line are told lazily, only for codes that are wrong."""

    kind: Kind
    text: str
    node: object


IN_FORCE: Final = "codes in force"


@dataclass(frozen=True, slots=True)
class References:
    """The codes in force at the time of filing, by kind; `markets`: MICs. A kind that is not here was not loaded. named: what they are, in
    words. partly: kinds of which there are more than are here, so that a code that is not here was not looked up."""

    codes: Mapping[Kind, Collection[str]] = field(default_factory=dict)
    markets: Collection[str] | None = None
    named: str = IN_FORCE
    partly: frozenset[Kind] = frozenset()


NOTHING_KNOWN: Final = References()


def code_faults(codes: Iterable[Placed]) -> tuple[Fault, ...]:
    """Of the checksum layer. Each different code is judged once."""
    judged: dict[tuple[Kind, str], Judged] = {}
    found = []
    for code in codes:
        key = code.kind, code.text
        if key not in judged:
            judged[key] = judge(*key)
        answer = judged[key]
        if answer.failed in (Layer.SCHEMA, Layer.CHECKSUM):
            found.append(_fault(Layer.CHECKSUM, answer.check, code.node, answer.detail))
    return tuple(found)


def known_faults(codes: Iterable[Placed], references: References) -> tuple[Fault, ...]:
    """Of the reference data layer. Raises CannotRun when the codes in force of a kind that occurs were not given."""
    found = []
    missing: set[Kind] = set()
    for code in codes:
        if code.kind not in references.codes or (code.kind in references.partly and code.text not in references.codes[code.kind]):
            missing.add(code.kind)
            continue
        answer = judge(code.kind, code.text)
        if code.text not in references.codes[code.kind]:
            found.append(
                _fault(Layer.REFERENCE_DATA, f"ID-{code.kind}-KNOWN", code.node, f"{code.text!r} is not among the {references.named}")
            )
        elif answer.failed is Layer.REFERENCE_DATA:
            found.append(_fault(Layer.REFERENCE_DATA, answer.check, code.node, answer.detail))
    if missing and not found:
        raise CannotRun(f"no reference data for {', '.join(sorted(missing))}{beyond(references)}")
    return tuple(found)


def beyond(references: References) -> str:
    """What was looked at, where that was not everything in force."""
    return "" if references.named == IN_FORCE else f" beyond the {references.named}"


def check_shape(
    shape: Callable[[], object],
    format_name: str,
    codes: Callable[[], Iterable[Placed]],
    cross: Callable[[], Iterable[Fault]],
    references: References,
    schema: Callable[[], tuple[Fault, ...]] | None = None,
) -> Validation:
    """Of a format whose schema is not the authority's: `shape` reads the file and raises ReportError. schema: the faults by a schema of our
    own; without one the schema layer says INDETERMINATE where the file can be read. UTIs are made by us and are in no list.
    """

    def fits() -> tuple[Fault, ...]:
        if schema is not None and (found := schema()):
            return found
        try:
            shape()
        except ReportError as error:
            return (Fault(Layer.SCHEMA, f"{format_name}-S-SHAPE", error.place, 0, error.message),)
        if schema is not None:
            return ()
        raise CannotRun(f"there is no schema of {format_name} in the project; the shape is as expected")

    return validate(
        {
            Layer.SCHEMA: fits,
            Layer.CHECKSUM: lambda: code_faults(codes()),
            Layer.CROSS_FIELD: lambda: tuple(cross()),
            Layer.REFERENCE_DATA: lambda: known_faults((code for code in codes() if code.kind is not Kind.UTI), references),
        }
    )


def _fault(layer: Layer, check: str, node: object, message: str) -> Fault:
    if isinstance(node, str):
        return Fault(layer, check, node, 0, message)
    return Fault(layer, check, xmlfile.path(node), xmlfile.line(node), message)
