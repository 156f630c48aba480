"""The seam of the simulators: a source gives steps, a face serves them over one protocol, the truth log says what was served.

A face serves devices from the same device maps that the agent reads. Raw values are made by `protocols.devicemap.to_raw`, so that a
comparison with the hub is exact, not approximate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TextIO

import numpy as np
from numpy.typing import NDArray

from protocols.devicemap import Device


@dataclass(frozen=True, slots=True)
class Step:
    """One instant of one device: `values` (float64 engineering units, NaN = no value) and `quality` (uint32), in the order of its map's tags.

    label: what truly happens, which is never served: 0 normal, -1 not known, else a number of the recording or of the plant's fault.
    """

    time_us: int
    values: NDArray[np.float64]
    quality: NDArray[np.uint32]
    label: int = -1


class Source(Protocol):
    """Where the values of a device come from (a recording, a plant)."""

    def step(self, index: int, time_us: int) -> Step | None:
        """Step number `index` stamped `time_us`, or None after the last one. `index` rises by one per call."""


class Face(Protocol):
    """One protocol's server for some devices."""

    async def start(self, devices: Sequence[Device], first: Sequence[Step]) -> None:
        """Listen on each device's address (port 0 = any free one; `address_of` tells) and serve `first`."""

    def address_of(self, device: Device) -> str:
        """Where the device really listens, in the words of a gateway's file."""

    async def publish(self, device: Device, step: Step) -> None:
        """From now on the device shows `step`. Returns soon whatever fault the device has: one device never holds up another."""

    async def fault(self, device_name: str, kind: str, duration_us: int) -> None:
        """Let the device fail in the given way for a while, then be well again. Raises ValueError for a kind its protocol does not have."""

    async def stop(self) -> None: ...


class LabelLog:
    """What truly happened to each device, one line per change: device, source_us of the first step, label. Comma separated."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._said: dict[str, int] = {}

    def shown(self, device: Device, step: Step) -> None:
        if self._said.get(device.name) != step.label:
            self._said[device.name] = step.label
            self._out.write(f"{device.name},{step.time_us},{step.label}\n")
            self._out.flush()


class TruthLog:
    """Every value served, one line per sample: protocol, tag name, source_us, engineering value (repr), quality. Comma separated.

    Flushed per call, so that a killed simulator leaves no half line but the last.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def served(self, device: Device, time_us: int, values: NDArray[np.float64], quality: NDArray[np.uint32]) -> None:
        """values: engineering values of the raw values that went out, in the order of the map's tags."""
        protocol = device.map.protocol
        lines = [
            f"{protocol},{device.name}.{tag.name},{time_us},{value!r},{code}\n"
            for tag, value, code in zip(device.map.tags, values.tolist(), quality.tolist(), strict=True)
        ]
        self._out.write("".join(lines))
        self._out.flush()
