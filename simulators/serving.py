"""What `qenergyz sim serve FILE...` serves: a device map, every IED of an SCL file, or a server made of OPC UA nodesets.

All move plausibly (`simulators/wander.py`, nodesets by their own server); nothing here models physics.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from protocols.devicemap import SHIPPED, Device, DeviceMaps, load_device_map, parse_devices
from protocols.tomlfile import ConfigError, TomlFile, nearest
from simulators.face import Face, Source, TruthLog
from simulators.plant.signals import Course
from simulators.scenario import Scenario
from simulators.wander import WanderSource

# Where a device of each protocol listens when nothing is said.
FREE: Final[Mapping[str, str]] = {
    "modbus": "127.0.0.1:0",
    "opcua": "opc.tcp://127.0.0.1:0/",
    "mqtt": "mqtt://127.0.0.1:0",
    "iec61850": "127.0.0.1:0",
}


@dataclass(frozen=True, slots=True)
class Served:
    """make_face: for a protocol, where another than the usual one is needed."""

    scenario: Scenario
    sources: tuple[Source, ...]
    make_face: Callable[[str, TruthLog | None], Face] | None = None


def find(name: str) -> Path:
    """The file of that path, else the shipped device map of that name. Raises ConfigError."""
    path = Path(name)
    shipped = {found.stem: found for found in SHIPPED.glob("*.toml")}
    if not path.is_file() and name not in shipped:
        raise ConfigError(path, 0, f"no such file or device map{nearest(name, shipped)} Shipped: {', '.join(sorted(shipped))}.")
    return path if path.is_file() else shipped[name]


def root_of(path: Path) -> str:
    """Name of an XML file's root element, "" for what is no XML."""
    if path.suffix in (".toml", ".gz"):
        return "UANodeSet" if path.name.endswith(".xml.gz") else ""
    try:
        with path.open("rb") as file:
            for _, element in ElementTree.iterparse(file, events=("start",)):  # noqa: S314 - the first tag alone; parsers that refuse entities read the rest
                return str(element.tag).rpartition("}")[2]
    except (ElementTree.ParseError, OSError):
        pass
    return ""


def of_map(path: Path, *, name: str = "", address: str = "", unit: int = 1, seed: int = 1) -> Served:
    """One device. Raises ConfigError."""
    device_map = load_device_map(path)
    protocol = device_map.protocol
    text = f'[[device]]\nname = {json.dumps(name or device_map.name)}\nmap = "{device_map.name}"\naddress = {json.dumps(address or FREE[protocol])}\n'
    text += f"unit = {unit}\n" if protocol == "modbus" else ""
    devices = parse_devices(TomlFile(path, text).root.sections("device"), DeviceMaps((path.parent,)))
    return _moving(name or device_map.name, devices, seed)


def of_scl(path: Path, *, seed: int = 1) -> Served:
    """Every IED of the file that has values. Raises SclError."""
    from simulators.iec61850 import Iec61850Face
    from simulators.iec61850_scl import devices_of_scl

    found = devices_of_scl(path)
    served = _moving(path.stem, [device for device, _ in found], seed)
    ieds = {device.name: ied for device, ied in found}
    return Served(served.scenario, served.sources, lambda _, truth: Iec61850Face(truth, ieds=ieds))


def _moving(name: str, devices: Sequence[Device], seed: int) -> Served:
    scenario = Scenario(name, seed, 1.0, "wall", tuple(devices), (), (), Course())
    return Served(scenario, tuple(WanderSource(device.map.tags, seed) for device in devices))


def for_a_gateway(device: Device, address: str) -> str:
    """What to paste into a gateway's file."""
    lines = ["[[device]]", f'name = "{device.name}"', f'map = "{device.map.name}"', f'address = "{address}"']
    more = {"modbus": [f"unit = {getattr(device.settings, 'unit', 1)}"], "mqtt": ['version = "3.1.1"']}  # what the embedded broker speaks
    return "\n".join([*lines, *more.get(device.map.protocol, ())])
