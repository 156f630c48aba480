"""Modbus TCP face: serves devices from one image of bytes per area, swapped whole at each step.

An own server of a few lines, because one that keeps a Python object per register cannot answer fast enough to measure the agent with.
It answers functions 1 to 4 for every address between the first and the last register of a device's map, exception 2 elsewhere and
exception 1 for other functions. Devices that share an address differ by unit. A step is logged as served once a client has read all
of it under its source time, in the manner the driver does: with several requests, the source time is read again at the end.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocols import quality
from protocols.devicemap import Device, Tag, TagType, to_engineering, to_raw
from protocols.modbus.address import Address, Area, Span
from protocols.modbus.plan import ModbusOptions, ModbusSettings, WordOrder, parse_endpoint, plan, quality_span, value_span
from simulators.face import Step, TruthLog

AREAS: Final = {area.function: area for area in Area}
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, DEVICE_FAILURE = 1, 2, 4
FAULTS: Final = ("drop_link", "freeze", "bad_quality", "exception", "delay")
_SEVERITY_WORD: Final = (0, 1, 2, 2)
_SERVED: Final = np.array([quality.GOOD, quality.UNCERTAIN_LAST_USABLE, quality.BAD_SENSOR_FAILURE], np.uint32)
_FLOATS: Final = (TagType.FLOAT32, TagType.FLOAT64)


@dataclass(frozen=True, slots=True)
class Shown:
    """A step as the registers say it: one image per area, and what a client makes of it."""

    time_us: int
    images: dict[Area, bytes]
    values: NDArray[np.float64]
    quality: NDArray[np.uint32]


class RegisterImage:
    """The registers of one device map: where they begin and end, and how a step is written into them."""

    def __init__(self, tags: Sequence[Tag], options: ModbusOptions) -> None:
        self._tags, self._options = tags, options
        self._places = [value_span(tag, options) for tag in tags]
        self._ratings = [quality_span(tag, options) for tag in tags]
        spans = [span for _, span in self._places] + [span for span in self._ratings if span]
        if options.source_time:
            spans.append(options.source_time)
        self.parts = frozenset(spans)
        self.bounds = {
            area: (min(span.start for span in mine), max(span.end for span in mine))
            for area in Area
            if (mine := [span for span in spans if span.area is area])
        }

    def show(self, step: Step) -> Shown:
        """Raises OverflowError for a value that its register cannot hold, ValueError for a bad value that the map has no way to express."""
        cells = {area: bytearray((end - start) * (1 if area.of_bits else 2)) for area, (start, end) in self.bounds.items()}
        values = np.zeros(len(self._tags))
        codes = np.zeros(len(self._tags), np.uint32)
        for index, tag in enumerate(self._tags):
            raw, codes[index] = _raw(tag, float(step.values[index]), int(step.quality[index]))
            if not (raw.dtype.kind == "f" and np.isnan(raw[0])):
                values[index] = to_engineering(raw, tag.type, tag.scale, tag.offset)[0]
            self._write(cells, *self._places[index], tag.type, raw)
            if rating := self._ratings[index]:
                word = int(np.flatnonzero(codes[index] == _SERVED)[0])
                self._put(cells, rating, word.to_bytes(2, "big"))
        if self._options.source_time:
            self._put(cells, self._options.source_time, _ordered(step.time_us.to_bytes(8, "big"), self._options.word_order))
        return Shown(step.time_us, {area: bytes(cell) for area, cell in cells.items()}, values, codes)

    def _write(self, cells: dict[Area, bytearray], address: Address, span: Span, kind: TagType, raw: NDArray[Any]) -> None:
        if address.area.of_bits:
            cells[span.area][span.start - self.bounds[span.area][0]] = int(raw[0])
            return
        if address.bit is not None:
            at = 2 * (span.start - self.bounds[span.area][0])
            word = int.from_bytes(cells[span.area][at : at + 2], "big") | int(raw[0]) << address.bit
            self._put(cells, span, word.to_bytes(2, "big"))
            return
        size = 2 * span.count
        if kind in _FLOATS:
            text = raw.astype(kind.native.newbyteorder(">")).tobytes()
        else:
            text = (int(raw[0]) % (1 << 8 * size)).to_bytes(size, "big")
        self._put(cells, span, _ordered(text, self._options.word_order))

    def _put(self, cells: dict[Area, bytearray], span: Span, text: bytes) -> None:
        at = 2 * (span.start - self.bounds[span.area][0])
        cells[span.area][at : at + len(text)] = text


def _ordered(text: bytes, order: WordOrder) -> bytes:
    """High-to-low bytes in the order in which the registers carry them."""
    if len(text) < 4:
        return text
    words = [text[at : at + 2] for at in range(0, len(text), 2)]
    if order.low_word_first:
        words.reverse()
    return b"".join(word[::-1] if order.low_byte_first else word for word in words)


def _raw(tag: Tag, value: float, code: int) -> tuple[NDArray[Any], int]:
    """The column value that goes into the registers, and the quality a client will see."""
    word, known = _SEVERITY_WORD[code >> 30], not np.isnan(value)
    if known and (word < 2 or tag.quality_at):
        raw = to_raw(np.array([value]), tag.type, tag.scale, tag.offset)
        return raw, int(_SERVED[word]) if tag.quality_at else quality.GOOD
    if tag.quality_at:
        raw = np.zeros(1, tag.type.column)
    elif tag.invalid is not None:
        raw = np.array([tag.invalid], tag.type.column) if tag.type in _FLOATS else _pattern(tag.invalid, tag.type)
    elif tag.type in _FLOATS:
        raw = np.array([np.nan], tag.type.column)
    else:
        raise ValueError(f'tag "{tag.name}": a bad value cannot be shown; give it "quality_at", "invalid" or a float type')
    return raw, quality.BAD_SENSOR_FAILURE


def _pattern(number: int, kind: TagType) -> NDArray[Any]:
    size = kind.native.itemsize
    raw = np.array([number % (1 << 8 * size)], f"u{size}").view(kind.native)
    return raw.view(kind.column) if size == kind.column.itemsize else raw.astype(kind.column)


@dataclass(slots=True)
class _Served:
    """One device as it stands now."""

    device: Device
    unit: int
    image: RegisterImage
    shown: Shown
    single: bool
    logged_us: int = -1
    answered: set[Span] = field(default_factory=set)
    frozen: Step | None = None
    last: Step | None = None
    exception: int = 0
    delay_us: int = 0
    dropped: bool = False
    bad: bool = False


class ModbusFace:
    """See `simulators.face.Face`. reads: block reads answered with data so far."""

    def __init__(self, truth: TruthLog | None = None) -> None:
        self._truth = truth
        self._served: dict[str, _Served] = {}
        self._endpoints: dict[str, tuple[str, int]] = {}
        self._servers: list[asyncio.Server] = []
        self._links: dict[str, set[_Conversation]] = {}
        self.reads = 0

    async def start(self, devices: Sequence[Device], first: Sequence[Step]) -> None:
        by_address: dict[str, list[_Served]] = {}
        for number, (device, step) in enumerate(zip(devices, first, strict=True)):
            options: ModbusOptions = device.map.options
            image = RegisterImage(device.map.tags, options)
            unit = (device.settings or ModbusSettings()).unit
            single = all(len(group.requests) == 1 for group in plan(device.map)) and len(plan(device.map)) == 1
            served = _Served(device, unit, image, image.show(step), single, last=step)
            self._served[device.name] = served
            port = parse_endpoint(device.address).port
            by_address.setdefault(device.address if port else f"{device.address}#{number}", []).append(served)
        for here in by_address.values():
            await self._listen(here)

    async def _listen(self, here: list[_Served]) -> None:
        endpoint_ = parse_endpoint(here[0].device.address)
        host, port = endpoint_.host, endpoint_.port
        units = {served.unit: served for served in here}
        links: set[_Conversation] = set()
        server = await asyncio.get_running_loop().create_server(lambda: _Conversation(self, units, links), host, port)
        self._servers.append(server)
        endpoint = server.sockets[0].getsockname()
        for served in here:
            self._endpoints[served.device.name] = (host, endpoint[1])
            self._links[served.device.name] = links

    def address_of(self, device: Device) -> str:
        host, port = self._endpoints[device.name]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def publish(self, device: Device, step: Step) -> None:
        served = self._served[device.name]
        if served.frozen is not None:
            codes = np.where(served.frozen.quality & quality.BAD, served.frozen.quality, np.uint32(quality.UNCERTAIN_LAST_USABLE))
            step = Step(step.time_us, served.frozen.values, codes.astype(np.uint32))
        if served.bad:
            step = Step(step.time_us, step.values, np.full(len(step.quality), quality.BAD_SENSOR_FAILURE, np.uint32))
        served.last = step
        served.answered.clear()
        served.shown = served.image.show(step)

    async def fault(self, device_name: str, kind: str, duration_us: int) -> None:
        """Let the device fail in the given way for a while, then be well again."""
        served = self._served[device_name]
        duration_s = duration_us / 1_000_000
        match kind:
            case "drop_link":
                served.dropped = True
                for link in tuple(self._links[device_name]):
                    link.drop()
            case "freeze":
                served.frozen = served.last
            case "bad_quality":
                served.bad = True
            case "exception":
                served.exception = DEVICE_FAILURE
            case "delay":
                served.delay_us = served.device.map.options.timeout_us * 3 // 2
            case _:
                raise ValueError(f'fault "{kind}" is not known to Modbus devices; expected one of {", ".join(FAULTS)}')
        await asyncio.sleep(duration_s)
        served.dropped = served.bad = False
        served.frozen = None
        served.exception = served.delay_us = 0

    async def stop(self) -> None:
        for server in self._servers:
            server.close()
        for links in self._links.values():
            for link in tuple(links):
                link.drop()
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()

    def answered(self, served: _Served, area: Area, start: int, end: int) -> None:
        """A client was sent these registers of the step that is shown."""
        self.reads += 1
        shown = served.shown
        if self._truth is None or served.logged_us == shown.time_us:
            return
        if not served.single:
            time = served.device.map.options.source_time
            missing = served.image.parts - served.answered
            served.answered |= {part for part in missing if part.area is area and start <= part.start and part.end <= end}
            again = time is None or (not missing and time.area is area and start <= time.start and time.end <= end)
            if len(served.answered) < len(served.image.parts) or not again:
                return
        elif any(part.area is not area or part.start < start or part.end > end for part in served.image.parts):
            return
        served.logged_us = shown.time_us
        self._truth.served(served.device, shown.time_us, shown.values, shown.quality)


class _Conversation(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, face: ModbusFace, units: dict[int, _Served], links: "set[_Conversation]") -> None:
        self._face, self._units, self._links = face, units, links
        self._transport: asyncio.Transport
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._links.add(self)
        if any(served.dropped for served in self._units.values()):
            self.drop()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._links.discard(self)

    def drop(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        while len(buffer) >= 12:
            size = 6 + int.from_bytes(buffer[4:6], "big")
            if buffer[2:4] != b"\0\0" or not 8 <= size <= 260:
                self.drop()
                return
            if len(buffer) < size:
                break
            frame, buffer = buffer[:size], buffer[size:]
            if served := self._units.get(frame[6]):
                self._serve(served, frame)
        self._buffer = buffer

    def _serve(self, served: _Served, frame: bytes) -> None:
        answer = served.exception or self._read(served, frame)
        if isinstance(answer, int):
            reply = frame[:4] + bytes([0, 3, frame[6], 0x80 | frame[7], answer])
        else:
            reply = frame[:4] + (3 + len(answer)).to_bytes(2, "big") + frame[6:8] + bytes([len(answer)]) + answer
        if served.delay_us:
            asyncio.get_running_loop().call_later(served.delay_us / 1_000_000, self._transport.write, reply)
            return
        self._transport.write(reply)
        if not isinstance(answer, int):
            start = int.from_bytes(frame[8:10], "big")
            self._face.answered(served, AREAS[frame[7]], start, start + int.from_bytes(frame[10:12], "big"))

    def _read(self, served: _Served, frame: bytes) -> bytes | int:
        area = AREAS.get(frame[7])
        if area is None:
            return ILLEGAL_FUNCTION
        start, count = int.from_bytes(frame[8:10], "big"), int.from_bytes(frame[10:12], "big")
        first, end = served.image.bounds.get(area, (0, 0))
        if start < first or start + count > end or not 0 < count <= (2000 if area.of_bits else 125):
            return ILLEGAL_ADDRESS
        image = served.shown.images[area]
        if area.of_bits:
            flags = np.frombuffer(image, np.uint8)[start - first : start - first + count]
            return np.packbits(flags, bitorder="little").tobytes()
        return image[2 * (start - first) : 2 * (start - first + count)]
