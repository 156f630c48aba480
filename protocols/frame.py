"""Frame: what one read of one device gave, as columns.

A frame holds blocks of numpy arrays, never an object per sample. Values are raw: integer registers as read, scale and
offset stay in the tag table. Two shapes of block exist:

* grid       `values.ndim == 2`, shape (r, k): tag `tags[j]` had `values[i, j]` at `times_us[i]`  (a poll: r = 1)
* scattered  `values.ndim == 1`, shape (m,):   tag `tags[j]` had `values[j]` at `times_us[j]`     (notifications)

Order inside a scattered block is the order of arrival and is kept per tag. A value under bad quality means nothing.
"""

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.event import Event

Values = NDArray[Any]  # int32, int64, float32 or float64: see TagType.column


class Priority(enum.IntEnum):
    """Whose data goes first when a gateway runs out of room: the lowest. Devices are bulk, normal or critical; events are above them all."""

    BULK = 0
    NORMAL = 1
    CRITICAL = 2
    EVENT = 3


@dataclass(frozen=True, slots=True)
class Block:
    """tags: uint32 ids of the gateway's tag table; times_us: int64 source times; quality: uint32 like values, or None = all good."""

    tags: NDArray[np.uint32]
    times_us: NDArray[np.int64]
    values: Values
    quality: NDArray[np.uint32] | None = None

    @property
    def samples(self) -> int:
        return self.values.size


@dataclass(frozen=True, slots=True)
class Frame:
    """gateway_us: when the agent had the data. `acknowledge`, where given, is called once the frame is durable (MQTT PUBACK).

    messages: 16-byte identities of the broker messages that the frame was made of. They are kept with the frame in one transaction and handed
    to the driver's next session (`delivered`), which drops a redelivery of any of them: an agent killed between commit and
    acknowledgement doubles nothing. events: what is no number (alarms, texts, writes), kept and signed like samples. A frame has samples
    or events. priority: of its device.
    """

    device: str
    gateway_us: int
    blocks: Sequence[Block]
    acknowledge: Callable[[], None] | None = None
    messages: Sequence[bytes] = ()
    events: Sequence[Event] = ()
    priority: Priority = Priority.NORMAL

    @property
    def samples(self) -> int:
        return sum(block.values.size for block in self.blocks)
