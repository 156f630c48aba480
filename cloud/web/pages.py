"""The pages: static files with a strict content security policy. No data passes here; pages read the API like anybody else."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, cast

from fastapi import FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

STATIC: Final = Path(__file__).parent / "static"
HEADERS: Final = (
    (
        b"content-security-policy",
        b"default-src 'self'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none';"
        b" form-action 'self'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


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


def install(app: FastAPI) -> None:
    """After all routes and handlers: whatever they do not answer is looked for among the files."""
    app.add_middleware(SecurityHeaders)
    on_error = cast(Callable[[Request, Exception], Awaitable[Response]], app.exception_handlers[Exception])

    async def with_headers(request: Request, error: Exception) -> Response:
        """The answer to an error that nobody expected is written outside of every middleware."""
        reply = await on_error(request, error)
        reply.raw_headers.extend(HEADERS)
        return reply

    app.add_exception_handler(Exception, with_headers)
    app.mount("/", StaticFiles(directory=STATIC, html=True), name="pages")
