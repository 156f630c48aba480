"""The pages: one document for every address, its modules, and headers. No data passes here; pages read the API like anybody else.

The document is written with the language and theme of the cookie `qz_look`, so that nothing flashes on load. Files are revalidated by
ETag, so that a new version of the hub is never mixed with modules of the old one for longer than one load.
"""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, cast

from fastapi import FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Route, request_response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud.web import offline

STATIC: Final = Path(__file__).parent / "static"
LOOK: Final = "qz_look"
LEAST_SQUEEZED: Final = 1024  # bytes; below it compression costs more than it saves
# Addresses that the pages themselves read; below those of NESTED stands the name of one gateway, asset ...
ROUTES: Final = (
    "account",
    "admin",
    "alarms",
    "approvals",
    "assets",
    "compliance",
    "desk",
    "enrol",
    "esg",
    "fleet",
    "outages",
    "risk",
    "sites",
    "supply",
    "verify",
    "welcome",
)
NESTED: Final = ("assets", "fleet", "outages")
HEADERS: Final = (
    (
        b"content-security-policy",
        b"default-src 'self'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none';"
        b" form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
_LOOK: Final = re.compile(r"(en|ar)\.(system|light|dark)")
_DIRECTION: Final = {"en": "ltr", "ar": "rtl"}


class SecurityHeaders:
    """Adds HEADERS to every response of the application, errors included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


class _Files(StaticFiles):
    """Files that a browser may keep, and asks about before it uses them."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        reply = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        reply.headers["cache-control"] = "no-cache"
        return reply


def document(look: str) -> str:
    """The one document. look: "<language>.<theme>"; anything else is English in the theme of the system."""
    found = _LOOK.fullmatch(look)
    language, theme = (found[1], found[2]) if found else ("en", "system")
    text = (STATIC / "index.html").read_text(encoding="utf-8")
    return text.replace(
        '<html lang="en" dir="ltr" data-theme="system">', f'<html lang="{language}" dir="{_DIRECTION[language]}" data-theme="{theme}">'
    )


def sheet() -> bytes:
    """The style of the pages and that of the charts in one file: a request less."""
    return b"\n".join((STATIC / name).read_bytes() for name in ("app.css", "vendor/uplot.css"))


def _squeezed(app: ASGIApp) -> ASGIApp:
    """Files only: what the API says holds secrets beside what a stranger may have written, and its length must not tell of them."""
    return GZipMiddleware(app, minimum_size=LEAST_SQUEEZED, compresslevel=6)


def install(app: FastAPI) -> None:
    """After all routes and handlers: whatever they do not answer is looked for among the files."""
    app.add_middleware(SecurityHeaders)
    on_error = cast(Callable[[Request, Exception], Awaitable[Response]], app.exception_handlers[Exception])

    async def with_headers(request: Request, error: Exception) -> Response:
        """The answer to an error that nobody expected is written outside of every middleware."""
        reply = await on_error(request, error)
        reply.raw_headers.extend(HEADERS)
        return reply

    async def page(request: Request) -> Response:
        headers = {"cache-control": "no-cache", "vary": "cookie"}
        return Response(document(request.cookies.get(LOOK, "")), headers=headers, media_type="text/html; charset=utf-8")

    async def style(request: Request) -> Response:
        text = sheet()
        etag = f'"{hashlib.sha256(text).hexdigest()[:32]}"'
        headers = {"cache-control": "no-cache", "etag": etag}
        same = request.headers.get("if-none-match") == etag
        return Response(b"" if same else text, 304 if same else 200, headers, media_type="text/css")

    async def shell(_: Request) -> Response:
        made = await asyncio.to_thread(offline.worker, STATIC)
        return Response(made, headers={"cache-control": "no-cache"}, media_type="text/javascript; charset=utf-8")

    app.add_exception_handler(Exception, with_headers)
    app.add_route("/sw.js", shell, include_in_schema=False)
    app.router.routes.append(Route("/app.css", _squeezed(request_response(style)), include_in_schema=False))
    for route in ("/", "/index.html", *(f"/{name}" for name in ROUTES), *(f"/{name}/{{rest:path}}" for name in NESTED)):
        app.add_route(route, page, include_in_schema=False)
    app.mount("/", _squeezed(_Files(directory=STATIC)), name="pages")
