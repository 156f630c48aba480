"""A name for each request, in the answer and in the log: x-correlation-id, taken from who asks where it is sane, made here otherwise."""

import logging
import re
import secrets
from collections.abc import MutableMapping
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER: Final = b"x-correlation-id"
_SANE: Final = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_logger = logging.getLogger("qenergyz.hub.http")


def correlation_of(scope: MutableMapping[str, Any]) -> str:
    """Of a request that came through here; made now where an error was so early that it did not."""
    found = scope.setdefault("correlation", secrets.token_hex(16))
    assert isinstance(found, str)
    return found


class Correlation:
    """Outside of everything else, so that every answer has one. Answers of 5xx are logged by it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(HEADER, b"")
        if _SANE.fullmatch(given):
            scope["correlation"] = given.decode()
        name = correlation_of(scope)

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (HEADER, name.encode())]
                if message["status"] >= 500:
                    log_failure(scope, message["status"])
            await send(message)

        await self._app(scope, receive, named)


def log_failure(scope: MutableMapping[str, Any], status: int) -> None:
    level = logging.ERROR if status == 500 else logging.INFO  # the others are states that /health tells of
    _logger.log(
        level, "request_failed status=%s correlation=%s method=%s path=%r", status, correlation_of(scope), scope["method"], scope["path"]
    )
