"""Outages as people and pages see them: state, message, clock, who did what; nothing that evidence would not show."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from cloud.compliance.parameters import DatedValue
from cloud.compliance.trace import day_of
from cloud.disclosure.documents import message_document
from cloud.disclosure.event import UNPUBLISHED, Event, State
from cloud.disclosure.ledger import LAW
from cloud.disclosure.store import Message, Step, Stored, Watching
from cloud.evidence.api import plain
from protocols.batch.evidence import Row

MINUTES: Final = "eu.remit.disclosure.minutes"
_MINUTE_US: Final = 60_000_000


def _minutes(at_us: int) -> DatedValue | None:
    return LAW.parameters[MINUTES].at(day_of(at_us))


def clock(event: Event, now_us: int) -> dict[str, Any] | None:
    """The time that runs from confirmation to publication; None where none runs. status: of the law's figure, which may be unconfirmed."""
    if event.state not in UNPUBLISHED:
        return None
    found = _minutes(now_us)
    if found is None or found.value is None:
        return {"due_us": None, "left_s": None, "overdue": None, "status": "unknown"}
    term = {"minutes": str(found.value), "status": found.status.value, "reference": found.reference}
    if event.confirmed_us is None:
        return {"due_us": None, "left_s": None, "overdue": False, **term}
    due_us = event.confirmed_us + int(float(str(found.value)) * _MINUTE_US)
    return {"due_us": due_us, "left_s": (due_us - now_us) // 1_000_000, "overdue": now_us > due_us, **term}


def listed(stored: Stored, now_us: int) -> dict[str, Any]:
    """One line of a list, and what the live stream carries."""
    event = stored.event
    return {
        "event": event.id,
        "number": event.number,
        "unit": event.unit,
        "asset": event.asset,
        "state": event.state.value,
        "step": stored.step,
        "found_us": stored.found_us,
        "known_us": event.known_us,
        "changed_us": stored.changed_us,
        "confirmed_us": event.confirmed_us,
        "confirmed_by": event.confirmed_by,
        "recovered_us": event.recovered_us,
        "judgement": event.judgement.value,
        "why": event.why,
        "blocks_orders": event.blocks,
        "approval": event.approval,
        "message": message_document(event.message),
        "published": None if event.published is None else event.published.id,
        "clock": clock(event, now_us),
        "evidence": stored.evidence.hex(),
    }


def step_json(step: Step) -> dict[str, Any]:
    return {
        "step": step.number,
        "at_us": step.at_us,
        "deed": step.deed,
        "by": step.by,
        "role": step.role,
        "state": step.state,
        "evidence": step.evidence.hex(),
        "message": message_document(step.event.message),
        "detail": dict(step.action),
    }


def file_json(message: Message) -> dict[str, Any]:
    return {"message": message.message.id, "published_us": message.published_us, "sha256": message.file.hex()}


def whole(
    stored: Stored, steps: Sequence[Step], files: Iterable[Message], findings: Sequence[dict[str, Any]], now_us: int, **more: Any
) -> dict[str, Any]:
    return {
        **listed(stored, now_us),
        "steps": [step_json(one) for one in steps],
        "files": [file_json(one) for one in files],
        "findings": list(findings),
        **more,
    }


def capacity_json(digest: bytes, row: Row, watching: Mapping[str, Watching]) -> dict[str, Any]:
    """A unit's newest capacity. watching: by asset."""
    output: dict[str, Any] = plain(row.output)
    for asset, part in output["parts"].items():
        one = watching.get(asset)
        part |= {"phase": one.watched.phase.value if one else "up", "since_us": one.watched.since_us if one else 0}
    return {"unit": row.subject, "measure": output.pop("unit"), **output, "as_of_us": row.as_of_us, "evidence": digest.hex()}


def states(text: str | None) -> frozenset[str] | None:
    """Of a filter: a state, "open" for all that is not over, or nothing. Raises ValueError."""
    if text is None:
        return None
    if text == "open":
        return frozenset(state.value for state in State if state not in (State.ENDED, State.WITHDRAWN, State.DISMISSED))
    return frozenset({State(text).value})
