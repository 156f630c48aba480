"""HTTP of reports of suspicious transactions and orders: from a decided conduct alert to a draft that a second person agrees to file."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field

from cloud.bookings import NO_NUL, Asker, answer
from cloud.compliance.surveillance import orders, store
from cloud.compliance.surveillance.cases import State, case
from cloud.compliance.surveillance.cases_api import Number, alert_of
from cloud.db import Database
from cloud.errors import Problem
from cloud.evidence import store as evidence_store
from cloud.identity.credentials import Principal
from cloud.reports import stor
from cloud.reports.documents import draft_json
from cloud.reports.drafts import Drafts, reporter_of
from cloud.reports.filed import Filings, layers_json
from cloud.reports.stor import Line, Person, Stor, written_time
from protocols.clock import Clock

_Text = Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)]
_Code = Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")]
_EXAMPLE: Final[dict[str, Any]] = {
    "authority": "AMF",
    "capacity": "dealing on own account",
    "contact": "compliance@example.com",
    "persons": [{"name": "Example Energy", "lei": "213800KUD8LAJWSQ9D15"}],
}


class PersonTold(BaseModel):
    """lei for a legal person, identifier (account, national id) for a natural one."""

    model_config = ConfigDict(extra="forbid")
    name: _Text
    lei: _Code = ""
    identifier: _Code = ""


class StorTold(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})
    authority: _Text
    capacity: _Text
    contact: _Text
    persons: Annotated[list[PersonTold], Field(min_length=1, max_length=50)]


def routes(db: Database, clock: Clock, filings: Filings, drafts: Drafts, officer: Asker) -> APIRouter:
    router = APIRouter(tags=["conduct"])

    @router.post("/v1/conduct/alerts/{alert_id}/stor", status_code=201)
    async def post_stor(principal: Annotated[Principal, Depends(officer)], alert_id: Number, body: StorTold) -> Response:
        """The draft of a report to the authority about an alert that was decided to be reported, with its orders, reasons and persons. A second
        person files it by agreeing; the desk is not told."""
        tenant_id, subject = principal.tenant_id, f"conduct alert {alert_id}"
        async with db.tenant(tenant_id) as connection:
            alert = await alert_of(connection, tenant_id, alert_id)
            steps = (await store.steps(connection, tenant_id, [alert_id])).get(alert_id, [])
            present = case(steps)
            if present.state is not State.REPORT or present.decided is None:
                raise Problem(
                    "conflict", f"the alert is {present.state}; it is reported after it was decided so", state=present.state.value
                )
            found = await evidence_store.get(connection, tenant_id, alert.evidence)
            assert found is not None  # the table names rows that are there
            parts = await store.handed_in(connection, tenant_id, list(found.row.inputs.rows.values()))
            reporter = await reporter_of(connection, tenant_id)
            action = await filings.next(connection, tenant_id, stor.KIND, subject)
        told = found.row.output
        persons = tuple(Person(one.name, one.lei, one.identifier, ", ".join(told["accounts"])) for one in body.persons)
        made = Stor(
            action.value, reporter.name, reporter.lei, body.contact, body.capacity, body.authority, told["instrument"], told["pattern"],
            _described(told), present.decided.text, written_time(told["first_us"]), written_time(told["last_us"]), persons,
            _lines(told, list(parts.values())), (alert.evidence.hex(),),
        )  # fmt: skip
        draft = await drafts.keep(principal, stor.KIND, subject, stor.encode(made), below={"alert": alert.evidence})
        document = draft_json(draft.draft, draft.approval, clock.now_us())
        return answer(document | {"layers": layers_json(draft.validation)}, 201)

    return router


def _described(told: Mapping[str, Any]) -> str:
    measures = "; ".join(f"{name} {value:g}" for name, value in told["measures"].items())
    return f"{told['pattern']}, grade {told['grade']}: {measures}" + (f"; against it: {told['guard']}" if told["guard"] else "")


def _lines(told: Mapping[str, Any], parts: list[bytes]) -> tuple[Line, ...]:
    """The events of the alert that lie in its time, in their order."""
    wanted = {(one["source"], one["sequence"]) for one in told["events"]}
    events = orders.joined([orders.read(part) for part in parts])
    lines = []
    for row in range(events.count):
        at_us = int(events.time_us[row])
        named = (str(events.source[row]), int(events.sequence[row]))
        if named in wanted and told["first_us"] <= at_us <= told["last_us"]:
            order, action, side = (str(column[row]) for column in (events.order, events.action, events.side))
            lines.append(Line(written_time(at_us), order, action, side, f"{events.price[row]:.12g}", f"{events.volume[row]:.12g}"))
    return tuple(lines)
