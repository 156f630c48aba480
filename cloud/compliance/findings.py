"""Findings of the newest runs, page by page. A page names the rows it shows, and the next one continues in the same row, whatever runs meanwhile."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from cloud.compliance import finding_store, runs
from cloud.compliance.asking import Rules, off_loop
from cloud.compliance.finding_store import OUTAGE
from cloud.compliance.kinds import AREAS, OUTAGES
from cloud.compliance.rules import Outcome
from cloud.compliance.runner import PARTS, Asked
from cloud.compliance.runs import KIND, Judged
from cloud.compliance.table import BY_ID
from cloud.errors import Problem
from cloud.evidence import store as evidence_store
from protocols.batch import evidence
from protocols.batch.evidence import Row

MOST_FINDINGS: Final = 1_000  # on a page
EVENTS_AT_ONCE: Final = 200  # outages whose rows are read together


@dataclass(frozen=True, slots=True)
class Wanted:
    """None: any."""

    outcome: Outcome | None = None
    rule: str | None = None
    subject: str | None = None


async def page(rules: Rules, tenant_id: int, asked: Asked, wanted: Wanted, limit: int, cursor: str | None) -> dict[str, Any]:
    """`runs`: the rows the findings stand in, `evidence` of each; `next`: null at the end. Raises Problem."""
    start, found, shown = _cursor(cursor), list[dict[str, Any]](), list[dict[str, Any]]()
    for area in AREAS[AREAS.index(start.area) :] if start.area in AREAS else ():
        at = start if area == start.area else _Place(area)
        parts = at.part
        while at.part <= parts:
            stored = await _row(rules, tenant_id, asked.row_subject(area, at.part), at.digest)
            if stored is None:
                break
            digest, row = stored
            parts = int(row.parameters.get(PARTS, 1))
            end = at.position + limit - len(found)
            there, judged = await off_loop(rules, partial(_chosen, row, wanted, at.position, end))
            shown.append(_run_json(area, digest, row))
            found += [_json(area, one, digest) for one in judged]
            if end < there:
                return {"runs": shown, "findings": found, "next": f"{area}.{at.part}.{digest.hex()}.{end}"}
            at = _Place(area, at.part + 1)
    following = None
    if asked.as_of is None and not asked.scenarios:
        at = start if start.area == OUTAGES else _Place(OUTAGES)
        following = await _outages(rules, tenant_id, wanted, at, limit - len(found), shown, found)
    return {"runs": shown, "findings": found, "next": following}


async def _outages(
    rules: Rules, tenant_id: int, wanted: Wanted, at: "_Place", room: int, shown: list[dict[str, Any]], found: list[dict[str, Any]]
) -> str | None:
    """Findings of outages, event by event; every event has a row of its own. Returns where the following page begins."""
    after = ""
    if at.digest is not None:
        row = await _event(rules, tenant_id, at.digest)
        there, judged = _chosen(row, wanted, at.position, at.position + room)
        shown.append(_run_json(OUTAGES, at.digest, row))
        found += [_json(OUTAGES, one, at.digest) for one in judged]
        if there > at.position + room:
            return f"{OUTAGES}.1.{at.digest.hex()}.{at.position + room}"
        room, after = room - len(judged), row.subject
    while True:
        async with rules.db.tenant(tenant_id) as connection:
            stored = await finding_store.of_outages(connection, tenant_id, after, EVENTS_AT_ONCE)
        for one in stored:
            row = evidence.decode(one.document)
            there, judged = _chosen(row, wanted, 0, room)
            if there or wanted == Wanted():
                shown.append(_run_json(OUTAGES, one.digest, row))
            found += [_json(OUTAGES, each, one.digest) for each in judged]
            if there > room:
                return f"{OUTAGES}.1.{one.digest.hex()}.{room}"
            room -= len(judged)
        if len(stored) < EVENTS_AT_ONCE:
            return None
        after = stored[-1].subject


async def _event(rules: Rules, tenant_id: int, digest: bytes) -> Row:
    async with rules.db.tenant(tenant_id) as connection:
        found = await evidence_store.get(connection, tenant_id, digest)
    if found is None or (row := found.row).kind != KIND or not row.subject.startswith(OUTAGE):
        raise _no_cursor()
    return row


async def _row(rules: Rules, tenant_id: int, subject: str, digest: bytes | None) -> tuple[bytes, Row] | None:
    """The newest run of an area, or the very one that a page before began with."""
    async with rules.db.tenant(tenant_id) as connection:
        if digest is None:
            return await evidence_store.newest(connection, tenant_id, KIND, subject)
        found = await evidence_store.get(connection, tenant_id, digest)
    if found is None or (row := found.row).kind != KIND or row.subject != subject:
        raise _no_cursor()
    return digest, row


@dataclass(frozen=True, slots=True)
class _Place:
    """position: how many of the row's findings that were asked for have been shown."""

    area: str
    part: int = 1
    digest: bytes | None = None
    position: int = 0


def _cursor(text: str | None) -> _Place:
    if text is None:
        return _Place(AREAS[0])
    try:
        area, part, digest, position = text.split(".")
        found = _Place(area, int(part), bytes.fromhex(digest), int(position))
    except ValueError as error:
        raise _no_cursor() from error
    if area not in (*AREAS, OUTAGES) or len(found.digest or b"") != 32 or not 0 <= found.position < 1 << 31 or not 0 < found.part < 1 << 31:
        raise _no_cursor()
    return found


def _no_cursor() -> Problem:
    return Problem("invalid-request", "cursor: expected the `next` of the page before, with the same as_of and scenario")


def _chosen(row: Row, wanted: Wanted, first: int, end: int) -> tuple[int, list[Judged]]:
    """How many are asked for, and those of the page."""
    at = runs.chosen(row.output, wanted.outcome, wanted.rule, wanted.subject)
    return len(at), runs.read_output(row.output, at[first:end])


def _run_json(area: str, digest: bytes, row: Row) -> dict[str, Any]:
    parameters = {name: row.parameters[name] for name in ("as_of", "known_us", "scenarios")}
    return {"area": area, "evidence": digest.hex(), **parameters, "counts": row.output["counts"]}


def _json(area: str, one: Judged, row: bytes) -> dict[str, Any]:
    rule = BY_ID.get(one.rule)  # None: this version of the hub has it no more
    about = {"title": rule.title, "owner": rule.owner, "severity": rule.severity.value} if rule else {}
    judged = {"subject": one.subject, "outcome": one.outcome.value, "why": one.why, "digest": one.digest.hex(), "evidence": row.hex()}
    return {"area": area, "rule": one.rule, **about, **judged}
