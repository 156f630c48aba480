"""How often somebody may ask: a peer address before it is known who asks, such as with a password, and a principal afterwards."""

from typing import Final

from fastapi import Request

from cloud.buckets import Buckets
from cloud.errors import Problem
from protocols.clock import Clock

_MOST_PEERS: Final = 10_000


class Throttle:
    """`per_minute` in the long run, `burst` at once."""

    def __init__(self, clock: Clock, per_minute: float, burst: float) -> None:
        self._clock, self._buckets = clock, Buckets(per_minute / 60, burst, _MOST_PEERS)

    def take(self, request: Request) -> None:
        """Raises Problem "too-many-requests" with Retry-After."""
        self.take_of(request.client.host if request.client else "", "too many sign-in requests from this address")

    def take_of(self, who: str, what: str) -> None:
        wait_s = self._buckets.take(who, 1, self._clock.monotonic_us() / 1e6)
        if wait_s:
            raise Problem("too-many-requests", what, retry_after_s=int(wait_s) + 1)
