"""The journal of what was done in the hub, by whom. Each action is a row and an entry of the tenant's log, so that nobody can edit it unseen.

The entry is the SHA-256 of the action's canonical document. Nothing secret stands in a document: names and choices, never passwords or tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cloud import document
from cloud.audit import store
from cloud.db import Connection

KIND: Final = "action"


@dataclass(frozen=True, slots=True)
class Action:
    """by: "person/7", "token/name", "command line" or "hub". subject: what it was done to, people as "person/7"; neither names a person,
    so that a person's data can be erased without touching what the log has."""

    by: str
    name: str
    subject: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Recorded:
    """position: leaf index in the log, None until it is integrated."""

    id: int
    at_us: int
    action: Action
    digest: bytes
    position: int | None


async def record(connection: Connection, tenant_id: int, at_us: int, action: Action) -> bytes:
    """In the transaction that does it. Returns the digest. Wake the log after the commit."""
    text = document.encode(
        {"at_us": at_us, "by": action.by, "action": action.name, "subject": action.subject, "detail": dict(action.detail)}
    )
    digest = document.digest(text)
    await connection.execute(
        "INSERT INTO action (tenant_id, at_us, by, name, subject, document, digest) VALUES (%s, %s, %s, %s, %s, %s, %b)",
        (tenant_id, at_us, action.by, action.name, action.subject, text.decode(), digest),
    )
    await store.append(connection, tenant_id, KIND, digest)
    return digest


async def page(
    connection: Connection, tenant_id: int, limit: int, before: int | None, chosen: Mapping[str, str | None] | None = None
) -> list[Recorded]:
    """The newest first; `before`: an id. chosen: name, by, subject; None is any."""
    cursor = await connection.execute(
        "SELECT action_id, at_us, by, action.name, subject, document, digest, position FROM action LEFT JOIN log_entry"
        " ON log_entry.tenant_id = action.tenant_id AND log_entry.entry = action.digest"
        " WHERE action.tenant_id = %(tenant)s AND (%(before)s::bigint IS NULL OR action_id < %(before)s)"
        " AND (%(name)s::text IS NULL OR action.name = %(name)s) AND (%(by)s::text IS NULL OR by = %(by)s)"
        " AND (%(subject)s::text IS NULL OR subject = %(subject)s) ORDER BY action_id DESC LIMIT %(limit)s",
        {"tenant": tenant_id, "before": before, "limit": limit, "name": None, "by": None, "subject": None, **(chosen or {})},
    )
    rows: list[Any] = await cursor.fetchall()
    return [
        Recorded(row[0], row[1], Action(row[2], row[3], row[4], document.parse(row[5])["detail"]), bytes(row[6]), row[7]) for row in rows
    ]
