"""HTTP of evidence: rows, the newest first; one row; the file that proves it."""

import asyncio
import math
from dataclasses import asdict
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Response

from cloud.audit.log import Log
from cloud.errors import Problem
from cloud.evidence import bundles, store
from cloud.evidence.store import Listed, StoredRow
from cloud.identity.credentials import Principal
from cloud.telemetry.reading import INT64, Reader, json_columns
from cloud.telemetry.window import Windows
from protocols.batch import cbor, evidence

Digest = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="SHA-256 of the row's document")]
Text = Annotated[str | None, Query(min_length=1, max_length=256, pattern=r"^[^\x00]*$")]
MAX_PAGE: Final = 500


def routes(windows: Windows, log: Log, reader: Reader) -> APIRouter:
    router = APIRouter(prefix="/v1/evidence", tags=["evidence"])
    who = Annotated[Principal, Depends(reader)]

    @router.get("")
    async def get_rows(
        principal: who,
        kind: Text = None,
        subject: Text = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
        before: Annotated[int | None, Query(ge=1, le=INT64)] = None,
    ) -> Response:
        """In the order they were made, the last first, without their contents. before: `number` of the last row of the page before."""
        async with windows.db.tenant(principal.tenant_id) as connection:
            rows = await store.page(connection, principal.tenant_id, kind, subject, limit, before)
        return json_columns([_listed(row) for row in rows if principal.sees(row.kind)])

    @router.get("/{digest}")
    async def get_row(principal: who, digest: Digest) -> Response:
        """The row with the names and hashes of all its inputs, and its position in the log (null: in a moment)."""
        async with windows.db.tenant(principal.tenant_id) as connection:
            found = await store.get(connection, principal.tenant_id, bytes.fromhex(digest))
        if found is None or not principal.sees(found.row.kind):
            raise Problem("not-found", f"there is no evidence {digest}")
        return await asyncio.get_running_loop().run_in_executor(windows.threads, lambda: json_columns(_document(found)))

    @router.get("/{digest}/bundle")
    async def get_bundle(principal: who, digest: Digest) -> Response:
        """Proof of the row with everything below it, for `qenergyz verify`."""
        async with windows.db.tenant(principal.tenant_id) as connection:
            found = await store.get(connection, principal.tenant_id, bytes.fromhex(digest))
        if found is None or not principal.sees(found.row.kind):
            raise Problem("not-found", f"there is no evidence {digest}")
        data = await bundles.export(windows, log, principal.tenant_id, bytes.fromhex(digest))
        headers = {"content-disposition": f'attachment; filename="{digest[:16]}.qzb"'}
        return Response(data, media_type="application/octet-stream", headers=headers)

    return router


def _listed(row: Listed) -> dict[str, Any]:
    members = asdict(row)
    return {"id": members.pop("digest").hex(), "number": members.pop("id"), **members}


def _document(found: StoredRow) -> dict[str, Any]:
    row = found.row
    document = asdict(row) | {"id": found.digest.hex(), "number": found.id, "made_us": found.made_us, "position": found.position}
    document["inputs"]["batches"] = [{**asdict(ref), "name": ref.name} for ref in row.inputs.batches]
    return {name: plain(value) for name, value in document.items()}


def plain(value: Any) -> Any:
    """In words of JSON: bytes as hex, arrays as lists, infinities as text because JSON has no number for them."""
    match value:
        case bytes():
            return value.hex()
        case float():
            return value if math.isfinite(value) else str(value)
        case cbor.Tag():
            return plain(evidence.array(value).tolist())
        case dict():
            return {name: plain(item) for name, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
    return value
