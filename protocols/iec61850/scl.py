"""What an SCL file (ICD, CID, SCD; IEC 61850-6) says: IEDs with their logical devices, nodes and typed data, data sets, report control blocks,
addresses. Pure: bytes in, values out. Not for writing SCL, not for its substation section, GOOSE or sampled values.

What violates the schema is an SclError with element and line. With `strict=False` it costs only itself (a data set member, a logical
node, an IED) and stands in `Scl.faults`. Data types are shared, not copied: a file of a few lines cannot grow into millions of values.
"""

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from protocols.iec61850.xmltree import Element, XmlError, parse

SPACE: Final = "http://www.iec.ch/61850/2003/SCL"
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
MOST_ATTRIBUTES: Final = 200_000
MMS_PORT: Final = 102
_NAME: Final = re.compile(r"[A-Za-z][0-9A-Za-z_]{0,63}")
_INSTANCE: Final = re.compile(r"[0-9A-Za-z_]{1,64}")
_CLASS: Final = re.compile(r"[A-Z]{4}|LLN0")
_Read = TypeVar("_Read")


class SclError(Exception):
    """The file is not SCL, or violates its schema."""

    def __init__(self, element: str, line: int, message: str) -> None:
        super().__init__(f"line {line}: <{element}>: {message}")
        self.element, self.line, self.message = element, line, message


@dataclass(frozen=True, slots=True)
class Attribute:
    """DA or BDA. kind: its bType. parts: of a Struct. labels: of an Enum. triggers: those of dchg, qchg, dupd that are set."""

    name: str
    constraint: str
    kind: str
    parts: tuple["Attribute", ...] = ()
    labels: Mapping[int, str] = field(default_factory=dict)
    value: str = ""
    triggers: frozenset[str] = frozenset()
    size: int = 1


@dataclass(frozen=True, slots=True)
class DataObject:
    """DO or SDO. Of all that stands below it: constraints that occur, and size, the number of attributes without parts."""

    name: str
    cdc: str
    objects: tuple["DataObject", ...]
    attributes: tuple[Attribute, ...]
    constraints: frozenset[str]
    size: int


@dataclass(frozen=True, slots=True)
class Leaf:
    """An attribute without parts: where it stands in its logical node, and what the file says of it."""

    object: str
    attribute: str
    cdc: str
    type: Attribute
    constraint: str
    triggers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Member:
    """One FCDA. object and attribute may be "": then all of that constraint."""

    domain: str
    node: str
    object: str
    attribute: str
    constraint: str


@dataclass(frozen=True, slots=True)
class DataSet:
    name: str
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """names: of its instances, as the device shows them."""

    names: tuple[str, ...]
    buffered: bool
    data_set: str
    report_id: str
    conf_rev: int
    integrity_ms: int
    buffer_ms: int


@dataclass(frozen=True, slots=True)
class LogicalNode:
    """values: what the file sets, by "Object.attribute.part"; notes: descriptions of data objects."""

    name: str
    objects: tuple[DataObject, ...]
    data_sets: tuple[DataSet, ...]
    reports: tuple[ReportBlock, ...]
    values: Mapping[str, str]
    notes: Mapping[str, str]

    def leaves(self) -> Iterator[Leaf]:
        for one in self.objects:
            yield from _leaves(one, one.name)

    def value(self, leaf: Leaf) -> str:
        """The initial value as text, "" for none."""
        return self.values.get(f"{leaf.object}.{leaf.attribute}", leaf.type.value)


@dataclass(frozen=True, slots=True)
class LogicalDevice:
    """domain: its name on the wire (ldName, else IED name + inst)."""

    inst: str
    domain: str
    nodes: tuple[LogicalNode, ...]


@dataclass(frozen=True, slots=True)
class Ied:
    """address: "host:port" of the first of its access points that has one, else ""."""

    name: str
    maker: str
    type: str
    access_points: tuple[str, ...]
    devices: tuple[LogicalDevice, ...]
    address: str


@dataclass(frozen=True, slots=True)
class Scl:
    ieds: tuple[Ied, ...]
    faults: tuple[SclError, ...]


def read_scl(content: bytes, *, strict: bool = True) -> Scl:
    """Raises SclError for what is not SCL at all, and with `strict` for the first violation of the schema."""
    try:
        root = parse(content, "SCL", SPACE)
    except XmlError as error:
        raise SclError("SCL", error.line, error.message) from error
    reader = _Reader(root, strict)
    ieds = tuple(reader.each(root.all("IED"), reader.ied, lambda ied: ied.name))
    return Scl(ieds, tuple(sorted(reader.faults, key=lambda fault: fault.line)))


