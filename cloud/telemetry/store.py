"""SQL of telemetry: batches as signed, gaps, tags, tag tables, findings. Every function works inside the caller's tenant transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cloud.db import Connection
from cloud.identity.keyring import GatewayKey
from cloud.telemetry.epochs import Held
from cloud.telemetry.ingest import STREAMS, ChainKey, Link, Opened, Refusal
from protocols.devicemap import TagTable


@dataclass(frozen=True, slots=True)
class StoredBatch:
    gateway_id: int
    stream: str
    epoch: int
    seq: int
    statement: bytes


@dataclass(frozen=True, slots=True)
class GatewayRow:
    id: int
    name: str
    urn: str
    enrolled_us: int
    last_seen_us: int | None
    backlog: int
    receipt_us: int | None


@dataclass(frozen=True, slots=True)
class TagRow:
    id: int
    gateway_id: int
    gateway: str
    name: str
    type: str
    unit: str
    asset: str
    protocol: str


async def seen(connection: Connection, key: GatewayKey, at_us: int, backlog: int, span_us: int, receipt_us: int | None) -> Held:
    """Note the contact, give the epoch that sends, and hold the gateway's row to the end of the transaction: requests of one gateway judge their chains one after another."""
    cursor = await connection.execute(
        "UPDATE gateway SET last_seen_us = %s, backlog = %s, span_us = greatest(span_us, %s), receipt_us = coalesce(%s, receipt_us)"
        " WHERE tenant_id = %s AND gateway_id = %s RETURNING held_epoch, held_us, rival_us",
        (at_us, backlog, span_us, receipt_us, key.tenant_id, key.gateway_id),
    )
    return Held(*(await _rows(cursor))[0])


async def hold_epoch(connection: Connection, key: GatewayKey, held: Held) -> None:
    await connection.execute(
        "UPDATE gateway SET held_epoch = %s, held_us = %s, rival_us = %s WHERE tenant_id = %s AND gateway_id = %s",
        (held.epoch, held.at_us, held.rival_us, key.tenant_id, key.gateway_id),
    )


async def has_epoch(connection: Connection, key: GatewayKey, epoch: int) -> bool:
    """Whether batches of that epoch are stored."""
    cursor = await connection.execute(
        "SELECT EXISTS (SELECT FROM batch WHERE tenant_id = %s AND gateway_id = %s AND stream = ANY(%s) AND epoch = %s)",
        (key.tenant_id, key.gateway_id, list(STREAMS), epoch),
    )
    return bool((await _rows(cursor))[0][0])


async def links(connection: Connection, key: GatewayKey, wanted: Iterable[ChainKey]) -> dict[ChainKey, Link]:
    streams, epochs, seqs = zip(*wanted, strict=True)
    cursor = await connection.execute(
        "SELECT stream, epoch, seq, entry, prev FROM batch JOIN unnest(%s::text[], %s::bigint[], %s::bigint[]) AS wanted (stream, epoch, seq)"
        " USING (stream, epoch, seq) WHERE tenant_id = %s AND gateway_id = %s",
        (list(streams), list(epochs), list(seqs), key.tenant_id, key.gateway_id),
        binary=True,
    )
    return {(row[0], row[1], row[2]): Link(bytes(row[3]), bytes(row[4])) for row in await _rows(cursor)}


_INSERT_BATCH = (
    "WITH logged AS (INSERT INTO log_entry (tenant_id, kind, entry) VALUES (%(tenant)s, 'batch', %(entry)b) RETURNING log_id)"
    " INSERT INTO batch (tenant_id, gateway_id, stream, epoch, seq, entry, prev, tag_table, t_min_us, t_max_us, samples, gaps, received_us, log_id, statement)"
    " SELECT %(tenant)s, %(gateway)s, %(stream)s, %(epoch)s, %(seq)s, %(entry)b, %(prev)b, %(table)b, %(low)s, %(high)s, %(samples)s, %(gaps)s, %(at)s,"
    " log_id, %(statement)b FROM logged"
)
_INSERT_GAP = (
    "INSERT INTO gap (tenant_id, gateway_id, stream, epoch, seq, position, low, high, reason) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
)


