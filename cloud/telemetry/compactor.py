"""Rewrites stored batches into hourly series and minute rollups, some batches per transaction, each batch exactly once.

The batches stay the system of record; what is written here can be deleted and made again (`series_store.forget`). Several hub processes may
run it: a lock lets one work per tenant. Batches of one gateway are taken in the order of storing, so that samples of equal time stand in that
order in the series, in the tail that is not yet compacted, and across both.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from cloud.db import Connection, Database, Unavailable
from cloud.telemetry import series, series_store
from cloud.telemetry.series import Samples
from cloud.telemetry.series_store import Rollup, SeriesRow, Uncompacted
from cloud.telemetry.tables import TagTables
from cloud.telemetry.tags import TagMap
from protocols import quality
from protocols.batch import statement

PAUSE_S: Final = 10.0
LONGEST_PAUSE_S: Final = 60.0
SHARE: Final = 0.2  # of the time, at most, that a hub which keeps up spends compacting
BREATH_S: Final = 0.05  # between two transactions: others wait for their receipts
GLANCE_S: Final = 0.001
_logger = logging.getLogger("qenergyz.hub")
T = TypeVar("T")
Tables = Mapping[tuple[int, bytes], TagMap]


class Courtesy:
    """Lets a thread step back while requests are in hand: Python runs one thread at a time, and the loop has to wait for its turn after every
    look at a socket. `step` is called between small pieces of work; under load they get `SHARE` of the time."""

    def __init__(self, busy: Callable[[], bool]) -> None:
        self._busy, self._since = busy, time.monotonic()

    def step(self) -> None:
        now = time.monotonic()
        until = now + (now - self._since) * (1 / SHARE - 1)
        while self._busy() and time.monotonic() < until:
            time.sleep(GLANCE_S)
        self._since = time.monotonic()


class Compactor:
    """`run` until cancelled; `problem` says why it does not work, or nothing. busy: whether requests are in hand."""

    def __init__(
        self,
        db: Database,
        tables: TagTables,
        tenants: Callable[[], Awaitable[Sequence[int]]],
        threads: Executor,
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        self._db, self._tables, self._tenants, self._threads, self._busy = db, tables, tenants, threads, busy
        self.problem = ""

    async def run(self) -> None:
        while True:
            started = time.monotonic()
            problem = await self._pass()
            if problem and problem != self.problem:
                _logger.error("compactor_down reason=%s", problem)
            elif self.problem and not problem:
                _logger.warning("compactor_up")
            self.problem = problem
            await asyncio.sleep(min(max(PAUSE_S, (time.monotonic() - started) * (1 / SHARE - 1)), LONGEST_PAUSE_S))

    async def _pass(self) -> str:
        """Every tenant, whatever befalls another; what went wrong."""
        problems = []
        try:
            for tenant_id in await self._tenants():
                try:
                    while await self.compact(tenant_id):  # noqa: ASYNC110  # a pace, not a wait
                        await asyncio.sleep(BREATH_S)
                except Unavailable:
                    raise
                except Exception as error:  # the supervising loop: batches stay readable without it
                    _logger.debug("compaction_failed tenant=%s", tenant_id, exc_info=True)
                    problems.append(f"tenant {tenant_id}: {type(error).__name__}: {error}")
        except Unavailable as error:
            problems.append(str(error))
        return "; ".join(problems)

    async def compact(self, tenant_id: int) -> int:
        """One transaction's worth; returns the number of batches done."""
        async with self._db.tenant(tenant_id) as connection:
            if not await series_store.compaction_lock(connection, tenant_id):
                return 0
            stored = await series_store.uncompacted(connection, tenant_id)
            if not stored:
                return 0
            loop = asyncio.get_running_loop()
            tables = await known_tables(self._tables, tenant_id, stored, connection)
            fresh = await loop.run_in_executor(self._threads, columns_by_hour, stored, tables, Courtesy(self._busy))
            known = await series_store.hours(connection, tenant_id, fresh)
            rows, rollups = await loop.run_in_executor(self._threads, _rewrite, fresh, known, Courtesy(self._busy))
            await series_store.put_hours(connection, tenant_id, rows)
            await series_store.put_minutes(connection, tenant_id, rollups)
            await series_store.mark_compacted(connection, tenant_id, stored)
        return len(stored)


async def known_tables(
    tables: TagTables, tenant_id: int, stored: Iterable[Uncompacted], connection: Connection
) -> dict[tuple[int, bytes], TagMap]:
    """The tag map of each of these batches, by (gateway, digest). Raises LookupError: a batch is stored only after its tag table."""
    found = {}
    for gateway_id, digest in sorted({(one.gateway_id, one.table_digest) for one in stored}):
        table = await tables.get(tenant_id, gateway_id, digest, connection)
        if table is None:
            raise LookupError(f"tag table {digest.hex()} of a stored batch is missing")
        found[gateway_id, digest] = table
    return found


