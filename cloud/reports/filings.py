"""A filing through its versions: made, answered, amended, cancelled.

For knowing what the authority holds and what the next version has to be. Not for sending, storing or deciding to file. Rules: a version
never changes; nothing follows a version that is not answered; a rejected first version is filed again as new, because the authority
holds nothing; an accepted one is amended or cancelled; after a cancellation that was accepted nothing follows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cloud.reports.errors import ReportError


class Action(StrEnum):
    NEW = "new"
    AMENDMENT = "amendment"
    CANCELLATION = "cancellation"


class State(StrEnum):
    SENT = "sent"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


# The authority's own word for the action. A REMIT record that was wrong from the beginning is E, one that ended early is C.
CODES: Final[Mapping[str, Mapping[Action, str]]] = {
    "REMIT": {Action.NEW: "N", Action.AMENDMENT: "M", Action.CANCELLATION: "E"},
    "EMIR": {Action.NEW: "NEWT", Action.AMENDMENT: "CORR", Action.CANCELLATION: "EROR"},
    "FIXML": {Action.NEW: "0", Action.CANCELLATION: "1", Action.AMENDMENT: "2"},
}


@dataclass(frozen=True, slots=True)
class Version:
    number: int  # 1, 2, ...
    action: Action
    file_sha256: str
    rows: int
    made_us: int


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a record was rejected: the authority's code, and where in the file."""

    code: str
    place: str
    message: str


@dataclass(frozen=True, slots=True)
class Answer:
    """To one version. No reasons: accepted. `reference`: the receipt's number."""

    version: int
    received_us: int
    reference: str
    reasons: tuple[Reason, ...] = ()

    @property
    def accepted(self) -> bool:
        return not self.reasons


@dataclass(frozen=True, slots=True)
class Filing:
    id: str
    kind: str
    versions: tuple[Version, ...]
    answers: tuple[Answer, ...] = ()

    @property
    def state(self) -> State:
        last = self.versions[-1]
        answer = self.answer(last.number)
        if answer is None:
            return State.SENT
        if not answer.accepted:
            return State.REJECTED
        return State.CANCELLED if last.action is Action.CANCELLATION else State.ACCEPTED

    def answer(self, version: int) -> Answer | None:
        return next((answer for answer in self.answers if answer.version == version), None)

    @property
    def held(self) -> Version | None:
        """What the authority holds: the last accepted version, unless that cancelled it."""
        accepted = [version for version in self.versions if (found := self.answer(version.number)) is not None and found.accepted]
        return None if not accepted or accepted[-1].action is Action.CANCELLATION else accepted[-1]


def begun(filing_id: str, kind: str, file_sha256: str, rows: int, made_us: int) -> Filing:
    return Filing(filing_id, kind, (Version(1, Action.NEW, file_sha256, rows, made_us),))


def answered(filing: Filing, answer: Answer) -> Filing:
    """Raises ReportError for a version that was not filed, a second answer that says something else, or an answer before the file."""
    version = next((one for one in filing.versions if one.number == answer.version), None)
    if version is None:
        raise ReportError(f"filing {filing.id}", f"there is no version {answer.version} to answer")
    if answer.received_us < version.made_us:
        raise ReportError(f"filing {filing.id}", f"version {answer.version} was answered before it was made")
    held = filing.answer(answer.version)
    if held is None:
        return Filing(filing.id, filing.kind, filing.versions, (*filing.answers, answer))
    if (held.reference, held.reasons) == (answer.reference, answer.reasons):
        return filing
    raise ReportError(f"filing {filing.id}", f"version {answer.version} was already answered as {held.reference}, otherwise")


def amended(filing: Filing, file_sha256: str, rows: int, made_us: int) -> Filing:
    """The next version: new again where the authority holds nothing, else an amendment."""
    action = Action.NEW if filing.held is None else Action.AMENDMENT
    return _followed(filing, action, file_sha256, rows, made_us)


def cancelled(filing: Filing, file_sha256: str, rows: int, made_us: int) -> Filing:
    if filing.held is None:
        raise ReportError(f"filing {filing.id}", "the authority holds nothing that could be cancelled")
    return _followed(filing, Action.CANCELLATION, file_sha256, rows, made_us)


def _followed(filing: Filing, action: Action, file_sha256: str, rows: int, made_us: int) -> Filing:
    last = filing.versions[-1]
    if filing.state is State.SENT:
        raise ReportError(f"filing {filing.id}", f"version {last.number} is not answered yet")
    if filing.state is State.CANCELLED:
        raise ReportError(f"filing {filing.id}", "is cancelled; what is reported now is another filing")
    if made_us < last.made_us:
        raise ReportError(f"filing {filing.id}", "made before the version it follows")
    if file_sha256 == last.file_sha256:
        raise ReportError(f"filing {filing.id}", f"has the same bytes as version {last.number}")
    return Filing(filing.id, filing.kind, (*filing.versions, Version(last.number + 1, action, file_sha256, rows, made_us)), filing.answers)
