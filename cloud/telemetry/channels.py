"""What the readers of a tenant's live stream share: one bell, values written once per tick, documents read once per second.

    channels = Channels(Shared(db, latest, sources, documents, closing))
    with (channel := channels.of(tenant_id)).joined(): ...

A channel works while somebody has joined. It keeps nothing for a single reader; see live for those.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import orjson
from numpy.typing import NDArray

from cloud.db import Connection, Database, Unavailable
from cloud.telemetry.latest import Latest, LatestColumns

PERIOD_S: Final = 0.25  # between two frames of latest values
SLOW_TICKS: Final = 4  # between two for who asks for fewer
GATHER_S: Final = 0.02  # between two rings of the bell
DOCUMENTS_S: Final = 1.0
_logger = logging.getLogger("qenergyz.hub.live")


class Source(Protocol):
    """Something of a tenant that changes and counts its changes."""

    def version(self, tenant_id: int) -> int: ...

    async def wait(self, tenant_id: int, version: int) -> None:
        """Return when there is something newer than `version`."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document of the tenant as an event. scope: of those who may see it. mark: changes whenever the document does, None = look each time."""

    event: str
    scope: str
    read: Callable[[Connection, int], Awaitable[bytes]]
    mark: Callable[[Connection, int], Awaitable[object]] | None = None


def values_of(found: LatestColumns) -> dict[str, list[object]]:
    """tag id -> [time_us, value or null, quality]."""
    values = [value if finite else None for value, finite in zip(found.values.tolist(), np.isfinite(found.values).tolist(), strict=True)]
    rows = zip(found.tag_ids.tolist(), found.times_us.tolist(), values, found.quality.tolist(), strict=True)
    return {str(tag_id): [time_us, value, code] for tag_id, time_us, value, code in rows}


@dataclass(frozen=True, slots=True)
class Shared:
    """What all channels show. closing: set when the hub ends."""

    db: Database | None
    latest: Latest
    sources: Sequence[Source]
    documents: Sequence[Document]
    closing: asyncio.Event


class Channel:
    def __init__(self, shared: Shared, tenant_id: int) -> None:
        self.tenant_id = tenant_id
        self.bell = asyncio.Event()
        self.tick = 0
        self.documents: dict[str, tuple[int, bytes]] = {}  # event -> (how many times it changed, the newest)
        self._shared, self._latest = shared, shared.latest
        self._marks: dict[str, object] = {}
        self._written: dict[int, tuple[int, bytes]] = {}  # version a reader has -> what brings it to the version beside, of this tick
        self._joined = 0
        self._read_anew = False  # a document, since the last tick
        self._work: list[asyncio.Task[None]] = []

    @contextlib.contextmanager
    def joined(self) -> Iterator[None]:
        if self._joined == 0:
            self._begin()
        self._joined += 1
        try:
            yield
        finally:
            self._joined -= 1
            if self._joined == 0:
                for task in self._work:
                    task.cancel()
                self._work = []

    def _begin(self) -> None:
        work = [self._ticking(), self._ending(), *(self._ringing(source) for source in self._shared.sources)]
        if self._shared.db is not None and self._shared.documents:
            work.append(self._reading(self._shared.db))
        self._work = [asyncio.create_task(one, name="live channel") for one in work]

    def ring(self) -> None:
        self.bell.set()
        self.bell = asyncio.Event()

    def values(self, version: int, tag_ids: NDArray[np.int64] | None = None) -> tuple[int, bytes]:
        """(version, what changed after the given one as JSON, empty when nothing did). For all tags it is written once per tick."""
        if tag_ids is not None:
            return _write(self._latest.since(self.tenant_id, version), tag_ids)
        if version not in self._written:
            self._written[version] = _write(self._latest.since(self.tenant_id, version))
        return self._written[version]

    async def _ticking(self) -> None:
        """Ticks come at the same moments for everybody, and only where values moved since the last one or, for the slow, since their last."""
        known, owed = 0, False
        while True:
            await asyncio.sleep(PERIOD_S - time.monotonic() % PERIOD_S)
            tick = round(time.monotonic() / PERIOD_S)
            version = self._latest.version(self.tenant_id)
            slow = tick // SLOW_TICKS != self.tick // SLOW_TICKS
            if version != known or (owed and slow):
                known, owed = version, not slow
                self.tick, self._written = tick, {}
            elif not self._read_anew:
                continue
            self._read_anew = False
            self.ring()

    async def _ending(self) -> None:
        await self._shared.closing.wait()
        self.ring()

    async def _ringing(self, source: Source) -> None:
        while True:
            version = source.version(self.tenant_id)
            self.ring()
            await asyncio.sleep(GATHER_S)
            await source.wait(self.tenant_id, version)

    async def _reading(self, db: Database) -> None:
        while True:
            try:
                async with db.tenant(self.tenant_id) as connection:
                    for one in self._shared.documents:
                        await self._read(connection, one)
            except Unavailable:
                _logger.debug("documents_unread tenant=%s", self.tenant_id)  # /health tells of the database
            except Exception:
                _logger.exception("documents_failed tenant=%s", self.tenant_id)
            await asyncio.sleep(DOCUMENTS_S)

    async def _read(self, connection: Connection, one: Document) -> None:
        if one.mark is not None:
            mark = await one.mark(connection, self.tenant_id)
            if one.event in self.documents and mark == self._marks.get(one.event):
                return
            self._marks[one.event] = mark
        number, before = self.documents.get(one.event, (0, b""))
        data = await one.read(connection, self.tenant_id)
        if data != before:
            self.documents[one.event] = (number + 1, data)
            self._read_anew = True  # told with the next tick: a frame less for each reader


def _write(found: LatestColumns, tag_ids: NDArray[np.int64] | None = None) -> tuple[int, bytes]:
    if tag_ids is not None:
        chosen = np.isin(found.tag_ids, tag_ids)
        found = LatestColumns(found.version, found.tag_ids[chosen], found.times_us[chosen], found.values[chosen], found.quality[chosen])
    return found.version, orjson.dumps(values_of(found)) if found.tag_ids.size else b""


class Channels:
    """One per tenant, made when it is first asked for."""

    def __init__(self, shared: Shared) -> None:
        self._shared, self.closing = shared, shared.closing
        self._channels: dict[int, Channel] = {}

    def of(self, tenant_id: int) -> Channel:
        return self._channels.setdefault(tenant_id, Channel(self._shared, tenant_id))
