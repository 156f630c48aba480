"""Marking the close: a large own share at the end of the settlement window, a move in the own direction, and a position that gains.

MAR art. 12(2)(b). Guard: trades at settlement price and hedging programmes are left out by the caller (`exempt`).
"""

from dataclasses import dataclass

import numpy as np

from cloud.compliance.surveillance.columns import (
    UNKNOWN,
    Alert,
    Bools,
    Floats,
    Ints,
    Pattern,
    SurveillanceError,
    Trades,
    checked,
    key,
    ordered,
)
from cloud.compliance.surveillance.definitions import Close

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Closes:
    """One row per owner, instrument and settlement. linked_position: plus gains when the settlement rises. end_us: of the window."""

    end_us: Ints
    owner: Ints
    instrument: Ints
    window_volume: Floats
    bought: Floats
    sold: Floats
    price_before: Floats
    settlement: Floats
    linked_position: Floats
    exempt: Bools

    def __post_init__(self) -> None:
        checked(self, positive=("window_volume", "price_before"), codes=("owner", "instrument"), sides=())
        if ((self.bought < 0) | (self.sold < 0) | (self.bought > self.window_volume) | (self.sold > self.window_volume)).any():
            raise SurveillanceError("bought, sold: expected from 0 to the volume of the window")


def share_pct(closes: Closes) -> Floats:
    return 100 * np.maximum(closes.bought, closes.sold) / closes.window_volume


def move_pct(closes: Closes) -> Floats:
    return 100 * (closes.settlement - closes.price_before) / closes.price_before


def marking_the_close(closes: Closes, wanted: Close) -> tuple[Alert, ...]:
    share, move = share_pct(closes), move_pct(closes)
    direction = np.sign(closes.bought - closes.sold)
    hit = (share >= wanted.share_pct - _ROUNDING) & (move * direction >= wanted.move_pct - _ROUNDING) & ~closes.exempt
    hit &= closes.linked_position * direction > 0
    return ordered(
        Alert(
            Pattern.MARKING_THE_CLOSE,
            int(closes.owner[row]),
            int(closes.instrument[row]),
            int(closes.end_us[row]) - wanted.within_us,
            int(closes.end_us[row]),
            (row,),
            (("share percent", float(share[row])), ("move percent", float(move[row]))),
        )
        for row in np.flatnonzero(hit).tolist()
    )


@dataclass(frozen=True, slots=True)
class Volumes:
    """What each owner bought and sold of an instrument at the end of the window, and all that was traded of it."""

    owner: Ints
    instrument: Ints
    bought: Floats
    sold: Floats
    window_volume: Floats


def volumes(trades: Trades, end_us: int, wanted: Close) -> Volumes:
    rows = np.flatnonzero((trades.time_us > end_us - wanted.within_us) & (trades.time_us <= end_us))
    owners = np.concatenate((trades.buyer[rows], trades.seller[rows]))
    instruments = np.concatenate((trades.instrument[rows], trades.instrument[rows]))
    quantity = trades.quantity[rows]
    known = owners != UNKNOWN
    _, first, place = np.unique(key(instruments[known], owners[known]), return_index=True, return_inverse=True)
    nothing = np.zeros_like(quantity)
    bought = np.bincount(place, np.concatenate((quantity, nothing))[known], first.size).astype(np.float64)
    sold = np.bincount(place, np.concatenate((nothing, quantity))[known], first.size).astype(np.float64)
    total = np.bincount(trades.instrument[rows], quantity, int(trades.instrument.max(initial=0)) + 1).astype(np.float64)
    held = instruments[known][first]
    return Volumes(owners[known][first], held, bought, sold, total[held])
