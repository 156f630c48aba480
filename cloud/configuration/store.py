"""SQL of pushed configurations and of the gateways' reports about them. Every function works inside the caller's tenant transaction."""

from dataclasses import dataclass
from typing import Any

from cloud.db import Connection
from protocols.configuration import Report


@dataclass(frozen=True, slots=True)
class Pushed:
    """A version as it was signed."""

    version: int
    text: str
    statement: bytes
    pushed_by: str
    pushed_us: int


@dataclass(frozen=True, slots=True)
class Known:
    """The newest report of a gateway. since_us: when its version, state and reason came up; asked_us: when it asked last."""

    version: int
    state: str
    reason: str
    number: int
    since_us: int
    asked_us: int


async def gateway(connection: Connection, tenant_id: int, name: str) -> tuple[int, str] | None:
    """Id and URN."""
    cursor = await connection.execute("SELECT gateway_id, urn FROM gateway WHERE tenant_id = %s AND name = %s", (tenant_id, name))
    row: Any = await cursor.fetchone()
    return (int(row[0]), str(row[1])) if row else None


async def newest(connection: Connection, tenant_id: int, gateway_id: int) -> Pushed | None:
    cursor = await connection.execute(
        "SELECT version, text, statement, pushed_by, pushed_us FROM gateway_configuration WHERE tenant_id = %s AND gateway_id = %s"
        " ORDER BY version DESC LIMIT 1",
        (tenant_id, gateway_id),
        binary=True,
    )
    row: Any = await cursor.fetchone()
    return Pushed(int(row[0]), str(row[1]), bytes(row[2]), str(row[3]), int(row[4])) if row else None


async def add(connection: Connection, tenant_id: int, gateway_id: int, pushed: Pushed) -> bool:
    """False when that version was pushed in the same moment by somebody else."""
    cursor = await connection.execute(
        "INSERT INTO gateway_configuration (tenant_id, gateway_id, version, text, statement, pushed_by, pushed_us)"
        " VALUES (%s, %s, %s, %s, %b, %s, %s) ON CONFLICT DO NOTHING",
        (tenant_id, gateway_id, pushed.version, pushed.text, pushed.statement, pushed.pushed_by, pushed.pushed_us),
    )
    return cursor.rowcount == 1


async def report(connection: Connection, tenant_id: int, gateway_id: int) -> Known | None:
    cursor = await connection.execute(
        "SELECT version, state, reason, number, since_us, asked_us FROM gateway_configuration_report WHERE tenant_id = %s AND gateway_id = %s",
        (tenant_id, gateway_id),
    )
    row: Any = await cursor.fetchone()
    return Known(*row) if row else None


async def stands(connection: Connection, tenant_id: int) -> dict[int, tuple[int, Known | None]]:
    """By gateway: the version pushed last, 0 = none, and its newest report."""
    cursor = await connection.execute(
        "SELECT gateway_id, coalesce(pushed.version, 0), told.version, state, reason, number, since_us, asked_us FROM gateway"
        " LEFT JOIN (SELECT gateway_id, max(version) AS version FROM gateway_configuration WHERE tenant_id = %s GROUP BY gateway_id) AS pushed"
        " USING (gateway_id) LEFT JOIN gateway_configuration_report AS told USING (tenant_id, gateway_id) WHERE gateway.tenant_id = %s",
        (tenant_id, tenant_id),
    )
    rows: list[Any] = await cursor.fetchall()
    return {row[0]: (row[1], None if row[2] is None else Known(*row[2:])) for row in rows}


async def note(connection: Connection, tenant_id: int, gateway_id: int, found: Report, at_us: int) -> bool:
    """False when a report with this number or a later one is known."""
    cursor = await connection.execute(
        "INSERT INTO gateway_configuration_report AS known (tenant_id, gateway_id, version, state, reason, number, since_us, asked_us)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (tenant_id, gateway_id) DO UPDATE SET version = excluded.version,"
        " state = excluded.state, reason = excluded.reason, number = excluded.number, asked_us = excluded.asked_us,"
        " since_us = CASE WHEN (known.version, known.state, known.reason) = (excluded.version, excluded.state, excluded.reason)"
        " THEN known.since_us ELSE excluded.since_us END WHERE known.number < excluded.number",
        (tenant_id, gateway_id, found.version, found.state.value, found.reason, found.number, at_us, at_us),
    )
    return cursor.rowcount == 1
