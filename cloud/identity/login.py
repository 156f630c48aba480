"""The door: who somebody says they are, proved by password, one-time code, recovery code. What a proof is worth is decided here, not in HTTP.

Rules: every refusal is the same `Problem("wrong-credentials")`, takes as long, and says nothing about whether the name exists; ten wrong
answers in a row close the door for that person for a quarter of an hour, also to the right answer; a code is good once; a challenge
is good once, for five minutes. Argon2id runs in threads, two at a time, so that a flood of guesses starves nobody.
"""

import asyncio
import base64
import secrets
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

from cloud.db import Connection, Database
from cloud.errors import Problem
from cloud.identity import people_store, session_store, totp
from cloud.identity.actor import HUB, Actor, Record
from cloud.identity.credentials import hash_secret, make_secret
from cloud.identity.passwords import Sealer, is_password
from cloud.identity.people_store import Person
from cloud.identity.session_store import Challenge
from protocols.clock import Clock

MOST_FAILURES: Final = 10
LOCKED_US: Final = 15 * 60 * 1_000_000
CHALLENGE_US: Final = 5 * 60 * 1_000_000
RECOVERY_CODES: Final = 10
CHALLENGE_PREFIX: Final = "qzc_"
_AT_ONCE: Final = 2
REFUSED: Final = "name, password or code are not right, or there were too many attempts; wait 15 minutes and try again"


@dataclass(frozen=True, slots=True)
class Waiting:
    """The password was right; one of `factors` has to follow with the secret of the challenge."""

    secret: str
    factors: tuple[str, ...]


def refused() -> Problem:
    return Problem("wrong-credentials", REFUSED)


def recovery_code() -> str:
    """80 random bits in four groups of base 32."""
    text = base64.b32encode(secrets.token_bytes(10)).decode().lower()
    return "-".join(text[at : at + 4] for at in range(0, 16, 4))


def recovery_hash(person: Person, code: str) -> bytes:
    return hash_secret(f"{person.place} {code.strip().lower()}")


def totp_uri(secret: bytes, person_name: str, tenant: str) -> str:
    """For the QR code of an authenticator (Key URI Format)."""
    label = quote(f"Qenergyz {tenant}:{person_name}")
    query = urlencode({"secret": base64.b32encode(secret).decode().rstrip("="), "issuer": f"Qenergyz {tenant}"}, quote_via=quote)
    return f"otpauth://totp/{label}?{query}"


class Door:
    def __init__(self, db: Database, clock: Clock, threads: Executor, sealer: Sealer, record: Record) -> None:
        self.db, self.clock, self.sealer, self.record = db, clock, sealer, record
        self._threads = threads
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def knock(self, tenant: str, name: str, password: str) -> tuple[Person, Waiting | None]:
        """The person the password is of; Waiting when a second factor has to follow. Raises Problem."""
        person = await people_store.by_login(self.db, tenant, name)
        right = await self._is_password(person.password if person else "", password)
        if person is None:
            raise refused()
        await self.settle(person, right)
        async with self.db.tenant(person.tenant_id) as connection:
            factors = await people_store.second_factors(connection, person)
            if not factors:
                await people_store.clear_failures(connection, person.tenant_id, person.id)
                return person, None
            secret = await self.challenge(connection, person, "sign-in")
        return person, Waiting(secret, factors)

    async def answer(self, secret: str, *, code: str | None = None, recovery: str | None = None) -> tuple[Person, str]:
        """The person of a sign-in challenge who gave the right code, and the method as RFC 8176 calls it. Raises Problem."""
        challenge = await self.open_challenge(secret, "sign-in")
        person = await self.person(challenge)
        method = await self.prove(person, code=code, recovery=recovery)
        await self.close_challenge(challenge, secret)
        return person, method

    async def prove(self, person: Person, *, password: str | None = None, code: str | None = None, recovery: str | None = None) -> str:
        """Exactly one proof of the person. Returns the method ("pwd", "otp", "rec"). Raises Problem."""
        if sum(given is not None for given in (password, code, recovery)) != 1:
            raise Problem("invalid-request", "expected exactly one of password, code and recovery")
        if password is not None:
            right, method = await self._is_password(person.password, password), "pwd"
        elif code is not None:
            right, method = await self._is_code(person, code), "otp"
        else:
            right, method = await self._is_recovery(person, recovery or ""), "rec"
        await self.settle(person, right)
        async with self.db.tenant(person.tenant_id) as connection:
            await people_store.clear_failures(connection, person.tenant_id, person.id)
        return method

    async def challenge(
        self, connection: Connection, person: Person, purpose: str, state: dict[str, Any] | None = None, length_us: int = CHALLENGE_US
    ) -> str:
        secret = make_secret(CHALLENGE_PREFIX)
        ends_us = self.clock.now_us() + length_us
        await session_store.add_challenge(connection, person.tenant_id, hash_secret(secret), person.id, purpose, ends_us, state)
        return secret

    async def open_challenge(self, secret: str, purpose: str) -> Challenge:
        """Raises Problem when it is not one that is waiting for this."""
        found = await session_store.find_challenge(self.db, hash_secret(secret))
        if found is None or found.purpose != purpose or found.used_us is not None or found.ends_us <= self.clock.now_us():
            raise Problem("wrong-credentials", "the step before has expired or was used; begin again")
        return found

    async def close_challenge(self, challenge: Challenge, secret: str) -> None:
        """Raises Problem when somebody else was faster."""
        async with self.db.tenant(challenge.tenant_id) as connection:
            if not await session_store.use_challenge(connection, challenge.tenant_id, hash_secret(secret), self.clock.now_us()):
                raise Problem("wrong-credentials", "the step before has expired or was used; begin again")

    async def person(self, challenge: Challenge) -> Person:
        async with self.db.tenant(challenge.tenant_id) as connection:
            found = await people_store.by_id(connection, challenge.tenant_id, challenge.person_id)
        if found is None or found.disabled_us is not None:
            raise refused()
        return found

    def open_totp(self, person: Person) -> bytes:
        assert person.totp is not None
        return self.sealer.open(person.totp, person.place)

    async def settle(self, person: Person, right: bool) -> None:
        """Count a wrong answer; refuse a wrong one, and any while the person is locked."""
        now_us = self.clock.now_us()
        if person.locked_us > now_us:
            raise refused()
        if not right:
            async with self.db.tenant(person.tenant_id) as connection:
                locked_us = now_us + LOCKED_US
                if await people_store.count_failure(connection, person.tenant_id, person.id, MOST_FAILURES, locked_us):
                    await self.record(connection, Actor(person.tenant_id, HUB), "lock-out", person.ref, {})
            raise refused()

    async def _is_password(self, stored: str, given: str) -> bool:
        async with self._turn:
            return await asyncio.get_running_loop().run_in_executor(self._threads, is_password, stored, given)

    async def _is_code(self, person: Person, code: str) -> bool:
        if person.totp is None:
            return False
        step = totp.matching_step(self.open_totp(person), code.replace(" ", ""), self.clock.now_us() // 1_000_000)
        if step is None:
            return False
        async with self.db.tenant(person.tenant_id) as connection:
            return await people_store.use_totp(connection, person.tenant_id, person.id, step)

    async def _is_recovery(self, person: Person, code: str) -> bool:
        async with self.db.tenant(person.tenant_id) as connection:
            hashed = recovery_hash(person, code)
            return await people_store.use_recovery(connection, person.tenant_id, person.id, hashed, self.clock.now_us())
