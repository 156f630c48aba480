"""SQL of what is derived from batches: hourly series, minute rollups, and what completeness needs. Inside the caller's tenant transaction."""

from collections.abc import Iterable, Sequence
from typing import Any

from cloud.db import Connection
from cloud.telemetry.completeness import Declared, Hole
from cloud.telemetry.series import Minutes
from cloud.telemetry.store import StoredBatch


async def _rows(cursor: Any) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = await cursor.fetchall()
    return rows


async def compaction_lock(connection: Connection, tenant_id: int) -> bool:
    """True when this transaction alone compacts the tenant; released at its end."""
    cursor = await connection.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", (0x636D70, tenant_id))
    return bool((await _rows(cursor))[0][0])


async def uncompacted(connection: Connection, tenant_id: int, limit: int) -> list[StoredBatch]:
    cursor = await connection.execute(
        "SELECT gateway_id, stream, epoch, seq, statement FROM batch WHERE tenant_id = %s AND NOT compacted ORDER BY gateway_id, t_min_us LIMIT %s",
        (tenant_id, limit),
        binary=True,
    )
    return [StoredBatch(row[0], row[1], row[2], row[3], bytes(row[4])) for row in await _rows(cursor)]


async def mark_compacted(connection: Connection, tenant_id: int, batches: Sequence[StoredBatch]) -> None:
    await connection.execute(
        "UPDATE batch SET compacted = true FROM unnest(%s::int[], %s::text[], %s::bigint[], %s::bigint[]) AS done (gateway_id, stream, epoch, seq)"
        " WHERE batch.tenant_id = %s AND batch.gateway_id = done.gateway_id AND batch.stream = done.stream AND batch.epoch = done.epoch"
        " AND batch.seq = done.seq",
        (
            [batch.gateway_id for batch in batches],
            [batch.stream for batch in batches],
            [batch.epoch for batch in batches],
            [batch.seq for batch in batches],
            tenant_id,
        ),
    )


