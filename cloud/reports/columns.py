"""Records of an XML message as values: one table of columns says where every member stands, and is used to read and to write.

For messages whose records are flat but for a few groups. Not for validation. Rules: an element that the table does not know is refused
by name (`NotCarried`), so that reading and writing again loses nothing; the order of the table is the order in the file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from decimal import Decimal
from enum import Enum
from typing import Any, TypeVar

from cloud.reports import xmlfile
from cloud.reports.errors import NotCarried, ReportError

T = TypeVar("T")


class How(Enum):
    TEXT = "text"
    WHOLE = "whole number"
    NUMBER = "number"
    CODED = "code whose scheme is the child's name"
    TEXTS = "any number of texts"
    GROUPS = "any number of groups of texts"


@dataclass(frozen=True, slots=True)
class Coded:
    """scheme: the element's name, such as lei, ace, eic or mic."""

    scheme: str
    code: str


Group = tuple[tuple[str, str], ...]  # element and text, in order


@dataclass(frozen=True, slots=True)
class Column:
    """path: element names below the record, at most two; attribute: the member of the value."""

    path: tuple[str, ...]
    attribute: str
    how: How = How.TEXT


def column(path: str, attribute: str, how: How = How.TEXT) -> Column:
    return Column(tuple(path.split("/")), attribute, how)


def read(node: xmlfile.Node, kind: type[T], table: Sequence[Column]) -> T:
    """The record as a value. Raises ReportError for what is missing or no number, NotCarried for what the table does not know."""
    by_path: Mapping[tuple[str, ...], Column] = {entry.path: entry for entry in table}
    found: dict[str, Any] = {}
    for child in node:
        _take(child, (xmlfile.name(child),), by_path, found)
    lacking = [one.name for one in fields(kind) if one.default is MISSING and one.name not in found]  # type: ignore[arg-type]
    if lacking:
        raise ReportError(xmlfile.place(node), f"{', '.join(lacking)} missing")
    return kind(**found)


def _take(node: xmlfile.Node, path: tuple[str, ...], by_path: Mapping[tuple[str, ...], Column], found: dict[str, Any]) -> None:
    entry = by_path.get(path)
    if entry is None:
        if len(node) == 0 or len(path) > 1:
            raise NotCarried(xmlfile.place(node), "our values have no room for this element")
        for child in node:
            _take(child, (*path, xmlfile.name(child)), by_path, found)
        return
    if entry.how in (How.TEXTS, How.GROUPS):
        found[entry.attribute] = (*found.get(entry.attribute, ()), _value(node, entry.how))
    elif entry.attribute in found:
        raise ReportError(xmlfile.place(node), "stands twice in one record")
    else:
        found[entry.attribute] = _value(node, entry.how)


def _value(node: xmlfile.Node, how: How) -> Any:
    if how is How.NUMBER:
        return xmlfile.decimal(node)
    if how is How.GROUPS:
        return tuple((xmlfile.name(child), xmlfile.text(child)) for child in node)
    if how is How.CODED:
        if len(node) != 1:
            raise ReportError(xmlfile.place(node), f"expected one code, found {len(node)}")
        return Coded(xmlfile.name(node[0]), xmlfile.text(node[0]))
    if len(node):
        raise NotCarried(xmlfile.place(node[0]), "our values have no room for this element")
    text = xmlfile.text(node)
    if how is How.WHOLE:
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise ReportError(xmlfile.place(node), f"expected a whole number, found {text[:60]!r}")
        return int(text)
    return text


def write(parent: xmlfile.Node, tag: str, value: object, table: Sequence[Column]) -> xmlfile.Node:
    """Append the record to its parent. Members that are None are left out."""
    record = xmlfile.add(parent, tag)
    group, opened = "", record
    for entry in table:
        held = getattr(value, entry.attribute)
        if held is None or held == ():
            continue
        target = record
        if len(entry.path) == 2:
            if entry.path[0] != group:
                group, opened = entry.path[0], xmlfile.add(record, entry.path[0])
            target = opened
        else:
            group = ""
        _put(target, entry.path[-1], held, entry.how)
    return record


def _put(target: xmlfile.Node, tag: str, held: Any, how: How) -> None:
    if how is How.TEXTS:
        for text in held:
            xmlfile.add(target, tag, text)
    elif how is How.GROUPS:
        for group in held:
            made = xmlfile.add(target, tag)
            for name, text in group:
                xmlfile.add(made, name, text)
    elif how is How.CODED:
        xmlfile.add(xmlfile.add(target, tag), held.scheme, held.code)
    else:
        xmlfile.add(target, tag, xmlfile.plain(held) if isinstance(held, Decimal) else str(held))
