"""SQL of approvals: what somebody asked for and a second person has to agree to. Inside a caller's transaction."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from cloud.db import Connection

_COLUMNS: Final = "approval_id, action, subject, body, asked_by, asked_us, ends_us, decided_by, decided_us, agreed, reason"


@dataclass(frozen=True, slots=True)
class Approval:
    """body: what was asked for exactly. asked_by, decided_by: people."""

    id: int
    action: str
    subject: str
    body: Mapping[str, Any]
    asked_by: int
    asked_us: int
    ends_us: int
    decided_by: int | None
    decided_us: int | None
    agreed: bool | None
    reason: str

    def state(self, now_us: int) -> str:
        if self.decided_us is not None:
            return "agreed" if self.agreed else "declined"
        return "open" if now_us < self.ends_us else "expired"


async def add(
    connection: Connection, tenant_id: int, action: str, subject: str, body: Mapping[str, Any], asked_by: int, at_us: int, ends_us: int
) -> Approval:
    cursor = await connection.execute(
        "INSERT INTO approval (tenant_id, action, subject, body, asked_by, asked_us, ends_us) VALUES (%s, %s, %s, %s, %s, %s, %s)"
        " RETURNING approval_id",
        (tenant_id, action, subject, json.dumps(body), asked_by, at_us, ends_us),
    )
    row: Any = await cursor.fetchone()
    return Approval(row[0], action, subject, body, asked_by, at_us, ends_us, None, None, None, "")


async def waiting(connection: Connection, tenant_id: int, action: str, subject: str, at_us: int) -> int | None:
    """One that is open already for the same thing."""
    cursor = await connection.execute(
        "SELECT approval_id FROM approval WHERE tenant_id = %s AND action = %s AND subject = %s AND decided_us IS NULL AND ends_us > %s",
        (tenant_id, action, subject, at_us),
    )
    row: Any = await cursor.fetchone()
    return None if row is None else int(row[0])


async def of_subjects(connection: Connection, tenant_id: int, actions: list[str], subjects: list[str]) -> list[Approval]:
    """What was asked about these by any of these actions, oldest first."""
    query = f"SELECT {_COLUMNS} FROM approval WHERE tenant_id = %s AND action = ANY(%s) AND subject = ANY(%s) ORDER BY approval_id"  # noqa: S608
    cursor = await connection.execute(query, (tenant_id, actions, subjects))
    rows: list[Any] = await cursor.fetchall()
    return [Approval(*row) for row in rows]


async def locked(connection: Connection, tenant_id: int, approval_id: int) -> Approval | None:
    """For a decision: nobody else decides before this transaction ends."""
    query = f"SELECT {_COLUMNS} FROM approval WHERE tenant_id = %s AND approval_id = %s FOR UPDATE"  # noqa: S608
    cursor = await connection.execute(query, (tenant_id, approval_id))
    row: Any = await cursor.fetchone()
    return None if row is None else Approval(*row)


async def decide(connection: Connection, tenant_id: int, found: Approval, by: int, at_us: int, agreed: bool, reason: str) -> Approval:
    """found: as `locked` gave it."""
    await connection.execute(
        "UPDATE approval SET decided_by = %s, decided_us = %s, agreed = %s, reason = %s WHERE tenant_id = %s AND approval_id = %s",
        (by, at_us, agreed, reason, tenant_id, found.id),
    )
    return replace(found, decided_by=by, decided_us=at_us, agreed=agreed, reason=reason)


async def page(
    connection: Connection, tenant_id: int, asked_by: int | None, unseen: list[str], limit: int, before: int | None
) -> list[Approval]:
    """The newest first. asked_by: only what this person asked for. unseen: actions that are left out."""
    query = (
        f"SELECT {_COLUMNS} FROM approval WHERE tenant_id = %(tenant)s AND (%(by)s::bigint IS NULL OR asked_by = %(by)s)"  # noqa: S608
        " AND NOT action = ANY(%(unseen)s) AND (%(before)s::bigint IS NULL OR approval_id < %(before)s) ORDER BY approval_id DESC LIMIT %(limit)s"
    )
    cursor = await connection.execute(query, {"tenant": tenant_id, "by": asked_by, "unseen": unseen, "before": before, "limit": limit})
    rows: list[Any] = await cursor.fetchall()
    return [Approval(*row) for row in rows]
