"""A tenant's settings: whose law it works under, its time zone, what it may use up, how long data are kept, who else says who people are.

Rules: every change is the next version, and follows the one that its author saw; keeping data for a shorter time needs a second person's
agreement; a quota that is None is no limit. What is kept longer than `retention_days` is for the operator of the hub to remove: the application
itself cannot delete what was signed. Not here: HTTP, and the database's walls between tenants.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from cloud.db import Connection
from cloud.errors import Problem
from cloud.identity import people_store
from cloud.identity.actor import Actor, Record
from cloud.identity.approval_store import Approval
from cloud.identity.approvals import Approvals
from cloud.identity.credentials import Principal
from cloud.identity.versions import outrun
from protocols.clock import Clock

SHORTEN: Final = "shorten-retention"
JURISDICTIONS: Final = ("AE", "EU", "GY", "NO", "QA", "SA", "UK", "US")


@dataclass(frozen=True, slots=True)
class Provider:
    """An OpenID Connect provider. secret_file: name of a file in the hub's key folder, never the secret itself. roles: value of the claim -> role."""

    issuer: str
    client_id: str
    secret_file: str
    claim: str
    roles: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Settings:
    """version 0: nothing was set. A quota or retention of None is no limit."""

    version: int = 0
    jurisdiction: str = ""
    zone: str = "UTC"
    gateways: int | None = None
    people: int | None = None
    batches_per_second: float | None = None
    retention_days: int | None = None
    provider: Provider | None = None

    @classmethod
    def parse(cls, version: int, document: Mapping[str, Any]) -> "Settings":
        provider = document.get("provider")
        return cls(version, **{**document, "provider": Provider(**provider) if provider else None})

    def document(self) -> dict[str, Any]:
        """Without the version."""
        found = asdict(self)
        del found["version"]
        return found


async def read(connection: Connection, tenant_id: int) -> Settings:
    cursor = await connection.execute("SELECT version, document FROM tenant_setting WHERE tenant_id = %s", (tenant_id,))
    row: Any = await cursor.fetchone()
    return Settings() if row is None else Settings.parse(row[0], row[1])


async def write(connection: Connection, tenant_id: int, settings: Settings, at_us: int) -> Settings:
    """The next version. Raises Problem when the stored one is not settings.version."""
    made = replace(settings, version=settings.version + 1)
    cursor = await connection.execute(
        "INSERT INTO tenant_setting (tenant_id, version, document, changed_us) VALUES (%(tenant)s, %(version)s, %(document)s, %(at)s)"
        " ON CONFLICT (tenant_id) DO UPDATE SET version = excluded.version, document = excluded.document, changed_us = excluded.changed_us"
        " WHERE tenant_setting.version = %(follows)s",
        {
            "tenant": tenant_id,
            "version": made.version,
            "document": json.dumps(made.document()),
            "at": at_us,
            "follows": settings.version,
        },
    )
    if cursor.rowcount != 1:
        raise outrun(settings.version, (await read(connection, tenant_id)).version)
    return made


def shortens(before: Settings, after: Settings) -> bool:
    """Whether data would be kept for a shorter time."""
    if after.retention_days is None:
        return False
    return before.retention_days is None or after.retention_days < before.retention_days


class Tenants:
    def __init__(self, clock: Clock, approvals: Approvals, record: Record) -> None:
        self._clock, self._approvals, self._record = clock, approvals, record

    async def change(self, connection: Connection, principal: Principal, after: Settings) -> tuple[Settings, Approval | None]:
        """after.version: the one it follows. Raises Problem."""
        before = await read(connection, principal.tenant_id)
        if before.version != after.version:
            raise outrun(after.version, before.version)
        if before == after:
            return before, None
        if before.version and shortens(before, after):
            body = {"retention_days": after.retention_days}
            approval = await self._approvals.ask(connection, principal, SHORTEN, f"tenant/{principal.tenant}", body)
            after = replace(after, retention_days=before.retention_days)
            return (before if after == before else await self._write(connection, principal.actor, before, after)), approval
        return await self._write(connection, principal.actor, before, after), None

    async def shorten(self, connection: Connection, actor: Actor, approval: Approval) -> None:
        """What is done when the second person has agreed."""
        before = await read(connection, actor.tenant_id)
        await self._write(connection, actor, before, replace(before, retention_days=approval.body["retention_days"]))

    async def _write(self, connection: Connection, actor: Actor, before: Settings, after: Settings) -> Settings:
        made = await write(connection, actor.tenant_id, after, self._clock.now_us())
        old, new = before.document(), made.document()
        changed = {key: new[key] for key in new if new[key] != old[key]}
        await self._record(connection, actor, "change-tenant", "tenant", {"version": made.version, "changed": changed})
        return made

    async def room_for_person(self, connection: Connection, tenant_id: int) -> None:
        """Raises Problem when the tenant has as many people as it may."""
        most = (await read(connection, tenant_id)).people
        if most is not None and await people_store.count(connection, tenant_id) >= most:
            raise Problem("quota", f"the tenant may have {most} people and has them; disable somebody, or ask for a larger quota")


async def room_for_gateway(connection: Connection, tenant_id: int, gateway: str) -> None:
    """One that is there already may be enrolled again. Raises Problem when the tenant has as many gateways as it may."""
    most = (await read(connection, tenant_id)).gateways
    if most is None:
        return
    await people_store.lock(connection, tenant_id)
    cursor = await connection.execute("SELECT count(*) FROM gateway WHERE tenant_id = %s AND name <> %s", (tenant_id, gateway))
    row: Any = await cursor.fetchone()
    if row[0] >= most:
        raise Problem("quota", f"the tenant may have {most} gateways and has them; ask for a larger quota (PUT /v1/tenant)")
