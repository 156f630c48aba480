"""SQL of what is derived from batches: hourly series, minute rollups, totals, and what completeness needs. Inside the caller's tenant transaction."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from cloud.db import Connection
from cloud.telemetry.completeness import Declared, Hole
from cloud.telemetry.series import Minutes, hour_of
from protocols.batch.columns import GapReason

BATCHES_AT_ONCE: Final = 1024
SAMPLES_AT_ONCE: Final = 1_000_000  # of one compaction: bounds its memory, and how long it holds up others
ROWS_AT_ONCE: Final = 50
FETCHED_ROWS: Final = 64
AWAY: Final = (GapReason.AGENT_DOWN, GapReason.AGENT_STOPPED, GapReason.BUFFER_QUARANTINED)  # gaps that end with a start of the agent


@dataclass(frozen=True, slots=True)
class Uncompacted:
    """A stored batch that the series do not hold yet."""

    gateway_id: int
    stream: str
    epoch: int
    seq: int
    table_digest: bytes
    statement: bytes


@dataclass(frozen=True, slots=True)
class SeriesRow:
    tag_id: int
    hour_us: int
    columns: bytes
    samples: int


@dataclass(frozen=True, slots=True)
class Rollup:
    tag_id: int
    minutes: Minutes


@dataclass(frozen=True, slots=True)
class Span:
    """Numbers of one chain; both ends belong to it."""

    stream: str
    epoch: int
    low: int
    high: int


async def _rows(cursor: Any) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = await cursor.fetchall()
    return rows


async def _some(cursor: Any) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = await cursor.fetchmany(FETCHED_ROWS)
    return rows


async def compaction_lock(connection: Connection, tenant_id: int) -> bool:
    """True when this transaction alone compacts the tenant; released at its end."""
    cursor = await connection.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", (0x636D70, tenant_id))
    return bool((await _rows(cursor))[0][0])


async def uncompacted(connection: Connection, tenant_id: int) -> list[Uncompacted]:
    """The next ones, each gateway's in the order of storing; one at least, if there is one."""
    cursor = await connection.execute(
        "SELECT gateway_id, stream, epoch, seq, tag_table, statement FROM (SELECT *, sum(samples) OVER (ORDER BY gateway_id, log_id) - samples AS before"
        "  FROM (SELECT gateway_id, stream, epoch, seq, tag_table, statement, samples, log_id FROM batch WHERE tenant_id = %s AND NOT compacted"
        "   ORDER BY gateway_id, log_id LIMIT %s) AS first) AS counted WHERE before < %s ORDER BY gateway_id, log_id",
        (tenant_id, BATCHES_AT_ONCE, SAMPLES_AT_ONCE),
        binary=True,
    )
    return [Uncompacted(row[0], row[1], row[2], row[3], bytes(row[4]), bytes(row[5])) for row in await _rows(cursor)]


async def mark_compacted(connection: Connection, tenant_id: int, batches: Sequence[Uncompacted]) -> None:
    """And count them into the totals of their gateways."""
    await connection.execute(
        "WITH marked AS (UPDATE batch SET compacted = true FROM unnest(%(gateways)s::int[], %(streams)s::text[], %(epochs)s::bigint[], %(seqs)s::bigint[])"
        "   AS done (gateway_id, stream, epoch, seq) WHERE batch.tenant_id = %(tenant)s AND batch.gateway_id = done.gateway_id"
        "   AND batch.stream = done.stream AND batch.epoch = done.epoch AND batch.seq = done.seq"
        "   RETURNING batch.gateway_id, batch.samples, length(batch.statement) AS size)"
        " INSERT INTO gateway_total (tenant_id, gateway_id, batches, samples, bytes)"
        " SELECT %(tenant)s, gateway_id, count(*), sum(samples), sum(size) FROM marked GROUP BY gateway_id"
        " ON CONFLICT (tenant_id, gateway_id) DO UPDATE SET batches = gateway_total.batches + excluded.batches,"
        " samples = gateway_total.samples + excluded.samples, bytes = gateway_total.bytes + excluded.bytes",
        {
            "tenant": tenant_id,
            "gateways": [batch.gateway_id for batch in batches],
            "streams": [batch.stream for batch in batches],
            "epochs": [batch.epoch for batch in batches],
            "seqs": [batch.seq for batch in batches],
        },
    )


