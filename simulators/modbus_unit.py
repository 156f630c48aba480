"""One simulated Modbus device: what it shows now, and its answers to requests (PDUs), whatever they came by.

Functions 1 to 4 for every address between the first and the last register of its map, 5, 6, 15, 16 and 22 for tags that have `write` in it, 20 for
file records, 8/0 (echo) and 43/14 (identification); exception 2 elsewhere and 1 for other functions. A written value stays until it is written again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from protocols.devicemap import Device
from protocols.modbus.address import Area, Span
from simulators.face import Step
from simulators.modbus_registers import Bank, RegisterImage, Shown

AREAS: Final = {area.function: area for area in Area if area is not Area.FILE}
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, DEVICE_FAILURE, BUSY = 1, 2, 3, 4, 6
WRITES: Final = frozenset((5, 6, 15, 16, 22))


@dataclass(slots=True)
class Unit:
    """frozen, bad: what steps go through before they are shown. exception: instead of every answer. written: engineering values by tag."""

    device: Device
    number: int
    image: RegisterImage
    shown: Shown
    single: bool
    last: Step
    logged_us: int = -1
    answered: set[Span] = field(default_factory=set)
    frozen: Step | None = None
    exception: int = 0
    fault: str = ""
    bad: bool = False
    late_us: int = 0
    answers: int = 0
    written: dict[int, float] = field(default_factory=dict)

    def show(self, step: Step) -> None:
        self.last = step
        if self.written:
            values, codes = step.values.copy(), step.quality.copy()
            for index, value in self.written.items():
                values[index], codes[index] = value, 0
            step = Step(step.time_us, values, codes)
        self.answered.clear()
        self.shown = self.image.show(step)

    def answer(self, pdu: bytes, *, may_write: bool = True) -> bytes:
        """The PDU that goes back."""
        self.answers += 1
        found = self.exception or self._answer(pdu, may_write)
        return bytes([0x80 | pdu[0], found]) if isinstance(found, int) else found

    def _answer(self, pdu: bytes, may_write: bool) -> bytes | int:
        function = pdu[0]
        if area := AREAS.get(function):
            return self._read(area, pdu)
        if function in WRITES:
            known = may_write and any(tag.write for tag in self.device.map.tags)
            return self._write(pdu) if known else ILLEGAL_FUNCTION
        if function == 8 and pdu[1:3] == b"\0\0":
            return pdu
        if function == 20:
            return self._records(pdu)
        return self._identity(pdu) if function == 43 and pdu[1] == 14 else ILLEGAL_FUNCTION

    def _read(self, area: Area, pdu: bytes) -> bytes | int:
        start, count = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
        first, end = self.image.bounds.get(area, (0, 0))
        if start < first or start + count > end or not 0 < count <= (2000 if area.of_bits else 125):
            return ILLEGAL_ADDRESS
        image = self.shown.images[area]
        if area.of_bits:
            flags = np.frombuffer(image, np.uint8)[start - first : start - first + count]
            data = np.packbits(flags, bitorder="little").tobytes()
        else:
            data = image[2 * (start - first) : 2 * (start - first + count)]
        return bytes((pdu[0], len(data))) + data

    def _records(self, pdu: bytes) -> bytes | int:
        """One sub-request: length, reference type, file, record, count."""
        if len(pdu) != 9 or pdu[1:3] != b"\x07\x06":
            return ILLEGAL_VALUE
        file, record, count = (int.from_bytes(pdu[at : at + 2], "big") for at in (3, 5, 7))
        first, end = self.image.bounds.get(file, (0, 0))
        if not file or record < first or record + count > end or not count:
            return ILLEGAL_ADDRESS
        data = self.shown.images[file][2 * (record - first) : 2 * (record - first + count)]
        return bytes((20, 2 + len(data), 1 + len(data), 6)) + data

    def _identity(self, pdu: bytes) -> bytes | int:
        category, first = pdu[2], pdu[3]
        if category not in (1, 2, 3, 4):
            return ILLEGAL_VALUE
        last = {1: 2, 2: 0x7F, 3: 0xFF, 4: first}[category]
        numbers = sorted(number for number in self.image.idents if number <= last)
        wanted = [number for number in numbers if number >= first] if first in numbers else [] if category == 4 else numbers
        if not wanted:
            return ILLEGAL_ADDRESS
        texts = [(number, self.image.idents[number].encode()[:200]) for number in wanted]
        room, fit = 240, 0
        while fit < len(texts) and (room := room - 2 - len(texts[fit][1])) >= 0:
            fit += 1
        more = fit < len(texts)
        head = bytes((43, 14, category, 0x83, 0xFF if more else 0, texts[fit][0] if more else 0, fit))
        return head + b"".join(bytes((number, len(text))) + text for number, text in texts[:fit])

    def _write(self, pdu: bytes) -> bytes | int:
        function, start = pdu[0], int.from_bytes(pdu[1:3], "big")
        if function in (5, 15):
            if function == 15:
                count = int.from_bytes(pdu[3:5], "big")
                data = np.unpackbits(np.frombuffer(pdu[6:], np.uint8), bitorder="little")[:count].tobytes()
            else:
                data = {b"\xff\0": b"\1", b"\0\0": b"\0"}.get(pdu[3:5], b"")
            return self._put(Area.COIL, start, 1, data) or pdu[:5]
        if function == 22:
            keep, put = int.from_bytes(pdu[3:5], "big"), int.from_bytes(pdu[5:7], "big")
            first, end = self.image.bounds.get(Area.HOLDING, (0, 0))
            if not first <= start < end:
                return ILLEGAL_ADDRESS
            at = 2 * (start - first)
            word = int.from_bytes(self.shown.images[Area.HOLDING][at : at + 2], "big")
            return self._put(Area.HOLDING, start, 2, (word & keep | put & ~keep).to_bytes(2, "big")) or pdu
        return self._put(Area.HOLDING, start, 2, pdu[3:5] if function == 6 else pdu[6:]) or pdu[:5]

    def _put(self, area: Area, start: int, size: int, data: bytes) -> int:
        """Exception code, 0 = done. Only tags that may be written change, and only to what their `write` allows."""
        first, end = self.image.bounds.get(area, (0, 0))
        written = range(start, start + len(data) // size)
        if start < first or written.stop > end or not all(place in self.image.places[area] for place in written):
            return ILLEGAL_ADDRESS
        if not data:
            return ILLEGAL_VALUE
        image = bytearray(self.shown.images[area])
        image[size * (start - first) : size * (start - first) + len(data)] = data
        images: Mapping[Bank, bytes] = {**self.shown.images, area: bytes(image)}
        before, after = self.image.read_back(self.shown.images), self.image.read_back(images)
        changed = [index for index, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
        tags = self.device.map.tags
        if any(tags[index].write is None for index in changed):
            return ILLEGAL_ADDRESS
        if any(not rule.low <= after[index] <= rule.high for index in changed if (rule := tags[index].write)):
            return ILLEGAL_VALUE
        self.written |= {index: after[index] for index in changed}
        self.show(self.last)
        return 0