def _leaves(one: DataObject, path: str) -> Iterator[Leaf]:
    for attribute in one.attributes:
        yield from _parts(attribute, path, attribute.name, one.cdc, attribute.constraint, attribute.triggers)
    for below in one.objects:
        yield from _leaves(below, f"{path}.{below.name}")


def _parts(one: Attribute, path: str, name: str, cdc: str, constraint: str, triggers: frozenset[str]) -> Iterator[Leaf]:
    if not one.parts:
        yield Leaf(path, name, cdc, one, constraint, triggers)
    for part in one.parts:
        yield from _parts(part, path, f"{name}.{part.name}", cdc, constraint, triggers)


def _need(element: Element, key: str, form: re.Pattern[str] = _NAME) -> str:
    found = element.attributes.get(key)
    if found is None:
        raise SclError(element.name, element.line, f'the attribute "{key}" is missing')
    if not form.fullmatch(found):
        raise SclError(element.name, element.line, f'{key}="{found}" is not a name that the schema allows')
    return found


def _number(element: Element, key: str, default: int, low: int = 0, high: int = 2**32 - 1) -> int:
    found = element.attributes.get(key, str(default))
    if not re.fullmatch(r"-?[0-9]{1,10}", found) or not low <= int(found) <= high:
        raise SclError(element.name, element.line, f'{key}="{found}": expected a whole number from {low} to {high}')
    return int(found)


def _truth(element: Element, key: str, default: bool) -> bool:
    found = element.attributes.get(key, "true" if default else "false")
    if found not in ("true", "false", "1", "0"):
        raise SclError(element.name, element.line, f'{key}="{found}": expected true or false')
    return found in ("true", "1")


def _text(element: Element | None) -> str:
    return "" if element is None else element.text.strip()


