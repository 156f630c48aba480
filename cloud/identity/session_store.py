"""SQL of sessions, of challenges on the way in, and of refresh tokens. Secrets are stored by their SHA-256 only."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cloud.db import Connection, Database

SEEN_EVERY_US: Final = 60_000_000  # a session's last use is written down this often


@dataclass(frozen=True, slots=True)
class Session:
    """A session that is good, with the person it is of. strong_us: when they last proved more than the cookie."""

    id: int
    tenant_id: int
    tenant: str
    person_id: int
    name: str
    role: str
    methods: tuple[str, ...]
    created_us: int
    seen_us: int
    strong_us: int
    ends_us: int


@dataclass(frozen=True, slots=True)
class Challenge:
    tenant_id: int
    person_id: int
    purpose: str
    state: Mapping[str, Any]
    ends_us: int
    used_us: int | None


@dataclass(frozen=True, slots=True)
class Refresh:
    tenant_id: int
    family: bytes
    person_id: int
    methods: tuple[str, ...]
    strong_us: int
    ends_us: int
    used_us: int | None
    ended_us: int | None


async def add_session(
    connection: Connection, tenant_id: int, person_id: int, hashed: bytes, methods: Sequence[str], agent: str, at_us: int, ends_us: int
) -> int:
    cursor = await connection.execute(
        "INSERT INTO session (tenant_id, person_id, hash, methods, agent, created_us, seen_us, strong_us, ends_us)"
        " VALUES (%s, %s, %b, %s, %s, %s, %s, %s, %s) RETURNING session_id",
        (tenant_id, person_id, hashed, list(methods), agent[:200], at_us, at_us, at_us, ends_us),
    )
    row: Any = await cursor.fetchone()
    return int(row[0])


async def find_session(db: Database, hashed: bytes, at_us: int, idle_us: int) -> Session | None:
    """None when it ended, was idle too long, or the person is disabled. Writes down now and then that it is in use."""
    async with db.credential(hashed) as connection:
        cursor = await connection.execute(
            "SELECT tenant_id, session_id, person_id, methods, created_us, seen_us, strong_us, ends_us FROM session"
            " WHERE hash = %b AND ended_us IS NULL AND ends_us > %s AND seen_us > %s",
            (hashed, at_us, at_us - idle_us),
        )
        row: Any = await cursor.fetchone()
        if row is None:
            return None
        await connection.execute("SELECT set_config('app.tenant', %s, true)", (str(row[0]),))
        cursor = await connection.execute(
            "SELECT tenant.name, person.name, person.role FROM person JOIN tenant USING (tenant_id)"
            " WHERE person.tenant_id = %s AND person_id = %s AND disabled_us IS NULL AND erased_us IS NULL",
            (row[0], row[2]),
        )
        person: Any = await cursor.fetchone()
        if person is None:
            return None
        if at_us - row[5] > SEEN_EVERY_US:
            await connection.execute("UPDATE session SET seen_us = %s WHERE tenant_id = %s AND session_id = %s", (at_us, row[0], row[1]))
    return Session(row[1], row[0], person[0], row[2], person[1], person[2], tuple(row[3]), *row[4:])


async def strengthen(connection: Connection, tenant_id: int, session_id: int, methods: Sequence[str], at_us: int) -> None:
    await connection.execute(
        "UPDATE session SET strong_us = %s, methods = %s WHERE tenant_id = %s AND session_id = %s",
        (at_us, list(methods), tenant_id, session_id),
    )


async def end_session(connection: Connection, tenant_id: int, session_id: int, at_us: int) -> bool:
    cursor = await connection.execute(
        "UPDATE session SET ended_us = %s WHERE tenant_id = %s AND session_id = %s AND ended_us IS NULL", (at_us, tenant_id, session_id)
    )
    return cursor.rowcount == 1


async def end_everything(connection: Connection, tenant_id: int, person_id: int, at_us: int, but: int = 0) -> int:
    """All sessions (except `but`) and refresh tokens of a person, as after a new password or a disabling. Returns how many sessions."""
    cursor = await connection.execute(
        "UPDATE session SET ended_us = %s WHERE tenant_id = %s AND person_id = %s AND session_id <> %s AND ended_us IS NULL",
        (at_us, tenant_id, person_id, but),
    )
    await connection.execute(
        "UPDATE refresh_token SET ended_us = %s WHERE tenant_id = %s AND person_id = %s AND ended_us IS NULL", (at_us, tenant_id, person_id)
    )
    return cursor.rowcount


async def forget_sessions(connection: Connection, tenant_id: int, person_id: int) -> None:
    """Them and the refresh tokens, with what they say of the person's browser."""
    await connection.execute("DELETE FROM session WHERE tenant_id = %s AND person_id = %s", (tenant_id, person_id))
    await connection.execute("DELETE FROM refresh_token WHERE tenant_id = %s AND person_id = %s", (tenant_id, person_id))


