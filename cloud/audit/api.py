"""HTTP of the log: checkpoint, consistency proofs, tiles (C2SP tlog-tiles paths and bytes)."""

import base64
from collections.abc import Awaitable, Callable
from typing import Annotated, Protocol

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel

from cloud.audit import tiles
from cloud.audit.log import Log
from cloud.errors import Problem

_INT64 = (1 << 63) - 1
Size = Annotated[int, Query(ge=0, le=_INT64)]


class InTenant(Protocol):
    @property
    def tenant_id(self) -> int: ...


class Consistency(BaseModel):
    """hashes: RFC 9162 consistency proof, base64."""

    old: int
    new: int
    hashes: list[str]


def routes(log: Log, reader: Callable[[Request], Awaitable[InTenant]]) -> APIRouter:
    router = APIRouter(prefix="/v1/log", tags=["log"])
    who = Annotated[InTenant, Depends(reader)]

    @router.get("/checkpoint")
    async def get_checkpoint(principal: who) -> Response:
        """The latest signed checkpoint."""
        found = await log.latest(principal.tenant_id)
        if found is None:
            raise Problem("not-found", "the log has no entry yet")
        return Response(found.text, media_type="text/plain; charset=utf-8", headers={"Cache-Control": "no-cache"})

    @router.get("/consistency")
    async def get_consistency(principal: who, old: Size, new: Size) -> Consistency:
        try:
            proof = await log.consistency(principal.tenant_id, old, new)
        except ValueError as error:
            raise Problem("invalid-request", str(error)) from error
        return Consistency(old=old, new=new, hashes=[base64.b64encode(part).decode() for part in proof])

    @router.get("/tile/{level}/{index:path}")
    async def get_tile(principal: who, level: Annotated[int, Path(ge=0, le=7)], index: str) -> Response:
        """`width` 256 hashes, or fewer with the suffix `.p/<width>`."""
        try:
            number, width = tiles.parse_index(index)
        except ValueError as error:
            raise Problem("not-found", str(error)) from error
        found = await log.tile(principal.tenant_id, level, number, width)
        if found is None:
            raise Problem("not-found", "the log does not have this tile yet")
        return Response(found, media_type="application/octet-stream", headers={"Cache-Control": "private, max-age=31536000, immutable"})

    return router
