"""An outage through its life: what people and the watch do to it, and which message each step leads to. Pure.

    found --> DRAFT --confirm--> CONFIRMED --ask--> ASKED --publish--> PUBLISHED (ENDED once it has recovered, DISMISSED if taken back)
    declared by a person --> CONFIRMED          PUBLISHED --change--> DRAFT of the next message, --confirm--> CONFIRMED, and so on
    DRAFT, CONFIRMED, ASKED --withdraw--> WITHDRAWN, or PUBLISHED as before where a message is out; PUBLISHED --dismiss--> CONFIRMED

Rules: whatever is said comes from the profile, from what was measured, or from a person's action, and each step is a function of these
alone, so that it can be done again. Not for who may do a step (`outages`), nor for when the watch takes one (`watch`).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from cloud.compliance.profile import Profile, Unit
from cloud.disclosure.detector import Judgement
from cloud.disclosure.times import microseconds, moment
from cloud.reports import umm
from cloud.reports.errors import ReportError
from cloud.reports.umm import Outage, Status, Umm, Unavailability

UMM: Final = "umm"
PERSON: Final = "person/"  # before the number of one


class State(StrEnum):
    DRAFT = "draft"
    CONFIRMED = "confirmed"
    ASKED = "publication asked"
    PUBLISHED = "published"
    ENDED = "ended"
    WITHDRAWN = "withdrawn"
    DISMISSED = "dismissed"


OVER: Final = (State.ENDED, State.WITHDRAWN, State.DISMISSED)
UNPUBLISHED: Final = (State.DRAFT, State.CONFIRMED, State.ASKED)


class Deed(StrEnum):
    FIND = "find"
    DECLARE = "declare"
    CHANGE = "change"
    CONFIRM = "confirm"
    ASK = "ask"
    PUBLISH = "publish"
    WITHDRAW = "withdraw"
    DISMISS = "dismiss"


# What may be done when; what is not listed is refused.
ALLOWED: Final[Mapping[Deed, tuple[State, ...]]] = {
    Deed.CHANGE: (State.DRAFT, State.PUBLISHED),
    Deed.CONFIRM: (*UNPUBLISHED, State.PUBLISHED, State.ENDED),
    Deed.ASK: (State.CONFIRMED, State.ASKED),
    Deed.PUBLISH: (State.ASKED,),
    Deed.WITHDRAW: UNPUBLISHED,
    Deed.DISMISS: (*UNPUBLISHED, State.PUBLISHED, State.ENDED),
}


class EventError(ValueError):
    """What cannot be said of the event."""


class StateError(EventError):
    """What its state does not allow."""


@dataclass(frozen=True, slots=True)
class Action:
    """by: as the journal names who did it; role: what they are, "hub" for the watch. detail: what the deed says, as JSON has it."""

    deed: Deed
    by: str
    role: str
    at_us: int
    detail: Mapping[str, Any]

    def document(self) -> dict[str, Any]:
        return {"deed": self.deed.value, "by": self.by, "role": self.role, "at_us": self.at_us, "detail": dict(self.detail)}


def read_action(told: Mapping[str, Any]) -> Action:
    return Action(Deed(told["deed"]), told["by"], told["role"], told["at_us"], told["detail"])


@dataclass(frozen=True, slots=True)
class Event:
    """known_us: since when what is not published yet was known. confirmed_us: when a person confirmed the newest message. asset: the part
    that failed, empty where people declared the outage. why: of the judgement. recovered_us: data time."""

    id: str
    number: int
    unit: str
    asset: str
    state: State
    known_us: int
    judgement: Judgement
    why: str
    draft: Umm | None = None
    published: Umm | None = None
    confirmed_us: int | None = None
    recovered_us: int | None = None
    approval: int | None = None
    confirmed_by: str = ""

    @property
    def message(self) -> Umm:
        """The newest one."""
        found = self.draft or self.published
        if found is None:
            raise EventError(f"event {self.id} has no message")
        return found

    @property
    def blocks(self) -> bool:
        """Whether something is known that the market is not told yet."""
        return self.state in UNPUBLISHED

    @property
    def outage(self) -> Outage | None:
        """As the messages of others have to count it: what is published and was not taken back."""
        out = self.published
        return None if out is None or out.status is not Status.ACTIVE else Outage(out.start, out.stop, out.unavailable)


def advance(before: Event | None, action: Action, profile: Profile, others: Iterable[Outage] = ()) -> Event:
    """The event after a step. others: what is published of the same unit. Raises EventError."""
    if before is not None and before.state not in ALLOWED.get(action.deed, ()):
        raise StateError(f'event {before.id} is {before.state}: "{action.deed}" is not possible')
    try:
        after = _begun(action, profile) if before is None else _STEPS[action.deed](before, action)
        if after.draft is not None:
            after = replace(after, draft=umm.with_capacity(after.draft, others))
    except (ReportError, OverflowError) as error:
        raise EventError(str(error)) from error
    if after.draft is not None and (wrong := umm.faults(after.draft)):
        raise EventError("; ".join(wrong))
    if after.draft is not None and not after.draft.unavailable:
        raise EventError("unavailable: expected more than 0; an outage that takes nothing away is dismissed")
    return _published(after) if action.deed is Deed.PUBLISH else after


def event_id(number: int, unit: Unit) -> str:
    """One happening on several units has one number and an event for each."""
    return f"{number}-{unit.eic}"


def _begun(action: Action, profile: Profile) -> Event:
    told = action.detail
    unit = profile.unit(told["unit"])
    if unit is None:
        raise EventError(f'there is no unit "{told["unit"]}" in the profile')
    found = action.deed is Deed.FIND
    asset = told["asset"] if found else ""
    lost = _part(unit, asset) if found else Decimal(told["unavailable"])
    kind = Unavailability.PLANNED if told["planned"] else Unavailability.UNPLANNED
    name, decided = event_id(told["number"], unit), moment(action.at_us)
    who = profile.participant
    draft = Umm(
        name, 1, Status.ACTIVE, kind, unit.event_type.value, moment(told["start_us"]), moment(told["stop_us"]), unit.measure.value,
        unit.installed, unit.installed - lost, lost, told["reason"], unit.name, unit.eic, unit.zone, who.name, who.acer_code, decided,
        fuel=unit.fuel, remarks=told["remarks"],
    )  # fmt: skip
    judged = Judgement(told["judgement"]), told["why"]
    begun = Event(name, told["number"], unit.name, asset, State.DRAFT, action.at_us, *judged, draft)
    if found or not action.by.startswith(PERSON):  # what a program says, a person has to confirm
        return begun
    return replace(begun, state=State.CONFIRMED, confirmed_us=action.at_us, confirmed_by=action.by)


def _part(unit: Unit, asset: str) -> Decimal:
    lost = next((part.capacity for part in unit.parts if part.asset == asset), None)
    if lost is None:
        raise EventError(f'unit "{unit.name}" has no part "{asset}"')
    return lost


def _next(before: Event, action: Action, **changes: Any) -> Umm:
    """The draft with the changes; the next message where none is being drafted."""
    decided = max(before.message.decided, moment(action.at_us))
    if before.draft is not None:
        return replace(before.draft, decided=decided, **changes)
    return umm.updated(before.message, decided, **changes)


def _said(before: Event, told: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the message that an action names."""
    now = before.message
    changes: dict[str, Any] = {name: moment(told[f"{name}_us"]) for name in ("start", "stop") if f"{name}_us" in told}
    changes |= {name: told[name] for name in ("reason", "remarks") if name in told}
    if "planned" in told:
        changes["unavailability"] = Unavailability.PLANNED if told["planned"] else Unavailability.UNPLANNED
    if "unavailable" in told:
        lost = Decimal(told["unavailable"])
        changes |= {"unavailable": lost, "available": max(Decimal(0), now.installed - lost)}
    return changes


