"""The keys of gateways, looked up once and trusted for a short while.

A revocation takes effect when the looked-up key expires: `validity_s`, at most 30 s, well under the 60 s that are promised.
Unknown keys are not remembered, so that a gateway may send as soon as it is enrolled.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from cloud.db import Database
from cloud.identity import store
from protocols.clock import Clock
from protocols.signing import Verifier, enrolled_verifier

_CLOCK_SLACK_US: Final = 300_000_000  # the hub's clock may be set back after an enrolment


@dataclass(frozen=True, slots=True)
class GatewayKey:
    tenant_id: int
    gateway_id: int
    gateway: str
    urn: str
    verifier: Verifier
    not_before_us: int
    revoked_us: int | None
    batches_per_second: float | None

    def is_valid(self, at_us: int) -> bool:
        return self.not_before_us - _CLOCK_SLACK_US <= at_us and (self.revoked_us is None or at_us < self.revoked_us)


class KeyRing:
    def __init__(self, db: Database, clock: Clock, validity_s: float, size: int) -> None:
        self._db, self._clock, self._size = db, clock, size
        self._validity_us = int(validity_s * 1_000_000)
        self._known: OrderedDict[bytes, tuple[int, GatewayKey]] = OrderedDict()

    async def get(self, kid: bytes) -> GatewayKey | None:
        now_us = self._clock.monotonic_us()
        found = self._known.get(kid)
        if found and now_us - found[0] < self._validity_us:
            return found[1]
        row = await store.find_key(self._db, kid)
        if row is None:
            self._known.pop(kid, None)
            return None
        key = GatewayKey(
            row.tenant_id,
            row.gateway_id,
            row.gateway,
            row.urn,
            enrolled_verifier(row.algorithm, row.public),
            row.not_before_us,
            row.revoked_us,
            row.batches_per_second,
        )
        self._known[kid] = (now_us, key)
        self._known.move_to_end(kid)
        if len(self._known) > self._size:
            self._known.popitem(last=False)
        return key

    def forget(self, kid: bytes) -> None:
        self._known.pop(kid, None)
