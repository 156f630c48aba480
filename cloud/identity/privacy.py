"""A person's data: everything that is held about them, their erasure, and the legal holds that stop it (GDPR, articles 15, 17 and 18).

Erasing replaces the name by a pseudonym and removes what the person proved themselves with; it needs a second person's agreement. The journal
stays as it is, because it has numbers where it could have names (see `actor`): after an erasure "person/7" is nobody's name any more. What others
need as evidence, such as who acknowledged an alarm, is held by their areas under the login name of that moment; see the decision record.
"""

import hashlib
import secrets
from dataclasses import asdict
from typing import Any, Final

from cloud.db import Connection
from cloud.errors import Problem
from cloud.identity import people_store, session_store, token_store
from cloud.identity.actor import Actor, Record
from cloud.identity.approval_store import Approval
from cloud.identity.approvals import Approvals
from cloud.identity.credentials import Principal
from cloud.identity.people_store import Person
from cloud.identity.roles import Role
from protocols.clock import Clock

ERASE: Final = "erase-person"
_HELD: Final[dict[str, str]] = {
    "sessions": "SELECT session_id, methods, agent, created_us, seen_us, ends_us, ended_us FROM session"
    " WHERE tenant_id = %(tenant)s AND person_id = %(person)s ORDER BY session_id",
    "passkeys": "SELECT label, created_us, used_us FROM passkey WHERE tenant_id = %(tenant)s AND person_id = %(person)s ORDER BY created_us",
    "recovery_codes": "SELECT count(*) AS made, count(used_us) AS used FROM recovery_code WHERE tenant_id = %(tenant)s AND person_id = %(person)s",
    "refresh_tokens": "SELECT created_us, used_us, ends_us, ended_us FROM refresh_token"
    " WHERE tenant_id = %(tenant)s AND person_id = %(person)s ORDER BY created_us",
    "api_tokens": "SELECT token_id, name, scopes, created_us, expires_us, revoked_us FROM api_token"
    " WHERE tenant_id = %(tenant)s AND made_by = %(person)s ORDER BY token_id",
    "vouchers": "SELECT voucher_id, gateway, created_us, expires_us, used_us, ended_us FROM voucher"
    " WHERE tenant_id = %(tenant)s AND made_by = %(person)s ORDER BY voucher_id",
    "actions": "SELECT action_id, at_us, by, name, subject, document FROM action"
    " WHERE tenant_id = %(tenant)s AND (by = %(ref)s OR subject = %(ref)s) ORDER BY action_id",
    "approvals": "SELECT approval_id, action, subject, asked_us, ends_us, decided_us, agreed, reason, asked_by = %(person)s AS asked FROM approval"
    " WHERE tenant_id = %(tenant)s AND (asked_by = %(person)s OR decided_by = %(person)s OR subject = %(ref)s) ORDER BY approval_id",
}
_SECRET: Final = ("password", "totp", "totp_step")


async def everything(connection: Connection, person: Person) -> dict[str, Any]:
    """Secrets are named, not shown."""
    values = {"tenant": person.tenant_id, "person": person.id, "ref": person.ref}
    about = {key: value for key, value in asdict(person).items() if key not in _SECRET}
    about |= {"has_password": bool(person.password), "has_totp": person.totp is not None}
    found: dict[str, Any] = {"person": about}
    for name, query in _HELD.items():
        cursor = await connection.execute(query, values)
        rows: list[Any] = await cursor.fetchall()
        columns = [column.name for column in cursor.description or ()]
        found[name] = [dict(zip(columns, row, strict=True)) for row in rows]
    return found


class Privacy:
    def __init__(self, clock: Clock, approvals: Approvals, record: Record) -> None:
        self._clock, self._approvals, self._record = clock, approvals, record

    async def hold(self, connection: Connection, principal: Principal, person: Person, reason: str | None) -> None:
        """reason None: the hold ends."""
        since_us = None if reason is None else (person.held_us or self._clock.now_us())
        await people_store.set_hold(connection, person.tenant_id, person.id, since_us, reason or "")
        await self._record(connection, principal.actor, "hold-person" if reason else "end-hold", person.ref, {})

    async def ask(self, connection: Connection, principal: Principal, person: Person) -> Approval:
        """Raises Problem where it cannot be."""
        if person.id == principal.person_id:
            raise Problem("forbidden", "nobody erases themselves; another admin has to ask for it")
        await self._check(connection, person)
        return await self._approvals.ask(connection, principal, ERASE, person.ref, {"person": person.id})

    async def erase(self, connection: Connection, actor: Actor, approval: Approval) -> None:
        """What is done when the second person has agreed."""
        await people_store.lock(connection, actor.tenant_id)
        person = await people_store.by_id(connection, actor.tenant_id, approval.body["person"])
        if person is None:
            raise Problem("not-found", "the person is erased already")
        await self._check(connection, person)
        now_us = self._clock.now_us()
        await people_store.forget_factors(connection, person.tenant_id, person.id)
        await session_store.forget_sessions(connection, person.tenant_id, person.id)
        await token_store.end_beyond(connection, person.tenant_id, person.id, (), now_us)
        nobody = hashlib.sha256(secrets.token_bytes(32)).digest()
        await people_store.erase(connection, person.tenant_id, person.id, f"erased-{person.id}", nobody, now_us)
        await self._record(connection, actor, "erase-person", person.ref, {})

    async def _check(self, connection: Connection, person: Person) -> None:
        if person.held_us is not None:
            raise Problem("conflict", f"a legal hold stops the erasure: {person.held_reason}", held_us=person.held_us)
        is_admin = person.role == Role.ADMIN and person.disabled_us is None
        if is_admin and not await people_store.others_with_role(connection, person.tenant_id, Role.ADMIN.value, person.id):
            raise Problem("conflict", "this is the last admin who can sign in; make another one first")
