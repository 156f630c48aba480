"""SCL file -> device map text, one per IED. Reads no devices; what is made is to be looked through before use.

An IED that violates the schema is an error with element and line; `strict=False` leaves out what is faulty and tells it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from protocols.iec61850 import scl
from protocols.iec61850.maptext import CARRIED, TEXTS, Described, Found, device_map_text, first_instances, unit_of


@dataclass(frozen=True, slots=True)
class Imported:
    """One IED. name: of the device map and its file. address: "host:port" where the file tells it, else ""."""

    ied: str
    name: str
    address: str
    text: str


def import_scl(path: Path, *, ied: str = "", strict: bool = True) -> tuple[tuple[Imported, ...], tuple[str, ...]]:
    """The maps of all IEDs that have values, or of the named one; and what was left out. Raises SclError, OSError, ValueError."""
    read = scl.read_scl(path.read_bytes(), strict=strict)
    left_out = [str(fault) for fault in read.faults]
    if ied and ied not in (names := [one.name for one in read.ieds]):
        raise ValueError(f'{path.name}: no IED "{ied}"; there are {", ".join(names) or "none"}')
    imported = []
    for one in read.ieds:
        if ied in ("", one.name):
            try:
                imported.append(_import(one, path))
            except ValueError as error:
                left_out.append(f"{path.name}: {error}")
    return tuple(imported), tuple(left_out)


def _import(ied: scl.Ied, path: Path) -> Imported:
    name = f"{ied.name.lower()}_iec61850"
    text = device_map_text(name, describe(ied), f"SCL file {path.name}, IED {ied.name}")
    return Imported(ied.name, name, ied.address, text)


def describe(ied: scl.Ied) -> Described:
    found = tuple(one for device in ied.devices for node in device.nodes for one in _of_node(device, node))
    reports = [
        (
            device.domain,
            f"{node.name}.{'BR' if report.buffered else 'RP'}.{report.names[0]}",
            f"{device.domain}/{node.name}.{report.data_set}",
        )
        for device in ied.devices
        for node in device.nodes
        for report in node.reports
        if report.data_set
    ]
    domains = tuple(device.domain for device in ied.devices)
    return Described(ied.name, domains, found, first_instances(reports), ied.maker, ied.type)


def _of_node(device: scl.LogicalDevice, node: scl.LogicalNode) -> Iterator[Found]:
    leaves = list(node.leaves())
    named = {
        f"{leaf.object}.{leaf.attribute}": node.value(leaf)
        for leaf in leaves
        if leaf.attribute in ("units.SIUnit", "units.multiplier", "d")
    }
    for leaf in leaves:
        if leaf.type.kind in CARRIED or leaf.type.kind in TEXTS:
            unit, multiplier = (named.get(f"{leaf.object}.units.{part}", "") for part in ("SIUnit", "multiplier"))
            measured = leaf.type.kind.startswith(("FLOAT", "INT"))
            yield Found(
                device.domain,
                node.name,
                leaf.object,
                leaf.attribute,
                leaf.constraint,
                leaf.type.kind,
                unit_of(multiplier, unit) if measured else "",
                leaf.type.labels,
                named.get(f"{leaf.object}.d", "") or node.notes.get(leaf.object.partition(".")[0], ""),
            )
