"""Spoofing and layering: a large side that is cancelled as soon as the small other side has been filled.

MAR art. 12(2)(c), CEA 4c(a)(5). Per fill: the orders of the same owner and instrument on the other side that stood at the fill and were
cancelled within the time after it. Guard: an order the price had moved away from by the guard's ticks was cancelled for a reason.
"""

import numpy as np

from cloud.compliance.surveillance.columns import UNKNOWN, Alert, Bools, Grade, Ints, Orders, Pattern, joined, key, ordered
from cloud.compliance.surveillance.definitions import Layering

DAY_US = 86_400_000_000


def layering(orders: Orders, wanted: Layering) -> tuple[Alert, ...]:
    genuine = np.flatnonzero((orders.filled > 0) & (orders.fill_us != UNKNOWN))
    pulled = np.flatnonzero((orders.cancel_us != UNKNOWN) & (orders.moved_ticks < wanted.guard_ticks))
    left, right = _pairs(orders, genuine, pulled, wanted.within_us)
    size = genuine.size
    layered = np.bincount(left, orders.quantity[pulled[right]], size)
    filled = np.bincount(left, orders.filled[pulled[right]], size)
    ratio = layered / orders.filled[genuine]
    hit = (layered > 0) & (ratio >= wanted.ratio) & (100 * filled <= wanted.filled_pct * layered)
    high = _repeated(orders, genuine, hit, wanted.repeats)
    members: dict[int, list[int]] = {}
    chosen = hit[left]
    for row, order in zip(left[chosen].tolist(), pulled[right[chosen]].tolist(), strict=True):
        members.setdefault(row, []).append(order)
    return ordered(_alert(orders, int(genuine[row]), found, float(ratio[row]), bool(high[row])) for row, found in members.items())


def _pairs(orders: Orders, genuine: Ints, pulled: Ints, within_us: int) -> tuple[Ints, Ints]:
    """Fill and cancellation on opposite sides, the cancelled order standing at the fill."""
    both = np.concatenate((genuine, pulled))
    facing = np.concatenate((-orders.side[genuine], orders.side[pulled]))
    keys = key(orders.owner[both], orders.instrument[both], (facing + 1) // 2)
    fills, cancels = orders.fill_us[genuine], orders.cancel_us[pulled]
    left, right = joined((keys[: genuine.size], fills), (keys[genuine.size :], cancels), within_us)
    stood = orders.time_us[pulled[right]] <= fills[left]
    return left[stood], right[stood]


def _repeated(orders: Orders, genuine: Ints, hit: Bools, repeats: int) -> Bools:
    """Whether the owner did it that often on that day in that instrument."""
    keys = key(orders.owner[genuine], orders.instrument[genuine], orders.fill_us[genuine] // DAY_US)
    _, place = np.unique(keys, return_inverse=True)
    often: Bools = np.bincount(place, hit, int(place.max(initial=0)) + 1)[place] >= repeats
    return often


def _alert(orders: Orders, genuine: int, pulled: list[int], ratio: float, high: bool) -> Alert:
    return Alert(
        Pattern.LAYERING if len(pulled) > 1 else Pattern.SPOOFING,
        int(orders.owner[genuine]),
        int(orders.instrument[genuine]),
        int(min(orders.time_us[genuine], orders.time_us[pulled].min())),
        int(orders.cancel_us[pulled].max()),
        (genuine, *sorted(pulled)),
        (("ratio", ratio),),
        Grade.HIGH if high else Grade.NORMAL,
    )
