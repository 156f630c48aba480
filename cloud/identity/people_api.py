"""HTTP of people: list, invite, change, disable, reset; accepting an invitation; the roles and what they may."""

from concurrent.futures import Executor
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from cloud.errors import Problem
from cloud.identity import people_store
from cloud.identity.approval_store import Approval
from cloud.identity.credentials import Principal
from cloud.identity.factors_api import Password, new_password
from cloud.identity.gate import Gate, secret_answer
from cloud.identity.login import Door
from cloud.identity.me_api import Id
from cloud.identity.people import INVITATION, Change, Invited, People
from cloud.identity.people_store import Person
from cloud.identity.roles import FOUR_EYES, ROLES, SCOPES, STEP_UP, Role
from cloud.identity.session_api import Sessions
from cloud.identity.throttle import Throttle
from cloud.identity.versions import IfMatch, etag, followed

MOST: Final = 500
Login = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]*$")]
Display = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]+$")]
After = Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$", description="`next` of the page before")]


class NewPerson(BaseModel):
    """name: what they sign in with. display: what others see."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "alia", "display": "Alia N.", "role": "operator"}]})
    name: Login
    display: Display
    role: Role


class PersonChange(BaseModel):
    """What is given is changed."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"role": "risk_manager"}, {"disabled": True}]})
    display: Display | None = None
    role: Role | None = None
    disabled: bool | None = None


class Acceptance(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"invitation": "qzc_...", "password": "a long password"}]})
    invitation: Annotated[str, Field(min_length=1, max_length=200)]
    password: Password


def person_json(person: Person, passkey: bool, now_us: int) -> dict[str, Any]:
    """state: active, invited (has not set a password), locked (too many wrong answers) or disabled."""
    state = "active" if person.password or person.subject else "invited"
    if person.disabled_us is not None:
        state = "disabled"
    elif person.locked_us > now_us:
        state = "locked"
    return {
        "id": person.id,
        "name": person.name,
        "display": person.display,
        "role": person.role,
        "state": state,
        "second_factors": [name for name, there in (("totp", person.totp is not None), ("passkey", passkey)) if there],
        "company_sign_in": bool(person.subject),
        "version": person.version,
        "created_us": person.created_us,
        "disabled_us": person.disabled_us,
        "held_us": person.held_us,
        "held_reason": person.held_reason,
    }


def asked_json(approval: Approval | None) -> dict[str, Any] | None:
    return None if approval is None else {"id": approval.id, "action": approval.action, "ends_us": approval.ends_us}


def routes(people: People, door: Door, gate: Gate, sessions: Sessions, throttle: Throttle, threads: Executor) -> APIRouter:
    router = APIRouter(tags=["people"])
    reader = Annotated[Principal, Depends(gate.needs("read:people"))]
    writer = Annotated[Principal, Depends(gate.needs("write:people"))]

    def invited(found: Invited) -> Response:
        document = {
            "person": person_json(found.person, False, door.clock.now_us()),
            "invitation": found.invitation,
            "ends_us": found.ends_us,
            "approval": asked_json(found.approval),
        }
        reply = secret_answer(document, 201 if found.approval is None else 202)
        reply.headers.update(etag(found.person.version))
        return reply

    @router.get("/v1/roles", dependencies=[Depends(gate.known)])
    async def get_roles() -> Response:
        """What every role may, which scopes ask for a fresh proof, and what needs two people."""
        document = {
            "scopes": dict(SCOPES),
            "roles": {role.value: sorted(held) for role, held in ROLES.items()},
            "step_up": sorted(STEP_UP),
            "four_eyes": dict(FOUR_EYES),
        }
        return secret_answer(document)

    @router.get("/v1/people")
    async def get_people(principal: reader, limit: Annotated[int, Query(ge=1, le=MOST)] = 100, after: After = "") -> Response:
        """In the order of their names; `next`, where it is not null, is the `after` of the following page."""
        async with door.db.tenant(principal.tenant_id) as connection:
            found = await people_store.page(connection, principal.tenant_id, limit, after)
            with_passkey = await people_store.factors_of(connection, principal.tenant_id, [one.id for one in found])
        now_us = door.clock.now_us()
        documents = [person_json(one, one.id in with_passkey, now_us) for one in found]
        return secret_answer({"people": documents, "next": found[-1].name if len(found) == limit else None})

    @router.get("/v1/people/{person_id}")
    async def get_person(principal: reader, person_id: Id) -> Response:
        async with door.db.tenant(principal.tenant_id) as connection:
            person = await people.find(connection, principal.tenant_id, person_id)
            with_passkey = await people_store.factors_of(connection, principal.tenant_id, [person_id])
        reply = secret_answer(person_json(person, person_id in with_passkey, door.clock.now_us()))
        reply.headers.update(etag(person.version))
        return reply

    @router.post("/v1/people", status_code=201)
    async def invite(principal: writer, body: NewPerson) -> Response:
        """The invitation is shown once. 202: an admin comes in when somebody else has agreed to the approval."""
        return invited(await people.invite(principal, body.name, body.display, body.role))

    @router.patch("/v1/people/{person_id}")
    async def change(principal: writer, person_id: Id, body: PersonChange, if_match: IfMatch = None) -> Response:
        """If-Match is needed; 412 when somebody else was faster. 202: becoming an admin waits for the approval, everything else is done."""
        person, approval = await people.change(principal, person_id, followed(if_match), Change(body.display, body.role, body.disabled))
        async with door.db.tenant(principal.tenant_id) as connection:
            with_passkey = await people_store.factors_of(connection, principal.tenant_id, [person_id])
        document = {"person": person_json(person, person_id in with_passkey, door.clock.now_us()), "approval": asked_json(approval)}
        reply = secret_answer(document, 200 if approval is None else 202)
        reply.headers.update(etag(person.version))
        return reply

    @router.post("/v1/people/{person_id}/reset", status_code=201)
    async def reset(principal: writer, person_id: Id) -> Response:
        """Password and second factors are gone, sessions have ended; the new invitation is shown once."""
        return invited(await people.reset(principal, person_id))

    @router.post("/v1/invitations", status_code=201)
    async def accept(request: Request, body: Acceptance) -> Response:
        """The first password of who was invited; begins a session like a sign-in."""
        throttle.take(request)
        try:
            person = await door.person(await door.open_challenge(body.invitation, INVITATION))
        except Problem as error:
            detail = "the invitation is unknown, was used, has ended, or still waits for a second person's agreement; ask for another one"
            raise Problem("wrong-credentials", detail) from error
        hashed = await new_password(threads, person, body.password)
        person = await people.accept(body.invitation, hashed)
        return await sessions.begin(request, person, ("pwd",))

    return router
