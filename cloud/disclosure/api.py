"""HTTP of outages: what is known, its clock and its messages; what people do about it; what is blocked; the feed for platforms."""

from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from cloud.bookings import NO_NUL, Asker, answer
from cloud.compliance.parameters import AS_STATED
from cloud.compliance.rules import Terms
from cloud.compliance.runs import judge, read_output
from cloud.compliance.trace import day_of
from cloud.db import Connection, Database
from cloud.disclosure import blocks, publication, store, views
from cloud.disclosure.blocks import Cover
from cloud.disclosure.event import State
from cloud.disclosure.ledger import LAW, RULES, stated_of
from cloud.disclosure.order_gate import LAW as ARTICLE
from cloud.disclosure.order_gate import LIFTED
from cloud.disclosure.outages import Outages
from cloud.disclosure.setup import read_setup
from cloud.disclosure.store import Stored
from cloud.disclosure.times import moment
from cloud.document import EARLIEST_US, LATEST_US
from cloud.errors import Problem
from cloud.evidence import store as evidence_store
from cloud.identity.credentials import Principal
from cloud.identity.versions import IfMatch, etag, followed
from cloud.trading.deals import Side
from protocols.clock import Clock

EventName = Annotated[str, Path(min_length=1, max_length=60, pattern=NO_NUL)]


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
    _readers(router, db, clock, reader, dealer)
    _writers(router, clock, outages, writer)
    return router


def _readers(router: APIRouter, db: Database, clock: Clock, reader: Asker, dealer: Asker) -> None:
    who = Annotated[Principal, Depends(reader)]

    @router.get("/v1/outages")
    async def get_outages(
        principal: who,
        state: Annotated[str | None, Query(max_length=30, description='a state, or "open" for all that are not over')] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        before: Annotated[int | None, Query(ge=1, le=(1 << 63) - 1)] = None,
    ) -> Response:
        """The newest first, each with the clock of its publication. `next`: the `before` of the following page."""
        try:
            chosen = views.states(state)
        except ValueError as error:
            raise Problem("invalid-request", f"state: expected open or {', '.join(State)}") from error
        now_us = clock.now_us()
        async with db.tenant(principal.tenant_id) as connection:
            found = await store.page(connection, principal.tenant_id, chosen, limit, before)
            setup = await read_setup(connection, principal.tenant_id)
        return answer({
            "as_of_us": now_us,
            "outages": [views.listed(one, now_us) for one in found],
            "next": found[-1].id if len(found) == limit else None,
            "problems": list(setup.absent) if setup else ["there is no compliance profile yet"],
        })  # fmt: skip

    @router.get("/v1/outages/{event}")
    async def get_outage(principal: who, event: EventName) -> Response:
        """All of an event: every step with who did it and when, its messages and files, evidence, findings, what it blocks, cover trades."""
        now_us = clock.now_us()
        async with db.tenant(principal.tenant_id) as connection:
            found = await store.get(connection, principal.tenant_id, event)
            if found is None:
                raise Problem("not-found", f"there is no outage {event}")
            document = await _whole(connection, principal.tenant_id, found, now_us)
        reply = answer(document)
        reply.headers.update(etag(found.step))
        return reply

    @router.get("/v1/blocks")
    async def get_blocks(principal: Annotated[Principal, Depends(dealer)]) -> Response:
        """Books that may not deal now, and since when: no more than somebody has to know who deals."""
        async with db.tenant(principal.tenant_id) as connection:
            found = await blocks.present(connection, principal.tenant_id)
        listed = [
            {"books": list(one.books), "since_us": one.since_us, "law": ARTICLE, "lifted_when": LIFTED, "passes": "cancellations"}
            for one in found
        ]
        return answer({"as_of_us": clock.now_us(), "blocks": listed})

    @router.get("/v1/umm.atom")
    async def get_feed(principal: who) -> Response:
        """The messages that are published, the newest 1,000, as an Atom feed for platforms."""
        async with db.tenant(principal.tenant_id) as connection:
            found = await store.messages(connection, principal.tenant_id, 0, store.MOST_MESSAGES, newest=True)
        updated = moment(found[-1].published_us if found else 0)
        data = publication.feed(updated, [one.message for one in reversed(found)])
        return Response(data, media_type="application/atom+xml")

    @router.get("/v1/outages/{event}/files/{version}")
    async def get_file(principal: who, event: EventName, version: Annotated[int, Path(ge=1, le=999)]) -> Response:
        """The file of a published message, byte by byte as it was published."""
        async with db.tenant(principal.tenant_id) as connection:
            listed = await store.messages_of(connection, principal.tenant_id, event)
            found = next((one for one in listed if one.message.version == version), None)
            if found is None:
                raise Problem("not-found", f"there is no published version {version} of outage {event}")
            data = await evidence_store.content(connection, principal.tenant_id, found.file)
        headers = {"content-disposition": f'attachment; filename="{found.message.id}.xml"'}
        return Response(data, media_type="application/atom+xml", headers=headers)


async def _whole(connection: Connection, tenant_id: int, found: Stored, now_us: int) -> dict[str, Any]:
    event = found.event.id
    judged = await evidence_store.newest(connection, tenant_id, "finding", f"outage/{event}")
    findings: list[dict[str, Any]] = []
    if judged is not None:
        findings = [
            {"rule": one.rule, "outcome": one.outcome.value, "why": one.why, "evidence": judged[0].hex()}
            for one in read_output(judged[1].output)
        ]
    cover = await blocks.cover(connection, tenant_id, event)
    blocked = [
        {"message": one.message, "books": list(one.books), "since_us": one.since_us, "until_us": one.until_us}
        for one in await blocks.of_event(connection, tenant_id, event)
    ]
    setup = await read_setup(connection, tenant_id)
    stated: list[dict[str, Any]] = []
    if setup is not None:
        known = await stated_of(connection, tenant_id, found.event, setup, now_us)
        told = judge(RULES, known, Terms(LAW, day_of(now_us), frozenset({AS_STATED})))
        stated = [{"rule": one.rule.id, "outcome": one.verdict.outcome.value, "why": one.verdict.why} for one in told]
    return views.whole(
        found,
        await store.steps(connection, tenant_id, event),
        await store.messages_of(connection, tenant_id, event),
        findings,
        now_us,
        findings_as_stated=stated,
        blocks=blocked,
        refused_us=await blocks.refusals(connection, tenant_id, event),
        cover=None if cover is None else cover_json(cover),
    )


def cover_json(one: Cover) -> dict[str, Any]:
    return {
        "event": one.event,
        "approval": one.approval,
        "side": one.side,
        "limit_mwh": f"{one.limit_mwh:f}",
        "left_mwh": f"{one.left_mwh:f}",
        "agreed_us": one.agreed_us,
        "notified_us": one.notified_us,
        "reference": one.reference,
    }


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
