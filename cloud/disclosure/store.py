"""SQL of outages: events with their steps, the detector's memory, published messages. Inside the caller's tenant transaction.

Who writes holds `lock` to the end of the transaction and reads what stands after taking it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cloud import document
from cloud.db import Connection
from cloud.disclosure.detector import Phase, Watched
from cloud.disclosure.documents import event_document, message_document, read_event, read_message
from cloud.disclosure.event import OVER, Action, Event
from cloud.reports.umm import Umm

MOST_MESSAGES: Final = 1_000  # of a feed; older ones are files
_LOCK: Final = 0x756D6D  # first part of the advisory lock; the second is the tenant
_EVENT: Final = (
    "SELECT outage_step.document, outage_step.step, evidence, outage_id, found_us, at_us FROM outage JOIN outage_step"
    " ON outage_step.tenant_id = outage.tenant_id AND outage_step.event = outage.event AND outage_step.step = outage.step"
    " WHERE outage.tenant_id = %s"
)


@dataclass(frozen=True, slots=True)
class Stored:
    """An event as it stands. evidence: the row of its newest step. id: its place in lists."""

    event: Event
    step: int
    evidence: bytes
    id: int
    found_us: int
    changed_us: int


@dataclass(frozen=True, slots=True)
class Step:
    number: int
    at_us: int
    deed: str
    by: str
    role: str
    state: str
    evidence: bytes
    event: Event
    action: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Watching:
    """above_us: since when what is declared is contradicted by what is measured; 0: it is not."""

    watched: Watched
    above_us: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    id: int
    message: Umm
    file: bytes
    published_us: int


async def lock(connection: Connection, tenant_id: int) -> None:
    """One writer of a tenant's outages at a time."""
    await connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_LOCK, tenant_id))


async def next_number(connection: Connection, tenant_id: int) -> int:
    """Under `lock`."""
    rows = await _rows(await connection.execute("SELECT coalesce(max(number), 0) + 1 FROM outage WHERE tenant_id = %s", (tenant_id,)))
    return int(rows[0][0])


async def number_of(connection: Connection, tenant_id: int, asset: str, since_us: int) -> int:
    """Of the happening: the one that another unit has for the same failure, else the next. Under `lock`."""
    cursor = await connection.execute(
        "SELECT outage.number FROM outage JOIN outage_step ON outage_step.tenant_id = outage.tenant_id AND outage_step.event = outage.event"
        " AND outage_step.step = 1 WHERE outage.tenant_id = %s AND outage.asset = %s"
        " AND (outage_step.action::jsonb #>> '{detail,start_us}')::bigint = %s LIMIT 1",
        (tenant_id, asset, since_us),
    )
    rows = await _rows(cursor)
    return int(rows[0][0]) if rows else await next_number(connection, tenant_id)


async def mark(connection: Connection, tenant_id: int) -> tuple[int, int]:
    """Grows with every step: (steps, time of the last one)."""
    cursor = await connection.execute(
        "SELECT coalesce(sum(step), 0)::bigint, coalesce((SELECT max(at_us) FROM outage_step WHERE tenant_id = %s), -1) FROM outage"
        " WHERE tenant_id = %s",
        (tenant_id, tenant_id),
    )
    rows = await _rows(cursor)
    return int(rows[0][0]), int(rows[0][1])


async def changed(connection: Connection, tenant_id: int, since_us: int) -> list[Stored]:
    """Events with a step at that time or later, and before anything was seen those that are open."""
    if since_us < 0:
        return await open_events(connection, tenant_id)
    cursor = await connection.execute(_EVENT + " AND outage_step.at_us >= %s ORDER BY at_us", (tenant_id, since_us), binary=True)
    return [_stored(row) for row in await _rows(cursor)]


async def get(connection: Connection, tenant_id: int, event: str) -> Stored | None:
    cursor = await connection.execute(_EVENT + " AND outage.event = %s", (tenant_id, event), binary=True)
    found = [_stored(row) for row in await _rows(cursor)]
    return found[0] if found else None


async def open_events(connection: Connection, tenant_id: int) -> list[Stored]:
    """Those that are not over, in the order they were found."""
    cursor = await connection.execute(
        _EVENT + " AND NOT outage.state = ANY(%s) ORDER BY outage_id",
        (tenant_id, [state.value for state in OVER]),
        binary=True,
    )
    return [_stored(row) for row in await _rows(cursor)]


async def of_unit(connection: Connection, tenant_id: int, unit: str) -> list[Stored]:
    """Every event of a unit, in the order they were found."""
    cursor = await connection.execute(_EVENT + " AND outage.unit = %s ORDER BY outage_id", (tenant_id, unit), binary=True)
    return [_stored(row) for row in await _rows(cursor)]


