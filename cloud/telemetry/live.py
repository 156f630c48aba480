"""The live stream as server-sent events: what one reader is told, and when.

    EventStream(events(feeds, channel, closing, still), ...)

Feeds say what is new for this reader. Some are conflated (values, results, documents: the newest counts), some are not (alarms: each one, in
order). Every frame has an id; a reader that comes again with the last id it had goes on where the feeds that are not conflated stood.
Nothing is kept for a reader: it takes from what all readers share, when it reads on. So one that is slow or stalled holds up nobody and
costs no memory. What is shared by the readers of a tenant is in channels.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from starlette.responses import StreamingResponse
from starlette.types import Send

from cloud.telemetry.channels import SLOW_TICKS, Channel

ALIVE_S: Final = 4.0  # between two frames at most, so that a reader can tell a quiet hub from a lost one
RECHECK_S: Final = 20.0  # how often it is looked up whether the reader may still read
STALLED_S: Final = 60.0  # a reader that takes nothing for so long is let go


@dataclass(frozen=True, slots=True)
class Frame:
    """data: one line, or several with `data: ` in between. place: where the feed stands after it, where that is worth coming back to."""

    event: str
    data: bytes
    place: str | None = None


class Feed(Protocol):
    """Something that changes, seen by one reader."""

    async def news(self) -> Sequence[Frame]:
        """What changed since the last call; the first call gives everything."""


class LatestFeed:
    """Latest values of all tags or of some; slow: once a second."""

    def __init__(self, channel: Channel, tags: Sequence[int] | None = None, slow: bool = False) -> None:
        self._channel, self._version, self._tick = channel, 0, -1
        self._ticks = SLOW_TICKS if slow else 1
        self._tags = None if tags is None else np.unique(np.array(tags, np.int64))

    async def news(self) -> Sequence[Frame]:
        if self._channel.tick // self._ticks == self._tick:
            return ()
        self._tick = self._channel.tick // self._ticks
        self._version, data = self._channel.values(self._version, self._tags)
        return (Frame("latest", data),) if data else ()


class DocumentFeed:
    """Documents of the tenant that this reader may see, each as it stands."""

    def __init__(self, channel: Channel, names: Sequence[str]) -> None:
        self._channel, self._known = channel, dict.fromkeys(names, 0)

    async def news(self) -> Sequence[Frame]:
        found = self._channel.documents
        fresh = [name for name, known in self._known.items() if name in found and found[name][0] != known]
        self._known |= {name: found[name][0] for name in fresh}
        return [Frame(name, found[name][1]) for name in fresh]


def _written(frame: Frame, frame_id: str) -> bytes:
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (frame_id.encode(), frame.event.encode(), frame.data)


async def events(
    feeds: Sequence[Feed], channel: Channel, closing: asyncio.Event, still: Callable[[], Awaitable[bool]]
) -> AsyncIterator[bytes]:
    """Frames of text/event-stream until the reader goes or may no longer read, or the hub closes. still: whether they may."""
    places = [""] * len(feeds)
    checked = told = time.monotonic()
    with channel.joined():
        while not closing.is_set():
            bell = channel.bell  # before looking, so that nothing rings unheard
            frames = []
            for at, feed in enumerate(feeds):
                for frame in await feed.news():
                    places[at] = places[at] if frame.place is None else frame.place
                    frames.append(_written(frame, "".join(places) or "0"))
            now = time.monotonic()
            if now - checked >= RECHECK_S:
                checked = now
                if not await still():
                    return
            if not frames and now - told >= ALIVE_S:
                frames.append(_written(Frame("alive", b"{}"), "".join(places) or "0"))
            if frames:
                yield b"".join(frames)
                told = time.monotonic()
            await _rings(bell, ALIVE_S - (time.monotonic() - told))


async def _rings(bell: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(max(0.0, seconds)):
            await bell.wait()


class EventStream(StreamingResponse):
    """Ends when the reader has taken nothing for STALLED_S."""

    def __init__(self, frames: AsyncIterator[bytes]) -> None:
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(frames, media_type="text/event-stream", headers=headers)
        self._frames = frames

    async def stream_response(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with contextlib.aclosing(self._frames) as frames:  # type: ignore[type-var]
            try:
                async for frame in frames:
                    async with asyncio.timeout(STALLED_S):
                        await send({"type": "http.response.body", "body": frame, "more_body": True})
            except TimeoutError:
                return
        await send({"type": "http.response.body", "body": b"", "more_body": False})
