"""SQL of the journal of alarms: transitions are added, never changed. Inside the caller's tenant transaction.

Who writes holds `lock` to the end of the transaction and reads what stands after taking it; so transitions are numbered in the order of
their commits, and each follows from the one before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from cloud.assets.alarm_rules import Name, Priority, Standing, Transition
from cloud.assets.alarms import Alarm, Event, State
from cloud.db import Connection

_LOCK: Final = 0x616C6D  # first part of the advisory lock; the second is the tenant
_SELECT: Final = (
    "SELECT transition_id, at_us, asset, alarm, event, by, reason, state, active, since_us, active_us, until_us, once, priority, cause,"
    " evidence FROM alarm_transition"
)

_NEWEST: Final = (
    " WHERE tenant_id = %s AND transition_id IN (SELECT max(transition_id) FROM alarm_transition"
    " WHERE tenant_id = %s AND (%s::bigint IS NULL OR at_us < %s) GROUP BY asset, alarm) ORDER BY transition_id"
)

_INSERT: Final = (
    "INSERT INTO alarm_transition (tenant_id, at_us, asset, alarm, event, by, reason, state, active, since_us, active_us, until_us, once,"
    " priority, cause, evidence) SELECT %s, at_us, asset, alarm, event, who, reason, state, active, since_us, active_us, until_us, once,"
    " priority, cause, evidence FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],"
    " %s::boolean[], %s::bigint[], %s::bigint[], %s::bigint[], %s::boolean[], %s::text[], %s::text[], %b::bytea[]) WITH ORDINALITY"
    " AS new (at_us, asset, alarm, event, who, reason, state, active, since_us, active_us, until_us, once, priority, cause, evidence, at)"
    " ORDER BY at RETURNING transition_id"  # PostgreSQL numbers rows in this order
)


@dataclass(frozen=True, slots=True)
class Stored:
    """A transition with its number; of several of a tenant, the later one has the greater."""

    id: int
    transition: Transition


async def lock(connection: Connection, tenant_id: int) -> None:
    """One writer of a tenant's alarms at a time."""
    await connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_LOCK, tenant_id))


async def append(connection: Connection, tenant_id: int, transitions: Sequence[Transition]) -> list[Stored]:
    """In their order. Under `lock`."""
    columns = list(zip(*map(_row, transitions), strict=True))
    cursor = await connection.execute(_INSERT, (tenant_id, *map(list, columns)), binary=True) if columns else None
    numbers = sorted(row[0] for row in await _rows(cursor)) if cursor else []
    return [Stored(number, one) for number, one in zip(numbers, transitions, strict=True)]


def _row(one: Transition) -> tuple[Any, ...]:
    after, alarm = one.after, one.after.alarm
    what = (one.at_us, one.name.asset, one.name.alarm, one.event.value, one.by, one.reason or alarm.reason)
    state = (alarm.state.value, alarm.active, alarm.since_us, after.active_us, alarm.until_us, alarm.once)
    return (*what, *state, after.priority.value, after.cause, after.evidence)


async def newest_of_each(connection: Connection, tenant_id: int, before_us: int | None = None) -> list[Stored]:
    """The last transition of every alarm, of those before `before_us` where it is given; in order."""
    cursor = await connection.execute(
        _SELECT + _NEWEST,
        (tenant_id, tenant_id, before_us, before_us),
        binary=True,
    )
    return [_stored(row) for row in await _rows(cursor)]


async def after(connection: Connection, tenant_id: int, known: int, limit: int | None = None) -> list[Stored]:
    """Every transition with a number above `known`, or the first of them, in order."""
    cursor = await connection.execute(
        _SELECT + " WHERE tenant_id = %s AND transition_id > %s ORDER BY transition_id LIMIT %s",
        (tenant_id, known, limit),
        binary=True,
    )
    return [_stored(row) for row in await _rows(cursor)]


async def page(
    connection: Connection, tenant_id: int, asset: str | None, alarm: str | None, limit: int, before: int | None = None
) -> list[Stored]:
    """The last first. before: the number of the last one of the page before."""
    cursor = await connection.execute(
        _SELECT + " WHERE tenant_id = %s AND (%s::text IS NULL OR asset = %s)"
        " AND (%s::text IS NULL OR alarm = %s) AND (%s::bigint IS NULL OR transition_id < %s) ORDER BY transition_id DESC LIMIT %s",
        (tenant_id, asset, asset, alarm, alarm, before, before, limit),
        binary=True,
    )
    return [_stored(row) for row in await _rows(cursor)]


async def between(connection: Connection, tenant_id: int, from_us: int, to_us: int, limit: int) -> list[Stored]:
    """In [from_us, to_us), in order, at most `limit`."""
    cursor = await connection.execute(
        _SELECT + " WHERE tenant_id = %s AND at_us >= %s AND at_us < %s ORDER BY transition_id LIMIT %s",
        (tenant_id, from_us, to_us, limit),
        binary=True,
    )
    return [_stored(row) for row in await _rows(cursor)]


def _stored(row: Sequence[Any]) -> Stored:
    number, at_us, asset, name, event, by, reason, state, active, since_us, active_us, until_us, once, priority, cause, evidence = row
    silent = State(state) in (State.SHELVED, State.SUPPRESSED, State.OUT_OF_SERVICE)
    alarm = Alarm(State(state), active, since_us, until_us, reason if silent else "", once)
    after = Standing(alarm, Priority(priority), active_us, cause, bytes(evidence))
    return Stored(number, Transition(at_us, Name(asset, name), Event(event), by, reason, after))


async def _rows(cursor: Any) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = await cursor.fetchall()
    return rows
