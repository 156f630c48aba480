"""Who may have how much of the hub: token buckets and turns for requests with batches.

Before a signature is verified nobody knows who sends, and anybody may write anybody's key id into a request. So until then a request counts
for what it claims *and* the address it comes from: for the pair, when that key has lately been proven from that address, else for the
strangers of the address, who share one bucket and one line. Rubbish under a gateway's name, sent from elsewhere, takes nothing of what is
the gateway's; only somebody behind the same address could. After verification a request counts for the gateway, whatever its addresses.

Requests of one claim are verified and stored one after the other, so that no gateway, whatever it sends, holds more than one thread and one
database connection. Rules and counters only: nothing is read and nothing is verified here.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from cloud.buckets import Buckets
from cloud.config import Limits
from cloud.errors import Problem

STRANGER: Final = b""
TENANT_BURST_S: Final = 30.0  # so much of a tenant's quota may come at once
Claim = tuple[str, bytes]  # address, key id; STRANGER where that key was not proven from there


@dataclass(slots=True)
class _Line:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    length: int = 0


class Turns:
    """One at a time per key, first come, first served; at most `longest` in line, the one at work included."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._lines: dict[Hashable, _Line] = {}

    @asynccontextmanager
    async def turn(self, key: Hashable) -> AsyncIterator[None]:
        """Raises Problem when the line is full."""
        line = self._lines.setdefault(key, _Line())
        if line.length >= self._longest:
            raise Problem("too-many-requests", f"{line.length} requests of this sender wait already", retry_after_s=1)
        line.length += 1
        try:
            async with line.lock:
                yield
        finally:
            line.length -= 1
            if not line.length:
                del self._lines[key]


class Admission:
    """monotonic_s: the clock of the buckets."""

    def __init__(self, limits: Limits, monotonic_s: Callable[[], float]) -> None:
        self._limits, self._now_s = limits, monotonic_s
        self._claims = Buckets(limits.batches_per_second, limits.batches_burst, limits.known_keys)
        self._gateways = Buckets(limits.batches_per_second, limits.batches_burst, limits.known_keys)
        self._strangers = Buckets(limits.strangers_per_second, limits.strangers_burst, limits.known_keys)
        self._tenants = Buckets(1.0, TENANT_BURST_S, limits.known_keys)  # seconds of each tenant's own quota
        self._turns = Turns(limits.requests_in_line)
        self._proven: OrderedDict[Claim, None] = OrderedDict()

    def weigh(self, batches: int, size: int) -> float:
        """Tokens of a request: its batches, or its bytes where they are large."""
        return max(1, batches, size / self._limits.token_bytes)

    def enter(self, address: str, key_id: bytes, tokens: float) -> Claim:
        """Before anything is verified. Raises Problem."""
        claim = (address, key_id)
        if claim in self._proven:
            self._proven.move_to_end(claim)
            self._ask(self._claims, claim, tokens)
            return claim
        self._ask(self._strangers, address, 1)
        return address, STRANGER

    def turn(self, claim: Claim) -> AbstractAsyncContextManager[None]:
        return self._turns.turn(claim)

    def prove(self, address: str, key_id: bytes, gateway: tuple[int, int], tokens: float, quota: float | None = None) -> None:
        """A signature of that key, sent from that address, was good. gateway: (tenant, gateway). quota: of the tenant, tokens a second. Raises Problem."""
        self._proven[address, key_id] = None
        self._proven.move_to_end((address, key_id))
        if len(self._proven) > self._limits.known_keys:
            self._proven.popitem(last=False)
        self._ask(self._gateways, gateway, tokens)
        if quota:
            self._ask(self._tenants, gateway[0], tokens / quota, "all gateways of this tenant together send")

    def refuse(self, address: str, key_id: bytes, tokens: float) -> None:
        """A request in which nothing was proven costs its address what it weighs; one token went when it came."""
        if (address, key_id) not in self._proven:
            self._strangers.charge(address, tokens - 1)

    async def push_back(self) -> None:
        """Before each "not now": who sends as fast as the answers come gets them slowly, who does as told would wait anyway."""
        await asyncio.sleep(self._limits.push_back_s)

    def _ask(self, bucket: Buckets, key: Hashable, tokens: float, who: str = "this gateway sends") -> None:
        wait_s = bucket.take(key, tokens, self._now_s())
        if wait_s > 0:
            raise Problem("too-many-requests", f"{who} faster than allowed", retry_after_s=max(1, int(wait_s + 0.999)))
