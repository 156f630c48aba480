"""Requests that hand in documents: the body read off the loop, its faults as one problem, what OpenAPI says of it; and JSON answers.

Not for uploads of batches or tag tables, which have forms of their own.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from typing import Any, TypeVar

import orjson
from fastapi import Request, Response

from cloud.document import DocumentError
from cloud.errors import Problem
from cloud.identity.credentials import Principal

Asker = Callable[[Request], Awaitable[Principal]]
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
