"""SQL of evidence: rows, the contents they name, and the batches they were computed from. Inside the caller's tenant transaction.

A row is stored only when everything it names is stored: what is in the table can be proven for as long as its inputs are kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloud.audit import store as audit_store
from cloud.db import Connection
from protocols.batch import evidence
from protocols.batch.evidence import BatchRef, Row


class MissingInput(ValueError):
    """A row names something that is not stored: its pedigree could not be proven."""


@dataclass(frozen=True, slots=True)
class StoredRow:
    """position: leaf index in the tenant's log, None until it is integrated."""

    id: int
    digest: bytes
    made_us: int
    document: bytes
    position: int | None

    @property
    def row(self) -> Row:
        return evidence.decode(self.document)


@dataclass(frozen=True, slots=True)
class Listed:
    """A row without its document."""

    id: int
    digest: bytes
    kind: str
    subject: str
    as_of_us: int
    made_us: int
    position: int | None


@dataclass(frozen=True, slots=True)
class InputBatch:
    gateway_id: int
    table_digest: bytes
    statement: bytes


async def append(connection: Connection, tenant_id: int, row: Row, contents: Mapping[bytes, bytes], made_us: int) -> bytes:
    """Store the row with the contents (by digest) that may not be stored yet, and enter it into the log. Returns its digest.

    Appending the same row again changes nothing. Wake the log after the commit. Raises ValueError when the row cannot be written or
    a content is not what its digest says, MissingInput when the row names something that is neither stored nor given.
    """
    document = evidence.encode(row)
    digest = evidence.digest(document)
    names = {hashed: name for name, hashed in row.inputs.contents.items()}
    for hashed, content in contents.items():
        if hashed not in names:
            raise ValueError(f"evidence {row.name}: content {hashed.hex()} is given, but the row does not name it")
        if evidence.digest(content) != hashed or len(content) > evidence.MAX_CONTENT:
            raise ValueError(
                f'evidence {row.name}: content "{names[hashed]}" of {len(content)} bytes does not have the digest {hashed.hex()}'
            )
    await _check_inputs(connection, tenant_id, row, contents)
    if contents:
        given = sorted(contents)  # in one order, so that two transactions never wait for each other
        await connection.execute(
            "INSERT INTO evidence_content (tenant_id, digest, kind, content) SELECT %s, * FROM unnest(%b::bytea[], %s::text[], %b::bytea[])"
            " ON CONFLICT DO NOTHING",
            (tenant_id, given, [names[hashed] for hashed in given], [contents[hashed] for hashed in given]),
        )
    await connection.execute(
        "INSERT INTO evidence (tenant_id, digest, kind, subject, as_of_us, made_us, refs, contents, document)"
        " VALUES (%s, %b, %s, %s, %s, %s, %b::bytea[], %b::bytea[], %b) ON CONFLICT (tenant_id, digest) DO NOTHING",
        (
            tenant_id,
            digest,
            row.kind,
            row.subject,
            row.as_of_us,
            made_us,
            sorted(set(row.inputs.rows.values())),
            sorted(names),
            document,
        ),
    )
    await audit_store.append(connection, tenant_id, "evidence", digest)
    return digest


_MISSING = (
    "SELECT 'row', digest FROM unnest(%(rows)b::bytea[]) AS wanted (digest)"
    "  WHERE NOT EXISTS (SELECT FROM evidence WHERE tenant_id = %(tenant)s AND evidence.digest = wanted.digest)"
    " UNION ALL SELECT 'content', digest FROM unnest(%(contents)b::bytea[]) AS wanted (digest)"
    "  WHERE NOT EXISTS (SELECT FROM evidence_content WHERE tenant_id = %(tenant)s AND evidence_content.digest = wanted.digest)"
    " UNION ALL SELECT 'batch', wanted.entry FROM unnest(%(urns)s::text[], %(streams)s::text[], %(epochs)s::bigint[], %(seqs)s::bigint[],"
    "   %(entries)b::bytea[]) AS wanted (urn, stream, epoch, seq, entry)"
    "  WHERE NOT EXISTS (SELECT FROM gateway JOIN batch USING (tenant_id, gateway_id) WHERE tenant_id = %(tenant)s AND gateway.urn = wanted.urn"
    "   AND batch.stream = wanted.stream AND batch.epoch = wanted.epoch AND batch.seq = wanted.seq AND batch.entry = wanted.entry)"
)


