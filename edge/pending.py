"""Frames in memory between a device and the buffer's next commit, by class, and what of them had to go because the disk took nothing for long.

Not for: anything durable (`edge.buffer`).
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from protocols.batch.columns import Gap, GapReason
from protocols.frame import Frame, Priority

EVENT_BYTES: Final = 1_000  # in memory, about


class Lost(NamedTuple):
    """A frame that was forced out of memory: source times of its samples, when the gateway had it, how much it held, and of which class."""

    first_us: int
    last_us: int
    gateway_us: int
    samples: int
    priority: Priority


class Pending:
    """`put`, `take` all, and `put_back` what was not committed. samples, events: how many wait."""

    def __init__(self) -> None:
        self._frames: dict[Priority, deque[Frame]] = {}
        self.samples = self.events = 0

    def __len__(self) -> int:
        return sum(map(len, self._frames.values()))

    @property
    def memory(self) -> int:
        """Bytes, about."""
        return self.samples * 8 + self.events * EVENT_BYTES

    def put(self, frame: Frame) -> None:
        self._frames.setdefault(frame.priority, deque()).append(frame)
        self._count(frame, 1)

    def put_back(self, frames: Sequence[Frame]) -> None:
        for frame in reversed(frames):
            self._frames.setdefault(frame.priority, deque()).appendleft(frame)
            self._count(frame, 1)

    def take(self) -> list[Frame]:
        """Each class in the order of arrival, the highest class first."""
        found = [frame for priority in sorted(self._frames, reverse=True) for frame in self._frames[priority]]
        self._frames.clear()
        self.samples = self.events = 0
        return found

    def waiting(self) -> Iterable[Frame]:
        return (frame for frames in self._frames.values() for frame in frames)

    def shed(self) -> Lost:
        """The oldest frame of the lowest class goes."""
        priority = min(one for one, frames in self._frames.items() if frames)
        frame = self._frames[priority].popleft()
        self._count(frame, -1)
        times = [int(moment) for block in frame.blocks if block.times_us.size for moment in (block.times_us.min(), block.times_us.max())]
        first_us, last_us = min(times, default=frame.gateway_us), max(times, default=frame.gateway_us)
        return Lost(first_us, last_us, frame.gateway_us, frame.samples + len(frame.events), priority)

    def _count(self, frame: Frame, sign: int) -> None:
        self.samples += sign * frame.samples
        self.events += sign * len(frame.events)


def gaps(lost: Sequence[Lost]) -> list[Gap]:
    """One record for each class."""
    found = []
    for priority in sorted({one.priority for one in lost}):
        same = [one for one in lost if one.priority is priority]
        first_us, last_us = min(one.first_us for one in same), max(one.last_us for one in same)
        found.append(Gap(first_us, last_us, GapReason.NEVER_KEPT, sum(one.samples for one in same), priority))
    return found
