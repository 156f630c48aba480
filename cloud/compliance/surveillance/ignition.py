"""Momentum ignition: a burst of aggressive orders that moves the price, and the turn of the position at a profit soon after.

MAR art. 12(1)(a). Guard: a burst shortly after public news has a reason.
"""

import numpy as np

from cloud.compliance.surveillance.columns import Alert, Bools, Executions, Floats, Ints, Pattern, SurveillanceError, joined, key, ordered
from cloud.compliance.surveillance.definitions import Ignition


def momentum_ignition(executions: Executions, sigma: Floats, news: tuple[Ints, Ints], wanted: Ignition) -> tuple[Alert, ...]:
    """`sigma`: standard deviation of the price over such a burst, per instrument code. `news`: instrument codes and times."""
    if sigma.size <= int(executions.instrument.max(initial=-1)) or not np.isfinite(sigma).all() or (sigma <= 0).any():
        raise SurveillanceError("sigma: expected a positive figure for each instrument")
    order = np.lexsort((executions.time_us, _key(executions, executions.side)))
    starts = _bursts(executions, order, wanted)
    if not starts.size:
        return ()
    first, last = order[starts], order[starts + wanted.orders - 1]
    move = executions.side[first] * (executions.price[last] - executions.price[first])
    moved = (move >= wanted.sigmas * sigma[executions.instrument[first]]) & ~_after_news(executions, first, news, wanted)
    run = np.cumsum(np.concatenate(([True], np.diff(starts) > 1)))
    kept = np.flatnonzero(moved)[np.unique(run[moved], return_index=True)[1]]
    return ordered(_turned(executions, order, starts[kept], move[kept], wanted))


def _key(executions: Executions, side: Ints) -> Ints:
    return key(executions.owner, executions.instrument) * 2 + (side + 1) // 2


def _bursts(executions: Executions, order: Ints, wanted: Ignition) -> Ints:
    """Places in `order` where that many orders of one owner, instrument and side fit in the time. Neighbours are one run."""
    if order.size < wanted.orders:
        return np.zeros(0, dtype=np.int64)
    keys, times = _key(executions, executions.side)[order], executions.time_us[order]
    ahead = wanted.orders - 1
    fits = (keys[: keys.size - ahead] == keys[ahead:]) & (times[ahead:] - times[: times.size - ahead] <= wanted.within_us)
    return np.flatnonzero(fits).astype(np.int64)


def _after_news(executions: Executions, first: Ints, news: tuple[Ints, Ints], wanted: Ignition) -> Bools:
    instruments, times = news
    told = np.zeros(first.size, dtype=np.bool_)
    _, right = joined((instruments, times), (executions.instrument[first], executions.time_us[first]), wanted.news_us)
    told[right] = True
    return told


def _turned(executions: Executions, order: Ints, starts: Ints, move: Floats, wanted: Ignition) -> list[Alert]:
    """Bursts after which the owner traded the other way at a better price than the burst's mean."""
    first, last = order[starts], order[starts + wanted.orders - 1]
    burst = np.lib.stride_tricks.sliding_window_view(executions.price[order], wanted.orders)[starts].mean(axis=1)
    opposite = _key(executions, -executions.side)
    left, right = joined(
        (opposite[last], executions.time_us[last]), (_key(executions, executions.side), executions.time_us), wanted.reversal_us
    )
    gain = executions.side[first[left]] * (executions.price[right] - burst[left])
    best = np.full(starts.size, -np.inf)
    np.maximum.at(best, left, gain)
    return [
        Alert(
            Pattern.MOMENTUM_IGNITION,
            int(executions.owner[first[row]]),
            int(executions.instrument[first[row]]),
            int(executions.time_us[first[row]]),
            int(executions.time_us[right[(left == row) & (gain > 0)]].max()),
            tuple(int(one) for one in order[starts[row] : starts[row] + wanted.orders]),
            (("move", float(move[row])), ("gain", float(best[row]))),
        )
        for row in np.flatnonzero(best > 0).tolist()
    ]
