"""Which books may not be dealt in, since when and because of what: from the first knowledge of an outage until it is published or withdrawn.

SQL inside the caller's tenant transaction. A block begins under the lock that bookings hold, so that a deal is either booked before
anybody knew or refused. Not for deciding on a deal: `order_gate`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cloud.db import Connection
from cloud.disclosure.event import Event
from cloud.trading import store as trading_store


@dataclass(frozen=True, slots=True)
class Block:
    event: str
    message: int
    unit: str
    books: tuple[str, ...]
    since_us: int
    until_us: int | None = None


@dataclass(frozen=True, slots=True)
class Cover:
    """Trades that cover what an outage takes away. used_mwh: booked so far."""

    event: str
    approval: int
    side: str
    limit_mwh: Decimal
    agreed_us: int
    notified_us: int | None
    reference: str
    used_mwh: Decimal = Decimal(0)

    @property
    def left_mwh(self) -> Decimal:
        return self.limit_mwh - self.used_mwh


async def follow(connection: Connection, tenant_id: int, event: Event, books: Collection[str], at_us: int) -> None:
    """Begin or end what the event's state asks for."""
    await trading_store.lock(connection, tenant_id)
    version = event.message.version
    await connection.execute(
        "UPDATE order_block SET until_us = %s WHERE tenant_id = %s AND event = %s AND until_us IS NULL AND (NOT %s OR message <> %s)",
        (at_us, tenant_id, event.id, event.blocks, version),
    )
    if event.blocks and books:
        await connection.execute(
            "INSERT INTO order_block (tenant_id, event, message, unit, books, since_us) SELECT %s, %s, %s, %s, %s, %s"
            " WHERE NOT EXISTS (SELECT FROM order_block WHERE tenant_id = %s AND event = %s AND until_us IS NULL)",
            (tenant_id, event.id, version, event.unit, sorted(books), event.known_us, tenant_id, event.id),
        )


async def present(connection: Connection, tenant_id: int) -> list[Block]:
    """What is blocked now, the oldest first."""
    cursor = await connection.execute(
        "SELECT event, message, unit, books, since_us FROM order_block WHERE tenant_id = %s AND until_us IS NULL ORDER BY since_us, event",
        (tenant_id,),
    )
    return [Block(row[0], row[1], row[2], tuple(row[3]), row[4]) for row in await _rows(cursor)]


async def of_event(connection: Connection, tenant_id: int, event: str) -> list[Block]:
    cursor = await connection.execute(
        "SELECT event, message, unit, books, since_us, until_us FROM order_block WHERE tenant_id = %s AND event = %s ORDER BY since_us",
        (tenant_id, event),
    )
    return [Block(row[0], row[1], row[2], tuple(row[3]), row[4], row[5]) for row in await _rows(cursor)]


async def refuse(connection: Connection, tenant_id: int, event: str, book: str, at_us: int, by: str, deals: int) -> None:
    await connection.execute(
        "INSERT INTO order_refusal (tenant_id, event, book, at_us, by, deals) VALUES (%s, %s, %s, %s, %s, %s)",
        (tenant_id, event, book, at_us, by, deals),
    )


async def refusals(connection: Connection, tenant_id: int, event: str) -> list[int]:
    """When deals were refused because of it."""
    cursor = await connection.execute(
        "SELECT at_us FROM order_refusal WHERE tenant_id = %s AND event = %s ORDER BY at_us", (tenant_id, event)
    )
    return [row[0] for row in await _rows(cursor)]


async def cover(connection: Connection, tenant_id: int, event: str) -> Cover | None:
    cursor = await connection.execute(
        "SELECT event, approval, side, limit_mwh, agreed_us, notified_us, reference,"
        " (SELECT coalesce(sum(mwh), 0) FROM cover_deal WHERE cover_deal.tenant_id = cover_trade.tenant_id"
        "  AND cover_deal.event = cover_trade.event) FROM cover_trade WHERE tenant_id = %s AND event = %s",
        (tenant_id, event),
    )
    rows = await _rows(cursor)
    return Cover(*rows[0]) if rows else None


async def agree_cover(connection: Connection, tenant_id: int, one: Cover) -> None:
    await connection.execute(
        "INSERT INTO cover_trade (tenant_id, event, approval, side, limit_mwh, agreed_us) VALUES (%s, %s, %s, %s, %s, %s)",
        (tenant_id, one.event, one.approval, one.side, one.limit_mwh, one.agreed_us),
    )


async def notify_cover(connection: Connection, tenant_id: int, event: str, at_us: int, reference: str) -> None:
    await connection.execute(
        "UPDATE cover_trade SET notified_us = %s, reference = %s WHERE tenant_id = %s AND event = %s", (at_us, reference, tenant_id, event)
    )


async def use_cover(connection: Connection, tenant_id: int, event: str, deal_id: str, version: int, mwh: Decimal, at_us: int) -> None:
    await connection.execute(
        "INSERT INTO cover_deal (tenant_id, event, deal_id, version, mwh, at_us) VALUES (%s, %s, %s, %s, %s, %s)",
        (tenant_id, event, deal_id, version, mwh, at_us),
    )


async def covered(connection: Connection, tenant_id: int, event: str) -> set[tuple[str, int]]:
    """Versions of deals that were booked as cover."""
    cursor = await connection.execute("SELECT deal_id, version FROM cover_deal WHERE tenant_id = %s AND event = %s", (tenant_id, event))
    return {(row[0], row[1]) for row in await _rows(cursor)}


async def _rows(cursor: Any) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = await cursor.fetchall()
    return rows