def columns_by_hour(stored: Sequence[Uncompacted], tables: Tables, courtesy: Courtesy) -> dict[tuple[int, int], Samples]:
    """Samples of some batches by (tag, hour), in the order of time within each.

    What has the same tags is put together first, so that a thousand tags cost little more than one.
    """
    alike: dict[bytes, list[_Rows]] = defaultdict(list)
    for one in stored:
        courtesy.step()
        for rows in _opened(one, tables[one.gateway_id, one.table_digest]):
            alike[rows.tag_ids.tobytes()].append(rows)
    tags = np.concatenate([parts[0].tag_ids for parts in alike.values()]) if alike else np.zeros(0, np.int64)
    if np.unique(tags).size == tags.size:
        return {key: samples for parts in alike.values() for key, samples in _politely(_cut(parts), courtesy)}
    found: dict[tuple[int, int], list[Samples]] = defaultdict(list)
    for one in stored:  # a tag stands in several sets: one batch after another, so that equal times keep the order of storing
        for rows in _opened(one, tables[one.gateway_id, one.table_digest]):
            for key, samples in _politely(_cut([rows]), courtesy):
                found[key].append(samples)
    return {key: series.merge(pieces) for key, pieces in found.items()}


def _politely(pieces: Iterable[T], courtesy: Courtesy) -> Iterator[T]:
    for piece in pieces:
        courtesy.step()
        yield piece


@dataclass(frozen=True, slots=True)
class _Rows:
    """A group as engineering values: values[i, j] and codes[i, j] belong to tag_ids[j] at times_us[i]."""

    tag_ids: NDArray[np.int64]
    times_us: NDArray[np.int64]
    values: NDArray[np.float64]
    codes: NDArray[np.uint32]


def _opened(one: Uncompacted, table: TagMap, only: int | None = None) -> Iterator[_Rows]:
    """The groups of a batch that was verified when it was stored; of one tag, if asked."""
    for group in statement.parse(one.statement).open().groups:
        positions, raw, code = table.positions(group), group.values, group.quality
        if only is not None:
            chosen = np.flatnonzero(table.tag_ids[positions] == only)
            if not chosen.size:
                continue
            positions, raw, code = positions[chosen], raw[:, chosen], None if code is None else code[:, chosen]
        values = table.engineering(positions, raw)
        codes = np.zeros(values.shape, np.uint32) if code is None else code.astype(np.uint32)
        values[codes & np.uint32(quality.BAD) != 0] = np.nan
        yield _Rows(table.tag_ids[positions], group.times_us, values, codes)


def _cut(parts: Sequence[_Rows]) -> Iterator[tuple[tuple[int, int], Samples]]:
    """Parts of the same tags, by tag and hour. A tag that stands in them more than once is put together."""
    times = np.concatenate([part.times_us for part in parts])
    order = np.argsort(times, kind="stable")
    times = times[order]
    values = np.concatenate([part.values for part in parts])[order].T.copy()
    codes = np.concatenate([part.codes for part in parts])[order].T.copy()
    tag_ids = parts[0].tag_ids.tolist()
    places: dict[int, list[int]] = defaultdict(list)
    for column, tag_id in enumerate(tag_ids):
        places[tag_id].append(column)
    for hour_us, start, end in series.hour_cuts(times):
        for tag_id, columns in places.items():
            pieces = [Samples(times[start:end], values[column, start:end], codes[column, start:end]) for column in columns]
            yield (tag_id, hour_us), series.merge(pieces)


def columns_of(one: Uncompacted, table: TagMap, tag_id: int) -> Iterator[Samples]:
    """The samples of one tag in a batch."""
    for rows in _opened(one, table, tag_id):
        for column in range(rows.tag_ids.size):
            yield Samples(rows.times_us, rows.values[:, column], rows.codes[:, column])


def _rewrite(
    fresh: Mapping[tuple[int, int], Samples], known: Mapping[tuple[int, int], bytes], courtesy: Courtesy
) -> tuple[list[SeriesRow], list[Rollup]]:
    """The new rows, and the rollups of the minutes that changed, counted anew from everything there is of them."""
    rows, rollups = [], []
    for (tag_id, hour_us), samples in _politely(fresh.items(), courtesy):
        stored = known.get((tag_id, hour_us))
        data, size, touched = series.append(stored, samples) if stored else (series.encode(samples), samples.times_us.size, samples)
        rows.append(SeriesRow(tag_id, hour_us, data, size))
        rollups.append(Rollup(tag_id, series.minutes(touched)))
    return rows, rollups
