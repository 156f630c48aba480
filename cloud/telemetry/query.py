"""Reading samples back: from stored batches to columns of one tag. Units and scales are those of the batch's own tag table.

Reads the system of record directly, decoding only batches that overlap the window. Pure except for the two `async` functions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cloud.db import Database
from cloud.telemetry import store
from cloud.telemetry.latest import Latest
from cloud.telemetry.store import StoredBatch, TagRow
from cloud.telemetry.tables import TagTables
from cloud.telemetry.tags import TagMap
from protocols import quality
from protocols.batch import statement
from protocols.batch.columns import Group

REBUILD_BATCHES = 200


@dataclass(frozen=True, slots=True)
class Samples:
    """One tag's samples in the order of their source times; equal times keep the order of storing. values: NaN where the quality is bad."""

    times_us: NDArray[np.int64]
    values: NDArray[np.float64]
    quality: NDArray[np.uint32]
    raw: tuple[Any, ...] | None = None

    def columns(self) -> dict[str, Any]:
        """For JSON: NaN becomes null."""
        answer: dict[str, Any] = {"times_us": self.times_us, "values": self.values, "quality": self.quality}
        return answer if self.raw is None else {**answer, "raw": list(self.raw)}


def pick(table: TagMap, groups: Sequence[Group], tag_id: int, from_us: int, to_us: int, *, raw: bool = False) -> Samples | None:
    """The samples of one tag in [from_us, to_us) of a decoded batch, in the batch's order."""
    position = table.position_of(tag_id)
    if position is None:
        return None
    number = table.numbers[position]
    parts = [part for group in groups for part in _pick(table, group, position, number, from_us, to_us)]
    if not parts:
        return None
    times, values, codes, raws = zip(*parts, strict=True)
    merged = tuple(value for part in raws for value in part.tolist()) if raw else None
    return Samples(np.concatenate(times), np.concatenate(values), np.concatenate(codes), merged)


def _pick(
    table: TagMap, group: Group, position: int, number: np.uint32, from_us: int, to_us: int
) -> list[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.uint32], NDArray[Any]]]:
    rows = np.flatnonzero((group.times_us >= from_us) & (group.times_us < to_us))
    found = []
    for column in np.flatnonzero(group.tags == number) if rows.size else ():
        raws = group.values[rows, column]
        values = table.engineering(np.array([position], dtype=np.intp), np.ascontiguousarray(raws)[:, None])[:, 0]
        codes = np.zeros(rows.size, np.uint32) if group.quality is None else group.quality[rows, column].astype(np.uint32)
        found.append((group.times_us[rows], np.where(codes & np.uint32(quality.BAD) != 0, np.nan, values), codes, raws))
    return found


def merge(parts: Sequence[Samples]) -> Samples:
    """In the order of source time, stably."""
    if not parts:
        return Samples(np.empty(0, np.int64), np.empty(0), np.empty(0, np.uint32))
    times = np.concatenate([part.times_us for part in parts])
    order = np.argsort(times, kind="stable")
    raws = None
    if parts[0].raw is not None:
        flat = [value for part in parts for value in part.raw or ()]
        raws = tuple(flat[at] for at in order.tolist())
    return Samples(
        times[order], np.concatenate([part.values for part in parts])[order], np.concatenate([part.quality for part in parts])[order], raws
    )


async def samples(db: Database, tables: TagTables, tenant_id: int, tag: TagRow, from_us: int, to_us: int, *, raw: bool = False) -> Samples:
    async with db.tenant(tenant_id) as connection:
        stored = await store.batches_overlapping(connection, tenant_id, tag.gateway_id, from_us, to_us)
    parts = []
    for one in stored:
        table, groups = await _decode(tables, tenant_id, one)
        if part := pick(table, groups, tag.id, from_us, to_us, raw=raw):
            parts.append(part)
    return merge(parts)


async def rebuild_latest(db: Database, tables: TagTables, latest: Latest, tenant_id: int) -> None:
    """At the start, from the newest batches of each gateway."""
    async with db.tenant(tenant_id) as connection:
        stored = [
            batch
            for gateway in await store.gateways(connection, tenant_id)
            for batch in await store.newest_batches(connection, tenant_id, gateway.id, REBUILD_BATCHES)
        ]
    for one in stored:
        table, groups = await _decode(tables, tenant_id, one)
        latest.update(tenant_id, table, groups, [table.positions(group) for group in groups])


async def _decode(tables: TagTables, tenant_id: int, one: StoredBatch) -> tuple[TagMap, tuple[Group, ...]]:
    """Of a batch that was verified when it was stored."""
    payload = statement.parse(one.statement).open()
    table = await tables.get(tenant_id, one.gateway_id, payload.table_digest)
    if table is None:
        raise LookupError(f"tag table {payload.table_digest.hex()} of a stored batch is missing")
    return table, payload.groups
