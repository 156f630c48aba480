"""Findings of the newest runs, page by page. A page names the rows it shows, and the next one continues in the same row, whatever runs meanwhile."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from cloud.compliance import runs
from cloud.compliance.asking import Rules, off_loop
from cloud.compliance.kinds import AREAS
from cloud.compliance.rules import Outcome
from cloud.compliance.runner import Asked
from cloud.compliance.runs import KIND, Judged
from cloud.compliance.table import BY_ID
from cloud.errors import Problem
from cloud.evidence import store as evidence_store
from protocols.batch.evidence import Row

MOST_FINDINGS: Final = 1_000  # on a page


@dataclass(frozen=True, slots=True)
class Wanted:
    """None: any."""

    outcome: Outcome | None = None
    rule: str | None = None
    subject: str | None = None

    def takes(self, one: Judged) -> bool:
        return self.outcome in (None, one.outcome) and self.rule in (None, one.rule) and self.subject in (None, one.subject)


async def page(rules: Rules, tenant_id: int, asked: Asked, wanted: Wanted, limit: int, cursor: str | None) -> dict[str, Any]:
    """`runs`: the rows the findings stand in; `next`: null at the end. Raises Problem."""
    area, digest, position = _cursor(cursor)
    shown: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for at in range(AREAS.index(area), len(AREAS)):
        stored = await _row(rules, tenant_id, asked.row_subject(AREAS[at]), digest)
        first, digest, position = position, None, 0
        if stored is None:
            continue
        name, row = stored
        chosen = await off_loop(rules, partial(_chosen, row, wanted))
        end = first + limit - len(found)
        shown.append(_run_json(AREAS[at], name, row))
        found += [_json(AREAS[at], one) for one in chosen[first:end]]
        if end < len(chosen):
            return {"runs": shown, "findings": found, "next": f"{AREAS[at]}.{name.hex()}.{end}"}
    return {"runs": shown, "findings": found, "next": None}


async def _row(rules: Rules, tenant_id: int, subject: str, digest: bytes | None) -> tuple[bytes, Row] | None:
    """The newest run of an area, or the very one that a page before began with."""
    async with rules.db.tenant(tenant_id) as connection:
        if digest is None:
            return await evidence_store.newest(connection, tenant_id, KIND, subject)
        found = await evidence_store.get(connection, tenant_id, digest)
    if found is None or (row := found.row).kind != KIND or row.subject != subject:
        raise _no_cursor()
    return digest, row


def _cursor(text: str | None) -> tuple[str, bytes | None, int]:
    """Area, row, how many of its findings were shown."""
    if text is None:
        return AREAS[0], None, 0
    try:
        area, digest, position = text.split(".")
        found = area, bytes.fromhex(digest), int(position)
    except ValueError as error:
        raise _no_cursor() from error
    if area not in AREAS or len(found[1]) != 32 or not 0 <= found[2] < 1 << 31:
        raise _no_cursor()
    return found


def _no_cursor() -> Problem:
    return Problem("invalid-request", "cursor: expected the `next` of the page before, with the same as_of and scenario")


def _chosen(row: Row, wanted: Wanted) -> list[Judged]:
    return [one for one in runs.read_output(row.output) if wanted.takes(one)]


def _run_json(area: str, digest: bytes, row: Row) -> dict[str, Any]:
    parameters = {name: row.parameters[name] for name in ("as_of", "known_us", "scenarios")}
    return {"area": area, "evidence": digest.hex(), **parameters, "counts": row.output["counts"]}


def _json(area: str, one: Judged) -> dict[str, Any]:
    rule = BY_ID.get(one.rule)  # None: this version of the hub has it no more
    about = {"title": rule.title, "owner": rule.owner, "severity": rule.severity.value} if rule else {}
    judged = {"subject": one.subject, "outcome": one.outcome.value, "why": one.why, "digest": one.digest.hex()}
    return {"area": area, "rule": one.rule, **about, **judged}
