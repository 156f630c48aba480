"""HTTP of approvals: what waits for a second person, and their decision."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from cloud.db import Database
from cloud.identity import approval_store, people_store
from cloud.identity.approval_store import Approval
from cloud.identity.approvals import Decisions, decides, unseen
from cloud.identity.credentials import Principal
from cloud.identity.gate import Gate, secret_answer
from cloud.identity.me_api import Id
from protocols.clock import Clock

INT64: Final = (1 << 63) - 1


class Decision(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"agree": True, "reason": "agreed at the board meeting"}]})
    agree: bool
    reason: Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]+$")]


def approval_json(one: Approval, called: dict[int, str], now_us: int, principal: Principal) -> dict[str, Any]:
    """state: open, agreed, declined or expired. decidable: by whoever asks, now."""

    def person(person_id: int | None) -> dict[str, Any] | None:
        return None if person_id is None else {"id": person_id, "name": called.get(person_id, "")}

    kind, _, number = one.subject.partition("/")
    return {
        "id": one.id,
        "action": one.action,
        "subject": one.subject,
        "subject_name": called.get(int(number), "") if kind == "person" else number,
        "body": dict(one.body),
        "state": one.state(now_us),
        "asked_by": person(one.asked_by),
        "asked_us": one.asked_us,
        "ends_us": one.ends_us,
        "decidable": decides(principal, one, now_us),
        "decided_by": person(one.decided_by),
        "decided_us": one.decided_us,
        "reason": one.reason,
    }


def people_in(approvals: list[Approval]) -> list[int]:
    """Everybody named in them."""
    subjects = [int(one.subject.partition("/")[2]) for one in approvals if one.subject.startswith("person/")]
    return [*subjects, *(one.asked_by for one in approvals), *(one.decided_by for one in approvals if one.decided_by is not None)]


def routes(db: Database, clock: Clock, decisions: Decisions, gate: Gate) -> APIRouter:
    router = APIRouter(tags=["people"])

    async def shown(principal: Principal, found: list[Approval]) -> list[dict[str, Any]]:
        async with db.tenant(principal.tenant_id) as connection:
            called = await people_store.called(connection, principal.tenant_id, people_in(found))
        return [approval_json(one, called, clock.now_us(), principal) for one in found]

    @router.get("/v1/approvals")
    async def get_approvals(
        principal: Annotated[Principal, Depends(gate.known)],
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        before: Annotated[int | None, Query(ge=1, le=INT64)] = None,
    ) -> Response:
        """The newest first: all of them for who decides or audits, their own for everybody else; `decidable` says which ones whoever asks may
        decide. `next` is the `before` of the following page."""
        sees_all = principal.may("approve") or principal.may("read:journal")
        only = None if sees_all else principal.person_id or 0
        async with db.tenant(principal.tenant_id) as connection:
            found = await approval_store.page(connection, principal.tenant_id, only, unseen(principal), limit, before)
        documents = await shown(principal, found)
        return secret_answer({"approvals": documents, "next": found[-1].id if len(found) == limit else None})

    @router.post("/v1/approvals/{approval_id}/decision")
    async def decide(principal: Annotated[Principal, Depends(gate.needs("approve"))], approval_id: Id, body: Decision) -> Response:
        """What was asked is done in the same moment, or nothing is. Whoever asked cannot decide."""
        decided = await decisions.decide(principal, approval_id, body.agree, body.reason)
        return secret_answer((await shown(principal, [decided]))[0])

    return router
