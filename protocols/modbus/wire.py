"""One device's way to its bus: its name, unit, time limit and pauses with every exchange."""

import contextlib
from collections.abc import AsyncIterator, Sequence

from protocols.modbus.ask import Ask
from protocols.modbus.bus import Bus, bus_for
from protocols.modbus.endpoint import Endpoint
from protocols.modbus.link import Answers
from protocols.modbus.settings import ModbusOptions, ModbusSettings


class Wire:
    """`open`, exchanges, `close`. Everything raises DriverError."""

    def __init__(self, name: str, endpoint: Endpoint, settings: ModbusSettings, options: ModbusOptions) -> None:
        self._name, self._retries = name, settings.retries
        self._timeout_s, self._pause_s = options.timeout_us / 1_000_000, options.min_pause_us / 1_000_000
        self.unit = settings.unit
        self._bus: Bus = bus_for(endpoint, settings.tls)

    @property
    def dropped(self) -> int:
        """Frames of the whole bus that were no answer to what was asked."""
        return self._bus.dropped

    async def open(self) -> None:
        await self._bus.join(self, self._name, self._timeout_s)

    def close(self) -> None:
        self._bus.leave(self)

    async def exchange_all(self, asks: Sequence[Ask]) -> Answers:
        """In turn, at least the first; fewer when one is refused or somebody else must come between."""
        return await self._bus.exchange_all(asks, self._name, self._timeout_s, self._pause_s, self._retries)

    async def exchange(self, ask: Ask) -> bytes | int:
        return (await self.exchange_all((ask,)))[0]

    async def mend(self) -> None:
        """After an exchange that failed: the wire again, if the failure ended it."""
        await self._bus.mend(self._name, self._timeout_s)

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator["Held"]:
        """The bus for ourselves, before every poll that waits."""
        async with self._bus.turn():
            yield Held(self)

    async def within(self, ask: Ask) -> bytes | int:
        return (await self._bus.ask_within((ask,), self._name, self._timeout_s, self._pause_s, self._retries))[0]


class Held:
    """The wire inside its `turn`."""

    def __init__(self, wire: Wire) -> None:
        self._wire, self.unit = wire, wire.unit

    async def exchange(self, ask: Ask) -> bytes | int:
        return await self._wire.within(ask)