async def forget(connection: Connection, tenant_id: int) -> None:
    """Everything derived; the compactor makes it again from the batches."""
    for query in (
        "DELETE FROM series WHERE tenant_id = %s",
        "DELETE FROM rollup_minute WHERE tenant_id = %s",
        "DELETE FROM gateway_total WHERE tenant_id = %s",
        "UPDATE batch SET compacted = false WHERE tenant_id = %s AND compacted",
    ):
        await connection.execute(query, (tenant_id,))


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


async def put_hours(connection: Connection, tenant_id: int, rows: Sequence[SeriesRow]) -> None:
    """Each replaces what was there."""
    for start in range(0, len(rows), ROWS_AT_ONCE):
        some = rows[start : start + ROWS_AT_ONCE]
        await connection.execute(
            "INSERT INTO series (tenant_id, tag_id, hour_us, columns, samples)"
            " SELECT %s, * FROM unnest(%b::bigint[], %b::bigint[], %b::bytea[], %b::int[])"
            " ON CONFLICT (tenant_id, tag_id, hour_us) DO UPDATE SET columns = excluded.columns, samples = excluded.samples",
            (tenant_id, *([getattr(row, name) for row in some] for name in ("tag_id", "hour_us", "columns", "samples"))),
        )


async def put_minutes(connection: Connection, tenant_id: int, rollups: Sequence[Rollup]) -> None:
    for start in range(0, len(rollups), ROWS_AT_ONCE):
        await _put_minutes(connection, tenant_id, rollups[start : start + ROWS_AT_ONCE])


async def _put_minutes(connection: Connection, tenant_id: int, rollups: Sequence[Rollup]) -> None:
    parts = [rollup.minutes for rollup in rollups]
    tags = np.repeat([rollup.tag_id for rollup in rollups], [part.minute_us.size for part in parts])
    columns = [
        np.concatenate([getattr(part, name) for part in parts]).tolist()
        for name in ("minute_us", "low", "high", "total", "last", "count", "good")
    ]
    await connection.execute(
        "INSERT INTO rollup_minute (tenant_id, tag_id, minute_us, low, high, total, last, count, good)"
        " SELECT %s, tag_id, minute_us, nullif(low, 'NaN'), nullif(high, 'NaN'), nullif(total, 'NaN'), nullif(last, 'NaN'), count, good"
        " FROM unnest(%b::bigint[], %b::bigint[], %b::float8[], %b::float8[], %b::float8[], %b::float8[], %b::int[], %b::int[])"
        " AS m (tag_id, minute_us, low, high, total, last, count, good)"
        " ON CONFLICT (tenant_id, tag_id, minute_us) DO UPDATE SET low = excluded.low, high = excluded.high, total = excluded.total,"
        " last = excluded.last, count = excluded.count, good = excluded.good",
        (tenant_id, tags.tolist(), *columns),
    )


async def range_of(
    connection: Connection, tenant_id: int, gateway_id: int, tag_id: int, from_us: int, to_us: int
) -> AsyncIterator[list[bytes | Uncompacted]]:
    """Hourly rows of the tag, then batches not yet compacted in the order of storing, that overlap [from_us, to_us); some at a time.

    One statement, so one state of the database: a batch is in one of the two, never in both.
    """
    async with connection.cursor("range", binary=True) as cursor:
        await cursor.execute(
            "SELECT 0 AS kind, hour_us AS place, 0 AS gateway, '' AS stream, 0::bigint AS epoch, 0::bigint AS seq, ''::bytea AS tag_table, columns"
            " FROM series WHERE tenant_id = %(tenant)s AND tag_id = %(tag)s AND hour_us >= %(hour)s AND hour_us < %(to)s"
            " UNION ALL SELECT 1, log_id, gateway_id, stream, epoch, seq, tag_table, statement FROM batch"
            " WHERE tenant_id = %(tenant)s AND gateway_id = %(gateway)s AND NOT compacted AND t_min_us < %(to)s AND t_max_us >= %(from)s"
            " ORDER BY kind, place",
            {"tenant": tenant_id, "gateway": gateway_id, "tag": tag_id, "hour": hour_of(from_us), "from": from_us, "to": to_us},
        )
        while rows := await _some(cursor):
            yield [Uncompacted(row[2], row[3], row[4], row[5], bytes(row[6]), bytes(row[7])) if row[0] else bytes(row[7]) for row in rows]


