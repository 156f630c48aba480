"""Reads one device over Modbus TCP: one connection per device, one request outstanding on it.

Framing is ours (`mbap`), because a general client decodes every register into a Python object and forgives answers to other requests;
here a foreign, late or misshapen answer ends the link and nothing of it is kept. There are no retries: the poller reopens with backoff.

A poll reads a whole group. With `source_time` the time is read before and, when the group needs several requests, again after the values;
a poll during which it changed is repeated, and a poll that shows the time already delivered yields nothing. A block that the device refuses
(exceptions 2, 3, 4) is split until the refused registers stand alone, so that they cost only their own tags.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocols import quality
from protocols.clock import Clock
from protocols.devicemap import Device
from protocols.driver import DeviceMisbehaves, DeviceUnreachable, DriverSetup
from protocols.frame import Block, Frame
from protocols.modbus import mbap
from protocols.modbus.address import Span
from protocols.modbus.decode import Layout, decode, layout
from protocols.modbus.plan import Group, ModbusOptions, ModbusSettings, Request, parse_endpoint, plan, quality_span, value_span

SPLITTING: Final = frozenset((2, 3, 4))  # may concern single registers only (Modbus AP v1.1b3, 7)
TORN_READS: Final = 3  # reads of one poll before it is given up
TORN_POLLS: Final = 5  # polls in a row given up before the device is declared unfit
LATEST_US: Final = 1 << 62


class _Link(asyncio.Protocol):
    """One connection. Every reason to distrust it is final: `exchange` raises it from then on."""

    def __init__(self, name: str, timeout_us: int) -> None:
        self._name, self._timeout = name, timeout_us / 1_000_000
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._transaction = 0
        self._ask: mbap.Ask | None = None
        self._asks: Sequence[mbap.Ask] = ()
        self._answers: list[bytes | int] = []
        self._waiter: asyncio.Future[list[bytes | int]] | None = None
        self._buffer = b""
        self._deadline = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self._failure: DeviceUnreachable | DeviceMisbehaves | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(
            DeviceUnreachable(f'device "{self._name}": connection lost ({exc or "closed by the device"})', quality.BAD_NO_COMMUNICATION)
        )

    def data_received(self, data: bytes) -> None:
        if self._failure:
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
            self._fail(DeviceMisbehaves(f'device "{self._name}": {error}; link dropped', quality.BAD_NO_COMMUNICATION))
            return
        self._buffer = b""
        self._answers.append(result)
        if isinstance(result, bytes) and len(self._answers) < len(self._asks):
            self._send()
            return
        waiter, self._waiter, self._ask = self._waiter, None, None
        if not waiter.done():
            waiter.set_result(self._answers)

    async def exchange(self, ask: mbap.Ask) -> bytes | int:
        """The data of the answer, or its exception code."""
        return (await self.exchange_all((ask,)))[0]

    async def exchange_all(self, asks: Sequence[mbap.Ask]) -> list[bytes | int]:
        """One after the other, each sent when the one before is answered; ends with the first exception code. The reader is woken once."""
        if self._failure or self._transport is None:
            raise self._failure or DeviceUnreachable(f'device "{self._name}": not open', quality.BAD_NOT_CONNECTED)
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

    def _fail(self, failure: DeviceUnreachable | DeviceMisbehaves) -> None:
        self._failure = self._failure or failure
        if self._alarm:
            self._alarm.cancel()
            self._alarm = None
        if self._transport:
            self._transport.abort()
        waiter, self._waiter, self._ask = self._waiter, None, None
        if waiter and not waiter.done():
            waiter.set_exception(self._failure)


@dataclass(slots=True)
class _Piece:
    """A read that is really sent for a request: the whole of it, or a part after a split. refused: last exception code, 0 = answered."""

    parts: tuple[Span, ...]
    ask: mbap.Ask
    span: Span
    refused: int = 0


@dataclass(slots=True)
class _Poll:
    """A group with what is worked out once and what is remembered between polls."""

    group: Group
    layout: Layout
    pieces: list[list[_Piece]]
    tags: list[NDArray[np.uint32]]
    due_us: int
    needs: dict[Span, list[int]]
    torn: int = 0
    whole_refused: set[int] = field(default_factory=set)


class ModbusDriver:
    """See `protocols.driver.Driver`."""

    def __init__(self, device: Device, clock: Clock) -> None:
        self._device, self._clock = device, clock
        self._options: ModbusOptions = device.map.options
        settings = device.settings or ModbusSettings()
        self._unit: int = settings.unit
        self._link: _Link | None = None
        self._polls: list[_Poll] = []
        time_span = self._options.source_time
        self._time_ask = mbap.Ask.read(self._unit, time_span) if time_span else None
        self._seen: dict[int, int] = {}

    async def open(self) -> None:
        try:
            host, port = parse_endpoint(self._device.address)
        except ValueError as error:
            raise DriverSetup(f'device "{self._device.name}": {error}', quality.BAD_CONFIGURATION) from error
        await self.close()
        loop = asyncio.get_running_loop()
        name, timeout = self._device.name, self._options.timeout_us / 1_000_000
        try:
            async with asyncio.timeout(timeout):
                _, link = await loop.create_connection(lambda: _Link(name, self._options.timeout_us), host, port)
        except TimeoutError as error:
            raise DeviceUnreachable(f'device "{name}": no connection to {host}:{port} within {timeout:g}s', quality.BAD_TIMEOUT) from error
        except OSError as error:
            raise DeviceUnreachable(
                f'device "{name}": no connection to {host}:{port} ({error.strerror or error})', quality.BAD_NO_COMMUNICATION
            ) from error
        self._link = link
        now_us = self._clock.monotonic_us()
        self._polls = [self._prepare(group, now_us) for group in plan(self._device.map)]

    async def close(self) -> None:
        if self._link:
            self._link.close()
        self._link = None

    async def read(self) -> Frame:
        if self._link is None:
            raise DeviceUnreachable(f'device "{self._device.name}": not open', quality.BAD_NOT_CONNECTED)
        while True:
            poll = min(self._polls, key=lambda poll: poll.due_us)
            now_us = self._clock.monotonic_us()
            if poll.due_us > now_us:
                await self._clock.sleep_us(poll.due_us - now_us)
                continue
            every_us = poll.group.every_us
            poll.due_us += ((now_us - poll.due_us) // every_us + 1) * every_us  # missed ticks are skipped, the grid stays
            if frame := await self._read(poll, self._link):
                return frame

    def _prepare(self, group: Group, now_us: int) -> _Poll:
        where = layout(self._device.map, group)
        ids = self._device.ids
        needs: dict[Span, list[int]] = {}
        for index in group.tags:
            tag = self._device.map.tags[index]
            needs.setdefault(value_span(tag, self._options)[1], []).append(index)
            if span := quality_span(tag, self._options):
                needs.setdefault(span, []).append(index)
        if self._options.source_time:
            needs.setdefault(self._options.source_time, []).extend(group.tags)
        pieces = [[self._piece(request.parts)] for request in group.requests]
        return _Poll(group, where, pieces, [ids[column.tags] for column in where.columns], now_us, needs)

    def _piece(self, parts: tuple[Span, ...]) -> _Piece:
        span = Span(parts[0].area, parts[0].start, parts[-1].end - parts[0].start)
        return _Piece(parts, mbap.Ask.read(self._unit, span), span)

    async def _read(self, poll: _Poll, link: _Link) -> Frame | None:
        """One poll; None when the device shows nothing new."""
        for _ in range(TORN_READS):
            words, bits, source_us = await self._image(poll, link)
            if source_us is not None and self._delivered(poll, source_us):
                return None
            if source_us is None or await self._still(poll, link, source_us):
                poll.torn = 0
                return self._frame(poll, words, bits, source_us)
        poll.torn += 1
        if poll.torn >= TORN_POLLS:
            raise DeviceMisbehaves(
                f'device "{self._device.name}": source_time changed during each of {TORN_READS} reads in {TORN_POLLS} polls; '
                f"the device steps faster than {len(poll.group.requests)} requests can be read",
                quality.BAD_NO_COMMUNICATION,
            )
        return None

    async def _image(self, poll: _Poll, link: _Link) -> tuple[bytes, bytes, int | None]:
        """Register words, bits and source time of the group. Stops early when the time is already known."""
        words: list[bytes] = []
        bits: list[bytes] = []
        source_us: int | None = None
        answers: list[bytes | int] = []
        for number, request in enumerate(poll.group.requests):
            pieces = poll.pieces[number]
            if not answers:
                if number and self._options.min_pause_us:
                    await self._clock.sleep_us(self._options.min_pause_us)
                asks = self._in_one_go(poll, number)
                answers = (await link.exchange_all(asks))[::-1] if asks else [2]
            answer = answers.pop()
            if isinstance(answer, int):
                answer = await self._in_pieces(poll, number, request, answer, link)
            else:
                pieces[0].refused = 0
                poll.whole_refused.discard(number)
            (bits if request.span.area.of_bits else words).append(answer)
            if number == 0 and self._time_answered(poll):
                source_us = self._checked(poll.layout.time_us(answer))
                if self._delivered(poll, source_us):
                    break
        return b"".join(words), b"".join(bits), source_us

    def _in_one_go(self, poll: _Poll, number: int) -> list[mbap.Ask]:
        """Requests from `number` on that need no decision in between; none when this one is split."""
        alone = self._options.min_pause_us or (number == 0 and self._options.source_time)
        unsplit = takewhile(lambda pieces: len(pieces) == 1, poll.pieces[number : number + 1 if alone else None])
        return [pieces[0].ask for pieces in unsplit]

    def _delivered(self, poll: _Poll, source_us: int) -> bool:
        """Remembered across a reopened link; across a restart the agent compares with what its buffer kept."""
        return self._seen.get(poll.group.every_us) == source_us

    def _time_answered(self, poll: _Poll) -> bool:
        span = self._options.source_time
        return span is not None and not any(piece.refused and span in piece.parts for piece in poll.pieces[0])

    def _checked(self, source_us: int) -> int:
        if not 0 < source_us < LATEST_US:
            raise DeviceMisbehaves(
                f'device "{self._device.name}": source_time {source_us} is no time in microseconds since 1970', quality.BAD_NO_COMMUNICATION
            )
        return source_us

    async def _still(self, poll: _Poll, link: _Link, source_us: int) -> bool:
        """True when everything was read under the one source time."""
        if self._time_ask is None or sum(len(pieces) for pieces in poll.pieces) == 1:
            return True
        answer = await link.exchange(self._time_ask)
        return isinstance(answer, bytes) and poll.layout.time_alone_us(answer) == source_us

    async def _in_pieces(self, poll: _Poll, number: int, request: Request, code: int, link: _Link) -> bytes:
        """The answer of a refused or already split request, with zeros where the device refused."""
        pieces = poll.pieces[number]
        answers: list[tuple[_Piece, bytes]] = []
        if len(pieces) == 1:
            pieces[0].refused = code
            if len(request.parts) > 1 and code in SPLITTING and number not in poll.whole_refused:
                pieces, answers = await self._bisect(request.parts, link)
                if answers:
                    poll.pieces[number] = pieces
                else:  # the device refuses everything: not a matter of addresses, ask for the whole again
                    poll.whole_refused.add(number)
        else:
            for piece in pieces:
                answer = await link.exchange(piece.ask)
                piece.refused = answer if isinstance(answer, int) else 0
                if isinstance(answer, bytes):
                    answers.append((piece, answer))
            if not answers:  # refused altogether: begin again with the whole
                poll.pieces[number] = [self._piece(request.parts)]
                poll.pieces[number][0].refused = pieces[0].refused
                poll.whole_refused.add(number)
        return _assemble(request.span, answers)

    async def _bisect(self, parts: tuple[Span, ...], link: _Link) -> tuple[list[_Piece], list[tuple[_Piece, bytes]]]:
        """Halves until each piece is answered whole or is a single part."""
        pieces: list[_Piece] = []
        answers: list[tuple[_Piece, bytes]] = []
        middle = len(parts) // 2
        halves = [parts[middle:], parts[:middle]]
        while halves:
            piece = self._piece(halves.pop())
            answer = await link.exchange(piece.ask)
            if isinstance(answer, int) and answer in SPLITTING and len(piece.parts) > 1:
                middle = len(piece.parts) // 2
                halves += [piece.parts[middle:], piece.parts[:middle]]
                continue
            pieces.append(piece)
            if isinstance(answer, int):
                piece.refused = answer
            else:
                answers.append((piece, answer))
        return pieces, answers

    def _frame(self, poll: _Poll, words: bytes, bits: bytes, source_us: int | None) -> Frame:
        gateway_us = self._clock.now_us()
        if source_us is not None:
            self._seen[poll.group.every_us] = source_us
        times = np.array([gateway_us if source_us is None else source_us], np.int64)
        results = decode(poll.layout, words, bits, self._faults(poll))
        return Frame(
            self._device.name,
            gateway_us,
            tuple(
                Block(tags, times, values[np.newaxis], None if codes is None else codes[np.newaxis])
                for tags, (values, codes) in zip(poll.tags, results, strict=True)
            ),
        )

    def _faults(self, poll: _Poll) -> NDArray[np.uint32] | None:
        refused = [piece for pieces in poll.pieces for piece in pieces if piece.refused]
        if not refused:
            return None
        faults = np.zeros(len(self._device.map.tags), np.uint32)
        for piece in refused:
            for part in piece.parts:
                faults[poll.needs[part]] = quality.from_modbus_exception(piece.refused)
        return faults


def _assemble(span: Span, answers: list[tuple[_Piece, Any]]) -> bytes:
    """The answer that the whole request would have had, zero where nothing was answered."""
    if not span.area.of_bits:
        image = bytearray(2 * span.count)
        for piece, answer in answers:
            at = 2 * (piece.span.start - span.start)
            image[at : at + len(answer)] = answer
        return bytes(image)
    flags = np.zeros((span.count + 7) // 8 * 8, np.uint8)
    for piece, answer in answers:
        at = piece.span.start - span.start
        flags[at : at + piece.span.count] = np.unpackbits(np.frombuffer(answer, np.uint8), bitorder="little")[: piece.span.count]
    return np.packbits(flags, bitorder="little").tobytes()
