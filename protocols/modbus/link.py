"""Connections that carry MBAP frames: TCP (also inside TLS) and UDP. One request is outstanding; `bus` keeps it so.

On TCP every reason to distrust the connection is final: a late, foreign or misshapen answer ends it, and nothing of it is kept. In datagrams
the transaction number tells late and foreign answers from the right one; they are dropped and counted, and the wait goes on.
"""

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from protocols import quality
from protocols.driver import DeviceMisbehaves, DeviceUnreachable
from protocols.modbus import mbap
from protocols.modbus.ask import Ask

OWED_SIZES: Final = 16
Answers = list[bytes | int]
Failure = DeviceUnreachable | DeviceMisbehaves


class StillSilent(DeviceUnreachable):
    """A unit that owed an answer gave none again: no use asking it a third time at once."""


class Carrier(Protocol):
    """What `bus` needs of a link.

    failure: why it can no longer be used; blamed: the device whose request ended it, "" = none. hurry: set while somebody else should come
    next; `exchange_all` then ends early. repeats: whether a read that got no answer may be asked again. dropped: frames that were no answer.
    """

    failure: Failure | None
    blamed: str
    hurry: bool
    repeats: bool
    dropped: int
    silence_s: float

    def asker(self, name: str, timeout_s: float) -> None:
        """Who asks from now on."""

    async def exchange_all(self, asks: Sequence[Ask]) -> Answers:
        """One after the other, at least the first; ends with the first exception code. Raises DriverError."""

    def close(self) -> None: ...


@dataclass(slots=True)
class Doubts:
    """What is known of the units of an RTU bus, however often it is opened: sizes of the answers that may still come, and who knows the echo.

    Only the newest sizes are kept: what a unit has owed through more questions than that, it will not give.
    """

    owed: dict[int, deque[int]] = field(default_factory=dict)
    echoes: dict[int, bool] = field(default_factory=dict)

    def owes(self, unit: int, size: int) -> None:
        sizes = self.owed.setdefault(unit, deque(maxlen=OWED_SIZES))
        if size not in sizes:
            sizes.append(size)


class Link(asyncio.Protocol):
    """One TCP connection. See `Carrier`; a failed one stays failed."""

    repeats = False
    silence_s = 0.0

    def __init__(self, name: str, timeout_us: int) -> None:
        self._name, self._timeout = name, timeout_us / 1_000_000
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._transaction = 0
        self._ask: Ask | None = None
        self._asks: Sequence[Ask] = ()
        self._answers: Answers = []
        self._waiter: asyncio.Future[Answers] | None = None
        self._buffer = b""
        self._deadline = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self.failure: Failure | None = None
        self.blamed = ""
        self.hurry = False
        self.dropped = 0

    def asker(self, name: str, timeout_s: float) -> None:
        if timeout_s < self._timeout and self._alarm:
            self._alarm.cancel()  # it looks at the deadline too late for this one
            self._alarm = None
        self._name, self._timeout = name, timeout_s

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(
            DeviceUnreachable(f'device "{self._name}": connection lost ({exc or "closed by the device"})', quality.BAD_NO_COMMUNICATION)
        )

    def data_received(self, data: bytes) -> None:
        if self.failure:
            return
        frame = self._buffer + data if self._buffer else data
        try:
            if self._ask is None or self._waiter is None:
                raise mbap.BadAnswer(f"expected nothing, no request is outstanding; found {len(frame)} bytes")
            size = mbap.frame_size(frame)
            if not size or len(frame) < size:
                self._buffer = frame
                return
            if len(frame) > size:
                raise mbap.BadAnswer(f"expected one answer of {size} bytes, found {len(frame)}")
            result = mbap.answer(frame, self._transaction, self._ask)
        except mbap.BadAnswer as error:
            self.dropped += 1
            self._fail(DeviceMisbehaves(f'device "{self._name}": {error}; link dropped', quality.BAD_NO_COMMUNICATION))
            return
        self._buffer = b""
        self._answers.append(result)
        if isinstance(result, bytes) and len(self._answers) < len(self._asks) and not self.hurry:
            self._send()
            return
        waiter, self._waiter, self._ask = self._waiter, None, None
        if not waiter.done():
            waiter.set_result(self._answers)

    async def exchange(self, ask: Ask) -> bytes | int:
        """The data of the answer, or its exception code."""
        return (await self.exchange_all((ask,)))[0]

    async def exchange_all(self, asks: Sequence[Ask]) -> Answers:
        """See `Carrier`. Each is sent when the one before is answered; the reader is woken once."""
        if self.failure or self._transport is None:
            raise self.failure or DeviceUnreachable(f'device "{self._name}": not open', quality.BAD_NOT_CONNECTED)
        self._asks, self._answers, self._waiter = asks, [], self._loop.create_future()
        self._send()
        try:
            return await self._waiter
        except asyncio.CancelledError:
            self._fail(DeviceUnreachable(f'device "{self._name}": read cancelled before the answer', quality.BAD_NO_COMMUNICATION))
            raise

    def _send(self) -> None:
        assert self._transport is not None
        self._transaction = self._transaction % 0xFFFF + 1
        self._ask = self._asks[len(self._answers)]
        self._deadline = self._loop.time() + self._timeout
        if self._alarm is None:
            self._alarm = self._loop.call_at(self._deadline, self._overdue)
        self._transport.write(self._ask.frame(self._transaction))

    def close(self) -> None:
        self._fail(DeviceUnreachable(f'device "{self._name}": closed', quality.BAD_NOT_CONNECTED))

    def _overdue(self) -> None:
        """One timer serves many exchanges: it moves itself to the newest deadline."""
        self._alarm = None
        if self._waiter is None:
            return
        if self._loop.time() < self._deadline:
            self._alarm = self._loop.call_at(self._deadline, self._overdue)
            return
        self._fail(DeviceUnreachable(f'device "{self._name}": no answer within {self._timeout:g}s', quality.BAD_TIMEOUT))

    def _fail(self, failure: Failure) -> None:
        if self.failure is None:
            self.failure, self.blamed = failure, self._name if self._waiter is not None else ""
        if self._alarm:
            self._alarm.cancel()
            self._alarm = None
        if self._transport:
            self._transport.abort()
        waiter, self._waiter, self._ask = self._waiter, None, None
        if waiter and not waiter.done():
            waiter.set_exception(self.failure)


