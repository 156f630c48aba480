"""Not more than some lines per cause: something that comes and goes every second must not fill the log, nor hide the rest of it.

A cause is the event with its first value (`device_down device=pump1`). What was left out is counted on the next line of the cause.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

BURST: Final = 10
PER_MINUTE: Final = 6
CAUSES: Final = 1000  # the one unused for longest is forgotten


class PerCause(logging.Filter):
    """A token bucket per cause."""

    def __init__(self, monotonic_us: Callable[[], int]) -> None:
        super().__init__()
        self._now_us = monotonic_us
        self._buckets: OrderedDict[tuple[str, str], tuple[float, int, int]] = OrderedDict()  # tokens, at, left out

    def filter(self, record: logging.LogRecord) -> bool:
        first = record.args[0] if isinstance(record.args, tuple) and record.args else ""
        cause, now_us = (str(record.msg), str(first)), self._now_us()
        tokens, at_us, left_out = self._buckets.get(cause, (float(BURST), now_us, 0))
        tokens = min(float(BURST), tokens + (now_us - at_us) * PER_MINUTE / 60e6)
        allowed = tokens >= 1
        if allowed and left_out:
            record.msg = f"{record.msg} left_out={left_out}"
        self._buckets[cause] = (tokens - 1, now_us, 0) if allowed else (tokens, now_us, left_out + 1)
        self._buckets.move_to_end(cause)
        if len(self._buckets) > CAUSES:
            self._buckets.popitem(last=False)
        return allowed
