"""What people do about outages: confirm, declare, dismiss, ask for publication, agree to it; and trades that cover a loss.

Rules: a step follows the version its author saw; only a person confirms; whoever confirmed or asked for publication does not agree to it;
what is agreed to is the message that was asked for, or nothing. Publication happens in the transaction of the agreement: message, file, manifest,
filing, journal and the end of the block stand together. Not for HTTP, nor for what the watch does by itself.
"""

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from cloud.compliance.profile import EventType, Unit
from cloud.compliance.trace import Law, day_of
from cloud.db import Connection, Database
from cloud.disclosure import blocks, publication, store
from cloud.disclosure.blocks import Cover
from cloud.disclosure.detector import judge
from cloud.disclosure.event import Action, Deed, Event
from cloud.disclosure.ledger import LAW, Ledger
from cloud.disclosure.setup import Setup, read_setup
from cloud.disclosure.store import Stored
from cloud.disclosure.times import microseconds
from cloud.errors import Problem
from cloud.identity import approval_store, people_store
from cloud.identity.actor import Actor, Record
from cloud.identity.approval_store import Approval
from cloud.identity.approvals import Approvals
from cloud.identity.credentials import Principal
from cloud.identity.versions import outrun
from cloud.reports.filed import Keep
from cloud.reports.umm import Unavailability
from cloud.trading.deals import Side
from protocols.clock import Clock

PUBLISH: Final = "publish-umm"
COVER: Final = "cover-trade"
_HOUR_US: Final = 3_600_000_000
_COVERED_BY: Final[Mapping[EventType, tuple[Side, ...]]] = {
    EventType.PRODUCTION: (Side.BUY,),
    EventType.CONSUMPTION: (Side.SELL,),
}


