"""IEC 61850 device through a child process.

libiec61850 is native code under the GPL: it runs in `protocols.iec61850.worker`, one process per device, and only columns of numbers come
through the pipe. If it crashes or hangs, this device is unreachable until it is opened again, and nothing else notices.

With buffered reports every frame carries, per report control block, the id of its last entry (`Frame.messages`: a rising number, the
block, the entry id). The next session is given those that became durable and has the device go on with the entry after the newest: what
happened during a cut, or was read but not yet durable when the agent was killed, is reported again, and nothing else. What a device only
repeats (general interrogation, integrity) is dropped where it is the last thing already read of that tag.

Flags of the device's clock become events, never a quality: the value is as good as its own quality word says.
"""

import asyncio
import struct
from collections.abc import Collection, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocols import quality, tasks
from protocols.clock import Clock
from protocols.devicemap import Device, TagType
from protocols.driver import DeviceMisbehaves, DeviceUnreachable, DriverError, DriverSetup, WriteRefused
from protocols.event import Event
from protocols.frame import Block, Frame
from protocols.iec61850.pipe import end_child, pack, receive_async, start_child
from protocols.iec61850.plan import CLOCK_ACCURACY, CLOCK_FAILURE, CLOCK_LEAP_KNOWN, CLOCK_UNSYNCHRONISED, Settings, decode_quality
from protocols.iec61850.request import request_of

START_S: Final = 10.0
SILENCE_S: Final = 15.0
ENTRY_BYTES: Final = 8  # IEC 61850-7-2: EntryID is an octet string of this length
WRITE_TIMEOUTS: Final = 6  # requests that an order may take, one after the other
_NOTE: Final = 300  # severity of what a person may want to know
_CLOCK_FAILED, _CLOCK_UNSYNCHRONISED, _CLOCK_WELL = 500, 300, 0
_IDENTITY: Final = struct.Struct(">QH")  # of which the first is cut to its lower six bytes
_KIND_STATUS: Final = np.array([0, quality.BAD_NODE_ID_UNKNOWN, quality.BAD_TYPE_MISMATCH], dtype=np.uint32)
_COLUMNS: Final = (np.uint16, np.int64, np.float64, np.uint16, np.uint8)
_WIDE: Final = (np.uint16, np.int64, np.int64, np.uint16, np.uint8)
_ENTRY_AT, _WIDE_AT = 7, 8  # in a data message


def _read_identity(identity: bytes) -> tuple[int, int, bytes]:
    """(rising number, key of the block, entry id)."""
    number, key = _IDENTITY.unpack(bytes(2) + identity[:8])
    return number, key, identity[8:]


def clock_event(device: str, flags: int, time_us: int, now_us: int) -> Event:
    """What the quality of a device's time stamps says (IEC 61850-7-2, 6.1.2.9): leap seconds known, failure, not synchronised, accuracy."""
    failure, unsynchronised, bits = bool(flags & CLOCK_FAILURE), bool(flags & CLOCK_UNSYNCHRONISED), flags & CLOCK_ACCURACY
    text = "the clock is synchronised and well"
    if unsynchronised:
        text = "the clock is not synchronised"
    if failure:
        text = "the clock has failed"
    severity = _CLOCK_FAILED if failure else _CLOCK_UNSYNCHRONISED if unsynchronised else _CLOCK_WELL
    detail: dict[str, str | int | float | bool] = {
        "leap_seconds_known": bool(flags & CLOCK_LEAP_KNOWN),
        "clock_failure": failure,
        "clock_not_synchronised": unsynchronised,
    }
    if bits <= 24:  # more is "not said"
        detail["accuracy_bits"] = bits
    return Event("clock", device, "clock", time_us, now_us, text, severity, detail)


