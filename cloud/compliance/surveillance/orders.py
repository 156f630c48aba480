"""Order events as they are handed in (columns, by the sequence of their source) and the columns that the patterns look at.

For reading, joining and turning events into orders, trades, executions and placements. Not for storing and not for finding anything.
Rules: a hand-in is one object with columns of one length; times never go back; what cannot be meant names column and row; an order
whose placing is not among the events is left out and counted, never guessed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cloud import document
from cloud.compliance.surveillance.columns import UNKNOWN, Bools, Executions, Floats, Ints, Orders, SurveillanceError, Trades
from cloud.compliance.surveillance.insider import Placed

Texts = NDArray[np.str_]
MOST_EVENTS: Final = 50_000  # in one hand-in
LONGEST: Final = 100
LARGEST: Final = 1e15
SMALLEST: Final = 1e-9
PLACED, CHANGED, CANCELLED, FILLED, REJECTED = ACTIONS = ("placed", "changed", "cancelled", "filled", "rejected")
SIDES: Final = {"buy": 1, "sell": -1}
_TEXTS: Final = ("order", "action", "side", "instrument", "account", "owner", "other")
_NUMBERS: Final = ("price", "volume", "moved_ticks")
_FLAGS: Final = ("aggressive", "planned")
_OPTIONAL: Final = {"other": "", "moved_ticks": 0.0, "aggressive": False, "planned": False}
COLUMNS: Final = ("time_us", *_TEXTS, *_NUMBERS, *_FLAGS)


@dataclass(frozen=True, slots=True)
class Events:
    """One row per event. other: beneficial owner of the other side of a fill, empty where it is not known. moved_ticks: of a cancellation,
    how far the price had moved against the order. planned: of a hedge plan. source, sequence: which event it is."""

    source: Texts
    sequence: Ints
    time_us: Ints
    order: Texts
    action: Texts
    side: Texts
    instrument: Texts
    account: Texts
    owner: Texts
    other: Texts
    price: Floats
    volume: Floats
    moved_ticks: Floats
    aggressive: Bools
    planned: Bools

    @property
    def count(self) -> int:
        return int(self.time_us.size)

    def chosen(self, rows: Any) -> "Events":
        return Events(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def read(data: bytes) -> Events:
    """A hand-in: {"source", "sequence" of the first event, "columns": {name: values}}. Raises SurveillanceError."""
    try:
        held = document.parse(data)
    except document.DocumentError as error:
        raise SurveillanceError(str(error)) from error
    if not isinstance(held, dict) or set(held) != {"source", "sequence", "columns"} or not isinstance(held["columns"], dict):
        raise SurveillanceError('expected an object with "source", "sequence" and "columns"')
    source, first, given = held["source"], held["sequence"], held["columns"]
    if not isinstance(source, str) or not 0 < len(source) <= LONGEST or not source.isprintable():
        raise SurveillanceError(f"source: expected a name of 1 to {LONGEST} characters")
    if type(first) is not int or not 1 <= first < 1 << 62:
        raise SurveillanceError("sequence: expected the whole number of the first event, from 1")
    found = _columns(given)
    count = found["time_us"].size
    numbers = np.arange(first, first + count, dtype=np.int64)
    events = Events(np.full(count, source), numbers, **found)
    _check(events)
    return events


def _columns(given: Mapping[str, Any]) -> dict[str, Any]:
    lacking = [name for name in COLUMNS if name not in given and name not in _OPTIONAL]
    unknown = sorted(set(given) - set(COLUMNS))
    if lacking or unknown:
        raise SurveillanceError(f"columns: missing {', '.join(lacking) or 'none'}; unknown {', '.join(unknown)[:200] or 'none'}")
    lengths = {name: len(column) if isinstance(column, list) else -1 for name, column in given.items()}
    count = lengths["time_us"]
    if len(set(lengths.values())) != 1 or not 1 <= count <= MOST_EVENTS:
        raise SurveillanceError(f"columns: expected lists of one length from 1 to {MOST_EVENTS}, found {lengths}")
    return {name: _column(name, given.get(name, [_OPTIONAL.get(name)] * count)) for name in COLUMNS}


def _column(name: str, values: list[Any]) -> NDArray[Any]:
    kinds: tuple[type, ...] = (str,) if name in _TEXTS else (bool,) if name in _FLAGS else (int,) if name == "time_us" else (int, float)
    if not set(map(type, values)) <= set(kinds):
        row = next(at for at, value in enumerate(values) if type(value) not in kinds)
        raise SurveillanceError(f"{name}[{row}]: expected {kinds[-1].__name__}, found {str(values[row])[:40]!r}")
    if name in _TEXTS:
        if max(map(len, values)) > LONGEST or any("\0" in value for value in values):
            raise SurveillanceError(f"{name}: expected texts of at most {LONGEST} characters without NUL")
        return np.array(values, dtype=np.str_)
    if name == "time_us" and (min(values) < 0 or max(values) > 7_258_118_400_000_000):
        raise SurveillanceError("time_us: expected times from 1970 to 2200")
    return np.array(values, dtype=np.bool_ if name in _FLAGS else np.int64 if name == "time_us" else np.float64)


def _check(events: Events) -> None:
    def refuse(name: str, wrong: Any, expected: str) -> None:
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise SurveillanceError(f"{name}[{row}]: expected {expected}, found {str(getattr(events, name)[row])[:60]!r}")

    for name in ("order", "instrument", "account", "owner"):
        refuse(name, getattr(events, name) == "", "a text")
    refuse("action", ~np.isin(events.action, ACTIONS), f"one of {', '.join(ACTIONS)}")
    refuse("side", ~np.isin(events.side, list(SIDES)), "buy or sell")
    for name in _NUMBERS:
        refuse(name, ~(np.abs(getattr(events, name)) <= LARGEST), f"a number up to {LARGEST:g}")
    counts = np.isin(events.action, (PLACED, CHANGED, FILLED))
    refuse("volume", np.where(counts, events.volume < SMALLEST, events.volume < 0), f"a volume from {SMALLEST:g}")
    refuse("time_us", np.diff(events.time_us, prepend=events.time_us[:1]) < 0, "a time not before the one above it")
    placed = events.order[events.action == PLACED]
    names, times = np.unique(placed, return_counts=True)
    if (times > 1).any():
        raise SurveillanceError(f"order: {names[times > 1][0]!r} is placed twice")


def joined(parts: Sequence[Events]) -> Events:
    """In the order of time; of equal times, as they were handed in. Order names say their source too."""
    named = [
        Events(one.source, one.sequence, one.time_us, np.char.add(np.char.add(one.source, "/"), one.order), *_rest(one)) for one in parts
    ]
    columns = (np.concatenate([getattr(one, name) for one in named]) for name in Events.__dataclass_fields__)
    whole = Events(*columns)
    return whole.chosen(np.argsort(whole.time_us, kind="stable"))


def _rest(one: Events) -> Iterable[Any]:
    return (getattr(one, name) for name in list(Events.__dataclass_fields__)[4:])


@dataclass(frozen=True, slots=True)
class Looked:
    """What the patterns look at. names: what a code means. *_rows: for each row, the row of the events. order_lives: for each order, its life;
    lives: that of each event. unplaced: orders left out because their placing is not known."""

    names: Mapping[str, tuple[str, ...]]
    trades: Trades
    trade_rows: Ints
    orders: Orders
    order_lives: Ints
    lives: Ints
    executions: Executions
    execution_rows: Ints
    placed: Placed
    placed_rows: Ints
    unplaced: int


def looked(events: Events) -> Looked:
    owners = _codes(np.concatenate((events.owner, events.other)))
    instruments, accounts = _codes(events.instrument), _codes(events.account)
    owner, instrument = _coded(events.owner, owners), _coded(events.instrument, instruments)
    other = np.where(events.other == "", UNKNOWN, _coded(events.other, owners))
    side = np.where(events.side == "buy", 1, -1).astype(np.int64)
    fills = np.flatnonzero(events.action == FILLED)
    buyer, seller = np.where(side == 1, owner, other), np.where(side == 1, other, owner)
    trades = Trades(events.time_us[fills], instrument[fills], buyer[fills], seller[fills], events.price[fills], events.volume[fills])
    hits = fills[events.aggressive[fills]]
    executions = Executions(events.time_us[hits], owner[hits], instrument[hits], side[hits], events.price[hits])
    new = np.flatnonzero(np.isin(events.action, (PLACED, CHANGED)))
    # Where inside information moves a price is said by book, so the account stands in the place of the instrument.
    placed = Placed(events.time_us[new], owner[new], _coded(events.account, accounts)[new], events.planned[new])
    lives, born = _lives(events)
    orders, order_lives = _orders(events, owner, instrument, side, lives, born)
    unplaced = int((~born).sum())
    names = {"owner": tuple(owners.tolist()), "instrument": tuple(instruments.tolist()), "account": tuple(accounts.tolist())}
    return Looked(names, trades, fills, orders, order_lives, lives, executions, hits, placed, new, unplaced)


def _codes(column: Texts) -> Texts:
    return np.unique(column[column != ""])


def _coded(column: Texts, names: Texts) -> Ints:
    return np.searchsorted(names, column).astype(np.int64)


def _lives(events: Events) -> tuple[Ints, Bools]:
    """A number per order, and whether its placing is known: a name that is placed again later is another order."""
    _, place = np.unique(events.order, return_inverse=True)
    line = np.argsort(place, kind="stable")
    placings = np.cumsum(events.action[line] == PLACED)
    numbers = np.empty(events.count, np.int64)
    numbers[line] = placings  # grows along the line, so that lives of different names never meet but where one is not born
    keys = place.astype(np.int64) * (events.count + 1) + numbers
    _, first, lives = np.unique(keys, return_index=True, return_inverse=True)
    return lives.astype(np.int64), events.action[first] == PLACED


def _orders(events: Events, owner: Ints, instrument: Ints, side: Ints, lives: Ints, born: Bools) -> tuple[Orders, Ints]:
    """One row per order whose placing is known and that was not rejected."""
    size = born.size

    def last(action: tuple[str, ...], column: NDArray[Any], missing: float) -> NDArray[Any]:
        found = np.full(size, missing, column.dtype)
        rows = np.flatnonzero(np.isin(events.action, action))
        found[lives[rows]] = column[rows]  # rows are in the order of time: the last one stays
        return found

    filled_rows = np.flatnonzero(events.action == FILLED)
    filled = np.bincount(lives[filled_rows], events.volume[filled_rows], size).astype(np.float64)
    rejected = last((REJECTED,), events.time_us, UNKNOWN) != UNKNOWN
    kept = np.flatnonzero(born & ~rejected)
    quantity = np.maximum(last((PLACED, CHANGED), events.volume, 0.0), filled)
    orders = Orders(
        last((PLACED,), events.time_us, UNKNOWN)[kept],
        last((PLACED,), owner, 0)[kept],
        last((PLACED,), instrument, 0)[kept],
        last((PLACED,), side, 1)[kept],
        quantity[kept],
        filled[kept],
        last((FILLED,), events.time_us, UNKNOWN)[kept],
        last((CANCELLED,), events.time_us, UNKNOWN)[kept],
        last((CANCELLED,), events.moved_ticks, 0.0)[kept],
    )
    return orders, kept.astype(np.int64)
