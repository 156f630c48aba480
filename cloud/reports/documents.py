"""Filings, drafts and answers as JSON. Not for the files themselves."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from cloud.identity.approval_store import Approval
from cloud.reports.filed import as_taken, due_json
from cloud.reports.filings import Answer, State
from cloud.reports.store import Draft, StoredFiling, StoredVersion
from protocols.batch import evidence


def _day(at_us: int) -> date:
    return datetime.fromtimestamp(at_us / 1e6, UTC).date()


def filing_json(found: StoredFiling, now_us: int) -> dict[str, Any]:
    """overdue: nothing that was filed stands and its day has passed. late: the version was made after its day."""
    taken = as_taken(found)
    last = found.versions[-1]
    rejected = taken.state is State.REJECTED
    return {
        "id": found.id,
        "kind": found.kind,
        "subject": found.subject,
        "state": taken.state.value,
        "overdue": rejected and last.due_day is not None and last.due_day < _day(now_us),
        "versions": [_version_json(one) for one in found.versions],
        "answers": [answer_json(one) for one in found.answers],
    }


def _version_json(one: StoredVersion) -> dict[str, Any]:
    version = one.version
    return {
        "version": version.number,
        "action": version.action.value,
        "sha256": version.file_sha256,
        "manifest": one.manifest.hex(),
        "rows": version.rows,
        "made_us": version.made_us,
        "by": one.by,
        "outcome": one.outcome,
        "due": None if one.due_day is None else one.due_day.isoformat(),
        "due_status": one.due_status,
        "late": one.due_day is not None and _day(version.made_us) > one.due_day,
        "evidence": one.evidence.hex(),
        "draft": one.draft_id,
    }


def answer_json(one: Answer) -> dict[str, Any]:
    reasons = [{"code": reason.code, "place": reason.place, "message": reason.message} for reason in one.reasons]
    return {
        "version": one.version,
        "received_us": one.received_us,
        "reference": one.reference,
        "accepted": one.accepted,
        "reasons": reasons,
    }


def draft_json(draft: Draft, approval: Approval | None, now_us: int) -> dict[str, Any]:
    """state: of its approval; expired where nobody decided in time."""
    event: Mapping[str, str] = {"term": draft.due_term, "day": draft.event.isoformat()} if draft.event else {}
    due = due_json(event)
    day = due.get("day")
    state = "expired" if approval is None else approval.state(now_us)
    return {
        "id": draft.id,
        "kind": draft.kind,
        "subject": draft.subject,
        "cancels": draft.cancels,
        "made_us": draft.made_us,
        "by": draft.by,
        "rows": draft.rows,
        "sha256": evidence.digest(draft.file).hex(),
        "due": due,
        "overdue": state != "agreed" and day is not None and date.fromisoformat(day) < _day(now_us),
        "approval": None if approval is None else approval.id,
        "state": state,
    }
