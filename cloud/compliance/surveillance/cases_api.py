"""HTTP of conduct alerts and what people do about them: taken by an analyst, noted, decided with reasons."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from cloud.bookings import NO_NUL, Asker, answer
from cloud.compliance.surveillance import cases, store
from cloud.compliance.surveillance.cases import Decision, NotAllowed, Step, Taken
from cloud.compliance.surveillance.store import StoredAlert
from cloud.db import Connection, Database
from cloud.errors import Problem
from cloud.evidence import store as evidence_store
from cloud.evidence.api import plain
from cloud.identity import people_store
from cloud.identity.actor import Record
from cloud.identity.credentials import Principal
from cloud.identity.roles import ROLES, Role
from protocols.clock import Clock

INT64: Final = (1 << 63) - 1
Number = Annotated[int, Path(ge=1, le=INT64)]
_Reason = Annotated[str, Field(min_length=1, max_length=2000, pattern=NO_NUL)]


class Assigned(BaseModel):
    """analyst: a person; without one, whoever asks takes it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"analyst": 7}]})
    analyst: Annotated[int | None, Field(ge=1, le=INT64)] = None


class Noted(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"text": "asked the desk for its hedge plan of that day"}]})
    text: _Reason


class Decided(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"decision": "STOR", "reasons": "no economic reason for the cancelled side"}]}
    )
    decision: Literal["STOR", "no further action"]
    reasons: _Reason


def routes(db: Database, clock: Clock, record: Record, reader: Asker, officer: Asker) -> APIRouter:
    router = APIRouter(prefix="/v1/conduct/alerts", tags=["conduct"])
    who = Annotated[Principal, Depends(reader)]
    analyst = Annotated[Principal, Depends(officer)]

    async def take(principal: Principal, alert_id: int, taken: Taken) -> Response:
        async with db.tenant(principal.tenant_id) as connection:
            await store.lock(connection, principal.tenant_id)
            found = await alert_of(connection, principal.tenant_id, alert_id)
            before = (await store.steps(connection, principal.tenant_id, [alert_id])).get(alert_id, [])
            try:
                cases.check(before, taken, principal.person_id)
            except NotAllowed as error:
                raise Problem("conflict", str(error)) from error
            await store.add_step(connection, principal.tenant_id, alert_id, taken)
            detail = {"decision": taken.decision.value} if taken.decision else {}
            await record(connection, principal.actor, f"{taken.step.value}-alert", f"conduct-alert/{alert_id}", detail)
        return answer(alert_json(found, [*before, taken]))

    @router.get("")
    async def get_alerts(
        principal: who,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        before: Annotated[int | None, Query(ge=1, le=INT64)] = None,
    ) -> Response:
        """The newest first, with the state of their case. guard: the reason that speaks against an alert; it is told all the same."""
        async with db.tenant(principal.tenant_id) as connection:
            found = await store.alerts(connection, principal.tenant_id, limit, before)
            steps = await store.steps(connection, principal.tenant_id, [one.id for one in found])
        listed = [alert_json(one, steps.get(one.id, [])) for one in found]
        return answer({"alerts": listed, "next": found[-1].id if len(found) == limit else None})

    @router.get("/{alert_id}")
    async def get_alert(principal: who, alert_id: Number) -> Response:
        """One alert with orders, events, measures, the figures of its pattern, and every step of its case."""
        async with db.tenant(principal.tenant_id) as connection:
            found = await alert_of(connection, principal.tenant_id, alert_id)
            steps = await store.steps(connection, principal.tenant_id, [alert_id])
            row = await evidence_store.get(connection, principal.tenant_id, found.evidence)
        assert row is not None  # the table names rows that are there
        told = row.row
        window = {name: told.parameters[name] for name in ("from_us", "to_us")}
        figures = told.inputs.contents["patterns"].hex()
        return answer(alert_json(found, steps.get(alert_id, [])) | {"found": plain(told.output), "window": window, "patterns": figures})

    @router.post("/{alert_id}/assignment")
    async def post_assignment(principal: analyst, alert_id: Number, body: Assigned) -> Response:
        """Give the alert to an analyst, or take it. They alone decide."""
        person = body.analyst or principal.person_id
        if person is None:
            raise Problem("invalid-request", "a program takes no alert; name the person")
        async with db.tenant(principal.tenant_id) as connection:
            found = await people_store.by_id(connection, principal.tenant_id, person)
        if found is None or "write:compliance" not in ROLES[Role(found.role)]:
            raise Problem("conflict", f'person {person} is nobody who may "write:compliance"')
        return await take(principal, alert_id, Taken(clock.now_us(), principal.actor.by, Step.ASSIGN, person))

    @router.post("/{alert_id}/notes")
    async def post_note(principal: analyst, alert_id: Number, body: Noted) -> Response:
        """What was looked at. Notes are never changed."""
        return await take(principal, alert_id, Taken(clock.now_us(), principal.actor.by, Step.NOTE, text=body.text))

    @router.post("/{alert_id}/decision")
    async def post_decision(principal: analyst, alert_id: Number, body: Decided) -> Response:
        """A report to the authority or no further action, with the reasons, which are kept either way. Once, by the analyst."""
        taken = Taken(clock.now_us(), principal.actor.by, Step.DECIDE, None, Decision(body.decision), body.reasons)
        return await take(principal, alert_id, taken)

    return router


async def alert_of(connection: Connection, tenant_id: int, alert_id: int) -> StoredAlert:
    found = await store.alerts(connection, tenant_id, 1, alert_id=alert_id)
    if not found:
        raise Problem("not-found", f"there is no conduct alert {alert_id}")
    return found[0]


def alert_json(one: StoredAlert, steps: Sequence[Taken]) -> dict[str, Any]:
    present = cases.case(steps)
    return {
        "id": one.id,
        "pattern": one.pattern,
        "grade": one.grade,
        "guard": one.guard,
        "owner": one.owner,
        "first_us": one.first_us,
        "last_us": one.last_us,
        "made_us": one.made_us,
        "evidence": one.evidence.hex(),
        "state": present.state.value,
        "analyst": present.analyst,
        "steps": [
            {
                "at_us": step.at_us,
                "by": step.by,
                "step": step.step.value,
                "person": step.person,
                "decision": step.decision.value if step.decision else None,
                "text": step.text,
            }
            for step in steps
        ],
    }
