"""Surveillance at work: takes hand-ins of order events, runs the patterns at every hand-in and over any window, and keeps what they find.

For the order of these steps inside one transaction. Not for the patterns (pure) and not for what people decide (`cases`). Rules: a source's
events are numbered without a hole, and the same hand-in again changes nothing; an alert found again is the one that is known; nobody
and nothing here can leave an alert out.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final, TypeVar

from cloud.compliance.parameters import Undetermined
from cloud.compliance.surveillance import again, finding, orders, store
from cloud.compliance.surveillance.again import Run
from cloud.compliance.surveillance.columns import SurveillanceError
from cloud.compliance.surveillance.finding import Asked, Found, Inside, key_of
from cloud.compliance.surveillance.store import HandIn
from cloud.db import Connection, Database
from cloud.errors import Problem
from cloud.evidence import store as evidence_store
from cloud.identity.actor import Record
from cloud.identity.credentials import Principal
from protocols.batch import evidence
from protocols.clock import Clock

LOOKBACK_US: Final = 900_000_000  # looked at again with every hand-in: three times the longest figure of a pattern
MOST_HAND_INS: Final = 5_000  # in one run
MOST_BYTES: Final = 256 << 20
T = TypeVar("T")
Knowledge = Callable[[Connection, int, int, int], Awaitable[Sequence[Inside]]]  # (connection, tenant, from_us, to_us)


@dataclass(frozen=True, slots=True)
class Ran:
    """new, known: alerts. hand_ins: how many were looked at."""

    new: tuple[int, ...]
    known: tuple[int, ...]
    found: Found
    hand_ins: int


@cache
def patterns() -> bytes:
    return (files("cloud.compliance.surveillance") / "patterns.toml").read_bytes()


class Surveillance:
    def __init__(
        self, db: Database, clock: Clock, threads: Executor, record: Record, inside: Knowledge, logged: Callable[[int], None]
    ) -> None:
        """inside: outages known and not public in a time. logged: called with the tenant after rows were committed."""
        self._db, self._clock, self._threads, self._record, self._inside, self._logged = db, clock, threads, record, inside, logged

    async def hand_in(self, principal: Principal, data: bytes) -> tuple[HandIn, bool, Ran | None]:
        """The hand-in, whether it was new, and what was found with it. Raises Problem; then nothing was kept."""
        tenant_id = principal.tenant_id
        events = await self._off_loop(orders.read, data)
        source, first, last = str(events.source[0]), int(events.sequence[0]), int(events.sequence[-1])
        row = again.hand_in_row(data, events)
        async with self._db.tenant(tenant_id) as connection:
            await store.lock(connection, tenant_id)
            before = await store.at_sequence(connection, tenant_id, source, first)
            if before is not None and data in (await store.handed_in(connection, tenant_id, [before.evidence])).values():
                return before, False, None
            latest = await store.last_of(connection, tenant_id, source)
            _continues(latest, source, first, int(events.time_us[0]))
            now_us = self._clock.now_us()
            made = await evidence_store.append(connection, tenant_id, row, {evidence.digest(data): data}, now_us)
            times = int(events.time_us[0]), int(events.time_us[-1])
            kept = HandIn(source, first, last, *times, now_us, principal.actor.by, made)
            await store.add_hand_in(connection, tenant_id, kept)
            ran = await self._run(connection, tenant_id, max(0, times[0] - LOOKBACK_US), times[1], Asked())
        self._logged(tenant_id)
        return kept, True, ran

    async def look(self, principal: Principal, from_us: int, to_us: int, asked: Asked) -> Ran:
        """Over any window, with what only people know. Raises Problem."""
        tenant_id = principal.tenant_id
        async with self._db.tenant(tenant_id) as connection:
            await store.lock(connection, tenant_id)
            ran = await self._run(connection, tenant_id, from_us, to_us, asked)
            detail = {"from_us": from_us, "to_us": to_us, "new": len(ran.new), "known": len(ran.known)}
            await self._record(connection, principal.actor, "run-surveillance", "conduct", detail)
        self._logged(tenant_id)
        return ran

    async def _run(self, connection: Connection, tenant_id: int, from_us: int, to_us: int, asked: Asked) -> Ran:
        hand_ins = await store.within(connection, tenant_id, from_us, to_us, MOST_HAND_INS + 1)
        if len(hand_ins) > MOST_HAND_INS:
            raise Problem("too-large", f"more than {MOST_HAND_INS} hand-ins of order events in this window: ask for a shorter one")
        if not hand_ins:
            return Ran((), (), Found((), {}, 0), 0)
        data = await store.handed_in(connection, tenant_id, [one.evidence for one in hand_ins])
        parts = [data[one.evidence] for one in hand_ins]
        if sum(map(len, parts)) > MOST_BYTES:
            raise Problem("too-large", f"more than {MOST_BYTES} bytes of order events in this window: ask for a shorter one")
        inside = await self._inside(connection, tenant_id, from_us, to_us)
        run = Run(from_us, to_us, {one.name: one.evidence for one in hand_ins}, patterns(), finding.encode(asked, inside))
        found = await self._off_loop(again.found_in, parts, run)
        new, known = await self._keep(connection, tenant_id, run, found)
        return Ran(tuple(new), tuple(known), found, len(hand_ins))

    async def _keep(self, connection: Connection, tenant_id: int, run: Run, found: Found) -> tuple[list[int], list[int]]:
        now_us = self._clock.now_us()
        keys = {key_of(one): one for one in found.alerts}
        stored = await store.known_alerts(connection, tenant_id, list(keys))
        contents = {evidence.digest(one): one for one in (run.patterns, run.asked)}
        new = []
        for key, alert in keys.items():
            if key not in stored:
                made = await evidence_store.append(connection, tenant_id, again.alert_row(run, alert), contents, now_us)
                new.append(await store.add_alert(connection, tenant_id, key, alert, now_us, made))
        return new, sorted(stored.values())

    async def _off_loop(self, call: Callable[..., T], *arguments: object) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)
        except (SurveillanceError, Undetermined) as error:
            raise Problem("invalid-request", str(error)[:2000]) from error


def _continues(latest: HandIn | None, source: str, first: int, first_us: int) -> None:
    expected = 1 if latest is None else latest.last + 1
    if first != expected:
        raise Problem("conflict", f"source {source}: expected the event {expected} to come next, found {first}", expected=expected)
    if latest is not None and first_us < latest.last_us:
        raise Problem("conflict", f"source {source}: event {first} at {first_us} us is before event {latest.last} at {latest.last_us} us")
