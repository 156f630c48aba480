"""Four eyes: what one person asks for is done when another agrees, in the transaction of the decision.

Rules: whoever asked never decides; an approval is decided once and ends after three days; what was asked is done as it was asked, or, where it
cannot be done any more, nothing is decided and the decider is told why. Every step is an action in the journal.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from cloud.db import Connection, Database
from cloud.errors import Problem
from cloud.identity import approval_store
from cloud.identity.actor import Actor, Record
from cloud.identity.approval_store import Approval
from cloud.identity.credentials import Principal
from cloud.identity.roles import FOUR_EYES, SHOWN
from protocols.clock import Clock

LENGTH_US: Final = 3 * 86_400 * 1_000_000
Effect = Callable[[Connection, Actor, Approval], Awaitable[None]]  # does what was asked; raises Problem where that is not possible


def unseen(principal: Principal) -> list[str]:
    """Actions that they are not even told were asked for."""
    return [action for action, scope in SHOWN.items() if not principal.may(scope)]


def decides(principal: Principal, found: Approval, now_us: int) -> bool:
    """Whether they may agree to it or decline it now."""
    may = principal.person_id is not None and principal.may("approve") and principal.may(FOUR_EYES[found.action])
    return may and found.asked_by != principal.person_id and found.state(now_us) == "open" and found.action not in unseen(principal)


class Approvals:
    def __init__(self, clock: Clock, record: Record) -> None:
        self._clock, self._record = clock, record

    async def ask(self, connection: Connection, principal: Principal, action: str, subject: str, body: Mapping[str, Any]) -> Approval:
        """Raises Problem for a program, which is nobody's pair of eyes, and where the same is asked already."""
        if principal.person_id is None:
            raise Problem("forbidden", f'"{action}" needs two people; sign in and ask for it as one of them')
        now_us = self._clock.now_us()
        if (waiting := await approval_store.waiting(connection, principal.tenant_id, action, subject, now_us)) is not None:
            raise Problem("conflict", f"approval {waiting} for this is open already; somebody has to decide it", approval=waiting)
        arguments = (principal.tenant_id, action, subject, body, principal.person_id, now_us, now_us + LENGTH_US)
        made = await approval_store.add(connection, *arguments)
        await self._record(connection, principal.actor, "ask-approval", subject, {"approval": made.id, "asked": action})
        return made


class Decisions:
    """effects: what is done for each action of `roles.FOUR_EYES`."""

    def __init__(self, db: Database, clock: Clock, record: Record, effects: Mapping[str, Effect]) -> None:
        self._db, self._clock, self._record, self._effects = db, clock, record, effects

    async def decide(self, principal: Principal, approval_id: int, agree: bool, reason: str) -> Approval:
        """Raises Problem."""
        if principal.person_id is None:
            raise Problem("forbidden", "only a person decides; sign in")
        now_us, tenant_id = self._clock.now_us(), principal.tenant_id
        async with self._db.tenant(tenant_id) as connection:
            found = await approval_store.locked(connection, tenant_id, approval_id)
            if found is None or found.action in unseen(principal):
                raise Problem("not-found", f"there is no approval {approval_id}")
            if not principal.may(needed := FOUR_EYES[found.action]):
                raise Problem("forbidden", f'"{found.action}" is decided by somebody who may "{needed}"')
            if found.asked_by == principal.person_id:
                raise Problem("forbidden", "whoever asked for something does not decide it; somebody else has to")
            if (state := found.state(now_us)) != "open":
                raise Problem("conflict", f"the approval is {state} already", state=state)
            decided = await approval_store.decide(connection, tenant_id, found, principal.person_id, now_us, agree, reason)
            detail = {"approval": approval_id, "asked": found.action, "reason": reason}
            await self._record(connection, principal.actor, "agree" if agree else "decline", found.subject, detail)
            if agree:
                await self._effects[found.action](connection, principal.actor, found)
        return decided
