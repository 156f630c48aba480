"""Rewrites stored batches into hourly series and minute rollups, some batches per transaction, each batch exactly once.

The batches stay the system of record; what is written here can be deleted and rebuilt (`UPDATE batch SET compacted = false`). Several hub
processes may run it: a lock lets one work per tenant.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from typing import Final

import numpy as np

from cloud.db import Database, Unavailable
from cloud.telemetry import series, series_store
from cloud.telemetry.series import Samples
from cloud.telemetry.store import StoredBatch
from cloud.telemetry.tables import TagTables
from cloud.telemetry.tags import TagMap
from protocols import quality
from protocols.batch import statement
from protocols.batch.columns import Group

BATCHES_PER_TRANSACTION: Final = 256
PAUSE_S: Final = 10.0
_logger = logging.getLogger("qenergyz.hub")
Decoded = tuple[TagMap, tuple[Group, ...]]


class Compactor:
    """`run` until cancelled; `problem` says why it does not work, or nothing."""

    def __init__(self, db: Database, tables: TagTables, tenants: Callable[[], Awaitable[Sequence[int]]], threads: Executor) -> None:
        self._db, self._tables, self._tenants, self._threads = db, tables, tenants, threads
        self.problem = ""

    async def run(self) -> None:
        while True:
            try:
                for tenant_id in await self._tenants():
                    await self._catch_up(tenant_id)
                self.problem = ""
            except Unavailable as error:
                self.problem = str(error)
            except Exception as error:  # the supervising loop: batches stay readable without it
                if str(error) != self.problem:
                    _logger.exception("compactor_failed")
                self.problem = str(error) or type(error).__name__
            await asyncio.sleep(PAUSE_S)

    async def _catch_up(self, tenant_id: int) -> None:
        done = BATCHES_PER_TRANSACTION
        while done == BATCHES_PER_TRANSACTION:
            done = await self.compact(tenant_id)

    async def compact(self, tenant_id: int) -> int:
        """One transaction's worth; returns the number of batches done."""
        async with self._db.tenant(tenant_id) as connection:
            if not await series_store.compaction_lock(connection, tenant_id):
                return 0
            stored = await series_store.uncompacted(connection, tenant_id, BATCHES_PER_TRANSACTION)
            if not stored:
                return 0
            loop = asyncio.get_running_loop()
            decoded = [await self._decode(tenant_id, one) for one in stored]
            fresh = await loop.run_in_executor(self._threads, columns_by_hour, decoded)
            known = await series_store.hours(connection, tenant_id, fresh)
            rows, rollups = await loop.run_in_executor(self._threads, _rewrite, fresh, known)
            await series_store.put_hours(connection, tenant_id, rows)
            for tag_id, minutes in rollups:
                await series_store.put_minutes(connection, tenant_id, tag_id, minutes)
            await series_store.mark_compacted(connection, tenant_id, stored)
        return len(stored)

    async def _decode(self, tenant_id: int, one: StoredBatch) -> Decoded:
        payload = statement.parse(one.statement).open()
        table = await self._tables.get(tenant_id, one.gateway_id, payload.table_digest)
        if table is None:
            raise LookupError(f"tag table {payload.table_digest.hex()} of a stored batch is missing")
        return table, payload.groups


def columns_by_hour(decoded: Sequence[Decoded], only: int | None = None) -> dict[tuple[int, int], Samples]:
    """Samples of some batches by (tag, hour), in the order of time within each; of one tag, if asked."""
    parts: dict[int, list[Samples]] = defaultdict(list)
    for table, groups in decoded:
        for group in groups:
            positions, raw, code = table.positions(group), group.values, group.quality
            if only is not None:
                chosen = np.flatnonzero(table.tag_ids[positions] == only)
                if not chosen.size:
                    continue
                positions, raw, code = positions[chosen], raw[:, chosen], None if code is None else code[:, chosen]
            values = table.engineering(positions, raw)
            codes = np.zeros(values.shape, np.uint32) if code is None else code.astype(np.uint32)
            values = np.where(codes & np.uint32(quality.BAD) != 0, np.nan, values)
            for column, tag_id in enumerate(table.tag_ids[positions].tolist()):
                parts[tag_id].append(Samples(group.times_us, values[:, column], codes[:, column]))
    found: dict[tuple[int, int], Samples] = {}
    for tag_id, pieces in parts.items():
        for hour_us, samples in series.by_hour(_ordered(series.merge(pieces))).items():
            found[tag_id, hour_us] = samples
    return found


def _ordered(samples: Samples) -> Samples:
    """A single part may come from a device whose times go back."""
    if samples.times_us.size < 2 or bool(np.all(samples.times_us[1:] >= samples.times_us[:-1])):
        return samples
    order = np.argsort(samples.times_us, kind="stable")
    return Samples(samples.times_us[order], samples.values[order], samples.quality[order])


def _rewrite(
    fresh: dict[tuple[int, int], Samples], known: dict[tuple[int, int], bytes]
) -> tuple[list[tuple[int, int, bytes, int]], list[tuple[int, series.Minutes]]]:
    rows, rollups = [], []
    for (tag_id, hour_us), samples in fresh.items():
        stored = known.get((tag_id, hour_us))
        merged = series.merge([series.decode(stored), samples]) if stored else samples
        rows.append((tag_id, hour_us, series.encode(merged), merged.times_us.size))
        rollups.append((tag_id, series.minutes(merged)))
    return rows, rollups