async def tail_of(connection: Connection, tenant_id: int, gateway_id: int, from_us: int, to_us: int) -> list[Uncompacted]:
    """Batches not yet compacted that overlap [from_us, to_us), in the order of storing."""
    cursor = await connection.execute(
        "SELECT gateway_id, stream, epoch, seq, tag_table, statement FROM batch WHERE tenant_id = %s AND gateway_id = %s AND NOT compacted"
        " AND t_min_us < %s AND t_max_us >= %s ORDER BY log_id",
        (tenant_id, gateway_id, to_us, from_us),
        binary=True,
    )
    return [Uncompacted(row[0], row[1], row[2], row[3], bytes(row[4]), bytes(row[5])) for row in await _rows(cursor)]


async def holes(connection: Connection, tenant_id: int, gateway_id: int) -> list[Hole]:
    """Numbers that no stored batch has, below the highest of each chain, with the times of the nearest batches that have any."""
    cursor = await connection.execute(
        "WITH mine AS NOT MATERIALIZED (SELECT stream, epoch, seq, t_min_us, t_max_us FROM batch"
        "   WHERE tenant_id = %(tenant)s AND gateway_id = %(gateway)s),"
        "  chain AS (SELECT stream, epoch FROM mine GROUP BY stream, epoch HAVING count(*) < max(seq)),"
        "  hole AS (SELECT stream, epoch, before, seq FROM (SELECT stream, epoch, seq, lag(seq, 1, 0::bigint) OVER"
        "   (PARTITION BY stream, epoch ORDER BY seq) AS before FROM mine JOIN chain USING (stream, epoch)) AS numbered WHERE seq > before + 1)"
        " SELECT stream, epoch, before + 1, seq - 1,"
        "  (SELECT m.t_max_us FROM mine AS m WHERE (m.stream, m.epoch) = (hole.stream, hole.epoch) AND m.seq <= before AND m.t_max_us IS NOT NULL"
        "   ORDER BY m.seq DESC LIMIT 1),"
        "  (SELECT m.t_min_us FROM mine AS m WHERE (m.stream, m.epoch) = (hole.stream, hole.epoch) AND m.seq >= hole.seq AND m.t_min_us IS NOT NULL"
        "   ORDER BY m.seq LIMIT 1)"
        " FROM hole ORDER BY stream, epoch, seq",
        {"tenant": tenant_id, "gateway": gateway_id},
    )
    return [Hole(*row) for row in await _rows(cursor)]


async def newest_us(connection: Connection, tenant_id: int, gateway_id: int) -> int | None:
    """The time of the gateway's newest sample."""
    cursor = await connection.execute(
        "SELECT max(t_max_us) FROM (SELECT t_max_us FROM batch WHERE tenant_id = %s AND gateway_id = %s AND t_min_us IS NOT NULL"
        " ORDER BY t_min_us DESC LIMIT 16) AS newest",
        (tenant_id, gateway_id),
    )
    found: int | None = (await _rows(cursor))[0][0]
    return found


async def tables_of(connection: Connection, tenant_id: int, gateway_id: int, from_us: int, to_us: int) -> list[bytes]:
    """Digests of the tag tables of the batches that overlap the window, and of the newest one before it."""
    cursor = await connection.execute(
        "SELECT DISTINCT tag_table FROM batch WHERE tenant_id = %(tenant)s AND gateway_id = %(gateway)s AND t_min_us < %(to)s AND t_max_us >= %(from)s"
        "   AND t_min_us >= %(from)s::numeric - (SELECT span_us FROM gateway WHERE tenant_id = %(tenant)s AND gateway_id = %(gateway)s)"
        " UNION (SELECT tag_table FROM batch WHERE tenant_id = %(tenant)s AND gateway_id = %(gateway)s AND t_min_us < %(from)s"
        "   ORDER BY t_min_us DESC LIMIT 1)",
        {"tenant": tenant_id, "gateway": gateway_id, "from": from_us, "to": to_us},
        binary=True,
    )
    return [bytes(row[0]) for row in await _rows(cursor)]


async def declared(connection: Connection, tenant_id: int, gateway_id: int, from_us: int, to_us: int) -> list[Declared]:
    """Declared gaps of numbers, and those of time that touch the window. Times in which the agent was away ended before the hub had the batch
    that says so: where the gateway's clock was ahead, the hub's own time of receipt is their end."""
    cursor = await connection.execute(
        "SELECT stream, epoch, low, high, reason FROM (SELECT gap.stream, gap.epoch, low, reason, CASE WHEN reason = ANY(%(away)s)"
        "   THEN greatest(low, least(high, received_us)) ELSE high END AS high FROM gap JOIN batch USING (tenant_id, gateway_id, stream, epoch, seq)"
        "   WHERE tenant_id = %(tenant)s AND gateway_id = %(gateway)s AND (reason >= 100 OR (low < %(to)s AND high >= %(from)s))) AS told"
        " WHERE reason >= 100 OR high >= %(from)s ORDER BY low",
        {"tenant": tenant_id, "gateway": gateway_id, "from": from_us, "to": to_us, "away": [int(reason) for reason in AWAY]},
    )
    return [Declared(*row) for row in await _rows(cursor)]


