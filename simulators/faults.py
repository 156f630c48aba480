"""What can go wrong with a simulated device, and the part of it that alters steps.

A frozen device repeats its values with advancing time and says so (uncertain, last usable); bad quality keeps the values and calls
them a sensor failure. Cut links and exception replies are the business of each face.
"""

import asyncio
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from protocols import quality
from simulators.face import Step

OF_ALL: Final = ("drop_link", "freeze", "bad_quality", "delay")
KINDS: Final = (*OF_ALL, "exception", "late", "garbled", "busy", "wrong_unit", "wrong_transaction")  # the others are Modbus' own


@dataclass(slots=True)
class Disturbance:
    """The state of one device: what its steps go through before they are shown."""

    frozen: Step | None = None
    bad: bool = False
    last: Step | None = None

    def alter(self, step: Step) -> Step:
        if self.frozen is not None:
            unusable = self.frozen.quality & quality.BAD != 0
            codes = np.where(unusable, self.frozen.quality, np.uint32(quality.UNCERTAIN_LAST_USABLE)).astype(np.uint32)
            step = Step(step.time_us, self.frozen.values, codes)
        if self.bad:
            step = Step(step.time_us, step.values, np.full(len(step.quality), quality.BAD_SENSOR_FAILURE, np.uint32))
        self.last = step
        return step

    def begin(self, kind: str) -> None:
        if kind == "freeze":
            self.frozen = self.last
        elif kind == "bad_quality":
            self.bad = True

    def end(self, kind: str) -> None:
        if kind == "freeze":
            self.frozen = None
        elif kind == "bad_quality":
            self.bad = False


class Server(Protocol):
    """One simulated device of a face that serves each device by itself."""

    disturbance: Disturbance

    async def drop_link(self, duration_us: int) -> None: ...

    async def delay(self, duration_us: int) -> None: ...


async def suffer(server: Server, kind: str, duration_us: int, protocol: str) -> None:
    """Let the device fail in the given way for a while, then be well again. ValueError for a kind that the protocol does not know."""
    match kind:
        case "drop_link":
            await server.drop_link(duration_us)
        case "delay":
            await server.delay(duration_us)
        case "freeze" | "bad_quality":
            server.disturbance.begin(kind)
            await asyncio.sleep(duration_us / 1e6)
            server.disturbance.end(kind)
        case _:
            known = ", ".join(OF_ALL)
            raise ValueError(f'fault "{kind}" is not known to {protocol} devices; expected one of {known}')