async def sessions(connection: Connection, tenant_id: int, person_id: int, at_us: int, idle_us: int) -> list[dict[str, Any]]:
    """The good ones of a person, the newest first."""
    cursor = await connection.execute(
        "SELECT session_id, methods, agent, created_us, seen_us FROM session WHERE tenant_id = %s AND person_id = %s"
        " AND ended_us IS NULL AND ends_us > %s AND seen_us > %s ORDER BY seen_us DESC LIMIT 200",
        (tenant_id, person_id, at_us, at_us - idle_us),
    )
    rows: list[Any] = await cursor.fetchall()
    return [dict(zip(("id", "methods", "agent", "created_us", "seen_us"), row, strict=True)) for row in rows]


async def add_challenge(
    connection: Connection,
    tenant_id: int,
    hashed: bytes,
    person_id: int,
    purpose: str,
    ends_us: int,
    state: Mapping[str, Any] | None = None,
) -> None:
    await connection.execute(
        "INSERT INTO challenge (tenant_id, hash, person_id, purpose, state, ends_us) VALUES (%s, %b, %s, %s, %s, %s)",
        (tenant_id, hashed, person_id, purpose, json.dumps(state or {}), ends_us),
    )


async def find_challenge(db: Database, hashed: bytes) -> Challenge | None:
    async with db.credential(hashed) as connection:
        cursor = await connection.execute(
            "SELECT tenant_id, person_id, purpose, state, ends_us, used_us FROM challenge WHERE hash = %b", (hashed,)
        )
        row: Any = await cursor.fetchone()
    return None if row is None else Challenge(*row)


async def drop_challenges(connection: Connection, tenant_id: int, person_id: int, purpose: str) -> None:
    await connection.execute(
        "DELETE FROM challenge WHERE tenant_id = %s AND person_id = %s AND purpose = %s", (tenant_id, person_id, purpose)
    )


async def note_in_challenge(connection: Connection, tenant_id: int, hashed: bytes, state: Mapping[str, Any]) -> None:
    await connection.execute(
        "UPDATE challenge SET state = %s WHERE tenant_id = %s AND hash = %b AND used_us IS NULL", (json.dumps(state), tenant_id, hashed)
    )


async def use_challenge(connection: Connection, tenant_id: int, hashed: bytes, at_us: int) -> bool:
    """True for the one caller who gets it."""
    cursor = await connection.execute(
        "UPDATE challenge SET used_us = %s WHERE tenant_id = %s AND hash = %b AND used_us IS NULL AND ends_us > %s",
        (at_us, tenant_id, hashed, at_us),
    )
    return cursor.rowcount == 1


async def add_refresh(connection: Connection, hashed: bytes, token: Refresh, at_us: int) -> None:
    await connection.execute(
        "INSERT INTO refresh_token (tenant_id, hash, family, person_id, methods, strong_us, created_us, ends_us)"
        " VALUES (%s, %b, %b, %s, %s, %s, %s, %s)",
        (token.tenant_id, hashed, token.family, token.person_id, list(token.methods), token.strong_us, at_us, token.ends_us),
    )


async def find_refresh(db: Database, hashed: bytes) -> Refresh | None:
    async with db.credential(hashed) as connection:
        cursor = await connection.execute(
            "SELECT tenant_id, family, person_id, methods, strong_us, ends_us, used_us, ended_us FROM refresh_token WHERE hash = %b",
            (hashed,),
        )
        row: Any = await cursor.fetchone()
    return None if row is None else Refresh(row[0], bytes(row[1]), row[2], tuple(row[3]), *row[4:])


async def use_refresh(connection: Connection, tenant_id: int, hashed: bytes, at_us: int) -> bool:
    """True for the one caller who gets it."""
    cursor = await connection.execute(
        "UPDATE refresh_token SET used_us = %s WHERE tenant_id = %s AND hash = %b AND used_us IS NULL AND ended_us IS NULL AND ends_us > %s",
        (at_us, tenant_id, hashed, at_us),
    )
    return cursor.rowcount == 1


async def end_family(connection: Connection, tenant_id: int, family: bytes, at_us: int) -> int:
    cursor = await connection.execute(
        "UPDATE refresh_token SET ended_us = %s WHERE tenant_id = %s AND family = %b AND ended_us IS NULL", (at_us, tenant_id, family)
    )
    return cursor.rowcount


async def use_state(connection: Connection, tenant_id: int, hashed: bytes, ends_us: int, at_us: int) -> bool:
    """True for the one who comes first with this state of another identity provider. Those that have ended anyway are forgotten."""
    await connection.execute("DELETE FROM oidc_state WHERE tenant_id = %s AND ends_us < %s", (tenant_id, at_us))
    cursor = await connection.execute(
        "INSERT INTO oidc_state (tenant_id, hash, ends_us) VALUES (%s, %b, %s) ON CONFLICT DO NOTHING", (tenant_id, hashed, ends_us)
    )
    return cursor.rowcount == 1
