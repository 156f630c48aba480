"""SQL of the log: entries, tiles, checkpoints. Every function works inside the caller's tenant transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cloud.audit.tiles import Key
from cloud.db import Connection

_LOCK: Final = 0x6C6F67  # first part of the advisory lock; the second is the tenant


@dataclass(frozen=True, slots=True)
class Stored:
    """A checkpoint as it was signed."""

    size: int
    root: bytes
    text: str
    at_us: int


async def lock(connection: Connection, tenant_id: int) -> None:
    """One sequencer per log, over all processes: held to the end of the transaction."""
    await connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_LOCK, tenant_id))


async def append(connection: Connection, tenant_id: int, kind: str, entry: bytes) -> None:
    """Ask for an entry to be logged, in the transaction that stores what it stands for. Appending the same entry again changes nothing."""
    await connection.execute(
        "INSERT INTO log_entry (tenant_id, kind, entry) VALUES (%s, %s, %b) ON CONFLICT (tenant_id, entry) DO NOTHING",
        (tenant_id, kind, entry),
    )


async def pending(connection: Connection, tenant_id: int, limit: int) -> list[tuple[int, bytes]]:
    """Entries without a position. A transaction that commits late shows its lower ids later: nothing is skipped, positions just follow commits."""
    cursor = await connection.execute(
        "SELECT log_id, entry FROM log_entry WHERE tenant_id = %s AND position IS NULL ORDER BY log_id LIMIT %s",
        (tenant_id, limit),
        binary=True,
    )
    return [(int(row[0]), bytes(row[1])) for row in await _rows(cursor)]


async def place(connection: Connection, tenant_id: int, log_ids: Sequence[int], first: int) -> None:
    await connection.execute(
        "UPDATE log_entry SET position = placed.position FROM unnest(%s::bigint[], %s::bigint[]) AS placed (log_id, position)"
        " WHERE tenant_id = %s AND log_entry.log_id = placed.log_id",
        (list(log_ids), list(range(first, first + len(log_ids))), tenant_id),
    )


async def positions(connection: Connection, tenant_id: int, entries: Sequence[bytes]) -> dict[bytes, int]:
    """Leaf index by entry, for those that are integrated."""
    cursor = await connection.execute(
        "SELECT entry, position FROM log_entry WHERE tenant_id = %s AND entry = ANY(%s) AND position IS NOT NULL",
        (tenant_id, list(entries)),
        binary=True,
    )
    return {bytes(row[0]): int(row[1]) for row in await _rows(cursor)}


async def read_tiles(connection: Connection, tenant_id: int, keys: Iterable[Key]) -> dict[Key, bytes]:
    wanted = list(keys)
    if not wanted:
        return {}
    cursor = await connection.execute(
        "SELECT level, idx, hashes FROM log_tile JOIN unnest(%s::integer[], %s::bigint[]) AS wanted (level, idx) USING (level, idx)"
        " WHERE tenant_id = %s",
        ([key[0] for key in wanted], [key[1] for key in wanted], tenant_id),
        binary=True,
    )
    return {(int(row[0]), int(row[1])): bytes(row[2]) for row in await _rows(cursor)}


async def write_tiles(connection: Connection, tenant_id: int, tiles: Mapping[Key, bytes]) -> None:
    """Tiles only grow: a write that would shorten or replace hashes changes nothing and is an error."""
    for (level, index), hashes in tiles.items():
        cursor = await connection.execute(
            "INSERT INTO log_tile (tenant_id, level, idx, hashes) VALUES (%s, %s, %s, %b)"
            " ON CONFLICT (tenant_id, level, idx) DO UPDATE SET hashes = excluded.hashes"
            " WHERE substr(excluded.hashes, 1, length(log_tile.hashes)) = log_tile.hashes",
            (tenant_id, level, index, hashes),
        )
        if cursor.rowcount != 1:
            raise RuntimeError(f"log tile {level}/{index} of tenant {tenant_id} would be rewritten")


async def latest_checkpoint(connection: Connection, tenant_id: int) -> Stored | None:
    cursor = await connection.execute(
        "SELECT size, root, text, at_us FROM log_checkpoint WHERE tenant_id = %s ORDER BY size DESC LIMIT 1", (tenant_id,)
    )
    rows = await _rows(cursor)
    return Stored(int(rows[0][0]), bytes(rows[0][1]), str(rows[0][2]), int(rows[0][3])) if rows else None


async def notify(connection: Connection, tenant_id: int, channel: str) -> None:
    """Tell every hub process, when the transaction commits, that the log has grown."""
    await connection.execute("SELECT pg_notify(%s, %s)", (channel, str(tenant_id)))


async def write_checkpoint(connection: Connection, tenant_id: int, checkpoint: Stored) -> None:
    """The primary key forbids a second root for a size."""
    await connection.execute(
        "INSERT INTO log_checkpoint (tenant_id, size, root, text, at_us) VALUES (%s, %s, %b, %s, %s)",
        (tenant_id, checkpoint.size, checkpoint.root, checkpoint.text, checkpoint.at_us),
    )


async def _rows(cursor: Any) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = await cursor.fetchall()
    return rows
