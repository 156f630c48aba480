"""What is handed in is what it says it is: the declared content type against the first bytes. Refused with 415 before a route reads it.

Only what pages and desks hand in; what gateways sign is judged by its signature. The whole body is judged by the route that parses it.
"""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud.errors import Problem
from cloud.problems import answer

LOOKED_AT: Final = 512
_JSON: Final = b'{["-0123456789tfn'
_SPACE: Final = b" \t\r\n"
# Beginnings of files that are no text whatever they are called: zip and office, gzip, PDF, PNG, ELF, zstd
_FOREIGN: Final = (b"PK\x03\x04", b"\x1f\x8b", b"%PDF-", b"\x89PNG", b"\x7fELF", b"\x28\xb5\x2f\xfd")
_TEXT: Final = ("text/csv", "text/plain", "application/toml")


def fault(declared: str, first: bytes) -> str | None:
    """What is wrong with a body of this declared type that begins so."""
    kind = declared.partition(";")[0].strip().lower()
    beginning = first.lstrip(_SPACE)[:1]
    if kind == "application/json":
        if beginning and beginning not in [_JSON[at : at + 1] for at in range(len(_JSON))]:
            return f"expected JSON as Content-Type says, found a body that begins with {first[:8]!r}"
    elif kind in _TEXT and (first.startswith(_FOREIGN) or b"\0" in first):
        return f"expected text as Content-Type {kind} says, found a body that begins with {first[:8]!r}"
    elif kind.startswith("multipart/") or kind == "application/x-www-form-urlencoded":
        return f"expected the document itself as the body, found a form ({kind})"
    return None


class Sniffing:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        declared = dict(scope["headers"]).get(b"content-type", b"").decode("latin-1") if scope["type"] == "http" else ""
        if not declared or scope["method"] not in ("POST", "PUT", "PATCH"):
            await self._app(scope, receive, send)
            return
        first = await receive()
        if first["type"] == "http.request" and (found := fault(declared, first.get("body", b"")[:LOOKED_AT])):
            await answer(Problem("unsupported-media-type", found))(scope, receive, send)
            return
        waiting: list[Message] = [first]

        async def again() -> Message:
            return waiting.pop() if waiting else await receive()

        await self._app(scope, again, send)
