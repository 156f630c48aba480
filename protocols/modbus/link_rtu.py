"""A stream that carries RTU frames: a serial line, or a serial gateway's raw TCP port. One request is outstanding; `bus` keeps it so.

An RTU answer does not say which request it answers. So a unit that owes an answer is `in doubt`: before it is asked anything else it must show that nothing
older is under way, by answering a question that no late answer can be mistaken for: the echo (function 8), and where a device does not know
that, a read of another length than those it owes. Answers of other units need no such care, they carry another number. Foreign frames are skipped
and counted; after corrupt bytes everything is dropped until the line has been silent.
"""

import asyncio
import random
from collections.abc import Sequence
from typing import Any, Final

from protocols import quality
from protocols.driver import DeviceUnreachable
from protocols.modbus import rtu
from protocols.modbus.address import Area, Span
from protocols.modbus.ask import Ask
from protocols.modbus.endpoint import Line
from protocols.modbus.link import Answers, Doubts, Failure, StillSilent

GAP_S: Final = 0.02  # silence that ends corrupt bytes: adapters and gateways hand on bytes in lumps, so 3.5 characters would be too short


class RtuLink(asyncio.Protocol):
    """See `link.Carrier`. line: None behind a gateway, which keeps the silences itself."""

    repeats = True

    def __init__(self, name: str, timeout_us: int, doubts: Doubts, line: Line | None = None) -> None:
        self._name, self._timeout = name, timeout_us / 1_000_000
        self._line = line
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._ask: Ask | None = None
        self._waiter: asyncio.Future[bytes | int] | None = None
        self._buffer = b""
        self._corrupt_until = 0.0
        self._doubts, self._owed, self._echoes = doubts, doubts.owed, doubts.echoes
        self.silence_s = line.silence_s if line else 0.0
        self.failure: Failure | None = None
        self.blamed = ""
        self.hurry = False
        self.dropped = 0

    def asker(self, name: str, timeout_s: float) -> None:
        self._name, self._timeout = name, timeout_s

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(DeviceUnreachable(f'device "{self._name}": connection lost ({exc or "closed"})', quality.BAD_NO_COMMUNICATION))

    def data_received(self, data: bytes) -> None:
        now = self._loop.time()
        if now < self._corrupt_until:
            self._corrupt_until = now + GAP_S
            return
        self._buffer += data
        while self._buffer:
            found = rtu.find(self._buffer, self._ask)
            if found.fate is rtu.Fate.PARTIAL:
                return
            self._buffer = self._buffer[found.taken :]
            if found.fate is rtu.Fate.ANSWER and self._waiter and not self._waiter.done():
                self._ask = None
                self._waiter.set_result(found.result)
                continue
            self.dropped += 1
            if found.fate is rtu.Fate.CORRUPT:
                self._corrupt_until = now + GAP_S
                return

    async def exchange_all(self, asks: Sequence[Ask]) -> Answers:
        """The first of them only: a line has other devices too."""
        if self.failure or self._transport is None:
            raise self.failure or DeviceUnreachable(f'device "{self._name}": not open', quality.BAD_NOT_CONNECTED)
        ask = asks[0]
        if ask.unit in self._owed:
            await self._settle(ask)
        return [await self._once(ask)]

    async def _once(self, ask: Ask) -> bytes | int:
        owed = self._owed.get(ask.unit)
        self._doubts.owes(ask.unit, ask.size)  # until it is answered, whatever ends the wait
        await self._quiet()
        self._buffer = b""  # a part of something that never became a frame
        text = rtu.request(ask)
        self._ask, self._waiter = ask, self._loop.create_future()
        self._transport.write(text)
        try:
            async with asyncio.timeout(self._timeout + self._on_the_line_s(len(text) + ask.size + 5)):
                result = await self._waiter
        except TimeoutError as error:
            raise DeviceUnreachable(f'device "{self._name}": no answer within {self._timeout:g}s', quality.BAD_TIMEOUT) from error
        finally:
            self._ask = self._waiter = None
        if owed is None:
            del self._owed[ask.unit]
        return result

    async def _quiet(self) -> None:
        """Nothing is sent into what is still coming in."""
        while (rest := self._corrupt_until - self._loop.time()) > 0:  # noqa: ASYNC110  the line, not a task, decides how long
            await asyncio.sleep(rest)

    def _on_the_line_s(self, size: int) -> float:
        return size * self._line.character_s if self._line else 0.0

    async def _settle(self, ask: Ask) -> None:
        """Returns when the unit owes nothing any more. Raises DeviceUnreachable."""
        unit = ask.unit
        echoing = self._echoes.get(unit, True)
        probe = Ask.echo(unit, random.randrange(0x10000)) if echoing else self._other_read(ask)  # noqa: S311
        try:
            await self._once(probe)
        except DeviceUnreachable as error:
            self._echoes[unit] = not echoing
            raise StillSilent(str(error), error.quality) from error
        self._echoes[unit] = echoing
        del self._owed[unit]

    def _other_read(self, ask: Ask) -> Ask:
        """Where the ask reads, but of another size than any that is owed."""
        area = next((area for area in Area if area.function == ask.function and area is not Area.FILE), Area.HOLDING)
        start = int.from_bytes(ask.body[6:8], "big") if area.function == ask.function else 0
        step, owed = (8 if area.of_bits else 1), self._owed[ask.unit]
        count = next(count for count in range(1, 126) if (count if area.of_bits else 2 * count) not in owed)
        return Ask.read(ask.unit, Span(area, start, 1 + (count - 1) * step))

    def close(self) -> None:
        self._end(DeviceUnreachable(f'device "{self._name}": closed', quality.BAD_NOT_CONNECTED))

    def _end(self, failure: Failure) -> None:
        if self.failure is None:
            self.failure = failure
        if self._transport is not None:
            self._transport.abort()
        if self._waiter and not self._waiter.done():
            self._waiter.set_exception(self.failure)
