"""Live values as server-sent events, conflated: each reader is sent the newest value of what changed, at most four times a second.

A reader that is slow or stalled holds up nobody and costs no memory: what it missed is simply newer when it reads on.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final

import numpy as np
import orjson

from cloud.telemetry.latest import Latest, LatestColumns

PERIOD_S: Final = 0.25
KEEPALIVE_S: Final = 15.0


def document(found: LatestColumns) -> dict[str, list[object]]:
    """tag id -> [time_us, value or null, quality]."""
    values = [value if finite else None for value, finite in zip(found.values.tolist(), np.isfinite(found.values).tolist(), strict=True)]
    rows = zip(found.tag_ids.tolist(), found.times_us.tolist(), values, found.quality.tolist(), strict=True)
    return {str(tag_id): [time_us, value, code] for tag_id, time_us, value, code in rows}


async def events(latest: Latest, tenant_id: int, closing: asyncio.Event) -> AsyncIterator[bytes]:
    """Frames of text/event-stream until the reader goes or the hub closes: first everything, then what changed."""
    version = 0
    while not closing.is_set():
        found = latest.since(tenant_id, version)
        version = found.version
        if found.tag_ids.size:
            yield b"event: latest\nid: %d\ndata: %s\n\n" % (version, orjson.dumps(document(found)))
        await _unless(closing, asyncio.sleep(PERIOD_S), PERIOD_S * 2)
        if not await _unless(closing, latest.wait(tenant_id, version), KEEPALIVE_S):
            yield b": keep-alive\n\n"


async def _unless(closing: asyncio.Event, awaited: Coroutine[Any, Any, None], seconds: float) -> bool:
    """Wait for it, at most so long, and no longer than until the hub closes. Whether it came."""
    tasks = [asyncio.ensure_future(awaited), asyncio.ensure_future(closing.wait())]
    try:
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return tasks[0] in done
    finally:
        for task in tasks:
            task.cancel()
