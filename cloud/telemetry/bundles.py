"""Export of a tag's window as a bundle that anybody with the log's public key can verify offline."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Response

from cloud.audit.log import Log
from cloud.db import Database
from cloud.errors import Problem
from cloud.identity import store as identity_store
from cloud.identity.credentials import Principal
from cloud.telemetry import series_store, store
from cloud.telemetry.reading import INT64, Reader, Time, check_window, find_tag
from cloud.telemetry.store import TagRow
from cloud.telemetry.window import Windows
from protocols.batch import bundle, statement
from protocols.batch.bundle import Bundle, Certificate, ProvenBatch, Window
from protocols.batch.statement import Statement
from protocols.devicemap import TagTable

MAX_BATCHES: Final = 20_000


async def export(windows: Windows, log: Log, tenant_id: int, tag: TagRow, from_us: int, to_us: int) -> bytes:
    """The batches that overlap the window, and those between them in their chains. Raises Problem when there is nothing or too much."""
    db = windows.db
    async with db.tenant(tenant_id) as connection:
        stored = await series_store.chain_range(connection, tenant_id, tag.gateway_id, from_us, to_us, MAX_BATCHES + 1)
    if not stored:
        raise Problem("not-found", f"nothing is stored of tag {tag.name} in this window")
    if len(stored) > MAX_BATCHES:
        raise Problem("too-large", f"the window has more than {MAX_BATCHES} batches; ask for a shorter one")
    loop = asyncio.get_running_loop()
    parsed = await loop.run_in_executor(windows.threads, lambda: [statement.parse(one.statement) for one in stored])
    reply = await log.receipts(tenant_id, [one.entry for one in parsed])
    if reply is None or any(receipt is None for receipt in reply.receipts):
        raise Problem("unavailable", "the newest batches of this window are not yet in the log; try again in a second", retry_after_s=1)
    payloads = await loop.run_in_executor(windows.threads, lambda: [one.open() for one in parsed])
    tables = await _tables(db, tenant_id, tag.gateway_id, {payload.table_digest for payload in payloads})
    window = Window(parsed[0].header.gateway, tag.name, from_us, to_us)
    tenant = await identity_store.tenant_by_id(db, tenant_id)
    document = Bundle(
        log_key=log.log_key(tenant_id, tenant.origin),
        checkpoint=reply.checkpoint,
        certificates=await _certificates(db, parsed),
        batches=tuple(
            ProvenBatch(one.statement, receipt or b"", payload.table_digest)
            for one, receipt, payload in zip(stored, reply.receipts, payloads, strict=True)
        ),
        tables=tuple(table.text for table in tables.values()),
        window=window,
        samples=await loop.run_in_executor(windows.threads, bundle.recompute, payloads, tables, window),
    )
    return await loop.run_in_executor(windows.threads, bundle.write, document)


async def _tables(db: Database, tenant_id: int, gateway_id: int, digests: set[bytes]) -> dict[bytes, TagTable]:
    found = {}
    async with db.tenant(tenant_id) as connection:
        for digest in sorted(digests):
            text = await store.tag_table_text(connection, tenant_id, gateway_id, digest)
            if text is None:
                raise LookupError(f"tag table {digest.hex()} of a stored batch is missing")
            found[digest] = TagTable.parse(text)
    return found


async def _certificates(db: Database, statements: Sequence[Statement]) -> tuple[Certificate, ...]:
    found = []
    for kid in sorted({one.key_id for one in statements}):
        row = await identity_store.find_key(db, kid)
        if row is None:
            raise LookupError(f"key {kid.hex()} of a stored batch is missing")
        found.append(Certificate(row.urn, row.algorithm, row.public, row.not_before_us))
    return tuple(found)


def routes(windows: Windows, log: Log, reader: Reader) -> APIRouter:
    router = APIRouter(tags=["telemetry"])
    who = Annotated[Principal, Depends(reader)]

    @router.get("/v1/bundles")
    async def get_bundle(principal: who, tag: Annotated[int, Query(ge=1, le=INT64)], from_us: Time, to_us: Time) -> Response:
        """Proof of the samples of one tag with from_us <= source time < to_us, for `qenergyz verify`."""
        check_window(from_us, to_us)
        row = await find_tag(windows, principal.tenant_id, tag)
        data = await export(windows, log, principal.tenant_id, row, from_us, to_us)
        disposition = f'attachment; filename="{row.name}.qzb"'
        return Response(data, media_type="application/octet-stream", headers={"content-disposition": disposition})

    return router
