"""What a simulated IEC 61850 device has: every attribute with its type, the data sets, the report control blocks. Pure.

Made from a device map alone (what the map reads, and what a control needs), or from the SCL file that the map was made from (everything
the file says). `simulators.iec61850_server` builds it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from protocols.devicemap import DeviceMap, Tag
from protocols.iec61850 import scl, scltypes
from protocols.iec61850.plan import Mode, Options, Point, parse_point, parse_text

CONTENT, QUALITY, UPDATE = 1, 2, 4  # what a change of an attribute triggers: dchg, qchg, dupd
DIRECT, SELECT, DIRECT_ENHANCED, SELECT_ENHANCED = 1, 2, 3, 4  # ctlModel
DATA_SET: Final = "ds01"
_KINDS: Final[Mapping[str, str]] = {
    "bool": "BOOLEAN",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "uint8": "INT8U",
    "uint16": "INT16U",
    "uint32": "INT32U",
    "float32": "FLOAT32",
    "float64": "FLOAT64",
}
_TRIGGERS: Final = {"dchg": CONTENT, "qchg": QUALITY, "dupd": UPDATE}
_ORDER: Final = (("origin.orCat", "Enum"), ("origin.orIdent", "Octet64"), ("ctlNum", "INT8U"), ("T", "Timestamp"), ("Test", "BOOLEAN"))


@dataclass(frozen=True, slots=True)
class Leaf:
    """An attribute without parts. kind: basic type of SCL. value: what it begins with, as text."""

    domain: str
    node: str
    object: str
    attribute: str
    constraint: str
    kind: str
    triggers: int = 0
    value: str = ""

    @property
    def place(self) -> str:
        return f"{self.domain}/{self.node}.{self.object}.{self.attribute}[{self.constraint}]"


@dataclass(frozen=True, slots=True)
class DataSet:
    """entries: "MMXU1$MX$TotW", with "domain/" before it where that is another one."""

    domain: str
    node: str
    name: str
    entries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Block:
    domain: str
    node: str
    name: str
    buffered: bool
    report_id: str
    data_set: str
    conf_rev: int = 1
    buffer_ms: int = 0
    integrity_ms: int = 0


@dataclass(frozen=True, slots=True)
class Model:
    leaves: tuple[Leaf, ...]
    data_sets: tuple[DataSet, ...]
    blocks: tuple[Block, ...]

    def message(self, device_map: DeviceMap) -> dict[str, Any]:
        """For the server's process. points: per tag the numbers of its value, quality and time among the leaves (-1 = none), and its limits."""
        places = {leaf.place: number for number, leaf in enumerate(self.leaves)}
        return {
            "leaves": [
                [leaf.domain, leaf.node, leaf.object, leaf.attribute, leaf.constraint, leaf.kind, leaf.triggers, leaf.value]
                for leaf in self.leaves
            ],
            "sets": [[one.domain, one.node, one.name, list(one.entries)] for one in self.data_sets],
            "blocks": [
                [one.domain, one.node, one.name, one.buffered, one.report_id, one.data_set, one.conf_rev, one.buffer_ms, one.integrity_ms]
                for one in self.blocks
            ],
            "points": [_point(places, device_map.options, tag) for tag in device_map.tags],
        }


def _point(places: Mapping[str, int], options: Options, tag: Tag) -> list[Any]:
    point = parse_point(tag.at)
    base = f"{options.domain_of(point.ld)}/{point.node}.{point.object}"
    numbers = [places.get(f"{base}.{attribute}[{point.constraint}]", -1) for attribute in (point.attribute, "q", "t")]
    if numbers[0] < 0:
        raise ValueError(f'tag "{tag.name}": the model has no {base}.{point.attribute}[{point.constraint}]')
    rule = tag.write
    scale, offset = float(tag.scale), float(tag.offset)
    limits = sorted([(rule.low - offset) / scale, (rule.high - offset) / scale]) if rule else []
    return [*numbers, tag.type.value, limits]


def model_of_map(device_map: DeviceMap, control_models: Mapping[str, int]) -> Model:
    """control_models: per name of a writable state or measurand; DIRECT where it is not named."""
    options: Options = device_map.options
    leaves: dict[str, Leaf] = {}
    for tag in device_map.tags:
        point = parse_point(tag.at)
        for leaf in _of_tag(options.domain_of(point.ld), point, tag, control_models.get(tag.name, DIRECT)):
            leaves.setdefault(leaf.place, leaf)
    for text in device_map.texts:
        ld, reference, constraint = parse_text(text.at)
        node, _, path = reference.partition(".")
        name, _, attribute = path.partition(".")
        leaf = Leaf(options.domain_of(ld), node, name, attribute, constraint, "VisString255", 0, f"simulated {text.name}")
        leaves.setdefault(leaf.place, leaf)
    entries = tuple(dict.fromkeys(_entry(options, parse_point(tag.at)) for tag in device_map.tags))
    blocks = [_block(options, report) for report in options.reports] if options.mode is Mode.REPORT else []
    homes = dict.fromkeys((block.domain, block.node) for block in blocks)
    sets = tuple(DataSet(domain, node, DATA_SET, entries) for domain, node in homes)
    return Model(tuple(leaves.values()), sets, tuple(blocks))


