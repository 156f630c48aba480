"""HTTP of filings: what was filed with its files, and what authorities answered. Not for drafts (`drafts_api`)."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from cloud.bookings import NO_NUL, Asker, answer
from cloud.db import Connection, Database
from cloud.errors import Problem
from cloud.evidence import store as evidence_store
from cloud.identity.credentials import Principal
from cloud.reports import store
from cloud.reports.documents import filing_json
from cloud.reports.filed import Filings, hidden
from cloud.reports.filings import Reason
from cloud.reports.store import StoredFiling, StoredVersion
from protocols.clock import Clock

INT64: Final = (1 << 63) - 1
MOST_REASONS: Final = 1000
Number = Annotated[int, Path(ge=1, le=INT64)]
Which = Annotated[int | None, Query(ge=1, le=1_000_000, description="default the newest")]
Limit = Annotated[int, Query(ge=1, le=200)]
Before = Annotated[int | None, Query(ge=1, le=INT64)]
_Text = Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)]
_Long = Annotated[str, Field(min_length=1, max_length=1000, pattern=NO_NUL)]


class ReasonTold(BaseModel):
    model_config = ConfigDict(extra="forbid")
    code: _Text
    place: _Text
    message: _Long


class AnswerTold(BaseModel):
    """No reasons: accepted."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"version": 1, "reference": "R-7", "reasons": [{"code": "REJ-2", "place": "TradeReport[1]", "message": "unknown market"}]}
            ]
        },
    )
    version: Annotated[int, Field(ge=1, le=1_000_000)]
    reference: _Text
    reasons: Annotated[list[ReasonTold], Field(max_length=MOST_REASONS)] = []


def routes(db: Database, clock: Clock, filings: Filings, reader: Asker, writer: Asker) -> APIRouter:
    router = APIRouter(tags=["filings"])
    who = Annotated[Principal, Depends(reader)]
    officer = Annotated[Principal, Depends(writer)]

    @router.get("/v1/filings")
    async def get_filings(
        principal: who,
        kind: Annotated[str | None, Query(min_length=1, max_length=40, pattern=NO_NUL)] = None,
        limit: Limit = 50,
        before: Before = None,
    ) -> Response:
        """Everything that was filed or published, the newest first, with versions, answers and due days."""
        async with db.tenant(principal.tenant_id) as connection:
            found = await store.page(connection, principal.tenant_id, kind, hidden(principal), limit, before)
        listed = [filing_json(one, clock.now_us()) for one in found]
        return answer({"filings": listed, "next": found[-1].id if len(found) == limit else None})

    @router.get("/v1/filings/{filing_id}")
    async def get_filing(principal: who, filing_id: Number) -> Response:
        """One filing with all its versions."""
        async with db.tenant(principal.tenant_id) as connection:
            found = await filing_of(connection, principal, filing_id)
        return answer(filing_json(found, clock.now_us()))

    @router.get("/v1/filings/{filing_id}/file")
    async def get_file(principal: who, filing_id: Number, version: Which = None) -> Response:
        """The file as it was filed, byte for byte."""
        async with db.tenant(principal.tenant_id) as connection:
            found, chosen = await _version(connection, principal, filing_id, version)
            data = await evidence_store.content(connection, principal.tenant_id, bytes.fromhex(chosen.version.file_sha256))
        return download(data or b"", found.kind, f"filing-{filing_id}-{chosen.version.number}")

    @router.get("/v1/filings/{filing_id}/manifest")
    async def get_manifest(principal: who, filing_id: Number, version: Which = None) -> Response:
        """The signed statement that goes with the file: its hash, the rules in force, rows, day, program."""
        async with db.tenant(principal.tenant_id) as connection:
            _, chosen = await _version(connection, principal, filing_id, version)
            data = await evidence_store.content(connection, principal.tenant_id, chosen.manifest)
        return Response(data or b"", media_type="application/json")

    @router.post("/v1/filings/{filing_id}/answers")
    async def post_answer(principal: officer, filing_id: Number, body: AnswerTold) -> Response:
        """What the authority answered to a version. Rejected first versions are filed again as new, accepted ones are amended or cancelled."""
        reasons = tuple(Reason(one.code, one.place, one.message) for one in body.reasons)
        async with db.tenant(principal.tenant_id) as connection:
            await filing_of(connection, principal, filing_id)
            found = await filings.answer(connection, principal.actor, filing_id, body.version, body.reference, reasons)
        return answer(filing_json(found, clock.now_us()))

    return router


async def filing_of(connection: Connection, principal: Principal, filing_id: int) -> StoredFiling:
    """Raises Problem, also where it is not for whoever asks."""
    found = await store.get(connection, principal.tenant_id, filing_id)
    if found is None or found.kind in hidden(principal):
        raise Problem("not-found", f"there is no filing {filing_id}")
    return found


async def _version(connection: Connection, principal: Principal, filing_id: int, number: int | None) -> tuple[StoredFiling, StoredVersion]:
    found = await filing_of(connection, principal, filing_id)
    chosen = next((one for one in found.versions if one.version.number == number), None) if number else found.versions[-1]
    if chosen is None:
        raise Problem("not-found", f"filing {filing_id} has no version {number}")
    return found, chosen


def download(data: bytes, kind: str, name: str) -> Response:
    ending, media = ("csv", "text/csv") if kind == "FERC-EQR" else ("xml", "application/xml")
    return Response(data, media_type=media, headers=_attached(f"{kind.lower()}-{name}.{ending}"))


def _attached(name: str) -> dict[str, Any]:
    return {"content-disposition": f'attachment; filename="{name}"'}
