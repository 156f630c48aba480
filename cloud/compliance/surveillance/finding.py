"""One run of surveillance: every pattern over the events of a window, with what was asked and what was known inside, as alert documents.

Pure: the same events, figures, question and knowledge give the same alerts. Not for deciding about an alert: nothing here leaves one out. An alert
whose guard spoke is told too, with the guard's reason; a pattern that lacks facts is told as not run, with the reason, never as clean.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from cloud import document
from cloud.compliance.surveillance.close import Closes, marking_the_close, volumes
from cloud.compliance.surveillance.columns import UNKNOWN, Alert, Pattern, floats, ints
from cloud.compliance.surveillance.definitions import Definitions
from cloud.compliance.surveillance.ignition import momentum_ignition
from cloud.compliance.surveillance.insider import Knowledge, inside_information
from cloud.compliance.surveillance.layering import layering
from cloud.compliance.surveillance.orders import Events, Looked, looked
from cloud.compliance.surveillance.trades import round_trips, wash_trades

NO_GUARD: Final = float("inf")
PLANNED: Final = "the order belongs to a hedge plan"
NEWS: Final = "the burst followed public news"
MOST_MEMBERS: Final = 200  # events named by one alert


@dataclass(frozen=True, slots=True)
class Inside:
    """An outage known inside, and the books that may not be dealt in. public_us: None while it is not."""

    event: str
    books: tuple[str, ...]
    known_us: int
    public_us: int | None


@dataclass(frozen=True, slots=True)
class Settlement:
    """Of one instrument. linked: positions by owner that gain when the settlement rises. exempt: owners who trade at settlement."""

    instrument: str
    end_us: int
    volume: float
    price_before: float
    price: float
    linked: Mapping[str, float]
    exempt: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run is given beside the events. deviations: of the price over a burst, by instrument. news: times, by instrument.
    makers: owners with a duty to make a market."""

    settlements: tuple[Settlement, ...] = ()
    deviations: Mapping[str, float] = field(default_factory=dict)
    news: tuple[tuple[str, int], ...] = ()
    makers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """alerts: documents, in the order of time. not_run: why, by pattern. unplaced: orders whose placing is not in the window."""

    alerts: tuple[Mapping[str, Any], ...]
    not_run: Mapping[str, str]
    unplaced: int


def run(events: Events, wanted: Definitions, asked: Asked, inside: Sequence[Inside]) -> Found:
    seen = looked(events)
    told = _Teller(events, seen)
    not_run: dict[str, str] = {}
    documents = [
        *told.trades(wash_trades(seen.trades, wanted.wash)),
        *told.trades(round_trips(seen.trades, wanted.round_trip, _codes(seen, "owner", asked.makers))),
        *_layered(seen, wanted, told),
        *_insiders(seen, inside, told, events),
        *_ignited(seen, wanted, asked, told, not_run),
        *_closes(seen, wanted, asked, told, not_run),
    ]
    ordered = sorted(documents, key=lambda one: (one["first_us"], one["last_us"], one["pattern"], document.encode(one)))
    return Found(tuple(ordered), not_run, seen.unplaced)


def key_of(alert: Mapping[str, Any]) -> bytes:
    """What makes it the same alert when a later run finds it again."""
    named = {name: alert[name] for name in ("pattern", "owner", "instrument", "orders", "events", "guard")}
    return hashlib.sha256(document.encode(named)).digest()


class _Teller:
    """Alerts in words: names for codes, events for rows."""

    def __init__(self, events: Events, seen: Looked) -> None:
        self._events, self._seen = events, seen
        line = np.argsort(seen.lives, kind="stable")
        self._rows = np.split(line, np.cumsum(np.bincount(seen.lives))[:-1])  # of the events, by life

    def trades(self, alerts: Iterable[Alert]) -> Iterator[dict[str, Any]]:
        return (self._told(one, self._seen.trade_rows[list(one.members)]) for one in alerts)

    def executions(self, alerts: Iterable[Alert], guard: str = "") -> Iterator[dict[str, Any]]:
        return (self._told(one, self._seen.execution_rows[list(one.members)], guard) for one in alerts)

    def orders(self, alerts: Iterable[Alert], guard: str = "") -> Iterator[dict[str, Any]]:
        for one in alerts:
            rows = np.sort(np.concatenate([self._rows[life] for life in self._seen.order_lives[list(one.members)]]))
            yield self._told(one, rows, guard)

    def placed(self, alerts: Iterable[Alert], inside: Sequence[tuple[Inside, str]], guard: str = "") -> Iterator[dict[str, Any]]:
        """The account stood in the place of the instrument."""
        for one in alerts:
            rows = self._seen.placed_rows[list(one.members)]
            told = self._told(replace(one, instrument=0), rows, guard)
            outage = inside[int(dict(one.measures)["outage"])][0]
            measures = {"seconds known": dict(one.measures)["seconds known"]}
            yield told | {"instrument": str(self._events.instrument[rows[0]]), "outage": outage.event, "measures": measures}

    def _told(self, one: Alert, rows: Any, guard: str = "") -> dict[str, Any]:
        events = self._events
        named = [{"source": str(events.source[row]), "sequence": int(events.sequence[row])} for row in rows.tolist()[:MOST_MEMBERS]]
        return {
            "pattern": one.pattern.value,
            "grade": one.grade.value,
            "guard": guard,
            "owner": self._seen.names["owner"][one.owner],
            "instrument": self._seen.names["instrument"][one.instrument],
            "accounts": sorted(set(events.account[rows].tolist())),
            "orders": sorted(set(events.order[rows].tolist()))[:MOST_MEMBERS],
            "events": named,
            "first_us": one.first_us,
            "last_us": one.last_us,
            "measures": dict(one.measures),
        }


