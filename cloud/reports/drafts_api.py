"""HTTP of drafts of filings: made from deals, asked of a second person, looked at before it is decided."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from datetime import date
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field

from cloud.bookings import NO_NUL, Asker, answer
from cloud.db import Connection, Database
from cloud.errors import Problem
from cloud.identity import approval_store
from cloud.identity.approval_store import Approval
from cloud.identity.credentials import Principal
from cloud.reports import store
from cloud.reports.api import Before, Limit, Number, download, filing_of
from cloud.reports.documents import draft_json
from cloud.reports.drafts import FILE, FILE_STOR, MOST_DEALS, Drafts, Made, Period, Wanted, judged, profile_text
from cloud.reports.filed import hidden, layers_json
from cloud.reports.store import Draft
from protocols.clock import Clock

_Text = Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)]
_Name = Annotated[str, Field(min_length=1, max_length=40, pattern="^[a-z_]+$")]
ReportKind = Literal["REMIT-1", "EMIR", "CFTC-43", "CFTC-45", "FERC-EQR"]
_EXAMPLE: Final[dict[str, Any]] = {
    "kind": "REMIT-1",
    "subject": "power sold to Acme, December 2026",
    "deals": [
        {
            "deal": "D-2026-017",
            "told": {
                "uti": "213800KUD8LAJWSQ9D1501",
                "counterparty": "54930084UKLVMY22DS16",
                "market": "XBIL",
                "contract": "standard",
                "commodity": "EL",
                "load": "BL",
                "delivery_point": "10YFR-RTE------C",
            },
        }
    ],
}


class DealTold(BaseModel):
    """told: what the authority asks for and the booking does not say; the refusal of a draft lists what is missing."""

    model_config = ConfigDict(extra="forbid")
    deal: _Text
    told: Annotated[dict[_Name, _Text], Field(max_length=40)] = {}


class PeriodTold(BaseModel):
    """Both days included: of delivery for FERC-EQR, of the conclusion for every other kind."""

    model_config = ConfigDict(extra="forbid")
    first: date
    last: date
    book: _Text | None = None


class Request(BaseModel):
    """subject: the filing's own name; the same name again amends what was filed under it. Either deals or a period; common: stated of all of
    them, beside what is stated of each and what the register of facts says."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})
    kind: ReportKind
    subject: _Text
    deals: Annotated[list[DealTold], Field(max_length=MOST_DEALS)] = []
    common: Annotated[dict[_Name, _Text], Field(max_length=40)] = {}
    period: PeriodTold | None = None


def routes(db: Database, clock: Clock, threads: Executor, drafts: Drafts, reader: Asker, writer: Asker) -> APIRouter:
    router = APIRouter(tags=["filings"])
    who = Annotated[Principal, Depends(reader)]
    officer = Annotated[Principal, Depends(writer)]

    def made(one: Made) -> Response:
        return answer(draft_json(one.draft, one.approval, clock.now_us()) | {"layers": layers_json(one.validation)}, 201)

    @router.post("/v1/filings", status_code=201)
    async def post_filing(principal: officer, body: Request) -> Response:
        """A draft from booked deals, and the question to a second person, who files it by agreeing. What is missing is listed by deal and field
        (`gaps`), a file that fails a layer by check and place (`layers`); then nothing is kept."""
        told = {one.deal: one.told for one in body.deals}
        if len(told) < len(body.deals):
            raise Problem("invalid-request", "a deal stands twice")
        if bool(told) == (body.period is not None):
            raise Problem("invalid-request", "expected either deals or a period")
        period = Period(body.period.first, body.period.last, body.period.book) if body.period else None
        return made(await drafts.of_deals(principal, Wanted(body.kind, body.subject, told, body.common, period)))

    @router.post("/v1/filings/{filing_id}/cancellation", status_code=201)
    async def post_cancellation(principal: officer, filing_id: Number) -> Response:
        """A draft that cancels what was filed and accepted."""
        async with db.tenant(principal.tenant_id) as connection:
            await filing_of(connection, principal, filing_id)
        return made(await drafts.of_cancellation(principal, filing_id))

    @router.get("/v1/filing-drafts")
    async def get_drafts(principal: who, limit: Limit = 50, before: Before = None) -> Response:
        """The newest first, with the state of their approval. `next` is the `before` of the following page."""
        async with db.tenant(principal.tenant_id) as connection:
            found = await store.drafts(connection, principal.tenant_id, hidden(principal), limit, before)
            approvals = await _approvals(connection, principal.tenant_id, found)
        listed = [draft_json(one, approvals.get(one.id), clock.now_us()) for one in found]
        return answer({"drafts": listed, "next": found[-1].id if len(found) == limit else None})

    @router.get("/v1/filing-drafts/{draft_id}")
    async def get_draft(principal: who, draft_id: Number) -> Response:
        """One draft with its layers, judged now."""
        async with db.tenant(principal.tenant_id) as connection:
            found = await _draft(connection, principal, draft_id)
            approvals = await _approvals(connection, principal.tenant_id, [found])
            profile = await profile_text(connection, principal.tenant_id)
        validation = await asyncio.get_running_loop().run_in_executor(threads, judged, found, profile)
        return answer(draft_json(found, approvals.get(found.id), clock.now_us()) | {"layers": layers_json(validation)})

    @router.get("/v1/filing-drafts/{draft_id}/file")
    async def get_draft_file(principal: who, draft_id: Number) -> Response:
        """What would be filed, byte for byte."""
        async with db.tenant(principal.tenant_id) as connection:
            found = await _draft(connection, principal, draft_id)
        return download(found.file, found.kind, f"draft-{draft_id}")

    return router


async def _draft(connection: Connection, principal: Principal, draft_id: int) -> Draft:
    found = await store.draft(connection, principal.tenant_id, draft_id)
    if found is None or found.kind in hidden(principal):
        raise Problem("not-found", f"there is no draft {draft_id}")
    return found


async def _approvals(connection: Connection, tenant_id: int, drafts: Sequence[Draft]) -> Mapping[int, Approval]:
    """By draft."""
    subjects = {f"draft/{one.id}": one.id for one in drafts}
    found = await approval_store.of_subjects(connection, tenant_id, [FILE, FILE_STOR], list(subjects))
    return {subjects[one.subject]: one for one in found}
