"""HTTP for gateways: batches and tag tables in, receipts out."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Response

from cloud.identity.peer import peer_of
from cloud.telemetry.contacts import Waiting
from cloud.telemetry.intake import Caller, Intake
from cloud.telemetry.vouching import HEADER
from protocols.tracing import HEADER as PARENT
from protocols.tracing import OFF, Tracing

SEQUENCE_TYPE: Final = "application/cbor-seq"
INT64: Final = (1 << 63) - 1
Whole = Annotated[int, Query(ge=0, le=INT64)]


def gateway_routes(intake: Intake, tracing: Tracing = OFF) -> APIRouter:
    """For gateways: every body is signed by an enrolled key, so no token is asked for."""
    router = APIRouter(tags=["gateway"])

    @router.post("/v1/batches")
    async def post_batches(
        request: Request, size: Whole = 0, backlog: Whole = 0, oldest_us: Whole | None = None, full_in_s: Whole | None = None
    ) -> Response:
        """One to 64 signed batches as a CBOR sequence; answers with receipts that belong to one checkpoint. backlog, oldest_us, full_in_s: what
        still waits at the gateway, when the oldest of it was sealed, and when it will be full, if it fills."""
        body = await request.body()
        waiting = Waiting(backlog, oldest_us, full_in_s)
        with tracing.span("ingest", request.headers.get(PARENT, ""), bytes=len(body)):
            return Response(await intake.accept(body, size, waiting, _caller(request)), media_type="application/cbor")

    @router.put("/v1/tag-tables/{digest}")
    async def put_tag_table(request: Request, digest: Annotated[str, Path(pattern="^[0-9a-f]{64}$")]) -> Response:
        return Response(status_code=201 if await intake.accept_tag_table(digest, await request.body(), _caller(request)) else 200)

    return router


def _caller(request: Request) -> Caller:
    return Caller(request.client.host if request.client else "", peer_of(request), request.headers.get(HEADER))
