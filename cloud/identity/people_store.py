"""SQL of people: who they are, their role, password, one-time code key, recovery codes. Changes inside a caller's transaction."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cloud.db import Connection, Database
from cloud.identity.actor import person_ref

_COLUMNS: Final = (
    "person_id, tenant_id, name, display, role, password, totp, totp_step, failures, locked_us, issuer, subject, preferences, version,"
    " created_us, disabled_us, held_us, held_reason"
)
_LOCK: Final = 0x70656F  # first part of the advisory lock; the second is the tenant


@dataclass(frozen=True, slots=True)
class Person:
    """failures: wrong answers in a row. locked_us: until then nobody gets in as this person. held_us: since then the data may not be erased."""

    id: int
    tenant_id: int
    name: str
    display: str
    role: str
    password: str = field(repr=False)
    totp: bytes | None = field(repr=False)
    totp_step: int
    failures: int
    locked_us: int
    issuer: str
    subject: str
    preferences: Mapping[str, Any]
    version: int
    created_us: int
    disabled_us: int | None
    held_us: int | None
    held_reason: str

    @property
    def place(self) -> str:
        """Whose secrets they are, for sealing."""
        return f"person {self.tenant_id}/{self.id}"

    @property
    def ref(self) -> str:
        """As the journal names them."""
        return person_ref(self.id)


def login_digest(tenant: str, name: str) -> bytes:
    """By which a person is found before the tenant is known."""
    return hashlib.sha256(f"{tenant}\0{name.strip().lower()}".encode()).digest()


async def add(
    connection: Connection,
    tenant_id: int,
    tenant: str,
    name: str,
    display: str,
    role: str,
    at_us: int,
    password: str = "",
    subject: tuple[str, str] = ("", ""),
) -> int | None:
    """password: hashed, '' = none. subject: (issuer, subject) at another identity provider. None when the name is taken."""
    cursor = await connection.execute(
        "INSERT INTO person (tenant_id, login, name, display, role, password, issuer, subject, created_us)"
        " VALUES (%s, %b, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING person_id",
        (tenant_id, login_digest(tenant, name), name.strip().lower(), display, role, password, *subject, at_us),
    )
    row: Any = await cursor.fetchone()
    return None if row is None else int(row[0])


async def by_login(db: Database, tenant: str, name: str) -> Person | None:
    """Disabled and erased people are not found."""
    digest = login_digest(tenant, name)
    async with db.credential(digest) as connection:
        found = await _read(connection, "login = %b AND disabled_us IS NULL", digest)
    return found[0] if found else None


async def by_subject(connection: Connection, tenant_id: int, issuer: str, subject: str) -> Person | None:
    """As another identity provider knows them."""
    condition = "tenant_id = %s AND issuer = %s AND subject = %s AND disabled_us IS NULL"
    found = await _read(connection, condition, tenant_id, issuer, subject)
    return found[0] if found else None


async def by_id(connection: Connection, tenant_id: int, person_id: int) -> Person | None:
    """Disabled people too."""
    found = await _read(connection, "tenant_id = %s AND person_id = %s", tenant_id, person_id)
    return found[0] if found else None


async def page(connection: Connection, tenant_id: int, limit: int, after: str) -> list[Person]:
    """In the order of their login names, those after `after`."""
    return await _read(connection, "tenant_id = %s AND name > %s", tenant_id, after, limit=limit)


async def lock(connection: Connection, tenant_id: int) -> None:
    """One change of who there is at a time in a tenant, so that two admins cannot disable each other: held to the end of the transaction."""
    await connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_LOCK, tenant_id))


async def count(connection: Connection, tenant_id: int) -> int:
    """Those who can sign in or are invited."""
    cursor = await connection.execute(
        "SELECT count(*) FROM person WHERE tenant_id = %s AND disabled_us IS NULL AND erased_us IS NULL", (tenant_id,)
    )
    row: Any = await cursor.fetchone()
    return int(row[0])


async def others_with_role(connection: Connection, tenant_id: int, role: str, but: int) -> int:
    """How many other people of the role can sign in; who is only invited does not count."""
    cursor = await connection.execute(
        "SELECT count(*) FROM person WHERE tenant_id = %s AND role = %s AND person_id <> %s AND disabled_us IS NULL"
        " AND erased_us IS NULL AND (password <> '' OR subject <> '')",
        (tenant_id, role, but),
    )
    row: Any = await cursor.fetchone()
    return int(row[0])


async def called(connection: Connection, tenant_id: int, ids: Sequence[int]) -> dict[int, str]:
    """What these people are called now; whoever was erased by their pseudonym."""
    cursor = await connection.execute(
        "SELECT person_id, name FROM person WHERE tenant_id = %s AND person_id = ANY(%s)", (tenant_id, list(ids))
    )
    rows: list[Any] = await cursor.fetchall()
    return {int(row[0]): str(row[1]) for row in rows}


async def factors_of(connection: Connection, tenant_id: int, ids: Sequence[int]) -> set[int]:
    """Which of these people have a passkey."""
    cursor = await connection.execute(
        "SELECT DISTINCT person_id FROM passkey WHERE tenant_id = %s AND person_id = ANY(%s)", (tenant_id, list(ids))
    )
    rows: list[Any] = await cursor.fetchall()
    return {int(row[0]) for row in rows}


async def forget_factors(connection: Connection, tenant_id: int, person_id: int) -> None:
    """Password, one-time code key, passkeys, recovery codes and every step on the way in."""
    await connection.execute(
        "UPDATE person SET password = '', totp = NULL, failures = 0, locked_us = 0 WHERE tenant_id = %s AND person_id = %s",
        (tenant_id, person_id),
    )
    for table in ("passkey", "recovery_code", "challenge"):
        query = f"DELETE FROM {table} WHERE tenant_id = %s AND person_id = %s"  # noqa: S608  # names of this line
        await connection.execute(query, (tenant_id, person_id))


async def _read(connection: Connection, condition: str, *values: Any, limit: int = 1) -> list[Person]:
    """Those who are not erased. condition: a text of this module, with a place for each value."""
    query = f"SELECT {_COLUMNS} FROM person WHERE {condition} AND erased_us IS NULL ORDER BY name LIMIT %s"  # noqa: S608
    cursor = await connection.execute(query, (*values, limit))
    rows: list[Any] = await cursor.fetchall()
    return [Person(*row) for row in rows]


async def change(
    connection: Connection, tenant_id: int, person_id: int, version: int, *, display: str, role: str, disabled_us: int | None
) -> bool:
    """False when somebody else changed the person meanwhile (their version is another) or they are gone."""
    cursor = await connection.execute(
        "UPDATE person SET display = %s, role = %s, disabled_us = %s, version = version + 1"
        " WHERE tenant_id = %s AND person_id = %s AND version = %s AND erased_us IS NULL",
        (display, role, disabled_us, tenant_id, person_id, version),
    )
    return cursor.rowcount == 1


async def prefer(connection: Connection, tenant_id: int, person_id: int, preferences: Mapping[str, Any]) -> None:
    await connection.execute(
        "UPDATE person SET preferences = %s WHERE tenant_id = %s AND person_id = %s", (json.dumps(preferences), tenant_id, person_id)
    )


async def set_password(connection: Connection, tenant_id: int, person_id: int, hashed: str) -> None:
    await connection.execute(
        "UPDATE person SET password = %s, failures = 0, locked_us = 0 WHERE tenant_id = %s AND person_id = %s",
        (hashed, tenant_id, person_id),
    )


async def set_totp(connection: Connection, tenant_id: int, person_id: int, sealed: bytes | None, step: int) -> None:
    """step: the one whose code proved the set-up; it and earlier ones are used up."""
    await connection.execute(
        "UPDATE person SET totp = %b, totp_step = %s WHERE tenant_id = %s AND person_id = %s", (sealed, step, tenant_id, person_id)
    )


async def use_totp(connection: Connection, tenant_id: int, person_id: int, step: int) -> bool:
    """True for the one caller who gets to use this step's code."""
    cursor = await connection.execute(
        "UPDATE person SET totp_step = %s WHERE tenant_id = %s AND person_id = %s AND totp_step < %s", (step, tenant_id, person_id, step)
    )
    return cursor.rowcount == 1


