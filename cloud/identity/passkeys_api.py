"""HTTP of passkeys: adding and removing one's own, and answering with one, as the second step of a sign-in or for a step-up."""

import base64
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from cloud.db import Connection
from cloud.errors import Problem
from cloud.identity import passkey_store, people_store, session_store
from cloud.identity.actor import HUB, Actor
from cloud.identity.credentials import Principal, hash_secret
from cloud.identity.gate import Gate, secret_answer, session_cookie
from cloud.identity.login import RECOVERY_CODES, Door, recovery_code, recovery_hash, refused
from cloud.identity.me_api import Me, Myself
from cloud.identity.passkey_store import Passkey
from cloud.identity.passkeys import Answered, Party, PasskeyError
from cloud.identity.people_store import Person
from cloud.identity.session_api import Sessions, strengthen
from cloud.identity.session_store import Challenge
from cloud.identity.throttle import Throttle

NEW: Final = "passkey-new"
STEP_UP: Final = "passkey-step-up"
SIGN_IN: Final = "sign-in"
MOST: Final = 20  # of one person
Secret = Annotated[str, Field(min_length=1, max_length=200)]
CredentialId = Annotated[str, Path(min_length=1, max_length=1400, pattern=r"^[A-Za-z0-9_-]+$", description="as the list shows it")]


class NewPasskey(BaseModel):
    """credential: what navigator.credentials.create gave, as its toJSON() writes it. label: to tell it from others."""

    model_config = ConfigDict(extra="forbid")
    challenge: Secret
    label: Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f]+$")]
    credential: dict[str, Any]


