"""Export of a tag's window as a bundle that anybody with the log's public key can verify offline."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
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
from protocols.batch.bundle import Bundle, Samples, Window
from protocols.batch.proofs import Certificate, ProvenBatch
from protocols.batch.statement import Payload
from protocols.devicemap import TagTable

MAX_BATCHES: Final = 20_000
MAX_BYTES: Final = 256 << 20


@dataclass(frozen=True, slots=True)
class _Opened:
    """Of a stored batch: what a bundle needs. payload: the columns of one tag alone."""

    data: bytes
    entry: bytes
    key_id: bytes
    gateway: str
    payload: Payload


async def export(windows: Windows, log: Log, tenant_id: int, tag: TagRow, from_us: int, to_us: int) -> bytes:
    """The batches that overlap the window, and those between them in their chains. What is returned verifies.

    Raises Problem when there is nothing, too much, or a batch that has not come yet.
    """
    loop = asyncio.get_running_loop()
    tables, opened = await _read(windows, tenant_id, tag, from_us, to_us)
    if not opened:
        raise Problem("not-found", f"nothing is stored of tag {tag.name} in this window")
    reply = await log.receipts(tenant_id, [one.entry for one in opened])
    if reply is None or any(receipt is None for receipt in reply.receipts):
        raise Problem("unavailable", "the newest batches of this window are not yet in the log; try again in a second", retry_after_s=1)
    window = Window(opened[0].gateway, tag.name, from_us, to_us)
    tenant = await identity_store.tenant_by_id(windows.db, tenant_id)
    certificates = await certificates_of(windows.db, {one.key_id for one in opened})

    def write() -> tuple[bytes, bundle.Report]:
        document = Bundle(
            log_key=log.log_key(tenant_id, tenant.origin),
            checkpoint=reply.checkpoint,
            certificates=certificates,
            batches=tuple(
                ProvenBatch(one.data, receipt or b"", one.payload.table_digest) for one, receipt in zip(opened, reply.receipts, strict=True)
            ),
            tables=tuple(table.text for table in tables.values()),
            window=window,
            samples=_samples(opened, tables, window),
        )
        data = bundle.write(document)
        return data, bundle.verify(data, document.log_key)

    data, report = await loop.run_in_executor(windows.threads, write)
    if report.failed == "chain":
        raise Problem("incomplete", f"{report.steps[-1].detail}: what is between them has not come; ask for a window beside it")
    if not report.ok:
        raise ValueError(f"a bundle of tag {tag.id} does not verify: {report.failed}: {report.steps[-1].detail}")
    return data


async def _read(windows: Windows, tenant_id: int, tag: TagRow, from_us: int, to_us: int) -> tuple[dict[bytes, TagTable], list[_Opened]]:
    """Statement by statement, keeping of each batch its bytes and one column."""
    loop = asyncio.get_running_loop()
    tables: dict[bytes, TagTable] = {}
    opened: list[_Opened] = []
    size = 0
    async with windows.db.tenant(tenant_id) as connection:
        spans = await series_store.spans(connection, tenant_id, tag.gateway_id, from_us, to_us)
        if sum(span.high - span.low + 1 for span in spans) > MAX_BATCHES:
            raise Problem("too-large", f"the window has more than {MAX_BATCHES} batches; ask for a shorter one")
        digests = await series_store.digests(connection, tenant_id, tag.gateway_id, spans)
        for digest in digests:
            text = await store.tag_table_text(connection, tenant_id, tag.gateway_id, digest)
            if text is None:
                raise LookupError(f"tag table {digest.hex()} of a stored batch is missing")
            tables[digest] = TagTable.parse(text)
        async for rows in series_store.chains(connection, tenant_id, tag.gateway_id, spans):
            size += sum(map(len, rows))
            if size > MAX_BYTES:
                raise Problem("too-large", f"the window has more than {MAX_BYTES >> 20} MiB of batches; ask for a shorter one")
            opened += await loop.run_in_executor(windows.threads, _open, rows, tables, tag.name)
    return tables, opened


def _open(rows: Sequence[bytes], tables: dict[bytes, TagTable], tag: str) -> list[_Opened]:
    parsed = [statement.parse(data) for data in rows]
    return [_Opened(one.data, one.entry, one.key_id, one.header.gateway, bundle.narrow(one.open(), tables, tag)) for one in parsed]


def _samples(opened: Sequence[_Opened], tables: dict[bytes, TagTable], window: Window) -> Samples:
    return bundle.recompute((one.payload for one in opened), tables, window)


async def certificates_of(db: Database, key_ids: set[bytes]) -> tuple[Certificate, ...]:
    """Of the keys that signed stored batches. Raises LookupError when one is missing."""
    found = []
    for kid in sorted(key_ids):
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
        disposition = f'attachment; filename="{re.sub(r"[^A-Za-z0-9._-]", "_", row.name)}.qzb"'
        return Response(data, media_type="application/octet-stream", headers={"content-disposition": disposition})

    return router
