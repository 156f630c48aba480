"""HTTP of one's own proofs: password, one-time codes, recovery codes. Whoever changes them has proved just now who they are."""

import asyncio
import base64
import secrets
from concurrent.futures import Executor
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field

from cloud.errors import Problem
from cloud.identity import people_store, session_store, totp
from cloud.identity.actor import Record
from cloud.identity.gate import secret_answer
from cloud.identity.login import RECOVERY_CODES, Door, recovery_code, recovery_hash, totp_uri
from cloud.identity.me_api import Me, Myself
from cloud.identity.passwords import WeakPassword, check_strength, hash_password
from cloud.identity.people_store import Person
from protocols.clock import Clock

SETUP: Final = "totp"
Password = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]


class NewPassword(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"old": "the present one", "new": "a new and longer one"}]})
    old: Password
    new: Password


class TotpAnswer(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"challenge": "qzc_...", "code": "123456"}]})
    challenge: Annotated[str, Field(min_length=1, max_length=200)]
    code: Annotated[str, Field(min_length=6, max_length=16)]


async def new_password(threads: Executor, person: Person, password: str) -> str:
    """Hashed. Raises Problem where it is weak."""
    try:
        check_strength(password, person.name, person.display)
    except WeakPassword as error:
        raise Problem("invalid-request", f"password: {error}") from error
    return await asyncio.get_running_loop().run_in_executor(threads, hash_password, password)


def routes(door: Door, myself: Myself, threads: Executor, record: Record) -> APIRouter:
    router = APIRouter(tags=["me"], prefix="/v1/me")
    clock = door.clock
    me = Annotated[Me, Depends(myself.known)]

    @router.put("/password", status_code=204)
    async def change_password(who: me, body: NewPassword) -> Response:
        """Ends every other session and refresh token."""
        principal, person = who
        await door.prove(person, password=body.old)
        hashed = await new_password(threads, person, body.new)
        async with door.db.tenant(person.tenant_id) as connection:
            await people_store.set_password(connection, person.tenant_id, person.id, hashed)
            await session_store.end_everything(connection, person.tenant_id, person.id, clock.now_us(), but=principal.session_id or 0)
            await record(connection, principal.actor, "change-password", person.ref, {})
        return Response(status_code=204)

    _totp_routes(router, door, clock, myself, record)
    return router


def _totp_routes(router: APIRouter, door: Door, clock: Clock, myself: Myself, record: Record) -> None:
    me = Annotated[Me, Depends(myself.known)]
    fresh = Annotated[Me, Depends(myself.fresh)]

    @router.post("/totp", status_code=201)
    async def begin_totp(who: fresh) -> Response:
        """A key for an authenticator, shown once. It counts when its first code comes back with PUT."""
        principal, person = who
        secret = secrets.token_bytes(20)
        async with door.db.tenant(person.tenant_id) as connection:
            state = {"sealed": door.sealer.seal(secret, person.place).hex()}
            challenge = await door.challenge(connection, person, SETUP, state)
        key = base64.b32encode(secret).decode()
        return secret_answer({"challenge": challenge, "key": key, "uri": totp_uri(secret, person.name, principal.tenant)}, 201)

    @router.put("/totp")
    async def finish_totp(who: me, body: TotpAnswer) -> Response:
        """Answers with the recovery codes, shown once."""
        principal, person = who
        challenge = await door.open_challenge(body.challenge, SETUP)
        if (challenge.tenant_id, challenge.person_id) != (person.tenant_id, person.id):
            raise Problem("wrong-credentials", "the step before belongs to somebody else")
        sealed = bytes.fromhex(challenge.state["sealed"])
        step = totp.matching_step(door.sealer.open(sealed, person.place), body.code.replace(" ", ""), clock.now_us() // 1_000_000)
        if step is None:
            raise Problem("wrong-credentials", "the code does not fit the key; check the clock of the authenticator")
        await door.close_challenge(challenge, body.challenge)
        codes = [recovery_code() for _ in range(RECOVERY_CODES)]
        async with door.db.tenant(person.tenant_id) as connection:
            await people_store.set_totp(connection, person.tenant_id, person.id, sealed, step)
            await people_store.set_recovery(connection, person.tenant_id, person.id, [recovery_hash(person, code) for code in codes])
            await record(connection, principal.actor, "set-up-totp", person.ref, {})
        return secret_answer({"recovery_codes": codes})

    @router.delete("/totp", status_code=204)
    async def remove_totp(who: fresh) -> Response:
        principal, person = who
        async with door.db.tenant(person.tenant_id) as connection:
            await people_store.set_totp(connection, person.tenant_id, person.id, None, person.totp_step)
            await record(connection, principal.actor, "remove-totp", person.ref, {})
        return Response(status_code=204)

    @router.post("/recovery-codes", status_code=201)
    async def make_recovery(who: fresh) -> Response:
        """New ones; the old ones are worth nothing any more."""
        principal, person = who
        codes = [recovery_code() for _ in range(RECOVERY_CODES)]
        async with door.db.tenant(person.tenant_id) as connection:
            await people_store.set_recovery(connection, person.tenant_id, person.id, [recovery_hash(person, code) for code in codes])
            await record(connection, principal.actor, "make-recovery-codes", person.ref, {})
        return secret_answer({"recovery_codes": codes}, 201)
