"""Samples of one tag in a window: hourly series and the tail of batches not yet compacted, read as one state of the database."""

import asyncio
import functools
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final

from cloud.db import Database
from cloud.errors import Problem
from cloud.telemetry import compactor, completeness, series, series_store, store
from cloud.telemetry.completeness import Missing, missing
from cloud.telemetry.series import Samples
from cloud.telemetry.series_store import Uncompacted
from cloud.telemetry.store import TagRow
from cloud.telemetry.tables import TagTables
from cloud.telemetry.tags import TagMap

MAX_SAMPLES: Final = 10_000_000  # of one answer: what bounds its memory


@dataclass(frozen=True, slots=True)
class Windows:
    """The readers' view of what is stored. from_us belongs to a window, to_us does not."""

    db: Database
    tables: TagTables
    threads: Executor

    async def samples(self, tenant_id: int, tag: TagRow, from_us: int, to_us: int) -> Samples:
        """In the order of source time; equal times in the order of storing. Raises Problem when there are more than one answer may have."""
        loop = asyncio.get_running_loop()
        parts: list[Samples] = []
        size = 0
        async with self.db.tenant(tenant_id) as connection:
            async for rows in series_store.range_of(connection, tenant_id, tag.gateway_id, tag.id, from_us, to_us):
                tail = [row for row in rows if isinstance(row, Uncompacted)]
                tables = await compactor.known_tables(self.tables, tenant_id, tail, connection)
                found = await loop.run_in_executor(self.threads, decode, rows, tables, tag.id)
                parts.append(found.between(from_us, to_us))
                size += parts[-1].times_us.size
                if size > MAX_SAMPLES:
                    raise Problem("too-large", f"the window has more than {MAX_SAMPLES} samples; ask for a shorter one")
        return series.merge(parts)

    async def missing(self, tenant_id: int, gateway_id: int, tag: TagRow | None, from_us: int, to_us: int) -> list[Missing]:
        """What is not there, of one tag or (None) of the gateway as a whole."""
        silence_us = None if tag is None else await self._silence_us(tenant_id, tag, from_us, to_us)
        reach_us = 0 if silence_us is None else completeness.reach_us(silence_us)
        found = None if tag is None else await self.samples(tenant_id, tag, from_us - reach_us, to_us + reach_us)
        async with self.db.tenant(tenant_id) as connection:
            holes = await series_store.holes(connection, tenant_id, gateway_id)
            declared = await series_store.declared(connection, tenant_id, gateway_id, from_us, to_us)
            newest_us = await series_store.newest_us(connection, tenant_id, gateway_id)
            waiting = next((row.backlog for row in await store.gateways(connection, tenant_id) if row.id == gateway_id), 0)
        loop = asyncio.get_running_loop()
        known = functools.partial(missing, silence_us=silence_us, waiting=waiting)
        return await loop.run_in_executor(self.threads, known, from_us, to_us, holes, declared, found, newest_us)

    async def _silence_us(self, tenant_id: int, tag: TagRow, from_us: int, to_us: int) -> int | None:
        """The longest that the tag tables of the window allow; None when one of them does not say."""
        async with self.db.tenant(tenant_id) as connection:
            digests = await series_store.tables_of(connection, tenant_id, tag.gateway_id, from_us, to_us)
            tables = [await self.tables.get(tenant_id, tag.gateway_id, digest, connection) for digest in digests]
        places = [(table, table.position_of(tag.id)) for table in tables if table is not None]
        allowed = [table.entries[place].silence_us for table, place in places if place is not None]
        return max((one for one in allowed if one is not None), default=None) if None not in allowed else None


def decode(rows: Sequence[bytes | Uncompacted], tables: Mapping[tuple[int, bytes], TagMap], tag_id: int) -> Samples:
    parts: list[Samples] = []
    for row in rows:
        if isinstance(row, bytes):
            parts.append(series.decode(row))
            continue
        table = tables[row.gateway_id, row.table_digest]
        if table.position_of(tag_id) is not None:
            parts += compactor.columns_of(row, table, tag_id)
    return series.merge(parts)
