"""HTTP of order events: handed in by sequence, listed; and of runs of surveillance over a window."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from cloud.bookings import NO_NUL, Asker, answer, json_body
from cloud.compliance.surveillance import store
from cloud.compliance.surveillance.desk import Ran, Surveillance
from cloud.compliance.surveillance.finding import Asked, Settlement
from cloud.compliance.surveillance.orders import ACTIONS, COLUMNS, MOST_EVENTS
from cloud.compliance.surveillance.store import HandIn
from cloud.db import Database
from cloud.document import LATEST_US
from cloud.errors import Problem
from cloud.identity.credentials import Principal

LONGEST_US: Final = 31 * 86_400_000_000
_EVENTS: Final[Mapping[str, Any]] = {
    "source": "desk",
    "sequence": 1,
    "columns": {
        "time_us": [1769904000000000, 1769904001000000],
        "order": ["O-1", "O-1"],
        "action": ["placed", "filled"],
        "side": ["buy", "buy"],
        "instrument": ["TTF-2026-03", "TTF-2026-03"],
        "account": ["north", "north"],
        "owner": ["Example Energy", "Example Energy"],
        "price": [30.5, 30.5],
        "volume": [10, 10],
    },
}
_LISTS: Final = {
    **{name: {"type": "array", "maxItems": MOST_EVENTS, "items": {"type": "string", "maxLength": 100}} for name in COLUMNS},
    "time_us": {"type": "array", "maxItems": MOST_EVENTS, "items": {"type": "integer", "minimum": 0, "maximum": LATEST_US}},
    "action": {"type": "array", "maxItems": MOST_EVENTS, "items": {"enum": list(ACTIONS)}},
    "side": {"type": "array", "maxItems": MOST_EVENTS, "items": {"enum": ["buy", "sell"]}},
    **{name: {"type": "array", "maxItems": MOST_EVENTS, "items": {"type": "number"}} for name in ("price", "volume", "moved_ticks")},
    **{name: {"type": "array", "maxItems": MOST_EVENTS, "items": {"type": "boolean"}} for name in ("aggressive", "planned")},
}
_NEEDED: Final = [name for name in COLUMNS if name not in ("other", "moved_ticks", "aggressive", "planned")]
_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["source", "sequence", "columns"],
    "additionalProperties": False,
    "properties": {
        "source": {"type": "string", "minLength": 1, "maxLength": 100},
        "sequence": {"type": "integer", "minimum": 1, "description": "number of the first event; the others follow without a hole"},
        "columns": {"type": "object", "required": _NEEDED, "additionalProperties": False, "properties": _LISTS},
    },
    "examples": [_EVENTS],
}
_Text = Annotated[str, Field(min_length=1, max_length=100, pattern=NO_NUL)]
_Time = Annotated[int, Field(ge=0, le=LATEST_US)]
_Amount = Annotated[float, Field(ge=-1e15, le=1e15, allow_inf_nan=False)]
_Positive = Annotated[float, Field(ge=1e-9, le=1e15, allow_inf_nan=False)]


class SettlementTold(BaseModel):
    """linked: positions by owner that gain when the settlement rises. exempt: owners who trade at settlement or hedge."""

    model_config = ConfigDict(extra="forbid")
    instrument: _Text
    end_us: _Time
    volume: _Positive
    price_before: _Positive
    price: _Amount
    linked: Annotated[dict[_Text, _Amount], Field(max_length=1000)] = {}
    exempt: Annotated[list[_Text], Field(max_length=1000)] = []


class NewsTold(BaseModel):
    model_config = ConfigDict(extra="forbid")
    instrument: _Text
    at_us: _Time


class RunTold(BaseModel):
    """deviations: standard deviation of the price over a burst, by instrument. makers: owners with a duty to make a market."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"from_us": 1769904000000000, "to_us": 1769990400000000, "deviations": {"TTF-2026-03": 0.02}, "makers": ["MM"]}]
        },
    )
    from_us: _Time
    to_us: _Time
    settlements: Annotated[list[SettlementTold], Field(max_length=200)] = []
    deviations: Annotated[dict[_Text, _Positive], Field(max_length=1000)] = {}
    news: Annotated[list[NewsTold], Field(max_length=1000)] = []
    makers: Annotated[list[_Text], Field(max_length=1000)] = []


def routes(db: Database, surveillance: Surveillance, desk: Asker, reader: Asker, officer: Asker) -> APIRouter:
    """desk: hands in. reader, officer: of compliance."""
    router = APIRouter(tags=["conduct"])
    writer = Annotated[Principal, Depends(desk)]
    who = Annotated[Principal, Depends(reader)]
    analyst = Annotated[Principal, Depends(officer)]

    @router.post("/v1/orders/events", openapi_extra=json_body(_SCHEMA))
    async def post_events(principal: writer, request: Request) -> Response:
        """Order events of one source as columns, numbered by the source without a hole; kept as the bytes they came in. The same again changes
        nothing. Every hand-in is looked at with the quarter of an hour before it; what is found is told to compliance alone."""
        kept, new, _ = await surveillance.hand_in(principal, await request.body())
        return answer(_hand_in_json(kept) | {"stored": new}, 201 if new else 200)

    @router.get("/v1/orders/events")
    async def get_events(principal: who, limit: Annotated[int, Query(ge=1, le=500)] = 50) -> Response:
        """Hand-ins of order events, the last first; the bytes are a content of their evidence row."""
        async with db.tenant(principal.tenant_id) as connection:
            found = await store.latest(connection, principal.tenant_id, limit)
        return answer({"hand_ins": [_hand_in_json(one) for one in found]})

    @router.post("/v1/conduct/runs")
    async def post_run(principal: analyst, body: RunTold) -> Response:
        """Every pattern over a window, with what only people know: settlements, deviations, news, market makers. A pattern that lacks facts
        is told as not run; an alert that is known already stays as it is."""
        if not 0 < body.to_us - body.from_us <= LONGEST_US:
            raise Problem("invalid-request", f"expected from_us before to_us by at most {LONGEST_US // 86_400_000_000} days")
        settlements = tuple(Settlement(**{**one.model_dump(), "exempt": tuple(one.exempt)}) for one in body.settlements)
        news = tuple((one.instrument, one.at_us) for one in body.news)
        ran = await surveillance.look(principal, body.from_us, body.to_us, Asked(settlements, body.deviations, news, tuple(body.makers)))
        return answer(_ran_json(ran))

    return router


def _hand_in_json(one: HandIn) -> dict[str, Any]:
    return asdict(one) | {"evidence": one.evidence.hex()}


def _ran_json(ran: Ran) -> dict[str, Any]:
    return {
        "hand_ins": ran.hand_ins,
        "new": list(ran.new),
        "known": list(ran.known),
        "not_run": dict(ran.found.not_run),
        "orders_left_out": ran.found.unplaced,
    }
