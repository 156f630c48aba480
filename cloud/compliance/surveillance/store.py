"""SQL of surveillance: hand-ins of order events, alerts, steps. Inside the caller's tenant transaction; rows are added, none is changed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cloud.compliance.surveillance.cases import Decision, Step, Taken
from cloud.db import Connection

_LOCK: Final = 0x636F6E  # hand-ins and runs of one tenant wait for each other


@dataclass(frozen=True, slots=True)
class HandIn:
    """evidence: the row whose content is the bytes handed in."""

    source: str
    first: int
    last: int
    first_us: int
    last_us: int
    received_us: int
    by: str
    evidence: bytes

    @property
    def name(self) -> str:
        return f"orders {self.source}/{self.first}"


@dataclass(frozen=True, slots=True)
class StoredAlert:
    id: int
    pattern: str
    grade: str
    guard: str
    owner: str
    first_us: int
    last_us: int
    made_us: int
    evidence: bytes


async def lock(connection: Connection, tenant_id: int) -> None:
    await connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_LOCK, tenant_id))


_HAND_IN: Final = "source, first_sequence, last_sequence, first_us, last_us, received_us, by, evidence"


async def last_of(connection: Connection, tenant_id: int, source: str) -> HandIn | None:
    query = f"SELECT {_HAND_IN} FROM order_events WHERE tenant_id = %s AND source = %s ORDER BY first_sequence DESC LIMIT 1"  # noqa: S608
    found = await _hand_ins(connection, query, (tenant_id, source))
    return found[0] if found else None


async def at_sequence(connection: Connection, tenant_id: int, source: str, first: int) -> HandIn | None:
    query = f"SELECT {_HAND_IN} FROM order_events WHERE tenant_id = %s AND source = %s AND first_sequence = %s"  # noqa: S608
    found = await _hand_ins(connection, query, (tenant_id, source, first))
    return found[0] if found else None


async def within(connection: Connection, tenant_id: int, from_us: int, to_us: int, limit: int) -> list[HandIn]:
    """That may have an event in [from_us, to_us], by source and sequence; at most `limit`."""
    query = (
        f"SELECT {_HAND_IN} FROM order_events WHERE tenant_id = %s AND last_us >= %s AND first_us <= %s"  # noqa: S608
        ' ORDER BY source COLLATE "C", first_sequence LIMIT %s'
    )
    return await _hand_ins(connection, query, (tenant_id, from_us, to_us, limit))


async def handed_in(connection: Connection, tenant_id: int, evidence: Sequence[bytes]) -> dict[bytes, bytes]:
    """The bytes of hand-ins, by their evidence rows."""
    cursor = await connection.execute(
        "SELECT evidence.digest, content FROM evidence JOIN evidence_content ON evidence_content.tenant_id = evidence.tenant_id"
        " AND evidence_content.digest = evidence.contents[1] WHERE evidence.tenant_id = %s AND evidence.digest = ANY(%b::bytea[])",
        (tenant_id, list(evidence)),
        binary=True,
    )
    return {bytes(row[0]): bytes(row[1]) for row in await _rows(cursor)}


async def latest(connection: Connection, tenant_id: int, limit: int) -> list[HandIn]:
    query = f"SELECT {_HAND_IN} FROM order_events WHERE tenant_id = %s ORDER BY received_us DESC, source, first_sequence DESC LIMIT %s"  # noqa: S608
    return await _hand_ins(connection, query, (tenant_id, limit))


async def _hand_ins(connection: Connection, query: str, values: Sequence[Any]) -> list[HandIn]:
    cursor = await connection.execute(query, values, binary=True)
    return [HandIn(row[0], row[1], row[2], row[3], row[4], row[5], row[6], bytes(row[7])) for row in await _rows(cursor)]


async def add_hand_in(connection: Connection, tenant_id: int, one: HandIn) -> None:
    await connection.execute(
        f"INSERT INTO order_events (tenant_id, {_HAND_IN}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %b)",  # noqa: S608
        (tenant_id, one.source, one.first, one.last, one.first_us, one.last_us, one.received_us, one.by, one.evidence),
    )


async def known_alerts(connection: Connection, tenant_id: int, keys: Sequence[bytes]) -> dict[bytes, int]:
    """Alert by key, of those that are stored."""
    cursor = await connection.execute(
        "SELECT key, alert_id FROM conduct_alert WHERE tenant_id = %s AND key = ANY(%b::bytea[])", (tenant_id, list(keys)), binary=True
    )
    return {bytes(row[0]): row[1] for row in await _rows(cursor)}


async def add_alert(connection: Connection, tenant_id: int, key: bytes, alert: Mapping[str, Any], made_us: int, evidence: bytes) -> int:
    cursor = await connection.execute(
        "INSERT INTO conduct_alert (tenant_id, key, pattern, grade, guard, owner, first_us, last_us, made_us, evidence)"
        " VALUES (%s, %b, %s, %s, %s, %s, %s, %s, %s, %b) RETURNING alert_id",
        (
            tenant_id,
            key,
            alert["pattern"],
            alert["grade"],
            alert["guard"],
            alert["owner"],
            alert["first_us"],
            alert["last_us"],
            made_us,
            evidence,
        ),
    )
    return int((await _rows(cursor))[0][0])


async def alerts(
    connection: Connection, tenant_id: int, limit: int, before: int | None = None, alert_id: int | None = None
) -> list[StoredAlert]:
    """The newest first. alert_id: only that one."""
    cursor = await connection.execute(
        "SELECT alert_id, pattern, grade, guard, owner, first_us, last_us, made_us, evidence FROM conduct_alert WHERE tenant_id = %s"
        " AND (%s::bigint IS NULL OR alert_id = %s) AND (%s::bigint IS NULL OR alert_id < %s) ORDER BY alert_id DESC LIMIT %s",
        (tenant_id, alert_id, alert_id, before, before, limit),
        binary=True,
    )
    rows = await _rows(cursor)
    return [StoredAlert(row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7], bytes(row[8])) for row in rows]


async def steps(connection: Connection, tenant_id: int, alert_ids: Sequence[int]) -> dict[int, list[Taken]]:
    """By alert, oldest first."""
    cursor = await connection.execute(
        "SELECT alert_id, at_us, by, step, detail FROM conduct_step WHERE tenant_id = %s AND alert_id = ANY(%s) ORDER BY step_id",
        (tenant_id, list(alert_ids)),
    )
    found: dict[int, list[Taken]] = {}
    for alert_id, at_us, by, step, detail in await _rows(cursor):
        decision = Decision(detail["decision"]) if detail["decision"] else None
        found.setdefault(alert_id, []).append(Taken(at_us, by, Step(step), detail["person"], decision, detail["text"]))
    return found


async def add_step(connection: Connection, tenant_id: int, alert_id: int, taken: Taken) -> None:
    detail = {"person": taken.person, "decision": taken.decision.value if taken.decision else None, "text": taken.text}
    await connection.execute(
        "INSERT INTO conduct_step (tenant_id, alert_id, at_us, by, step, detail) VALUES (%s, %s, %s, %s, %s, %s)",
        (tenant_id, alert_id, taken.at_us, taken.by, taken.step.value, json.dumps(detail)),
    )


async def _rows(cursor: Any) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = await cursor.fetchall()
    return rows
