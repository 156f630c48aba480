"""Token buckets: per peer address, for requests that cost much before it is known who asks, such as a password; and per principal.

Bounded in memory.
"""

from collections import OrderedDict
from typing import Final

from fastapi import Request

from cloud.errors import Problem
from protocols.clock import Clock

_MOST_PEERS: Final = 10_000


class Throttle:
    """`per_minute` in the long run, `burst` at once. A peer that was forgotten, because there are too many, begins with a full bucket."""

    def __init__(self, clock: Clock, per_minute: float, burst: float) -> None:
        self._clock, self._per_us, self._burst = clock, per_minute / 60e6, burst
        self._peers: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def take(self, request: Request) -> None:
        """Raises Problem "too-many-requests" with Retry-After."""
        self.take_of(request.client.host if request.client else "", "too many sign-in requests from this address")

    def take_of(self, who: str, what: str) -> None:
        now_us = self._clock.monotonic_us()
        left, since_us = self._peers.pop(who, (self._burst, now_us))
        left = min(self._burst, left + (now_us - since_us) * self._per_us)
        self._peers[who] = (left - 1 if left >= 1 else left, now_us)
        if len(self._peers) > _MOST_PEERS:
            self._peers.popitem(last=False)
        if left < 1:
            wait_s = int((1 - left) / self._per_us / 1e6) + 1
            raise Problem("too-many-requests", what, retry_after_s=wait_s)