async def add_batches(connection: Connection, key: GatewayKey, batches: Sequence[Opened], at_us: int) -> None:
    """The statements, their log entries and the gaps they declare. A number that is taken is an error: the caller has looked, and holds the gateway."""
    rows = [
        {
            "tenant": key.tenant_id,
            "gateway": key.gateway_id,
            "stream": one.statement.header.stream,
            "epoch": one.statement.header.epoch,
            "seq": one.statement.header.seq,
            "entry": one.entry,
            "prev": one.statement.header.prev,
            "table": one.payload.table_digest,
            "low": one.t_min_us,
            "high": one.t_max_us,
            "samples": one.payload.samples,
            "gaps": len(one.payload.gaps),
            "at": at_us,
            "statement": one.statement.data,
        }
        for one in batches
    ]
    gaps = [
        (key.tenant_id, key.gateway_id, *one.key, position, gap.start, gap.end, int(gap.reason))
        for one in batches
        for position, gap in enumerate(one.payload.gaps)
    ]
    cursor = connection.cursor()
    await cursor.executemany(_INSERT_BATCH, rows)
    if gaps:
        await cursor.executemany(_INSERT_GAP, gaps)


async def add_finding(connection: Connection, key: GatewayKey, refusal: Refusal, at_us: int) -> None:
    known = refusal.known
    await connection.execute(
        "INSERT INTO finding (tenant_id, at_us, gateway_id, slug, detail, stream, epoch, seq, entry) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            key.tenant_id,
            at_us,
            key.gateway_id,
            refusal.slug,
            refusal.detail,
            known.header.stream if known else None,
            known.header.epoch if known else None,
            known.header.seq if known else None,
            known.entry if known else None,
        ),
    )


async def add_equivocation(connection: Connection, key: GatewayKey, one: Opened, stored: bytes, at_us: int) -> None:
    """Keep the second statement of a number beside the first."""
    await connection.execute(
        "INSERT INTO equivocation (tenant_id, gateway_id, stream, epoch, seq, entry, stored, statement, received_us)"
        " VALUES (%s, %s, %s, %s, %s, %b, %b, %b, %s) ON CONFLICT DO NOTHING",
        (key.tenant_id, key.gateway_id, *one.key, one.entry, stored, one.statement.data, at_us),
    )


async def add_tag_table(connection: Connection, key: GatewayKey, table: TagTable, statement: bytes, at_us: int) -> bool:
    """True when it is new. Tags keep their id by name; their descriptions become those of the newest table."""
    cursor = await connection.execute(
        "INSERT INTO tag_table (tenant_id, digest, gateway_id, text, statement, received_us) VALUES (%s, %b, %s, %s, %b, %s) ON CONFLICT DO NOTHING",
        (key.tenant_id, table.digest, key.gateway_id, table.text, statement, at_us),
    )
    if cursor.rowcount == 0:
        return False
    entries = table.entries
    columns: tuple[list[Any], ...] = (
        [entry.name for entry in entries],
        [entry.type.value for entry in entries],
        [entry.unit for entry in entries],
        [entry.scale for entry in entries],
        [entry.offset for entry in entries],
        [entry.asset for entry in entries],
        [entry.protocol for entry in entries],
        [entry.range[0] if entry.range else None for entry in entries],
        [entry.range[1] if entry.range else None for entry in entries],
    )
    await connection.execute(
        'INSERT INTO tag (tenant_id, gateway_id, name, type, unit, scale, "offset", asset, protocol, low, high)'
        " SELECT %s, %s, * FROM unnest(%s::text[], %s::text[], %s::text[], %s::numeric[], %s::numeric[], %s::text[], %s::text[], %s::float8[], %s::float8[])"
        " ON CONFLICT (tenant_id, gateway_id, name) DO UPDATE SET type = excluded.type, unit = excluded.unit, scale = excluded.scale,"
        ' "offset" = excluded."offset", asset = excluded.asset, protocol = excluded.protocol, low = excluded.low, high = excluded.high',
        (key.tenant_id, key.gateway_id, *columns),
    )
    return True


async def tag_table_text(connection: Connection, tenant_id: int, gateway_id: int, digest: bytes) -> str | None:
    cursor = await connection.execute(
        "SELECT text FROM tag_table WHERE tenant_id = %s AND gateway_id = %s AND digest = %b", (tenant_id, gateway_id, digest)
    )
    rows = await _rows(cursor)
    return str(rows[0][0]) if rows else None


async def tag_ids(connection: Connection, tenant_id: int, gateway_id: int) -> dict[str, int]:
    cursor = await connection.execute("SELECT name, tag_id FROM tag WHERE tenant_id = %s AND gateway_id = %s", (tenant_id, gateway_id))
    return {str(row[0]): int(row[1]) for row in await _rows(cursor)}


async def add_vouched(connection: Connection, key: GatewayKey, digest: bytes, statement: bytes, at_us: int) -> None:
    """The word by which batches of an ended key were taken."""
    await connection.execute(
        "INSERT INTO vouched (tenant_id, gateway_id, digest, statement, received_us) VALUES (%s, %s, %s, %b, %s) ON CONFLICT DO NOTHING",
        (key.tenant_id, key.gateway_id, digest, statement, at_us),
    )


