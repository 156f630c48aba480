"""HTTP of the journal: what was done in the hub, by whom, and where each action stands in the tenant's log."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response

from cloud.audit import actions
from cloud.audit.actions import Recorded
from cloud.audit.api import InTenant
from cloud.db import Connection, Database

INT64: Final = (1 << 63) - 1
PERSON: Final = "person/"
Text = Annotated[str | None, Query(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
Names = Callable[[Connection, int, Sequence[int]], Awaitable[Mapping[int, str]]]


def _number(text: str) -> int | None:
    number = text.removeprefix(PERSON)
    return int(number) if text.startswith(PERSON) and number.isdigit() else None


def recorded_json(one: Recorded, called: Mapping[int, str]) -> dict[str, Any]:
    """by_name, subject_name: what people are called now; the action itself, whose digest is in the log, only has their numbers."""

    def name(text: str) -> str:
        number = _number(text)
        return text if number is None else called.get(number, text)

    return {
        "id": one.id,
        "at_us": one.at_us,
        "by": one.action.by,
        "by_name": name(one.action.by),
        "action": one.action.name,
        "subject": one.action.subject,
        "subject_name": name(one.action.subject),
        "detail": dict(one.action.detail),
        "digest": one.digest.hex(),
        "position": one.position,
    }


def routes(db: Database, reader: Callable[[Request], Awaitable[InTenant]], names: Names) -> APIRouter:
    """names: what people of a tenant are called."""
    router = APIRouter(tags=["journal"])

    @router.get("/v1/journal")
    async def get_journal(
        principal: Annotated[InTenant, Depends(reader)],
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        before: Annotated[int | None, Query(ge=1, le=INT64)] = None,
        action: Text = None,
        by: Text = None,
        subject: Text = None,
    ) -> Response:
        """The newest first; `next`, where it is not null, is the `before` of the following page. `position` is null until the log has it."""
        async with db.tenant(principal.tenant_id) as connection:
            chosen = {"name": action, "by": by, "subject": subject}
            found = await actions.page(connection, principal.tenant_id, limit, before, chosen)
            people = {number for one in found for text in (one.action.by, one.action.subject) if (number := _number(text)) is not None}
            called = await names(connection, principal.tenant_id, sorted(people))
        document = {"journal": [recorded_json(one, called) for one in found], "next": found[-1].id if len(found) == limit else None}
        return Response(orjson.dumps(document), media_type="application/json", headers={"cache-control": "no-store"})

    return router
