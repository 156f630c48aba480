"""HTTP for readers: gateways, tags, latest values, samples, completeness. The live stream is in stream_api."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from cloud.db import Connection
from cloud.errors import Problem
from cloud.identity.credentials import Principal
from cloud.telemetry import series_store, store
from cloud.telemetry.channels import values_of
from cloud.telemetry.charting import Chart, chart
from cloud.telemetry.contacts import NOTHING, Contact
from cloud.telemetry.latest import Latest
from cloud.telemetry.store import TagRow
from cloud.telemetry.window import Windows

INT64: Final = (1 << 63) - 1
MOST_STREAMED: Final = 5_000  # tags
Time = Annotated[int, Query(ge=-INT64, le=INT64, description="microseconds since 1970-01-01 UTC")]
TagId = Annotated[int, Path(ge=1, le=INT64)]
Find = Annotated[str | None, Query(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
After = Annotated[int, Query(ge=0, le=INT64, description="id of the last tag of the page before")]
Reader = Callable[[Request], Awaitable[Principal]]
# of every gateway of a tenant, by its id: more members of its document
Members = Callable[[Connection, int], Awaitable[Mapping[int, Mapping[str, Any]]]]
Gateways = Callable[[Connection, int], Awaitable[bytes]]


def json_columns(document: Any, status: int = 200) -> Response:
    """orjson writes numpy columns directly; NaN becomes null."""
    return Response(orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY), status, media_type="application/json")


async def find_tag(windows: Windows, tenant_id: int, tag_id: int) -> TagRow:
    async with windows.db.tenant(tenant_id) as connection:
        found = await store.tags(connection, tenant_id, tag_id)
    if not found:
        raise Problem("not-found", f"there is no tag {tag_id}")
    return found[0]


def check_window(from_us: int, to_us: int) -> None:
    if to_us <= from_us:
        raise Problem("invalid-request", f"to_us must be after from_us, found {from_us} to {to_us}")


async def gateways_json(
    connection: Connection, tenant_id: int, receipted: Mapping[tuple[int, int], Contact], more: Sequence[Members] = ()
) -> bytes:
    """receipted: (tenant, gateway) -> its last contact, newer than what the table says."""
    rows = await store.gateways(connection, tenant_id)
    totals = await series_store.totals(connection, tenant_id)
    found = [await members(connection, tenant_id) for members in more]
    documents = []
    for row in rows:
        batches, samples, size = totals.get(row.id, (0, 0, 0))
        known = receipted.get((tenant_id, row.id))
        receipt_us = known.receipt_us if known and known.receipt_us else row.receipt_us
        stored = {"batches": batches, "samples": samples, "bytes": size}
        document = {**asdict(row), "receipt_us": receipt_us, **stored, **(known.members() if known else NOTHING)}
        for members in found:
            document.update(members.get(row.id, {}))
        documents.append(document)
    return orjson.dumps(documents)


async def tags_json(connection: Connection, tenant_id: int) -> bytes:
    """null where there are more than a stream carries."""
    rows = await store.tags(connection, tenant_id, limit=MOST_STREAMED + 1)
    return b"null" if len(rows) > MOST_STREAMED else orjson.dumps([asdict(row) for row in rows])


async def samples_of(windows: Windows, tenant_id: int, tag: TagRow, from_us: int, to_us: int, points: int | None) -> dict[str, Any]:
    if points is None:
        found = await windows.samples(tenant_id, tag, from_us, to_us)
        drawn = Chart(found, found.times_us.size, 0)
    else:
        drawn = await chart(windows, tenant_id, tag, from_us, to_us, points)
    columns = {"times_us": drawn.points.times_us, "values": drawn.points.values, "quality": drawn.points.quality}
    read = {"from": "minutes" if drawn.bucket_us else "samples", "bucket_us": drawn.bucket_us}
    return {"tag": asdict(tag), "samples": drawn.size, "read": read, **columns}


async def completeness_of(windows: Windows, tenant_id: int, tag: TagRow, from_us: int, to_us: int) -> dict[str, Any]:
    return _completeness(await windows.missing(tenant_id, tag.gateway_id, tag, from_us, to_us), tag=tag.name)


def routes(windows: Windows, latest: Latest, gateways: Gateways, reader: Reader) -> APIRouter:
    """gateways: the document of all of a tenant's, as the live stream carries it."""
    router = APIRouter(tags=["telemetry"])
    who = Annotated[Principal, Depends(reader)]

    @router.get("/v1/gateways")
    async def get_gateways(principal: who) -> Response:
        """Each with its backlog as it last reported it, what is stored of it, and, since this hub began, when its oldest waiting batch was
        sealed, when its buffer will be full, and how its clock stands (null: not told). `key` is the one that ends last, `configuration` as at
        /v1/gateways/{gateway}/configuration."""
        async with windows.db.tenant(principal.tenant_id) as connection:
            return Response(await gateways(connection, principal.tenant_id), media_type="application/json")

    @router.get("/v1/tags")
    async def get_tags(
        principal: who, find: Find = None, limit: Annotated[int | None, Query(ge=1, le=MOST_STREAMED)] = None, after: After = 0
    ) -> Response:
        """Every tag with its unit, gateway and asset; `find`: in the name or the asset. With `limit` in pages by id: the header Link, where it
        is there, has the address of the next one."""
        async with windows.db.tenant(principal.tenant_id) as connection:
            rows = await store.tags_page(connection, principal.tenant_id, find, after, limit)
        headers = {}
        if limit is not None and len(rows) == limit:
            named = {"limit": limit, "after": max(row.id for row in rows), **({"find": find} if find else {})}
            headers["link"] = f'</v1/tags?{urlencode(named)}>; rel="next"'
        return Response(orjson.dumps([asdict(row) for row in rows]), headers=headers, media_type="application/json")

    @router.get("/v1/latest")
    async def get_latest(principal: who) -> Response:
        """tag id -> [time_us, value or null, quality]."""
        return json_columns(values_of(latest.since(principal.tenant_id)))

    @router.get("/v1/tags/{tag_id}/samples")
    async def get_samples(
        principal: who, tag_id: TagId, from_us: Time, to_us: Time, points: Annotated[int | None, Query(ge=8, le=100_000)] = None
    ) -> Response:
        """Samples with from_us <= source time < to_us in the order of time. No value: null.

        `points`: at most so many, with the lowest and the highest of each bucket. `read` says whether they are samples or, in long windows,
        extremes of buckets of whole minutes, whose times are those of the minutes.
        """
        check_window(from_us, to_us)
        tag = await find_tag(windows, principal.tenant_id, tag_id)
        found = await samples_of(windows, principal.tenant_id, tag, from_us, to_us, points)
        return await asyncio.get_running_loop().run_in_executor(windows.threads, json_columns, found)

    @router.get("/v1/tags/{tag_id}/completeness")
    async def get_tag_completeness(principal: who, tag_id: TagId, from_us: Time, to_us: Time) -> Response:
        """Says "all present", or names the exact gaps with cause and duration."""
        check_window(from_us, to_us)
        tag = await find_tag(windows, principal.tenant_id, tag_id)
        return json_columns(await completeness_of(windows, principal.tenant_id, tag, from_us, to_us))

    @router.get("/v1/gateways/{gateway_id}/completeness")
    async def get_gateway_completeness(principal: who, gateway_id: TagId, from_us: Time, to_us: Time) -> Response:
        check_window(from_us, to_us)
        async with windows.db.tenant(principal.tenant_id) as connection:
            known = {row.id: row for row in await store.gateways(connection, principal.tenant_id)}
        if gateway_id not in known:
            raise Problem("not-found", f"there is no gateway {gateway_id}")
        gaps = await windows.missing(principal.tenant_id, gateway_id, None, from_us, to_us)
        row = known[gateway_id]
        return json_columns(_completeness(gaps, gateway=row.name, waiting_batches=row.backlog, last_seen_us=row.last_seen_us))

    return router


def _completeness(gaps: Any, **more: Any) -> dict[str, Any]:
    listed = [gap.document() for gap in gaps]
    return {"complete": not listed, "statement": "not all present" if listed else "all present", "gaps": listed, **more}
