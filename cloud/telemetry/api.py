"""HTTP of telemetry: batches and tag tables in, gateways, tags, latest values and samples out."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from cloud.config import Limits
from cloud.db import Database
from cloud.errors import Problem
from cloud.identity.credentials import Principal
from cloud.telemetry import query, store
from cloud.telemetry.intake import Intake
from cloud.telemetry.latest import Latest
from cloud.telemetry.tables import TagTables

SEQUENCE_TYPE: Final = "application/cbor-seq"
INT64: Final = (1 << 63) - 1
Whole = Annotated[int, Query(ge=0, le=INT64)]
Time = Annotated[int, Query(ge=-INT64, le=INT64)]
Reader = Callable[[Request], Awaitable[Principal]]


async def read_body(request: Request, limit: int) -> bytes:
    """The body, refused as soon as it is longer than `limit`."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise Problem("too-large", f"the body has {declared} bytes, {limit} are allowed")
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise Problem("too-large", f"the body has more than the {limit} bytes that are allowed")
        parts.append(part)
    return b"".join(parts)


def json_columns(document: Any, status: int = 200) -> Response:
    """orjson writes numpy columns directly; NaN becomes null."""
    return Response(orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY), status, media_type="application/json")


def gateway_routes(intake: Intake, limits: Limits) -> APIRouter:
    """For gateways: every body is signed by an enrolled key, so no token is asked for."""
    router = APIRouter(tags=["gateway"])

    @router.post("/v1/batches")
    async def post_batches(request: Request, size: Whole = 0, backlog: Whole = 0) -> Response:
        """One to 64 signed batches as a CBOR sequence; answers with receipts that belong to one checkpoint."""
        body = await read_body(request, limits.body_bytes)
        return Response(await intake.accept(body, size, backlog), media_type="application/cbor")

    @router.put("/v1/tag-tables/{digest}")
    async def put_tag_table(request: Request, digest: Annotated[str, Path(pattern="^[0-9a-f]{64}$")]) -> Response:
        body = await read_body(request, limits.tag_table_bytes)
        return Response(status_code=201 if await intake.accept_tag_table(digest, body) else 200)

    return router


def read_routes(db: Database, intake: Intake, tables: TagTables, latest: Latest, reader: Reader) -> APIRouter:
    router = APIRouter(tags=["telemetry"])
    who = Annotated[Principal, Depends(reader)]

    @router.get("/v1/gateways")
    async def get_gateways(principal: who) -> Response:
        async with db.tenant(principal.tenant_id) as connection:
            rows = await store.gateways(connection, principal.tenant_id)
        newest = intake.receipted
        return json_columns([{**asdict(row), "receipt_us": newest.get((principal.tenant_id, row.id), row.receipt_us)} for row in rows])

    @router.get("/v1/tags")
    async def get_tags(principal: who) -> Response:
        async with db.tenant(principal.tenant_id) as connection:
            rows = await store.tags(connection, principal.tenant_id)
        return json_columns([asdict(row) for row in rows])

    @router.get("/v1/latest")
    async def get_latest(principal: who) -> Response:
        found = latest.since(principal.tenant_id)
        return json_columns({"tag_ids": found.tag_ids, "times_us": found.times_us, "values": found.values, "quality": found.quality})

    @router.get("/v1/tags/{tag_id}/samples")
    async def get_samples(
        principal: who, tag_id: Annotated[int, Path(ge=1, le=INT64)], from_us: Time, to_us: Time, raw: bool = False
    ) -> Response:
        """Samples with from_us <= source time < to_us, in the order of time. `raw` adds the values as the device gave them."""
        if to_us <= from_us:
            raise Problem("invalid-request", "to_us must be after from_us")
        async with db.tenant(principal.tenant_id) as connection:
            tags = await store.tags(connection, principal.tenant_id, tag_id)
        if not tags:
            raise Problem("not-found", f"there is no tag {tag_id}")
        found = await query.samples(db, tables, principal.tenant_id, tags[0], from_us, to_us, raw=raw)
        return json_columns({"tag": asdict(tags[0]), **found.columns()})

    return router
