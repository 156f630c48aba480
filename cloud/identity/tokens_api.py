"""HTTP of what programs and gateways come in with: API tokens, vouchers, and the keys of a gateway for comparing a fingerprint.

An API token is made by a person for a program of theirs: it never may more than they do, lasts a year at most, and ends when they are disabled or
lose the role. Secrets are shown once.
"""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from cloud.db import Database
from cloud.errors import Problem
from cloud.identity import people_store, store, token_store
from cloud.identity.actor import Record
from cloud.identity.credentials import TOKEN_PREFIX, VOUCHER_PREFIX, Principal, hash_secret, is_name, make_secret
from cloud.identity.gate import Gate, secret_answer
from cloud.identity.me_api import Id, Me, Myself
from cloud.identity.roles import SCOPES, grantable
from protocols.clock import Clock

HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US
LONGEST_DAYS: Final = 366
LONGEST_HOURS: Final = 30 * 24


class NewToken(BaseModel):
    """name: what it is for. scopes: none that the maker does not have."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "grafana", "scopes": ["read:field"], "days": 90}]})
    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]+$")]
    scopes: Annotated[list[str], Field(min_length=1, max_length=len(SCOPES))]
    days: Annotated[float, Field(gt=0, le=LONGEST_DAYS)]


class NewVoucher(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"gateway": "rig-7", "hours": 24}]})
    gateway: Annotated[str, Field(min_length=1, max_length=63)]
    hours: Annotated[float, Field(gt=0, le=LONGEST_HOURS)] = 24.0


def token_json(token: token_store.Token, called: dict[int, str]) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "scopes": sorted(token.scopes),
        "made_by": None if token.made_by is None else {"id": token.made_by, "name": called.get(token.made_by, "")},
        "created_us": token.created_us,
        "ends_us": token.ends_us,
    }


def routes(db: Database, clock: Clock, gate: Gate, myself: Myself, record: Record) -> APIRouter:
    router = APIRouter(tags=["tokens"])
    _token_routes(router, db, clock, gate, myself, record)
    _voucher_routes(router, db, clock, gate, record)
    return router


def _token_routes(router: APIRouter, db: Database, clock: Clock, gate: Gate, myself: Myself, record: Record) -> None:
    known = Annotated[Principal, Depends(gate.known)]

    @router.get("/v1/tokens")
    async def get_tokens(principal: known) -> Response:
        """Those that are good: one's own, or everybody's with read:people."""
        only = None if principal.may("read:people") else principal.person_id or 0
        async with db.tenant(principal.tenant_id) as connection:
            found = await token_store.tokens(connection, principal.tenant_id, clock.now_us(), only)
            makers = [one.made_by for one in found if one.made_by is not None]
            called = await people_store.called(connection, principal.tenant_id, makers)
        return secret_answer({"tokens": [token_json(one, called) for one in found]})

    @router.post("/v1/tokens", status_code=201)
    async def make_token(who: Annotated[Me, Depends(myself.fresh)], body: NewToken) -> Response:
        """The token is shown once."""
        principal, person = who
        scopes = sorted(set(body.scopes))
        if beyond := sorted(set(scopes) - grantable(principal.scopes)):
            raise Problem("forbidden", f"a token may nothing that you may not: {', '.join(beyond)[:200]}")
        secret, now_us = make_secret(TOKEN_PREFIX), clock.now_us()
        ends_us = now_us + int(body.days * DAY_US)
        async with db.tenant(person.tenant_id) as connection:
            arguments = (person.tenant_id, hash_secret(secret), body.name, scopes, person.id, now_us, ends_us)
            token_id = await token_store.add_token(connection, *arguments)
            await record(
                connection, principal.actor, "make-token", f"token/{body.name}", {"id": token_id, "scopes": scopes, "ends_us": ends_us}
            )
        return secret_answer({"id": token_id, "name": body.name, "scopes": scopes, "ends_us": ends_us, "token": secret}, 201)

    @router.delete("/v1/tokens/{token_id}", status_code=204)
    async def end_token(principal: known, token_id: Id) -> Response:
        """One's own, or anybody's with write:people."""
        async with db.tenant(principal.tenant_id) as connection:
            mine = await token_store.tokens(connection, principal.tenant_id, clock.now_us(), principal.person_id or 0)
            if token_id not in {one.id for one in mine}:
                gate.check(principal, "write:people")
            name = await token_store.end_token(connection, principal.tenant_id, token_id, clock.now_us())
            if name is None:
                raise Problem("not-found", f"there is no token {token_id} that is good")
            await record(connection, principal.actor, "end-token", f"token/{name}", {"id": token_id})
        return Response(status_code=204)


def _voucher_routes(router: APIRouter, db: Database, clock: Clock, gate: Gate, record: Record) -> None:
    writer = Annotated[Principal, Depends(gate.needs("write:gateways"))]
    reader = Annotated[Principal, Depends(gate.needs("read:field"))]

    @router.get("/v1/vouchers")
    async def get_vouchers(principal: writer) -> Response:
        """Those that a gateway could still use; never their secrets."""
        async with db.tenant(principal.tenant_id) as connection:
            found = await token_store.open_vouchers(connection, principal.tenant_id, clock.now_us())
            makers = [one.made_by for one in found if one.made_by is not None]
            called = await people_store.called(connection, principal.tenant_id, makers)
        documents = [
            {
                "id": one.id,
                "gateway": one.gateway,
                "made_by": None if one.made_by is None else {"id": one.made_by, "name": called.get(one.made_by, "")},
                "created_us": one.created_us,
                "ends_us": one.ends_us,
            }
            for one in found
        ]
        return secret_answer({"vouchers": documents})

    @router.post("/v1/vouchers", status_code=201)
    async def make_voucher(principal: writer, body: NewVoucher) -> Response:
        """The voucher is shown once, and good for one enrolment of this gateway."""
        if not is_name(body.gateway):
            raise Problem("invalid-request", f'gateway: expected lower-case letters, digits, ".", "_" and "-", found "{body.gateway}"')
        secret, now_us = make_secret(VOUCHER_PREFIX), clock.now_us()
        ends_us = now_us + int(body.hours * HOUR_US)
        async with db.tenant(principal.tenant_id) as connection:
            arguments = (principal.tenant_id, hash_secret(secret), body.gateway, principal.person_id, now_us, ends_us)
            voucher_id = await token_store.add_voucher(connection, *arguments)
            detail = {"id": voucher_id, "ends_us": ends_us}
            await record(connection, principal.actor, "make-voucher", f"gateway/{body.gateway}", detail)
        return secret_answer({"id": voucher_id, "gateway": body.gateway, "ends_us": ends_us, "voucher": secret}, 201)

    @router.delete("/v1/vouchers/{voucher_id}", status_code=204)
    async def end_voucher(principal: writer, voucher_id: Id) -> Response:
        async with db.tenant(principal.tenant_id) as connection:
            gateway = await token_store.end_voucher(connection, principal.tenant_id, voucher_id, clock.now_us())
            if gateway is None:
                raise Problem("not-found", f"there is no voucher {voucher_id} that is open")
            await record(connection, principal.actor, "end-voucher", f"gateway/{gateway}", {"id": voucher_id})
        return Response(status_code=204)

    @router.get("/v1/gateways/{gateway}/keys")
    async def get_keys(principal: reader, gateway: Annotated[str, Path(max_length=63)]) -> Response:
        """To compare the fingerprint with the one that the gateway shows: kid is the SHA-256 it prints when it enrols."""
        now_us = clock.now_us()
        for one in await store.gateway_keys(db, principal.tenant_id):
            if one.name == gateway:
                return secret_answer(one.document(now_us))
        raise Problem("not-found", f'there is no gateway "{gateway[:63]}"')
