"""Token buckets, one per key: how much of something whoever asks may have. Rules only; the clock is given."""

from collections import OrderedDict
from collections.abc import Hashable


class Buckets:
    """Bounded: the key unused for longest is forgotten, and begins with a full bucket when it comes again."""

    def __init__(self, per_second: float, burst: float, size: int) -> None:
        self._rate, self._burst, self._size = per_second, burst, size
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def take(self, key: Hashable, tokens: float, now_s: float) -> float:
        """0 when allowed, otherwise seconds until it will be. What is more than a full bucket costs a full bucket."""
        tokens = min(tokens, self._burst)
        left, at_s = self._buckets.get(key, (self._burst, now_s))
        left = min(self._burst, left + (now_s - at_s) * self._rate)
        allowed = left >= tokens
        self._buckets[key] = (left - tokens if allowed else left, now_s)
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._size:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (tokens - left) / self._rate

    def charge(self, key: Hashable, tokens: float) -> None:
        """Take what a request turned out to cost, even where it is not there; at most a full bucket is owed."""
        if key in self._buckets:
            left, at_s = self._buckets[key]
            self._buckets[key] = (max(-self._burst, left - tokens), at_s)