async def count_failure(connection: Connection, tenant_id: int, person_id: int, most: int, locked_us: int) -> bool:
    """One more wrong answer; at `most` in a row the person is locked until locked_us and the count begins anew. True when that happened."""
    cursor = await connection.execute(
        "UPDATE person SET failures = CASE WHEN failures + 1 >= %(most)s THEN 0 ELSE failures + 1 END,"
        " locked_us = CASE WHEN failures + 1 >= %(most)s THEN %(locked)s ELSE locked_us END"
        " WHERE tenant_id = %(tenant)s AND person_id = %(person)s RETURNING failures = 0",
        {"most": most, "locked": locked_us, "tenant": tenant_id, "person": person_id},
    )
    row: Any = await cursor.fetchone()
    return bool(row and row[0])


async def clear_failures(connection: Connection, tenant_id: int, person_id: int) -> None:
    await connection.execute(
        "UPDATE person SET failures = 0 WHERE tenant_id = %s AND person_id = %s AND failures > 0", (tenant_id, person_id)
    )


async def set_recovery(connection: Connection, tenant_id: int, person_id: int, hashes: Sequence[bytes]) -> None:
    """New codes; the old ones are worth nothing any more."""
    await connection.execute("DELETE FROM recovery_code WHERE tenant_id = %s AND person_id = %s", (tenant_id, person_id))
    for hashed in hashes:
        await connection.execute(
            "INSERT INTO recovery_code (tenant_id, person_id, hash) VALUES (%s, %s, %b)", (tenant_id, person_id, hashed)
        )


