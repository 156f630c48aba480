"""What hub processes tell each other through the database: that a log has grown, and who leads the reaction of a tenant.

Two connections of its own, beside the pool: one listens, one holds the leadership as session locks, which the database takes back when
the process or its connection dies. Nothing is lost with a notice: whoever connects again is told to look at everything.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final

import psycopg

from cloud.audit.log import CHANNEL
from protocols import tasks

ALL: Final = 0  # no tenant has this number
RETRY_S: Final = 1.0
_LEADER: Final = 0x726561  # first part of the advisory lock; the second is the tenant
_logger = logging.getLogger("qenergyz.hub.notices")


class Notices:
    """`async with Notices(url, told)`; told(tenant_id) is called on the loop, with ALL after every (re)connection."""

    def __init__(self, url: str, told: Callable[[int], None]) -> None:
        self._url, self._told = url, told
        self._holder: psycopg.AsyncConnection[tuple[object, ...]] | None = None
        self._leading: set[int] = set()
        self._holding = asyncio.Lock()

    async def __aenter__(self) -> "Notices":
        self._task = asyncio.create_task(self._listen(), name="notices")
        return self

    async def __aexit__(self, *_: object) -> None:
        await tasks.end(self._task)
        if self._holder is not None:
            await self._holder.close()

    async def leads(self, tenant_id: int) -> bool:
        """Whether this process has the reaction of the tenant to itself. False as well while the database is away."""
        async with self._holding:
            try:
                if self._holder is None or self._holder.closed:
                    self._leading.clear()
                    self._holder = await self._connect()
                if tenant_id in self._leading:
                    return True
                cursor = await self._holder.execute("SELECT pg_try_advisory_lock(%s, %s)", (_LEADER, tenant_id))
                row = await cursor.fetchone()
                if row is not None and row[0]:
                    self._leading.add(tenant_id)
                return tenant_id in self._leading
            except (psycopg.OperationalError, psycopg.InterfaceError):
                self._leading.clear()
                self._holder = None
                return False

    async def check(self) -> None:
        """Notice a leadership that was lost with its connection."""
        async with self._holding:
            if self._holder is not None:
                try:
                    await self._holder.execute("SELECT 1")
                except (psycopg.OperationalError, psycopg.InterfaceError):
                    self._leading.clear()
                    self._holder = None

    async def _connect(self) -> psycopg.AsyncConnection[tuple[object, ...]]:
        return await psycopg.AsyncConnection.connect(self._url, autocommit=True, connect_timeout=5, application_name="qenergyz notices")

    async def _listen(self) -> None:
        while True:
            with contextlib.suppress(psycopg.OperationalError, psycopg.InterfaceError):
                async with await self._connect() as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    self._told(ALL)
                    async for notice in connection.notifies():
                        self._told(int(notice.payload) if notice.payload.isdigit() else ALL)
            _logger.debug("notices_away")
            await asyncio.sleep(RETRY_S)
