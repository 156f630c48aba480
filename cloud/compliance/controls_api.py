"""HTTP of evidence for controls: the list, a run that keeps its rows and their hash, and the sign-off of a result by a person."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from cloud import document
from cloud.bookings import NO_NUL, Asker, answer
from cloud.compliance import controls, controls_store
from cloud.compliance.controls import CONTROLS, DAY_US, KIND, Control
from cloud.db import Connection, Database
from cloud.errors import Problem
from cloud.evidence import store as evidence_store
from cloud.evidence.api import plain
from cloud.identity import store as identity_store
from cloud.identity.actor import Record
from cloud.identity.credentials import Principal
from protocols.batch import evidence
from protocols.clock import Clock

Id = Annotated[str, Path(pattern="^Q-[0-9]{2}$")]
LogKey = Callable[[int, str], str]  # of (tenant, origin)


class SignOff(BaseModel):
    """result: id of the evidence row that a run made."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"result": "5f" * 32, "remark": "reviewed, one token ended"}]}
    )
    result: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    remark: Annotated[str, Field(min_length=1, max_length=1000, pattern=NO_NUL)]


@dataclass(frozen=True, slots=True)
class Parts:
    """log_key: with which a tenant's checkpoints are verified. logged: called with the tenant after rows were committed."""

    db: Database
    clock: Clock
    record: Record
    log_key: LogKey
    logged: Callable[[int], None]


def routes(parts: Parts, reader: Asker, runner: Asker) -> APIRouter:
    router = APIRouter(prefix="/v1/controls", tags=["controls"])
    auditor = Annotated[Principal, Depends(reader)]
    officer = Annotated[Principal, Depends(runner)]

    @router.get("")
    async def get_controls(principal: auditor) -> Response:
        """Every control with its clauses, what answers it or why the hub cannot, its last result and whether the next is overdue. What is shown
        is evidence for a control and certifies nothing."""
        now_us, found = parts.clock.now_us(), []
        async with parts.db.tenant(principal.tenant_id) as connection:
            for control in CONTROLS.values():
                last = await evidence_store.newest(connection, principal.tenant_id, KIND, control.id)
                signed = await evidence_store.newest(connection, principal.tenant_id, KIND, f"{control.id} sign-off")
                found.append(_control_json(control, last, signed, now_us))
        return answer({"controls": found})

    @router.post("/{control_id}/runs", status_code=201)
    async def post_run(principal: officer, control_id: Id) -> Response:
        """Ask now: the rows, their SHA-256 and a summary, kept as an evidence row. The same facts have the same SHA-256."""
        control = _control(control_id)
        if control.reason:
            raise Problem("conflict", f"{control.id}, {control.title}: {control.reason}")
        tenant_id, now_us = principal.tenant_id, parts.clock.now_us()
        origin = (await identity_store.tenant_by_id(parts.db, tenant_id)).origin
        async with parts.db.tenant(tenant_id) as connection:
            rows = await _rows(connection, tenant_id, control, parts.log_key(tenant_id, origin))
            data = controls.content(control, rows)
            row = controls.result_row(control, data, now_us)
            digest = await evidence_store.append(connection, tenant_id, row, {evidence.digest(data): data}, now_us)
            await parts.record(connection, principal.actor, "run-control", f"control/{control.id}", {"sha256": row.output["sha256"]})
        parts.logged(tenant_id)
        return answer({"result": digest.hex(), "as_of_us": now_us, **row.output}, 201)

    @router.get("/{control_id}/result")
    async def get_result(principal: auditor, control_id: Id) -> Response:
        """The last result with all its rows."""
        control = _control(control_id)
        async with parts.db.tenant(principal.tenant_id) as connection:
            last = await evidence_store.newest(connection, principal.tenant_id, KIND, control.id)
            if last is None:
                raise Problem("not-found", f"{control.id} was not run yet")
            data = await evidence_store.content(connection, principal.tenant_id, last[1].inputs.contents["rows"])
        held: Any = document.parse(data or b'{"rows":[]}')
        told = plain(last[1].output) | {"found": held["rows"]}
        return answer({"result": last[0].hex(), "as_of_us": last[1].as_of_us, **told})

    @router.post("/{control_id}/sign-off", status_code=201)
    async def post_sign_off(principal: officer, control_id: Id, body: SignOff) -> Response:
        """A person has looked at a result, and says so. Kept as an evidence row above it."""
        control = _control(control_id)
        if principal.person_id is None:
            raise Problem("forbidden", "only a person signs off; sign in")
        tenant_id, now_us, result = principal.tenant_id, parts.clock.now_us(), bytes.fromhex(body.result)
        async with parts.db.tenant(tenant_id) as connection:
            found = await evidence_store.get(connection, tenant_id, result)
            if found is None or (found.row.kind, found.row.subject) != (KIND, control.id):
                raise Problem("not-found", f"{body.result} is no result of {control.id}")
            row = controls.sign_off_row(control, result, principal.actor.by, body.remark, now_us)
            digest = await evidence_store.append(connection, tenant_id, row, {}, now_us)
            await parts.record(connection, principal.actor, "sign-off-control", f"control/{control.id}", {"result": body.result})
        parts.logged(tenant_id)
        return answer({"sign_off": digest.hex(), "result": body.result, "by": principal.actor.by, "remark": body.remark}, 201)

    return router


async def _rows(connection: Connection, tenant_id: int, control: Control, log_key: str) -> controls.Rows:
    if control.id == "Q-06":
        return await controls_store.integrity(connection, tenant_id, log_key)
    return await controls_store.QUERIES[control.id](connection, tenant_id)


def _control(control_id: str) -> Control:
    found = CONTROLS.get(control_id)
    if found is None:
        raise Problem("not-found", f"there is no control {control_id}; there are {', '.join(CONTROLS)}")
    return found


Newest = tuple[bytes, evidence.Row] | None


def _control_json(control: Control, last: Newest, signed: Newest, now_us: int) -> dict[str, Any]:
    told = None
    if last is not None:
        is_signed = signed is not None and signed[1].output["result"] == last[0]
        told = {"result": last[0].hex(), "as_of_us": last[1].as_of_us, "sha256": last[1].output["sha256"], "rows": last[1].output["rows"]}
        told |= {"summary": plain(last[1].output["summary"]), "signed_by": signed[1].output["signed_by"] if signed and is_signed else None}
    return {
        "id": control.id,
        "title": control.title,
        "references": {name: list(clauses) for name, clauses in control.references.items()},
        "references_status": "unconfirmed",
        "evidence_for": control.says or None,
        "not_answered": control.reason or None,
        "every_days": control.every_days,
        "overdue": not control.reason and (last is None or now_us - last[1].as_of_us > control.every_days * DAY_US),
        "last": told,
    }
