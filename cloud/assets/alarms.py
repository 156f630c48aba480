"""Alarms with the ISA-18.2 life cycle: one literal table of transitions, deadband and delays, shelving that ends by itself, floods.

Pure steps: (alarm, event, time) -> alarm. Nothing here writes to a device. Qenergyz reads a protection system's bits; it never
replaces or resets them.

    NORMAL --raise--> UNACKNOWLEDGED --acknowledge--> ACKNOWLEDGED --clear--> NORMAL
                      UNACKNOWLEDGED --clear--> RETURNED (still unacknowledged) --acknowledge--> NORMAL; --raise--> UNACKNOWLEDGED
    ACKNOWLEDGED --re-alarm--> UNACKNOWLEDGED: the condition got worse, and has to be heard again
    any of these --shelve / suppress / remove--> SHELVED / SUPPRESSED / OUT_OF_SERVICE, which are silent, follow the condition, and
    end (unshelve, unsuppress, restore) as UNACKNOWLEDGED where the condition is active, else as NORMAL. A shelving for once ends as
    well when the condition clears (OPC 10000-9, OneShotShelved).
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cloud.assets import AssetError, Bools, Floats

MOST_SHELVED_US: Final = 8 * 3_600_000_000
FLOOD_WINDOW_US: Final = 600_000_000
FLOOD_ABOVE, FLOOD_ENDS_BELOW = 10, 5


class State(enum.StrEnum):
    NORMAL = "normal"
    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    RETURNED = "returned unacknowledged"
    SHELVED = "shelved"
    SUPPRESSED = "suppressed by design"
    OUT_OF_SERVICE = "out of service"


class Event(enum.StrEnum):
    RAISE = "raise"
    CLEAR = "clear"
    REALARM = "re-alarm"
    ACKNOWLEDGE = "acknowledge"
    SHELVE = "shelve"
    UNSHELVE = "unshelve"
    SUPPRESS = "suppress"
    UNSUPPRESS = "unsuppress"
    REMOVE = "remove from service"
    RESTORE = "restore to service"


_SILENCE: Final = {Event.SHELVE: State.SHELVED, Event.SUPPRESS: State.SUPPRESSED, Event.REMOVE: State.OUT_OF_SERVICE}
_HEARD: Final = (State.NORMAL, State.UNACKNOWLEDGED, State.ACKNOWLEDGED, State.RETURNED)
_STAYS: Final = {Event.RAISE, Event.CLEAR, Event.REALARM}  # a silent alarm follows its condition without changing state

# ISA-18.2, alarm state transition diagram. An event that is not listed for a state is refused.
TRANSITIONS: Final[Mapping[tuple[State, Event], State]] = {
    (State.NORMAL, Event.RAISE): State.UNACKNOWLEDGED,
    (State.NORMAL, Event.CLEAR): State.NORMAL,
    (State.UNACKNOWLEDGED, Event.RAISE): State.UNACKNOWLEDGED,
    (State.UNACKNOWLEDGED, Event.CLEAR): State.RETURNED,
    (State.UNACKNOWLEDGED, Event.REALARM): State.UNACKNOWLEDGED,
    (State.UNACKNOWLEDGED, Event.ACKNOWLEDGE): State.ACKNOWLEDGED,
    (State.ACKNOWLEDGED, Event.RAISE): State.ACKNOWLEDGED,
    (State.ACKNOWLEDGED, Event.CLEAR): State.NORMAL,
    (State.ACKNOWLEDGED, Event.REALARM): State.UNACKNOWLEDGED,
    (State.RETURNED, Event.RAISE): State.UNACKNOWLEDGED,
    (State.RETURNED, Event.CLEAR): State.RETURNED,
    (State.RETURNED, Event.ACKNOWLEDGE): State.NORMAL,
    **{(heard, event): silent for heard in _HEARD for event, silent in _SILENCE.items()},
    **{(silent, event): silent for silent in _SILENCE.values() for event in _STAYS},
    (State.SHELVED, Event.UNSHELVE): State.NORMAL,
    (State.SHELVED, Event.REMOVE): State.OUT_OF_SERVICE,
    (State.SUPPRESSED, Event.UNSUPPRESS): State.NORMAL,
    (State.SUPPRESSED, Event.REMOVE): State.OUT_OF_SERVICE,
    (State.OUT_OF_SERVICE, Event.RESTORE): State.NORMAL,
}
_ENDS: Final = {Event.UNSHELVE, Event.UNSUPPRESS, Event.RESTORE}


@dataclass(frozen=True, slots=True)
class Alarm:
    """`active`: the condition holds, whatever the state; `until_us`, `reason`, `once`: of the shelving, 0, "" and False otherwise."""

    state: State = State.NORMAL
    active: bool = False
    since_us: int = 0
    until_us: int = 0
    reason: str = ""
    once: bool = False


def step(alarm: Alarm, event: Event, now_us: int, *, reason: str = "", until_us: int = 0, once: bool = False) -> Alarm:
    """The alarm after `event`. Shelving and removal need a reason, shelving an end within eight hours; once: it ends when the condition clears.

    Raises AssetError for an event that the state does not allow.
    """
    after = TRANSITIONS.get((alarm.state, event))
    if after is None:
        raise AssetError(f'an alarm that is {alarm.state} does not accept "{event}"')
    if event in (Event.SHELVE, Event.REMOVE) and not reason.strip():
        raise AssetError(f'"{event}" needs a reason')
    if event is Event.SHELVE and not now_us < until_us <= now_us + MOST_SHELVED_US:
        raise AssetError('"shelve" needs an end, at most 8 h ahead')
    active = {Event.RAISE: True, Event.CLEAR: False}.get(event, alarm.active)
    if event in _ENDS and active:
        after = State.UNACKNOWLEDGED
    if alarm.state is State.SHELVED and alarm.once and event is Event.CLEAR:
        after = State.NORMAL
    since = alarm.since_us if after is alarm.state else now_us
    silent = after in _SILENCE.values()
    kept = (until_us, reason, once) if event in _SILENCE else (alarm.until_us, alarm.reason, alarm.once)
    return Alarm(after, active, since, *(kept if silent else (0, "", False)))


def expire(alarm: Alarm, now_us: int) -> Alarm:
    """A shelving whose time is over ends by itself."""
    return step(alarm, Event.UNSHELVE, now_us) if alarm.state is State.SHELVED and now_us >= alarm.until_us else alarm


@dataclass(frozen=True, slots=True)
class Limits:
    """When a condition holds, arrays of shape (alarms,): above `limit`; over again `deadband` below it; delays in microseconds."""

    limit: Floats
    deadband: Floats
    on_delay_us: NDArray[np.int64]
    off_delay_us: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Conditions:
    """active: the condition after delays; pending_us: since when the value argues for the opposite, 0 when it does not."""

    active: Bools
    pending_us: NDArray[np.int64]

    @classmethod
    def start(cls, alarms: int) -> "Conditions":
        return cls(np.zeros(alarms, dtype=bool), np.zeros(alarms, dtype=np.int64))


def watch(state: Conditions, limits: Limits, values: Floats, usable: Bools, now_us: int) -> Conditions:
    """One value per alarm. A value that is not usable (bad, NaN) neither raises nor clears: it stops the delay where it is begun anew."""
    value = np.where(usable & np.isfinite(values), values, 0.0)
    against = np.where(state.active, value < limits.limit - limits.deadband, value > limits.limit) & usable & np.isfinite(values)
    since = np.where(against, np.where(state.pending_us > 0, state.pending_us, now_us), 0)
    delay = np.where(state.active, limits.off_delay_us, limits.on_delay_us)
    turned = against & (now_us - since >= delay)
    return Conditions(state.active ^ turned, np.where(turned, 0, since))


def events(before: Conditions, after: Conditions) -> tuple[tuple[int, Event], ...]:
    """What changed: (position of the alarm, RAISE or CLEAR)."""
    changed = np.flatnonzero(before.active != after.active)
    return tuple((int(at), Event.RAISE if after.active[at] else Event.CLEAR) for at in changed)


@dataclass(frozen=True, slots=True)
class Flood:
    """Annunciations of the last ten minutes of one operator group; `first`: what came first in this flood, kept on top."""

    recent: tuple[tuple[int, str], ...] = ()
    active: bool = False
    first: str = ""


def annunciate(flood: Flood, names: Sequence[str], now_us: int) -> Flood:
    """After the alarms `names` (may be none) sounded. A flood begins above 10 in 10 minutes and ends below 5 in 10 minutes."""
    kept = tuple(entry for entry in flood.recent if entry[0] > now_us - FLOOD_WINDOW_US)
    recent = (*kept, *((now_us, name) for name in names))
    active = len(recent) >= FLOOD_ENDS_BELOW if flood.active else len(recent) > FLOOD_ABOVE
    first = flood.first if flood.active and active else (recent[0][1] if active else "")
    return replace(flood, recent=recent, active=active, first=first)
