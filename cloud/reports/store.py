"""SQL of filings: versions, answers, drafts. Inside the caller's tenant transaction; rows are added, none is changed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from cloud.db import Connection
from cloud.reports.filings import Action, Answer, Filing, Reason, Version

_LOCK: Final = 0x66696C  # writers of one tenant's filings wait for each other


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """evidence: the row that tells it. manifest: digest of the signed manifest. due_day: None where no day is known."""

    version: Version
    manifest: bytes
    evidence: bytes
    by: str
    outcome: str
    due_day: date | None
    due_status: str
    draft_id: int | None


@dataclass(frozen=True, slots=True)
class StoredFiling:
    id: int
    kind: str
    subject: str
    versions: tuple[StoredVersion, ...]
    answers: tuple[Answer, ...]

    @property
    def filing(self) -> Filing:
        """As the rules see it; raises IndexError where nothing is filed yet."""
        return Filing(f"{self.kind} {self.subject}", self.kind, tuple(one.version for one in self.versions), self.answers)


@dataclass(frozen=True, slots=True)
class Draft:
    """source: canonical document of everything the file says. below: evidence rows it names."""

    kind: str
    subject: str
    cancels: bool
    made_us: int
    by: str
    as_of_us: int
    source: bytes
    file: bytes
    rows: int
    due_term: str
    event: date | None
    below: Mapping[str, bytes]
    id: int = 0


async def lock(connection: Connection, tenant_id: int) -> None:
    await connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_LOCK, tenant_id))


async def find(connection: Connection, tenant_id: int, kind: str, subject: str) -> StoredFiling | None:
    cursor = await connection.execute(
        "SELECT filing_id, kind, subject FROM filing WHERE tenant_id = %s AND kind = %s AND subject = %s", (tenant_id, kind, subject)
    )
    found = await _whole(connection, tenant_id, await _rows(cursor))
    return found[0] if found else None


async def get(connection: Connection, tenant_id: int, filing_id: int) -> StoredFiling | None:
    cursor = await connection.execute(
        "SELECT filing_id, kind, subject FROM filing WHERE tenant_id = %s AND filing_id = %s", (tenant_id, filing_id)
    )
    found = await _whole(connection, tenant_id, await _rows(cursor))
    return found[0] if found else None


async def page(
    connection: Connection, tenant_id: int, kind: str | None, hidden: list[str], limit: int, before: int | None
) -> list[StoredFiling]:
    """The newest first; before: the `id` of the last one of the page before. hidden: kinds that are left out."""
    cursor = await connection.execute(
        "SELECT filing_id, kind, subject FROM filing WHERE tenant_id = %s AND (%s::text IS NULL OR kind = %s)"
        " AND NOT kind = ANY(%s)"
        " AND (%s::bigint IS NULL OR filing_id < %s) ORDER BY filing_id DESC LIMIT %s",
        (tenant_id, kind, kind, hidden, before, before, limit),
    )
    return await _whole(connection, tenant_id, await _rows(cursor))


async def _whole(connection: Connection, tenant_id: int, heads: list[tuple[Any, ...]]) -> list[StoredFiling]:
    ids = [head[0] for head in heads]
    cursor = await connection.execute(
        "SELECT filing_id, number, action, sha256, rows, made_us, manifest, evidence, by, outcome, due_day, due_status, draft_id"
        " FROM filing_version WHERE tenant_id = %s AND filing_id = ANY(%s) ORDER BY filing_id, number",
        (tenant_id, ids),
        binary=True,
    )
    versions: dict[int, list[StoredVersion]] = {}
    for row in await _rows(cursor):
        version = Version(row[1], Action(row[2]), bytes(row[3]).hex(), row[4], row[5])
        versions.setdefault(row[0], []).append(StoredVersion(version, bytes(row[6]), bytes(row[7]), *row[8:]))
    cursor = await connection.execute(
        "SELECT filing_id, number, received_us, reference, reasons FROM filing_answer WHERE tenant_id = %s AND filing_id = ANY(%s)"
        " ORDER BY filing_id, number",
        (tenant_id, ids),
    )
    answers: dict[int, list[Answer]] = {}
    for row in await _rows(cursor):
        answers.setdefault(row[0], []).append(Answer(row[1], row[2], row[3], tuple(Reason(**one) for one in row[4])))
    return [
        StoredFiling(filing_id, kind, subject, tuple(versions.get(filing_id, ())), tuple(answers.get(filing_id, ())))
        for filing_id, kind, subject in heads
    ]


async def begin(connection: Connection, tenant_id: int, kind: str, subject: str) -> int:
    cursor = await connection.execute(
        "INSERT INTO filing (tenant_id, kind, subject) VALUES (%s, %s, %s) RETURNING filing_id", (tenant_id, kind, subject)
    )
    return int((await _rows(cursor))[0][0])


async def add_version(connection: Connection, tenant_id: int, filing_id: int, made: StoredVersion) -> None:
    version = made.version
    await connection.execute(
        "INSERT INTO filing_version (tenant_id, filing_id, number, action, sha256, rows, made_us, manifest, evidence, by, outcome, due_day,"
        " due_status, draft_id) VALUES (%s, %s, %s, %s, %b, %s, %s, %b, %b, %s, %s, %s, %s, %s)",
        (
            tenant_id,
            filing_id,
            version.number,
            version.action.value,
            bytes.fromhex(version.file_sha256),
            version.rows,
            version.made_us,
            made.manifest,
            made.evidence,
            made.by,
            made.outcome,
            made.due_day,
            made.due_status,
            made.draft_id,
        ),
    )


async def add_answer(connection: Connection, tenant_id: int, filing_id: int, answer: Answer, by: str) -> None:
    reasons = [{"code": one.code, "place": one.place, "message": one.message} for one in answer.reasons]
    await connection.execute(
        "INSERT INTO filing_answer (tenant_id, filing_id, number, received_us, by, reference, reasons) VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (tenant_id, filing_id, answer.version, answer.received_us, by, answer.reference, json.dumps(reasons)),
    )


async def add_draft(connection: Connection, tenant_id: int, draft: Draft) -> int:
    cursor = await connection.execute(
        "INSERT INTO filing_draft (tenant_id, kind, subject, cancels, made_us, by, as_of_us, source, file, rows, due_term, event, below)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %b, %s, %s, %s, %s) RETURNING draft_id",
        (
            tenant_id,
            draft.kind,
            draft.subject,
            draft.cancels,
            draft.made_us,
            draft.by,
            draft.as_of_us,
            draft.source.decode(),
            draft.file,
            draft.rows,
            draft.due_term,
            draft.event,
            json.dumps({name: digest.hex() for name, digest in draft.below.items()}),
        ),
    )
    return int((await _rows(cursor))[0][0])


async def draft(connection: Connection, tenant_id: int, draft_id: int) -> Draft | None:
    found = await _drafts(connection, tenant_id, draft_id, [], None, 1)
    return found[0] if found else None


async def drafts(connection: Connection, tenant_id: int, hidden: list[str], limit: int, before: int | None) -> list[Draft]:
    """The newest first. hidden: kinds that are left out."""
    return await _drafts(connection, tenant_id, None, hidden, before, limit)


async def _drafts(
    connection: Connection, tenant_id: int, draft_id: int | None, hidden: list[str], before: int | None, limit: int
) -> list[Draft]:
    cursor = await connection.execute(
        "SELECT kind, subject, cancels, made_us, by, as_of_us, source, file, rows, due_term, event, below, draft_id FROM filing_draft"
        " WHERE tenant_id = %s AND (%s::bigint IS NULL OR draft_id = %s) AND NOT kind = ANY(%s) AND (%s::bigint IS NULL OR draft_id < %s)"
        " ORDER BY draft_id DESC LIMIT %s",
        (tenant_id, draft_id, draft_id, hidden, before, before, limit),
        binary=True,
    )
    return [_draft(row) for row in await _rows(cursor)]


def _draft(row: tuple[Any, ...]) -> Draft:
    kind, subject, cancels, made_us, by, as_of_us, source, file, rows, due_term, event, below, draft_id = row
    named = {name: bytes.fromhex(one) for name, one in json.loads(below).items()}
    return Draft(kind, subject, cancels, made_us, by, as_of_us, source.encode(), bytes(file), rows, due_term, event, named, draft_id)


async def _rows(cursor: Any) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = await cursor.fetchall()
    return rows