async def set_hold(connection: Connection, tenant_id: int, person_id: int, since_us: int | None, reason: str) -> None:
    await connection.execute(
        "UPDATE person SET held_us = %s, held_reason = %s WHERE tenant_id = %s AND person_id = %s", (since_us, reason, tenant_id, person_id)
    )


async def erase(connection: Connection, tenant_id: int, person_id: int, pseudonym: str, login: bytes, at_us: int) -> None:
    """What is left is a number and a pseudonym; login: found by nobody."""
    await connection.execute(
        "UPDATE person SET login = %b, name = %s, display = %s, issuer = '', subject = '', preferences = '{}', held_reason = '',"
        " version = version + 1, disabled_us = COALESCE(disabled_us, %s), erased_us = %s WHERE tenant_id = %s AND person_id = %s",
        (login, pseudonym, pseudonym, at_us, at_us, tenant_id, person_id),
    )


async def use_recovery(connection: Connection, tenant_id: int, person_id: int, hashed: bytes, at_us: int) -> bool:
    cursor = await connection.execute(
        "UPDATE recovery_code SET used_us = %s WHERE tenant_id = %s AND person_id = %s AND hash = %b AND used_us IS NULL",
        (at_us, tenant_id, person_id, hashed),
    )
    return cursor.rowcount == 1


async def second_factors(connection: Connection, person: Person) -> tuple[str, ...]:
    """Which of totp, passkey, recovery the person can answer with."""
    cursor = await connection.execute(
        "SELECT EXISTS (SELECT FROM passkey WHERE tenant_id = %(tenant)s AND person_id = %(person)s),"
        " EXISTS (SELECT FROM recovery_code WHERE tenant_id = %(tenant)s AND person_id = %(person)s AND used_us IS NULL)",
        {"tenant": person.tenant_id, "person": person.id},
    )
    row: Any = await cursor.fetchone()
    has = {"totp": person.totp is not None, "passkey": row[0]}
    found = [name for name, there in has.items() if there]
    return (*found, "recovery") if found and row[1] else tuple(found)
