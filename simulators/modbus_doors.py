"""How clients come to simulated Modbus devices: TCP, TLS, UDP, RTU over TCP, a serial line. Frames in, frames out; the answers are `modbus_unit`'s.

A door also misbehaves where a unit is told to: late, garbled, of another unit or transaction. What is garbled shows that it is (another function, a wrong
checksum): a device that sends a wrong value in a right frame cannot be told from one that measures it.
"""

import asyncio
import os
import tty
from collections.abc import Callable, Mapping
from typing import Any, Final

from protocols.modbus import serialport, tls
from protocols.modbus.address import Area
from protocols.modbus.endpoint import Endpoint, Transport
from protocols.modbus.rtu import crc16
from protocols.modbus.settings import Credentials
from simulators.modbus_unit import AREAS, Unit

Answered = Callable[[Unit, Area, int, int], None]
PTY: Final = "/dev/ptmx"  # as the path of a serial line: any free pseudo terminal
LATE_ONE_IN: Final = 7
SPOILT: Final = ("garbled", "wrong_unit", "wrong_transaction")


class Door:
    """One endpoint and the units behind it. overlaps: requests that came while another was being answered."""

    def __init__(self, units: Mapping[int, Unit], answered: Answered, latency_us: int = 0, write_role: str = "") -> None:
        self.units, self._answered = units, answered
        self._latency_s, self._write_role = latency_us / 1_000_000, write_role
        self.links: set[Any] = set()
        self.under_way = self.overlaps = 0
        self.close: Callable[[], None] = lambda: None

    @property
    def dropping(self) -> bool:
        return any(unit.fault == "drop_link" for unit in self.units.values())

    def drop(self) -> None:
        for link in tuple(self.links):
            link.drop()

    def may_write(self, role: str) -> bool:
        return not self._write_role or role == self._write_role

    def serve(self, number: int, pdu: bytes, send: Callable[[int, bytes, str], None], role: str = "") -> None:
        """send: gets unit, PDU and fault of the answer."""
        unit = self.units.get(number)
        if unit is None:
            return
        self.overlaps += self.under_way > 0
        answer = unit.answer(pdu, may_write=self.may_write(role))
        delay_s = (
            unit.late_us / 1_000_000
            if unit.fault == "delay" or (unit.fault == "late" and not unit.answers % LATE_ONE_IN)
            else self._latency_s
        )
        if delay_s:
            self.under_way += 1
            asyncio.get_running_loop().call_later(delay_s, self._later, send, number, answer, unit.fault)
        else:
            send(number, answer, unit.fault)
        usable = delay_s in (0, self._latency_s) and unit.fault not in SPOILT
        if usable and answer[0] in AREAS:
            start = int.from_bytes(pdu[1:3], "big")
            self._answered(unit, AREAS[answer[0]], start, start + int.from_bytes(pdu[3:5], "big"))
        elif usable and answer[0] == Area.FILE.function:
            start = int.from_bytes(pdu[3:5], "big") << 16 | int.from_bytes(pdu[5:7], "big")
            self._answered(unit, Area.FILE, start, start + int.from_bytes(pdu[7:9], "big"))

    def _later(self, send: Callable[[int, bytes, str], None], number: int, answer: bytes, fault: str) -> None:
        self.under_way -= 1
        send(number, answer, fault)


