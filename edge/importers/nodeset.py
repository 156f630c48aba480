"""NodeSet2 XML -> device map text: the instances of a nodeset, by namespace URI. Reads no server; what is made is to be looked through.

Only what stands outside of types is there to be read; a nodeset of types alone (most companion specifications) gives an error that says so:
browse a server that uses it. Other nodesets may be given for the types that the first one needs. The twin over the wire is
`protocols/opcua/browse.py`; both make their text with `protocols/opcua/maptext.py`.
"""

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from protocols.opcua.address import STANDARD, Address, parse, written
from protocols.opcua.maptext import Part, Variable, device_map_text
from protocols.xmltree import Element, XmlError
from protocols.xmltree import parse as parse_xml

Key = tuple[str, str]  # namespace URI, identifier as `address.written` has it
_UNKNOWN: Final = 25
_STRUCTURE: Final = 22
_ENUMERATION: Final = "i=29"
_DEEPEST: Final = 32
_NODES: Final = frozenset(
    {"UAObject", "UAVariable", "UAMethod", "UAObjectType", "UAVariableType", "UADataType", "UAReferenceType", "UAView"}
)
_INSTANCES: Final = frozenset({"UAObject", "UAVariable"})
# Types of OPC 10000-5 and 10000-3 that derive from a built-in one; those up to 25 are built in.
_STANDARD: Final[Mapping[str, int]] = {
    **{f"i={number}": number for number in range(1, 26)},
    **dict.fromkeys(["i=26", "i=27", "i=28"], 24),  # Number, Integer, UInteger: abstract
    **dict.fromkeys([_ENUMERATION, "i=256", "i=851", "i=852"], 6),
    **dict.fromkeys(["i=288", "i=289", "i=96"], 7),  # IntegerId, Counter, AttributeWriteMask
    **dict.fromkeys(["i=290"], 11),  # Duration
    **dict.fromkeys(["i=291", "i=292", "i=295", "i=12877", "i=12878", "i=12879", "i=12880", "i=12881", "i=23751", "i=24263"], 12),
    **dict.fromkeys(["i=293", "i=294"], 13),
    **dict.fromkeys(["i=95"], 5),
    "i=30": 15,
    **dict.fromkeys(["i=296", "i=884", "i=887", "i=7594", "i=12756"], _STRUCTURE),
}
_HIERARCHY: Final = frozenset(
    {"i=35", "i=46", "i=47", "i=49", "i=33", "i=34"}
)  # Organizes, HasProperty, HasComponent, HasOrderedComponent ...
_SUBTYPE: Final = "i=45"
_BOOKKEEPING: Final = frozenset({"i=11715", "i=92", "i=93"})  # Namespaces, type dictionaries: about the server, not the plant
_STANDARD_ALIASES: Final[Mapping[str, str]] = {
    "Organizes": "i=35", "HasProperty": "i=46", "HasComponent": "i=47", "HasOrderedComponent": "i=49", "HasSubtype": _SUBTYPE,
    **{name: f"i={number}" for number, name in enumerate(
        ["Boolean", "SByte", "Byte", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64", "Float", "Double", "String", "DateTime", "Guid", "ByteString", "XmlElement", "NodeId", "ExpandedNodeId", "StatusCode", "QualifiedName", "LocalizedText", "Structure", "DataValue", "BaseDataType", "DiagnosticInfo", "Number", "Integer", "UInteger", "Enumeration"], 1)},
}  # fmt: skip
_DATA: Final = frozenset({"EngineeringUnits", "EURange", "EnumStrings", "EnumValues", "InputArguments", "OutputArguments"})


class NodesetError(Exception):
    """The file violates what a nodeset is: file, line, element, what was expected."""

    def __init__(self, path: Path, line: int, message: str) -> None:
        super().__init__(f"{path.name}:{line}: {message}")
        self.path, self.line = path, line


def _tree(path: Path, content: bytes) -> Element:
    """The <UANodeSet>. Raises NodesetError."""
    try:
        return parse_xml(content, "UANodeSet")
    except XmlError as error:
        raise NodesetError(path, error.line, error.message) from error


@dataclass(slots=True)
class _Node:
    key: Key
    name: str
    element: Element
    file: "_File"
    parent: Key | None = None
    data_type: Key | None = None
    base: Key | None = None
    children: dict[str, "_Node"] = field(default_factory=dict)


def import_nodeset(paths: Sequence[Path], name: str) -> str:
    """The map of the first file's instances; the others give types. Raises NodesetError, OSError, ValueError."""
    model = _Model()
    for path in paths:
        content = path.read_bytes()
        model.add(path, gzip.decompress(content) if path.suffix == ".gz" else content)
    model.join()
    first = paths[0]
    try:
        return device_map_text(name, model.variables(first), f"nodeset {first.name.removesuffix('.gz')}")
    except ValueError as error:
        raise ValueError(
            f"{first.name}: {error}; it declares types only, or types of nodesets that are not given: name those too, or browse a server"
        ) from error


class _Model:
    """Nodes of all files by key."""

    def __init__(self) -> None:
        self.nodes: dict[Key, _Node] = {}
        self._forward: list[tuple[Key, Key]] = []

    def add(self, path: Path, content: bytes) -> None:
        root = _tree(path, content)
        file = _File(path, root)
        for element in root.children:
            if element.name not in _NODES:
                continue
            node = file.node(element, self._forward)
            if node.key in self.nodes:
                raise NodesetError(path, element.line, f'<{element.name}>: NodeId "{element.attributes["NodeId"]}" is used twice')
            self.nodes[node.key] = node

    def join(self) -> None:
        for parent, child in self._forward:
            if child in self.nodes and self.nodes[child].parent is None:
                self.nodes[child].parent = parent
        for node in self.nodes.values():
            if node.parent in self.nodes:
                self.nodes[node.parent].children.setdefault(node.name, node)

    def variables(self, path: Path) -> list[Variable]:
        return [self._variable(node, names) for node in self.nodes.values() if node.file.path == path and (names := self._instance(node))]

    def _instance(self, node: _Node) -> list[str]:
        """Browse names from the top, or nothing for what is no variable that a server has."""
        if node.element.name != "UAVariable" or node.name in _DATA:
            return []
        names: list[str] = []
        at: _Node | None = node
        while at is not None and len(names) < _DEEPEST:
            if at.element.name not in _INSTANCES or (at.parent and at.parent[0] == STANDARD and at.parent[1] in _BOOKKEEPING):
                return []
            names.insert(0, at.name)
            at = self.nodes.get(at.parent) if at.parent else None
        return names

    def _variable(self, node: _Node, names: Sequence[str]) -> Variable:
        kind = self._kind(node.data_type)
        rank, sizes = node.element.attributes.get("ValueRank", "-1"), node.element.attributes.get("ArrayDimensions", "")
        array = not rank.startswith("-")
        dimensions = tuple(int(size) for size in sizes.split(",") if size.strip().isdigit()) if array else ()
        units, span = node.children.get("EngineeringUnits"), node.children.get("EURange")
        return Variable(
            "/".join(names),
            Address(parse(node.key[1]).identifier, node.key[0]),
            kind,
            dimensions,
            unit=_display_name(units.element) if units else "",
            range=_range(span) if span else None,
            labels=self._labels(node.data_type) if kind == 6 else {},
            parts=self._parts(node.data_type) if kind == _STRUCTURE else (),
            array=array,
        )

    def _kind(self, data_type: Key | None) -> int:
        for _ in range(_DEEPEST):
            if data_type is None:
                break
            if data_type[0] == STANDARD and data_type[1] in _STANDARD:
                return _STANDARD[data_type[1]]
            node = self.nodes.get(data_type)
            data_type = node.base if node else None
        return _UNKNOWN

    def _labels(self, data_type: Key | None) -> dict[int, str]:
        node = self.nodes.get(data_type) if data_type else None
        definition = next(node.element.all("Definition"), None) if node else None
        if node is None or definition is None:
            return {}
        labels = {}
        for found in definition.all("Field"):
            value = found.attributes.get("Value", "")
            if not value.lstrip("-").isdigit():
                raise NodesetError(
                    node.file.path, found.line, f'<Field Name="{found.attributes.get("Name", "")}"> of an enumeration has no "Value"'
                )
            labels[int(value)] = found.attributes.get("Name", value)
        return labels

    def _parts(self, data_type: Key | None, path: tuple[str, ...] = ()) -> tuple[Part, ...]:
        node = self.nodes.get(data_type) if data_type else None
        definition = next(node.element.all("Definition"), None) if node else None
        if node is None or definition is None or len(path) >= _DEEPEST or definition.attributes.get("IsUnion") == "true":
            return ()
        parts: list[Part] = []
        for found in definition.all("Field"):
            if found.attributes.get("IsOptional") == "true" or not found.attributes.get("ValueRank", "-1").startswith("-"):
                continue
            inner = node.file.key(found.attributes.get("DataType", "i=24"), found)
            place = (*path, found.attributes.get("Name", ""))
            kind = self._kind(inner)
            parts += self._parts(inner, place) if kind == _STRUCTURE else [Part(place, kind)]
        return tuple(parts)


class _File:
    """What NodeIds, names and aliases mean in one file."""

    def __init__(self, path: Path, root: Element) -> None:
        self.path = path
        uris = next(root.all("NamespaceUris"), None)
        self._uris = [STANDARD, *(uri.text.strip() for uri in (uris.all("Uri") if uris else ()) if uri.text.strip() != STANDARD)]
        aliases = next(root.all("Aliases"), None)
        self._aliases = dict(_STANDARD_ALIASES) | {
            alias.attributes.get("Alias", ""): alias.text.strip() for alias in (aliases.all("Alias") if aliases else ())
        }

    def node(self, element: Element, forward: list[tuple[Key, Key]]) -> _Node:
        """With its parent, data type and base type; references downwards are noted in `forward`."""
        said = element.attributes.get("NodeId")
        if said is None:
            raise NodesetError(self.path, element.line, f'<{element.name}> has no "NodeId"')
        name = element.attributes.get("BrowseName", "").partition(":")
        node = _Node(self.key(said, element), name[2] or name[0], element, self)
        if "ParentNodeId" in element.attributes:
            node.parent = self.key(element.attributes["ParentNodeId"], element)
        if element.name == "UAVariable":
            node.data_type = self.key(element.attributes.get("DataType", "i=24"), element)
        for references in element.all("References"):
            for reference in references.all("Reference"):
                self._refer(node, reference, forward)
        return node

    def _refer(self, node: _Node, reference: Element, forward: list[tuple[Key, Key]]) -> None:
        kind = self.key(reference.attributes.get("ReferenceType", ""), reference)
        target = self.key(reference.text.strip(), reference)
        ahead = reference.attributes.get("IsForward", "true") != "false"
        if kind == (STANDARD, _SUBTYPE) and not ahead:
            node.base = target
        elif kind[0] == STANDARD and kind[1] in _HIERARCHY:
            if ahead:
                forward.append((node.key, target))
            elif node.parent is None:
                node.parent = target

    def key(self, text: str, element: Element) -> Key:
        """A NodeId or an alias. Raises NodesetError."""
        said = self._aliases.get(text, text)
        if said.startswith("nsu="):
            uri, said = said[4:].partition(";")[::2]
        else:
            index, rest = "0", said
            if said.startswith("ns="):
                index, _, rest = said[3:].partition(";")
            if not index.isdigit() or int(index) >= len(self._uris):
                raise NodesetError(
                    self.path, element.line, f'<{element.name}>: "{text}" is of a namespace that <NamespaceUris> does not list'
                )
            uri, said = self._uris[int(index)], rest
        kind, _, value = said.partition("=")
        try:
            # brackets and signs mean nothing here, unlike in a device map
            identifier = parse(f"s={value.replace('#', '##')}").identifier if kind == "s" else parse(said).identifier
        except ValueError as error:
            raise NodesetError(
                self.path, element.line, f'<{element.name}>: "{text}" is neither an alias of this file nor a NodeId'
            ) from error
        return uri, written(identifier)


def _display_name(element: Element) -> str:
    found = element.deep("EUInformation")
    name = found.deep("DisplayName") if found else None
    text = name.deep("Text") if name else None
    return text.text.strip() if text else ""


def _range(node: _Node) -> tuple[float, float] | None:
    found = node.element.deep("Range")
    ends = [found.deep(end) if found else None for end in ("Low", "High")]
    try:
        low, high = (float(end.text) for end in ends if end is not None)
    except ValueError as error:
        if not any(ends):
            return None
        raise NodesetError(
            node.file.path, node.element.line, f'<UAVariable> "{node.name}": <Range> expects the numbers <Low> and <High>'
        ) from error
    return low, high
