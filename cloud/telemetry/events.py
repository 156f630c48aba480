"""Events of gateways over HTTP: alarms of devices, texts, writes, clock states, newest first, each with the signed batch that brought it.

They are read from the stored batches of the stream `event`; there is no second copy of them. What a gateway signed and is no event by
`protocols.event` is shown as it came, under the kind "unknown": nothing that was signed is hidden.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response

from cloud.db import Connection, Database
from cloud.identity.credentials import Principal
from cloud.telemetry.reading import INT64, json_columns
from protocols.batch import statement
from protocols.event import Event

BATCHES: Final = 10  # opened for one answer
_QUERY: Final = (
    "SELECT log_id, g.name, epoch, seq, entry, statement FROM batch JOIN gateway g USING (tenant_id, gateway_id)"
    " WHERE tenant_id = %s AND stream = 'event' AND log_id < %s AND (%s::text IS NULL OR g.name = %s) ORDER BY log_id DESC LIMIT %s"
)


async def stored(connection: Connection, tenant_id: int, before: int, gateway: str | None) -> list[tuple[Any, ...]]:
    cursor = await connection.execute(_QUERY, (tenant_id, before, gateway, gateway, BATCHES), binary=True)
    return list(await cursor.fetchall())


def documents(rows: list[tuple[Any, ...]], kind: str | None, limit: int) -> tuple[list[dict[str, Any]], int | None]:
    """Events of the batches, and `before` for the next page (None = there is no more). A batch is shown whole."""
    found: list[dict[str, Any]] = []
    for log_id, gateway, epoch, seq, entry, signed in rows:
        batch = {"stream": "event", "epoch": epoch, "seq": seq, "entry": bytes(entry).hex()}
        for members in reversed(statement.parse(bytes(signed)).open().events):
            try:
                shown = Event.parse(members).members()
            except ValueError as error:
                shown = {"kind": "unknown", "message": str(error), "detail": {"found": repr(members)[:500]}}
            if kind in (None, shown["kind"]):
                found.append({"gateway": gateway, **shown, "batch": batch})
        if len(found) >= limit:
            return found, log_id
    return found, rows[-1][0] if len(rows) == BATCHES else None


def routes(db: Database, reader: Callable[[Request], Awaitable[Principal]]) -> APIRouter:
    router = APIRouter(tags=["telemetry"])
    who = Annotated[Principal, Depends(reader)]

    @router.get("/v1/events")
    async def get_events(
        principal: who,
        gateway: Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")] = None,
        kind: Annotated[str | None, Query(max_length=40, pattern=r"^[a-z]*$")] = None,
        before: Annotated[int, Query(ge=0, le=INT64, description="of the page before")] = INT64,
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    ) -> Response:
        """Newest first, in the order in which the hub stored them. `next` is `before` of the following page, or null."""
        async with db.tenant(principal.tenant_id) as connection:
            rows = await stored(connection, principal.tenant_id, before, gateway)
        found, after = documents(rows, kind, limit)
        return json_columns({"events": found, "next": after})

    return router
