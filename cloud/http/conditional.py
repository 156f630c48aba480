"""GET answers with JSON carry an ETag, and who has the same one already is told so (RFC 9110, 13.1.2). Streams and files pass untouched.

The tag is a weak hash of the bytes, unless the route gave one of its own (a version that a change can follow with If-Match).
"""

import hashlib
from collections.abc import Iterable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST: Final = 4 << 20  # bytes hashed on the loop
_KEPT: Final = (b"cache-control", b"etag", b"vary", b"link")


class Conditional:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        asked = dict(scope["headers"]).get(b"if-none-match", b"")
        start: Message | None = None

        async def tagged(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                if _counts(message):
                    start = message
                else:
                    await send(message)
                return
            if start is not None:
                body = message.get("body", b"")
                if message.get("more_body", False) or len(body) > MOST:
                    await send(start)
                elif not await _tell(start, body, asked, send):
                    start = None
                    return
                start = None
            await send(message)

        await self._app(scope, receive, tagged)


def _counts(start: Message) -> bool:
    headers = dict(start.get("headers", ()))
    kind, kept = headers.get(b"content-type", b""), headers.get(b"cache-control", b"")
    return start["status"] == 200 and kind.startswith(b"application/json") and b"no-store" not in kept


async def _tell(start: Message, body: bytes, asked: bytes, send: Send) -> bool:
    """Send the head, and 304 instead where the asker has this body. Whether the body follows."""
    headers = list(start.get("headers", ()))
    names = {name for name, _ in headers}
    if b"etag" not in names:
        headers.append((b"etag", b'W/"%s"' % hashlib.blake2b(body, digest_size=12).hexdigest().encode()))
    if b"cache-control" not in names:
        headers.append((b"cache-control", b"private, no-cache"))
    if matches(asked, next(value for name, value in headers if name == b"etag")):
        await send({"type": "http.response.start", "status": 304, "headers": _kept(headers)})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return False
    await send({**start, "headers": headers})
    return True


def matches(asked: bytes, etag: bytes) -> bool:
    """Weak comparison, as If-None-Match wants it."""
    tags = [one.strip().removeprefix(b"W/") for one in asked.split(b",")]
    return asked.strip() == b"*" or etag.removeprefix(b"W/") in tags


def _kept(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if name in _KEPT]
