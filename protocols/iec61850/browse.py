"""Looking through an IEC 61850 device online: its logical devices, attributes, data sets and report control blocks; a device map's text of them.

The device is asked by the child process, as for reading. Types are those that MMS tells: an enumeration looks like an integer there, and
its labels are only in the SCL file.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from protocols import quality
from protocols.driver import DeviceMisbehaves, DeviceUnreachable, DriverSetup
from protocols.iec61850.maptext import Described, Found, device_map_text, first_instances, unit_of
from protocols.iec61850.pipe import end_child, pack, receive_async, start_child
from protocols.iec61850.plan import VALUE_ATTRIBUTES, Settings
from protocols.iec61850.request import browse_request

PATIENCE_S: Final = 60.0
_INTEGERS: Final[Mapping[int, str]] = {8: "INT8", 16: "INT16", 24: "INT24", 32: "INT32", 64: "INT64"}


@dataclass(frozen=True, slots=True)
class BrowsedBlock:
    """A report control block. taken: another client uses it."""

    name: str
    data_set: str
    taken: bool
    conf_rev: int


@dataclass(frozen=True, slots=True)
class BrowsedDevice:
    """A logical device. found: its attributes without parts; data_sets: members by reference."""

    domain: str
    found: tuple[Found, ...]
    data_sets: Mapping[str, tuple[str, ...]]
    blocks: tuple[BrowsedBlock, ...]


async def browse(address: str, settings: Settings | None = None) -> tuple[BrowsedDevice, ...]:
    """Raises DriverError."""
    settings = settings or Settings()
    worker = await start_child("protocols.iec61850.worker")
    assert worker.stdin is not None and worker.stdout is not None
    try:
        worker.stdin.write(pack(browse_request(address, settings)))
        async with asyncio.timeout(PATIENCE_S + settings.timeout_us / 1e6):
            while True:
                match await receive_async(worker.stdout):
                    case ["model", list(devices)]:
                        return tuple(_device(*device) for device in devices)
                    case ["error", "setup", str(text)]:
                        raise DriverSetup(f"{address}: {text}", quality.BAD_CONFIGURATION)
                    case ["error", _, str(text)]:
                        raise DeviceUnreachable(f"{address}: {text}", quality.BAD_NO_COMMUNICATION)
    except (EOFError, TimeoutError) as error:
        raise DeviceUnreachable(f"{address}: the IEC 61850 process ended or hung", quality.BAD_NO_COMMUNICATION) from error
    except (ValueError, TypeError) as error:
        raise DeviceMisbehaves(f"{address}: {error}", quality.BAD_NO_COMMUNICATION) from error
    finally:
        await end_child(worker)


def _device(domain: str, attributes: list[Any], units: Mapping[str, list[str]], sets: list[Any], blocks: list[Any]) -> BrowsedDevice:
    found = []
    for node, name, attribute, constraint, kind, size in attributes:
        owner, path = _split(name, attribute)
        unit, multiplier = units.get(f"{node}.{owner}", ("", ""))
        basic = _basic_type(kind, size)
        numeric = basic.startswith(("INT", "FLOAT"))
        found.append(Found(domain, node, owner, path, constraint, basic, unit_of(multiplier, unit) if numeric else ""))
    data_sets = {name: tuple(members) for name, members in sets}
    return BrowsedDevice(domain, tuple(found), data_sets, tuple(BrowsedBlock(*block) for block in blocks))


def _split(name: str, attribute: str) -> tuple[str, str]:
    """Data object with sub-objects, and the attribute: MMS does not say where the one ends. Sub-objects begin with q, t or a value."""
    parts = [name, *attribute.split(".")]
    at = next((number for number, part in enumerate(parts) if number and (part in VALUE_ATTRIBUTES or part in ("q", "t"))), 1)
    return ".".join(parts[:at]), ".".join(parts[at:])


def _basic_type(kind: int, size: int) -> str:
    """kind: the library's number of an MMS type; size: the width that MMS tells of it."""
    match kind:
        case 2:
            return "BOOLEAN"
        case 3:
            return "Dbpos" if abs(size) == 2 else "Quality"
        case 4:
            return _INTEGERS.get(size, "INT32")
        case 5:
            return _INTEGERS.get(size, "INT32") + "U"
        case 6:
            return "FLOAT64" if size == 64 else "FLOAT32"
        case 8:
            return "VisString255"
        case _:
            return "Timestamp"


def browsed_map(name: str, address: str, devices: tuple[BrowsedDevice, ...]) -> str:
    """A device map's text. Raises ValueError where nothing can be carried."""
    found = tuple(one for device in devices for one in device.found)
    reports = [(device.domain, block.name, block.data_set) for device in devices for block in device.blocks]
    domains = tuple(device.domain for device in devices)
    described = Described(_common(domains), domains, found, first_instances(reports))
    return device_map_text(name, described, f"browsed at {address}")


def _common(domains: tuple[str, ...]) -> str:
    """The IED's name is what the names of its logical devices begin with, if there are several. Of one, nobody knows where it ends."""
    if len(domains) < 2:
        return ""
    first, last = min(domains), max(domains)
    length = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    return first[:length].rstrip("0123456789_")
