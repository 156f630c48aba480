"""Requests that hand in documents: the body read off the loop, its faults as one problem, what OpenAPI says of it; and JSON answers.

Not for uploads of batches or tag tables, which have forms of their own.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from typing import Annotated, Any, Final, TypeVar

import orjson
from fastapi import Path, Query, Request, Response

from cloud.document import EARLIEST_US, LATEST_US, TEXT_LENGTH, DocumentError
from cloud.errors import Problem
from cloud.identity.credentials import Principal

NO_NUL: Final = r"^[^\x00]+$"  # no text of the database holds it
Asker = Callable[[Request], Awaitable[Principal]]
Moment = Annotated[int | None, Query(ge=EARLIEST_US, le=LATEST_US, description="microseconds since 1970 UTC; default now")]
Name = Annotated[str, Query(min_length=1, max_length=TEXT_LENGTH, pattern=NO_NUL)]
Filter = Annotated[str | None, Query(min_length=1, max_length=TEXT_LENGTH, pattern=NO_NUL)]
Identifier = Annotated[str, Path(min_length=1, max_length=TEXT_LENGTH, pattern=NO_NUL)]
T = TypeVar("T")


async def read_body(request: Request, threads: Executor, read: Callable[[bytes], T]) -> T:
    """The body as values. Raises Problem "invalid-request" with the list of faults as its member."""
    data = await request.body()
    try:
        return await asyncio.get_running_loop().run_in_executor(threads, read, data)
    except DocumentError as error:
        raise Problem("invalid-request", str(error)[:2000], faults=list(error.faults)) from error


def answer(body: Any, status: int = 200) -> Response:
    """JSON; numpy columns are written as they are."""
    return Response(orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY), status, media_type="application/json")


def content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def json_body(schema: Mapping[str, Any], **others: Mapping[str, Any]) -> dict[str, Any]:
    """`openapi_extra` of a route that reads its body itself. others: schemas by media type."""
    content = {"application/json": {"schema": schema}} | {name: {"schema": other} for name, other in others.items()}
    return {"requestBody": {"required": True, "content": content}}


def text_body(media_type: str) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {media_type: {"schema": {"type": "string"}}}}}
