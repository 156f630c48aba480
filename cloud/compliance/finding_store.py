"""SQL of findings beyond what evidence has: what a run depends on, the newest rows of plain runs and of outages. Inside the caller's tenant
transaction. Not for storing rows: `evidence.store` does."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from cloud import texts
from cloud.compliance.runs import KIND
from cloud.db import Connection
from cloud.texts import Text
from cloud.trading import store as trading_store
from protocols.batch import evidence
from protocols.batch.evidence import Row

OUTAGE: Final = "outage/"  # before the event in the subject of its findings
PART: Final = " part "  # between an area and a number, in the subject of what one row does not hold
_LOCK: Final = 0x66696E  # writers of one tenant's runs wait for each other


@dataclass(frozen=True, slots=True)
class FindingRow:
    id: int
    digest: bytes
    subject: str
    as_of_us: int
    made_us: int
    document: bytes


async def lock(connection: Connection, tenant_id: int) -> None:
    await connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_LOCK, tenant_id))


async def revision(connection: Connection, tenant_id: int) -> tuple[int, int, bytes]:
    """Moves with deals, registered facts and the profile: all of them are only added to."""
    cursor = await connection.execute("SELECT count(*) FROM registered_fact WHERE tenant_id = %s", (tenant_id,))
    facts = (await _rows(cursor))[0][0]
    profile = await texts.newest_digest(connection, tenant_id, Text.PROFILE)
    return await trading_store.revision(connection, tenant_id), facts, profile or b""


async def newest_id(connection: Connection, tenant_id: int) -> int:
    """0 where there is no finding yet."""
    cursor = await connection.execute(
        "SELECT coalesce(max(evidence_id), 0) FROM evidence WHERE tenant_id = %s AND kind = %s", (tenant_id, KIND)
    )
    return int((await _rows(cursor))[0][0])


async def plain(connection: Connection, tenant_id: int, areas: Sequence[str], after: int) -> list[FindingRow]:
    """Of plain runs of these areas and of outages, by subject the newest of those with an `id` above `after`."""
    cursor = await connection.execute(
        "SELECT DISTINCT ON (subject) evidence_id, digest, subject, as_of_us, made_us, document FROM evidence"
        " WHERE tenant_id = %s AND kind = %s AND evidence_id > %s AND (split_part(subject, %s, 1) = ANY(%s) OR starts_with(subject, %s))"
        " ORDER BY subject, as_of_us DESC, evidence_id DESC",
        (tenant_id, KIND, after, PART, list(areas), OUTAGE),
        binary=True,
    )
    return [_row(row) for row in await _rows(cursor)]


async def of_outages(connection: Connection, tenant_id: int, after: str, limit: int) -> list[FindingRow]:
    """The newest of each event, in the order of their subjects, which come after `after`."""
    cursor = await connection.execute(
        "SELECT DISTINCT ON (subject) evidence_id, digest, subject, as_of_us, made_us, document FROM evidence"
        " WHERE tenant_id = %s AND kind = %s AND starts_with(subject, %s) AND subject > %s"
        " ORDER BY subject, as_of_us DESC, evidence_id DESC LIMIT %s",
        (tenant_id, KIND, OUTAGE, after, limit),
        binary=True,
    )
    return [_row(row) for row in await _rows(cursor)]


async def of_outage(connection: Connection, tenant_id: int, subject: str, at_us: int) -> Row | None:
    """The newest of one event that was made by then."""
    cursor = await connection.execute(
        "SELECT document FROM evidence WHERE tenant_id = %s AND kind = %s AND subject = %s AND as_of_us <= %s"
        " ORDER BY as_of_us DESC, evidence_id DESC LIMIT 1",
        (tenant_id, KIND, subject, at_us),
        binary=True,
    )
    rows = await _rows(cursor)
    return evidence.decode(bytes(rows[0][0])) if rows else None


def _row(row: tuple[Any, ...]) -> FindingRow:
    return FindingRow(row[0], bytes(row[1]), row[2], row[3], row[4], bytes(row[5]))


async def _rows(cursor: Any) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = await cursor.fetchall()
    return rows
