"""How old the ring of acknowledged batches is, in time that the agent ran: no clock that is set forward or back makes a batch old.

Every hour of running the newest batch is noted; a batch is old when the agent has run for a week since one that came after it was noted. Time
in which the agent did not run makes nothing older, which costs room that the cap gives back when it is needed. Pure: the buffer keeps the
bytes and deletes.
"""

import struct
from collections import deque
from typing import Final

KEEP_US: Final = 7 * 86_400_000_000
MARK_US: Final = 3_600_000_000
MOST_STEP_US: Final = 60_000_000  # between two looks; what is more is a clock that was set, or an agent that stood still
_MARK: Final = struct.Struct(">QQ")  # ran_us, batch id


class RingAge:
    """`seen` at every look; `old` says up to which batch all are old."""

    def __init__(self, kept: bytes = b"") -> None:
        self._marks = deque(_MARK.iter_unpack(kept[: len(kept) // _MARK.size * _MARK.size]))
        self._ran_us: int = self._marks[-1][0] if self._marks else 0
        self._looked_us: int | None = None

    def seen(self, now_us: int, newest_id: int) -> bool:
        """True when there is a new mark to be kept."""
        step_us = 0 if self._looked_us is None else now_us - self._looked_us
        self._looked_us = now_us
        self._ran_us += min(max(step_us, 0), MOST_STEP_US)
        if self._marks and self._ran_us - self._marks[-1][0] < MARK_US:
            return False
        self._marks.append((self._ran_us, newest_id))
        while len(self._marks) > 1 and self._ran_us - self._marks[1][0] >= KEEP_US:
            self._marks.popleft()
        return True

    @property
    def old(self) -> int:
        """0: none."""
        return self._marks[0][1] if self._marks and self._ran_us - self._marks[0][0] >= KEEP_US else 0

    def to_bytes(self) -> bytes:
        return b"".join(_MARK.pack(*mark) for mark in self._marks)