def _changed(before: Event, action: Action) -> Event:
    """By the watch: it has recovered, or lasts longer than was said."""
    draft = _next(before, action, **_said(before, action.detail))
    known_us = before.known_us if before.draft is not None else action.at_us
    return replace(
        before, state=State.DRAFT, known_us=known_us, draft=draft, confirmed_us=None, approval=None,
        recovered_us=action.detail.get("recovered_us", before.recovered_us),
    )  # fmt: skip


def _confirmed(before: Event, action: Action) -> Event:
    """Time runs from the first confirmation of a message: a correction does not begin it anew."""
    draft = _next(before, action, **_said(before, action.detail))
    fresh = before.draft is None
    confirmed_us = action.at_us if fresh or before.confirmed_us is None else before.confirmed_us
    known_us = action.at_us if fresh else before.known_us
    confirmed = replace(before, state=State.CONFIRMED, known_us=known_us, draft=draft, confirmed_us=confirmed_us, approval=None)
    return replace(confirmed, confirmed_by=action.by)


def _asked(before: Event, action: Action) -> Event:
    return replace(before, state=State.ASKED, approval=action.detail["approval"])


def _publishing(before: Event, action: Action) -> Event:
    if before.draft is None:
        raise EventError(f"event {before.id} has no draft to publish")
    return replace(before, draft=replace(before.draft, published=moment(action.at_us)))


def _published(after: Event) -> Event:
    out = after.draft
    if out is None:
        raise EventError(f"event {after.id} has no draft to publish")
    over = State.ENDED if after.recovered_us is not None else State.PUBLISHED
    return replace(after, state=State.DISMISSED if out.status is Status.DISMISSED else over, draft=None, published=out, approval=None)


def _withdrawn(before: Event, _: Action) -> Event:
    if before.published is None:
        return replace(before, state=State.WITHDRAWN, approval=None)
    state = State.PUBLISHED if before.recovered_us is None else State.ENDED
    return replace(before, state=state, draft=None, approval=None, confirmed_us=microseconds(before.published.decided))


def _dismissed(before: Event, action: Action) -> Event:
    """Before publication there is nothing to take back: the draft is withdrawn. After it, a message that says so has to be published."""
    if before.published is None:
        return _withdrawn(before, action)
    draft = umm.dismissed(before.published, max(before.published.decided, moment(action.at_us)), action.detail["reason"])
    dismissed = replace(before, state=State.CONFIRMED, known_us=action.at_us, draft=draft, confirmed_us=action.at_us, approval=None)
    return replace(dismissed, confirmed_by=action.by)


_STEPS: Final[Mapping[Deed, Callable[[Event, Action], Event]]] = {
    Deed.CHANGE: _changed,
    Deed.CONFIRM: _confirmed,
    Deed.ASK: _asked,
    Deed.PUBLISH: _publishing,
    Deed.WITHDRAW: _withdrawn,
    Deed.DISMISS: _dismissed,
}


def start_of(message: Umm) -> int:
    return microseconds(message.start)