class MbapConversation(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._transport: Any = None
        self._buffer = b""
        self._role = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._door.links.add(self)
        if certificate := transport.get_extra_info("ssl_object"):
            self._role = tls.role_of(certificate.getpeercert(binary_form=True))
        if self._door.dropping:
            self.drop()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._door.links.discard(self)

    def drop(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        while len(buffer) >= 8:
            size = 6 + int.from_bytes(buffer[4:6], "big")
            if buffer[2:4] != b"\0\0" or not 8 <= size <= 260:
                self.drop()
                return
            if len(buffer) < size:
                break
            frame, buffer = buffer[:size], buffer[size:]
            self._door.serve(frame[6], frame[7:], self._answer(frame[:2]), self._role)
        self._buffer = buffer

    def _answer(self, head: bytes) -> Callable[[int, bytes, str], None]:
        return lambda unit, pdu, fault: self._transport.write(mbap(head, unit, pdu, fault))


def mbap(head: bytes, unit: int, pdu: bytes, fault: str = "") -> bytes:
    """head: the transaction's number."""
    match fault:
        case "wrong_transaction":
            head = bytes([head[0] ^ 0x55, head[1]])
        case "wrong_unit":
            unit ^= 1
        case "garbled":
            pdu = bytes([pdu[0] ^ 0x7F]) + pdu[1:]
    return head + b"\0\0" + (1 + len(pdu)).to_bytes(2, "big") + bytes([unit]) + pdu


class DatagramDoor(asyncio.DatagramProtocol):
    def __init__(self, door: Door) -> None:
        self._door = door
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if len(data) < 8 or data[2:4] != b"\0\0" or len(data) != 6 + int.from_bytes(data[4:6], "big") or self._door.dropping:
            return
        self._door.serve(data[6], data[7:], lambda unit, pdu, fault: self._transport.sendto(mbap(data[:2], unit, pdu, fault), addr))


class RtuConversation(asyncio.Protocol):
    """A stream of RTU frames. What is no request is dropped with everything that came with it. A serial line cannot be cut, only be silent."""

    def __init__(self, door: Door, serial: bool = False) -> None:
        self._door, self._serial = door, serial
        self._transport: Any = None
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._door.links.add(self)
        if self._door.dropping:
            self.drop()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._door.links.discard(self)

    def drop(self) -> None:
        if not self._serial:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data
        if self._door.dropping:
            buffer = b""
        while size := request_size(buffer):
            if len(buffer) < size:
                break
            frame, buffer = buffer[:size], buffer[size:]
            if crc16(frame[:-2]) != frame[-2:]:
                buffer = b""
                break
            self._door.serve(frame[0], frame[1:-2], lambda unit, pdu, fault: self._transport.write(rtu(unit, pdu, fault)))
        self._buffer = buffer


def rtu(unit: int, pdu: bytes, fault: str = "") -> bytes:
    text = bytes([unit ^ 1 if fault in ("wrong_unit", "wrong_transaction") else unit]) + pdu
    frame = text + crc16(text)
    return frame[:-1] + bytes([frame[-1] ^ 0x10]) if fault == "garbled" else frame


def request_size(buffer: bytes) -> int:
    """Bytes of the request that begins the buffer, 0 while that is not known."""
    if len(buffer) < 2:
        return 0
    match buffer[1]:
        case 15 | 16:
            return 9 + buffer[6] if len(buffer) > 6 else 0
        case 20:
            return 5 + buffer[2] if len(buffer) > 2 else 0
        case 22:
            return 10
        case 43:
            return 7
        case _:
            return 8


async def open_door(door: Door, endpoint: Endpoint, credentials: Credentials | None) -> Endpoint:
    """Listens; where it really does (port 0, PTY) is the answer. Raises OSError, `tls.BadCredentials`."""
    loop = asyncio.get_running_loop()
    host, port = endpoint.host, endpoint.port
    if endpoint.transport is Transport.SERIAL:
        return _open_line(door, endpoint)
    if endpoint.transport is Transport.UDP:
        transport, _ = await loop.create_datagram_endpoint(lambda: DatagramDoor(door), local_addr=(host, port))
        door.close = transport.close
        return Endpoint(endpoint.transport, host, transport.get_extra_info("sockname")[1])
    context = None
    if endpoint.transport is Transport.TLS:
        if credentials is None:
            raise tls.BadCredentials("a device behind tls:// needs a certificate to show")
        context = tls.server_context(credentials.ca_file, credentials.certificate_file, credentials.key_file)
    kind = RtuConversation if endpoint.transport is Transport.RTU_TCP else MbapConversation
    server = await loop.create_server(lambda: kind(door), host, port, ssl=context)
    door.close = server.close
    return Endpoint(endpoint.transport, host, server.sockets[0].getsockname()[1])


def _open_line(door: Door, endpoint: Endpoint) -> Endpoint:
    assert endpoint.line is not None
    if endpoint.host != PTY:
        transport = serialport.SerialTransport(serialport.open_line(endpoint.host, endpoint.line), RtuConversation(door, serial=True))
        door.close = transport.close
        return endpoint
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    os.set_blocking(ours, False)
    path = os.ttyname(theirs)
    transport = serialport.SerialTransport(ours, RtuConversation(door, serial=True))

    def close() -> None:
        transport.close()
        os.close(theirs)

    door.close = close
    return Endpoint(Transport.SERIAL, path, 0, endpoint.line)
