"""Reads and writes one device over Modbus: TCP, TLS, UDP, RTU over TCP, serial lines (see `endpoint`).

Framing is ours (`mbap`, `rtu`), because a general client decodes every register into a Python object and forgives answers to other requests;
here nothing of a foreign, late or misshapen answer is kept. Devices with the same endpoint share one connection (`bus`). A poll that gets no
answer ends the session: the poller reopens with backoff.

A poll reads a whole group. With `source_time` the time is read before and, when the group needs several requests, again after the values;
a poll during which it changed is repeated, and a poll that shows the time already delivered yields nothing. A block that the device refuses
(exceptions 2, 3, 4) is split until the refused registers stand alone, so that they cost only their own tags. A busy device (5, 6) is asked
again after a pause, a few times per poll. Texts are read between polls; one that cannot be read is asked for again at its next time.
"""

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
from protocols.modbus.address import Span
from protocols.modbus.ask import Ask
from protocols.modbus.decode import Layout, decode, layout
from protocols.modbus.endpoint import parse_endpoint
from protocols.modbus.plan import Group, Request, aside_spans, plan, value_span
from protocols.modbus.settings import ModbusOptions, ModbusSettings
from protocols.modbus.telling import Teller
from protocols.modbus.texts import text_problems
from protocols.modbus.wire import Wire

SPLITTING: Final = frozenset((2, 3, 4))  # may concern single registers only (Modbus AP v1.1b3, 7)
BUSY: Final = frozenset((5, 6))
BUSY_TRIES: Final = 3  # times that one poll asks a busy device again
BUSY_PAUSE_US: Final = 50_000
TORN_READS: Final = 3  # reads of one poll before it is given up
TORN_POLLS: Final = 5  # polls in a row given up before the device is declared unfit
LATEST_US: Final = 1 << 62


