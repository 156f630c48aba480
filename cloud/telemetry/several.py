"""HTTP for readers of several tags at once: what a page of charts draws comes in one answer, and what is missing of it in another.

Each tag is given as `reading` gives it alone. A tag that is not there, or is another tenant's, refuses the whole question.
"""

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Response

from cloud.errors import Problem
from cloud.identity.credentials import Principal
from cloud.telemetry import store
from cloud.telemetry.reading import Reader, Time, check_window, completeness_of, json_columns, samples_of
from cloud.telemetry.store import TagRow
from cloud.telemetry.stream_api import numbers
from cloud.telemetry.window import Windows

MOST_TAGS: Final = 24
MOST_POINTS: Final = 5_000  # of each
_IDS: Final = r"^[0-9]{1,18}(,[0-9]{1,18})*$"
TagIds = Annotated[str, Query(max_length=20 * MOST_TAGS, pattern=_IDS, description=f"ids of at most {MOST_TAGS} tags: 1,2,3")]


async def find_tags(windows: Windows, tenant_id: int, text: str) -> list[TagRow]:
    """In the order in which they are asked for. Raises Problem."""
    wanted = numbers(text, MOST_TAGS)
    async with windows.db.tenant(tenant_id) as connection:
        found = {row.id: row for row in await store.tags_of(connection, tenant_id, wanted)}
    if unknown := [tag_id for tag_id in wanted if tag_id not in found]:
        raise Problem("not-found", f"there is no tag {unknown[0]}")
    return [found[tag_id] for tag_id in wanted]


def routes(windows: Windows, reader: Reader) -> APIRouter:
    router = APIRouter(tags=["telemetry"])
    who = Annotated[Principal, Depends(reader)]

    @router.get("/v1/samples")
    async def get_samples_of_tags(
        principal: who,
        tags: TagIds,
        from_us: Time,
        to_us: Time,
        points: Annotated[int, Query(ge=8, le=MOST_POINTS)] = 1_000,
        gaps: Annotated[bool, Query(description="with the gaps of each tag, as /v1/completeness names them")] = False,
    ) -> Response:
        """A list with what /v1/tags/{tag_id}/samples says of each tag, in the order in which they are asked for."""
        check_window(from_us, to_us)
        rows = await find_tags(windows, principal.tenant_id, tags)
        found = [await samples_of(windows, principal.tenant_id, row, from_us, to_us, points) for row in rows]
        if gaps:
            for one, row in zip(found, rows, strict=True):
                one["gaps"] = (await completeness_of(windows, principal.tenant_id, row, from_us, to_us))["gaps"]
        return await asyncio.get_running_loop().run_in_executor(windows.threads, json_columns, found)

    @router.get("/v1/completeness")
    async def get_completeness_of_tags(principal: who, tags: TagIds, from_us: Time, to_us: Time) -> Response:
        """A list with what /v1/tags/{tag_id}/completeness says of each tag, in the order in which they are asked for."""
        check_window(from_us, to_us)
        rows = await find_tags(windows, principal.tenant_id, tags)
        return json_columns([await completeness_of(windows, principal.tenant_id, row, from_us, to_us) for row in rows])

    return router
