"""HTTP of the hub's own authority: an enrolled gateway asks for the certificate of its TLS sessions.

The request is proved by the gateway's key, so it needs no certificate itself: one that has ended is renewed like any other.
"""

from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response

from cloud.db import Database
from cloud.errors import Problem
from cloud.identity import store
from cloud.identity.authority import Authority, BadRequest
from protocols import signed
from protocols.batch.errors import BatchError
from protocols.clock import Clock
from protocols.enrolment import CERTIFICATE_REQUEST
from protocols.signing import enrolled_verifier


def routes(db: Database, clock: Clock, authority: Authority | None) -> APIRouter:
    """authority: None where the hub issues no certificates."""
    router = APIRouter(tags=["gateway"])

    @router.post("/v1/certificates", status_code=201)
    async def certify(request: Request) -> Response:
        """A certificate (PEM) for the TLS sessions of an enrolled gateway, whose key signs the request."""
        if authority is None:
            raise Problem("not-found", "this hub issues no certificates")
        return Response(await _certify(db, clock.now_us(), authority, await request.body()), 201, media_type="application/x-pem-file")

    return router


async def _certify(db: Database, now_us: int, authority: Authority, body: bytes) -> str:
    try:
        asked = signed.parse(body, CERTIFICATE_REQUEST)
        key = await store.find_key(db, asked.key_id)
        if key is None:
            raise Problem("unknown-key", "no gateway is enrolled with this key; enrol with a voucher")
        if key.revoked_us is not None and key.revoked_us <= now_us:
            raise Problem("revoked-key", "the key has ended; enrol with a voucher")
        asked.verify(enrolled_verifier(key.algorithm, key.public))
    except BatchError as error:
        raise Problem("bad-proof", str(error)) from error
    if asked.issuer != key.urn or not isinstance(asked.content, bytes):
        raise Problem("wrong-gateway", f"the key is that of {key.urn}, the request is of {asked.issuer}")
    try:
        return authority.issue(asked.content, key.urn, key.tenant_id, datetime.fromtimestamp(now_us / 1e6, UTC))
    except BadRequest as error:
        raise Problem("invalid-request", str(error)) from error
