"""Outages as inside information, for surveillance of orders: which books might not be dealt in, from when they were known until they were public.

SQL inside the caller's tenant transaction. Not for keeping deals from being booked (`order_gate`).
"""

from collections.abc import Sequence
from typing import Any

from cloud.compliance.surveillance.finding import Inside
from cloud.db import Connection


async def inside(connection: Connection, tenant_id: int, from_us: int, to_us: int) -> Sequence[Inside]:
    """Every block that overlaps the time, in the order it began."""
    cursor = await connection.execute(
        "SELECT event, books, since_us, until_us FROM order_block WHERE tenant_id = %s AND since_us <= %s"
        " AND (until_us IS NULL OR until_us >= %s) ORDER BY since_us, event, message",
        (tenant_id, to_us, from_us),
    )
    rows: list[Any] = await cursor.fetchall()
    return [Inside(event, tuple(books), since_us, until_us) for event, books, since_us, until_us in rows]
