"""SQL of the desk's settings: the texts as handed in, by version. Inside the caller's tenant transaction."""

import hashlib
from dataclasses import dataclass

from cloud.db import Connection

_LOCK = 0x736574  # writers of one tenant wait for each other


@dataclass(frozen=True, slots=True)
class StoredSettings:
    version: int
    digest: bytes
    text: str


async def newest(connection: Connection, tenant_id: int) -> StoredSettings | None:
    cursor = await connection.execute(
        "SELECT version, sha256, text FROM risk_settings WHERE tenant_id = %s ORDER BY version DESC LIMIT 1", (tenant_id,)
    )
    row = await cursor.fetchone()
    return None if row is None else StoredSettings(int(str(row[0])), bytes(row[1]), str(row[2]))  # type: ignore[call-overload]


async def newest_digest(connection: Connection, tenant_id: int) -> bytes | None:
    cursor = await connection.execute("SELECT sha256 FROM risk_settings WHERE tenant_id = %s ORDER BY version DESC LIMIT 1", (tenant_id,))
    row = await cursor.fetchone()
    return None if row is None else bytes(row[0])  # type: ignore[call-overload]


async def add(connection: Connection, tenant_id: int, text: str, received_us: int) -> StoredSettings:
    """The text as the next version; when it is the newest already, that one, unchanged."""
    await connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_LOCK, tenant_id))
    known = await newest(connection, tenant_id)
    digest = hashlib.sha256(text.encode()).digest()
    if known is not None and known.digest == digest:
        return known
    version = 1 if known is None else known.version + 1
    await connection.execute(
        "INSERT INTO risk_settings (tenant_id, version, received_us, sha256, text) VALUES (%s, %s, %s, %b, %s)",
        (tenant_id, version, received_us, digest, text),
    )
    return StoredSettings(version, digest, text)
