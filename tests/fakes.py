"""Stand-ins that keep the production seams: a clock that only moves when told or when somebody sleeps."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from protocols.tracing import Attribute, Tracing


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


class RecordedTracing(Tracing):
    """Spans as (name, parent, attributes), in the order of their ends; each has a traceparent of its own."""

    on = True

    def __init__(self) -> None:
        self.spans: list[tuple[str, str, dict[str, Attribute]]] = []

    @contextmanager
    def span(self, name: str, parent: str = "", **attributes: Attribute) -> Iterator[str]:
        yield f"00-{len(self.spans) + 1:032x}-{1:016x}-01"
        self.spans.append((name, parent, attributes))

    def past(self, name: str, began_ns: int, **attributes: Attribute) -> None:
        assert began_ns > 0
        self.spans.append((name, "", attributes))

    def now_ns(self) -> int:
        return 1

    def named(self, name: str) -> list[dict[str, Attribute]]:
        return [attributes for found, _, attributes in self.spans if found == name]
