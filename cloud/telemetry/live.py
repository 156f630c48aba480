"""Live values as server-sent events, conflated: each reader is sent the newest value of what changed, at most four times a second.

A reader that is slow or stalled holds up nobody and costs no memory: what it missed is simply newer when it reads on.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import numpy as np
import orjson

from cloud.telemetry.latest import Latest, LatestColumns

PERIOD_S: Final = 0.25
KEEPALIVE_S: Final = 15.0


def document(found: LatestColumns) -> dict[str, list[object]]:
    """tag id -> [time_us, value or null, quality]."""
    values = [None if np.isnan(value) else value for value in found.values.tolist()]
    rows = zip(found.tag_ids.tolist(), found.times_us.tolist(), values, found.quality.tolist(), strict=True)
    return {str(tag_id): [time_us, value, code] for tag_id, time_us, value, code in rows}


async def events(latest: Latest, tenant_id: int) -> AsyncIterator[bytes]:
    """Frames of text/event-stream until the reader goes: first everything, then what changed."""
    version = 0
    while True:
        found = latest.since(tenant_id, version)
        if found.tag_ids.size:
            version = found.version
            yield b"event: latest\nid: %d\ndata: %s\n\n" % (version, orjson.dumps(document(found)))
        await asyncio.sleep(PERIOD_S)
        try:
            await asyncio.wait_for(latest.wait(tenant_id, version), KEEPALIVE_S)
        except TimeoutError:
            yield b": keep-alive\n\n"


async def until(closing: asyncio.Event, frames: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """`frames`, ended as soon as the hub closes: a stream that never ends would hold up its stop."""
    stop = asyncio.ensure_future(closing.wait())
    try:
        while not closing.is_set():
            step = asyncio.ensure_future(anext(frames))
            await asyncio.wait((step, stop), return_when=asyncio.FIRST_COMPLETED)
            if not step.done():
                step.cancel()
                return
            yield step.result()
    finally:
        stop.cancel()