class PasskeyStep(BaseModel):
    """challenge: of the sign-in that waits for its second step; null for a step-up of this session."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"challenge": "qzc_..."}, {}]})
    challenge: Secret | None = None


class PasskeyAnswer(BaseModel):
    """credential: what navigator.credentials.get gave, as its toJSON() writes it."""

    model_config = ConfigDict(extra="forbid")
    challenge: Secret
    credential: dict[str, Any]


class Passkeys:
    """origin: where pages come from when a proxy stands before the hub; None: as the request says."""

    def __init__(self, door: Door, origin: str | None) -> None:
        self.door, self._origin = door, origin

    def party(self, request: Request) -> Party:
        origin = self._origin or f"{request.url.scheme}://{request.url.netloc}"
        return Party(urlsplit(origin).hostname or "", origin)

    async def known(self, person: Person) -> list[Passkey]:
        async with self.door.db.tenant(person.tenant_id) as connection:
            return await passkey_store.of_person(connection, person.tenant_id, person.id)

    async def prove(self, request: Request, challenge: Challenge, secret: str, answer: dict[str, Any]) -> Person:
        """The person whose passkey answered. What was asked for is used up, whatever comes of it. Raises Problem."""
        person, door = await self.door.person(challenge), self.door
        state = challenge.state.get("passkey")
        if not state:
            raise Problem("wrong-credentials", "ask for new options (POST /v1/session/passkey/options) and answer those")
        async with door.db.tenant(person.tenant_id) as connection:
            await session_store.note_in_challenge(connection, person.tenant_id, hash_secret(secret), {})
        try:
            found: Answered | None = self.party(request).read(state, await self.known(person), answer)
        except PasskeyError:
            found = None
        await door.settle(person, found is not None)
        if found is None:
            raise refused()
        await door.close_challenge(challenge, secret)
        async with door.db.tenant(person.tenant_id) as connection:
            used = await passkey_store.use(connection, person.tenant_id, person.id, found.id, found.sign_count, door.clock.now_us())
            if not used:
                await door.record(connection, Actor(person.tenant_id, HUB), "passkey-cloned", person.ref, {"sign_count": found.sign_count})
            else:
                await people_store.clear_failures(connection, person.tenant_id, person.id)
        if not used:
            raise refused()
        return person


def routes(passkeys: Passkeys, gate: Gate, myself: Myself, sessions: Sessions, throttle: Throttle) -> APIRouter:
    router = APIRouter()
    _own_routes(router, passkeys, myself)
    _session_routes(router, passkeys, gate, sessions, throttle)
    return router


def _own_routes(router: APIRouter, passkeys: Passkeys, myself: Myself) -> None:
    me = Annotated[Me, Depends(myself.known)]
    fresh = Annotated[Me, Depends(myself.fresh)]
    door = passkeys.door

    @router.get("/v1/me/passkeys", tags=["me"])
    async def get_passkeys(who: me) -> Response:
        found = await passkeys.known(who[1])
        shown = [{"id": _text(one.id), "label": one.label, "created_us": one.created_us, "used_us": one.used_us} for one in found]
        return secret_answer({"passkeys": shown})

    @router.post("/v1/me/passkeys/options", tags=["me"], status_code=201)
    async def begin(request: Request, who: fresh) -> Response:
        """publicKey: options for navigator.credentials.create, as PublicKeyCredential.parseCreationOptionsFromJSON reads them."""
        _, person = who
        known = await passkeys.known(person)
        if len(known) >= MOST:
            raise Problem("conflict", f"you have {MOST} passkeys; remove one first")
        options, state = passkeys.party(request).ask_new(person, known)
        async with door.db.tenant(person.tenant_id) as connection:
            challenge = await door.challenge(connection, person, NEW, {"passkey": state})
        return secret_answer({"challenge": challenge, **options}, 201)

    @router.post("/v1/me/passkeys", tags=["me"], status_code=201)
    async def add(request: Request, who: me, body: NewPasskey) -> Response:
        """With the first second factor come recovery codes, shown once."""
        principal, person = who
        challenge = await door.open_challenge(body.challenge, NEW)
        if (challenge.tenant_id, challenge.person_id) != (person.tenant_id, person.id):
            raise Problem("wrong-credentials", "the step before belongs to somebody else")
        await door.close_challenge(challenge, body.challenge)
        try:
            found = passkeys.party(request).read_new(challenge.state["passkey"], body.credential)
        except PasskeyError as error:
            raise Problem("wrong-credentials", f"the authenticator's answer does not fit what was asked: {error}") from error
        made = Passkey(found.id, found.credential, found.sign_count, body.label, door.clock.now_us(), None)
        async with door.db.tenant(person.tenant_id) as connection:
            before = await people_store.second_factors(connection, person)
            if not await passkey_store.add(connection, person.tenant_id, person.id, made):
                raise Problem("conflict", "this passkey is known already")
            codes = await _codes(connection, person) if not before else []
            await door.record(connection, principal.actor, "add-passkey", person.ref, {})
        return secret_answer({"id": _text(made.id), "label": made.label, "recovery_codes": codes}, 201)

    @router.delete("/v1/me/passkeys/{passkey_id}", tags=["me"], status_code=204)
    async def remove(who: fresh, passkey_id: CredentialId) -> Response:
        principal, person = who
        try:
            credential_id = base64.urlsafe_b64decode(passkey_id + "=" * (-len(passkey_id) % 4))
        except ValueError as error:
            raise Problem("not-found", "you have no such passkey") from error
        async with door.db.tenant(person.tenant_id) as connection:
            if not await passkey_store.remove(connection, person.tenant_id, person.id, credential_id):
                raise Problem("not-found", "you have no such passkey")
            await door.record(connection, principal.actor, "remove-passkey", person.ref, {})
        return Response(status_code=204)


def _session_routes(router: APIRouter, passkeys: Passkeys, gate: Gate, sessions: Sessions, throttle: Throttle) -> None:
    door = passkeys.door

    async def signed_in(request: Request) -> tuple[Principal, Person]:
        principal = await gate.known(request)
        if principal.person_id is None or principal.session_id is None:
            raise Problem("forbidden", "only a signed-in person can step up; a program asks for a new access token with a code")
        async with door.db.tenant(principal.tenant_id) as connection:
            person = await people_store.by_id(connection, principal.tenant_id, principal.person_id)
        if person is None:
            raise refused()
        return principal, person

    @router.post("/v1/session/passkey/options", tags=["session"], status_code=201)
    async def ask(request: Request, body: PasskeyStep) -> Response:
        """publicKey: options for navigator.credentials.get. challenge: goes back with the answer."""
        throttle.take(request)
        if body.challenge is None:
            _, person = await signed_in(request)
        else:
            person = await door.person(await door.open_challenge(body.challenge, SIGN_IN))
        known = await passkeys.known(person)
        if not known:
            raise Problem("conflict", "this person has no passkey; answer with another second factor")
        options, state = passkeys.party(request).ask(known)
        async with door.db.tenant(person.tenant_id) as connection:
            if body.challenge is None:
                challenge = await door.challenge(connection, person, STEP_UP, {"passkey": state})
            else:
                challenge = body.challenge
                await session_store.note_in_challenge(connection, person.tenant_id, hash_secret(challenge), {"passkey": state})
        return secret_answer({"challenge": challenge, **options}, 201)

    @router.post("/v1/session/passkey", tags=["session"], status_code=201)
    async def answer(request: Request, body: PasskeyAnswer) -> Response:
        """201 with the session: a new one, or this one after a step-up."""
        throttle.take(request)
        found = await session_store.find_challenge(door.db, hash_secret(body.challenge))
        if found is None or found.purpose != STEP_UP:
            challenge = await door.open_challenge(body.challenge, SIGN_IN)
            person = await passkeys.prove(request, challenge, body.challenge, body.credential)
            return await sessions.begin(request, person, ("pwd", "hwk", "mfa"))
        principal, person = await signed_in(request)
        challenge = await door.open_challenge(body.challenge, STEP_UP)
        if (challenge.tenant_id, challenge.person_id) != (person.tenant_id, person.id):
            raise Problem("wrong-credentials", "the step before belongs to somebody else")
        await passkeys.prove(request, challenge, body.challenge, body.credential)
        return secret_answer(await strengthen(sessions, principal, "hwk", session_cookie(request)), 201)


async def _codes(connection: Connection, person: Person) -> list[str]:
    codes = [recovery_code() for _ in range(RECOVERY_CODES)]
    await people_store.set_recovery(connection, person.tenant_id, person.id, [recovery_hash(person, code) for code in codes])
    return codes


def _text(credential_id: bytes) -> str:
    return base64.urlsafe_b64encode(credential_id).decode().rstrip("=")
