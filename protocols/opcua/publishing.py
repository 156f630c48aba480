"""The publish loop of one subscription: requests kept at the server, answers decoded in order, gaps in their numbers closed.

OPC 10000-4, 5.14.5: notification messages are numbered without gaps; a keep-alive carries the number that comes next. What is missing
is asked for again (Republish) and handed on before what came after it. Not for what the rows mean.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import asyncua.ua

from protocols import quality
from protocols.driver import DeviceMisbehaves, DeviceUnreachable
from protocols.opcua.decode import Published, decode_publish, general_row
from protocols.opcua.session import Session

ua: Any = asyncua.ua

REQUESTS_AHEAD: Final = 2
REPUBLISH_MOST: Final = 1000
_LAST: Final = (1 << 32) - 1


def after(sequence: int) -> int:
    """OPC 10000-4, 7.43: after the highest number comes 1."""
    return 1 if sequence == _LAST else sequence + 1


class PublishLoop:
    """`run` until the link or the subscription ends. take: what arrived, in order. lost: how many notifications the server has no longer."""

    def __init__(self, session: Session, address: str, take: Callable[[Published], None], lost: Callable[[int], None]) -> None:
        self._session, self._address, self._take, self._lost = session, address, take, lost
        self._link = session.client.uaclient.protocol  # of this session: a later one has another
        self._acknowledgements: list[Any] = []
        self._expected: int | None = None

    async def run(self) -> None:
        """Raises DriverError."""
        waiting: deque[asyncio.Future[Any]] = deque()
        try:
            await self._run(waiting)
        except ValueError as error:
            raise DeviceMisbehaves(f"{self._address}: {error}", quality.BAD_NO_COMMUNICATION) from error
        except (OSError, TimeoutError, ua.UaError) as error:
            raise DeviceUnreachable(f"{self._address}: {error}", quality.BAD_NO_COMMUNICATION) from error
        finally:
            for unanswered in waiting:
                if not unanswered.cancel() and not unanswered.cancelled():
                    unanswered.exception()  # looked at, so that asyncio does not complain

    async def _run(self, waiting: deque[asyncio.Future[Any]]) -> None:
        ahead = REQUESTS_AHEAD
        while True:
            while len(waiting) < ahead:
                request = ua.PublishRequest()
                request.Parameters.SubscriptionAcknowledgements, self._acknowledgements = self._acknowledgements, []
                waiting.append(asyncio.ensure_future(self._link.send_request(request, timeout=0)))
            try:
                answer = await waiting.popleft()
            except ua.uaerrors.BadTooManyPublishRequests:
                ahead = 1
                continue
            published = decode_publish(bytes(answer))
            if self._expected is not None and published.sequence != self._expected:
                await self._fetch_missed(published, self._expected)
            if published.acknowledge:
                self._acknowledge(published.subscription, published.sequence)
                self._expected = after(published.sequence)
            self._take(published)
            if published.closed is not None:
                raise ConnectionError(f"the server ended the subscription: {quality.name(published.closed)}")

    def _acknowledge(self, subscription: int, sequence: int) -> None:
        self._acknowledgements.append(ua.SubscriptionAcknowledgement(subscription, sequence))

    async def _fetch_missed(self, published: Published, expected: int) -> None:
        """Ask again for the notifications from the expected one to before this one.

        A number from before the expected one misses nothing: some servers count their keep-alives in their own way.
        """
        missed = (published.sequence - expected) % _LAST
        if missed > _LAST // 2:
            return
        sequence, lost = expected, max(0, missed - REPUBLISH_MOST)
        for _ in range(missed - lost):
            found = await self._republished(published.subscription, sequence)
            if found is None:
                lost += 1
            else:
                self._take(found)
                self._acknowledge(published.subscription, sequence)
            sequence = self._expected = after(sequence)
        if lost:
            self._lost(lost)

    async def _republished(self, subscription: int, sequence: int) -> Published | None:
        """None when the server has it no longer."""
        try:
            message = await self._session.client.uaclient.session.republish(subscription, sequence)
        except (ua.uaerrors.BadMessageNotAvailable, ua.uaerrors.BadServiceUnsupported):
            return None
        rows: list[Any] = []
        events: list[tuple[int, list[Any]]] = []
        for part in message.NotificationData or []:
            if isinstance(part, ua.DataChangeNotification):
                rows += [general_row(item.ClientHandle, item.Value) for item in part.MonitoredItems]
            elif isinstance(part, ua.EventNotificationList):
                events += [(event.ClientHandle, list(event.EventFields)) for event in part.Events]
        return Published(subscription, sequence, rows, True, None, events) if rows or events else None
