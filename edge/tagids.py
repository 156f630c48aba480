"""Which numbers the tags of a gateway have: a device keeps its own as long as its name is known, whatever is added or removed around it.

Every batch names its tag table by digest, so other numbers after a restart would be read just as rightly. They stay all the same: drivers
that run on while a neighbour is added stamp their samples with them, and what an earlier run kept can be compared with what comes next.
The numbers of a removed device are not given to another; it has them again when it comes back. File in the data folder: `tag_ids.json`.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from protocols.devicemap import Device

NAME: Final = "tag_ids.json"
Ranges = Mapping[str, tuple[int, int]]  # device -> its first number, and how many are kept for it


def place(devices: Sequence[Device], known: Ranges) -> tuple[Device, ...]:
    """The devices with their numbers: those they had, or, for a new or a grown one, the next that were never given."""
    free = max((first + count for first, count in known.values()), default=0)
    placed = []
    for device in devices:
        first, count = known.get(device.name, (0, -1))
        if len(device.map.tags) > count:
            first, free = free, free + len(device.map.tags)
        placed.append(device if device.first_id == first else replace(device, first_id=first))
    return tuple(placed)


def ranges(devices: Sequence[Device], known: Ranges) -> Ranges:
    """What to remember once `devices` were placed by `known`."""
    now = {
        device.name: (device.first_id, max(len(device.map.tags), known[device.name][1] if _same(device, known) else 0))
        for device in devices
    }
    return {**known, **now}


def _same(device: Device, known: Ranges) -> bool:
    return device.name in known and known[device.name][0] == device.first_id


def read(data: Path) -> Ranges:
    """Empty when there is no such file, or none that makes sense: then numbering begins anew, under another tag table."""
    try:
        found = json.loads((data / NAME).read_text())
        known = {str(name): (int(first), int(count)) for name, (first, count) in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
    end = 0
    for first, count in sorted(known.values()):
        if first < end or count < 0 or first + count > 2**32:
            return {}
        end = first + count
    return known


def save(data: Path, known: Ranges) -> None:
    """Durably, whole or not at all."""
    text = json.dumps({name: list(one) for name, one in known.items()})
    path, fresh = data / NAME, data / f"{NAME}.new"
    if path.exists() and path.read_text() == text:
        return
    with fresh.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
