"""HTTP for gateways: batches and tag tables in, receipts out."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Response

from cloud.config import Limits
from cloud.errors import Problem
from cloud.telemetry.intake import Intake

SEQUENCE_TYPE: Final = "application/cbor-seq"
INT64: Final = (1 << 63) - 1
Whole = Annotated[int, Query(ge=0, le=INT64)]


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