async def hours(connection: Connection, tenant_id: int, wanted: Iterable[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
    """Rows by (tag, hour)."""
    pairs = list(wanted)
    cursor = await connection.execute(
        "SELECT tag_id, hour_us, columns FROM series JOIN unnest(%s::bigint[], %s::bigint[]) AS wanted (tag_id, hour_us) USING (tag_id, hour_us)"
        " WHERE tenant_id = %s",
        ([tag for tag, _ in pairs], [hour for _, hour in pairs], tenant_id),
        binary=True,
    )
    return {(row[0], row[1]): bytes(row[2]) for row in await _rows(cursor)}


async def put_hours(connection: Connection, tenant_id: int, rows: Sequence[tuple[int, int, bytes, int]]) -> None:
    """(tag, hour, columns, samples): each replaces what was there."""
    await connection.cursor().executemany(
        "INSERT INTO series (tenant_id, tag_id, hour_us, columns, samples) VALUES (%s, %s, %s, %b, %s)"
        " ON CONFLICT (tenant_id, tag_id, hour_us) DO UPDATE SET columns = excluded.columns, samples = excluded.samples",
        [(tenant_id, *row) for row in rows],
    )


async def put_minutes(connection: Connection, tenant_id: int, tag_id: int, rollup: Minutes) -> None:
    await connection.execute(
        "INSERT INTO rollup_minute (tenant_id, tag_id, minute_us, low, high, total, last, count, good)"
        " SELECT %s, %s, minute_us, nullif(low, 'NaN'), nullif(high, 'NaN'), nullif(total, 'NaN'), nullif(last, 'NaN'), count, good"
        " FROM unnest(%s::bigint[], %s::float8[], %s::float8[], %s::float8[], %s::float8[], %s::int[], %s::int[])"
        " AS m (minute_us, low, high, total, last, count, good)"
        " ON CONFLICT (tenant_id, tag_id, minute_us) DO UPDATE SET low = excluded.low, high = excluded.high, total = excluded.total,"
        " last = excluded.last, count = excluded.count, good = excluded.good",
        (
            tenant_id,
            tag_id,
            rollup.minute_us.tolist(),
            rollup.low.tolist(),
            rollup.high.tolist(),
            rollup.total.tolist(),
            rollup.last.tolist(),
            rollup.count.tolist(),
            rollup.good.tolist(),
        ),
    )


async def range_of(
    connection: Connection, tenant_id: int, gateway_id: int, tag_id: int, from_us: int, to_us: int
) -> tuple[list[bytes], list[StoredBatch]]:
    """Hourly rows of the tag and batches not yet compacted that overlap [from_us, to_us): one statement, so one state of the database."""
    cursor = await connection.execute(
        "SELECT 'hour', 0, '', 0::bigint, hour_us, columns FROM series"
        " WHERE tenant_id = %(tenant)s AND tag_id = %(tag)s AND hour_us < %(to)s AND hour_us > %(from)s - 3600000000"
        " UNION ALL SELECT 'batch', gateway_id, stream, epoch, seq, statement FROM batch"
        " WHERE tenant_id = %(tenant)s AND gateway_id = %(gateway)s AND NOT compacted AND t_min_us < %(to)s AND t_max_us >= %(from)s"
        " ORDER BY 1, 4, 5",
        {"tenant": tenant_id, "gateway": gateway_id, "tag": tag_id, "from": from_us, "to": to_us},
        binary=True,
    )
    rows = await _rows(cursor)
    stored = [StoredBatch(row[1], row[2], row[3], row[4], bytes(row[5])) for row in rows if row[0] == "batch"]
    return [bytes(row[5]) for row in rows if row[0] == "hour"], stored


async def holes(connection: Connection, tenant_id: int, gateway_id: int) -> list[Hole]:
    """Numbers that no stored batch has, below the highest of each chain."""
    cursor = await connection.execute(
        "WITH chain AS (SELECT stream, epoch FROM batch WHERE tenant_id = %(tenant)s AND gateway_id = %(gateway)s"
        "  GROUP BY stream, epoch HAVING count(*) < max(seq))"
        " SELECT stream, epoch, before + 1, seq - 1, before_us, t_min_us FROM ("
        "  SELECT stream, epoch, seq, t_min_us, lag(seq, 1, 0::bigint) OVER chained AS before, lag(t_max_us) OVER chained AS before_us"
        "  FROM batch JOIN chain USING (stream, epoch) WHERE tenant_id = %(tenant)s AND gateway_id = %(gateway)s"
        "  WINDOW chained AS (PARTITION BY stream, epoch ORDER BY seq)) AS numbered WHERE seq > before + 1 ORDER BY stream, epoch, seq",
        {"tenant": tenant_id, "gateway": gateway_id},
    )
    return [Hole(*row) for row in await _rows(cursor)]


async def declared(connection: Connection, tenant_id: int, gateway_id: int, from_us: int, to_us: int) -> list[Declared]:
    """Declared gaps of numbers, and those of time that touch the window."""
    cursor = await connection.execute(
        "SELECT stream, epoch, low, high, reason FROM gap WHERE tenant_id = %s AND gateway_id = %s AND (reason > 100 OR (low < %s AND high >= %s))"
        " ORDER BY low",
        (tenant_id, gateway_id, to_us, from_us),
    )
    return [Declared(*row) for row in await _rows(cursor)]


async def totals(connection: Connection, tenant_id: int) -> dict[int, tuple[int, int, int]]:
    """(batches, samples, bytes of statements) per gateway."""
    cursor = await connection.execute(
        "SELECT gateway_id, count(*), coalesce(sum(samples), 0)::bigint, coalesce(sum(length(statement)), 0)::bigint FROM batch"
        " WHERE tenant_id = %s GROUP BY gateway_id",
        (tenant_id,),
    )
    return {int(row[0]): (int(row[1]), int(row[2]), int(row[3])) for row in await _rows(cursor)}


async def chain_range(connection: Connection, tenant_id: int, gateway_id: int, from_us: int, to_us: int, limit: int) -> list[StoredBatch]:
    """Of each chain everything from its first to its last batch that overlaps the window, in the order of chain and number."""
    cursor = await connection.execute(
        "WITH span AS (SELECT stream, epoch, min(seq) AS low, max(seq) AS high FROM batch WHERE tenant_id = %(tenant)s AND gateway_id = %(gateway)s"
        "  AND t_min_us < %(to)s AND t_max_us >= %(from)s GROUP BY stream, epoch)"
        " SELECT gateway_id, stream, epoch, seq, statement FROM batch JOIN span USING (stream, epoch)"
        " WHERE tenant_id = %(tenant)s AND gateway_id = %(gateway)s AND seq BETWEEN low AND high ORDER BY epoch, stream, seq LIMIT %(limit)s",
        {"tenant": tenant_id, "gateway": gateway_id, "from": from_us, "to": to_us, "limit": limit},
        binary=True,
    )
    return [StoredBatch(row[0], row[1], row[2], row[3], bytes(row[4])) for row in await _rows(cursor)]
