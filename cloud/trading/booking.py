"""Booking deals, whatever way they came in: all or none, and not where something restricts them.

`Desk.book` is the one way to book. A restriction is asked inside the transaction, under the lock of the tenant's bookings, about what would
be new; what it refuses leaves nothing behind but what it keeps of the refusal itself. Not for reading deals out of files or requests.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from cloud.db import Connection, Database
from cloud.errors import Problem
from cloud.identity.credentials import Principal
from cloud.trading import store
from cloud.trading.capture import Capture
from cloud.trading.deals import Deal
from cloud.trading.documents import fault_json
from protocols.clock import Clock


class Restriction(Protocol):
    async def check(self, connection: Connection, principal: Principal, deals: Sequence[Deal]) -> None:
        """Raises Problem for deals that may not be booked now."""

    async def refused(self, principal: Principal, deals: Sequence[Deal], problem: Problem) -> None:
        """After the booking was undone: keep that it was tried."""


class Desk:
    def __init__(self, db: Database, clock: Clock, changed: Callable[[int], None], restriction: Restriction | None = None) -> None:
        """changed: called with the tenant after deals are committed."""
        self._db, self._clock, self._changed, self._restriction = db, clock, changed, restriction

    async def book(self, principal: Principal, deals: Sequence[Deal]) -> Capture:
        """Raises Problem; then nothing was booked."""
        tenant_id = principal.tenant_id
        new: list[Deal] = []
        try:
            async with self._db.tenant(tenant_id) as connection:
                capture = await store.add_deals(connection, tenant_id, deals, self._clock.now_us())
                refuse(capture)
                new = [one.deal for one in capture.new]
                if self._restriction is not None and new:
                    await self._restriction.check(connection, principal, new)
        except Problem as problem:
            if self._restriction is not None and problem.slug == "order-blocked":
                await self._restriction.refused(principal, new, problem)
            raise
        if capture.new:
            self._changed(tenant_id)
        return capture


def refuse(capture: Capture) -> None:
    """Raise for what keeps the deals from being stored."""
    if capture.conflicts:
        first = capture.conflicts[0]
        listed = [{"deal": one.deal_id, "version": one.version, "present": one.present} for one in capture.conflicts]
        raise Problem("version-conflict", first.detail, present_version=first.present, conflicts=listed)
    if capture.faults:
        listed = [fault_json(fault) for fault in capture.faults]
        first_fault = capture.faults[0]
        detail = f"deal {first_fault.deal_id} version {first_fault.version}: {first_fault.cause.value}: {first_fault.detail}"
        raise Problem("wrong-deal", detail, faults=listed)