async def _check_inputs(connection: Connection, tenant_id: int, row: Row, given: Mapping[bytes, bytes]) -> None:
    inputs = row.inputs
    wanted = {
        "tenant": tenant_id,
        "rows": list(inputs.rows.values()),
        "contents": [hashed for hashed in inputs.contents.values() if hashed not in given],
        **_batch_columns(inputs.batches),
        "entries": [ref.entry for ref in inputs.batches],
    }
    cursor = await connection.execute(_MISSING, wanted, binary=True)
    names = {hashed: name for name, hashed in (*inputs.rows.items(), *inputs.contents.items())}
    names |= {ref.entry: ref.name for ref in inputs.batches}
    missing = [f'{kind} "{names[bytes(hashed)]}" ({bytes(hashed).hex()[:16]})' for kind, hashed in await _rows(cursor)]
    if missing:
        raise MissingInput(f"evidence {row.name}: not stored: {', '.join(missing[:5])}{' and more' if len(missing) > 5 else ''}")


async def newest(connection: Connection, tenant_id: int, kind: str, subject: str) -> tuple[bytes, Row] | None:
    """The row of the latest as_of; of several for the same time, the one made last."""
    cursor = await connection.execute(
        "SELECT digest, document FROM evidence WHERE tenant_id = %s AND kind = %s AND subject = %s"
        " ORDER BY as_of_us DESC, evidence_id DESC LIMIT 1",
        (tenant_id, kind, subject),
        binary=True,
    )
    rows = await _rows(cursor)
    return (bytes(rows[0][0]), evidence.decode(bytes(rows[0][1]))) if rows else None


async def get(connection: Connection, tenant_id: int, digest: bytes) -> StoredRow | None:
    cursor = await connection.execute(
        "SELECT evidence_id, digest, made_us, document, position FROM evidence JOIN log_entry ON log_entry.tenant_id = evidence.tenant_id"
        " AND log_entry.entry = evidence.digest WHERE evidence.tenant_id = %s AND digest = %b",
        (tenant_id, digest),
        binary=True,
    )
    rows = await _rows(cursor)
    return StoredRow(rows[0][0], bytes(rows[0][1]), rows[0][2], bytes(rows[0][3]), rows[0][4]) if rows else None


async def page(
    connection: Connection, tenant_id: int, kind: str | None, subject: str | None, limit: int, before: int | None = None
) -> list[Listed]:
    """In the order they were made, the last first. before: the `id` of the last one of the page before."""
    cursor = await connection.execute(
        "SELECT evidence_id, digest, evidence.kind, subject, as_of_us, made_us, position FROM evidence"
        " JOIN log_entry ON log_entry.tenant_id = evidence.tenant_id AND log_entry.entry = evidence.digest"
        " WHERE evidence.tenant_id = %s AND (%s::text IS NULL OR evidence.kind = %s) AND (%s::text IS NULL OR subject = %s)"
        " AND (%s::bigint IS NULL OR evidence_id < %s) ORDER BY evidence_id DESC LIMIT %s",
        (tenant_id, kind, kind, subject, subject, before, before, limit),
        binary=True,
    )
    return [Listed(row[0], bytes(row[1]), *row[2:]) for row in await _rows(cursor)]


