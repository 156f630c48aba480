"""Who works here: inviting, changing, disabling and resetting people. The rules; HTTP is in people_api, SQL in people_store.

Nobody changes their own role or disables themselves. One admin who can sign in is always left. Becoming an admin, also by being enabled again,
needs a second person's agreement. Whoever loses a role loses at once the sessions and the API tokens that went beyond what is left. An
invitation is a secret that is shown once, to whoever invited, and is worth nothing as soon as it is used or another one is made.
"""

from dataclasses import dataclass, replace
from typing import Final

from cloud.db import Connection, Database
from cloud.errors import Problem
from cloud.identity import people_store, session_store, token_store
from cloud.identity.actor import Actor, Record
from cloud.identity.approval_store import Approval
from cloud.identity.approvals import Approvals
from cloud.identity.credentials import Principal
from cloud.identity.login import Door
from cloud.identity.people_store import Person
from cloud.identity.roles import ROLES, Role, grantable
from cloud.identity.tenants import Tenants
from cloud.identity.versions import outrun
from protocols.clock import Clock

INVITATION: Final = "invitation"
INVITATION_US: Final = 3 * 86_400 * 1_000_000
GRANT_ADMIN: Final = "grant-admin"


@dataclass(frozen=True, slots=True)
class Change:
    """What is not None is changed."""

    display: str | None = None
    role: Role | None = None
    disabled: bool | None = None


@dataclass(frozen=True, slots=True)
class Invited:
    """invitation: the secret, shown once; ends_us: until then it can be used. approval: what has to be agreed to before it can."""

    person: Person
    invitation: str
    ends_us: int
    approval: Approval | None = None


