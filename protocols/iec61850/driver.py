"""IEC 61850 device through a child process.

libiec61850 is native code under the GPL: it runs in `protocols.iec61850.worker`, one process per device, and only columns of numbers come
through the pipe. If it crashes or hangs, this device is unreachable until it is opened again, and nothing else notices.

With buffered reports every frame carries the id of its last entry (`Frame.messages`: a rising number, then the entry id). The next session
is given those that became durable and has the device go on with the entry after the newest: what happened during a cut, or was read but
not yet durable when the agent was killed, is reported again, and nothing else. What a device only repeats (general interrogation,
integrity) is dropped where it is the last thing already read of that tag.
"""

import asyncio
import struct
from collections.abc import Collection
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocols import quality, tasks
from protocols.clock import Clock
from protocols.devicemap import Device, TagType
from protocols.driver import DeviceMisbehaves, DeviceUnreachable, DriverError, DriverSetup
from protocols.frame import Block, Frame
from protocols.iec61850.pipe import end_child, pack, receive_async, start_child
from protocols.iec61850.plan import Mode, Options, Settings, decode_quality, parse_point

START_S: Final = 10.0
SILENCE_S: Final = 15.0
ENTRY_BYTES: Final = 8  # IEC 61850-7-2: EntryID is an octet string of this length
_NUMBER: Final = struct.Struct(">Q")
_KIND_STATUS: Final = np.array([0, quality.BAD_NODE_ID_UNKNOWN, quality.BAD_TYPE_MISMATCH], dtype=np.uint32)


