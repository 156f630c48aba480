"""What people do about an alert: who looks at it, what they note, how they decide. Pure: the state is the fold of the steps.

Not for finding alerts. Rules: an alert is decided by the analyst it was given to, once, for reasons that are kept whichever way it goes; a
report to the authority (STOR) or no further action are the only decisions; notes may follow a decision, another decision may not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Step(StrEnum):
    ASSIGN = "assign"
    NOTE = "note"
    DECIDE = "decide"


class Decision(StrEnum):
    STOR = "STOR"
    NO_ACTION = "no further action"


class State(StrEnum):
    OPEN = "open"
    ASSIGNED = "assigned"
    REPORT = "to be reported"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Taken:
    """person: who the alert is given to. decision, text: the reasons of a decision, or a note."""

    at_us: int
    by: str
    step: Step
    person: int | None = None
    decision: Decision | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    state: State
    analyst: int | None
    decided: Taken | None


class NotAllowed(Exception):
    """The state of the case does not allow the step."""


def case(steps: Sequence[Taken]) -> Case:
    analyst = next((one.person for one in reversed(steps) if one.step is Step.ASSIGN), None)
    decided = next((one for one in steps if one.step is Step.DECIDE), None)
    if decided is not None:
        return Case(State.REPORT if decided.decision is Decision.STOR else State.CLOSED, analyst, decided)
    return Case(State.OPEN if analyst is None else State.ASSIGNED, analyst, None)


def check(steps: Sequence[Taken], taken: Taken, person: int | None) -> None:
    """person: who takes the step; None for a program. Raises NotAllowed."""
    present = case(steps)
    if taken.step is Step.NOTE:
        return
    if present.decided is not None:
        raise NotAllowed(f"the alert was decided already: {present.decided.decision}")
    if taken.step is Step.DECIDE and (person is None or present.analyst != person):
        raise NotAllowed("an alert is decided by the analyst it was given to; take it first")
