"""Shipped price history as columns, with its unit and its source, cut so that nothing of the future is seen.

Not a store: three public daily series (data/README.md). A price of day d counts as known from d+1, 00:00 UTC; `cut` keeps only what
was known at `as_of_us`. Days without a quote have no row; negative prices are kept.
"""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cloud.market.errors import HistoryTooShort, MarketError
from cloud.market.periods import DAY_US

ATTRIBUTION: Final = "Source: U.S. Energy Information Administration (2021)"


@dataclass(frozen=True, slots=True)
class History:
    """Daily prices: `days` datetime64[D] (n,) ascending without doubles, `prices` float64 (n,) in `currency` per `unit`."""

    product: str
    place: str
    currency: str
    unit: str
    days: NDArray[np.datetime64]
    prices: NDArray[np.float64]
    source: str

    def __post_init__(self) -> None:
        if self.days.shape != self.prices.shape or self.days.ndim != 1:
            raise MarketError(f"history {self.product}: {self.days.shape} days but {self.prices.shape} prices")
        if not np.isfinite(self.prices).all():
            raise MarketError(f"history {self.product}: prices must be finite; leave out days without a quote")
        if (np.diff(self.days) <= np.timedelta64(0, "D")).any():
            raise MarketError(f"history {self.product}: days must ascend without doubles")
        self.days.setflags(write=False)
        self.prices.setflags(write=False)

    def cut(self, as_of_us: int) -> "History":
        """What was known at as_of."""
        return self._slice(self._known(as_of_us))

    def window(self, as_of_us: int, count: int) -> "History":
        """The last `count` prices known at as_of. HistoryTooShort when there are fewer."""
        known = self._known(as_of_us)
        if known < count or count < 1:
            raise HistoryTooShort(f"history {self.product}", known, max(count, 1))
        return self._slice(known, known - count)

    def _known(self, as_of_us: int) -> int:
        # day d is known when (d + 1) days <= as_of, that is d < floor(as_of / day)
        return int(np.searchsorted(self.days.astype(np.int64), as_of_us // DAY_US, side="left"))

    def _slice(self, end: int, start: int = 0) -> "History":
        return replace(self, days=self.days[start:end], prices=self.prices[start:end])


def align(*histories: History) -> tuple[NDArray[np.datetime64], NDArray[np.float64]]:
    """The days that every history has, and prices (days, histories). MarketError when there is none."""
    if not histories:
        raise MarketError("nothing to align")
    days = histories[0].days
    for history in histories[1:]:
        days = np.intersect1d(days, history.days, assume_unique=True)
    if not len(days):
        raise MarketError("the histories have no day in common")
    return days, np.column_stack([history.prices[np.searchsorted(history.days, days)] for history in histories])


@dataclass(frozen=True, slots=True)
class _Series:
    file: str
    product: str
    place: str
    currency: str
    unit: str


SERIES: Final[Mapping[str, _Series]] = MappingProxyType(
    {
        "wti": _Series("wti-daily_to_2021.csv.gz", "WTI", "Cushing", "USD", "bbl"),
        "brent": _Series("brent-daily_to_2021.csv.gz", "Brent", "Europe", "USD", "bbl"),
        "henry_hub": _Series("henry-hub-daily_to_2021.csv.gz", "natural gas", "Henry Hub", "USD", "MMBtu"),
    }
)


@cache
def load_history(name: str) -> History:
    """One of SERIES, whole: cut it before use."""
    if name not in SERIES:
        raise MarketError(f"history {name!r} is not shipped; there are {', '.join(SERIES)}")
    series = SERIES[name]
    content = resources.files("cloud.market").joinpath("data", series.file).read_bytes()
    lines = gzip.decompress(content).decode("ascii").split()[1:]
    rows = [line.split(",") for line in lines]
    quoted = [(day, float(price)) for day, price in rows if price]
    days = np.array([day for day, _ in quoted], dtype="datetime64[D]")
    prices = np.array([price for _, price in quoted])
    return History(series.product, series.place, series.currency, series.unit, days, prices, f"{series.file}; {ATTRIBUTION}")
