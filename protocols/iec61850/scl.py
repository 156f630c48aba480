"""What an SCL file (ICD, CID, SCD; IEC 61850-6) says: IEDs with their logical devices, nodes and typed data, data sets, report control blocks,
addresses. Pure: bytes in, values out. Not for writing SCL, not for its substation section, GOOSE or sampled values.

What violates the schema is an SclError with element and line. With `strict=False` it costs only itself (a data set member, a logical
node, an IED) and stands in `Scl.faults`. Data types are shared, not copied: a file of a few lines cannot grow into millions of values.
"""

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from protocols.iec61850.scltypes import (
    CONSTRAINTS,
    Attribute,
    Checker,
    DataObject,
    Leaf,
    SclError,
    Templates,
    leaves,
    need,
    number,
    text_of,
    truth,
)
from protocols.xmltree import Element, XmlError, parse

SPACE: Final = "http://www.iec.ch/61850/2003/SCL"
MOST_ATTRIBUTES: Final = 200_000
MMS_PORT: Final = 102
_INSTANCE: Final = re.compile(r"[0-9A-Za-z_]{1,64}")
_CLASS: Final = re.compile(r"[A-Z]{4}|LLN0")


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
            yield from leaves(one, one.name)

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
    checker = Checker(strict=strict)
    ieds = tuple(checker.each(root.all("IED"), _Reader(root, checker).ied, lambda ied: ied.name))
    return Scl(ieds, tuple(sorted(checker.faults, key=lambda fault: fault.line)))


class _Reader:
    def __init__(self, root: Element, checker: Checker) -> None:
        self._each, self._strict = checker.each, checker.strict
        self._templates = Templates(root, checker)
        self._connected = self._addresses(root)

    def _addresses(self, root: Element) -> dict[tuple[str, str], str]:
        found: dict[tuple[str, str], str] = {}
        communication = root.first("Communication")
        for network in communication.all("SubNetwork") if communication else ():
            for point in network.all("ConnectedAP"):
                given = {p.attributes.get("type", ""): text_of(p) for address in point.all("Address") for p in address.all("P")}
                host, port = given.get("IP", ""), given.get("MMS-Port", str(MMS_PORT))
                if re.fullmatch(r"[0-9A-Fa-f.:]{3,45}", host) and port.isascii() and port.isdigit() and int(port) < 65536:
                    key = (point.attributes.get("iedName", ""), point.attributes.get("apName", ""))
                    found.setdefault(key, f"[{host}]:{int(port)}" if ":" in host else f"{host}:{int(port)}")
        return found

    def ied(self, element: Element) -> Ied:
        name = need(element, "name")
        points = self._each(element.all("AccessPoint"), lambda point: (need(point, "name", _INSTANCE), point), lambda found: found[0])
        servers = [server for _, point in points for server in point.all("Server")]
        shells = self._each(
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
        inst = need(element, "inst", _INSTANCE)
        domain = need(element, "ldName", _INSTANCE) if element.attributes.get("ldName") else ied + inst
        nodes = tuple(self._each(element.all("LN0", "LN"), self._node, lambda node: node.name))
        if not self._strict and not nodes:
            return LogicalDevice(inst, domain, ())
        if element.first("LN0") is None:
            raise SclError("LDevice", element.line, f'"{inst}" has no LN0')
        return LogicalDevice(inst, domain, nodes)

    def _node(self, element: Element) -> LogicalNode:
        """Without data sets and report control blocks: they may speak of nodes that are not read yet."""
        kind = need(element, "lnClass", _CLASS)
        if element.name == "LN0" and (kind != "LLN0" or element.attributes.get("inst", "") != ""):
            raise SclError("LN0", element.line, f'expected lnClass="LLN0" inst="", found lnClass="{kind}"')
        inst = "" if element.name == "LN0" else need(element, "inst", re.compile(r"[0-9]{1,12}"))
        prefix = need(element, "prefix") if element.attributes.get("prefix") else ""
        type_id = need(element, "lnType", re.compile(r".{1,255}"))
        known = self._templates.node_class(type_id)
        if known is None:
            raise SclError(element.name, element.line, f'lnType="{type_id}" is not among the data type templates')
        if known != kind:
            raise SclError(element.name, element.line, f'lnType="{type_id}" is of class {known}, not {kind}')
        values: dict[str, str] = {}
        notes: dict[str, str] = {}
        for instance in element.all("DOI"):
            path = instance.attributes.get("name", "")
            notes[path] = instance.attributes.get("desc", "")
            _collect(instance, path, values)
        return LogicalNode(prefix + kind + inst, self._templates.objects_of(type_id), (), (), values, notes)

    def _with_control(self, shell: LogicalDevice, element: Element, domains: Mapping[str, LogicalDevice]) -> LogicalDevice:
        named = {node.name: node for node in shell.nodes}
        for part in element.all("LN0", "LN"):
            name = "".join(part.attributes.get(key, "") for key in ("prefix", "lnClass", "inst"))
            node = named.get(name)
            if node is None or (node.data_sets or node.reports):
                continue
            sets = tuple(self._each(part.all("DataSet"), lambda found: self._data_set(shell, found, domains), lambda one: one.name))
            read_report = functools.partial(self._report, data_sets={one.name for one in sets})
            reports = tuple(self._each(part.all("ReportControl"), read_report, lambda one: one.names[0]))
            named[name] = LogicalNode(node.name, node.objects, sets, reports, node.values, node.notes)
        return LogicalDevice(shell.inst, shell.domain, tuple(named.values()))

    def _data_set(self, home: LogicalDevice, element: Element, domains: Mapping[str, LogicalDevice]) -> DataSet:
        members = self._each(element.all("FCDA"), lambda found: self._member(home, found, domains))
        return DataSet(need(element, "name"), tuple(members))

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
        name, data_set = need(element, "name"), element.attributes.get("datSet", "")
        if data_set and data_set not in data_sets:
            raise SclError("ReportControl", element.line, f'datSet="{data_set}" is not a data set of this logical node')
        enabled = element.first("RptEnabled")
        most = number(enabled, "max", 1, 1, 99) if enabled else 1
        indexed = truth(element, "indexed", True)
        return ReportBlock(
            names=tuple(f"{name}{number:02}" for number in range(1, most + 1)) if indexed else (name,),
            buffered=truth(element, "buffered", False),
            data_set=data_set,
            report_id=element.attributes.get("rptID", ""),
            conf_rev=number(element, "confRev", 1),
            integrity_ms=number(element, "intgPd", 0),
            buffer_ms=number(element, "bufTime", 0),
        )


def _collect(element: Element, path: str, values: dict[str, str]) -> None:
    for part in element.all("SDI"):
        _collect(part, f"{path}.{part.attributes.get('name', '')}", values)
    for part in element.all("DAI"):
        given = part.first("Val")
        if given is not None:
            values[f"{path}.{part.attributes.get('name', '')}"] = text_of(given)


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
