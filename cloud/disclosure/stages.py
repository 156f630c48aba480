"""Evidence rows of capacity and of messages, made from values; and the same computed again from what such a row names.

Times that were measured are taken from the health rows behind an action, not from what the action says. Not for SQL and not for when a
row is made.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from cloud import document
from cloud.assets.model import Model, parse_model
from cloud.compliance.profile import Profile, parse_profile
from cloud.disclosure import capacity
from cloud.disclosure.capacity import CAPACITY, Available
from cloud.disclosure.documents import event_document
from cloud.disclosure.event import UMM, Action, Deed, Event, advance, read_action
from cloud.evidence import code as evidence_code
from cloud.evidence.again import Known, Stage
from cloud.reports.umm import Outage
from protocols.batch.evidence import Inputs, Row
from protocols.batch.pedigree import Opened

RULES: Final = ("assets", "compliance", "reports", "disclosure")
BESIDE: Final = "beside "  # before the name of another event of the unit
SEEN: Final = "health "  # before the name of a site
BEGAN: Final = "began"  # the health row that first showed the change
PREVIOUS: Final = "previous"


def code() -> Mapping[str, str]:
    return evidence_code.code(*RULES)


def digests(contents: Mapping[str, bytes]) -> dict[str, bytes]:
    return {name: hashlib.sha256(content).digest() for name, content in contents.items()}


def capacity_row(found: Available, health: Mapping[str, bytes], contents: Mapping[str, bytes], as_of_us: int) -> Row:
    """health: digests of the health rows by site."""
    rows = {f"{SEEN}{site}": digest for site, digest in health.items()}
    return Row(CAPACITY, found.unit.name, as_of_us, Inputs(rows, digests(contents)), {}, 0, code(), found.output())


def umm_row(after: Event, action: Action, rows: Mapping[str, bytes], contents: Mapping[str, bytes]) -> Row:
    return Row(UMM, after.id, action.at_us, Inputs(rows, digests(contents)), {}, 0, code(), event_document(after))


def write_action(action: Action) -> bytes:
    return document.encode(action.document())


def beside(events: Iterable[tuple[Event, bytes]], own: str) -> dict[str, bytes]:
    """Rows of other events of the unit that count in what remains. events: with their newest rows."""
    return {f"{BESIDE}{one.id}": row for one, row in events if one.id != own and one.outage is not None}


def _capacity(known: Known, opened: Opened) -> Mapping[str, Any]:
    row = opened.row
    profile, model = known.parsed(row, "profile", _profile), known.parsed(row, "model", _model)
    health = {name.removeprefix(SEEN): (digest, known.rows[digest]) for name, digest in row.inputs.rows.items()}
    unit = profile.unit(row.subject)
    if unit is None:
        return {}
    return capacity.available(unit, capacity.seen(health), capacity.thresholds(model)).output()


def _umm(known: Known, opened: Opened) -> Mapping[str, Any]:
    row, rows = opened.row, opened.row.inputs.rows
    action = known.parsed(row, "action", _action)
    if BEGAN in rows:
        action = as_measured(action, known.rows[rows[BEGAN]])
    before: Event | None = known.made[rows[PREVIOUS]] if PREVIOUS in rows else None
    others = [known.made[digest].outage for name, digest in rows.items() if name.startswith(BESIDE)]
    after = advance(before, action, known.parsed(row, "profile", _profile), counted(others))
    known.made[opened.digest] = after
    return event_document(after)


def counted(others: Iterable[Outage | None]) -> list[Outage]:
    return [one for one in others if one is not None]


def as_measured(action: Action, began: Row) -> Action:
    """The action with the time that the health row has: when a failure, or a recovery, was first seen."""
    if began.inputs.window is None:
        return action
    at_us = began.inputs.window[1] - 1
    told = {**action.detail, ("start_us" if action.deed is Deed.FIND else "recovered_us"): at_us}
    return Action(action.deed, action.by, action.role, action.at_us, told)


def _profile(text: bytes) -> Profile:
    return parse_profile(text.decode())


def _model(text: bytes) -> Model:
    return parse_model(text.decode())


def _action(text: bytes) -> Action:
    return read_action(document.parse(text))


STAGES: Final[Mapping[str, Stage]] = {CAPACITY: _capacity, UMM: _umm}
