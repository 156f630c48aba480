"""Idempotency-Key on writes: the same key with the same request is done once and answered the same for a day, with another one refused.

Kept per principal. What was refused changed nothing and is not kept, so it may be sent again (after a fresh proof, say); nor are answers
that nobody may keep, such as those with secrets: those are done anew. Requests that gateways sign have numbers of their own.
"""

import contextlib
import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from fastapi import Request, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud.db import Database, Unavailable
from cloud.errors import Problem
from cloud.http import idempotency_store
from cloud.http.idempotency_store import Known, Place
from cloud.identity.credentials import Principal
from cloud.problems import answer
from protocols.clock import Clock

HEADER: Final = b"idempotency-key"
KEPT_BYTES: Final = 1 << 20  # of an answer; a larger one is not kept
ABANDONED_US: Final = 120_000_000  # a write that was not answered by then died with its process
_METHODS: Final = ("POST", "PUT", "PATCH", "DELETE")
_KEY: Final = re.compile(r"[\x21-\x7e]{1,200}")
Asked = Callable[[Request], Awaitable[Principal]]


@dataclass(slots=True)
class _Answer:
    """What a route said, while it is passed on."""

    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = False

    def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], dict(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"") if len(self.body) <= KEPT_BYTES else b""
            self.whole = not message.get("more_body", False)

    @property
    def kept(self) -> bool:
        small = self.whole and len(self.body) <= KEPT_BYTES
        return small and 200 <= self.status < 400 and b"no-store" not in self.headers.get(b"cache-control", b"")

    def header(self, name: bytes) -> str | None:
        found = self.headers.get(name)
        return None if found is None else found.decode("latin-1")


class Idempotency:
    """known: who asks; raises Problem, and then the route is left to say so."""

    def __init__(self, app: ASGIApp, db: Database, clock: Clock, known: Asked) -> None:
        self._app, self._db, self._clock, self._known = app, db, clock, known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope["headers"]).get(HEADER) if scope["type"] == "http" and scope["method"] in _METHODS else None
        if given is None or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        try:
            principal = await self._known(Request(scope))
        except (Problem, Unavailable):
            await self._app(scope, receive, send)
            return
        body = await _whole(receive)
        if body is None:
            return  # nobody waits for an answer
        place = Place(principal.tenant_id, principal.actor.by, given.decode("latin-1"))
        try:
            replay = await self._begin(place, scope, body)
        except Problem as problem:
            replay = answer(problem)
        except Unavailable:
            replay = answer(Problem("unavailable", "the database cannot be reached at the moment", retry_after_s=2))
        if replay is not None:
            await replay(scope, receive, send)
            return
        await self._pass(place, scope, _again(body, receive), send)

    async def _begin(self, place: Place, scope: Scope, body: bytes) -> Response | None:
        """The answer of the first time; None when this is it. Raises Problem."""
        if not _KEY.fullmatch(place.key):
            raise Problem("invalid-request", "Idempotency-Key: expected 1 to 200 visible ASCII characters, such as a UUID")
        asked = f"{scope['method']} {scope['path']}?{scope['query_string'].decode('latin-1')}\n"
        digest = hashlib.sha256(asked.encode("utf-8", "surrogateescape") + body).digest()
        now_us = self._clock.now_us()
        async with self._db.tenant(place.tenant_id) as connection:
            known = await idempotency_store.begin(connection, place, digest, now_us)
            if known is None:
                return None
            if known.digest != digest:
                raise Problem("key-used", "this Idempotency-Key came with another request before; take a new key for a new request")
            if known.status is not None:
                return _replayed(known)
            if now_us - known.begun_us > ABANDONED_US and await idempotency_store.take_over(connection, place, known.begun_us, now_us):
                return None
        raise Problem("key-in-use", "the request with this Idempotency-Key is being worked on; ask again", retry_after_s=1)

    async def _pass(self, place: Place, scope: Scope, receive: Receive, send: Send) -> None:
        said = _Answer()

        async def noted(message: Message) -> None:
            said.take(message)
            if said.whole:
                await self._note(place, said)
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            if not said.whole:
                await self._note(place, said)

    async def _note(self, place: Place, said: _Answer) -> None:
        with contextlib.suppress(Unavailable):  # then it counts as abandoned after a while
            async with self._db.tenant(place.tenant_id) as connection:
                if said.kept:
                    kind, etag = said.header(b"content-type"), said.header(b"etag")
                    await idempotency_store.finish(connection, place, said.status, kind, etag, said.body)
                else:
                    await idempotency_store.forget(connection, place)


async def _whole(receive: Receive) -> bytes | None:
    """The body; None when the sender went. Its size and time are limited before it comes here."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again


def _replayed(known: Known) -> Response:
    headers = {"idempotency-replayed": "true", **({"etag": known.etag} if known.etag else {})}
    return Response(known.body or b"", known.status or 200, headers, media_type=known.content_type)
