"""HTTP of coming in and going out: sign-in, second step, session, step-up, and programs' access and refresh tokens.

A browser gets a cookie (HttpOnly, SameSite=Strict) that scripts cannot read, and a CSRF token that another origin cannot read. A program
gets an access token for ten minutes and a refresh token that is good once: using it makes the next, using it again ends the whole
family, because one of two users of it is a thief.
"""

import secrets
from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from cloud.errors import Problem
from cloud.identity import people_store, session_store, store
from cloud.identity.access import ACCESS_S, AccessTokens, Holder
from cloud.identity.actor import HUB, Actor, person_ref
from cloud.identity.credentials import Principal, hash_secret
from cloud.identity.gate import COOKIE, SECURE_COOKIE, Gate, csrf_token, secret_answer, session_cookie
from cloud.identity.login import Door, refused
from cloud.identity.people_store import Person
from cloud.identity.roles import ROLES, STEP_UP_S, Role
from cloud.identity.session_store import Refresh
from cloud.identity.throttle import Throttle

REFRESH_PREFIX: Final = "qzr_"
REFRESH_US: Final = 30 * 86_400 * 1_000_000
Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
Code = Annotated[str | None, Field(max_length=16)]


class SignIn(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"tenant": "default", "name": "trader", "password": "a long password"}]}
    )
    tenant: Text = "default"
    name: Text
    password: Text


class SecondStep(BaseModel):
    """Exactly one of code and recovery."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"challenge": "qzc_...", "code": "123456"}]})
    challenge: Text
    code: Code = None
    recovery: Annotated[str | None, Field(max_length=40)] = None


class StepUp(BaseModel):
    """Exactly one of the three; a person with a second factor gives code or recovery."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"code": "123456"}]})
    password: Annotated[str | None, Field(max_length=200)] = None
    code: Code = None
    recovery: Annotated[str | None, Field(max_length=40)] = None


