"""The description of the API (OpenAPI 3.1), completed from what the routes are: who may ask, what is refused how, and examples.

    app.openapi = openapi.describer(app)

`x-scope` is read from the very dependency that asks for it, so it cannot differ from what is enforced: a scope, "person" or "signed-in".
An operation without one is open, or proves its sender by other means (`x-public`). Texts and examples are in openapi_texts.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import RouteContext, iter_route_contexts

from cloud.errors import PROBLEMS, TYPE_PREFIX
from cloud.identity.gate import COOKIE
from cloud.identity.roles import STEP_UP
from cloud.openapi_texts import ALSO, ANSWERS, BODIES, DESCRIPTIONS, RAW

ABOUT: Final = """Everything the pages show and do, for programs. Times are microseconds since 1970-01-01 UTC.

A program sends `Authorization: Bearer` with an API token or an access token; a browser its session cookie and, where it changes something,
`X-CSRF`. Refusals are problem documents (RFC 9457) whose `type` ends in a slug that stays the same. Every answer has `x-correlation-id`.
GET answers have an ETag for If-None-Match; a write with `Idempotency-Key` is done once however often it is sent within a day."""
PROBLEM_TYPE: Final = "application/problem+json"
SECURITY: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "an API token, or an access token from POST /v1/access-tokens"},
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "from POST /v1/session; __Host- before it over https"},
    "csrf": {"type": "apiKey", "in": "header", "name": "X-CSRF", "description": "from GET /v1/session, with what changes something"},
}
PROBLEM: Final = {
    "type": "object",
    "description": "RFC 9457; further members say more, such as `faults`",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "enum": [TYPE_PREFIX + slug for slug in sorted(PROBLEMS)]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}
# Slugs by what an operation is like; each brings its status
_ALWAYS: Final = ("internal", "unavailable")
_ASKED: Final = ("unauthorized", "forbidden", "too-many-requests", "certificate-needed", "wrong-certificate")
_SENT: Final = ("malformed-request", "too-slow", "too-large", "unsupported-media-type", "too-many-requests", "invalid-request", "key-used")
_CHANGES: Final = ("conflict", "version-conflict", "alarm-state", "key-in-use", "incomplete", "quota", "csrf")
_SIGNED: Final = (
    "malformed-batch",
    "wrong-algorithm",
    "bad-signature",
    "malformed-tag-table",
    "wrong-digest",
    "bomb",
    "unknown-key",
    "revoked-key",
    "wrong-gateway",
    "bad-voucher",
    "bad-proof",
    "unknown-tag-table",
    "chain-broken",
    "equivocation",
    "two-agents",
    "certificate-needed",
    "wrong-certificate",
    "not-found",
    "quota",
)


def describer(app: FastAPI) -> Callable[[], dict[str, Any]]:
    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version=app.version, description=ABOUT, routes=app.routes)
            components = document.setdefault("components", {})
            components["securitySchemes"] = SECURITY
            components.setdefault("schemas", {})["Problem"] = PROBLEM
            for unused in ("HTTPValidationError", "ValidationError"):
                components["schemas"].pop(unused, None)
            for route, method, operation in operations(app, document):
                name = f"{method} {route.path_format}"
                _say_who(route, method, operation)
                _say_what(name, operation)
                _say_refusals(name, method, operation)
            app.openapi_schema = document
        return app.openapi_schema

    return describe


def operations(app: FastAPI, document: dict[str, Any]) -> Iterator[tuple[RouteContext, str, dict[str, Any]]]:
    """Each route with what the document says of it, method by method."""
    for route in iter_route_contexts(app.routes):
        for method in sorted(route.methods or ()):
            operation = document["paths"].get(route.path_format, {}).get(method.lower())
            if operation is not None and isinstance(route.dependant, Dependant):
                yield route, method, operation


def scopes_of(dependant: Dependant) -> Iterator[str]:
    """What the dependencies of a route ask for."""
    scope = getattr(dependant.call, "scope", None)
    if isinstance(scope, str):
        yield scope
    for inner in dependant.dependencies:
        yield from scopes_of(inner)


def _say_who(route: RouteContext, method: str, operation: dict[str, Any]) -> None:
    asked = sorted(set(scopes_of(route.dependant)))
    if not asked:
        operation |= {"x-public": True, "security": []}
        return
    operation["x-scope"] = asked[0] if len(asked) == 1 else asked
    operation["security"] = [{"bearer": []}, {"session": []} if method == "GET" else {"session": [], "csrf": []}]
    if STEP_UP & set(asked) and method != "GET":
        operation["x-step-up"] = True


def _say_what(name: str, operation: dict[str, Any]) -> None:
    """Texts, bodies and examples."""
    operation.setdefault("description", DESCRIPTIONS.get(name, ""))
    if name in RAW:
        kind, what = RAW[name]
        text = kind.startswith("application/toml")
        schema: dict[str, Any] = {"type": "string", "description": what}
        schema |= {} if text else {"format": "binary", "examples": [f"<{what}>"]}
        operation["requestBody"] = {"required": True, "content": {kind: {"schema": schema}}}
    content = operation.get("requestBody", {}).get("content", {})
    for kind, media in content.items():
        if name in BODIES and (kind == "application/json") == (not isinstance(BODIES[name], str)):
            media["example"] = BODIES[name]
        elif kind == "text/csv" and "schema" in media:
            media["schema"] = media["schema"] | {"examples": ["product,place,start_us,end_us,price,currency,unit,as_of_us,..."]}
    for status, meaning in ALSO.get(name, {}).items():
        operation["responses"].setdefault(status, {"description": meaning})
    main = next(iter(sorted(status for status in operation["responses"] if status.startswith(("2", "3")))))
    if name in ANSWERS:
        operation["responses"][main].setdefault("content", {}).setdefault("application/json", {"schema": {}})["example"] = ANSWERS[name]


def _say_refusals(name: str, method: str, operation: dict[str, Any]) -> None:
    slugs = [*_ALWAYS]
    slugs += _ASKED if "x-scope" in operation else ()
    slugs += ("step-up",) if operation.get("x-step-up") or operation.get("x-scope") == "person" else ()
    slugs += _SENT if method != "GET" else ()
    slugs += _CHANGES if "x-scope" in operation and method != "GET" else ()
    slugs += _SIGNED if operation.get("x-public") and method != "GET" else ()
    slugs += ("wrong-credentials", "unauthorized") if {"session", "me", "people"} & set(operation.get("tags", ())) else ()
    slugs += ("forbidden", "csrf", "conflict") if "/session/passkey" in name else ()  # a step-up comes by a session
    parameters = operation.get("parameters", [])
    slugs += ("invalid-request", "too-large") if parameters else ()
    slugs += ("not-found", "conflict", "incomplete", "contradicting-quotes") if parameters or method == "GET" else ()
    slugs += ("wrong-deal", "not-found") if "/v1/deals" in name or "/v1/positions" in name else ()
    slugs += ("order-blocked",) if "/v1/deals" in name and method != "GET" else ()
    slugs += ("outage-state",) if "/v1/outages" in name or name.endswith("/decision") else ()
    slugs += ("wrong-file",) if "/v1/filings" in name or name.endswith("/decision") else ()
    slugs += ("method-not-allowed", "not-found") if "{" in name else ()
    if method != "GET" and "x-scope" in operation:
        slugs += ("precondition-needed", "precondition-failed", "not-found")
        parameters.append(_idempotency_key())
        operation["parameters"] = parameters
    elif method == "GET" and "x-scope" in operation:
        operation["responses"].setdefault("304", {"description": "The asker has this answer already (If-None-Match)"})
    responses = operation["responses"]
    responses.pop("422", None)
    for status in sorted({PROBLEMS[slug][0] for slug in slugs}):
        listed = sorted({slug for slug in slugs if PROBLEMS[slug][0] == status})
        said = {"description": "; ".join(f"`{slug}`: {PROBLEMS[slug][1]}" for slug in listed), "x-slugs": listed}
        example = {"type": TYPE_PREFIX + listed[0], "title": PROBLEMS[listed[0]][1], "status": status, "detail": "..."}
        media = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}}
        if str(status) in responses:  # /health answers 503 with its own document
            media |= responses[str(status)].get("content", {"application/json": {"schema": {}}})
        responses[str(status)] = {**said, "content": media}


def _idempotency_key() -> dict[str, Any]:
    text = "the same key with the same request is done once and answered the same for a day"
    schema = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"}
    return {"name": "Idempotency-Key", "in": "header", "required": False, "description": text, "schema": schema}
