"""HTTP of identity: enrolment of gateways, and the principal behind a bearer token."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from cloud.db import Database
from cloud.errors import Problem
from cloud.identity import store
from cloud.identity.credentials import Principal, hash_secret, is_possessed
from protocols.clock import Clock
from protocols.enrolment import gateway_urn
from protocols.signing import enrolled_verifier

Hex = Annotated[str, Field(pattern=r"^(?:[0-9a-f]{2})+$", max_length=1024)]


class EnrolmentRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")
    voucher: Annotated[str, Field(min_length=1, max_length=200)]
    gateway: Annotated[str, Field(min_length=1, max_length=63)]
    algorithm: int
    public_key: Hex
    proof: Hex


class Enrolment(BaseModel):
    tenant: str
    gateway: str
    origin: str
    log_key: str


@dataclass(frozen=True, slots=True)
class Gate:
    """Turns the Authorization header into a principal; use `Depends(gate.read)`. Each method asks for one scope; none implies another."""

    db: Database
    clock: Clock

    async def read(self, request: Request) -> Principal:
        return await self._principal(request, "read")

    async def write_market(self, request: Request) -> Principal:
        return await self._principal(request, "write:market")

    async def write_deals(self, request: Request) -> Principal:
        return await self._principal(request, "write:deals")

    async def write_assets(self, request: Request) -> Principal:
        return await self._principal(request, "write:assets")

    async def _principal(self, request: Request, scope: str) -> Principal:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token:
            raise Problem("unauthorized", "send a token in the header Authorization: Bearer <token>")
        principal = await store.find_principal(self.db, hash_secret(token.strip()), self.clock.now_us())
        if principal is None:
            raise Problem("unauthorized", "the token is unknown, expired or revoked")
        if scope not in principal.scopes:
            raise Problem("forbidden", f'the token does not have the scope "{scope}"')
        return principal


def routes(db: Database, clock: Clock, log_key: Callable[[store.Tenant], str], announce: Callable[[int], Awaitable[None]]) -> APIRouter:
    """log_key: the text of the verifier key of a tenant's log. announce: called with the tenant after an enrolment."""
    router = APIRouter(tags=["identity"])

    @router.post("/v1/enrolments", status_code=201)
    async def enrol(body: EnrolmentRequest) -> Enrolment:
        tenant = await _enrol(db, clock.now_us(), body)
        await announce(tenant.tenant_id)
        return Enrolment(tenant=tenant.name, gateway=gateway_urn(body.gateway), origin=tenant.origin, log_key=log_key(tenant))

    return router


async def _enrol(db: Database, now_us: int, body: EnrolmentRequest) -> store.Tenant:
    public = bytes.fromhex(body.public_key)
    try:
        verifier = enrolled_verifier(body.algorithm, public)
    except ValueError as error:
        raise Problem("wrong-algorithm", str(error)) from error
    hashed = hash_secret(body.voucher)
    voucher = await store.find_voucher(db, hashed)
    if voucher is None or voucher.expires_us <= now_us or voucher.gateway != body.gateway:
        raise Problem("bad-voucher", "the voucher is unknown, used, expired or for another gateway; issue a new one")
    if not is_possessed(verifier, bytes.fromhex(body.proof), body.voucher, body.gateway, public):
        raise Problem("bad-proof", "the proof is not a signature of the enrolment text by the key in public_key")
    tenant = await store.tenant_by_id(db, voucher.tenant_id)
    if voucher.used_us is not None:
        known = await store.find_key(db, verifier.key_id)
        if known and (known.tenant_id, known.gateway) == (tenant.tenant_id, body.gateway):
            return tenant  # the reply to the first request was lost
        raise Problem("bad-voucher", "the voucher is unknown, used, expired or for another gateway; issue a new one")
    async with db.tenant(tenant.tenant_id) as connection:
        if not await store.use_voucher(connection, tenant.tenant_id, hashed, now_us):
            raise Problem("bad-voucher", "the voucher was used in the same moment; issue a new one")
        urn = gateway_urn(body.gateway)
        if not await store.enrol(connection, tenant.tenant_id, body.gateway, urn, verifier.key_id, body.algorithm, public, now_us):
            raise Problem("bad-proof", "this key is already enrolled; every enrolment needs a new key")
    return tenant
