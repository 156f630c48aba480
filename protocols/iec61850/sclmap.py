"""An IED of an SCL file as far as a device map needs it: values, units, labels, name plates, report control blocks. Pure."""

from collections.abc import Iterator

from protocols.iec61850 import scl
from protocols.iec61850.maptext import CARRIED, TEXTS, Described, Found, first_instances, unit_of


def map_name(ied: scl.Ied) -> str:
    """Of the device map and its file."""
    return f"{ied.name.lower()}_iec61850"


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
        if leaf.attribute in ("units.SIUnit", "units.multiplier", "pulsQty", "d")
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
                named.get(f"{leaf.object}.pulsQty", ""),
            )
