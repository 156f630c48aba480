"""Trading days and contract expiries: the shipped holidays and expiry table, and the exchange rules where the table ends.

Not for delivery periods and their hours (`periods`). Days are numpy datetime64[D]. The shipped holidays cover 2009-09 to 2025-12; a
business day outside of that span is refused rather than guessed, unless weekends alone are asked for explicitly (`WEEKENDS`).
Last trade days come from the table where it has the contract and from the rule otherwise; `Expiry.source` says which.
"""

import csv
import gzip
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum
from functools import cache
from importlib import resources
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cloud.market.errors import MarketError
from cloud.market.periods import Period, following_month, months

Days = NDArray[np.datetime64]


class Roll(Enum):
    """Where a payment or expiry goes that falls on no business day."""

    FOLLOWING = "forward"
    PRECEDING = "backward"
    MODIFIED_FOLLOWING = "modifiedfollowing"
    MODIFIED_PRECEDING = "modifiedpreceding"


@dataclass(frozen=True, slots=True)
class TradingCalendar:
    """Monday to Friday without `holidays`, known for days from `first` to `last`; None is unbounded."""

    name: str
    holidays: tuple[date, ...]
    first: date | None
    last: date | None

    def is_trading_day(self, day: date) -> bool:
        return bool(np.is_busday(self._known(day), busdaycal=self._numpy()))

    def roll(self, day: date, rule: Roll) -> date:
        return self.shift(day, 0, rule)

    def shift(self, day: date, trading_days: int, rule: Roll = Roll.FOLLOWING) -> date:
        """`trading_days` later (earlier when negative), counted from the day rolled by `rule`."""
        found = np.busday_offset(self._known(day), trading_days, roll=rule.value, busdaycal=self._numpy())
        return self._known(date.fromisoformat(str(found)))

    def trading_days(self, first: date, after_last: date) -> Days:
        """All trading days in [first, after_last), datetime64[D]."""
        every = np.arange(np.datetime64(self._known(first)), np.datetime64(self._known(after_last)))
        return np.asarray(every[np.is_busday(every, busdaycal=self._numpy())])

    def count(self, first: date, after_last: date) -> int:
        return int(np.busday_count(self._known(first), self._known(after_last), busdaycal=self._numpy()))

    def _known(self, day: date) -> date:
        if (self.first and day < self.first) or (self.last and day > self.last):
            raise MarketError(f"calendar {self.name} is known from {self.first} to {self.last}, not on {day}")
        return day

    def _numpy(self) -> np.busdaycalendar:
        return _numpy_calendar(self.holidays)


WEEKENDS: Final = TradingCalendar("weekends", (), None, None)


@cache
def _numpy_calendar(holidays: tuple[date, ...]) -> np.busdaycalendar:
    return np.busdaycalendar(holidays=np.array(holidays, dtype="datetime64[D]"))


@cache
def load_calendar(name: str) -> TradingCalendar:
    """The shipped calendar `nymex` or `ice`. It is known for the calendar years that its holidays cover in full."""
    rows = [row for row in _rows("holidaysOil.csv") if row["key"] == name]
    if not rows:
        raise MarketError(f"calendar {name!r} is not shipped; there are 'ice' and 'nymex'")
    holidays = tuple(sorted({date.fromisoformat(row["value"]) for row in rows}))
    return TradingCalendar(name, holidays, date(holidays[0].year + 1, 1, 1), date(holidays[-1].year, 12, 31))


BRENT_CHANGE: Final = date(2016, 1, 29)  # last trade day of the March 2016 contract, the first under the new rule


class Contract(Enum):
    """Monthly futures by the name they have in the expiry table."""

    WTI = "cmewti"
    BRENT = "icebrent"
    HENRY_HUB = "cmeng"
    RBOB = "cmerbob"
    ULSD = "cmeulsd"
    GASOIL = "icegasoil"


class Source(Enum):
    TABLE = "expiry table"
    RULE = "exchange rule"


