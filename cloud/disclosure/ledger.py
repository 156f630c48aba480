"""Steps of outages written down: the event after the step, its evidence row, the block it begins or ends, its findings, the journal.

All of it in the caller's transaction, under the tenant's lock, so that a step stands whole or not at all. Not for who may take a step.
"""

from collections.abc import Mapping
from typing import Final

from cloud.compliance.availability import declared_truly
from cloud.compliance.parameters import shipped
from cloud.compliance.remit import cover, delay, disclosed, no_trading
from cloud.compliance.rules import Terms
from cloud.compliance.runs import Run, Stated, finding_row
from cloud.db import Connection
from cloud.disclosure import blocks, declared, facts, stages, store
from cloud.disclosure.event import Action, Event, EventError, StateError, advance
from cloud.disclosure.setup import Setup
from cloud.disclosure.store import Stored
from cloud.disclosure.times import utc_day
from cloud.errors import Problem
from cloud.evidence import store as evidence_store
from cloud.identity.actor import Actor, Record
from protocols.batch.evidence import digest
from protocols.clock import Clock

LAW: Final = shipped()
RULES: Final = (disclosed, no_trading, cover, delay, declared_truly)


class Ledger:
    def __init__(self, clock: Clock, record: Record) -> None:
        self._clock, self._record = clock, record

    async def take(
        self,
        connection: Connection,
        actor: Actor,
        action: Action,
        setup: Setup,
        before: Stored | None,
        rows: Mapping[str, bytes] | None = None,
        unit: str = "",
    ) -> Stored:
        """The event after the action. rows: evidence that it rests on beside the step before; unit: of an event that begins.

        Under `store.lock`. Raises Problem where the event does not allow it.
        """
        tenant_id = actor.tenant_id
        name = before.event.unit if before else unit
        known = [(one.event, one.evidence) for one in await store.of_unit(connection, tenant_id, name)]
        own = before.event.id if before else ""
        beside = stages.beside(known, own)
        others = stages.counted(one.outage for one, _ in known if one.id != own)
        try:
            after = advance(before.event if before else None, action, setup.profile, others)
        except StateError as error:
            raise Problem("outage-state", str(error)) from error
        except EventError as error:
            raise Problem("invalid-request", str(error)) from error
        below = {**(rows or {}), **beside, **({stages.PREVIOUS: before.evidence} if before else {})}
        contents = {"profile": setup.profile_text, "action": stages.write_action(action)}
        row = stages.umm_row(after, action, below, contents)
        evidence = await evidence_store.append(connection, tenant_id, row, {digest(one): one for one in contents.values()}, action.at_us)
        step = await store.add(connection, tenant_id, after, action, evidence, before)
        profiled = setup.profile.unit(after.unit)
        await blocks.follow(connection, tenant_id, after, profiled.books if profiled else (), action.at_us)
        told = {"step": step, "state": after.state.value, "said": dict(action.detail), "evidence": evidence.hex()}
        await self._record(connection, actor, f"{action.deed}-outage", f"outage/{after.id}", told)
        if before is None:
            made = await store.get(connection, tenant_id, after.id)
            assert made is not None
            stored = made
        else:
            stored = Stored(after, step, evidence, before.id, before.found_us, action.at_us)
        await self.judge(connection, tenant_id, after, setup)
        return stored

    async def judge(self, connection: Connection, tenant_id: int, event: Event, setup: Setup) -> bytes:
        """The findings of the event as it stands, as an evidence row."""
        now_us = self._clock.now_us()
        stated = await stated_of(connection, tenant_id, event, setup, now_us)
        row, contents, _ = finding_row(f"outage/{event.id}", RULES, stated, Run(Terms(LAW, utc_day(now_us)), now_us))
        return await evidence_store.append(connection, tenant_id, row, contents, now_us)


async def stated_of(connection: Connection, tenant_id: int, event: Event, setup: Setup, now_us: int) -> list[Stated]:
    """All that the rules ask of an event."""
    subject = f"outage/{event.id}"
    told = await facts.of_event(connection, tenant_id, event, setup.profile, now_us)
    return [Stated(subject, told), Stated(subject, await declared.facts(connection, tenant_id, event, setup, now_us))]
