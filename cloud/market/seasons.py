"""Seasonal factors from history: month of the year, day of the week, hour of the day; and the shape they give a curve's buckets.

Classical decomposition (Kendall & Stuart): each price against the mean level around it (centred year for months, its own week for
weekdays, its own local day for hours), averaged by season and normalised to mean one (ratio) or zero (difference). Ratios need prices
above zero; differences live with negative ones. Not for public holidays. Days and hours are local to `zone`.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from cloud.market.errors import HistoryTooShort, MarketError
from cloud.market.periods import Period, to_datetime

Floats = NDArray[np.float64]
Days = NDArray[np.datetime64]

LEAST_PER_SEASON: Final = 2


class Against(Enum):
    RATIO = "ratio"
    DIFFERENCE = "difference"


def monthly(days: Days, prices: Floats, against: Against = Against.RATIO) -> Floats:
    """Twelve factors, January first, from daily prices (n,) on days datetime64[D] (n,) ascending. Needs each month twice with a full year around it.

    Level: the 2x12 centred moving average of monthly means.
    """
    _require(days, prices, against)
    every = days.astype("datetime64[M]").astype(np.int64)
    counts, sums = np.bincount(every - every[0]), np.bincount(every - every[0], prices)
    if (counts == 0).any():
        raise MarketError(f"no price in month {np.datetime64(int(every[0] + np.argmin(counts)), 'M')}")
    means = sums / counts
    if len(means) < 13:
        raise HistoryTooShort("monthly factors: months", len(means), 36)
    kernel = np.r_[0.5, np.ones(11), 0.5] / 12.0
    season = (np.arange(6, len(means) - 6) + every[0]) % 12
    return _by_season(means[6:-6], np.convolve(means, kernel, mode="valid"), season, 12, against)


def weekday(days: Days, prices: Floats, against: Against = Against.RATIO) -> Floats:
    """Seven factors, Monday first. Level: the mean of the ISO week; weekdays without any price (weekends of an exchange) get the neutral factor."""
    _require(days, prices, against)
    number = days.astype(np.int64) + 3  # 1970-01-01 was a Thursday
    return _by_season(prices, _group_means(number // 7, prices), number % 7, 7, against, neutral=True)


def hourly(starts_us: NDArray[np.int64], prices: Floats, zone: str, against: Against = Against.RATIO) -> Floats:
    """24 factors by local hour from hourly prices (n,) starting at UTC microseconds (n,). Level: the mean of the local day (23 to 25 hours)."""
    _require(starts_us, prices, against)
    local = [to_datetime(int(start)).astimezone(ZoneInfo(zone)) for start in starts_us]
    day_number = np.array([moment.toordinal() for moment in local])
    return _by_season(prices, _group_means(day_number, prices), np.array([moment.hour for moment in local]), 24, against)


def shape(
    buckets: Sequence[Period], zone: str, by_month: Floats | None = None, by_weekday: Floats | None = None, by_hour: Floats | None = None
) -> Floats:
    """Multiplicative shape (B,) for `curves.Grid`: the product of the ratio factors given, by the local time at the start of each bucket."""
    local = [to_datetime(bucket.start_us).astimezone(ZoneInfo(zone)) for bucket in buckets]
    product = np.ones(len(local))
    for factors, seasons in (
        (by_month, [moment.month - 1 for moment in local]),
        (by_weekday, [moment.weekday() for moment in local]),
        (by_hour, [moment.hour for moment in local]),
    ):
        if factors is not None:
            product *= factors[seasons]
    if not np.isfinite(product).all() or (product <= 0).any():
        raise MarketError("a multiplicative shape needs finite factors above zero")
    return product


def _require(times: Days | NDArray[np.int64], prices: Floats, against: Against) -> None:
    if times.shape != prices.shape or times.ndim != 1 or not len(prices):
        raise MarketError(f"{times.shape} times for {prices.shape} prices: both must be one column")
    if not np.isfinite(prices).all():
        raise MarketError("prices must be finite")
    if (np.diff(times.astype(np.int64)) <= 0).any():
        raise MarketError("times must ascend without doubles")
    if against is Against.RATIO and (prices <= 0).any():
        raise MarketError(f"ratios need prices above zero, the lowest is {prices.min():g}; use Against.DIFFERENCE")


def _group_means(groups: NDArray[np.int64], values: Floats) -> Floats:
    _, index = np.unique(groups, return_inverse=True)
    return np.asarray((np.bincount(index, values) / np.bincount(index))[index])


def _by_season(values: Floats, level: Floats, season: NDArray[np.int64], size: int, against: Against, neutral: bool = False) -> Floats:
    relative = values / level if against is Against.RATIO else values - level
    counts, sums = np.bincount(season, minlength=size), np.bincount(season, relative, minlength=size)
    present = counts > 0 if neutral else np.ones(size, np.bool_)
    fewest = int(counts[present].min()) if present.any() else 0
    if fewest < LEAST_PER_SEASON:
        raise HistoryTooShort("the rarest season", fewest, LEAST_PER_SEASON)
    means = np.full(size, 1.0 if against is Against.RATIO else 0.0)
    means[present] = sums[present] / counts[present]
    if against is Against.RATIO:
        means[present] /= means[present].mean()
    else:
        means[present] -= means[present].mean()
    return means
