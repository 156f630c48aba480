"""When the buffer will be full, if everything goes on as in the last minutes: a straight line through what waits for a receipt.

What was acknowledged can be evicted and does not count. Pure: the caller gives times and sizes.
"""

from collections import deque
from typing import Final

EVERY_US: Final = 10_000_000
KEPT: Final = 60  # ten minutes
FEWEST: Final = 3
LONGEST_S: Final = 10 * 365 * 86_400.0  # a forecast beyond is none


class Fill:
    """`seen` now and then; `full_in_s` for the room that is left."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, int]] = deque(maxlen=KEPT)

    def seen(self, mono_us: int, waiting_bytes: int) -> None:
        self._seen.append((mono_us, waiting_bytes))

    @property
    def bytes_per_s(self) -> float:
        """Slope of the least squares; 0 until enough was seen."""
        if len(self._seen) < FEWEST:
            return 0.0
        mean_us = sum(at for at, _ in self._seen) / len(self._seen)
        mean = sum(size for _, size in self._seen) / len(self._seen)
        spread = sum((at - mean_us) ** 2 for at, _ in self._seen)
        return 1e6 * sum((at - mean_us) * (size - mean) for at, size in self._seen) / spread if spread else 0.0

    def full_in_s(self, room_bytes: int) -> float | None:
        """None while it does not fill."""
        rate = self.bytes_per_s
        if room_bytes <= 0:
            return 0.0
        return room_bytes / rate if rate * LONGEST_S > room_bytes else None


def room(waiting_bytes: int, stored_bytes: int, max_bytes: int, disk_free_bytes: int) -> int:
    """Bytes that can still come to wait: up to the cap of the file, or up to what the disk holds."""
    return min(max_bytes, stored_bytes + disk_free_bytes) - waiting_bytes