class Outages:
    def __init__(self, db: Database, clock: Clock, ledger: Ledger, approvals: Approvals, record: Record, keep: Keep) -> None:
        self._db, self._clock, self._ledger = db, clock, ledger
        self._approvals, self._record, self._keep = approvals, record, keep

    async def declare(self, principal: Principal, told: Mapping[str, Any]) -> Stored:
        """An outage that people know of. told: unit, start_us, stop_us, unavailable, planned, reason, remarks."""
        async with self._db.tenant(principal.tenant_id) as connection:
            setup = await self._setup(connection, principal.tenant_id)
            await store.lock(connection, principal.tenant_id)
            unit = setup.profile.unit(told["unit"])
            if unit is None:
                known = ", ".join(one.name for one in setup.profile.units) or "none"
                raise Problem("invalid-request", f'there is no unit "{told["unit"]}" in the compliance profile; known: {known}')
            now_us = self._clock.now_us()
            judged = judge(unit, Decimal(told["unavailable"]), Law(LAW, day_of(now_us)))
            number = await store.next_number(connection, principal.tenant_id)
            detail = {**told, "number": number, "judgement": judged.judgement.value, "why": judged.why}
            action = self._action(Deed.DECLARE, principal, detail)
            return await self._ledger.take(connection, principal.actor, action, setup, None, unit=unit.name)

    async def confirm(self, principal: Principal, event: str, corrections: Mapping[str, Any], follows: int | None) -> Stored:
        """It is a fact, with what the draft got wrong. After publication: what is different now, as the next message."""
        if principal.person_id is None:
            raise Problem("forbidden", "only a person confirms that something is a fact; sign in")
        async with self._db.tenant(principal.tenant_id) as connection:
            setup, before = await self._before(connection, principal.tenant_id, event, follows)
            if before.event.draft is None and not corrections:
                raise Problem("outage-state", f"event {event} is published; say what is different now to make the next message")
            return await self._ledger.take(connection, principal.actor, self._action(Deed.CONFIRM, principal, corrections), setup, before)

    async def withdraw(self, principal: Principal, event: str, reason: str, follows: int | None) -> Stored:
        """What is not published will not be: a draft, an update, a dismissal that was declined."""
        async with self._db.tenant(principal.tenant_id) as connection:
            setup, before = await self._before(connection, principal.tenant_id, event, follows)
            action = self._action(Deed.WITHDRAW, principal, {"reason": reason})
            return await self._ledger.take(connection, principal.actor, action, setup, before)

    async def dismiss(self, principal: Principal, event: str, reason: str, follows: int | None) -> Stored:
        """It is not so. Before publication: withdrawn. After it: a message that takes it back, which a second person has to agree to."""
        async with self._db.tenant(principal.tenant_id) as connection:
            waiting = await self._waiting(connection, principal.tenant_id, event)
            setup, before = await self._before(connection, principal.tenant_id, event, follows)
            action = self._action(Deed.DISMISS, principal, {"reason": reason})
            made = await self._ledger.take(connection, principal.actor, action, setup, before)
            return await self._ask(connection, principal, setup, made, waiting) if made.event.blocks else made

    async def ask(self, principal: Principal, event: str, follows: int | None) -> Stored:
        async with self._db.tenant(principal.tenant_id) as connection:
            waiting = await self._waiting(connection, principal.tenant_id, event)
            setup, before = await self._before(connection, principal.tenant_id, event, follows)
            return await self._ask(connection, principal, setup, before, waiting)

    async def _waiting(self, connection: Connection, tenant_id: int, event: str) -> Approval | None:
        """What is asked already, locked; before the event is, as whoever decides does it."""
        found = await approval_store.waiting(connection, tenant_id, PUBLISH, f"outage/{event}", self._clock.now_us())
        one = None if found is None else await approval_store.locked(connection, tenant_id, found)
        return one if one is not None and one.decided_us is None else None

    async def _ask(self, connection: Connection, principal: Principal, setup: Setup, before: Stored, waiting: Approval | None) -> Stored:
        """waiting: of an earlier wording nobody can agree to any more, so it ends with the new one."""
        event = before.event
        if event.draft is None or event.confirmed_us is None:
            raise Problem("outage-state", f"event {event.id} is {event.state}: confirm it first, then ask for its publication")
        body = {"event": event.id, "message": event.draft.id, "draft": publication.digest_of(event.draft)}
        if waiting is not None and waiting.body["draft"] != body["draft"] and principal.person_id is not None:
            at_us, why = self._clock.now_us(), "superseded: the message was changed since"
            await approval_store.decide(connection, principal.tenant_id, waiting, principal.person_id, at_us, False, why)
            await self._record(connection, principal.actor, "supersede-approval", f"outage/{event.id}", {"approval": waiting.id})
        asked = await self._approvals.ask(connection, principal, PUBLISH, f"outage/{event.id}", body)
        action = self._action(Deed.ASK, principal, {"approval": asked.id})
        return await self._ledger.take(connection, principal.actor, action, setup, before)

    async def publish(self, connection: Connection, actor: Actor, approval: Approval) -> None:
        """What a second person agreed to. Raises Problem where it is not what was asked for any more."""
        setup, before = await self._before(connection, actor.tenant_id, approval.body["event"], None)
        draft = before.event.draft
        if draft is None or before.event.approval != approval.id or publication.digest_of(draft) != approval.body["draft"]:
            raise Problem(
                "conflict", "the message was changed since its publication was asked for; decline this and have it asked for anew"
            )
        if before.event.confirmed_by == actor.by:
            raise Problem("forbidden", "whoever confirmed the outage does not agree to its publication; somebody else has to")
        role = await self._role(connection, actor)
        now_us = max(self._clock.now_us(), microseconds(draft.decided))
        action = Action(Deed.PUBLISH, actor.by, role, now_us, {"approval": approval.id})
        made = await self._ledger.take(connection, actor, action, setup, before)
        message = made.event.published
        assert message is not None
        unit = setup.profile.unit(made.event.unit)
        file = publication.file_of(message, setup, unit, made.evidence)
        await self._keep(connection, actor, file)
        await store.publish(connection, actor.tenant_id, message, hashlib.sha256(file.data).digest(), now_us)

    async def ask_cover(self, principal: Principal, event: str, side: Side, follows: int | None) -> Approval:
        """Art. 3(4)(b): trades that cover what an unplanned outage takes away."""
        async with self._db.tenant(principal.tenant_id) as connection:
            setup, before = await self._before(connection, principal.tenant_id, event, follows)
            found = _coverable(before.event, setup.profile.unit(before.event.unit), side)
            body = {"event": event, "side": side.value, "limit_mwh": f"{found:f}"}
            return await self._approvals.ask(connection, principal, COVER, f"outage/{event}", body)

    async def cover(self, connection: Connection, actor: Actor, approval: Approval) -> None:
        """What a second person agreed to."""
        _, before = await self._before(connection, actor.tenant_id, approval.body["event"], None)
        event, body = before.event, approval.body
        if not event.blocks or event.message.unavailability is not Unavailability.UNPLANNED:
            raise Problem("conflict", f"event {event.id} is {event.state} or planned by now: there is nothing to cover")
        if await blocks.cover(connection, actor.tenant_id, event.id) is not None:
            raise Problem("conflict", f"cover trades of event {event.id} are agreed already")
        one = Cover(event.id, approval.id, body["side"], Decimal(body["limit_mwh"]), self._clock.now_us(), None, "")
        await blocks.agree_cover(connection, actor.tenant_id, one)
        detail = {"side": one.side, "limit_mwh": body["limit_mwh"], "law": "REMIT art. 3(4)(b)"}
        await self._record(connection, actor, "agree-cover-trades", f"outage/{event.id}", detail)

    async def notify_cover(self, principal: Principal, event: str, reference: str) -> Cover:
        """That the authorities were told of the cover trades. reference: theirs."""
        async with self._db.tenant(principal.tenant_id) as connection:
            setup, before = await self._before(connection, principal.tenant_id, event, None)
            if await blocks.cover(connection, principal.tenant_id, event) is None:
                raise Problem("outage-state", f"no cover trades of event {event} were agreed to")
            await blocks.notify_cover(connection, principal.tenant_id, event, self._clock.now_us(), reference)
            await self._record(connection, principal.actor, "notify-cover-trades", f"outage/{event}", {"reference": reference})
            await self._ledger.judge(connection, principal.tenant_id, before.event, setup)
            found = await blocks.cover(connection, principal.tenant_id, event)
            assert found is not None
            return found

    async def _setup(self, connection: Connection, tenant_id: int) -> Setup:
        setup = await read_setup(connection, tenant_id)
        if setup is None:
            raise Problem("outage-state", "there is no compliance profile yet; hand one in with PUT /v1/compliance/profile")
        return setup

    async def _before(self, connection: Connection, tenant_id: int, event: str, follows: int | None) -> tuple[Setup, Stored]:
        """The event as nobody else changes it before the end of the transaction."""
        setup = await self._setup(connection, tenant_id)
        await store.lock(connection, tenant_id)
        found = await store.get(connection, tenant_id, event)
        if found is None:
            raise Problem("not-found", f"there is no outage {event}")
        if follows is not None and follows != found.step:
            raise outrun(follows, found.step)
        return setup, found

    def _action(self, deed: Deed, principal: Principal, detail: Mapping[str, Any]) -> Action:
        return Action(deed, principal.actor.by, principal.role or "token", self._clock.now_us(), detail)

    async def _role(self, connection: Connection, actor: Actor) -> str:
        kind, _, number = actor.by.partition("/")
        person = await people_store.by_id(connection, actor.tenant_id, int(number)) if kind == "person" else None
        return str(person.role) if person else kind


def _coverable(event: Event, unit: Unit | None, side: Side) -> Decimal:
    """The energy that is lost, MWh. Raises Problem."""
    message = event.message
    if message.unavailability is not Unavailability.UNPLANNED:
        raise Problem("outage-state", "cover trades are for unplanned outages only (REMIT art. 3(4)(b))")
    if not event.blocks or unit is None:
        raise Problem("outage-state", f"event {event.id} is {event.state}: nothing is blocked that would have to be covered")
    allowed = _COVERED_BY.get(unit.event_type, tuple(Side))
    if side not in allowed:
        raise Problem("invalid-request", f"the loss of {unit.event_type.value} is covered by {allowed[0].value}, not {side.value}")
    hours = Decimal(microseconds(message.stop) - microseconds(message.start)) / _HOUR_US
    return (unit.mw(message.unavailable) * hours).quantize(Decimal("0.001"))
