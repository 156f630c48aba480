"""What the watch does about a unit's parts: from what is seen and what it remembers to the actions that follow. Pure.

Not for reading or writing any of it (`watch`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cloud.assets.alarm_rules import Name, Standing
from cloud.assets.model import Asset
from cloud.compliance.trace import Law
from cloud.disclosure.capacity import Available, Condition, PartState
from cloud.disclosure.detector import Phase, Watched, judge
from cloud.disclosure.event import OVER, Deed, Event, State
from cloud.disclosure.setup import Setup
from cloud.disclosure.times import microseconds

MINUTE_US: Final = 60_000_000
DAY_US: Final = 86_400_000_000
MOST_REASON: Final = 500
NO_ALARM: Final = "Loss of capacity; no alarm of the asset is active"


@dataclass(frozen=True, slots=True)
class Due:
    """An action of the watch: its deed and detail, and the evidence it rests on. event: None where one begins."""

    deed: Deed
    detail: dict[str, Any]
    rows: dict[str, bytes]
    event: Event | None = None


def found(available: Available, part: PartState, watched: Watched, setup: Setup, told: "Told") -> Due:
    """The draft of a part that failed."""
    unit, asset = available.unit, setup.asset(part.asset)
    start_us = watched.since_us
    planned_until_us = _maintained(asset, start_us)
    judged = judge(unit, available.lost, told.law)
    detail = {
        "unit": unit.name,
        "asset": part.asset,
        "number": told.number,
        "start_us": start_us,
        "stop_us": planned_until_us or expected_stop(asset, setup, start_us, told.now_us),
        "planned": planned_until_us is not None,
        "reason": reason(told.alarms, part.asset),
        "remarks": f"Found by measurement of {part.asset}; evidence capacity {told.capacity.hex()}, health {part.row.hex()}",
        "judgement": judged.judgement.value,
        "why": judged.why,
    }
    return Due(Deed.FIND, detail, {"capacity": told.capacity, "seen": part.row, "began": watched.row})


@dataclass(frozen=True, slots=True)
class Told:
    """What an event that begins now is told with. capacity: the unit's newest row."""

    number: int
    now_us: int
    law: Law
    capacity: bytes
    alarms: Sequence[tuple[Name, Standing]]


def reason(alarms: Iterable[tuple[Name, Standing]], asset: str) -> str:
    """Alarms of the asset that are active: name, priority, cause."""
    active = [f"{name.alarm} ({one.priority.value}): {one.cause}" for name, one in alarms if name.asset == asset and one.alarm.active]
    told = "".join(letter if letter.isprintable() else " " for letter in "; ".join(active))  # as every reader of XML takes it
    return told[:MOST_REASON].strip() or NO_ALARM


def _maintained(asset: Asset | None, at_us: int) -> int | None:
    """When the planned work that the model has at that time ends."""
    windows = [one for one in asset.maintenance if one.start_us <= at_us < one.end_us] if asset else []
    return max((one.end_us for one in windows), default=None)


def expected_stop(asset: Asset | None, setup: Setup, start_us: int, now_us: int) -> int:
    """After the class's median repair; from now where that is over already. A guess for a person to correct."""
    days = setup.model.class_of(asset).failure.repair_median if asset and setup.model else 1.0
    repair_us = max(MINUTE_US, int(days * DAY_US))
    stop_us = start_us + repair_us if start_us + repair_us > now_us else now_us + repair_us
    return -(-stop_us // MINUTE_US) * MINUTE_US


def follow_up(event: Event, part: PartState, watched: Watched, setup: Setup, now_us: int) -> Due | None:
    """What an open event of the part has to say now: it has recovered, or lasts longer than was said. While a person is at it, it waits."""
    if event.state not in (State.DRAFT, State.PUBLISHED) or event.recovered_us is not None:
        return None
    message = event.message
    if watched.phase is Phase.UP:
        stop_us = max(watched.since_us, microseconds(message.start) + MINUTE_US)
        remarks = f"{part.asset} has recovered; evidence health {watched.row.hex()}"
        detail = {"stop_us": stop_us, "recovered_us": watched.since_us, "remarks": remarks}
        return Due(Deed.CHANGE, detail, {"began": watched.row, "seen": part.row}, event)
    stop_us = microseconds(message.stop)
    if part.condition is Condition.DOWN and part.at_us is not None and part.at_us >= stop_us:
        later_us = expected_stop(setup.asset(part.asset), setup, part.at_us, now_us)
        remarks = f"{part.asset} is still down at the stop that was expected; evidence health {part.row.hex()}"
        return Due(Deed.CHANGE, {"stop_us": later_us, "remarks": remarks}, {"seen": part.row}, event)
    return None


def of_part(events: Iterable[Event], unit: str, asset: str) -> Event | None:
    """The open event of a part: it failed with it and has not recovered."""
    own = (one for one in events if one.unit == unit and one.asset == asset and one.state not in OVER)
    return next((one for one in own if one.recovered_us is None), None)
