"""No request body grows beyond its limit: refused by its declared length, or while it streams in. Pure ASGI, so nothing is buffered here."""

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud.errors import Problem
from cloud.problems import answer


class BodyLimit:
    """limits: bytes by path prefix; every other path gets `otherwise`."""

    def __init__(self, app: ASGIApp, limits: Mapping[str, int], otherwise: int) -> None:
        self._app, self._limits, self._otherwise = app, limits, otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = next((size for prefix, size in self._limits.items() if scope["path"].startswith(prefix)), self._otherwise)
        declared = dict(scope["headers"]).get(b"content-length", b"")
        if declared.isdigit() and int(declared) > limit:
            await answer(Problem("too-large", f"the body has {int(declared)} bytes, {limit} are allowed"))(scope, receive, send)
            return
        received = 0

        async def count() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise HTTPException(413, f"the body has more than the {limit} bytes that are allowed")
            return message

        await self._app(scope, count, send)
