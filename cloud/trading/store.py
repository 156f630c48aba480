"""SQL of deals and delivery calendars: versions are added, nothing is changed. Every function works inside the caller's tenant transaction."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from cloud.db import Connection
from cloud.document import digest
from cloud.trading import documents
from cloud.trading.capture import Capture, Head, Sent, judge
from cloud.trading.deals import Calendars, Deal, DeliveryCalendar

_LOCK: Final = 0x747264  # first part of the advisory lock; the second is the tenant
SLACK_US: Final = 60_000_000  # the clock of whoever captures may be ahead of the hub's
_ALWAYS: Final = (1 << 63) - 1
MANY: Final = 200  # deals; more are read off the event loop


async def lock(connection: Connection, tenant_id: int) -> None:
    """One writer of a tenant's deals at a time, to the end of the transaction: so `revision` grows in the order of commits."""
    await connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_LOCK, tenant_id))


async def add_deals(connection: Connection, tenant_id: int, deals: Iterable[Deal], received_us: int) -> Capture:
    """Book the versions, all or none: when there are conflicts or faults, nothing was written."""
    sent = [Sent(deal, digest(documents.encode_deal(deal))) for deal in deals]
    await lock(connection, tenant_id)
    ids = sorted({one.deal.id for one in sent})
    heads = await _heads(connection, tenant_id, ids)
    stored = await _digests(connection, tenant_id, sent)
    capture = judge(sent, heads, stored, await calendars(connection, tenant_id), received_us + SLACK_US)
    if capture.new and not capture.conflicts and not capture.faults:
        await _insert(connection, tenant_id, capture.new, received_us)
    return capture


async def _heads(connection: Connection, tenant_id: int, ids: Sequence[str]) -> Mapping[str, Head]:
    cursor = await connection.execute(
        "SELECT DISTINCT ON (deal_id) deal_id, version, known_us FROM deal_version WHERE tenant_id = %s AND deal_id = ANY(%s)"
        " ORDER BY deal_id, version DESC",
        (tenant_id, list(ids)),
    )
    return {row[0]: Head(row[1], row[2]) for row in await _rows(cursor)}


async def _digests(connection: Connection, tenant_id: int, sent: Sequence[Sent]) -> Mapping[tuple[str, int], bytes]:
    cursor = await connection.execute(
        "SELECT deal_id, version, sha256 FROM deal_version JOIN unnest(%s::text[], %s::integer[]) AS sent (deal_id, version)"
        " USING (deal_id, version) WHERE tenant_id = %s",
        ([one.deal.id for one in sent], [one.deal.version for one in sent], tenant_id),
        binary=True,
    )
    return {(row[0], row[1]): bytes(row[2]) for row in await _rows(cursor)}


async def _insert(connection: Connection, tenant_id: int, new: Sequence[Sent], received_us: int) -> None:
    await connection.execute(
        "INSERT INTO deal_version (tenant_id, deal_id, version, known_us, received_us, book, cancelled, sha256, document)"
        " SELECT %s, deal_id, version, known_us, %s, book, cancelled, sha256, document FROM unnest(%s::text[], %s::integer[], %s::bigint[],"
        " %s::text[], %s::boolean[], %s::bytea[], %s::text[]) AS new (deal_id, version, known_us, book, cancelled, sha256, document)",
        (
            tenant_id,
            received_us,
            [one.deal.id for one in new],
            [one.deal.version for one in new],
            [one.deal.known_us for one in new],
            [one.deal.book for one in new],
            [one.deal.cancelled for one in new],
            [one.digest for one in new],
            [documents.encode_deal(one.deal).decode() for one in new],
        ),
    )


async def deals(
    connection: Connection, tenant_id: int, known_us: int, received_us: int = _ALWAYS, only: Sequence[str] | None = None
) -> tuple[Deal, ...]:
    """The newest version of each deal known at known_us, without cancelled ones, ordered by id. received_us: as far as the hub knew by then.
    only: of these deals."""
    ids = None if only is None else list(only)
    cursor = await connection.execute(
        "SELECT document FROM (SELECT DISTINCT ON (deal_id) deal_id, cancelled, document FROM deal_version"
        " WHERE tenant_id = %s AND known_us <= %s AND received_us <= %s AND (%s::text[] IS NULL OR deal_id = ANY(%s))"
        " ORDER BY deal_id, version DESC) AS newest"
        ' WHERE NOT cancelled ORDER BY deal_id COLLATE "C"',
        (tenant_id, known_us, received_us, ids, ids),
    )
    rows = await _rows(cursor)
    return await asyncio.to_thread(_decoded, rows) if len(rows) > MANY else _decoded(rows)


def _decoded(rows: Iterable[tuple[Any, ...]]) -> tuple[Deal, ...]:
    return tuple(documents.decode_deal(row[0]) for row in rows)