class _Reader:
    def __init__(self, root: Element, strict: bool) -> None:
        self._strict = strict
        self.faults: list[SclError] = []
        templates = root.first("DataTypeTemplates") or Element("DataTypeTemplates", root.line, {})
        kinds = ("LNodeType", "DOType", "DAType", "EnumType")
        self._types = {kind: dict(self.each(templates.all(kind), _identified, lambda found: found[0])) for kind in kinds}
        self._connected = self._addresses(root)
        self._domains: dict[str, dict[str, LogicalDevice]] = {}
        self._within: list[str] = []
        self._object_type = functools.cache(self._read_object_type)
        self._struct = functools.cache(self._read_struct)
        self._labels = functools.cache(self._read_labels)
        self._node_type = functools.cache(self._read_node_type)

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
                if self._strict:
                    raise
                self.faults.append(fault)
            else:
                found.append(one)
                names.update([name(one)] if name else [])
        return found

    def _addresses(self, root: Element) -> dict[tuple[str, str], str]:
        found: dict[tuple[str, str], str] = {}
        communication = root.first("Communication")
        for network in communication.all("SubNetwork") if communication else ():
            for point in network.all("ConnectedAP"):
                given = {p.attributes.get("type", ""): _text(p) for address in point.all("Address") for p in address.all("P")}
                host, port = given.get("IP", ""), given.get("MMS-Port", str(MMS_PORT))
                if re.fullmatch(r"[0-9A-Fa-f.:]{3,45}", host) and port.isascii() and port.isdigit() and int(port) < 65536:
                    key = (point.attributes.get("iedName", ""), point.attributes.get("apName", ""))
                    found.setdefault(key, f"[{host}]:{int(port)}" if ":" in host else f"{host}:{int(port)}")
        return found

    def ied(self, element: Element) -> Ied:
        name = _need(element, "name")
        points = self.each(element.all("AccessPoint"), lambda point: (_need(point, "name", _INSTANCE), point), lambda found: found[0])
        servers = [server for _, point in points for server in point.all("Server")]
        shells = self.each(
            (device for server in servers for device in server.all("LDevice")),
            lambda device: (self._device(name, device), device),
            lambda found: found[0].inst,
        )
        domains = {shell.inst: shell for shell, _ in shells}
        devices = tuple(self._with_control(shell, device, domains) for shell, device in shells)
        size = sum(one.size for device in devices for node in device.nodes for one in node.objects)
        if size > MOST_ATTRIBUTES:
            raise SclError("IED", element.line, f'"{name}" has {size} attributes, more than {MOST_ATTRIBUTES}')
        names = tuple(point for point, _ in points)
        address = next((self._connected[name, point] for point in names if (name, point) in self._connected), "")
        maker, kind = element.attributes.get("manufacturer", ""), element.attributes.get("type", "")
        return Ied(name, maker, kind, names, devices, address)

    def _device(self, ied: str, element: Element) -> LogicalDevice:
        inst = _need(element, "inst", _INSTANCE)
        domain = _need(element, "ldName", _INSTANCE) if element.attributes.get("ldName") else ied + inst
        nodes = tuple(self.each(element.all("LN0", "LN"), self._node, lambda node: node.name))
        if not self._strict and not nodes:
            return LogicalDevice(inst, domain, ())
        if element.first("LN0") is None:
            raise SclError("LDevice", element.line, f'"{inst}" has no LN0')
        return LogicalDevice(inst, domain, nodes)

    def _node(self, element: Element) -> LogicalNode:
        """Without data sets and report control blocks: they may speak of nodes that are not read yet."""
        kind = _need(element, "lnClass", _CLASS)
        if element.name == "LN0" and (kind != "LLN0" or element.attributes.get("inst", "") != ""):
            raise SclError("LN0", element.line, f'expected lnClass="LLN0" inst="", found lnClass="{kind}"')
        inst = "" if element.name == "LN0" else _need(element, "inst", re.compile(r"[0-9]{1,12}"))
        prefix = _need(element, "prefix") if element.attributes.get("prefix") else ""
        type_id = _need(element, "lnType", re.compile(r".{1,255}"))
        found = self._types["LNodeType"].get(type_id)
        if found is None:
            raise SclError(element.name, element.line, f'lnType="{type_id}" is not among the data type templates')
        if found.attributes.get("lnClass") != kind:
            raise SclError(element.name, element.line, f'lnType="{type_id}" is of class {found.attributes.get("lnClass")}, not {kind}')
        values: dict[str, str] = {}
        notes: dict[str, str] = {}
        for instance in element.all("DOI"):
            path = instance.attributes.get("name", "")
            notes[path] = instance.attributes.get("desc", "")
            _collect(instance, path, values)
        return LogicalNode(prefix + kind + inst, self._node_type(type_id), (), (), values, notes)

    def _with_control(self, shell: LogicalDevice, element: Element, domains: Mapping[str, LogicalDevice]) -> LogicalDevice:
        named = {node.name: node for node in shell.nodes}
        for part in element.all("LN0", "LN"):
            name = "".join(part.attributes.get(key, "") for key in ("prefix", "lnClass", "inst"))
            node = named.get(name)
            if node is None or (node.data_sets or node.reports):
                continue
            sets = tuple(self.each(part.all("DataSet"), lambda found: self._data_set(shell, found, domains), lambda one: one.name))
            read_report = functools.partial(self._report, data_sets={one.name for one in sets})
            reports = tuple(self.each(part.all("ReportControl"), read_report, lambda one: one.names[0]))
            named[name] = LogicalNode(node.name, node.objects, sets, reports, node.values, node.notes)
        return LogicalDevice(shell.inst, shell.domain, tuple(named.values()))

    def _data_set(self, home: LogicalDevice, element: Element, domains: Mapping[str, LogicalDevice]) -> DataSet:
        members = self.each(element.all("FCDA"), lambda found: self._member(home, found, domains))
        return DataSet(_need(element, "name"), tuple(members))

    def _member(self, home: LogicalDevice, element: Element, domains: Mapping[str, LogicalDevice]) -> Member:
        constraint = element.attributes.get("fc", "")
        if constraint not in CONSTRAINTS:
            raise SclError("FCDA", element.line, f'fc="{constraint}" is not a functional constraint')
        given = element.attributes
        device = domains.get(given["ldInst"]) if "ldInst" in given else home
        if device is None:
            raise SclError("FCDA", element.line, f'ldInst="{given["ldInst"]}" is not a logical device of this IED')
        name = "".join(given.get(key, "") for key in ("prefix", "lnClass", "lnInst"))
        node = next((node for node in device.nodes if node.name == name), None)
        if node is None:
            raise SclError("FCDA", element.line, f'"{device.inst}/{name}" is not a logical node of this IED')
        member = Member(device.domain, name, given.get("doName", ""), given.get("daName", ""), constraint)
        if not _exists(node, member):
            wanted = ".".join(filter(None, [name, member.object, member.attribute]))
            raise SclError("FCDA", element.line, f'there is no "{device.inst}/{wanted}" with fc={constraint}')
        return member

    def _report(self, element: Element, data_sets: set[str]) -> ReportBlock:
        name, data_set = _need(element, "name"), element.attributes.get("datSet", "")
        if data_set and data_set not in data_sets:
            raise SclError("ReportControl", element.line, f'datSet="{data_set}" is not a data set of this logical node')
        enabled = element.first("RptEnabled")
        most = _number(enabled, "max", 1, 1, 99) if enabled else 1
        indexed = _truth(element, "indexed", True)
        return ReportBlock(
            names=tuple(f"{name}{number:02}" for number in range(1, most + 1)) if indexed else (name,),
            buffered=_truth(element, "buffered", False),
            data_set=data_set,
            report_id=element.attributes.get("rptID", ""),
            conf_rev=_number(element, "confRev", 1),
            integrity_ms=_number(element, "intgPd", 0),
            buffer_ms=_number(element, "bufTime", 0),
        )

    def _read_node_type(self, type_id: str) -> tuple[DataObject, ...]:
        element = self._types["LNodeType"][type_id]
        return tuple(self.each(element.all("DO"), self._object, lambda one: one.name))

    def _object(self, element: Element) -> DataObject:
        name, type_id = _need(element, "name"), _need(element, "type", re.compile(r".{1,255}"))
        cdc, objects, attributes = self._deeper(element, type_id, self._object_type)
        size = sum(one.size for one in objects) + sum(one.size for one in attributes)
        constraints = frozenset(one.constraint for one in attributes).union(*(one.constraints for one in objects))
        return DataObject(name, cdc, objects, attributes, constraints, size)

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
        objects = self.each(element.all("SDO"), self._object, lambda one: one.name)
        attributes = self.each(element.all("DA"), self._attribute, lambda one: one.name)
        return element.attributes.get("cdc", ""), tuple(objects), tuple(attributes)

    def _attribute(self, element: Element) -> Attribute:
        name, kind = _need(element, "name"), element.attributes.get("bType", "")
        if kind not in BASIC_TYPES:
            raise SclError(element.name, element.line, f'"{name}": bType="{kind}" is not a basic type')
        constraint = element.attributes.get("fc", "")
        if element.name == "DA" and constraint not in CONSTRAINTS:
            raise SclError("DA", element.line, f'"{name}": fc="{constraint}" is not a functional constraint')
        parts: tuple[Attribute, ...] = ()
        labels: Mapping[int, str] = {}
        if kind in ("Struct", "Enum"):
            type_id = _need(element, "type", re.compile(r".{1,255}"))
            if kind == "Struct":
                parts = self._deeper(element, type_id, self._struct)
            else:
                labels = self._deeper(element, type_id, self._labels)
        triggers = frozenset(key for key in ("dchg", "qchg", "dupd") if _truth(element, key, False))
        size = sum(part.size for part in parts) if kind == "Struct" else 1
        return Attribute(name, constraint, kind, parts, labels, _text(element.first("Val")), triggers, size)

    def _read_struct(self, type_id: str) -> tuple[Attribute, ...]:
        element = self._types["DAType"][type_id]
        parts = tuple(self.each(element.all("BDA"), self._attribute, lambda one: one.name))
        if not parts:
            raise SclError("DAType", element.line, f'"{type_id}" has no BDA')
        return parts

    def _read_labels(self, type_id: str) -> Mapping[int, str]:
        element = self._types["EnumType"][type_id]
        values = self.each(element.all("EnumVal"), _enum_value, lambda found: str(found[0]))
        return dict(values)