@dataclass(frozen=True, slots=True)
class Expiry:
    """`last_trade` is the last day of trading; `delivery` the whole UTC days of the delivery month."""

    contract: Contract
    delivery: Period
    last_trade: date
    source: Source


def expiry(contract: Contract, year: int, month: int, calendar: TradingCalendar | None = None) -> Expiry:
    """Of the contract delivered in (year, month). MarketError when neither table nor rule and calendar reach it.

    Beyond the shipped holidays give a `calendar` that reaches there; WEEKENDS is right but for holidays near the end of a month.
    """
    listed = _table().get((contract, year, month))
    if listed is not None:
        return Expiry(contract, months(year, month), listed, Source.TABLE)
    return Expiry(contract, months(year, month), rule_last_trade(contract, year, month, calendar), Source.RULE)


def rule_last_trade(contract: Contract, year: int, month: int, calendar: TradingCalendar | None = None) -> date:
    """The exchange's rule, for contracts that the table does not list; on the shipped calendar of the exchange unless one is given.

    WTI (NYMEX rulebook 200): three business days before the 25th of the month before delivery, or before the business day preceding
    it. Henry Hub (chapter 220): three business days before the first day of delivery. RBOB, ULSD (191, 150): last business day of the month
    before delivery. Brent (ICE, contracts from March 2016): last business day of the second month before delivery, one earlier when
    that is the eve of New Year (February contracts). Gasoil, and Brent before the change, have no rule here.
    """
    first = date(year, month, 1)
    trading = calendar or load_calendar("ice" if contract in {Contract.BRENT, Contract.GASOIL} else "nymex")
    match contract:
        case Contract.WTI:
            before = following_month(first, -1).replace(day=25)
            return trading.shift(before, -3, Roll.PRECEDING)
        case Contract.HENRY_HUB:
            return trading.shift(first, -3)
        case Contract.RBOB | Contract.ULSD:
            return trading.shift(first, -1)
        case Contract.BRENT if first >= date(2016, 3, 1):
            # the last business day of December is always the eve of New Year
            return trading.shift(following_month(first, -1), -2 if month == 2 else -1)
    raise MarketError(f"{contract.name} {year}-{month:02}: not in the expiry table, and no rule is known")


def front(contract: Contract, on: date, nearby: int = 1) -> Expiry:
    """The nearby-th contract (1 = front) still trading on the day; a contract trades on its last trade day."""
    if nearby < 1:
        raise MarketError(f"nearby {nearby} must be 1 or more")
    alive = sorted((last, year, month) for (one, year, month), last in _table().items() if one is contract and last >= on)
    if len(alive) < nearby or on < min(last for (one, _, _), last in _table().items() if one is contract):
        raise MarketError(f"the expiry table has no contract {nearby} of {contract.name} on {on}")
    last, year, month = alive[nearby - 1]
    return Expiry(contract, months(year, month), last, Source.TABLE)


@cache
def _table() -> Mapping[tuple[Contract, int, int], date]:
    names = {contract.value: contract for contract in Contract}
    table: dict[tuple[Contract, int, int], date] = {}
    for row in _rows("expiry_table.csv.gz"):
        if row["cmdty"] in names:
            contract, last = names[row["cmdty"]], date.fromisoformat(row["Last.Trade"])
            table[(contract, *_delivery_month(contract, last, row))] = last
    return table


def _delivery_month(contract: Contract, last: date, row: Mapping[str, str]) -> tuple[int, int]:
    """As the table says, except for Brent since the change of its expiry: the table names many of those contracts by the day after the
    last trade, though they deliver in the second month after it."""
    if contract is Contract.BRENT and last >= BRENT_CHANGE:
        delivery = following_month(last, 2)
        return delivery.year, delivery.month
    return int(float(row["Year"])), int(float(row["Month"]))


def _rows(name: str) -> list[dict[str, str]]:
    content = resources.files("cloud.market").joinpath("data", name).read_bytes()
    text = (gzip.decompress(content) if name.endswith(".gz") else content).decode("utf-8")
    return list(csv.DictReader(io.StringIO(text)))
