"""Export of an evidence row with everything below it, as a file that anybody with the log's public key can verify offline."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cloud.audit.log import Log
from cloud.db import Connection
from cloud.errors import Problem
from cloud.evidence import store
from cloud.evidence.store import InputBatch
from cloud.identity import store as identity_store
from cloud.telemetry import store as telemetry_store
from cloud.telemetry.bundles import certificates_of
from cloud.telemetry.window import Windows
from protocols.batch import evidence, pedigree, statement
from protocols.batch.evidence import BatchRef, Row
from protocols.batch.pedigree import Pedigree, ProvenRow
from protocols.batch.proofs import ProvenBatch

MAX_ROWS: Final = 10_000
MAX_BATCHES: Final = 20_000
MAX_BYTES: Final = 256 << 20
BATCHES_AT_ONCE: Final = 256
LOG_WAIT_S: Final = 2.0  # a row just made stands in the log a moment later


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What a file needs from the database: rows in order of dependency, contents and batches in the order they name them."""

    documents: dict[bytes, bytes]
    contents: dict[bytes, bytes]
    batches: Sequence[InputBatch]
    tables: dict[bytes, str]


async def export(windows: Windows, log: Log, tenant_id: int, digest: bytes) -> bytes:
    """What is returned verifies. Raises Problem when there is no such row, when it came from too much, or when it is not yet logged."""
    loop = asyncio.get_running_loop()
    found = await _read(windows, tenant_id, digest)
    statements = [batch.statement for batch in found.batches]
    entries, key_ids = await loop.run_in_executor(windows.threads, _entries, statements)
    reply = await log.receipts(tenant_id, [*entries, *found.documents], wait_s=LOG_WAIT_S)
    receipts = [receipt for receipt in reply.receipts if receipt is not None] if reply else []
    if reply is None or len(receipts) < len(reply.receipts):
        raise Problem("unavailable", "the newest inputs of this row are not yet in the log; try again in a second", retry_after_s=1)
    tenant = await identity_store.tenant_by_id(windows.db, tenant_id)
    document = Pedigree(
        log_key=log.log_key(tenant_id, tenant.origin),
        checkpoint=reply.checkpoint,
        certificates=await certificates_of(windows.db, key_ids),
        batches=tuple(ProvenBatch(one.statement, proof, one.table_digest) for one, proof in zip(found.batches, receipts, strict=False)),
        tables=tuple(found.tables.values()),
        target=digest,
        rows=tuple(ProvenRow(row, proof) for row, proof in zip(found.documents.values(), receipts[len(entries) :], strict=True)),
        contents=tuple(found.contents.values()),
    )
    return await loop.run_in_executor(windows.threads, _written, document)


def _written(document: Pedigree) -> bytes:
    data = pedigree.write(document)
    report = pedigree.verify(data, document.log_key)
    if not report.ok:
        raise ValueError(f"the bundle of evidence {document.target.hex()} does not verify: {report.failed}: {report.steps[-1].detail}")
    return data


def _entries(statements: Sequence[bytes]) -> tuple[list[bytes], set[bytes]]:
    """Entries of the batches and the ids of the keys that signed them."""
    parsed = [statement.parse(data) for data in statements]
    return [one.entry for one in parsed], {one.key_id for one in parsed}


async def _read(windows: Windows, tenant_id: int, digest: bytes) -> _Inputs:
    loop = asyncio.get_running_loop()
    async with windows.db.tenant(tenant_id) as connection:
        documents = await store.closure(connection, tenant_id, digest, MAX_ROWS + 1)
        if not documents:
            raise Problem("not-found", f"there is no evidence {digest.hex()}")
        if len(documents) > MAX_ROWS:
            raise Problem("too-large", f"this row came from more than {MAX_ROWS} rows")
        rows = await loop.run_in_executor(windows.threads, _decoded, digest, documents)
        refs = {ref.entry: ref for row, _ in rows.values() for ref in row.inputs.batches}
        if len(refs) > MAX_BATCHES:
            raise Problem("too-large", f"this row came from more than {MAX_BATCHES} batches")
        named = list(dict.fromkeys(hashed for row, _ in rows.values() for hashed in row.inputs.contents.values()))
        size = sum(map(len, documents)) + await store.content_bytes(connection, tenant_id, named)
        batches = await _batches(connection, tenant_id, list(refs.values()), MAX_BYTES - size)
        contents = await store.contents(connection, tenant_id, named)
        tables = await _tables(connection, tenant_id, batches)
    ordered = {hashed: contents[hashed] for hashed in named if hashed in contents}  # a missing one fails the verification, by name
    return _Inputs({one: document for one, (_, document) in rows.items()}, ordered, batches, tables)


def _decoded(digest: bytes, documents: Sequence[bytes]) -> dict[bytes, tuple[Row, bytes]]:
    """Rows with their documents, each after all that it names."""
    by_digest = {evidence.digest(document): document for document in documents}
    rows = {one: evidence.decode(document) for one, document in by_digest.items()}
    return {one: (rows[one], by_digest[one]) for one in pedigree.in_order(digest, rows)}


async def _batches(connection: Connection, tenant_id: int, refs: Sequence[BatchRef], room: int) -> list[InputBatch]:
    found: list[InputBatch] = []
    for start in range(0, len(refs), BATCHES_AT_ONCE):
        some = await store.batches(connection, tenant_id, refs[start : start + BATCHES_AT_ONCE])
        room -= sum(len(one.statement) for one in some)
        if room < 0:
            break
        found += some
    if room < 0:
        raise Problem("too-large", f"this row came from more than {MAX_BYTES >> 20} MiB")
    return found


async def _tables(connection: Connection, tenant_id: int, batches: Sequence[InputBatch]) -> dict[bytes, str]:
    found: dict[bytes, str] = {}
    for gateway_id, digest in dict.fromkeys((one.gateway_id, one.table_digest) for one in batches):
        text = await telemetry_store.tag_table_text(connection, tenant_id, gateway_id, digest)
        if text is None:
            raise LookupError(f"tag table {digest.hex()} of a stored batch is missing")
        found[digest] = text
    return found
