"""No request body grows beyond its limit or takes longer than its time, and no address has more than its share of them on their way.

Too large is refused by the declared length, or while it streams in; what is refused is not read, so the connection ends. Pure ASGI: nothing is
buffered here, and nothing is known of who sends.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud.errors import Problem
from cloud.problems import answer

METHODS: Final = frozenset({"POST", "PUT", "PATCH"})


@dataclass(frozen=True, slots=True)
class BodyRules:
    """sizes: bytes by path prefix; every other path gets `otherwise`. per_address: bodies that may be on their way at the same time.
    push_back_s: pause before each refusal, so that who sends as fast as the answers come is not answered fast."""

    sizes: Mapping[str, int]
    otherwise: int
    seconds: float
    per_address: int
    push_back_s: float


class BodyLimit:
    def __init__(self, app: ASGIApp, rules: BodyRules) -> None:
        self._app, self._rules = app, rules
        self._arriving: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = next((size for prefix, size in self._rules.sizes.items() if scope["path"].startswith(prefix)), self._rules.otherwise)
        declared = dict(scope["headers"]).get(b"content-length", b"")
        if declared.isdigit() and int(declared) > limit:
            await asyncio.sleep(self._rules.push_back_s)
            await answer(Problem("too-large", f"the body has {int(declared)} bytes, {limit} are allowed"))(scope, receive, send)
            return
        if scope["method"] not in METHODS:
            await self._app(scope, receive, send)
            return
        address = scope["client"][0] if scope.get("client") else ""
        if self._arriving[address] >= self._rules.per_address:
            detail = f"{self._rules.per_address} requests from {address} are on their way already"
            await asyncio.sleep(self._rules.push_back_s)
            await answer(Problem("too-many-requests", detail, retry_after_s=1))(scope, receive, send)
            return
        arriving = _Arriving(receive, limit, self._rules, self._arriving, address)
        try:
            await self._app(scope, arriving.receive, send)
        finally:
            arriving.end()


class _Arriving:
    """A body on its way: counted for its address until it is whole."""

    def __init__(self, receive: Receive, limit: int, rules: BodyRules, count: Counter[str], address: str) -> None:
        self._receive, self._limit, self._rules, self._count, self._address = receive, limit, rules, count, address
        self._deadline = asyncio.get_running_loop().time() + rules.seconds
        self._received, self._ended = 0, False
        count[address] += 1

    async def receive(self) -> Message:
        if self._ended:  # what is waited for now is that the sender goes
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError as error:
            raise HTTPException(408, f"the body was not whole after {self._rules.seconds:g} s; send less at once") from error
        self._received += len(message.get("body", b""))
        if self._received > self._limit:
            await asyncio.sleep(self._rules.push_back_s)
            raise HTTPException(413, f"the body has more than the {self._limit} bytes that are allowed")
        if not message.get("more_body", False):
            self.end()
        return message

    def end(self) -> None:
        if not self._ended:
            self._ended = True
            self._count[self._address] -= 1
            if not self._count[self._address]:
                del self._count[self._address]
