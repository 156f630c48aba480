"""SCL file -> device map text, one per IED. Reads no devices; what is made is to be looked through before use.

An IED that violates the schema is an error with element and line; `strict=False` leaves out what is faulty and tells it.
"""

from dataclasses import dataclass
from pathlib import Path

from protocols.iec61850 import scl
from protocols.iec61850.maptext import device_map_text
from protocols.iec61850.sclmap import describe, map_name


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
    name = map_name(ied)
    text = device_map_text(name, describe(ied), f"SCL file {path.name}, IED {ied.name}")
    return Imported(ied.name, name, ied.address, text)
