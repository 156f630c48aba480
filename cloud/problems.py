"""How refusals leave the hub: every 4xx and 5xx is an RFC 9457 problem document, whoever raised it."""

import logging
from collections.abc import Awaitable, Callable

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from cloud.db import Unavailable
from cloud.errors import PROBLEMS, Problem
from cloud.http.correlation import correlation_of, log_failure

_logger = logging.getLogger("qenergyz.hub.http")
_BY_STATUS = {
    404: "not-found",
    405: "method-not-allowed",
    401: "unauthorized",
    403: "forbidden",
    408: "too-slow",
    413: "too-large",
    415: "unsupported-media-type",
}


def answer(problem: Problem) -> Response:
    return Response(orjson.dumps(problem.document()), problem.status, problem.headers(), media_type="application/problem+json")


def install(app: FastAPI, retry_after_s: int) -> None:
    async def on_problem(_: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return answer(error)

    async def on_validation(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        faults = "; ".join(f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors()[:5])
        return answer(Problem("invalid-request", faults))

    async def on_http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        slug = _BY_STATUS.get(error.status_code, "malformed-request" if error.status_code < 500 else "internal")
        reply = answer(Problem(slug, str(error.detail)))
        reply.headers.update(error.headers or {})
        return reply

    async def on_unavailable(_: Request, error: Exception) -> Response:
        _logger.debug("database_unavailable reason=%s", error)
        return answer(Problem("unavailable", "the database cannot be reached at the moment", retry_after_s=retry_after_s))

    async def on_disconnect(_: Request, __: Exception) -> Response:
        return Response(status_code=400)  # nobody reads it

    async def on_anything(request: Request, __: Exception) -> Response:
        reply = answer(Problem("internal", PROBLEMS["internal"][1]))
        reply.headers["x-correlation-id"] = correlation_of(request.scope)  # written outside of every middleware
        log_failure(request.scope, 500)
        return reply

    handlers: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        Problem: on_problem,
        RequestValidationError: on_validation,
        HTTPException: on_http,
        Unavailable: on_unavailable,
        ClientDisconnect: on_disconnect,
        Exception: on_anything,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
