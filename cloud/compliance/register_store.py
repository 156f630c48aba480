"""SQL of the register of facts: what people hand in because the hub cannot derive it, by kind, subject and version. Hand-ins are added, nothing
is changed. Every function works inside the caller's tenant transaction. Not for what a document says: facts_json reads it before."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cloud import document
from cloud.db import Connection

_LOCK: Final = 0x666374  # writers of one tenant's facts wait for each other
ALWAYS: Final = (1 << 63) - 1
MANY: Final = 200  # documents; more are read off the event loop


@dataclass(frozen=True, slots=True)
class Registered:
    """by: as the journal names them."""

    kind: str
    subject: str
    version: int
    known_us: int
    by: str
    digest: bytes
    document: Mapping[str, Any]


class Outrun(Exception):
    """Another version was stored first."""

    def __init__(self, present: int) -> None:
        super().__init__(f"version {present} is stored")
        self.present = present


async def add(
    connection: Connection,
    tenant_id: int,
    kind: str,
    subject: str,
    facts: Mapping[str, Any],
    known_us: int,
    by: str,
    follows: int | None = None,
) -> tuple[Registered, bool]:
    """The hand-in as the next version, and whether it was new; the same as the newest is that one. known_us never falls behind it.
    Raises Outrun."""
    await connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_LOCK, tenant_id))
    before = await newest(connection, tenant_id, kind, subject)
    text = document.encode(facts)
    digest = document.digest(text)
    if before is not None and before.digest == digest:
        return before, False
    present = 0 if before is None else before.version
    if follows not in (None, present):
        raise Outrun(present)
    known_us = known_us if before is None else max(known_us, before.known_us)
    await connection.execute(
        "INSERT INTO registered_fact (tenant_id, kind, subject, version, known_us, by_whom, sha256, document)"
        " VALUES (%s, %s, %s, %s, %s, %s, %b, %s)",
        (tenant_id, kind, subject, present + 1, known_us, by, digest, text.decode()),
    )
    return Registered(kind, subject, present + 1, known_us, by, digest, facts), True


async def newest(connection: Connection, tenant_id: int, kind: str, subject: str, known_us: int = ALWAYS) -> Registered | None:
    """What was known then."""
    cursor = await connection.execute(
        "SELECT kind, subject, version, known_us, by_whom, sha256, document FROM registered_fact"
        " WHERE tenant_id = %s AND kind = %s AND subject = %s AND known_us <= %s"
        " ORDER BY version DESC LIMIT 1",
        (tenant_id, kind, subject, known_us),
        binary=True,
    )
    rows = await _rows(cursor)
    return _registered(rows[0]) if rows else None


async def versions(connection: Connection, tenant_id: int, kind: str, subject: str) -> tuple[Registered, ...]:
    """Oldest first."""
    cursor = await connection.execute(
        "SELECT kind, subject, version, known_us, by_whom, sha256, document FROM registered_fact"
        " WHERE tenant_id = %s AND kind = %s AND subject = %s ORDER BY version",
        (tenant_id, kind, subject),
        binary=True,
    )
    return tuple(map(_registered, await _rows(cursor)))


async def known(connection: Connection, tenant_id: int, known_us: int, subjects: list[str] | None = None) -> tuple[Registered, ...]:
    """The newest of each kind and subject known then, in their order. subjects: only these."""
    cursor = await connection.execute(
        "SELECT DISTINCT ON (kind, subject) kind, subject, version, known_us, by_whom, sha256, document FROM registered_fact"
        " WHERE tenant_id = %s AND known_us <= %s"
        " AND (%s::text[] IS NULL OR subject = ANY(%s)) ORDER BY kind, subject, version DESC",
        (tenant_id, known_us, subjects, subjects),
        binary=True,
    )
    rows = await _rows(cursor)
    return await asyncio.to_thread(_sorted, rows) if len(rows) > MANY else _sorted(rows)


def _sorted(rows: Iterable[tuple[Any, ...]]) -> tuple[Registered, ...]:
    return tuple(sorted(map(_registered, rows), key=lambda one: (one.kind, one.subject)))


async def with_uti(connection: Connection, tenant_id: int, kind: str, utis: list[str], known_us: int) -> tuple[Registered, ...]:
    """The newest of each subject known then that has one of these UTIs."""
    cursor = await connection.execute(
        "SELECT kind, subject, version, known_us, by_whom, sha256, document FROM (SELECT DISTINCT ON (subject) * FROM registered_fact"
        " WHERE tenant_id = %s AND kind = %s AND known_us <= %s ORDER BY subject, version DESC) AS newest"
        " WHERE document::jsonb ->> 'uti' = ANY(%s) ORDER BY subject",
        (tenant_id, kind, known_us, utis),
        binary=True,
    )
    return tuple(map(_registered, await _rows(cursor)))


async def page(
    connection: Connection, tenant_id: int, known_us: int, kind: str | None, limit: int, after: tuple[str, str] = ("", "")
) -> tuple[Registered, ...]:
    """The same by pages; after: kind and subject of the last one before."""
    cursor = await connection.execute(
        "SELECT DISTINCT ON (kind, subject) kind, subject, version, known_us, by_whom, sha256, document FROM registered_fact"
        " WHERE tenant_id = %s AND known_us <= %s"
        " AND (%s::text IS NULL OR kind = %s) AND (kind, subject) > (%s, %s) ORDER BY kind, subject, version DESC LIMIT %s",
        (tenant_id, known_us, kind, kind, *after, limit),
        binary=True,
    )
    return tuple(map(_registered, await _rows(cursor)))


def _registered(row: tuple[Any, ...]) -> Registered:
    return Registered(row[0], row[1], row[2], row[3], row[4], bytes(row[5]), document.parse(row[6]))


async def _rows(cursor: Any) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = await cursor.fetchall()
    return rows
