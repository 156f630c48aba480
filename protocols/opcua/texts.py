"""String and LocalizedText nodes of a device (`[[texts]]` of its map): told as events when they are new or have changed.

One that cannot be read is told once, with the server's status, and costs nothing else.
"""

from typing import Any

from protocols import quality
from protocols.clock import Clock
from protocols.devicemap import Device
from protocols.event import Event
from protocols.opcua.address import Address, parse
from protocols.opcua.conditions import text_of
from protocols.opcua.session import Session


class Texts:
    """`read` again and again, with what was told before in mind."""

    def __init__(self, device: Device, namespace: str, clock: Clock) -> None:
        self._device, self._namespace, self._clock = device, namespace, clock
        self._addresses: list[Address] = [parse(text.at, device.name) for text in device.map.texts]
        self._due_us = [0] * len(self._addresses)
        self._told: list[str | None] = [None] * len(self._addresses)

    @property
    def shortest_us(self) -> int:
        return min(text.every_us for text in self._device.map.texts)

    async def read(self, session: Session) -> list[Event]:
        """Events of those whose time has come."""
        now_us = self._clock.monotonic_us()
        due = [place for place, at_us in enumerate(self._due_us) if at_us <= now_us]
        nodes: dict[int, Any] = {}
        events = []
        for place in due:
            self._due_us[place] = now_us + self._device.map.texts[place].every_us
            try:
                nodes[place] = session.node(self._addresses[place], self._namespace)
            except KeyError:
                events += self._new(place, None, "the server has no such namespace")
        for place, value in zip(nodes, await session.read(list(nodes.values())), strict=True):
            code = value.StatusCode.value if value.StatusCode else 0
            text = text_of(value.Value.Value) if value.Value is not None and not quality.is_bad(code) else None
            events += self._new(place, text, quality.name(code) if quality.is_bad(code) else "is no text")
        return events

    def _new(self, place: int, text: str | None, trouble: str) -> list[Event]:
        said = text if text is not None else f"cannot be read: {trouble}"
        if self._told[place] == said:
            return []
        self._told[place] = said
        found, now_us = self._device.map.texts[place], self._clock.now_us()
        kind = "text" if text is not None else "device"
        return [Event(kind, self._device.name, found.name, now_us, now_us, said, detail={"at": found.at})]
