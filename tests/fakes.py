"""Stand-ins that keep the production seams: a clock that only moves when told or when somebody sleeps."""

import asyncio


class FakeClock:
    """Sleeping moves time at once, after giving other tasks a turn."""

    def __init__(self, now_us: int = 1_700_000_000_000_000) -> None:
        self.wall_us = now_us
        self.mono_us = 0
        self.slept_us: list[int] = []

    def now_us(self) -> int:
        return self.wall_us

    def monotonic_us(self) -> int:
        return self.mono_us

    def advance(self, duration_us: int) -> None:
        self.wall_us += duration_us
        self.mono_us += duration_us

    async def sleep_us(self, duration_us: int) -> None:
        self.slept_us.append(duration_us)
        self.advance(max(0, duration_us))
        await asyncio.sleep(0)