class DatagramLink(asyncio.DatagramProtocol):
    """MBAP in datagrams: one datagram, one frame. See `Carrier`."""

    repeats = True
    silence_s = 0.0

    def __init__(self, name: str, timeout_us: int) -> None:
        self._name, self._timeout = name, timeout_us / 1_000_000
        self._transport: asyncio.DatagramTransport | None = None
        self._transaction = random.randrange(0x10000)  # noqa: S311
        self._ask: Ask | None = None
        self._waiter: asyncio.Future[bytes | int] | None = None
        self.failure: Failure | None = None
        self.blamed = ""
        self.hurry = False
        self.dropped = 0

    def asker(self, name: str, timeout_s: float) -> None:
        self._name, self._timeout = name, timeout_s

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(DeviceUnreachable(f'device "{self._name}": socket lost ({exc or "closed"})', quality.BAD_NO_COMMUNICATION), "")

    def error_received(self, exc: Exception) -> None:
        """The host said that nobody listens there."""
        self._wake(DeviceUnreachable(f'device "{self._name}": {exc}', quality.BAD_NO_COMMUNICATION))

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002
        try:
            if self._ask is None or mbap.frame_size(data) != len(data):
                raise mbap.BadAnswer("no answer to anything")
            result = mbap.answer(data, self._transaction, self._ask)
        except mbap.BadAnswer:
            self.dropped += 1
            return
        self._ask = None
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(result)

    async def exchange_all(self, asks: Sequence[Ask]) -> Answers:
        if self.failure or self._transport is None:
            raise self.failure or DeviceUnreachable(f'device "{self._name}": not open', quality.BAD_NOT_CONNECTED)
        self._transaction = self._transaction % 0xFFFF + 1
        self._ask, self._waiter = asks[0], asyncio.get_running_loop().create_future()
        self._transport.sendto(asks[0].frame(self._transaction))
        try:
            async with asyncio.timeout(self._timeout):
                return [await self._waiter]
        except TimeoutError as error:
            raise DeviceUnreachable(f'device "{self._name}": no answer within {self._timeout:g}s', quality.BAD_TIMEOUT) from error
        finally:
            self._ask = self._waiter = None

    def close(self) -> None:
        self._end(DeviceUnreachable(f'device "{self._name}": closed', quality.BAD_NOT_CONNECTED), "")

    def _end(self, failure: Failure, blamed: str) -> None:
        if self.failure is None:
            self.failure, self.blamed = failure, blamed
        if self._transport:
            self._transport.abort()
        self._wake(failure)

    def _wake(self, failure: Failure) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_exception(failure)
