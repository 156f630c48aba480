"""Samples of one tag in a window: hourly series and the tail of batches not yet compacted, read as one state of the database."""

import asyncio
from concurrent.futures import Executor
from dataclasses import dataclass

from cloud.db import Database
from cloud.telemetry import compactor, series, series_store
from cloud.telemetry.completeness import Missing, missing
from cloud.telemetry.series import Samples
from cloud.telemetry.store import TagRow
from cloud.telemetry.tables import TagTables
from protocols.batch import statement


@dataclass(frozen=True, slots=True)
class Windows:
    """The readers' view of what is stored. from_us belongs to a window, to_us does not."""

    db: Database
    tables: TagTables
    threads: Executor

    async def samples(self, tenant_id: int, tag: TagRow, from_us: int, to_us: int) -> Samples:
        """In the order of source time; equal times keep the order of storing within what is compacted together."""
        async with self.db.tenant(tenant_id) as connection:
            hours, stored = await series_store.range_of(connection, tenant_id, tag.gateway_id, tag.id, from_us, to_us)
        tail = []
        for one in stored:
            payload = statement.parse(one.statement).open()
            table = await self.tables.get(tenant_id, one.gateway_id, payload.table_digest)
            if table is not None and table.position_of(tag.id) is not None:
                tail.append((table, payload.groups))

        def read() -> Samples:
            parts = [series.decode(hour) for hour in hours]
            if tail:
                fresh = compactor.columns_by_hour(tail, only=tag.id)
                parts += [fresh[key] for key in sorted(fresh)]
            return series.merge(parts).between(from_us, to_us)

        return await asyncio.get_running_loop().run_in_executor(self.threads, read)

    async def missing(self, tenant_id: int, gateway_id: int, tag: TagRow | None, from_us: int, to_us: int) -> list[Missing]:
        """What is not there, of one tag or (None) of the gateway as a whole."""
        found = None if tag is None else await self.samples(tenant_id, tag, from_us, to_us)
        async with self.db.tenant(tenant_id) as connection:
            holes = await series_store.holes(connection, tenant_id, gateway_id)
            declared = await series_store.declared(connection, tenant_id, gateway_id, from_us, to_us)
        return missing(from_us, to_us, holes, declared, found)
