"""The data type templates of an SCL file (IEC 61850-6, 9.5): what data objects and attributes a logical node type has. Pure.

Types are shared, not copied, and each is read once. Also here: how a violation of the schema is told.
"""

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from protocols.xmltree import Element

CONSTRAINTS: Final = frozenset(
    ["ST", "MX", "SP", "SV", "CF", "DC", "SG", "SE", "SR", "OR", "BL", "EX", "CO", "US", "MS", "RP", "BR", "LG", "GO"]
)
# IEC 61850-6, tPredefinedBasicTypeEnum, and what stands behind Struct and Enum.
# fmt: off
BASIC_TYPES: Final = frozenset((
    "BOOLEAN", "INT8", "INT16", "INT24", "INT32", "INT64", "INT128", "INT8U", "INT16U", "INT24U", "INT32U", "INT64U", "FLOAT32",
    "FLOAT64", "Enum", "Dbpos", "Tcmd", "Quality", "Timestamp", "VisString32", "VisString64", "VisString65", "VisString129",
    "VisString255", "Octet64", "Octet6", "Octet16", "Struct", "EntryTime", "EntryID", "Unicode255", "Check", "ObjRef", "Currency",
    "PhyComAddr", "TrgOps", "OptFlds", "SvOptFlds", "LogOptFlds",
))
# fmt: on
DEEPEST_TYPE: Final = 16
NAME: Final = re.compile(r"[A-Za-z][0-9A-Za-z_]{0,63}")
_ID: Final = re.compile(r".{1,255}")
_Read = TypeVar("_Read")


class SclError(Exception):
    """The file is not SCL, or violates its schema."""

    def __init__(self, element: str, line: int, message: str) -> None:
        super().__init__(f"line {line}: <{element}>: {message}")
        self.element, self.line, self.message = element, line, message


@dataclass(frozen=True, slots=True)
class Attribute:
    """DA or BDA. kind: its bType. parts: of a Struct. labels: of an Enum. triggers: those of dchg, qchg, dupd that are set.
    array: there are several of it, told apart by an index; they are not read."""

    name: str
    constraint: str
    kind: str
    parts: tuple["Attribute", ...] = ()
    labels: Mapping[int, str] = field(default_factory=dict)
    value: str = ""
    triggers: frozenset[str] = frozenset()
    size: int = 1
    array: bool = False


@dataclass(frozen=True, slots=True)
class DataObject:
    """DO or SDO. Of all that stands below it: constraints that occur, and size, the number of attributes without parts."""

    name: str
    cdc: str
    objects: tuple["DataObject", ...]
    attributes: tuple[Attribute, ...]
    constraints: frozenset[str]
    size: int
    array: bool


@dataclass(frozen=True, slots=True)
class Leaf:
    """An attribute without parts: where it stands in its logical node, and what the file says of it."""

    object: str
    attribute: str
    cdc: str
    type: Attribute
    constraint: str
    triggers: frozenset[str]


def leaves(one: DataObject, path: str) -> Iterator[Leaf]:
    if one.array:
        return
    for attribute in one.attributes:
        yield from _parts(attribute, path, attribute.name, one.cdc, attribute.constraint, attribute.triggers)
    for below in one.objects:
        yield from leaves(below, f"{path}.{below.name}")


def _parts(one: Attribute, path: str, name: str, cdc: str, constraint: str, triggers: frozenset[str]) -> Iterator[Leaf]:
    if one.array:
        return
    if not one.parts:
        yield Leaf(path, name, cdc, one, constraint, triggers)
    for part in one.parts:
        yield from _parts(part, path, f"{name}.{part.name}", cdc, constraint, triggers)


def need(element: Element, key: str, form: re.Pattern[str] = NAME) -> str:
    found = element.attributes.get(key)
    if found is None:
        raise SclError(element.name, element.line, f'the attribute "{key}" is missing')
    if not form.fullmatch(found):
        raise SclError(element.name, element.line, f'{key}="{found}" is not a name that the schema allows')
    return found


def number(element: Element, key: str, default: int, low: int = 0, high: int = 2**32 - 1) -> int:
    found = element.attributes.get(key, str(default))
    if not re.fullmatch(r"-?[0-9]{1,10}", found) or not low <= int(found) <= high:
        raise SclError(element.name, element.line, f'{key}="{found}": expected a whole number from {low} to {high}')
    return int(found)


def truth(element: Element, key: str, default: bool) -> bool:
    found = element.attributes.get(key, "true" if default else "false")
    if found not in ("true", "false", "1", "0"):
        raise SclError(element.name, element.line, f'{key}="{found}": expected true or false')
    return found in ("true", "1")


def text_of(element: Element | None) -> str:
    return "" if element is None else element.text.strip()


def _array(element: Element) -> bool:
    return element.attributes.get("count", "0") != "0"