class AccessRequest(BaseModel):
    """Either refresh_token, or tenant, name, password and, where there is a second factor, code."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"refresh_token": "qzr_..."}]})
    refresh_token: Annotated[str | None, Field(max_length=200)] = None
    tenant: Text = "default"
    name: Annotated[str | None, Field(max_length=200, pattern=r"^[^\x00]*$")] = None
    password: Annotated[str | None, Field(max_length=200)] = None
    code: Code = None


class Sessions:
    """Makes and ends sessions; shared by every way in."""

    def __init__(self, door: Door, length_s: float) -> None:
        self.door, self._length_us = door, int(length_s * 1_000_000)

    async def begin(self, request: Request, person: Person, methods: tuple[str, ...]) -> Response:
        now_us, secret = self.door.clock.now_us(), secrets.token_urlsafe(32)
        agent = request.headers.get("user-agent", "")
        async with self.door.db.tenant(person.tenant_id) as connection:
            ends_us = now_us + self._length_us
            arguments = (person.tenant_id, person.id, hash_secret(secret), methods, agent, now_us, ends_us)
            session_id = await session_store.add_session(connection, *arguments)
            tenant = await store.tenant_by_id(self.door.db, person.tenant_id)
        held = tuple(sorted(ROLES[Role(person.role)]))
        principal = Principal(person.tenant_id, tenant.name, person.name, held, person.id, person.role, session_id, now_us)
        reply = secret_answer(await self.describe(principal, secret), 201)
        secure = request.url.scheme == "https"
        reply.set_cookie(SECURE_COOKIE if secure else COOKIE, secret, httponly=True, samesite="strict", secure=secure, path="/")
        return reply

    async def describe(self, principal: Principal, secret: str | None) -> dict[str, Any]:
        """What a page needs to know about who looks at it."""
        assert principal.person_id is not None
        async with self.door.db.tenant(principal.tenant_id) as connection:
            person = await people_store.by_id(connection, principal.tenant_id, principal.person_id)
            if person is None:
                raise refused()
            factors = await people_store.second_factors(connection, person)
        return {
            "tenant": principal.tenant,
            "person": person.id,
            "name": person.name,
            "display": person.display,
            "role": principal.role,
            "scopes": list(principal.scopes),
            "second_factors": list(factors),
            "strong_until_us": principal.strong_us + int(STEP_UP_S * 1_000_000),
            "preferences": dict(person.preferences),
            "csrf": csrf_token(secret) if secret else None,
        }


def routes(sessions: Sessions, gate: Gate, access: AccessTokens, throttle: Throttle) -> APIRouter:
    router = APIRouter(tags=["session"])
    door = sessions.door
    who = Annotated[Principal, Depends(gate.known)]

    @router.post("/v1/session", status_code=201)
    async def sign_in(request: Request, body: SignIn) -> Response:
        """201 with the session and its cookie, or 202 with a challenge where a second factor has to follow."""
        throttle.take(request)
        person, waiting = await door.knock(body.tenant, body.name, body.password)
        if waiting is not None:
            return secret_answer({"challenge": waiting.secret, "second_factors": list(waiting.factors)}, 202)
        return await sessions.begin(request, person, ("pwd",))

    @router.post("/v1/session/second", status_code=201)
    async def second_step(request: Request, body: SecondStep) -> Response:
        throttle.take(request)
        person, method = await door.answer(body.challenge, code=body.code, recovery=body.recovery)
        return await sessions.begin(request, person, ("pwd", method, "mfa"))

    @router.get("/v1/session")
    async def get_session(principal: who, request: Request) -> Response:
        """Who is signed in, what they may do, and the CSRF token."""
        if principal.person_id is None:
            return secret_answer(
                {"tenant": principal.tenant, "name": principal.name, "role": None, "scopes": list(principal.scopes), "csrf": None}
            )
        return secret_answer(await sessions.describe(principal, session_cookie(request) if principal.session_id else None))

    @router.delete("/v1/session", status_code=204)
    async def sign_out(principal: who) -> Response:
        if principal.session_id is not None:
            async with door.db.tenant(principal.tenant_id) as connection:
                await session_store.end_session(connection, principal.tenant_id, principal.session_id, door.clock.now_us())
        reply = Response(status_code=204)
        for name in (COOKIE, SECURE_COOKIE):
            reply.delete_cookie(name, path="/", httponly=True, samesite="strict", secure=name == SECURE_COOKIE)
        return reply

    @router.post("/v1/session/step-up")
    async def step_up(principal: who, request: Request, body: StepUp) -> Response:
        """A fresh proof, before something that needs one. Who has a second factor gives that."""
        throttle.take(request)
        if principal.person_id is None or principal.session_id is None:
            raise Problem("forbidden", "only a signed-in person can step up; a program asks for a new access token with a code")
        async with door.db.tenant(principal.tenant_id) as connection:
            person = await people_store.by_id(connection, principal.tenant_id, principal.person_id)
            factors = await people_store.second_factors(connection, person) if person else ()
        if person is None:
            raise refused()
        if factors and body.password is not None:
            raise Problem("invalid-request", f"expected a second factor ({', '.join(factors)}), found a password")
        method = await door.prove(person, password=body.password, code=body.code, recovery=body.recovery)
        return secret_answer(await strengthen(sessions, principal, method, session_cookie(request)))

    @router.post("/v1/access-tokens", status_code=201)
    async def make_access(request: Request, body: AccessRequest) -> Response:
        """An access token (Bearer) for ten minutes and the next refresh token. For programs that act for a person."""
        throttle.take(request)
        if body.refresh_token is not None:
            return await _refresh(door, access, body.refresh_token)
        if body.name is None or body.password is None:
            raise Problem("invalid-request", "expected refresh_token, or name and password")
        person, waiting = await door.knock(body.tenant, body.name, body.password)
        methods: tuple[str, ...] = ("pwd",)
        if waiting is not None:
            if body.code is None:
                raise Problem("invalid-request", f"this person has a second factor; send its code too ({', '.join(waiting.factors)})")
            person, method = await door.answer(waiting.secret, code=body.code)
            methods = ("pwd", method, "mfa")
        now_us = door.clock.now_us()
        fresh = Refresh(person.tenant_id, secrets.token_bytes(16), person.id, methods, now_us, now_us + REFRESH_US, None, None)
        return await _grant(door, access, person, fresh)

    return router


async def strengthen(sessions: Sessions, principal: Principal, method: str, secret: str | None) -> dict[str, Any]:
    """After a fresh proof by `method`."""
    assert principal.session_id is not None
    now_us = sessions.door.clock.now_us()
    async with sessions.door.db.tenant(principal.tenant_id) as connection:
        await session_store.strengthen(connection, principal.tenant_id, principal.session_id, (method, "step-up"), now_us)
    return await sessions.describe(replace(principal, strong_us=now_us), secret)


async def _refresh(door: Door, access: AccessTokens, secret: str) -> Response:
    now_us, hashed = door.clock.now_us(), hash_secret(secret)
    found = await session_store.find_refresh(door.db, hashed)
    if found is None or found.ended_us is not None or found.ends_us <= now_us:
        raise Problem("unauthorized", "the refresh token is unknown, expired or ended; sign in again")
    async with door.db.tenant(found.tenant_id) as connection:
        ours = await session_store.use_refresh(connection, found.tenant_id, hashed, now_us)
        person = await people_store.by_id(connection, found.tenant_id, found.person_id)
        if not ours:
            await session_store.end_family(connection, found.tenant_id, found.family, now_us)
            await door.record(connection, Actor(found.tenant_id, HUB), "refresh-token-reused", person_ref(found.person_id), {})
    if not ours:
        raise Problem("unauthorized", "the refresh token was used before; every token that came of it has ended, sign in again")
    if person is None or person.disabled_us is not None:
        raise refused()
    return await _grant(door, access, person, found)


async def _grant(door: Door, access: AccessTokens, person: Person, family: Refresh) -> Response:
    now_us, secret = door.clock.now_us(), REFRESH_PREFIX + secrets.token_urlsafe(32)
    async with door.db.tenant(person.tenant_id) as connection:
        await session_store.add_refresh(connection, hash_secret(secret), replace(family, ends_us=now_us + REFRESH_US), now_us)
    tenant = await store.tenant_by_id(door.db, person.tenant_id)
    holder = Holder(person.tenant_id, tenant.name, person.id, person.name, person.role, family.strong_us)
    document = {"access_token": access.issue(holder, now_us), "token_type": "Bearer", "expires_in": ACCESS_S, "refresh_token": secret}
    return secret_answer(document, 201)
