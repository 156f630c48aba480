"""When a loss of capacity is an outage, and when it is over: a loss that lasts, in the time of the data itself. Pure.

    UP --down--> FALLING --down, long enough--> DOWN  (failed)      FALLING --up--> UP
    DOWN --up--> RISING --up, long enough--> UP  (recovered)        RISING --down--> DOWN

What is unknown changes nothing: a part that cannot be seen neither fails nor recovers. Time is that of the samples, never the clock's, so
a replay finds what happened then. Not for how large a loss has to be: `judgement` says what a loss asks for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Final

from cloud.compliance.parameters import Undetermined
from cloud.compliance.profile import Unit
from cloud.compliance.trace import Law
from cloud.disclosure.capacity import Condition

FLOOR: Final = "eu.remit.disclosure.floor_mw"


class Phase(StrEnum):
    UP = "up"
    FALLING = "falling"
    DOWN = "down"
    RISING = "rising"


class Turn(StrEnum):
    NONE = "none"
    FAILED = "failed"
    RECOVERED = "recovered"


class Judgement(StrEnum):
    DISCLOSE = "disclose"
    REVIEW = "review"


@dataclass(frozen=True, slots=True)
class Watched:
    """A part of a unit between two looks. since_us: data time at which its condition changed. row: the health row that showed it."""

    phase: Phase = Phase.UP
    since_us: int = 0
    row: bytes = b""


_STEPS: Final[Mapping[tuple[Phase, Condition], Phase]] = {
    (Phase.UP, Condition.DOWN): Phase.FALLING,
    (Phase.FALLING, Condition.UP): Phase.UP,
    (Phase.DOWN, Condition.UP): Phase.RISING,
    (Phase.RISING, Condition.DOWN): Phase.DOWN,
}
_LASTING: Final = {Phase.FALLING: (Phase.DOWN, Turn.FAILED), Phase.RISING: (Phase.UP, Turn.RECOVERED)}
_HELD: Final = {Phase.FALLING: Condition.DOWN, Phase.RISING: Condition.UP}


def step(before: Watched, condition: Condition, at_us: int | None, row: bytes, lasting_us: int) -> tuple[Watched, Turn]:
    """The part after one look. at_us: newest source time; None: nothing new was measured. lasting_us: the market time unit."""
    if condition is Condition.UNKNOWN or at_us is None:
        return before, Turn.NONE
    if (phase := _STEPS.get((before.phase, condition))) is not None:
        return Watched(phase, at_us, row), Turn.NONE
    if _HELD.get(before.phase) is condition and at_us - before.since_us >= lasting_us:
        phase, turn = _LASTING[before.phase]
        return replace(before, phase=phase), turn
    return before, Turn.NONE


@dataclass(frozen=True, slots=True)
class Judged:
    """What a loss asks for, by which threshold; threshold_mw None: none is confirmed, a person decides."""

    judgement: Judgement
    threshold_mw: Decimal | None
    why: str


def told(mw: Decimal) -> str:
    """For people: to a hundredth."""
    return f"{mw.quantize(Decimal('0.01')).normalize():f}"


def judge(unit: Unit, lost: Decimal, law: Law) -> Judged:
    """lost: all that the unit lacks, in its own measure. The unit's own threshold or the law's, whichever is smaller; below it, and where
    there is none, a person reviews: art. 4 itself has no floor."""
    lost_mw = unit.mw(lost)
    known, undetermined = [], ""
    if unit.threshold_mw is not None:
        known.append((unit.threshold_mw, "the unit's own threshold"))
    try:
        known.append((law.number(FLOOR), f"{FLOOR} of {law.as_of}"))
    except Undetermined as reason:
        undetermined = str(reason)
    if not known:
        return Judged(Judgement.REVIEW, None, f"no threshold is confirmed: {undetermined}")
    threshold, source = min(known)
    if lost_mw >= threshold:
        return Judged(Judgement.DISCLOSE, threshold, f"{told(lost_mw)} MW lost, {source} is {told(threshold)} MW")
    return Judged(
        Judgement.REVIEW, threshold, f"{told(lost_mw)} MW lost are below {source}, {told(threshold)} MW; REMIT art. 4 has no floor"
    )