class Checker:
    """strict: the first violation ends it all; else it costs only itself and stands in `faults`."""

    def __init__(self, *, strict: bool) -> None:
        self.strict = strict
        self.faults: list[SclError] = []

    def each(
        self, elements: Iterable[Element], read: Callable[[Element], _Read], name: Callable[[_Read], str] | None = None
    ) -> list[_Read]:
        """What the elements say. Those that violate the schema, or repeat a name, are faults: the first one ends it all if we are strict."""
        found: list[_Read] = []
        names: set[str] = set()
        for element in elements:
            try:
                one = read(element)
                if name is not None and name(one) in names:
                    raise SclError(element.name, element.line, f'"{name(one)}" is there twice')
            except SclError as fault:
                if self.strict:
                    raise
                self.faults.append(fault)
            else:
                found.append(one)
                names.update([name(one)] if name else [])
        return found


class Templates:
    def __init__(self, root: Element, checker: Checker) -> None:
        templates = root.first("DataTypeTemplates") or Element("DataTypeTemplates", root.line, {})
        kinds = ("LNodeType", "DOType", "DAType", "EnumType")
        self._types = {kind: dict(checker.each(templates.all(kind), _identified, lambda found: found[0])) for kind in kinds}
        self._checker = checker
        self._within: list[str] = []
        self._object_type = functools.cache(self._read_object_type)
        self._struct = functools.cache(self._read_struct)
        self._labels = functools.cache(self._read_labels)
        self.objects_of = functools.cache(self._read_node_type)

    def node_class(self, type_id: str) -> str | None:
        """lnClass of a logical node type, None where there is no such type."""
        found = self._types["LNodeType"].get(type_id)
        return None if found is None else found.attributes.get("lnClass", "")

    def _read_node_type(self, type_id: str) -> tuple[DataObject, ...]:
        element = self._types["LNodeType"][type_id]
        return tuple(self._checker.each(element.all("DO"), self._object, lambda one: one.name))

    def _object(self, element: Element) -> DataObject:
        name, type_id = need(element, "name"), need(element, "type", _ID)
        cdc, objects, attributes = self._deeper(element, type_id, self._object_type)
        size = sum(one.size for one in objects) + sum(one.size for one in attributes)
        constraints = frozenset(one.constraint for one in attributes).union(*(one.constraints for one in objects))
        return DataObject(name, cdc, objects, attributes, constraints, size, _array(element))

    def _deeper(self, element: Element, type_id: str, read: Callable[[str], _Read]) -> _Read:
        """Types may stand in types, but not in themselves."""
        if type_id in self._within or len(self._within) >= DEEPEST_TYPE:
            raise SclError(element.name, element.line, f'type="{type_id}" contains itself, or types are nested deeper than {DEEPEST_TYPE}')
        self._within.append(type_id)
        try:
            return read(type_id)
        except LookupError:
            raise SclError(element.name, element.line, f'type="{type_id}" is not among the data type templates') from None
        finally:
            self._within.pop()

    def _read_object_type(self, type_id: str) -> tuple[str, tuple[DataObject, ...], tuple[Attribute, ...]]:
        element = self._types["DOType"][type_id]
        objects = self._checker.each(element.all("SDO"), self._object, lambda one: one.name)
        attributes = self._checker.each(element.all("DA"), self._attribute, lambda one: one.name)
        return element.attributes.get("cdc", ""), tuple(objects), tuple(attributes)

    def _attribute(self, element: Element) -> Attribute:
        name, kind = need(element, "name"), element.attributes.get("bType", "")
        if kind not in BASIC_TYPES:
            raise SclError(element.name, element.line, f'"{name}": bType="{kind}" is not a basic type')
        constraint = element.attributes.get("fc", "")
        if element.name == "DA" and constraint not in CONSTRAINTS:
            raise SclError("DA", element.line, f'"{name}": fc="{constraint}" is not a functional constraint')
        parts: tuple[Attribute, ...] = ()
        labels: Mapping[int, str] = {}
        if kind in ("Struct", "Enum"):
            type_id = need(element, "type", _ID)
            if kind == "Struct":
                parts = self._deeper(element, type_id, self._struct)
            else:
                labels = self._deeper(element, type_id, self._labels)
        triggers = frozenset(key for key in ("dchg", "qchg", "dupd") if truth(element, key, False))
        size = sum(part.size for part in parts) if kind == "Struct" else 1
        return Attribute(name, constraint, kind, parts, labels, text_of(element.first("Val")), triggers, size, _array(element))

    def _read_struct(self, type_id: str) -> tuple[Attribute, ...]:
        element = self._types["DAType"][type_id]
        parts = tuple(self._checker.each(element.all("BDA"), self._attribute, lambda one: one.name))
        if not parts:
            raise SclError("DAType", element.line, f'"{type_id}" has no BDA')
        return parts

    def _read_labels(self, type_id: str) -> Mapping[int, str]:
        element = self._types["EnumType"][type_id]
        values = self._checker.each(element.all("EnumVal"), _enum_value, lambda found: str(found[0]))
        return dict(values)


def _identified(element: Element) -> tuple[str, Element]:
    return need(element, "id", _ID), element


def _enum_value(element: Element) -> tuple[int, str]:
    if "ord" not in element.attributes:
        raise SclError("EnumVal", element.line, 'the attribute "ord" is missing')
    return number(element, "ord", 0, -(2**31), 2**31 - 1), text_of(element)