async def gateways(connection: Connection, tenant_id: int) -> list[GatewayRow]:
    cursor = await connection.execute(
        "SELECT gateway_id, name, urn, enrolled_us, last_seen_us, backlog, receipt_us FROM gateway WHERE tenant_id = %s ORDER BY name",
        (tenant_id,),
    )
    return [GatewayRow(*row) for row in await _rows(cursor)]


async def tags(connection: Connection, tenant_id: int, tag_id: int | None = None, limit: int | None = None) -> list[TagRow]:
    cursor = await connection.execute(
        "SELECT tag_id, gateway_id, gateway.name, tag.name, type, unit, asset, protocol FROM tag JOIN gateway USING (tenant_id, gateway_id)"
        " WHERE tenant_id = %s AND (%s::bigint IS NULL OR tag_id = %s) ORDER BY gateway.name, tag.name LIMIT %s",
        (tenant_id, tag_id, tag_id, limit),
    )
    return [TagRow(*row) for row in await _rows(cursor)]


async def tags_of(connection: Connection, tenant_id: int, tag_ids: Sequence[int]) -> list[TagRow]:
    """Those of them that are there, in no order."""
    cursor = await connection.execute(
        "SELECT tag_id, gateway_id, gateway.name, tag.name, type, unit, asset, protocol FROM tag JOIN gateway USING (tenant_id, gateway_id)"
        " WHERE tenant_id = %s AND tag_id = ANY(%s::bigint[])",
        (tenant_id, list(tag_ids)),
    )
    return [TagRow(*row) for row in await _rows(cursor)]


async def tags_page(connection: Connection, tenant_id: int, find: str | None, after: int, limit: int | None) -> list[TagRow]:
    """By id where there is a limit, by gateway and name where all are asked for. find: part of the name or the asset."""
    order = "gateway.name, tag.name" if limit is None else "tag_id"
    cursor = await connection.execute(
        "SELECT tag_id, gateway_id, gateway.name, tag.name, type, unit, asset, protocol FROM tag JOIN gateway USING (tenant_id, gateway_id)"  # noqa: S608  # one of two texts of this function
        " WHERE tenant_id = %s AND tag_id > %s AND (%s::text IS NULL OR strpos(lower(tag.name), lower(%s)) > 0"
        f" OR strpos(lower(asset), lower(%s)) > 0) ORDER BY {order} LIMIT %s",
        (tenant_id, after, find, find, find, limit),
    )
    return [TagRow(*row) for row in await _rows(cursor)]


async def tags_mark(connection: Connection, tenant_id: int) -> object:
    """Differs whenever tags were added or described anew: they come with tables only."""
    cursor = await connection.execute("SELECT count(*), max(received_us) FROM tag_table WHERE tenant_id = %s", (tenant_id,))
    return (await _rows(cursor))[0]


async def batches_overlapping(connection: Connection, tenant_id: int, gateway_id: int, from_us: int, to_us: int) -> list[StoredBatch]:
    """Batches with a sample in [from_us, to_us), in the order of chain and number. The longest span of the gateway bounds the search on the index."""
    cursor = await connection.execute(
        "SELECT gateway_id, stream, epoch, seq, statement FROM batch WHERE tenant_id = %s AND gateway_id = %s AND t_min_us < %s AND t_max_us >= %s"
        " AND t_min_us >= %s - (SELECT span_us FROM gateway WHERE tenant_id = %s AND gateway_id = %s) ORDER BY t_min_us, stream, epoch, seq",
        (tenant_id, gateway_id, to_us, from_us, from_us, tenant_id, gateway_id),
        binary=True,
    )
    return [StoredBatch(row[0], row[1], row[2], row[3], bytes(row[4])) for row in await _rows(cursor)]


async def newest_batches(connection: Connection, tenant_id: int, gateway_id: int, limit: int) -> list[StoredBatch]:
    """Oldest of them first."""
    cursor = await connection.execute(
        "SELECT gateway_id, stream, epoch, seq, statement FROM batch WHERE tenant_id = %s AND gateway_id = %s AND t_min_us IS NOT NULL"
        " ORDER BY t_min_us DESC LIMIT %s",
        (tenant_id, gateway_id, limit),
        binary=True,
    )
    return [StoredBatch(row[0], row[1], row[2], row[3], bytes(row[4])) for row in reversed(await _rows(cursor))]


async def _rows(cursor: Any) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = await cursor.fetchall()
    return rows
