"""Reads the texts of a device between its polls, and tells of each that is new or changed.

A text that the device refuses, does not answer, or fills with bytes that are no text is counted and asked for again at its next time; nothing else suffers.
"""

from dataclasses import dataclass
from typing import Final

from protocols.clock import Clock
from protocols.devicemap import Device, Text
from protocols.driver import DeviceMisbehaves, DeviceUnreachable
from protocols.event import Event
from protocols.frame import Frame
from protocols.modbus.ask import Ask
from protocols.modbus.settings import ModbusOptions
from protocols.modbus.texts import NoText, Place, decode_text, parse_objects, place
from protocols.modbus.wire import Wire

NEVER_US: Final = 1 << 62
ANSWERS: Final = 8  # of one identification before it is given up


@dataclass(slots=True)
class _Known:
    text: Text
    place: Place
    due_us: int = 0
    told: str = ""


class Teller:
    """due_us: monotonic time of the next text, NEVER_US without any."""

    def __init__(self, device: Device, options: ModbusOptions, unit: int) -> None:
        self._name, self._unit = device.name, unit
        self._known = [_Known(text, place(text, options)) for text in device.map.texts]
        self.due_us = NEVER_US
        self.failures = 0

    def begin(self, now_us: int) -> None:
        """A new session: all texts are due, after the first poll."""
        for known in self._known:
            known.due_us = now_us + 1
        self.due_us = now_us + 1 if self._known else NEVER_US

    async def tell(self, wire: Wire, clock: Clock) -> Frame | None:
        """Reads the one text that is due; None when there is nothing new. Raises DriverError when the wire is gone."""
        known = min(self._known, key=lambda one: one.due_us)
        known.due_us = clock.monotonic_us() + known.text.every_us
        self.due_us = min(one.due_us for one in self._known)
        try:
            text = await self._read(known.place, wire, known.text.length)
        except NoText:
            self.failures += 1
            return None
        except (DeviceUnreachable, DeviceMisbehaves):
            self.failures += 1
            await wire.mend()
            return None
        if text == known.told:
            return None
        known.told = text
        now_us = clock.now_us()
        return Frame(
            self._name, now_us, (), events=(Event("text", self._name, known.text.name, now_us, now_us, text, 0, {"at": known.text.at}),)
        )

    async def _read(self, where: Place, wire: Wire, length: int) -> str:
        if where.ident is not None:
            return decode_text(await self._identify(where, where.ident, wire))
        image = b""
        for span in where.spans:
            answer = await wire.exchange(Ask.read(self._unit, span))
            if isinstance(answer, int):
                raise NoText(f"exception {answer}")
            image += answer
        return decode_text(image[:length])

    async def _identify(self, where: Place, number: int, wire: Wire) -> bytes:
        """The stream of a category begins with the object that is asked for; a device may begin at its first one instead."""
        first: int | None = number
        for _ in range(ANSWERS):
            answer = await wire.exchange(Ask.identify(self._unit, where.category, first or 0))
            if isinstance(answer, int):
                raise NoText(f"exception {answer}")
            found = parse_objects(answer)
            if number in found.texts:
                return found.texts[number]
            first = found.follows
            if first is None:
                break
        raise NoText(f"no object {number}")