def _identified(element: Element) -> tuple[str, Element]:
    return _need(element, "id", re.compile(r".{1,255}")), element


def _enum_value(element: Element) -> tuple[int, str]:
    if "ord" not in element.attributes:
        raise SclError("EnumVal", element.line, 'the attribute "ord" is missing')
    return _number(element, "ord", 0, -(2**31), 2**31 - 1), _text(element)


def _collect(element: Element, path: str, values: dict[str, str]) -> None:
    for part in element.all("SDI"):
        _collect(part, f"{path}.{part.attributes.get('name', '')}", values)
    for part in element.all("DAI"):
        given = part.first("Val")
        if given is not None:
            values[f"{path}.{part.attributes.get('name', '')}"] = _text(given)


def _exists(node: LogicalNode, member: Member) -> bool:
    """Found by walking down, not by listing all: types may be large."""
    if not member.object:
        return not member.attribute
    objects: Iterable[DataObject] = node.objects
    one: DataObject | None = None
    for part in member.object.split("."):
        one = next((found for found in objects if found.name == part), None)
        if one is None:
            return False
        objects = one.objects
    assert one is not None
    if not member.attribute:
        return member.constraint in one.constraints
    parts: Iterable[Attribute] = [attribute for attribute in one.attributes if attribute.constraint == member.constraint]
    for name in member.attribute.split("."):
        attribute = next((found for found in parts if found.name == name), None)
        if attribute is None:
            return False
        parts = attribute.parts
    return True
