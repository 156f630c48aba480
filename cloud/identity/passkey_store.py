"""SQL of passkeys. Inside a caller's transaction."""

from dataclasses import dataclass
from typing import Any

from cloud.db import Connection


@dataclass(frozen=True, slots=True)
class Passkey:
    """credential: attested credential data of WebAuthn. sign_count: the highest its authenticator has said."""

    id: bytes
    credential: bytes
    sign_count: int
    label: str
    created_us: int
    used_us: int | None


async def of_person(connection: Connection, tenant_id: int, person_id: int) -> list[Passkey]:
    cursor = await connection.execute(
        "SELECT credential_id, credential, sign_count, label, created_us, used_us FROM passkey WHERE tenant_id = %s AND person_id = %s"
        " ORDER BY created_us, credential_id",
        (tenant_id, person_id),
    )
    rows: list[Any] = await cursor.fetchall()
    return [Passkey(bytes(row[0]), bytes(row[1]), *row[2:]) for row in rows]


async def add(connection: Connection, tenant_id: int, person_id: int, passkey: Passkey) -> bool:
    """False when it is known already."""
    cursor = await connection.execute(
        "INSERT INTO passkey (tenant_id, person_id, credential_id, credential, sign_count, label, created_us)"
        " VALUES (%s, %s, %b, %b, %s, %s, %s) ON CONFLICT DO NOTHING",
        (tenant_id, person_id, passkey.id, passkey.credential, passkey.sign_count, passkey.label, passkey.created_us),
    )
    return cursor.rowcount == 1


async def use(connection: Connection, tenant_id: int, person_id: int, credential_id: bytes, sign_count: int, at_us: int) -> bool:
    """False when the count did not grow (WebAuthn, 6.1.1): somebody has a copy of the authenticator. Authenticators without a count say 0."""
    cursor = await connection.execute(
        "UPDATE passkey SET sign_count = %(count)s, used_us = %(at)s WHERE tenant_id = %(tenant)s AND person_id = %(person)s"
        " AND credential_id = %(id)b AND (sign_count < %(count)s OR (sign_count = 0 AND %(count)s = 0))",
        {"count": sign_count, "at": at_us, "tenant": tenant_id, "person": person_id, "id": credential_id},
    )
    return cursor.rowcount == 1


async def remove(connection: Connection, tenant_id: int, person_id: int, credential_id: bytes) -> bool:
    cursor = await connection.execute(
        "DELETE FROM passkey WHERE tenant_id = %s AND person_id = %s AND credential_id = %b", (tenant_id, person_id, credential_id)
    )
    return cursor.rowcount == 1