async def first_known(
    connection: Connection, tenant_id: int, received_us: int = _ALWAYS, only: Sequence[str] | None = None
) -> dict[str, int]:
    """When the first version of each deal was agreed or captured, of those received by then. only: of these deals."""
    ids = None if only is None else list(only)
    cursor = await connection.execute(
        "SELECT deal_id, known_us FROM deal_version WHERE tenant_id = %s AND version = 1 AND received_us <= %s"
        " AND (%s::text[] IS NULL OR deal_id = ANY(%s))",
        (tenant_id, received_us, ids, ids),
    )
    return dict(await _rows(cursor))


async def chosen(connection: Connection, tenant_id: int, ids: Sequence[str]) -> tuple[Deal, ...]:
    """The newest version of each of these, cancelled ones too, ordered by id; what is not booked is left out."""
    cursor = await connection.execute(
        "SELECT document FROM (SELECT DISTINCT ON (deal_id) deal_id, document FROM deal_version WHERE tenant_id = %s AND deal_id = ANY(%s)"
        ' ORDER BY deal_id, version DESC) AS newest ORDER BY deal_id COLLATE "C"',
        (tenant_id, list(ids)),
    )
    return tuple(documents.decode_deal(row[0]) for row in await _rows(cursor))


async def versions(connection: Connection, tenant_id: int, deal_id: str) -> tuple[tuple[Deal, int, bytes], ...]:
    """(version, when it was received, digest) of one deal, oldest first."""
    cursor = await connection.execute(
        "SELECT document, received_us, sha256 FROM deal_version WHERE tenant_id = %s AND deal_id = %s ORDER BY version",
        (tenant_id, deal_id),
        binary=True,
    )
    return tuple((documents.decode_deal(row[0]), row[1], bytes(row[2])) for row in await _rows(cursor))


async def captured(connection: Connection, tenant_id: int, books: Iterable[str], from_us: int, to_us: int) -> list[tuple[str, int, int]]:
    """(deal, version, when it was received) of what was booked in the books in [from_us, to_us), without cancellations."""
    cursor = await connection.execute(
        "SELECT deal_id, version, received_us FROM deal_version WHERE tenant_id = %s AND book = ANY(%s) AND received_us >= %s"
        " AND received_us < %s AND NOT cancelled ORDER BY received_us, deal_id, version",
        (tenant_id, sorted(books), from_us, to_us),
    )
    return [(row[0], row[1], row[2]) for row in await _rows(cursor)]


async def books_of(connection: Connection, tenant_id: int, deal_ids: Iterable[str]) -> dict[str, set[str]]:
    """Every book that a deal was ever in."""
    cursor = await connection.execute(
        "SELECT DISTINCT deal_id, book FROM deal_version WHERE tenant_id = %s AND deal_id = ANY(%s)", (tenant_id, sorted(deal_ids))
    )
    found: dict[str, set[str]] = {}
    for deal_id, book in await _rows(cursor):
        found.setdefault(deal_id, set()).add(book)
    return found


async def add_calendars(
    connection: Connection, tenant_id: int, given: Sequence[tuple[tuple[str, str], DeliveryCalendar]], received_us: int
) -> tuple[int, ...]:
    """The version each has now: the one it had where nothing changed, the next one otherwise."""
    await lock(connection, tenant_id)
    found = []
    for (product, place), calendar in given:
        data = documents.encode_calendar(product, place, calendar)
        cursor = await connection.execute(
            "SELECT version, sha256 FROM delivery_calendar WHERE tenant_id = %s AND product = %s AND place = %s"
            " ORDER BY version DESC LIMIT 1",
            (tenant_id, product, place),
            binary=True,
        )
        rows = await _rows(cursor)
        version, same = (rows[0][0], bytes(rows[0][1]) == digest(data)) if rows else (0, False)
        if not same:
            version += 1
            await connection.execute(
                "INSERT INTO delivery_calendar (tenant_id, product, place, version, received_us, sha256, document)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s)",
                (tenant_id, product, place, version, received_us, digest(data), data.decode()),
            )
        found.append(version)
    return tuple(found)


async def calendars(connection: Connection, tenant_id: int, received_us: int = _ALWAYS) -> Calendars:
    """The newest version of each that had been received by then, by (product, place)."""
    cursor = await connection.execute(
        "SELECT DISTINCT ON (product, place) document FROM delivery_calendar WHERE tenant_id = %s AND received_us <= %s"
        " ORDER BY product, place, version DESC",
        (tenant_id, received_us),
    )
    return dict(documents.decode_calendar(row[0]) for row in await _rows(cursor))


async def revision(connection: Connection, tenant_id: int) -> int:
    """Grows with every committed change of deals or calendars."""
    cursor = await connection.execute(
        "SELECT (SELECT coalesce(max(change_id), 0) FROM deal_version WHERE tenant_id = %s)"
        " + (SELECT coalesce(max(change_id), 0) FROM delivery_calendar WHERE tenant_id = %s)",
        (tenant_id, tenant_id),
    )
    return int((await _rows(cursor))[0][0])


async def _rows(cursor: Any) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = await cursor.fetchall()
    return rows
