"""What is declared to be unavailable held against what is measured: for how long the two contradict each other. Pure, but for one reader of facts.

Time is that of the samples. The rule that judges it is A-09 (cloud/compliance/availability).
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from cloud.compliance import facts_json, register_store
from cloud.compliance.availability import MINUTE_US, DeclaredOutage
from cloud.compliance.parameters import AS_STATED
from cloud.compliance.profile import Unit
from cloud.compliance.trace import Law
from cloud.db import Connection
from cloud.disclosure import store
from cloud.disclosure.capacity import CAPACITY, Available, Condition
from cloud.disclosure.detector import Phase, Watched
from cloud.disclosure.event import Event
from cloud.disclosure.setup import Setup
from cloud.disclosure.store import Watching
from cloud.disclosure.times import microseconds, moment
from cloud.evidence import store as evidence_store
from cloud.reports.umm import Status, Umm, Unavailability

WHOLE: Final = ""  # in the place of an asset: the unit as a whole
TOLERANCE: Final = "eu.remit.availability.tolerance_mw"
MINUTES: Final = "eu.remit.availability.minutes"


def in_force(events: Iterable[Event], at_us: int) -> Umm | None:
    """The message published last of those that say something of that time."""
    at = moment(at_us)
    told = [one.published for one in events if one.published is not None]
    said = [one for one in told if one.status is Status.ACTIVE and one.start <= at < one.stop]
    return max(said, key=lambda one: one.published or one.decided, default=None)


def left(message: Umm, at_us: int) -> Decimal:
    """What the message says to be available at that time."""
    at = moment(at_us)
    return next((one.available for one in message.intervals if one.start <= at < one.stop), message.available)


def newest_us(available: Available) -> int | None:
    return max((part.at_us for part in available.parts if part.at_us is not None), default=None)


def compared(available: Available, message: Umm | None, at_us: int, law: Law) -> Condition:
    """DOWN: more is measured than is declared, beyond the tolerance, whoever confirmed that."""
    if message is None:
        return Condition.UP
    unit = available.unit
    above = unit.mw(available.low) - unit.mw(left(message, at_us))
    return Condition.DOWN if above > _as_stated(law, TOLERANCE) else Condition.UP


def lasting_us(law: Law) -> int:
    return int(_as_stated(law, MINUTES) * MINUTE_US) + 1


def _as_stated(law: Law, name: str) -> Decimal:
    """For watching: what the figure means in law is the rule's to say."""
    return Law(law.parameters, law.as_of, frozenset({AS_STATED})).number(name)


def since(watching: Watching, at_us: int) -> int:
    """For how long they have contradicted each other by then."""
    watched = watching.watched
    return max(0, at_us - watched.since_us) if watched.phase in (Phase.FALLING, Phase.DOWN) else 0


def next_watching(watched: Watched, at_us: int) -> Watching:
    return Watching(watched, since(Watching(watched), at_us))


async def facts(connection: Connection, tenant_id: int, event: Event, setup: Setup, now_us: int) -> DeclaredOutage:
    """Of the event's published message, by the unit's newest capacity row."""
    message, unit = event.published, setup.profile.unit(event.unit)
    if message is None or message.status is not Status.ACTIVE or unit is None:
        return DeclaredOutage(declared=False)
    row = await evidence_store.newest(connection, tenant_id, CAPACITY, unit.name)
    watching = (await store.watching(connection, tenant_id)).get((unit.name, WHOLE), Watching(Watched()))
    measured = None if row is None else unit.mw(Decimal(row[1].output["low"]))
    return DeclaredOutage(
        declared=True,
        available_mw=unit.mw(message.available),
        measured_mw=measured,
        above_us=None if row is None else watching.above_us,
        maintenance_permit=await _permit(connection, tenant_id, event, setup, unit, now_us),
    )


async def _permit(connection: Connection, tenant_id: int, event: Event, setup: Setup, unit: Unit, now_us: int) -> bool | None:
    """What is registered; else maintenance of the asset model within the message; an unplanned outage has none."""
    found = await register_store.newest(connection, tenant_id, DeclaredOutage.__name__, f"outage/{event.id}", now_us)
    if found is not None and (stated := facts_json.values(DeclaredOutage, found.document).get("maintenance_permit")) is not None:
        return bool(stated)
    message = event.message
    start_us, stop_us = microseconds(message.start), microseconds(message.stop)
    assets = [event.asset] if event.asset else [part.asset for part in unit.parts]
    windows = [one for name in assets if (asset := setup.asset(name)) for one in asset.maintenance]
    if any(one.start_us < stop_us and one.end_us > start_us for one in windows):
        return True
    return False if message.unavailability is Unavailability.UNPLANNED else None
