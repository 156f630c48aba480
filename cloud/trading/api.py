"""HTTP of trading: deals by version, delivery calendars, positions."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Executor
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response

from cloud.bookings import Asker, Filter, Identifier, Moment, answer, json_body, read_body
from cloud.db import Database
from cloud.document import DocumentError, Fields, parse, read_each
from cloud.errors import Problem
from cloud.identity.credentials import Principal
from cloud.trading import documents, entitlements, positions, schemas, store
from cloud.trading.booking import Desk, Restriction
from cloud.trading.deals import Calendars, Deal, DeliveryCalendar
from cloud.trading.documents import calendar_json, deal_json, excess_json, fault_json, position_json
from cloud.trading.positions import Line, Positions
from protocols.clock import Clock

MOST_DEALS: Final = 2_000  # in one request
MOST_CALENDARS: Final = 1_000
Production = Callable[[int, int], Awaitable[Iterable[Line]]]


async def no_production(_tenant_id: int, _as_of_us: int) -> Iterable[Line]:
    return ()


def routes(
    db: Database,
    clock: Clock,
    threads: Executor,
    reader: Asker,
    writer: Asker,
    changed: Callable[[int], None],
    production: Production = no_production,
    restriction: Restriction | None = None,
) -> APIRouter:
    """changed: called with the tenant after deals or calendars are committed. production: expected volumes of (tenant, as_of_us).
    restriction: what may keep a deal from being booked."""
    desk = Desk(db, clock, changed, restriction)
    router = APIRouter(tags=["trading"])
    who = Annotated[Principal, Depends(reader)]
    captor = Annotated[Principal, Depends(writer)]

    @router.post("/v1/deals", openapi_extra=json_body(schemas.deals()))
    async def post_deals(principal: captor, request: Request) -> Response:
        """One deal or a list, each a first version or the next one of its deal; all or none. 201 when something was stored, 200 when all was known."""
        given = await read_body(request, threads, _read_deals)
        capture = await desk.book(principal, given)
        stored = [
            {"id": one.deal.id, "version": one.deal.version, "sha256": one.digest.hex(), "stored": new}
            for new, many in ((True, capture.new), (False, capture.same))
            for one in many
        ]
        return answer({"deals": stored}, 201 if capture.new else 200)

    @router.get("/v1/deals")
    async def get_deals(principal: who, known_us: Moment = None, book: Filter = None) -> Response:
        """The newest version of each deal known then, without cancelled ones."""
        at_us = clock.now_us() if known_us is None else known_us
        async with db.tenant(principal.tenant_id) as connection:
            found = await store.deals(connection, principal.tenant_id, at_us)
        return answer({"known_us": at_us, "deals": [deal_json(deal) for deal in found if book in (None, deal.book)]})

    @router.get("/v1/deals/{deal_id}/versions")
    async def get_versions(principal: who, deal_id: Identifier) -> Response:
        """Every version, oldest first."""
        async with db.tenant(principal.tenant_id) as connection:
            found = await store.versions(connection, principal.tenant_id, deal_id)
        if not found:
            raise Problem("not-found", f"there is no deal {deal_id}")
        return answer(
            {
                "versions": [
                    {"received_us": received_us, "sha256": digest.hex(), "deal": deal_json(deal)} for deal, received_us, digest in found
                ]
            }
        )

    @router.get("/v1/positions")
    async def get_positions(
        principal: who, as_of_us: Moment = None, book: Filter = None, product: Filter = None, place: Filter = None
    ) -> Response:
        """Net volume by book, product, place and delivery bucket, exact; deals that could not be netted are listed beside, with the cause, and
        so is what is scheduled beyond DCQ, cap or ACQ."""
        at_us = clock.now_us() if as_of_us is None else as_of_us
        async with db.tenant(principal.tenant_id) as connection:
            found = await store.deals(connection, principal.tenant_id, at_us)
            calendars = await store.calendars(connection, principal.tenant_id)
        chosen = [deal for deal in found if book in (None, deal.book)]
        expected = [line for line in await production(principal.tenant_id, at_us) if book in (None, line.key.book)]

        def write() -> Response:
            netted = positions.net(chosen, expected, calendars=calendars)
            rows = [row for row in netted.rows if product in (None, row.key.product) and place in (None, row.key.place)]
            above = entitlements.excesses(chosen, calendars)
            return answer(positions_json(Positions(tuple(rows), netted.faults), at_us) | {"excesses": [excess_json(one) for one in above]})

        return await asyncio.get_running_loop().run_in_executor(threads, write)

    @router.put("/v1/calendars", openapi_extra=json_body(schemas.calendars()))
    async def put_calendars(principal: captor, request: Request) -> Response:
        """Delivery calendars as a list; one that differs from what is stored becomes its next version."""
        given = await read_body(request, threads, _read_calendars)
        async with db.tenant(principal.tenant_id) as connection:
            before = await store.revision(connection, principal.tenant_id)
            numbers = await store.add_calendars(connection, principal.tenant_id, given, clock.now_us())
            after = await store.revision(connection, principal.tenant_id)
        if after != before:
            changed(principal.tenant_id)
        stored = [{"product": key[0], "place": key[1], "version": number} for (key, _), number in zip(given, numbers, strict=True)]
        return answer({"calendars": stored})

    @router.get("/v1/calendars")
    async def get_calendars(principal: who) -> Response:
        async with db.tenant(principal.tenant_id) as connection:
            found: Calendars = await store.calendars(connection, principal.tenant_id)
        return answer({"calendars": [calendar_json(*key, calendar) for key, calendar in sorted(found.items())]})

    return router


def positions_json(netted: Positions, as_of_us: int) -> dict[str, Any]:
    return {
        "as_of_us": as_of_us,
        "positions": [position_json(row) for row in netted.rows],
        "faults": [fault_json(fault) for fault in netted.faults],
    }


def _read_deals(data: bytes) -> tuple[Deal, ...]:
    value = parse(data)
    if isinstance(value, list):
        return read_each(value, "deals", documents.read_deal, MOST_DEALS)
    return (documents.read_deal(Fields(value, "deal")),)


def _read_calendars(data: bytes) -> tuple[tuple[tuple[str, str], DeliveryCalendar], ...]:
    given = read_each(parse(data), "calendars", documents.read_calendar, MOST_CALENDARS)
    keys = [key for key, _ in given]
    if doubled := next((key for key in keys if keys.count(key) > 1), None):
        raise DocumentError(f"calendars: {doubled[0]} at {doubled[1]} stands twice")
    return given
