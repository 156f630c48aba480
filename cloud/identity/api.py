"""HTTP of identity: enrolment of gateways, rotation and revocation of their keys."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Final

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from cloud.db import Database
from cloud.errors import Problem
from cloud.identity import store, tenants
from cloud.identity.actor import Record
from cloud.identity.credentials import Principal, hash_secret, is_possessed, is_signed
from cloud.identity.gate import Asker
from protocols.clock import Clock
from protocols.enrolment import gateway_urn, rotation_text
from protocols.signing import enrolled_verifier

LONGEST_OVERLAP_S: Final = 30 * 86_400
Hex = Annotated[str, Field(pattern=r"^(?:[0-9a-f]{2})+$", max_length=1024)]


class EnrolmentRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")
    voucher: Annotated[str, Field(min_length=1, max_length=200)]
    gateway: Annotated[str, Field(min_length=1, max_length=63)]
    algorithm: int
    public_key: Hex
    proof: Hex


class RotationRequest(BaseModel):
    """Both signatures are of `protocols.enrolment.rotation_text`."""

    model_config = ConfigDict(extra="forbid")
    old_key_id: Hex
    algorithm: int
    public_key: Hex
    overlap_s: Annotated[int, Field(ge=60, le=LONGEST_OVERLAP_S)]
    proof: Hex
    endorsement: Hex


class Rotation(BaseModel):
    """old_ends_us: from then on the old key is refused."""

    gateway: str
    old_ends_us: int


class Revocation(BaseModel):
    """revoked: how many keys were good until now."""

    gateway: str
    revoked: int


class Enrolment(BaseModel):
    tenant: str
    gateway: str
    origin: str
    log_key: str


def routes(
    db: Database,
    clock: Clock,
    writer: Asker,
    log_key: Callable[[store.Tenant], str],
    announce: Callable[[int], Awaitable[None]],
    record: Record,
) -> APIRouter:
    """log_key: the text of the verifier key of a tenant's log. announce: called with the tenant after an enrolment."""
    router = APIRouter(tags=["identity"])

    @router.post("/v1/enrolments", status_code=201)
    async def enrol(body: EnrolmentRequest) -> Enrolment:
        tenant = await _enrol(db, clock.now_us(), body)
        await announce(tenant.tenant_id)
        return Enrolment(tenant=tenant.name, gateway=gateway_urn(body.gateway), origin=tenant.origin, log_key=log_key(tenant))

    @router.post("/v1/keys", status_code=201)
    async def rotate(body: RotationRequest) -> Rotation:
        """A gateway replaces its key; the old one is taken beside it until the overlap is over."""
        return await _rotate(db, clock.now_us(), body)

    @router.post("/v1/gateways/{gateway}/revocation")
    async def revoke(gateway: str, principal: Annotated[Principal, Depends(writer)]) -> Revocation:
        """End every key of a gateway now; every process of the hub refuses them at the latest when its looked-up keys expire."""
        async with db.tenant(principal.tenant_id) as connection:
            ended = await store.revoke(connection, principal.tenant_id, gateway, clock.now_us())
            if ended:
                await record(connection, principal.actor, "revoke-keys", f"gateway/{gateway}", {"keys": ended})
        if not ended and not await store.has_gateway(db, principal.tenant_id, gateway):
            raise Problem("not-found", f'there is no gateway "{gateway}"')
        return Revocation(gateway=gateway_urn(gateway), revoked=ended)

    return router


async def _rotate(db: Database, now_us: int, body: RotationRequest) -> Rotation:
    public = bytes.fromhex(body.public_key)
    try:
        new = enrolled_verifier(body.algorithm, public)
    except ValueError as error:
        raise Problem("wrong-algorithm", str(error)) from error
    old = await store.find_key(db, bytes.fromhex(body.old_key_id))
    if old is None:
        raise Problem("unknown-key", "no gateway is enrolled with the old key; enrol with a voucher")
    if old.revoked_us is not None and old.revoked_us <= now_us:
        raise Problem("revoked-key", "the old key has ended and cannot hand over; enrol with a voucher")
    text = rotation_text(old.urn, old.kid, public, body.overlap_s)
    handed_over = is_signed(enrolled_verifier(old.algorithm, old.public), bytes.fromhex(body.endorsement), text)
    if not handed_over or not is_signed(new, bytes.fromhex(body.proof), text):
        raise Problem("bad-proof", "expected the rotation text signed by the old key (endorsement) and by the new one (proof)")
    ends_us = now_us + body.overlap_s * 1_000_000
    async with db.tenant(old.tenant_id) as connection:
        added = await store.add_key(connection, old, new.key_id, body.algorithm, public, now_us, ends_us)
    if not added:
        known = await store.find_key(db, new.key_id)
        good = known is not None and (known.revoked_us is None or known.revoked_us > now_us)
        if known is None or not good or (known.tenant_id, known.gateway_id) != (old.tenant_id, old.gateway_id):
            raise Problem("bad-proof", "this key is already enrolled; every rotation needs a new key")
    after = await store.find_key(db, old.kid)  # the reply to the first request may have been lost: its end stands
    return Rotation(gateway=old.urn, old_ends_us=(after.revoked_us if after else None) or ends_us)


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
        await tenants.room_for_gateway(connection, tenant.tenant_id, body.gateway)
        if not await store.enrol(connection, tenant.tenant_id, body.gateway, urn, verifier.key_id, body.algorithm, public, now_us):
            raise Problem("bad-proof", "this key is already enrolled; every enrolment needs a new key")
    return tenant