def _layered(seen: Looked, wanted: Definitions, told: _Teller) -> Iterator[dict[str, Any]]:
    plain = layering(seen.orders, wanted.layering)
    yield from told.orders(plain)
    known = {one.members[0] for one in plain}
    free = layering(seen.orders, replace(wanted.layering, guard_ticks=NO_GUARD))
    reason = f"the price had moved {wanted.layering.guard_ticks:g} ticks or more against the cancelled orders"
    yield from told.orders((one for one in free if one.members[0] not in known), reason)


def _insiders(seen: Looked, inside: Sequence[Inside], told: _Teller, events: Events) -> Iterator[dict[str, Any]]:
    accounts = {name: code for code, name in enumerate(seen.names["account"])}
    rows = [(one, book) for one in inside for book in one.books if book in accounts]
    if not rows or not events.count:
        return
    public = [UNKNOWN if one.public_us is None else one.public_us for one, _ in rows]
    knowledge = Knowledge(ints(accounts[book] for _, book in rows), ints(one.known_us for one, _ in rows), ints(public))
    everybody = frozenset(range(len(seen.names["owner"])))
    until_us = int(events.time_us[-1])
    yield from told.placed(inside_information(seen.placed, knowledge, everybody, until_us), rows)
    reasoned = replace(seen.placed, planned=~seen.placed.planned)
    yield from told.placed(inside_information(reasoned, knowledge, everybody, until_us), rows, PLANNED)


def _ignited(seen: Looked, wanted: Definitions, asked: Asked, told: _Teller, not_run: dict[str, str]) -> Iterator[dict[str, Any]]:
    named = seen.names["instrument"]
    needed = {named[code] for code in set(seen.executions.instrument.tolist())}
    if lacking := sorted(needed - set(asked.deviations)):
        not_run[Pattern.MOMENTUM_IGNITION.value] = f"nobody stated the deviation of the price of {', '.join(lacking)[:200]}"
    if not needed or lacking:
        return
    deviations = floats(asked.deviations.get(name, 1.0) for name in named)
    codes = {name: code for code, name in enumerate(named)}
    news = [(codes[name], at_us) for name, at_us in asked.news if name in codes]
    times = ints(code for code, _ in news), ints(at_us for _, at_us in news)
    plain = momentum_ignition(seen.executions, deviations, times, wanted.ignition)
    yield from told.executions(plain)
    known = {one.members[0] for one in plain}
    free = momentum_ignition(seen.executions, deviations, (ints(()), ints(())), wanted.ignition)
    yield from told.executions((one for one in free if one.members[0] not in known), NEWS)


def _closes(seen: Looked, wanted: Definitions, asked: Asked, told: _Teller, not_run: dict[str, str]) -> Iterator[dict[str, Any]]:
    if not asked.settlements:
        not_run[Pattern.MARKING_THE_CLOSE.value] = "nobody stated settlements with the volume of their window"
        return
    codes = {name: code for code, name in enumerate(seen.names["instrument"])}
    for one in asked.settlements:
        if one.instrument not in codes:
            continue
        found = volumes(seen.trades, one.end_us, wanted.close)
        rows = np.flatnonzero(found.instrument == codes[one.instrument])
        names = [seen.names["owner"][code] for code in found.owner[rows].tolist()]
        if not names:
            continue
        size = rows.size
        closes = Closes(
            np.full(size, one.end_us), found.owner[rows], found.instrument[rows], np.full(size, one.volume), found.bought[rows],
            found.sold[rows], np.full(size, one.price_before), np.full(size, one.price),
            floats(one.linked.get(name, 0.0) for name in names), np.isin(names, one.exempt),
        )  # fmt: skip
        inside = np.flatnonzero(
            (seen.trades.time_us > one.end_us - wanted.close.within_us) & (seen.trades.time_us <= one.end_us)
            & (seen.trades.instrument == codes[one.instrument])
        )  # fmt: skip
        for alert in marking_the_close(closes, wanted.close):
            own = inside[(seen.trades.buyer[inside] == alert.owner) | (seen.trades.seller[inside] == alert.owner)]
            yield from told.trades([replace(alert, members=tuple(own.tolist()))])


def _codes(seen: Looked, kind: str, names: Iterable[str]) -> frozenset[int]:
    codes = {name: code for code, name in enumerate(seen.names[kind])}
    return frozenset(codes[name] for name in names if name in codes)


def encode(asked: Asked, inside: Sequence[Inside]) -> bytes:
    """Question and knowledge as the content that an alert's row names."""
    return document.encode(
        {
            "settlements": [
                {name: getattr(one, name) for name in ("instrument", "end_us", "volume", "price_before", "price")}
                | {"linked": dict(one.linked), "exempt": list(one.exempt)}
                for one in asked.settlements
            ],
            "deviations": dict(asked.deviations),
            "news": [list(one) for one in asked.news],
            "makers": list(asked.makers),
            "inside": [
                {"event": one.event, "books": list(one.books), "known_us": one.known_us, "public_us": one.public_us} for one in inside
            ],
        }
    )


def decode(data: bytes) -> tuple[Asked, tuple[Inside, ...]]:
    held: Any = document.parse(data)
    settlements = tuple(Settlement(**{**one, "exempt": tuple(one["exempt"])}) for one in held["settlements"])
    news = tuple((name, at_us) for name, at_us in held["news"])
    inside = tuple(Inside(one["event"], tuple(one["books"]), one["known_us"], one["public_us"]) for one in held["inside"])
    return Asked(settlements, held["deviations"], news, tuple(held["makers"])), inside