class Iec61850Driver:
    def __init__(self, device: Device, clock: Clock, delivered: Collection[bytes] = ()) -> None:
        self._device, self._clock = device, clock
        self._options: Options = device.map.options
        self._settings: Settings = device.settings or Settings()
        self._worker: asyncio.subprocess.Process | None = None
        self._receiving: asyncio.Task[None] | None = None
        self._reports: list[list[Any]] = []
        self._news = asyncio.Event()
        self._failure: DriverError | None = None
        newest = max(delivered, default=bytes(_NUMBER.size))
        self._number, self._entry = _NUMBER.unpack(newest[: _NUMBER.size])[0], newest[_NUMBER.size :]
        self._last: dict[int, tuple[int, float, int]] = {}
        self._words: dict[int, int] = {}

    async def open(self) -> None:
        self._reports, self._news, self._failure = [], asyncio.Event(), None
        self._worker = worker = await start_child("protocols.iec61850.worker")
        assert worker.stdin is not None and worker.stdout is not None
        worker.stdin.write(pack(self._request()))
        try:
            async with asyncio.timeout(START_S + self._settings.timeout_us / 1e6):
                while (message := await receive_async(worker.stdout))[0] != "open":
                    self._raise_error(message)
        except (EOFError, ValueError, TimeoutError) as error:
            raise DeviceUnreachable(f"{self._device.address}: the IEC 61850 process ended or hung", quality.BAD_NO_COMMUNICATION) from error
        missing = np.array(message[1], dtype=np.uint16)
        if missing.size:
            none, gone = np.zeros(missing.size), np.ones(missing.size, dtype=np.uint8)
            self._reports.append(
                ["data", *(column.tobytes() for column in (missing, none.astype(np.int64), none, missing * 0, gone)), False, b""]
            )
            self._news.set()
        self._receiving = asyncio.create_task(self._receive(worker.stdout))

    def _request(self) -> dict[str, Any]:
        host, _, port = self._device.address.rpartition(":")
        points = []
        for tag in self._device.map.tags:
            point = parse_point(tag.at)
            attribute = point.attribute.replace(".", "$")
            points.append([f"{self._options.domain}/{point.node}.{point.object}", attribute, point.constraint, tag.type.value])
        return {
            "host": host.strip("[]"),
            "port": int(port),
            "timeout_ms": self._settings.timeout_us // 1000,
            "domain": self._options.domain,
            "mode": self._options.mode.value,
            "report": self._options.reports[0],
            "integrity_ms": self._options.integrity_us // 1000,
            "every_ms": self._options.every_us // 1000,
            "entry": self._entry if self._options.mode is Mode.REPORT else b"",
            "points": points,
        }

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
        except DriverError as error:
            self._failure = error
        except ValueError as error:
            self._failure = DeviceMisbehaves(f"{self._device.address}: {error}", quality.BAD_NO_COMMUNICATION)
        except EOFError:
            self._failure = DeviceUnreachable(f"{self._device.address}: the IEC 61850 process ended", quality.BAD_NO_COMMUNICATION)
        except TimeoutError:
            self._failure = DeviceUnreachable(f"{self._device.address}: the IEC 61850 process hangs", quality.BAD_TIMEOUT)
        self._news.set()

    async def read(self) -> Frame:
        while True:
            reports, self._reports = self._reports, []
            if reports:
                now_us = self._clock.now_us()
                blocks = self._blocks(reports, now_us)
                messages = self._identities(reports)
                if blocks:
                    return Frame(self._device.name, now_us, blocks, messages=messages)
                continue
            if self._failure is not None:
                raise self._failure
            self._news.clear()
            await self._news.wait()

    def _identities(self, reports: list[list[Any]]) -> tuple[bytes, ...]:
        entry = next((report[7] for report in reversed(reports) if len(report[7]) == ENTRY_BYTES), b"")
        if not entry:
            return ()
        self._entry = entry
        self._number += 1
        return (_NUMBER.pack(self._number) + entry,)

    def _blocks(self, reports: list[list[Any]], now_us: int) -> list[Block]:
        points, times, values, words, kinds = (
            np.concatenate([np.frombuffer(report[1 + number], dtype=dtype) for report in reports])
            for number, dtype in enumerate((np.uint16, np.int64, np.float64, np.uint16, np.uint8))
        )
        keep = self._news_of(reports, points.tolist(), list(zip(times.tolist(), values.tolist(), words.tolist(), strict=True)))
        points, times, values, words, kinds = points[keep], times[keep], values[keep], words[keep], kinds[keep]
        codes = np.array([self._status(word) for word in words.tolist()], dtype=np.uint32)
        codes = np.where(kinds == 0, codes, _KIND_STATUS[kinds])
        times = np.where(times > 0, times, now_us)
        blocks = []
        for tag_type in dict.fromkeys(tag.type for tag in self._device.map.tags):
            of_type = np.array([tag.type is tag_type for tag in self._device.map.tags])
            chosen = np.flatnonzero(of_type[points])
            if chosen.size:
                blocks.append(self._block(tag_type, points[chosen], times[chosen], values[chosen], codes[chosen]))
        return blocks

    def _news_of(self, reports: list[list[Any]], points: list[int], found: list[tuple[int, float, int]]) -> NDArray[np.intp]:
        """Which samples to keep: all, but no repetition of the last one of its tag. NaN values are never repetitions."""
        keep: list[int] = []
        at = 0
        for report in reports:
            for _ in range(len(report[1]) // 2):
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
        values: NDArray[np.float64],
        codes: NDArray[np.uint32],
    ) -> Block:
        codes = np.where(np.isfinite(values) | (codes >> 31 != 0), codes, np.uint32(quality.BAD_SENSOR_FAILURE))
        if tag_type.column.kind == "i":
            low, high = (0, 1) if tag_type is TagType.BOOL else (np.iinfo(tag_type.native).min, np.iinfo(tag_type.native).max)
            codes = np.where(((values >= low) & (values <= high)) | (codes >> 31 != 0), codes, np.uint32(quality.BAD_OUT_OF_RANGE))
        values = np.where(codes >> 31 != 0, 0.0, values)
        column = values.astype(np.int64).astype(np.int32) if tag_type.column.kind == "i" else values.astype(tag_type.column)
        return Block(self._device.ids[points], times, column, codes if codes.any() else None)

    async def close(self) -> None:
        receiving, self._receiving = self._receiving, None
        worker, self._worker = self._worker, None
        if receiving is not None:
            await tasks.end(receiving)
        if worker is not None:
            await end_child(worker)
