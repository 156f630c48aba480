"""HTTP of outages, read: events with their clock, capacity, what is blocked, the feed for platforms and its files."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response

from cloud.bookings import NO_NUL, Asker, answer
from cloud.compliance.parameters import AS_STATED
from cloud.compliance.rules import Terms
from cloud.compliance.runs import judge, read_output
from cloud.compliance.trace import day_of
from cloud.db import Connection, Database
from cloud.disclosure import blocks, publication, store, views
from cloud.disclosure.blocks import Cover
from cloud.disclosure.capacity import CAPACITY
from cloud.disclosure.event import State
from cloud.disclosure.ledger import LAW, RULES, stated_of
from cloud.disclosure.order_gate import LAW as ARTICLE
from cloud.disclosure.order_gate import LIFTED
from cloud.disclosure.outages import COVER, PUBLISH
from cloud.disclosure.setup import read_setup
from cloud.disclosure.store import Stored
from cloud.disclosure.times import moment
from cloud.errors import Problem
from cloud.evidence import store as evidence_store
from cloud.identity import approval_store
from cloud.identity.actor import person_ref
from cloud.identity.approval_store import Approval
from cloud.identity.credentials import Principal
from cloud.identity.versions import etag
from protocols.clock import Clock

EventName = Annotated[str, Path(min_length=1, max_length=60, pattern=NO_NUL)]


def events(router: APIRouter, db: Database, clock: Clock, reader: Asker) -> None:
    """Outages, one of them, and what units have available."""
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

    @router.get("/v1/capacity")
    async def get_capacity(principal: who) -> Response:
        """What every unit of the profile has available, with its interval, and where the detector stands with its parts; null: not measured."""
        async with db.tenant(principal.tenant_id) as connection:
            setup = await read_setup(connection, principal.tenant_id)
            watching = await store.watching(connection, principal.tenant_id)
            units: list[dict[str, Any]] = []
            for unit in setup.profile.units if setup else ():
                found = await evidence_store.newest(connection, principal.tenant_id, CAPACITY, unit.name)
                own = {asset: one for (name, asset), one in watching.items() if name == unit.name}
                known = views.capacity_json(*found, own) if found and unit.parts else None
                units.append({"unit": unit.name, "eic": unit.eic, "books": list(unit.books), "capacity": known})
        return answer({"as_of_us": clock.now_us(), "units": units, "problems": list(setup.absent) if setup else []})

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


def told(router: APIRouter, db: Database, clock: Clock, reader: Asker, dealer: Asker) -> None:
    """What others are told: who deals, that books are blocked; platforms, the messages. dealer: who reads deals."""
    who = Annotated[Principal, Depends(reader)]

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
        approvals=[_asked(one, now_us) for one in await _approvals(connection, tenant_id, event)],
    )


async def _approvals(connection: Connection, tenant_id: int, event: str) -> list[Approval]:
    """All that was ever asked of the event, in its order."""
    return await approval_store.of_subjects(connection, tenant_id, [PUBLISH, COVER], [f"outage/{event}"])


def _asked(one: Approval, now_us: int) -> dict[str, Any]:
    """state: open, agreed, declined or expired."""
    asked, decided = person_ref(one.asked_by), None if one.decided_by is None else person_ref(one.decided_by)
    told = {"id": one.id, "action": one.action, "state": one.state(now_us), "asked_by": asked, "asked_us": one.asked_us}
    return told | {"ends_us": one.ends_us, "decided_by": decided, "decided_us": one.decided_us, "reason": one.reason}


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
