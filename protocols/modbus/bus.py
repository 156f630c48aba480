"""One wire to one or several devices: who may use it next, the pauses on it, and opening it again when another device spoilt it.

Devices of one process with equal endpoints meet here: one connection, one request at a time, whatever their units are. That holds for serial lines
and for hosts alike, because many gateways accept a single connection; a device with an endpoint of its own has its connection to itself. A waiting
write goes next, between two requests of whatever is being polled; otherwise it goes by order of arrival.

When a request ends the connection (TCP, after a late or foreign answer) its device is told; the others find the wire opened again. So does
everybody when the peer closed a connection on which nothing was under way, as some do after a while without requests.
"""

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Final
from weakref import WeakKeyDictionary

from protocols import quality
from protocols.driver import DeviceUnreachable, DriverSetup
from protocols.modbus.ask import READS, Ask
from protocols.modbus.endpoint import Endpoint, Transport
from protocols.modbus.link import Answers, Carrier, DatagramLink, Doubts, Link, StillSilent
from protocols.modbus.settings import Credentials

Key = tuple[Endpoint, Credentials | None]


class Turns:
    """A lock with two queues. Not for nesting."""

    def __init__(self) -> None:
        self.taken = False
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def urgent(self) -> bool:
        return bool(self._urgent)

    async def take(self, urgent: bool = False) -> None:
        if not self.taken:
            self.taken = True
            return
        line = self._urgent if urgent else self._waiting
        turn = asyncio.get_running_loop().create_future()
        line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give()  # it was ours already
            elif turn in line:
                line.remove(turn)
            raise

    def give(self) -> None:
        for line in (self._urgent, self._waiting):
            while line:
                turn = line.popleft()
                if not turn.done():
                    turn.set_result(None)
                    return
        self.taken = False


