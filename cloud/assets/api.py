"""HTTP of alarms: how they stand, their journal, their figures, and what an operator does with them.

Nothing here reaches a device: acknowledging and shelving change how an alarm is shown to people, never what it watches.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from cloud.assets import AssetError, alarm_kpis, alarm_rules, alarm_store
from cloud.assets.alarm_board import Boards
from cloud.assets.alarm_documents import standing_json, transition_json
from cloud.assets.alarm_kpis import DAY_US, FloodSpan, Kpis
from cloud.assets.alarm_rules import Name, Standing
from cloud.assets.alarm_store import Stored
from cloud.assets.alarms import TRANSITIONS, Event, State
from cloud.bookings import NO_NUL, Asker, Filter, Identifier, Moment, answer
from cloud.db import Connection, Database
from cloud.document import EARLIEST_US, LATEST_US
from cloud.errors import Problem
from cloud.identity.credentials import Principal
from protocols.clock import Clock

INT64: Final = (1 << 63) - 1
MOST_DAYS: Final = 31
MOST_TRANSITIONS: Final = 200_000  # of one period of figures
MOST_LISTED: Final = 1_000
Assets = Callable[[Connection, int], Awaitable[Collection[str]]]
Number = Annotated[int | None, Query(ge=1, le=INT64)]
Count = Annotated[int, Query(ge=1, le=MOST_LISTED)]


class Acknowledgement(BaseModel):
    model_config = ConfigDict(extra="forbid")
    reason: Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")] = ""


class Shelving(BaseModel):
    """once: it ends as well when the condition clears."""

    model_config = ConfigDict(extra="forbid")
    reason: Annotated[str, Field(min_length=1, max_length=500, pattern=NO_NUL)]
    until_us: Annotated[int, Field(ge=EARLIEST_US, le=LATEST_US)]
    once: bool = False


def routes(
    db: Database, clock: Clock, boards: Boards, assets: Assets, reader: Asker, writer: Asker, changed: Callable[[int], None]
) -> APIRouter:
    """assets: names of the tenant's newest model. changed: called with the tenant after an operator's transition is committed."""
    router = APIRouter(tags=["alarms"])
    who = Annotated[Principal, Depends(reader)]
    operator = Annotated[Principal, Depends(writer)]

    @router.get("/v1/alarms")
    async def get_alarms(principal: who) -> Response:
        """Every alarm that is not at rest, the most urgent first, and whether there is a flood (more than 10 in 10 min): its first one is named.
        The stream has each transition as event "alarm"."""
        now_us = clock.now_us()
        async with db.tenant(principal.tenant_id) as connection:
            present = await boards.refresh(connection, principal.tenant_id)
            recent = await alarm_store.between(connection, principal.tenant_id, now_us - DAY_US, now_us + 1, MOST_TRANSITIONS)
        spans = alarm_kpis.flood_spans((one.transition for one in recent), now_us + 1)
        flood = next((span for span in spans if span.end_us is None), None)
        shown = sorted(((name, one) for name, one in present.items() if one.alarm.state is not State.NORMAL), key=_urgent)
        return answer({"as_of_us": now_us, "flood": flood and _flood_json(flood), "alarms": [standing_json(*item) for item in shown]})

    @router.get("/v1/alarms/journal")
    async def get_journal(
        principal: who, asset: Filter = None, alarm: Filter = None, limit: Count = 100, before: Number = None
    ) -> Response:
        """Transitions, the last first; `next`, where it is not null, is the `before` of the following page."""
        async with db.tenant(principal.tenant_id) as connection:
            found = await alarm_store.page(connection, principal.tenant_id, asset, alarm, limit, before)
        return answer({"journal": [transition_json(one) for one in found], "next": found[-1].id if len(found) == limit else None})

    @router.get("/v1/alarms/kpis")
    async def get_kpis(principal: who, from_us: Moment = None, to_us: Moment = None) -> Response:
        """Figures of a period, the last day unless it is given: at most 31 days."""
        end_us = clock.now_us() if to_us is None else to_us
        start_us = end_us - DAY_US if from_us is None else from_us
        if not 0 < end_us - start_us <= MOST_DAYS * DAY_US:
            raise Problem(
                "invalid-request", f"expected from_us before to_us and at most {MOST_DAYS} days between, found {start_us} to {end_us}"
            )
        async with db.tenant(principal.tenant_id) as connection:
            old = await alarm_store.newest_of_each(connection, principal.tenant_id, start_us - DAY_US)
            found = await alarm_store.between(connection, principal.tenant_id, start_us - DAY_US, end_us, MOST_TRANSITIONS + 1)
        if len(found) > MOST_TRANSITIONS:
            raise Problem("invalid-request", f"the period has more than {MOST_TRANSITIONS} transitions; ask for a shorter one")
        transitions = [one.transition for one in (*old, *found)]
        before = [one for one in transitions if one.at_us < start_us]
        return answer(_kpis_json(alarm_kpis.kpis(before, [one for one in transitions if one.at_us >= start_us], start_us, end_us)))

    async def act(principal: Principal, name: Name, event: Event, **told: Any) -> Response:
        stored = await _act(db, boards, assets, principal, name, event, clock.now_us(), told)
        changed(principal.tenant_id)
        return answer(transition_json(stored))

    @router.post("/v1/alarms/{asset:path}/{alarm}/acknowledge")
    async def acknowledge(principal: operator, asset: Identifier, alarm: Identifier, body: Acknowledgement | None = None) -> Response:
        """409 "alarm-state" with the present `state` where it does not allow this; so do the other two."""
        return await act(principal, Name(asset, alarm), Event.ACKNOWLEDGE, reason="" if body is None else body.reason)

    @router.post("/v1/alarms/{asset:path}/{alarm}/shelve")
    async def shelve(principal: operator, asset: Identifier, alarm: Identifier, body: Shelving) -> Response:
        """Silent until `until_us`, at most 8 h ahead; it ends by itself."""
        return await act(principal, Name(asset, alarm), Event.SHELVE, reason=body.reason, until_us=body.until_us, once=body.once)

    @router.post("/v1/alarms/{asset:path}/{alarm}/unshelve")
    async def unshelve(principal: operator, asset: Identifier, alarm: Identifier) -> Response:
        return await act(principal, Name(asset, alarm), Event.UNSHELVE)

    return router


async def _act(
    db: Database, boards: Boards, assets: Assets, principal: Principal, name: Name, event: Event, now_us: int, told: Mapping[str, Any]
) -> Stored:
    """One transition by an operator, stored. Raises Problem."""
    tenant_id = principal.tenant_id
    async with db.tenant(tenant_id) as connection:
        await alarm_store.lock(connection, tenant_id)
        await boards.refresh(connection, tenant_id)
        standing = boards.present(tenant_id).get(name) or _at_rest(name, await assets(connection, tenant_id))
        if (standing.alarm.state, event) not in TRANSITIONS:
            detail = f'the alarm "{name.alarm}" of {name.asset} is {standing.alarm.state}, which does not allow "{event}"'
            raise Problem("alarm-state", detail, state=standing.alarm.state.value)
        try:
            made = alarm_rules.step(standing, name, event, now_us, principal.name, **told)
        except AssetError as error:
            raise Problem("invalid-request", str(error)) from error
        (stored,) = await alarm_store.append(connection, tenant_id, [made])
    boards.add(tenant_id, [stored])
    return stored


def _at_rest(name: Name, assets: Collection[str]) -> Standing:
    """Of an alarm that never changed, where there is such an asset. Raises Problem "not-found"."""
    if name.asset not in assets or name.alarm not in alarm_rules.KINDS:
        raise Problem(
            "not-found", f'there is no alarm "{name.alarm}" of an asset "{name.asset}"; alarms are {", ".join(alarm_rules.KINDS)}'
        )
    return Standing()


def _urgent(item: tuple[Name, Standing]) -> tuple[bool, int, int, Name]:
    """Sounding first, then by priority, then the oldest."""
    name, standing = item
    return (standing.alarm.state is not State.UNACKNOWLEDGED, -alarm_rules.RANK[standing.priority], standing.alarm.since_us, name)


def _flood_json(span: FloodSpan) -> dict[str, Any]:
    return {"from_us": span.from_us, "end_us": span.end_us, "first": {"asset": span.first.asset, "alarm": span.first.alarm}}


def _kpis_json(found: Kpis) -> dict[str, Any]:
    def counted(items: tuple[tuple[Name, int], ...], what: str) -> list[dict[str, Any]]:
        return [{"asset": name.asset, "alarm": name.alarm, what: value} for name, value in items]

    top = [{**one, "share": one["count"] / found.annunciations} for one in counted(found.top, "count")]
    return {
        "from_us": found.from_us,
        "to_us": found.to_us,
        "annunciations": found.annunciations,
        "per_day": found.per_day,
        "per_10_min": found.per_10_min,
        "most_per_10_min": found.most_per_10_min,
        "floods": [_flood_json(span) for span in found.floods],
        "share_in_flood": found.share_in_flood,
        "chattering": counted(found.chattering, "changes_in_a_minute"),
        "stale": counted(found.stale, "active_us"),
        "top": top,
        "by_priority": {priority.value: count for priority, count in found.by_priority},
    }
