"""Columns of trades, orders and executions, the join by key and time that the patterns share, and what an alert is.

Not for storing and not for deciding. Rules kept here: codes of owners and instruments are whole numbers from 0, UNKNOWN where a side is
not known; times are microseconds; a column of another length, a NaN, a quantity that is not positive or a time out of range is a
SurveillanceError that names the column. The same columns give the same alerts in the same order.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

UNKNOWN: Final = -1
_LATEST_US: Final = 7_258_118_400_000_000  # 2200-01-01 UTC
_MOST: Final = 2**62


class SurveillanceError(ValueError):
    """A column that cannot be meant."""


class Pattern(StrEnum):
    WASH_TRADE = "wash trade"
    ROUND_TRIP = "round trip"
    SPOOFING = "spoofing"
    LAYERING = "layering"
    MARKING_THE_CLOSE = "marking the close"
    MOMENTUM_IGNITION = "momentum ignition"
    INSIDE_INFORMATION = "trading on an outage before publication"


class Grade(StrEnum):
    HIGH = "high"
    NORMAL = "normal"


@dataclass(frozen=True, slots=True)
class Alert:
    """`members`: row numbers in the columns looked at; `measures`: what was found, to set beside the parameters."""

    pattern: Pattern
    owner: int
    instrument: int
    first_us: int
    last_us: int
    members: tuple[int, ...]
    measures: tuple[tuple[str, float], ...]
    grade: Grade = Grade.NORMAL


@dataclass(frozen=True, slots=True)
class Trades:
    """`buyer` and `seller` are beneficial owners; UNKNOWN on the other side where each side is reported by itself."""

    time_us: Ints
    instrument: Ints
    buyer: Ints
    seller: Ints
    price: Floats
    quantity: Floats

    def __post_init__(self) -> None:
        checked(self, positive=("quantity",), codes=("instrument",), sides=("buyer", "seller"))


@dataclass(frozen=True, slots=True)
class Orders:
    """`side` 1 buys, -1 sells. `fill_us`: of the last fill, UNKNOWN without. `cancel_us`: UNKNOWN while it stands.

    moved_ticks: how far the price had moved against the order when it was cancelled.
    """

    time_us: Ints
    owner: Ints
    instrument: Ints
    side: Ints
    quantity: Floats
    filled: Floats
    fill_us: Ints
    cancel_us: Ints
    moved_ticks: Floats

    def __post_init__(self) -> None:
        checked(self, positive=("quantity",), codes=("owner", "instrument"), sides=("fill_us", "cancel_us"))
        if not np.isin(self.side, (1, -1)).all():
            raise SurveillanceError("side: expected 1 or -1")
        if (self.filled < 0).any() or (self.filled > self.quantity).any():
            raise SurveillanceError("filled: expected from 0 to the quantity")
        if ((self.filled > 0) & (self.fill_us < self.time_us)).any():
            raise SurveillanceError("fill_us: expected a time from the order on where something is filled")
        if ((self.cancel_us != UNKNOWN) & (self.cancel_us < self.time_us)).any():
            raise SurveillanceError("cancel_us: expected no cancellation before the order")


@dataclass(frozen=True, slots=True)
class Executions:
    """Aggressive orders as they were executed: who took liquidity, on which side, at which price."""

    time_us: Ints
    owner: Ints
    instrument: Ints
    side: Ints
    price: Floats

    def __post_init__(self) -> None:
        checked(self, positive=(), codes=("owner", "instrument"), sides=())
        if not np.isin(self.side, (1, -1)).all():
            raise SurveillanceError("side: expected 1 or -1")


def ints(values: Iterable[int]) -> Ints:
    return np.fromiter(values, dtype=np.int64)


def floats(values: Iterable[float]) -> Floats:
    return np.fromiter(values, dtype=np.float64)


def codes(names: Iterable[str]) -> Mapping[str, int]:
    """A number per name, by the order of the alphabet: the same names give the same numbers."""
    return {name: number for number, name in enumerate(sorted(set(names)))}


def checked(columns: Any, *, positive: tuple[str, ...], codes: tuple[str, ...], sides: tuple[str, ...]) -> None:
    names = columns.__dataclass_fields__
    lengths = {getattr(columns, name).shape for name in names}
    if len(lengths) > 1 or any(len(shape) != 1 for shape in lengths):
        raise SurveillanceError(f"expected columns of one length, found {sorted(lengths)}")
    for name in names:
        column = getattr(columns, name)
        if column.dtype == np.float64 and not np.isfinite(column).all():
            raise SurveillanceError(f"{name}: expected finite numbers")
        if name.endswith("_us") and ((column > _LATEST_US).any() or (name not in sides and (column < 0).any())):
            raise SurveillanceError(f"{name}: expected times from 1970 to 2200")
        if (
            (name in positive and (column <= 0).any())
            or (name in codes and (column < 0).any())
            or (name in sides and (column < UNKNOWN).any())
        ):
            raise SurveillanceError(f"{name}: found a value below what it can be")


def key(*columns: Ints) -> Ints:
    """One whole number per row and combination of values from 0 on."""
    combined = np.zeros_like(columns[0])
    span = 1
    for column in columns:
        size = int(column.max(initial=0)) + 1
        span *= size
        if span >= _MOST:
            raise SurveillanceError("too many owners and instruments for one run: split the columns")
        combined = combined * size + column
    return combined


def joined(left: tuple[Ints, Ints], right: tuple[Ints, Ints], window_us: int | Ints) -> tuple[Ints, Ints]:
    """Rows (l, r) of equal key with 0 <= time of r - time of l <= window, ordered by l and then by time of r.

    Each side is a pair of columns: keys made alike, and times.
    """
    (left_key, left_us), (right_key, right_us) = left, right
    if not left_key.size or not right_key.size:
        return ints(()), ints(())
    _, dense = np.unique(np.concatenate((left_key, right_key)), return_inverse=True)
    start = int(min(left_us.min(), right_us.min()))
    reach = int(max(left_us.max(), right_us.max())) - start + int(np.max(window_us)) + 2
    if (int(dense.max()) + 1) * reach >= _MOST:
        raise SurveillanceError("the times and keys of one run span too far: split the columns")
    placed = dense.astype(np.int64) * reach
    order = np.argsort(placed[left_key.size :] + (right_us - start), kind="stable")
    line = (placed[left_key.size :] + (right_us - start))[order]
    at = placed[: left_key.size] + (left_us - start)
    low = np.searchsorted(line, at, side="left")
    high = np.searchsorted(line, at + window_us, side="right")
    counts = high - low
    lefts = np.repeat(np.arange(left_key.size), counts)
    offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return lefts.astype(np.int64), order[np.repeat(low, counts) + offsets].astype(np.int64)


def ordered(alerts: Iterable[Alert]) -> tuple[Alert, ...]:
    return tuple(sorted(alerts, key=lambda one: (one.first_us, one.last_us, one.owner, one.instrument, one.members)))
