"""SQL of writes that came with an Idempotency-Key. Inside the caller's tenant transaction."""

from dataclasses import dataclass
from typing import Any, Final

from cloud.db import Connection

DAY_US: Final = 86_400_000_000
SWEPT: Final = 100  # rows of days before, with each new one


@dataclass(frozen=True, slots=True)
class Place:
    """who: of the tenant, as the journal names them."""

    tenant_id: int
    who: str
    key: str


@dataclass(frozen=True, slots=True)
class Known:
    """A write that came before. status None: it was not answered, so far."""

    digest: bytes
    begun_us: int
    status: int | None
    content_type: str | None
    etag: str | None
    body: bytes | None


async def begin(connection: Connection, place: Place, digest: bytes, now_us: int) -> Known | None:
    """None when it is the first with this key; then it is written down."""
    await connection.execute(
        "DELETE FROM idempotency WHERE (tenant_id, who, key) IN (SELECT tenant_id, who, key FROM idempotency"
        " WHERE tenant_id = %s AND begun_us < %s LIMIT %s)",
        (place.tenant_id, now_us - DAY_US, SWEPT),
    )
    await connection.execute(
        "DELETE FROM idempotency WHERE tenant_id = %s AND who = %s AND key = %s AND begun_us < %s", (*_columns(place), now_us - DAY_US)
    )
    cursor = await connection.execute(
        "INSERT INTO idempotency (tenant_id, who, key, digest, begun_us) VALUES (%s, %s, %s, %b, %s) ON CONFLICT DO NOTHING",
        (*_columns(place), digest, now_us),
    )
    if cursor.rowcount == 1:
        return None
    cursor = await connection.execute(
        "SELECT digest, begun_us, status, content_type, etag, body FROM idempotency WHERE tenant_id = %s AND who = %s AND key = %s",
        _columns(place),
        binary=True,
    )
    row: Any = await cursor.fetchone()
    return Known(bytes(row[0]), row[1], row[2], row[3], row[4], None if row[5] is None else bytes(row[5])) if row else None


async def take_over(connection: Connection, place: Place, begun_us: int, now_us: int) -> bool:
    """Of a write that was begun then and never answered: whether it is ours to do again."""
    cursor = await connection.execute(
        "UPDATE idempotency SET begun_us = %s WHERE tenant_id = %s AND who = %s AND key = %s AND begun_us = %s AND status IS NULL",
        (now_us, *_columns(place), begun_us),
    )
    return cursor.rowcount == 1


async def finish(connection: Connection, place: Place, status: int, content_type: str | None, etag: str | None, body: bytes) -> None:
    await connection.execute(
        "UPDATE idempotency SET status = %s, content_type = %s, etag = %s, body = %b WHERE tenant_id = %s AND who = %s AND key = %s",
        (status, content_type, etag, body, *_columns(place)),
    )


async def forget(connection: Connection, place: Place) -> None:
    """What changed nothing may be sent again."""
    await connection.execute("DELETE FROM idempotency WHERE tenant_id = %s AND who = %s AND key = %s", _columns(place))


def _columns(place: Place) -> tuple[int, str, str]:
    return place.tenant_id, place.who, place.key