class Bus:
    """`join` before use, `leave` afterwards; the last one out closes the wire."""

    def __init__(self, key: Key) -> None:
        self._endpoint, self._credentials = key
        self._turns = Turns()
        self._link: Carrier | None = None
        self._members: set[object] = set()
        self._free_s = 0.0  # loop time from which on the wire may be used again
        self._dropped = 0
        self._doubts = Doubts()

    @property
    def dropped(self) -> int:
        """Frames so far that were no answer to what was asked."""
        return self._dropped + (self._link.dropped if self._link else 0)

    @property
    def members(self) -> int:
        return len(self._members)

    @property
    def forgettable(self) -> bool:
        """Nobody uses it, and no answer may still come over it."""
        return not self._members and not self._doubts.owed

    async def join(self, member: object, name: str, timeout_s: float) -> None:
        """Opens the wire unless it stands. Raises DriverError."""
        self._members.add(member)
        await self.mend(name, timeout_s)

    async def mend(self, name: str, timeout_s: float) -> None:
        """Opens the wire again if a request, be it our own, ended it. Raises DriverError."""
        await self._turns.take()
        try:
            if self._link is None or self._link.failure:
                await self._open(name, timeout_s)
        finally:
            self._turns.give()

    def leave(self, member: object) -> None:
        self._members.discard(member)
        if not self._members:
            self._shut()

    def _shut(self) -> None:
        if self._link:
            self._dropped += self._link.dropped
            self._link.close()
        self._link = None

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Several exchanges with nothing in between, before every poll that waits: for `ask_within`."""
        if self._turns.taken and self._link:
            self._link.hurry = True
        await self._turns.take(urgent=True)
        try:
            yield
        finally:
            self._turns.give()

    async def exchange_all(self, asks: Sequence[Ask], name: str, timeout_s: float, pause_s: float, retries: int) -> Answers:
        """See `link.Carrier.exchange_all`. Raises DriverError."""
        if self._turns.taken:
            await self._turns.take()
        else:
            self._turns.taken = True
        try:
            return await self.ask_within(asks, name, timeout_s, pause_s, retries)
        finally:
            self._turns.give()

    async def ask_within(self, asks: Sequence[Ask], name: str, timeout_s: float, pause_s: float, retries: int) -> Answers:
        """For who has the turn."""
        link = self._link
        if link is None or link.failure:
            link = await self._standing(name, timeout_s)
        link.asker(name, timeout_s)
        link.hurry = self._turns.urgent
        if not (pause_s or link.silence_s or link.repeats):
            return await link.exchange_all(asks)
        return await self._with_care(link, asks, pause_s, retries)

    async def _with_care(self, link: Carrier, asks: Sequence[Ask], pause_s: float, retries: int) -> Answers:
        """With pauses; and where bytes get lost a read is asked again."""
        loop, pause_s = asyncio.get_running_loop(), max(pause_s, link.silence_s)
        for left in range(retries if link.repeats and asks[0].function in READS else 0, -1, -1):
            if (rest := self._free_s - loop.time() + pause_s) > 0 and pause_s:
                await asyncio.sleep(rest)
            try:
                return await link.exchange_all(asks)
            except DeviceUnreachable as error:
                if not left or error.quality != quality.BAD_TIMEOUT or link.failure or isinstance(error, StillSilent):
                    raise
            finally:
                self._free_s = loop.time()
        raise AssertionError("the last try returns or raises")

    async def _standing(self, name: str, timeout_s: float) -> Carrier:
        """The link again after another device's request ended it, or nobody's; an end that was our own doing is told."""
        if self._link is None:
            raise DeviceUnreachable(f'device "{name}": not open', quality.BAD_NOT_CONNECTED)
        if self._link.failure and self._link.blamed == name:
            raise self._link.failure
        return await self._open(name, timeout_s)

    async def _open(self, name: str, timeout_s: float) -> Carrier:
        self._shut()
        endpoint = self._endpoint
        try:
            async with asyncio.timeout(timeout_s):
                self._link = await _connect(endpoint, self._credentials, name, round(timeout_s * 1_000_000), self._doubts)
        except TimeoutError as error:
            raise DeviceUnreachable(f'device "{name}": no connection to {endpoint} within {timeout_s:g}s', quality.BAD_TIMEOUT) from error
        except OSError as error:
            raise DeviceUnreachable(
                f'device "{name}": no connection to {endpoint} ({error.strerror or error})', quality.BAD_NO_COMMUNICATION
            ) from error
        return self._link


async def _connect(endpoint: Endpoint, credentials: Credentials | None, name: str, timeout_us: int, doubts: Doubts) -> Carrier:
    """Raises OSError (ssl.SSLError is one) and DriverSetup. What only some transports need is loaded for them only."""
    loop = asyncio.get_running_loop()
    host, port = endpoint.host, endpoint.port
    match endpoint.transport:
        case Transport.TCP:
            return (await loop.create_connection(lambda: Link(name, timeout_us), host, port))[1]
        case Transport.TLS:
            context = _client_context(credentials, name)
            server_name = (credentials.server_name if credentials else "") or host
            return (await loop.create_connection(lambda: Link(name, timeout_us), host, port, ssl=context, server_hostname=server_name))[1]
        case Transport.UDP:
            return (await loop.create_datagram_endpoint(lambda: DatagramLink(name, timeout_us), remote_addr=(host, port)))[1]
        case Transport.RTU_TCP:
            from protocols.modbus.link_rtu import RtuLink

            return (await loop.create_connection(lambda: RtuLink(name, timeout_us, doubts), host, port))[1]
        case Transport.SERIAL:
            from protocols.modbus import serialport
            from protocols.modbus.link_rtu import RtuLink

            assert endpoint.line is not None
            link = RtuLink(name, timeout_us, doubts, endpoint.line)
            serialport.SerialTransport(serialport.open_line(host, endpoint.line), link)
            return link


def _client_context(credentials: Credentials | None, name: str) -> ssl.SSLContext:
    from protocols.modbus import tls

    try:
        if credentials is None:
            raise tls.BadCredentials("tls:// needs ca_file, certificate_file and key_file in the gateway's file")
        return tls.client_context(credentials)
    except tls.BadCredentials as error:
        raise DriverSetup(f'device "{name}": {error}', quality.BAD_CONFIGURATION) from error


_BUSES: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Key, Bus]]] = WeakKeyDictionary()
"""The wires in use, per loop. A wire is one thing however many drivers are made for it, and drivers are made one by one."""


def bus_for(endpoint: Endpoint, credentials: Credentials | None) -> Bus:
    """The bus of that endpoint; one that nobody needs is forgotten. Raises ValueError when its line is in use with other settings."""
    buses = _BUSES.setdefault(asyncio.get_running_loop(), {})
    for key in [key for key, bus in buses.items() if bus.forgettable]:
        del buses[key]
    for (other, _), bus in buses.items():
        if endpoint.line and other.host == endpoint.host and other != endpoint and bus.members:
            raise ValueError(f"{endpoint} is already used as {other}; all devices of a line have its baud, parity and stop")
    return buses.setdefault((endpoint, credentials), Bus((endpoint, credentials)))