async def page(connection: Connection, tenant_id: int, states: Collection[str] | None, limit: int, before: int | None) -> list[Stored]:
    """The newest first. states: only these; before: the `id` of the last one of the page before."""
    cursor = await connection.execute(
        _EVENT
        + " AND (%s::text[] IS NULL OR outage.state = ANY(%s)) AND (%s::bigint IS NULL OR outage_id < %s) ORDER BY outage_id DESC LIMIT %s",
        (tenant_id, None if states is None else sorted(states), None if states is None else sorted(states), before, before, limit),
        binary=True,
    )
    return [_stored(row) for row in await _rows(cursor)]


async def steps(connection: Connection, tenant_id: int, event: str) -> list[Step]:
    cursor = await connection.execute(
        "SELECT step, at_us, deed, by, role, state, evidence, document, action FROM outage_step WHERE tenant_id = %s AND event = %s ORDER BY step",
        (tenant_id, event),
        binary=True,
    )
    return [
        Step(number, at_us, deed, by, role, state, bytes(evidence), read_event(document.parse(told)), document.parse(done)["detail"])
        for number, at_us, deed, by, role, state, evidence, told, done in await _rows(cursor)
    ]


async def add(connection: Connection, tenant_id: int, event: Event, action: Action, evidence: bytes, before: Stored | None) -> int:
    """The event after the step, under `lock`. Returns the number of the step."""
    number = 1 if before is None else before.step + 1
    if before is None:
        await connection.execute(
            "INSERT INTO outage (tenant_id, event, number, unit, asset, found_us, step, state) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            (tenant_id, event.id, event.number, event.unit, event.asset, action.at_us, number, event.state.value),
        )
    else:
        await connection.execute(
            "UPDATE outage SET step = %s, state = %s WHERE tenant_id = %s AND event = %s",
            (number, event.state.value, tenant_id, event.id),
        )
    told, done = document.encode(event_document(event)).decode(), document.encode(action.document()).decode()
    await connection.execute(
        "INSERT INTO outage_step (tenant_id, event, step, at_us, deed, by, role, state, document, action, evidence)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %b)",
        (tenant_id, event.id, number, action.at_us, action.deed.value, action.by, action.role, event.state.value, told, done, evidence),
    )
    return number


async def watching(connection: Connection, tenant_id: int) -> dict[tuple[str, str], Watching]:
    """By unit and asset."""
    cursor = await connection.execute(
        "SELECT unit, asset, phase, since_us, row, above_us FROM outage_watch WHERE tenant_id = %s", (tenant_id,), binary=True
    )
    return {(row[0], row[1]): Watching(Watched(Phase(row[2]), row[3], bytes(row[4])), row[5]) for row in await _rows(cursor)}


async def watch(connection: Connection, tenant_id: int, unit: str, asset: str, now: Watching) -> None:
    one = now.watched
    await connection.execute(
        "INSERT INTO outage_watch (tenant_id, unit, asset, phase, since_us, row, above_us) VALUES (%s, %s, %s, %s, %s, %b, %s)"
        " ON CONFLICT (tenant_id, unit, asset) DO UPDATE SET phase = excluded.phase, since_us = excluded.since_us, row = excluded.row,"
        " above_us = excluded.above_us",
        (tenant_id, unit, asset, one.phase.value, one.since_us, one.row, now.above_us),
    )


async def publish(connection: Connection, tenant_id: int, message: Umm, file: bytes, published_us: int) -> None:
    """file: digest of the bytes that are published."""
    told = document.encode(message_document(message)).decode()
    await connection.execute(
        "INSERT INTO umm_message (tenant_id, message, event, version, published_us, file, document) VALUES (%s, %s, %s, %s, %s, %b, %s)",
        (tenant_id, message.id, message.event, message.version, published_us, file, told),
    )


async def messages(
    connection: Connection, tenant_id: int, after: int = 0, limit: int | None = None, *, newest: bool = False
) -> list[Message]:
    """Published messages with an `id` above `after`, in the order of publication; newest: the last `limit` of them."""
    order = "DESC" if newest else "ASC"
    cursor = await connection.execute(
        "SELECT umm_id, document, file, published_us FROM umm_message WHERE tenant_id = %s AND umm_id > %s"  # noqa: S608
        f" ORDER BY umm_id {order} LIMIT %s",
        (tenant_id, after, limit),
        binary=True,
    )
    found = [Message(row[0], read_message(document.parse(row[1])), bytes(row[2]), row[3]) for row in await _rows(cursor)]
    return found[::-1] if newest else found


async def messages_of(connection: Connection, tenant_id: int, event: str) -> list[Message]:
    cursor = await connection.execute(
        "SELECT umm_id, document, file, published_us FROM umm_message WHERE tenant_id = %s AND event = %s ORDER BY umm_id",
        (tenant_id, event),
        binary=True,
    )
    return [Message(row[0], read_message(document.parse(row[1])), bytes(row[2]), row[3]) for row in await _rows(cursor)]


def _stored(row: Sequence[Any]) -> Stored:
    return Stored(read_event(document.parse(row[0])), row[1], bytes(row[2]), row[3], row[4], row[5])


async def _rows(cursor: Any) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = await cursor.fetchall()
    return rows
