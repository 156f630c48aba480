"""Whole texts that a tenant hands in and that are kept by version: asset model, risk settings, compliance profile, ESG inventory. Their SQL.

Not for what they say: each is parsed where it is used. A text is written once under its version and never changed. Every function works
inside the caller's tenant transaction.
"""

import hashlib
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from psycopg import sql

from cloud.db import Connection

ALWAYS: Final = (1 << 63) - 1
_LOCK: Final = 0x747874  # writers of one tenant's texts wait for each other


class Text(Enum):
    """What is handed in as a whole text; the table that keeps its versions."""

    MODEL = "asset_model"
    SETTINGS = "risk_settings"
    PROFILE = "compliance_profile"
    INVENTORY = "esg_inventory"


@dataclass(frozen=True, slots=True)
class StoredText:
    version: int
    received_us: int
    digest: bytes
    text: str


class Outrun(Exception):
    """Another version was stored first."""

    def __init__(self, present: int) -> None:
        super().__init__(f"version {present} is stored")
        self.present = present


async def newest(connection: Connection, tenant_id: int, kind: Text, received_us: int = ALWAYS) -> StoredText | None:
    """received_us: the newest of those that had been handed in by then."""
    cursor = await connection.execute(
        sql.SQL(
            "SELECT version, received_us, sha256, text FROM {} WHERE tenant_id = %s AND received_us <= %s ORDER BY version DESC LIMIT 1"
        ).format(sql.Identifier(kind.value)),
        (tenant_id, received_us),
        binary=True,
    )
    row: Any = await cursor.fetchone()
    return StoredText(row[0], row[1], bytes(row[2]), row[3]) if row else None


async def newest_digest(connection: Connection, tenant_id: int, kind: Text) -> bytes | None:
    cursor = await connection.execute(
        sql.SQL("SELECT sha256 FROM {} WHERE tenant_id = %s ORDER BY version DESC LIMIT 1").format(sql.Identifier(kind.value)),
        (tenant_id,),
        binary=True,
    )
    row: Any = await cursor.fetchone()
    return bytes(row[0]) if row else None


async def add(connection: Connection, tenant_id: int, kind: Text, text: str, received_us: int, follows: int | None = None) -> StoredText:
    """The text as the next version; when it is the newest already, that one, unchanged. follows: the version that has to be the newest.
    Raises Outrun."""
    await connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_LOCK, tenant_id))
    known = await newest(connection, tenant_id, kind)
    digest = hashlib.sha256(text.encode()).digest()
    if known is not None and known.digest == digest:
        return known
    present = 0 if known is None else known.version
    if follows not in (None, present):
        raise Outrun(present)
    version = present + 1
    await connection.execute(
        sql.SQL("INSERT INTO {} (tenant_id, version, received_us, sha256, text) VALUES (%s, %s, %s, %b, %s)").format(
            sql.Identifier(kind.value)
        ),
        (tenant_id, version, received_us, digest, text),
    )
    return StoredText(version, received_us, digest, text)
