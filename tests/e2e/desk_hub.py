"""A hub's API as far as the desk's page reads it, over a `Story`: the shipped pages with their headers, and a stream that tests write to.

What the real hub adds (database, signatures, tenants) is tested with the real hub; here every state of the page can be had at will.
"""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from cloud.web import pages
from protocols.batch import evidence
from tests.e2e.desk_story import Story

TOKEN = "qzt_page"


class DeskHub:
    """Served on a free port from a thread of its own. `up`: when false, nothing is answered but the pages."""

    def __init__(self, story: Story) -> None:
        self.story, self.up, self.url = story, True, ""
        self.with_model = True
        self.cause = ""  # why the reaction is down
        self.skew_s = 0.0  # of the clock that its answers tell
        self._readers: set[asyncio.Queue[bytes | None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server = uvicorn.Server(
            uvicorn.Config(
                self, host="127.0.0.1", port=0, log_level="error", lifespan="off", timeout_graceful_shutdown=1, date_header=False
            )
        )
        self._app = _app(self)
        self._thread = threading.Thread(target=self._server.run, name="desk hub", daemon=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._loop = asyncio.get_running_loop()
        await self._app(scope, receive, send)

    def start(self) -> None:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"

    def end(self) -> None:
        self._server.should_exit = True
        self.cut()
        self._thread.join(10)

    def tell(self, event: str, document: Any) -> None:
        """To every page that listens."""
        self._put(f"event: {event}\ndata: {json.dumps(document)}\n\n".encode())

    def cut(self) -> None:
        """End every stream that is open."""
        self._put(None)

    def _put(self, frame: bytes | None) -> None:
        def put() -> None:
            for reader in self._readers:
                reader.put_nowait(frame)

        if self._loop and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(put)

    @property
    def listening(self) -> int:
        return len(self._readers)

    def latest(self) -> dict[str, list[Any]]:
        found = {}
        for tag in self.story.tags():
            columns = self.story.columns(f"{tag['gateway']}/{tag['name']}")
            if columns["times_us"]:
                found[str(tag["id"])] = [columns[name][-1] for name in ("times_us", "values", "quality")]
        return found

    async def events(self) -> AsyncIterator[bytes]:
        reader: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._readers.add(reader)
        try:
            yield f"event: latest\ndata: {json.dumps(self.latest())}\n\n".encode()
            for shown in list(self.story.shown.values()):
                yield f"event: result\ndata: {json.dumps(shown)}\n\n".encode()
            while (frame := await reader.get()) is not None:
                yield frame
        finally:
            self._readers.discard(reader)


def _app(hub: DeskHub) -> FastAPI:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    story = hub.story

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        return JSONResponse({"title": "internal error", "detail": f"{request.url.path}: {error}"}, 500)

    @app.middleware("http")
    async def gate(request: Request, then: Any) -> Response:
        if request.url.path.startswith("/v1/"):
            if not hub.up:
                return JSONResponse({"title": "unavailable", "detail": "the database is away; try again"}, 503)
            if request.headers.get("authorization") != f"Bearer {TOKEN}":
                return JSONResponse({"title": "unauthorized", "detail": "a token is needed"}, 401)
        reply: Response = await then(request)
        told = time.gmtime(time.time() + hub.skew_s)
        reply.headers["date"] = time.strftime("%a, %d %b %Y %H:%M:%S GMT", told)
        return reply

    @app.get("/health")
    async def health() -> Any:
        components = {"database": {"state": "up", "cause": ""}, "reaction": {"state": "down" if hub.cause else "up", "cause": hub.cause}}
        return {"state": "up", "components": components}

    @app.get("/v1/results")
    async def results() -> Any:
        return list(story.shown.values())

    @app.get("/v1/positions")
    async def positions() -> Any:
        return story.positions()

    @app.get("/v1/tags")
    async def tags() -> Any:
        return story.tags()

    @app.get("/v1/assets")
    async def assets() -> Any:
        if not hub.with_model:
            return JSONResponse({"title": "not found", "detail": "there is no asset model yet"}, 404)
        listed = [
            {"name": one.name, "site": one.site, "tags": [{"tag": bound.tag, "role": bound.role} for bound in one.tags]}
            for one in story.model.assets
        ]
        streams = [{"name": one.name, "site": one.site, "assets": [asset.name for asset in one.assets]} for one in story.model.streams]
        return {"model": {"version": 1, "sha256": "00"}, "assets": listed, "streams": streams}

    @app.get("/v1/tags/{tag_id}/samples")
    async def samples(tag_id: int) -> Any:
        tag = next(tag for tag in story.tags() if tag["id"] == tag_id)
        return {"tag": tag, **story.columns(f"{tag['gateway']}/{tag['name']}")}

    @app.get("/v1/evidence/{digest}")
    async def row(digest: str) -> Any:
        return story.rows.get(digest) or JSONResponse({"title": "not found", "detail": f"there is no evidence {digest}"}, 404)

    @app.get("/v1/evidence/{digest}/bundle")
    async def proof(digest: str) -> Response:
        return Response(b"proof " + evidence.digest(digest.encode()), media_type="application/octet-stream")

    @app.get("/v1/stream")
    async def stream() -> Response:
        return StreamingResponse(hub.events(), media_type="text/event-stream", headers={"cache-control": "no-store"})

    pages.install(app)
    return app


@contextlib.contextmanager
def serving(story: Story) -> Iterator[DeskHub]:
    hub = DeskHub(story)
    hub.start()
    try:
        yield hub
    finally:
        hub.end()