class Iec61850Driver:
    def __init__(self, device: Device, clock: Clock, delivered: Collection[bytes] = ()) -> None:
        self._device, self._clock = device, clock
        self._settings: Settings = device.settings or Settings()
        self._worker: asyncio.subprocess.Process | None = None
        self._receiving: asyncio.Task[None] | None = None
        self._reports: list[list[Any]] = []
        self._events: list[Event] = []
        self._news = asyncio.Event()
        self._failure: DriverError | None = None
        self._writes: dict[int, asyncio.Future[str]] = {}
        self._orders = 0
        identities = sorted(map(_read_identity, delivered))
        self._number = identities[-1][0] if identities else 0
        self._entries = {key: entry for _, key, entry in identities}
        self._last: dict[int, tuple[int, float, int]] = {}
        self._words: dict[int, int] = {}
        self._of_type = {
            tag_type: np.array([tag.type is tag_type for tag in device.map.tags])
            for tag_type in dict.fromkeys(tag.type for tag in device.map.tags)
        }

    async def open(self) -> None:
        self._reports, self._events, self._news, self._failure = [], [], asyncio.Event(), None
        self._worker = worker = await start_child("protocols.iec61850.worker")
        assert worker.stdin is not None and worker.stdout is not None
        worker.stdin.write(pack(request_of(self._device, self._entries)))
        try:
            while True:
                async with asyncio.timeout(START_S + self._settings.timeout_us / 1e6):
                    message = await receive_async(worker.stdout)
                if message[0] == "open":
                    break
                self._raise_error(message)
        except (EOFError, ValueError, LookupError, TypeError, TimeoutError) as error:
            raise DeviceUnreachable(f"{self._device.address}: the IEC 61850 process ended or hung", quality.BAD_NO_COMMUNICATION) from error
        missing = np.array(message[1], dtype=np.uint16)
        if missing.size:
            none, gone = np.zeros(missing.size), np.ones(missing.size, dtype=np.uint8)
            self._reports.append(
                ["data", *(column.tobytes() for column in (missing, none.astype(np.int64), none, missing * 0, gone)), False, b""]
            )
            self._news.set()
        self._receiving = asyncio.create_task(self._receive(worker.stdout))

    def _raise_error(self, message: list[Any]) -> None:
        if message[0] == "error":
            family = DriverSetup if message[1] == "setup" else DeviceUnreachable
            code = quality.BAD_CONFIGURATION if message[1] == "setup" else quality.BAD_NO_COMMUNICATION
            raise family(f"{self._device.address}: {message[2]}", code)

    async def _receive(self, stream: asyncio.StreamReader) -> None:
        try:
            while True:
                async with asyncio.timeout(SILENCE_S):
                    message = await receive_async(stream)
                self._raise_error(message)
                if message[0] == "data":
                    self._reports.append(message)
                    self._news.set()
                elif message[0] != "alive":
                    self._take(message)
        except DriverError as error:
            self._failure = error
        except (ValueError, LookupError, TypeError) as error:
            self._failure = self._nonsense(error)
        except EOFError:
            self._failure = DeviceUnreachable(f"{self._device.address}: the IEC 61850 process ended", quality.BAD_NO_COMMUNICATION)
        except TimeoutError:
            self._failure = DeviceUnreachable(f"{self._device.address}: the IEC 61850 process hangs", quality.BAD_TIMEOUT)
        self._news.set()
        for waiting in self._writes.values():
            if not waiting.done():
                waiting.set_exception(self._failure)

    def _nonsense(self, error: Exception) -> DeviceMisbehaves:
        return DeviceMisbehaves(f"{self._device.address}: the IEC 61850 process talks nonsense: {error!r}", quality.BAD_NO_COMMUNICATION)

    def _take(self, message: list[Any]) -> None:
        """What is no data: events, and answers to writes."""
        now_us = self._clock.now_us()
        match message:
            case ["written", int(number), str(refusal)]:
                if number in self._writes and not self._writes[number].done():
                    self._writes[number].set_result(refusal)
                return
            case ["text", int(number), str(text)] if 0 <= number < len(self._device.map.texts):
                shown = self._device.map.texts[number]
                event = Event("text", self._device.name, shown.name, now_us, now_us, text, detail={"at": shown.at})
            case ["clock", int(flags), int(time_us)]:
                event = clock_event(self._device.name, flags, time_us, now_us)
            case ["note", str(source), str(text), dict(detail)]:
                event = Event("device", self._device.name, source, now_us, now_us, text, _NOTE, detail)
            case _:
                raise ValueError(f"unknown message {message[0]!r} of the IEC 61850 process")
        self._events.append(event)
        self._news.set()

    async def read(self) -> Frame:
        while True:
            if self._reports or self._events:
                reports, self._reports = self._reports, []
                events, self._events = tuple(self._events), []
                now_us = self._clock.now_us()
                try:
                    blocks = self._blocks(reports, now_us) if reports else []
                    messages = self._identities(reports)
                except (ValueError, LookupError, TypeError) as error:
                    raise self._nonsense(error) from error
                if blocks or events:
                    return Frame(self._device.name, now_us, blocks, messages=messages, events=events)
                continue
            if self._failure is not None:
                raise self._failure
            self._news.clear()
            await self._news.wait()

    async def write(self, index: int, raw: float, expected: float | None) -> None:
        tag, worker = self._device.map.tags[index], self._worker
        if tag.write is None:
            raise WriteRefused(f'{self._device.name}: tag "{tag.name}" has no "write" in the device map')
        if worker is None or worker.stdin is None or self._receiving is None or self._failure is not None:
            raise DeviceUnreachable(f"{self._device.address}: not connected", quality.BAD_NO_COMMUNICATION)
        self._orders += 1
        number = self._orders
        answer = self._writes[number] = asyncio.get_running_loop().create_future()
        try:
            worker.stdin.write(pack(["write", number, index, float(raw), None if expected is None else float(expected)]))
            async with asyncio.timeout(WRITE_TIMEOUTS * self._settings.timeout_us / 1e6):
                refusal = await answer
        except TimeoutError as error:
            text = f'{self._device.address}: no answer to a write of "{tag.name}": it is not known what happened'
            raise DeviceUnreachable(text, quality.BAD_TIMEOUT) from error
        finally:
            del self._writes[number]
        if refusal:
            raise WriteRefused(f'{self._device.name}: tag "{tag.name}": {refusal}')

    def _identities(self, reports: list[list[Any]]) -> tuple[bytes, ...]:
        """One for every block that we know an entry of, so that the newest frame has all of them."""
        found = {report[_ENTRY_AT][:2]: report[_ENTRY_AT][2:] for report in reports if len(report[_ENTRY_AT]) == 2 + ENTRY_BYTES}
        if not found:
            return ()
        self._entries.update({int.from_bytes(key, "big"): entry for key, entry in found.items()})
        self._number += 1
        return tuple(_IDENTITY.pack(self._number, key)[2:] + entry for key, entry in self._entries.items())

    def _blocks(self, reports: list[list[Any]], now_us: int) -> list[Block]:
        blocks = self._blocks_of(reports, 1, _COLUMNS, now_us)
        if wide := [report for report in reports if len(report) > _WIDE_AT]:
            blocks += self._blocks_of(wide, _WIDE_AT, _WIDE, now_us)
        return blocks

    def _blocks_of(self, reports: list[list[Any]], first: int, dtypes: Sequence[type[np.generic]], now_us: int) -> list[Block]:
        """first: where in the messages the columns of these types begin."""
        points, times, values, words, kinds = (
            np.concatenate([np.frombuffer(report[first + number], dtype=dtype) for report in reports])
            for number, dtype in enumerate(dtypes)
        )
        found = list(zip(times.tolist(), values.tolist(), words.tolist(), strict=True))
        keep = self._news_of(reports, first, points.tolist(), found)
        points, times, values, words, kinds = points[keep], times[keep], values[keep], words[keep], kinds[keep]
        codes = np.array([self._status(word) for word in words.tolist()], dtype=np.uint32)
        codes = np.where(kinds == 0, codes, _KIND_STATUS[kinds])
        times = np.where(times > 0, times, now_us)
        blocks = []
        for tag_type, of_type in self._of_type.items():
            chosen = np.flatnonzero(of_type[points])
            if chosen.size:
                blocks.append(self._block(tag_type, points[chosen], times[chosen], values[chosen], codes[chosen]))
        return blocks

    def _news_of(self, reports: list[list[Any]], first: int, points: list[int], found: list[tuple[int, float, int]]) -> NDArray[np.intp]:
        """Which samples to keep: all, but no repetition of the last one of its tag. NaN values are never repetitions."""
        keep: list[int] = []
        at = 0
        for report in reports:
            for _ in range(len(report[first]) // 2):
                if not (report[6] and self._last.get(points[at]) == found[at]):
                    keep.append(at)
                    self._last[points[at]] = found[at]
                at += 1
        return np.array(keep, dtype=np.intp)

    def _status(self, word: int) -> int:
        if word not in self._words:
            self._words[word] = decode_quality(word)
        return self._words[word]

    def _block(
        self,
        tag_type: TagType,
        points: NDArray[np.uint16],
        times: NDArray[np.int64],
        values: NDArray[Any],
        codes: NDArray[np.uint32],
    ) -> Block:
        codes = np.where(np.isfinite(values) | (codes >> 31 != 0), codes, np.uint32(quality.BAD_SENSOR_FAILURE))
        if tag_type.column.kind == "i":
            low, high = (0, 1) if tag_type is TagType.BOOL else (np.iinfo(tag_type.native).min, np.iinfo(tag_type.native).max)
            codes = np.where(((values >= low) & (values <= high)) | (codes >> 31 != 0), codes, np.uint32(quality.BAD_OUT_OF_RANGE))
        values = np.where(codes >> 31 != 0, values.dtype.type(0), values)
        column = values.astype(np.int64).astype(tag_type.column) if tag_type.column.kind == "i" else values.astype(tag_type.column)
        return Block(self._device.ids[points], times, column, codes if codes.any() else None)

    async def close(self) -> None:
        receiving, self._receiving = self._receiving, None
        worker, self._worker = self._worker, None
        if receiving is not None:
            await tasks.end(receiving)
        if worker is not None:
            await end_child(worker)
