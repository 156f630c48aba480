"""The gate: who asks, and may they. Turns a token or a cookie into a principal; every route asks for one scope.

Three ways in: an API token or an access token in the Authorization header, and the session cookie of a browser. Rules: a request by
cookie that changes something carries the session's CSRF token in X-CSRF; a person (not an API token) who uses a scope of
`roles.STEP_UP` has to have proved who they are within `STEP_UP_S`; a scope that is not held is refused, whatever is asked for.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import orjson
from fastapi import Request, Response

from cloud.db import Database
from cloud.errors import Problem
from cloud.identity import session_store, store
from cloud.identity.access import AccessTokens
from cloud.identity.credentials import TOKEN_PREFIX, Principal, hash_secret
from cloud.identity.roles import ROLES, STEP_UP, STEP_UP_S, Role
from cloud.identity.throttle import Throttle
from protocols.clock import Clock

COOKIE: Final = "qz_session"
SECURE_COOKIE: Final = "__Host-qz_session"
_SAFE: Final = frozenset(("GET", "HEAD", "OPTIONS"))
Asker = Callable[[Request], Awaitable[Principal]]
SIGNED_IN: Final = "signed-in"  # any person and any token
PERSON: Final = "person"  # any person, no API token
_F = TypeVar("_F", bound=Callable[..., Any])


def admits(scope: str) -> Callable[[_F], _F]:
    """Says whom a dependency lets in: a scope, SIGNED_IN or PERSON. The API's description is read from this."""

    def say(dependency: _F) -> _F:
        dependency.scope = scope  # type: ignore[attr-defined]
        return dependency

    return say


def csrf_token(secret: str) -> str:
    """Of a session: the page gets it from the API, which another origin cannot read."""
    return hashlib.sha256(f"csrf {secret}".encode()).hexdigest()


def session_cookie(request: Request) -> str | None:
    """The secret of the session; where the page came by https only the cookie counts that another host cannot have set."""
    return request.cookies.get(SECURE_COOKIE if request.url.scheme == "https" else COOKIE)


def secret_answer(document: Any, status: int = 200) -> Response:
    """JSON that nobody may keep."""
    return Response(orjson.dumps(document), status, {"cache-control": "no-store"}, media_type="application/json")


class Gate:
    def __init__(self, db: Database, clock: Clock, access: AccessTokens, idle_s: float, rate: Throttle | None = None) -> None:
        """rate: of the requests of each principal."""
        self._db, self._clock, self._access, self._rate = db, clock, access, rate
        self._idle_us = int(idle_s * 1_000_000)

    def needs(self, scope: str) -> "Needs":
        """A dependency of a route."""
        return Needs(self, scope)

    def check(self, principal: Principal, scope: str, *, changes: bool = True) -> None:
        """changes: only what changes something asks for a fresh proof. Raises Problem "forbidden" or "step-up"."""
        if not principal.may(scope):
            whose = f"the role {principal.role}" if principal.role else "the token"
            raise Problem("forbidden", f'{whose} does not have the scope "{scope}"')
        if principal.person_id is not None and scope in STEP_UP and changes:
            self.check_strong(principal)

    def check_strong(self, principal: Principal) -> None:
        if self._clock.now_us() - principal.strong_us > STEP_UP_S * 1_000_000:
            raise Problem("step-up", "prove once more who you are (POST /v1/session/step-up) and send the request again")

    @admits(SIGNED_IN)
    async def known(self, request: Request) -> Principal:
        """Anybody who is signed in or has a token, within their rate. Raises Problem."""
        principal = await self._asker(request)
        if self._rate is not None and "counted" not in request.scope:
            request.scope["counted"] = True  # once, however many parts of the hub ask who it is
            self._rate.take_of(f"{principal.tenant_id} {principal.actor.by}", "more requests than one may send in a minute; slow down")
        return principal

    async def _asker(self, request: Request) -> Principal:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind:
            return await self._by_token(token.strip() if kind.lower() == "bearer" else "")
        secret = session_cookie(request)
        if not secret:
            raise Problem("unauthorized", "sign in, or send a token in the header Authorization: Bearer <token>")
        found = await session_store.find_session(self._db, hash_secret(secret), self._clock.now_us(), self._idle_us)
        if found is None:
            raise Problem("unauthorized", "the session has ended; sign in again")
        if request.method not in _SAFE and not hmac.compare_digest(request.headers.get("x-csrf", "").encode(), csrf_token(secret).encode()):
            raise Problem("csrf", "a request that changes something needs the header X-CSRF with the token from GET /v1/session")
        scopes = tuple(sorted(ROLES[Role(found.role)]))
        return Principal(found.tenant_id, found.tenant, found.name, scopes, found.person_id, found.role, found.id, found.strong_us)

    async def _by_token(self, token: str) -> Principal:
        if not token:
            raise Problem("unauthorized", "send a token in the header Authorization: Bearer <token>")
        now_us = self._clock.now_us()
        if token.startswith(TOKEN_PREFIX):
            principal = await store.find_principal(self._db, hash_secret(token), now_us)
        else:
            principal = self._access.read(token, now_us)
        if principal is None:
            raise Problem("unauthorized", "the token is unknown, expired or revoked")
        return principal


@dataclass(frozen=True)
class Needs:
    """Lets in who has one scope. What is asked for and what the API's description says of it are the same field."""

    gate: Gate
    scope: str

    async def __call__(self, request: Request) -> Principal:
        principal = await self.gate.known(request)
        self.gate.check(principal, self.scope, changes=request.method not in _SAFE)
        return principal
