"""What a unit has available: from the health of the assets that are its parts to a figure with its interval. Pure.

Rules: a part whose health is past the class's failure threshold is taken as down, as the volume forecast does; a part that nothing is
known of counts as available in the upper end alone, so it widens the interval and never raises the figure. Not for when a loss is an outage
(`detector`), nor for what is lost in part: a part is up or down.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from cloud.assets.health import HealthState
from cloud.assets.model import Model
from cloud.compliance.profile import Profile, Unit
from cloud.reports.xmlfile import plain
from protocols.batch.evidence import Row

CAPACITY: Final = "capacity"
NOT_EVALUATED: Final = HealthState.NOT_EVALUATED.name.lower().replace("_", " ")


class Condition(StrEnum):
    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Seen:
    """An asset's health as a health row has it; at_us: newest source time behind it, None where the row rests on no new sample."""

    index: float
    low: float
    high: float
    evaluated: bool
    at_us: int | None
    row: bytes = b""


@dataclass(frozen=True, slots=True)
class PartState:
    asset: str
    condition: Condition
    capacity: Decimal
    low: Decimal
    high: Decimal
    at_us: int | None = None
    row: bytes = b""

    @property
    def point(self) -> Decimal:
        """Known to be available."""
        return self.capacity if self.condition is Condition.UP else Decimal(0)


@dataclass(frozen=True, slots=True)
class Available:
    unit: Unit
    parts: tuple[PartState, ...]

    @property
    def point(self) -> Decimal:
        return sum((part.point for part in self.parts), Decimal(0))

    @property
    def low(self) -> Decimal:
        return sum((part.low for part in self.parts), Decimal(0))

    @property
    def high(self) -> Decimal:
        return sum((part.high for part in self.parts), Decimal(0))

    @property
    def lost(self) -> Decimal:
        """Known to be down."""
        return sum((part.capacity for part in self.parts if part.condition is Condition.DOWN), Decimal(0))

    def output(self) -> dict[str, Any]:
        """As an evidence row has it; numbers as text, so that no digit is lost."""
        return {
            "unit": self.unit.measure.value,
            "installed": plain(self.unit.installed),
            "available": plain(self.point),
            "low": plain(self.low),
            "high": plain(self.high),
            "parts": {
                part.asset: {
                    "condition": part.condition.value,
                    "capacity": plain(part.capacity),
                    "low": plain(part.low),
                    "high": plain(part.high),
                }
                for part in self.parts
            },
        }


def seen(rows: Mapping[str, tuple[bytes, Row]]) -> dict[str, Seen]:
    """By asset, from the newest health row of each site."""
    found = {}
    for digest, row in rows.values():
        window = row.inputs.window
        for asset, told in row.output["assets"].items():
            evaluated = told["state"] != NOT_EVALUATED
            found[asset] = Seen(told["index"], told["low"], told["high"], evaluated, window[1] - 1 if window else None, digest)
    return found


def thresholds(model: Model) -> dict[str, float]:
    """Of degradation, 1 - index, by asset: from there on it is taken as down."""
    return {asset.name: model.class_of(asset).failure.threshold for asset in model.assets}


def available(unit: Unit, health: Mapping[str, Seen], failing: Mapping[str, float]) -> Available:
    """health, failing: by asset; a part that neither knows is unknown."""
    return Available(unit, tuple(_part(part.asset, part.capacity, health.get(part.asset), failing.get(part.asset)) for part in unit.parts))


def _part(asset: str, capacity: Decimal, found: Seen | None, failing: float | None) -> PartState:
    nothing = Decimal(0)
    if found is None or failing is None or not found.evaluated:
        at_us, row = (found.at_us, found.row) if found else (None, b"")
        return PartState(asset, Condition.UNKNOWN, capacity, nothing, capacity, at_us, row)
    up, surely, possibly = (1.0 - index < failing for index in (found.index, found.low, found.high))
    condition = Condition.UP if up else Condition.DOWN
    return PartState(asset, condition, capacity, capacity if surely else nothing, capacity if possibly else nothing, found.at_us, found.row)


def of_profile(profile: Profile, health: Mapping[str, Seen], failing: Mapping[str, float]) -> tuple[Available, ...]:
    """Of every unit that has parts."""
    return tuple(available(unit, health, failing) for unit in profile.units if unit.parts)
