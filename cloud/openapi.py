"""The description of the API (OpenAPI 3.1), completed from what the routes are: who may ask and what is refused how.

    app.openapi = openapi.describer(app)

`x-scope` is read from the very dependency that asks for it, so it cannot differ from what is enforced: a scope, "person" or "signed-in".
An operation without one is open, or proves its sender by other means (`x-public`).
"""

from collections.abc import Callable, Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import RouteContext, iter_route_contexts

from cloud.identity.roles import STEP_UP


def describer(app: FastAPI) -> Callable[[], dict[str, Any]]:
    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version=app.version, routes=app.routes)
            for route, operation in operations(app, document):
                _say_who(route, operation)
            app.openapi_schema = document
        return app.openapi_schema

    return describe


def operations(app: FastAPI, document: dict[str, Any]) -> Iterator[tuple[RouteContext, dict[str, Any]]]:
    """Each route with what the document says of it, method by method."""
    for route in iter_route_contexts(app.routes):
        for method in sorted(route.methods or ()):
            operation = document["paths"].get(route.path_format, {}).get(method.lower())
            if operation is not None and isinstance(route.dependant, Dependant):
                yield route, operation


def scopes_of(dependant: Dependant) -> Iterator[str]:
    """What the dependencies of a route ask for."""
    scope = getattr(dependant.call, "scope", None)
    if isinstance(scope, str):
        yield scope
    for inner in dependant.dependencies:
        yield from scopes_of(inner)


def _say_who(route: RouteContext, operation: dict[str, Any]) -> None:
    asked = sorted(set(scopes_of(route.dependant)))
    if not asked:
        operation |= {"x-public": True, "security": []}
        return
    operation["x-scope"] = asked[0] if len(asked) == 1 else asked
    if STEP_UP & set(asked) and not set(route.methods or ()) <= {"GET", "HEAD"}:
        operation["x-step-up"] = True