async def newest_of_each(connection: Connection, tenant_id: int, after: int) -> list[StoredRow]:
    """The row made last of every kind and subject, of those with an `id` above `after`; in the order they were made."""
    cursor = await connection.execute(
        "SELECT evidence_id, digest, made_us, document, NULL FROM (SELECT DISTINCT ON (kind, subject) evidence_id, digest, made_us, document"
        "  FROM evidence WHERE tenant_id = %s AND evidence_id > %s ORDER BY kind, subject, evidence_id DESC) AS newest ORDER BY evidence_id",
        (tenant_id, after),
        binary=True,
    )
    return [StoredRow(row[0], bytes(row[1]), row[2], bytes(row[3]), row[4]) for row in await _rows(cursor)]


async def content(connection: Connection, tenant_id: int, digest: bytes) -> bytes | None:
    found = await contents(connection, tenant_id, [digest])
    return found.get(digest)


async def contents(connection: Connection, tenant_id: int, digests: Sequence[bytes]) -> dict[bytes, bytes]:
    """By digest; what is not stored is left out."""
    cursor = await connection.execute(
        "SELECT digest, content FROM evidence_content WHERE tenant_id = %s AND digest = ANY(%b::bytea[])",
        (tenant_id, list(digests)),
        binary=True,
    )
    return {bytes(row[0]): bytes(row[1]) for row in await _rows(cursor)}


async def content_bytes(connection: Connection, tenant_id: int, digests: Sequence[bytes]) -> int:
    """Of all of them together, without reading them."""
    cursor = await connection.execute(
        "SELECT coalesce(sum(length(content)), 0)::bigint FROM evidence_content WHERE tenant_id = %s AND digest = ANY(%b::bytea[])",
        (tenant_id, list(digests)),
    )
    return int((await _rows(cursor))[0][0])


async def closure(connection: Connection, tenant_id: int, digest: bytes, limit: int) -> list[bytes]:
    """The document of the row and of every row below it, at most `limit`; as many as `limit` may mean that there are more."""
    cursor = await connection.execute(
        "WITH RECURSIVE below (digest) AS (SELECT %b::bytea UNION SELECT unnest(refs) FROM below JOIN evidence"
        "  ON evidence.tenant_id = %s AND evidence.digest = below.digest)"
        " SELECT document FROM (SELECT digest FROM below LIMIT %s) AS first JOIN evidence ON evidence.tenant_id = %s AND evidence.digest = first.digest",
        (digest, tenant_id, limit, tenant_id),
        binary=True,
    )
    return [bytes(row[0]) for row in await _rows(cursor)]


async def batches(connection: Connection, tenant_id: int, refs: Sequence[BatchRef]) -> list[InputBatch]:
    """In the order of `refs`; a number without a batch is left out. Whether each is the one that was meant is the reader's to check."""
    cursor = await connection.execute(
        "SELECT batch.gateway_id, batch.tag_table, batch.statement FROM"
        " unnest(%(urns)s::text[], %(streams)s::text[], %(epochs)s::bigint[], %(seqs)s::bigint[])"
        "  WITH ORDINALITY AS wanted (urn, stream, epoch, seq, at)"
        " JOIN gateway ON gateway.tenant_id = %(tenant)s AND gateway.urn = wanted.urn"
        " JOIN batch ON batch.tenant_id = %(tenant)s AND batch.gateway_id = gateway.gateway_id AND batch.stream = wanted.stream"
        "  AND batch.epoch = wanted.epoch AND batch.seq = wanted.seq ORDER BY wanted.at",
        {"tenant": tenant_id, **_batch_columns(refs)},
        binary=True,
    )
    return [InputBatch(row[0], bytes(row[1]), bytes(row[2])) for row in await _rows(cursor)]


def _batch_columns(refs: Sequence[BatchRef]) -> dict[str, list[Any]]:
    return {
        "urns": [ref.gateway for ref in refs],
        "streams": [ref.stream for ref in refs],
        "epochs": [ref.epoch for ref in refs],
        "seqs": [ref.seq for ref in refs],
    }


async def _rows(cursor: Any) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = await cursor.fetchall()
    return rows