class People:
    def __init__(self, door: Door, approvals: Approvals, tenants: Tenants) -> None:
        self._door, self._approvals, self._tenants = door, approvals, tenants
        self._db: Database = door.db
        self._clock: Clock = door.clock
        self._record: Record = door.record

    async def invite(self, principal: Principal, name: str, display: str, role: Role) -> Invited:
        """A new person. An admin is made disabled, until somebody else has agreed. Raises Problem."""
        tenant_id, now_us = principal.tenant_id, self._clock.now_us()
        async with self._db.tenant(tenant_id) as connection:
            await people_store.lock(connection, tenant_id)
            await self._tenants.room_for_person(connection, tenant_id)
            person_id = await people_store.add(connection, tenant_id, principal.tenant, name, display, role.value, now_us)
            if person_id is None:
                raise Problem("conflict", f'the name "{name}" is taken')
            person = await self.find(connection, tenant_id, person_id)
            approval = None
            await self._record(connection, principal.actor, "invite-person", person.ref, {"role": role.value})
            secret = await self._invitation(connection, person)
            if role is Role.ADMIN:
                person = await self._apply(connection, person, role, person.display, disabled=True)
                approval = await self._approvals.ask(connection, principal, GRANT_ADMIN, person.ref, {"person": person.id})
        return Invited(person, secret, now_us + INVITATION_US, approval)

    async def change(self, principal: Principal, person_id: int, follows: int, change: Change) -> tuple[Person, Approval | None]:
        """Everything that one person may do alone is done; becoming an admin is asked for. Raises Problem."""
        tenant_id = principal.tenant_id
        async with self._db.tenant(tenant_id) as connection:
            await people_store.lock(connection, tenant_id)
            person = await self.find(connection, tenant_id, person_id)
            if person.version != follows:
                raise outrun(follows, person.version)
            role = Role(person.role) if change.role is None else change.role
            was_off = person.disabled_us is not None
            off = was_off if change.disabled is None else change.disabled
            self._check_self(principal, person, role, off)
            becomes_admin = role is Role.ADMIN and not off and (person.role != Role.ADMIN or was_off)
            if becomes_admin:
                role, off = Role(person.role), was_off
            if person.role == Role.ADMIN and not was_off and (off or role is not Role.ADMIN):
                await self._check_not_last(connection, person)
            if was_off and not off:
                await self._tenants.room_for_person(connection, tenant_id)
            display = person.display if change.display is None else change.display
            if (role, off, display) != (person.role, was_off, person.display):
                person = await self._change(connection, principal.actor, person, role, display, off)
            approval = None
            if becomes_admin:
                approval = await self._approvals.ask(connection, principal, GRANT_ADMIN, person.ref, {"person": person.id})
        return person, approval

    async def reset(self, principal: Principal, person_id: int) -> Invited:
        """For who lost a password or a second factor: both are gone, sessions have ended, a new invitation lets the person in."""
        tenant_id, now_us = principal.tenant_id, self._clock.now_us()
        async with self._db.tenant(tenant_id) as connection:
            await people_store.lock(connection, tenant_id)
            person = await self.find(connection, tenant_id, person_id)
            if person.id == principal.person_id:
                raise Problem("forbidden", "nobody resets themselves; change your password and your second factors in your account")
            if person.disabled_us is not None and person.role != Role.ADMIN:
                raise Problem("conflict", "the person is disabled; enable them first")
            if person.subject:
                raise Problem("conflict", "the person signs in at the company's own identity provider; reset them there")
            await people_store.forget_factors(connection, tenant_id, person.id)
            await session_store.end_everything(connection, tenant_id, person.id, now_us)
            await self._record(connection, principal.actor, "reset-person", person.ref, {})
            secret = await self._invitation(connection, person)
            person = await self.find(connection, tenant_id, person_id)
        return Invited(person, secret, now_us + INVITATION_US)

    async def grant_admin(self, connection: Connection, actor: Actor, approval: Approval) -> None:
        """What is done when the second person has agreed."""
        await people_store.lock(connection, actor.tenant_id)
        person = await self.find(connection, actor.tenant_id, approval.body["person"])
        await self._change(connection, actor, person, Role.ADMIN, person.display, False)

    async def accept(self, invitation: str, hashed: str) -> Person:
        """The invited person with the password they chose. Raises Problem."""
        challenge = await self._door.open_challenge(invitation, INVITATION)
        person = await self._door.person(challenge)
        await self._door.close_challenge(challenge, invitation)
        async with self._db.tenant(person.tenant_id) as connection:
            await people_store.set_password(connection, person.tenant_id, person.id, hashed)
            await self._record(connection, Actor(person.tenant_id, person.ref), "accept-invitation", person.ref, {})
        return person

    @staticmethod
    async def find(connection: Connection, tenant_id: int, person_id: int) -> Person:
        person = await people_store.by_id(connection, tenant_id, person_id)
        if person is None:
            raise Problem("not-found", f"there is no person {person_id}")
        return person

    def _check_self(self, principal: Principal, person: Person, role: Role, off: bool) -> None:
        if principal.person_id == person.id and (role != person.role or off):
            raise Problem("forbidden", "nobody changes their own role or disables themselves; another admin has to")

    async def _check_not_last(self, connection: Connection, person: Person) -> None:
        if not await people_store.others_with_role(connection, person.tenant_id, Role.ADMIN.value, person.id):
            raise Problem("conflict", "this is the last admin who can sign in; make another one first")

    async def _change(self, connection: Connection, actor: Actor, person: Person, role: Role, display: str, off: bool) -> Person:
        detail: dict[str, object] = {}
        if role != person.role:
            detail["role"] = {"from": person.role, "to": role.value}
        if off != (person.disabled_us is not None):
            detail["disabled"] = off
        if display != person.display:
            detail["display"] = "changed"  # the name itself is the person's and stays out of the log
        changed = await self._apply(connection, person, role, display, disabled=off)
        await self._record(connection, actor, "change-person", person.ref, detail)
        return changed

    async def _apply(self, connection: Connection, person: Person, role: Role, display: str, *, disabled: bool) -> Person:
        now_us = self._clock.now_us()
        disabled_us = (person.disabled_us or now_us) if disabled else None
        arguments = (connection, person.tenant_id, person.id, person.version)
        if not await people_store.change(*arguments, display=display, role=role.value, disabled_us=disabled_us):
            raise Problem("precondition-failed", "somebody changed the person in the same moment; read it again, then decide")
        if disabled:
            await session_store.end_everything(connection, person.tenant_id, person.id, now_us)
        await token_store.end_beyond(connection, person.tenant_id, person.id, () if disabled else tuple(grantable(ROLES[role])), now_us)
        return replace(person, display=display, role=role.value, disabled_us=disabled_us, version=person.version + 1)

    async def _invitation(self, connection: Connection, person: Person) -> str:
        """The only one that is good."""
        await session_store.drop_challenges(connection, person.tenant_id, person.id, INVITATION)
        return await self._door.challenge(connection, person, INVITATION, length_us=INVITATION_US)
