"""HTTP of the live stream: who reads it, what of it they asked for, and where they left off."""

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from cloud.db import Unavailable
from cloud.errors import Problem
from cloud.identity.credentials import Principal
from cloud.telemetry import live
from cloud.telemetry.channels import Channels, Document
from cloud.telemetry.reading import INT64, Reader

MOST_TAGS: Final = 2_000  # named in one address
_PLACE: Final = re.compile(r"a(\d{1,18})")
_TAGS: Final = r"^\d{1,18}(,\d{1,18})*$"
# after: number of the last alarm that the reader was told in an earlier stream
Feeds = Callable[[Principal, int | None], Sequence[live.Feed]]


def numbers(text: str, most: int = MOST_TAGS) -> list[int]:
    """Ids as they stand in an address. Raises Problem."""
    found = [int(part) for part in text.split(",")]
    if len(found) > most or max(found) > INT64:
        raise Problem("invalid-request", f"expected at most {most} ids of tags such as 1,2,3, found {len(found)}")
    return found


def routes(channels: Channels, documents: Sequence[Document], reader: Reader, feeds: Feeds) -> APIRouter:
    """feeds: of a reader, beside latest values and documents."""
    router = APIRouter(tags=["telemetry"])

    @router.get("/v1/stream", response_class=Response, responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}})
    async def get_stream(
        principal: Annotated[Principal, Depends(reader)],
        request: Request,
        tags: Annotated[str | None, Query(max_length=20_000, pattern=_TAGS, description="latest values of these ids only: 1,2,3")] = None,
        hz: Annotated[int, Query(description="latest values at most 4 times a second, or once", json_schema_extra={"enum": [1, 4]})] = 4,
        last_event_id: Annotated[str | None, Header(max_length=100)] = None,
    ) -> live.EventStream:
        """Server-sent events: first everything, then what changed.

        `gateways`, `tags` (null above 5,000), `model`: documents as /v1/gateways, /v1/tags and /v1/assets give them, at most once a second.
        `latest`: the map of /v1/latest, of what moved. `result`: one document of /v1/results. `alarm`: one transition as in
        /v1/alarms/journal, never left out. `alive`: after four seconds in which nothing else was said.
        Who comes again with Last-Event-ID is told every alarm since, none twice. Ends with the session, or when the role changes.
        """
        if hz not in (1, 4):
            raise Problem("invalid-request", f"hz: expected 1 or 4, found {hz}")
        place = _PLACE.search(last_event_id or "")
        channel = channels.of(principal.tenant_id)
        seen = [one.event for one in documents if principal.may(one.scope)]
        latest = live.LatestFeed(channel, None if tags is None else numbers(tags), slow=hz == 1)
        shown: list[live.Feed] = [live.DocumentFeed(channel, seen), latest, *feeds(principal, int(place[1]) if place else None)]

        async def still() -> bool:
            try:
                return (await reader(request)).scopes == principal.scopes
            except Problem:
                return False
            except Unavailable:
                return True  # nobody is sent away because the database is

        return live.EventStream(live.events(shown, channel, channels.closing, still))

    return router
