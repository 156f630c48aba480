"""Devices from an SCL file: what `Iec61850Face` needs to serve every IED of it as the file says, with a map of all its values."""

import tempfile
from pathlib import Path

from protocols.devicemap import Device, load_device_map
from protocols.iec61850.maptext import device_map_text
from protocols.iec61850.plan import Settings
from protocols.iec61850.scl import Ied, read_scl
from protocols.iec61850.sclmap import describe, map_name
from protocols.iec61850.scltypes import SclError

ANY_PORT = "127.0.0.1:0"


def devices_of_scl(path: Path, *, address: str = ANY_PORT) -> tuple[tuple[Device, Ied], ...]:
    """One device per IED that has values, named as the IED. What violates the schema is left out. Raises SclError for what is not SCL."""
    found = []
    first_id = 0
    for ied in read_scl(path.read_bytes(), strict=False).ieds:
        try:
            text = device_map_text(map_name(ied), describe(ied), f"SCL file {path.name}, IED {ied.name}")
        except ValueError:  # nothing in it that could be shown
            continue
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"{map_name(ied)}.toml"
            file.write_text(text, encoding="utf-8")
            device_map = load_device_map(file)
        found.append((Device(ied.name, device_map, address, Settings(), first_id=first_id), ied))
        first_id += len(device_map.tags)
    if not found:
        raise SclError("SCL", 1, f"{path.name} has no IED with values")
    return tuple(found)