def _entry(options: Options, point: Point) -> str:
    home = f"{options.domain_of(point.ld)}/" if point.ld else ""
    return f"{home}{point.node}${point.constraint}${point.object.replace('.', '$')}"


def _block(options: Options, report: str) -> Block:
    domain, _, rest = options.block(report).partition("/")
    node, kind, name = rest.split(".")
    return Block(domain, node, name, kind == "BR", f"{name}_report", DATA_SET)


def _of_tag(domain: str, point: Point, tag: Tag, control_model: int) -> Iterable[Leaf]:
    """The value attribute, with q and t beside it in its data object; what a control needs."""
    base = (domain, point.node, point.object)
    double_point = point.node.startswith(("XCBR", "XSWI", "CSWI")) and point.object == "Pos"
    if point.constraint != "SP":
        yield Leaf(*base, "q", point.constraint, "Quality", QUALITY)
        yield Leaf(*base, "t", point.constraint, "Timestamp")
    kind = "Dbpos" if double_point else _KINDS[tag.type.value]
    yield Leaf(*base, point.attribute, point.constraint, kind, CONTENT | UPDATE)
    if tag.write is not None and point.constraint in ("ST", "MX"):
        yield Leaf(*base, "ctlModel", "CF", "Enum", 0, str(control_model))
        yield Leaf(*base, "SBO", "CO", "VisString129")
        ordered = "ctlVal.f" if kind.startswith("FLOAT") else "ctlVal"
        for service in ("SBOw", "Oper", "Cancel"):
            yield Leaf(*base, f"{service}.{ordered}", "CO", "BOOLEAN" if double_point else kind)
            for name, part in _ORDER if service == "Cancel" else (*_ORDER, ("Check", "Check")):
                yield Leaf(*base, f"{service}.{name}", "CO", part)


def model_of_scl(ied: scl.Ied) -> Model:
    leaves = tuple(
        Leaf(
            device.domain,
            node.name,
            leaf.object,
            leaf.attribute,
            leaf.constraint,
            leaf.type.kind,
            sum(_TRIGGERS[one] for one in leaf.triggers),
            _number_of(leaf, node.value(leaf)),
        )
        for device in ied.devices
        for node in device.nodes
        for leaf in node.leaves()
    )
    nodes = {(device.domain, node.name): node for device in ied.devices for node in device.nodes}
    sets, blocks = [], []
    for (domain, name), node in nodes.items():
        for one in node.data_sets:
            entries = tuple(entry for member in one.members if _served(member, nodes) for entry in _entries(member, domain, nodes))
            sets.append(DataSet(domain, name, one.name, entries))
        for report in node.reports:
            identity = report.report_id or f"{domain}/{name}.{report.names[0]}"
            blocks += [
                Block(
                    domain, name, block, report.buffered, identity, report.data_set, report.conf_rev, report.buffer_ms, report.integrity_ms
                )
                for block in report.names
            ]
    return Model(leaves, tuple(sets), tuple(blocks))


def _served(member: scl.Member, nodes: Mapping[tuple[str, str], scl.LogicalNode]) -> bool:
    """Is there anything of it? Arrays are not."""
    path = ".".join(filter(None, [member.object, member.attribute]))
    return any(
        leaf.constraint == member.constraint and f"{leaf.object}.{leaf.attribute}.".startswith(f"{path}." if path else "")
        for leaf in nodes[member.domain, member.node].leaves()
    )


def _entries(member: scl.Member, home: str, nodes: Mapping[tuple[str, str], scl.LogicalNode]) -> Iterable[str]:
    prefix = "" if member.domain == home else member.domain + "/"
    objects = [member.object]
    if not member.object:
        objects = [one.name for one in nodes[member.domain, member.node].objects if member.constraint in one.constraints]
    for one in objects:
        yield prefix + "$".join(filter(None, [member.node, member.constraint, *one.split("."), *member.attribute.split(".")]))


def _number_of(leaf: scltypes.Leaf, value: str) -> str:
    """An enumeration's number for its name."""
    return next((str(number) for number, label in leaf.type.labels.items() if label == value), value) if leaf.type.labels else value
