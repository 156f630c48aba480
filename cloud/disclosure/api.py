"""HTTP of outages: what people do about them. What is read stands in `reading_api`."""

from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from cloud.bookings import NO_NUL, Asker, answer
from cloud.db import Database
from cloud.disclosure import reading_api, views
from cloud.disclosure.outages import Outages
from cloud.disclosure.reading_api import EventName, cover_json
from cloud.disclosure.store import Stored
from cloud.document import EARLIEST_US, LATEST_US
from cloud.errors import Problem
from cloud.identity.credentials import Principal
from cloud.identity.versions import IfMatch, etag, followed
from cloud.trading.deals import Side
from protocols.clock import Clock


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("expected printable characters in one line")
    return text


Words = Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S"), AfterValidator(_printable)]
Time = Annotated[int, Field(ge=EARLIEST_US, le=LATEST_US)]
Capacity = Annotated[str, Field(pattern=r"^[0-9]{1,9}(\.[0-9]{1,6})?$")]


class Declared(BaseModel):
    """unavailable: in the unit's own measure, as text."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "unit": "Block 1", "start_us": 1769904000000000, "stop_us": 1769990400000000, "unavailable": "120", "planned": True,
                    "reason": "Inspection of the turbine", "remarks": "",
                }
            ]
        },
    )  # fmt: skip
    unit: Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)]
    start_us: Time
    stop_us: Time
    unavailable: Capacity
    planned: bool
    reason: Words
    remarks: Annotated[str, Field(max_length=500), AfterValidator(_printable)] = ""


class Confirmed(BaseModel):
    """What the draft has wrong; what is left out stands as it is."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"planned": False, "stop_us": 1769990400000000}]})
    planned: bool | None = None
    start_us: Time | None = None
    stop_us: Time | None = None
    unavailable: Capacity | None = None
    reason: Words | None = None
    remarks: Words | None = None


class Reason(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "a sensor was wrong, the unit ran"}]})
    reason: Words


class Covering(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"side": "buy"}]})
    side: Side


class Notified(BaseModel):
    """reference: what the authorities gave or were given."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reference": "ACER form 2026-17, NRA mail of 10:05"}]})
    reference: Words


def routes(db: Database, clock: Clock, outages: Outages, reader: Asker, writer: Asker, dealer: Asker) -> APIRouter:
    """dealer: who reads deals, and so has to know what is blocked."""
    router = APIRouter(tags=["outages"])
    reading_api.events(router, db, clock, reader)
    reading_api.told(router, db, clock, reader, dealer)
    _writers(router, clock, outages, writer)
    return router


def _writers(router: APIRouter, clock: Clock, outages: Outages, writer: Asker) -> None:
    who = Annotated[Principal, Depends(writer)]

    def shown(stored: Stored, status: int = 200) -> Response:
        reply = answer(views.listed(stored, clock.now_us()), status)
        reply.headers.update(etag(stored.step))
        return reply

    def version(if_match: str | None) -> int | None:
        return None if if_match is None else followed(if_match)

    @router.post("/v1/outages", status_code=201)
    async def declare(principal: who, body: Declared) -> Response:
        """An outage that people know of, such as planned work. It is confirmed by being said, and not published yet."""
        if body.stop_us <= body.start_us:
            raise Problem("invalid-request", "stop_us: expected a time after start_us")
        if not Decimal(body.unavailable):
            raise Problem("invalid-request", "unavailable: expected more than 0")
        return shown(await outages.declare(principal, body.model_dump()), 201)

    @router.post("/v1/outages/{event}/confirmation")
    async def confirm(principal: who, event: EventName, body: Confirmed, if_match: IfMatch = None) -> Response:
        """It is a fact, with what the draft has wrong. The time to publication runs from here. After publication: the next message."""
        told = {name: value for name, value in body.model_dump().items() if value is not None}
        return shown(await outages.confirm(principal, event, told, version(if_match)))

    @router.post("/v1/outages/{event}/publication")
    async def ask(principal: who, event: EventName, if_match: IfMatch = None) -> Response:
        """Ask for the publication of the confirmed message: somebody else agrees, at POST /v1/approvals/{approval_id}/decision."""
        return shown(await outages.ask(principal, event, version(if_match)))

    @router.post("/v1/outages/{event}/dismissal")
    async def dismiss(principal: who, event: EventName, body: Reason, if_match: IfMatch = None) -> Response:
        """It is not so: withdrawn where nothing is published, else taken back by a message that somebody else agrees to."""
        return shown(await outages.dismiss(principal, event, body.reason, version(if_match)))

    @router.post("/v1/outages/{event}/withdrawal")
    async def withdraw(principal: who, event: EventName, body: Reason, if_match: IfMatch = None) -> Response:
        """Drop what is not published: a draft, an update, a dismissal. What is published stays as it is."""
        return shown(await outages.withdraw(principal, event, body.reason, version(if_match)))

    @router.post("/v1/outages/{event}/cover", status_code=202)
    async def ask_cover(principal: who, event: EventName, body: Covering, if_match: IfMatch = None) -> Response:
        """Ask for trades that cover the loss of an unplanned outage (REMIT art. 3(4)(b)); somebody else agrees."""
        asked = await outages.ask_cover(principal, event, body.side, version(if_match))
        return answer({"approval": asked.id, **asked.body}, 202)

    @router.post("/v1/outages/{event}/cover/notification")
    async def notify_cover(principal: who, event: EventName, body: Notified) -> Response:
        """That ACER and the national authority were told of the cover trades."""
        return answer(cover_json(await outages.notify_cover(principal, event, body.reference)))