@dataclass(slots=True)
class _Piece:
    """A read that is really sent for a request: the whole of it, or a part after a split. refused: last exception code, 0 = answered."""

    parts: tuple[Span, ...]
    ask: Ask
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
    """See `protocols.driver.WritingDriver`."""

    def __init__(self, device: Device, clock: Clock) -> None:
        self._device, self._clock = device, clock
        self._settings: ModbusSettings = device.settings or ModbusSettings()
        self._options: ModbusOptions = self._settings.over(device.map.options)
        self._unit: int = self._settings.unit
        self._wire: Wire | None = None
        self._polls: list[_Poll] = []
        time_span = self._options.source_time
        self._time_ask = Ask.read(self._unit, time_span) if time_span else None
        self._seen: dict[int, int] = {}
        self._teller: Teller | None = None
        self._patience = BUSY_TRIES

    @property
    def dropped(self) -> int:
        """Frames so far that came over the wire and were no answer to what was asked."""
        return self._wire.dropped if self._wire else 0

    @property
    def unread_texts(self) -> int:
        """Times that a text could not be read, or was none."""
        return self._teller.failures if self._teller else 0

    async def open(self) -> None:
        name = self._device.name
        try:
            endpoint = parse_endpoint(self._device.address)
        except ValueError as error:
            raise DriverSetup(f'device "{name}": {error}', quality.BAD_CONFIGURATION) from error
        for index, problem in text_problems(self._device.map):
            text = self._device.map.texts[index].name
            raise DriverSetup(f'device "{name}": text "{text}" of map "{self._device.map.name}": {problem}', quality.BAD_CONFIGURATION)
        await self.close()
        try:
            self._wire = Wire(name, endpoint, self._settings, self._options)
        except ValueError as error:
            raise DriverSetup(f'device "{name}": {error}', quality.BAD_CONFIGURATION) from error
        await self._wire.open()
        now_us = self._clock.monotonic_us()
        self._polls = [self._prepare(group, now_us) for group in plan(self._device.map, self._options)]
        self._teller = self._teller or Teller(self._device, self._options, self._unit)
        self._teller.begin(now_us)

    async def close(self) -> None:
        if self._wire:
            self._wire.close()
        self._wire = None

    async def read(self) -> Frame:
        wire, teller = self._wire, self._teller
        if wire is None or teller is None:
            raise DeviceUnreachable(f'device "{self._device.name}": not open', quality.BAD_NOT_CONNECTED)
        while True:
            poll = min(self._polls, key=lambda poll: poll.due_us)
            now_us = self._clock.monotonic_us()
            if teller.due_us < poll.due_us and teller.due_us <= now_us:
                if frame := await teller.tell(wire, self._clock):
                    return frame
                continue
            if poll.due_us > now_us:
                await self._clock.sleep_us(min(poll.due_us, teller.due_us) - now_us)
                continue
            every_us = poll.group.every_us
            poll.due_us += ((now_us - poll.due_us) // every_us + 1) * every_us  # missed ticks are skipped, the grid stays
            if frame := await self._read(poll, wire):
                return frame

    async def write(self, index: int, raw: float, expected: float | None) -> None:
        """See `protocols.driver.WritingDriver`."""
        if self._wire is None:
            raise DeviceUnreachable(f'device "{self._device.name}": not open', quality.BAD_NOT_CONNECTED)
        from protocols.modbus import writing  # few gateways write

        async with self._wire.turn() as held:
            await writing.write(held, self._device.map, self._options, self._clock, writing.Order(index, raw, expected))

    def _prepare(self, group: Group, now_us: int) -> _Poll:
        where = layout(self._device.map, group)
        ids = self._device.ids
        needs: dict[Span, list[int]] = {}
        for index in group.tags:
            tag = self._device.map.tags[index]
            for span in (value_span(tag, self._options)[1], *aside_spans(tag, self._options)):
                needs.setdefault(span, []).append(index)
        if self._options.source_time:
            needs.setdefault(self._options.source_time, []).extend(group.tags)
        pieces = [[self._piece(request.parts)] for request in group.requests]
        return _Poll(group, where, pieces, [ids[column.tags] for column in where.columns], now_us, needs)

    def _piece(self, parts: tuple[Span, ...]) -> _Piece:
        span = Span(parts[0].area, parts[0].start, parts[-1].end - parts[0].start)
        return _Piece(parts, Ask.read(self._unit, span), span)

    async def _read(self, poll: _Poll, wire: Wire) -> Frame | None:
        """One poll; None when the device shows nothing new."""
        self._patience = BUSY_TRIES
        for _ in range(TORN_READS):
            words, bits, source_us = await self._image(poll, wire)
            if source_us is not None and self._delivered(poll, source_us):
                return None
            if source_us is None or await self._still(poll, wire, source_us):
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

    async def _image(self, poll: _Poll, wire: Wire) -> tuple[bytes, bytes, int | None]:
        """Register words, bits and source time of the group. Stops early when the time is already known."""
        words: list[bytes] = []
        bits: list[bytes] = []
        source_us: int | None = None
        answers: list[bytes | int] = []
        for number, request in enumerate(poll.group.requests):
            pieces = poll.pieces[number]
            if not answers:
                asks = self._in_one_go(poll, number)
                answers = (await wire.exchange_all(asks))[::-1] if asks else [2]
            answer = answers.pop()
            if isinstance(answer, int) and answer in BUSY:
                answer = await self._insist(pieces[0].ask, answer, wire)
            if isinstance(answer, int):
                answer = await self._in_pieces(poll, number, request, answer, wire)
            else:
                pieces[0].refused = 0
                poll.whole_refused.discard(number)
            (bits if request.span.area.of_bits else words).append(answer)
            if number == 0 and self._time_answered(poll):
                source_us = self._checked(poll.layout.time_us(answer))
                if self._delivered(poll, source_us):
                    break
        return b"".join(words), b"".join(bits), source_us

    async def _insist(self, ask: Ask, answer: bytes | int, wire: Wire) -> bytes | int:
        """The answer of a busy device after some pauses."""
        while isinstance(answer, int) and answer in BUSY and self._patience:
            self._patience -= 1
            await self._clock.sleep_us(BUSY_PAUSE_US)
            answer = await wire.exchange(ask)
        return answer

    def _in_one_go(self, poll: _Poll, number: int) -> list[Ask]:
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

    async def _still(self, poll: _Poll, wire: Wire, source_us: int) -> bool:
        """True when everything was read under the one source time."""
        if self._time_ask is None or sum(len(pieces) for pieces in poll.pieces) == 1:
            return True
        answer = await wire.exchange(self._time_ask)
        return isinstance(answer, bytes) and poll.layout.time_alone_us(answer) == source_us

    async def _in_pieces(self, poll: _Poll, number: int, request: Request, code: int, wire: Wire) -> bytes:
        """The answer of a refused or already split request, with zeros where the device refused."""
        pieces = poll.pieces[number]
        answers: list[tuple[_Piece, bytes]] = []
        if len(pieces) == 1:
            pieces[0].refused = code
            if len(request.parts) > 1 and code in SPLITTING and number not in poll.whole_refused:
                pieces, answers = await self._bisect(request.parts, wire)
                if answers:
                    poll.pieces[number] = pieces
                else:  # the device refuses everything: not a matter of addresses, ask for the whole again
                    poll.whole_refused.add(number)
        else:
            for piece in pieces:
                answer = await self._insist(piece.ask, await wire.exchange(piece.ask), wire)
                piece.refused = answer if isinstance(answer, int) else 0
                if isinstance(answer, bytes):
                    answers.append((piece, answer))
            if not answers:  # refused altogether: begin again with the whole
                poll.pieces[number] = [self._piece(request.parts)]
                poll.pieces[number][0].refused = pieces[0].refused
                poll.whole_refused.add(number)
        return _assemble(request.span, answers)

    async def _bisect(self, parts: tuple[Span, ...], wire: Wire) -> tuple[list[_Piece], list[tuple[_Piece, bytes]]]:
        """Halves until each piece is answered whole or is a single part."""
        pieces: list[_Piece] = []
        answers: list[tuple[_Piece, bytes]] = []
        middle = len(parts) // 2
        halves = [parts[middle:], parts[:middle]]
        while halves:
            piece = self._piece(halves.pop())
            answer = await self._insist(piece.ask, await wire.exchange(piece.ask), wire)
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
