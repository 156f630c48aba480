"""Replaces the gateway's key and renews its certificate before they grow old; what fails is told in health and tried again.

Collecting never waits for it: with the hub away the old key goes on signing. A key is due by the age of its file, up to a tenth before
`rotate_days`, by its own id, so that gateways enrolled on one day do not come on one day again. Not for a rotation by hand: `edge.enrolment`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

import httpx

from edge import enrolment, hubtls
from edge.config import GatewayConfig
from edge.enrolment import CurrentSigner, EnrolmentError
from protocols.clock import Clock

log = logging.getLogger("qenergyz.edge")
LOOK_EVERY_US: Final = 60_000_000
LONGEST_WAIT_US: Final = 3_600_000_000
DAY_US: Final = 86_400_000_000
KEY: Final = "key rotation"
CERTIFICATE: Final = "hub certificate"


def due_us(made_us: int, rotate_days: int, key_id: bytes) -> int:
    """When a key made then is to be replaced."""
    share = int.from_bytes(key_id[:2], "big") / 65536 / 10
    return made_us + int(rotate_days * DAY_US * (1 - share))


class Upkeep:
    """`run` until cancelled. causes: what does not work at the moment, one sentence each."""

    def __init__(self, config: GatewayConfig, signer: CurrentSigner, client: httpx.AsyncClient, tls: hubtls.Tls, clock: Clock) -> None:
        self._config, self._signer, self._client, self._tls, self._clock = config, signer, client, tls, clock
        self._failed: dict[str, tuple[str, int]] = {}  # what -> (cause, failures in a row)
        self._wait_until_us: dict[str, int] = {}

    @property
    def causes(self) -> tuple[str, ...]:
        found = [f"{what}: {cause}; tried again" for what, (cause, _) in self._failed.items()]
        if self._tls.cause:
            found.append(self._tls.cause)
        opened = enrolment.open_to_others(self._config.data, (self._config.access.key, self._config.access.client_key))
        return (*found, opened) if opened else tuple(found)

    async def run(self) -> None:
        while True:
            await self.look()
            await self._clock.sleep_us(LOOK_EVERY_US)

    async def look(self) -> None:
        """Do what is due, and what failed and has waited long enough."""
        if self._tls.cause:
            await asyncio.to_thread(self._tls.load)
        if self._config.access.rotate_days and self._may(KEY):
            await self._try(KEY, self._rotate)
        if self._config.access.client_cert is not None and self._may(CERTIFICATE):
            await self._try(CERTIFICATE, self._look_at_operators)
        if self._config.access.client_cert is None and self._config.hub.startswith("https:") and self._may(CERTIFICATE):
            await self._try(CERTIFICATE, self._certify)

    def _may(self, what: str) -> bool:
        return self._clock.monotonic_us() >= self._wait_until_us.get(what, 0)

    async def _try(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(60):
                await work()
        except (EnrolmentError, httpx.HTTPError, OSError, ValueError) as error:
            cause, failures = await self._tls.explain(error), self._failed.get(what, ("", 0))[1] + 1
            if self._failed.get(what, ("", 0))[0] != cause:
                log.warning("upkeep_failed what='%s' cause=%s", what, cause)
            self._failed[what] = (cause, failures)
            self._wait_until_us[what] = self._clock.monotonic_us() + min(LONGEST_WAIT_US, LOOK_EVERY_US * 2 ** min(failures - 1, 10))
            return
        if self._failed.pop(what, None):
            log.info("upkeep_works_again what='%s'", what)

    async def _rotate(self) -> None:
        made_us = (self._config.data / enrolment.KEY).stat().st_mtime_ns // 1000
        if self._clock.now_us() < due_us(made_us, self._config.access.rotate_days, self._signer.key_id):
            return
        await enrolment.rotate(self._client, self._config.hub, self._config.data)
        log.info("key_rotated next_step=none")

    async def _look_at_operators(self) -> None:
        """Nobody but the operator can renew it: say so in time. A renewed one is shown from the next connection on."""
        found = await asyncio.to_thread(hubtls.current, self._config.access, self._config.data)
        self._tls.load()
        if found is not None and hubtls.renewal_due(found, datetime.fromtimestamp(self._clock.now_us() / 1e6, UTC)):
            ends = f"{found.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
            raise EnrolmentError(f"{self._config.access.client_cert} ends {ends}: put a renewed one there")

    async def _certify(self) -> None:
        """Also the first one: a hub may have begun to issue them after the gateway was enrolled."""
        found = hubtls.current(self._config.access, self._config.data)
        if found is not None and not hubtls.renewal_due(found, datetime.fromtimestamp(self._clock.now_us() / 1e6, UTC)):
            return
        ends = await hubtls.certify(self._client, self._config.hub, self._config.urn, self._config.data, self._signer.present)
        if ends is not None:
            self._tls.load()
            log.info("certificate_issued until=%s", ends.date())
        elif found is not None:
            raise EnrolmentError("the hub issues no certificates any more, and the present one will end; ask its operator")
        else:
            self._wait_until_us[CERTIFICATE] = self._clock.monotonic_us() + DAY_US
