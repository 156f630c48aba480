"""The live stream as server-sent events, conflated: each reader is sent the newest of what changed.

What is sent comes from feeds: latest values here, at most four times a second, and others such as results of the reaction. A reader that is slow or stalled holds up nobody and costs no
memory: what it missed is simply newer when it reads on.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any, Final, Protocol

import numpy as np
import orjson

from cloud.telemetry.latest import Latest, LatestColumns

PERIOD_S: Final = 0.25  # between two frames of latest values
GATHER_S: Final = 0.02  # between two frames of anything
KEEPALIVE_S: Final = 15.0


class Feed(Protocol):
    """Something that changes, seen by one reader."""

    def news(self) -> list[tuple[str, bytes]]:
        """(event name, data of one line) of what changed since the last call; the first call gives everything."""

    async def wait(self) -> None:
        """Return when there are news."""


def document(found: LatestColumns) -> dict[str, list[object]]:
    """tag id -> [time_us, value or null, quality]."""
    values = [value if finite else None for value, finite in zip(found.values.tolist(), np.isfinite(found.values).tolist(), strict=True)]
    rows = zip(found.tag_ids.tolist(), found.times_us.tolist(), values, found.quality.tolist(), strict=True)
    return {str(tag_id): [time_us, value, code] for tag_id, time_us, value, code in rows}


class LatestFeed:
    def __init__(self, latest: Latest, tenant_id: int) -> None:
        self._latest, self._tenant_id, self._version, self._due = latest, tenant_id, 0, 0.0

    def news(self) -> list[tuple[str, bytes]]:
        if time.monotonic() < self._due:
            return []
        found = self._latest.since(self._tenant_id, self._version)
        self._version = found.version
        if not found.tag_ids.size:
            return []
        self._due = time.monotonic() + PERIOD_S
        return [("latest", orjson.dumps(document(found)))]

    async def wait(self) -> None:
        await asyncio.sleep(max(0.0, self._due - time.monotonic()))
        await self._latest.wait(self._tenant_id, self._version)


async def events(feeds: Sequence[Feed], closing: asyncio.Event) -> AsyncIterator[bytes]:
    """Frames of text/event-stream until the reader goes or the hub closes: first everything, then what changed."""
    while not closing.is_set():
        for feed in feeds:
            for name, data in feed.news():
                yield b"event: %s\ndata: %s\n\n" % (name.encode(), data)
        await _unless(closing, asyncio.sleep(GATHER_S), GATHER_S * 2)
        if not await _unless(closing, _any(feeds), KEEPALIVE_S):
            yield b": keep-alive\n\n"


async def _any(feeds: Sequence[Feed]) -> None:
    """Return when one of them has news."""
    waiting = [asyncio.ensure_future(feed.wait()) for feed in feeds]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()


async def _unless(closing: asyncio.Event, awaited: Coroutine[Any, Any, None], seconds: float) -> bool:
    """Wait for it, at most so long, and no longer than until the hub closes. Whether it came."""
    tasks = [asyncio.ensure_future(awaited), asyncio.ensure_future(closing.wait())]
    try:
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return tasks[0] in done
    finally:
        for task in tasks:
            task.cancel()