async def totals(connection: Connection, tenant_id: int) -> dict[int, tuple[int, int, int]]:
    """(batches, samples, bytes of statements) per gateway: what the compactor has counted, and what is not yet compacted."""
    cursor = await connection.execute(
        "SELECT gateway_id, sum(batches)::bigint, sum(samples)::bigint, sum(bytes)::bigint FROM"
        " (SELECT gateway_id, batches, samples, bytes FROM gateway_total WHERE tenant_id = %(tenant)s"
        "  UNION ALL SELECT gateway_id, count(*), sum(samples), sum(length(statement)) FROM batch WHERE tenant_id = %(tenant)s AND NOT compacted"
        "  GROUP BY gateway_id) AS parts GROUP BY gateway_id",
        {"tenant": tenant_id},
    )
    return {int(row[0]): (int(row[1]), int(row[2]), int(row[3])) for row in await _rows(cursor)}


async def spans(connection: Connection, tenant_id: int, gateway_id: int, from_us: int, to_us: int) -> list[Span]:
    """Of each chain the first and the last number whose batch overlaps the window, and on to the batch that declares what is missing between.

    The longest span of the gateway's batches bounds the search on the index.
    """
    cursor = await connection.execute(
        "WITH RECURSIVE grown AS ("
        "  SELECT stream, epoch, min(seq) AS low, max(seq) AS high FROM batch WHERE tenant_id = %(tenant)s AND gateway_id = %(gateway)s"
        "   AND t_min_us < %(to)s AND t_max_us >= %(from)s"
        "   AND t_min_us >= %(from)s::numeric - (SELECT span_us FROM gateway WHERE tenant_id = %(tenant)s AND gateway_id = %(gateway)s)"
        "   GROUP BY stream, epoch"
        "  UNION SELECT stream, epoch, grown.low, gap.seq FROM grown JOIN gap USING (stream, epoch)"
        "   WHERE gap.tenant_id = %(tenant)s AND gap.gateway_id = %(gateway)s AND gap.reason >= 100"
        "   AND gap.low < grown.high AND gap.high > grown.low AND gap.seq > grown.high)"
        " SELECT stream, epoch, min(low), max(high) FROM grown GROUP BY stream, epoch ORDER BY epoch, stream",
        {"tenant": tenant_id, "gateway": gateway_id, "from": from_us, "to": to_us},
    )
    return [Span(*row) for row in await _rows(cursor)]


async def chains(connection: Connection, tenant_id: int, gateway_id: int, wanted: Sequence[Span]) -> AsyncIterator[list[bytes]]:
    """The statements of these spans in the order of chain and number, some at a time."""
    async with connection.cursor("chains", binary=True) as cursor:
        await cursor.execute(
            "SELECT statement FROM batch JOIN unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bigint[]) AS span (stream, epoch, low, high)"
            " USING (stream, epoch) WHERE tenant_id = %s AND gateway_id = %s AND seq BETWEEN low AND high ORDER BY epoch, stream, seq",
            (*_columns(wanted), tenant_id, gateway_id),
        )
        while rows := await _some(cursor):
            yield [bytes(row[0]) for row in rows]


async def digests(connection: Connection, tenant_id: int, gateway_id: int, wanted: Sequence[Span]) -> list[bytes]:
    """Of the tag tables that the batches of these spans name."""
    cursor = await connection.execute(
        "SELECT DISTINCT tag_table FROM batch JOIN unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bigint[]) AS span (stream, epoch, low, high)"
        " USING (stream, epoch) WHERE tenant_id = %s AND gateway_id = %s AND seq BETWEEN low AND high ORDER BY tag_table",
        (*_columns(wanted), tenant_id, gateway_id),
        binary=True,
    )
    return [bytes(row[0]) for row in await _rows(cursor)]


def _columns(spans: Sequence[Span]) -> tuple[list[str], list[int], list[int], list[int]]:
    return [one.stream for one in spans], [one.epoch for one in spans], [one.low for one in spans], [one.high for one in spans]
