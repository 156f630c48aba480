"""SQL of API tokens and vouchers as their lists show them. How one is found by its secret is in store."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cloud.db import Connection


@dataclass(frozen=True, slots=True)
class Token:
    """made_by: the person, None = the command line. ends_us: None = until it is ended."""

    id: int
    name: str
    scopes: tuple[str, ...]
    made_by: int | None
    created_us: int
    ends_us: int | None


@dataclass(frozen=True, slots=True)
class OpenVoucher:
    id: int
    gateway: str
    made_by: int | None
    created_us: int
    ends_us: int


async def add_token(
    connection: Connection,
    tenant_id: int,
    hashed: bytes,
    name: str,
    scopes: Sequence[str],
    made_by: int | None,
    at_us: int,
    ends_us: int | None,
) -> int:
    cursor = await connection.execute(
        "INSERT INTO api_token (tenant_id, hash, name, scopes, made_by, created_us, expires_us) VALUES (%s, %b, %s, %s, %s, %s, %s)"
        " RETURNING token_id",
        (tenant_id, hashed, name, list(scopes), made_by, at_us, ends_us),
    )
    row: Any = await cursor.fetchone()
    return int(row[0])


async def tokens(connection: Connection, tenant_id: int, at_us: int, made_by: int | None = None) -> list[Token]:
    """Those that are good, the newest first. made_by: only of this person."""
    cursor = await connection.execute(
        "SELECT token_id, name, scopes, made_by, created_us, expires_us FROM api_token WHERE tenant_id = %s AND revoked_us IS NULL"
        " AND (expires_us IS NULL OR expires_us > %s) AND (%s::bigint IS NULL OR made_by = %s) ORDER BY token_id DESC",
        (tenant_id, at_us, made_by, made_by),
    )
    rows: list[Any] = await cursor.fetchall()
    return [Token(row[0], row[1], tuple(row[2]), *row[3:]) for row in rows]


async def end_token(connection: Connection, tenant_id: int, token_id: int, at_us: int) -> str | None:
    """Its name; None when there is no such token that is not ended."""
    cursor = await connection.execute(
        "UPDATE api_token SET revoked_us = %s WHERE tenant_id = %s AND token_id = %s AND revoked_us IS NULL RETURNING name",
        (at_us, tenant_id, token_id),
    )
    row: Any = await cursor.fetchone()
    return None if row is None else str(row[0])


async def end_beyond(connection: Connection, tenant_id: int, made_by: int, scopes: Sequence[str], at_us: int) -> int:
    """The tokens a person made that may more than these scopes; `read` is less than any of them. Returns how many."""
    cursor = await connection.execute(
        "UPDATE api_token SET revoked_us = %s WHERE tenant_id = %s AND made_by = %s AND revoked_us IS NULL AND NOT scopes <@ %s",
        (at_us, tenant_id, made_by, list(scopes)),
    )
    return cursor.rowcount


async def add_voucher(
    connection: Connection, tenant_id: int, hashed: bytes, gateway: str, made_by: int | None, at_us: int, ends_us: int
) -> int:
    cursor = await connection.execute(
        "INSERT INTO voucher (tenant_id, hash, gateway, made_by, created_us, expires_us) VALUES (%s, %b, %s, %s, %s, %s)"
        " RETURNING voucher_id",
        (tenant_id, hashed, gateway, made_by, at_us, ends_us),
    )
    row: Any = await cursor.fetchone()
    return int(row[0])


async def open_vouchers(connection: Connection, tenant_id: int, at_us: int) -> list[OpenVoucher]:
    """Those a gateway could still use, the newest first."""
    cursor = await connection.execute(
        "SELECT voucher_id, gateway, made_by, created_us, expires_us FROM voucher WHERE tenant_id = %s AND used_us IS NULL"
        " AND ended_us IS NULL AND expires_us > %s ORDER BY voucher_id DESC LIMIT 1000",
        (tenant_id, at_us),
    )
    rows: list[Any] = await cursor.fetchall()
    return [OpenVoucher(*row) for row in rows]


async def end_voucher(connection: Connection, tenant_id: int, voucher_id: int, at_us: int) -> str | None:
    """The gateway it was for; None when there is no such voucher that is open."""
    cursor = await connection.execute(
        "UPDATE voucher SET ended_us = %s WHERE tenant_id = %s AND voucher_id = %s AND used_us IS NULL AND ended_us IS NULL"
        " AND expires_us > %s RETURNING gateway",
        (at_us, tenant_id, voucher_id, at_us),
    )
    row: Any = await cursor.fetchone()
    return None if row is None else str(row[0])
