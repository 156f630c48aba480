"""Time as the programs see it: integer microseconds since the epoch, UTC, and a monotonic twin for waiting.

Rules take times as values; only composition roots hold a Clock. Tests use `tests.fakes.FakeClock`.
"""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    def now_us(self) -> int:
        """Wall clock, microseconds since 1970-01-01 UTC; may jump."""

    def monotonic_us(self) -> int:
        """Never jumps back; zero is arbitrary."""

    async def sleep_us(self, duration_us: int) -> None:
        """Return after `duration_us` of monotonic time; at once when it is <= 0."""


class SystemClock:
    def now_us(self) -> int:
        return time.time_ns() // 1000

    def monotonic_us(self) -> int:
        return time.monotonic_ns() // 1000

    async def sleep_us(self, duration_us: int) -> None:
        await asyncio.sleep(max(0, duration_us) / 1_000_000)
