"""HTTP of what comes in from others' systems: confirmations (FpML) that become deals, bank statements (ISO 20022) that are judged."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Depends, Query, Request, Response

from cloud.bookings import Asker, Name, answer
from cloud.db import Database
from cloud.errors import Problem
from cloud.identity.credentials import Principal
from cloud.reports import fpml, iso20022
from cloud.reports.drafts import reporter_of
from cloud.reports.errors import ReportError
from cloud.reports.filed import layers_json
from cloud.reports.iso20022 import Money, Statement
from cloud.trading import store as trading_store
from cloud.trading.booking import Desk
from cloud.trading.deals import Deal, faults_of
from cloud.trading.documents import deal_json, fault_json
from protocols.clock import Clock

T = TypeVar("T")
_XML: Final = "application/xml"
_DryRun = Annotated[bool, Query(description="true: say what the deal would be, book nothing")]


def _xml_body(what: str, example: str) -> dict[str, Any]:
    schema = {"type": "string", "description": what}
    return {"requestBody": {"required": True, "content": {_XML: {"schema": schema, "example": example}}}}


_FPML: Final = _xml_body(
    "an FpML 5 confirmation of one trade", '<dataDocument xmlns="http://www.fpml.org/FpML-5/confirmation">...</dataDocument>'
)
_CAMT: Final = _xml_body("a camt.053 message", '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02">...</Document>')


def routes(db: Database, clock: Clock, threads: Executor, desk: Desk, writer: Asker) -> APIRouter:
    router = APIRouter(tags=["trading"])
    captor = Annotated[Principal, Depends(writer)]

    async def read(request: Request, reading: Callable[[bytes], T]) -> T:
        data = await request.body()
        try:
            return await asyncio.get_running_loop().run_in_executor(threads, reading, data)
        except ReportError as error:
            raise Problem("invalid-request", str(error)[:2000], place=error.place, faults=[error.message[:2000]]) from error

    @router.post("/v1/deals/fpml", openapi_extra=_FPML)
    async def post_fpml(principal: captor, request: Request, book: Name, dry_run: _DryRun = False) -> Response:
        """A confirmation as a deal of ours, booked as POST /v1/deals books it; what a deal has no room for is refused by element. Our side is
        that of the LEI in the compliance profile. Sent again, it changes nothing."""
        async with db.tenant(principal.tenant_id) as connection:
            lei = (await reporter_of(connection, principal.tenant_id)).lei
        if not lei:
            raise Problem("conflict", "the compliance profile names no LEI: without it nobody knows which side of the confirmation is ours")
        given = await read(request, lambda data: fpml.read(data, fpml.Desk(lei, book, clock.now_us())))
        async with db.tenant(principal.tenant_id) as connection:
            stored = await trading_store.chosen(connection, principal.tenant_id, [given.id])
            calendars = await trading_store.calendars(connection, principal.tenant_id)
        deal = _as_stored(given, stored)
        if dry_run:
            faults = [] if deal in stored else [fault_json(one) for one in faults_of(deal, calendars)]
            return answer({"deal": deal_json(deal), "faults": faults, "stored": deal in stored})
        capture = await desk.book(principal, (deal,))
        return answer({"deal": deal_json(deal), "faults": [], "stored": bool(capture.new)}, 201 if capture.new else 200)

    @router.post("/v1/statements", openapi_extra=_CAMT)
    async def post_statement(_principal: captor, request: Request) -> Response:
        """A bank's statement as a list of entries, with what each layer of validation found. Nothing is kept."""
        found = await read(request, lambda data: (iso20022.check(data), iso20022.statements(data)))
        validation, statements = found
        listed = [_statement_json(one) for one in statements]
        return answer({"outcome": validation.outcome.value, "layers": layers_json(validation), "statements": listed})

    return router


def _as_stored(deal: Deal, stored: tuple[Deal, ...]) -> Deal:
    """The same confirmation is the version that is booked already, whenever it comes."""
    for one in stored:
        if replace(deal, version=one.version, known_us=one.known_us) == one:
            return one
    return deal


def _statement_json(one: Statement) -> dict[str, Any]:
    return {
        "id": one.id,
        "account": one.account,
        "balances": [{"code": balance.code, **_money_json(balance.money)} for balance in one.balances],
        "entries": [
            {**_money_json(entry.money), "status": entry.status, "reference": entry.reference, "end_to_end": list(entry.end_to_end)}
            for entry in one.entries
        ],
    }


def _money_json(money: Money) -> dict[str, str]:
    return {"value": str(money.value), "currency": money.currency}
