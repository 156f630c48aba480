"""A socket for paho that reads in bulk, and the packets of the hot path: PUBLISH in, PUBACK and PUBREC out.

paho takes a packet apart with four small reads and spends some 20 us on each message. Here a read fetches all that has arrived, and PUBLISH and
PUBREL packets are taken straight from it; paho is given every other packet, and only once it is there in whole. It would also answer a PUBLISH of
QoS 2 at once, where we must not before the message is durable. A PUBLISH that is larger than any message we read is taken without its payload,
so that it can be acknowledged and needs no memory. paho knows such stand-in sockets (its websocket transport is one), but the name
`Client._create_socket` used here is not public; the driver's tests cover it.
"""

import socket
import ssl
from typing import Final, NamedTuple

import paho.mqtt.client as paho

CHUNK: Final = 262_144
MAX_PACKET: Final = 1_200_000
BLOCKED: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
RECEIVED: Final = 1 << 16  # added to the number of a message of QoS 2, which is answered with PUBREC


class Published(NamedTuple):
    """flags: the first byte, with DUP in bit 3, QoS in bits 1-2, RETAIN in bit 0 (MQTT 3.1.1, 3.3.1). too_large: bytes of a packet left out."""

    topic: bytes
    payload: bytes
    mid: int
    flags: int
    too_large: int = 0


class Released(NamedTuple):
    """The broker will not send the message of QoS 2 with this number again (MQTT 3.1.1, 3.6)."""

    mid: int


def _length(data: memoryview, at: int) -> tuple[int, int]:
    """A variable byte integer and where it ends (MQTT 3.1.1, 2.2.3). Raises IndexError where it is not whole, ValueError where it is none."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 21:
            raise ValueError("length of more than four bytes")


def answers(numbers: list[int]) -> bytes:
    """PUBACK packets, PUBREC where RECEIVED is added; the short form means success in both versions (MQTT 5.0, 3.4.2.1)."""
    return b"".join((b"\x40\x02" if number < RECEIVED else b"\x50\x02") + (number & 0xFFFF).to_bytes(2, "big") for number in numbers)


def completed(mid: int) -> bytes:
    return b"\x70\x02" + mid.to_bytes(2, "big")


class BulkSocket:
    """Non-blocking after connect, as paho sets it; raises BlockingIOError like a socket."""

    def __init__(self, plain: socket.socket) -> None:
        self._plain = plain
        self._ahead = memoryview(b"")
        self._skip = 0
        self._unsent: bytearray = bytearray()

    def fill(self) -> bool:
        """Read what has arrived, unless a whole packet waits; False at the end of the stream. Raises OSError, BlockingIOError when nothing has."""
        if self._ahead and self.whole():
            return True
        found = self._receive()
        new = memoryview(found)[self._skip :]
        self._skip -= min(self._skip, len(found))
        self._ahead = memoryview(bytes(self._ahead) + new) if self._ahead else new
        return bool(found)

    def _receive(self) -> bytes:
        return self._plain.recv(CHUNK)

    def whole(self) -> bool:
        """Whether the read-ahead begins with a whole packet. Raises ValueError where it begins with none, or with one that no broker sends."""
        try:
            size, at = _length(self._ahead, 1)
        except IndexError:
            return False
        if at + size > MAX_PACKET and self._ahead[0] & 0xF0 != 0x30:
            raise ValueError(f"packet of type {self._ahead[0] >> 4} with {size} bytes")
        return at + size <= len(self._ahead)

    def recv(self, size: int) -> bytes:
        if not self._ahead:
            self._ahead = memoryview(self._receive())
        taken, self._ahead = self._ahead[:size], self._ahead[size:]
        return bytes(taken)

    def pending(self) -> int:
        """Bytes read from the network that nobody has asked for yet."""
        return len(self._ahead)

    def send(self, data: bytes | bytearray) -> int:
        """Whole, always: what the network does not take now is kept for `push`."""
        self._unsent += data
        self.push()
        return len(data)

    def push(self) -> bool:
        """Send what is kept as far as the network takes it; True when nothing is left. Raises OSError."""
        while self._unsent:
            try:
                sent = self._plain.send(self._unsent)
            except BLOCKED:
                return False
            del self._unsent[:sent]
        return True

    def take(self, *, five: bool) -> "Published | Released | None":
        """The PUBLISH or PUBREL packet that the read-ahead begins with, taken out of it; None when it is anything else or not whole.

        Raises ValueError for a PUBLISH that contradicts itself.
        """
        data = self._ahead
        if len(data) < 4:
            return None
        flags = data[0]
        if flags & 0xF0 != 0x30:
            return self._released() if flags == 0x62 else None
        end = len(data) + 1  # until it is known
        try:
            size, at = _length(data, 1)
            end = at + size
            topic_end = at + 2 + (data[at] << 8 | data[at + 1])
            body, mid = topic_end, 0
            if flags & 0x06:
                mid, body = data[body] << 8 | data[body + 1], body + 2
            if five:
                size, body = _length(data, body)
                body += size
        except IndexError:
            if end <= len(data):
                raise ValueError("PUBLISH shorter than it says") from None
            return None
        if body > end or flags & 0x06 == 0x06:
            raise ValueError("PUBLISH with a wrong length or QoS")
        if end > len(data):
            return self._shortened(bytes(data[at + 2 : topic_end]), mid, flags, end) if end > MAX_PACKET else None
        found = Published(bytes(data[at + 2 : topic_end]), bytes(data[body:end]), mid, flags)
        self._ahead = data[end:]
        return found

    def _shortened(self, topic: bytes, mid: int, flags: int, end: int) -> Published:
        self._skip, self._ahead = end - len(self._ahead), memoryview(b"")
        return Published(topic, b"", mid, flags, end)

    def _released(self) -> Released | None:
        data = self._ahead
        if data[1] < 2 or not self.whole():
            return None
        self._ahead = data[2 + data[1] :]
        return Released(data[2] << 8 | data[3])

    def close(self) -> None:
        self._plain.close()

    def fileno(self) -> int:
        return self._plain.fileno()

    def setblocking(self, flag: bool) -> None:
        self._plain.setblocking(flag)


class TlsBulkSocket(BulkSocket):
    """The same over TLS, which hands out one record of up to 16 kB at a time."""

    def _receive(self) -> bytes:
        found = bytearray()
        while len(found) < CHUNK:
            try:
                part = self._plain.recv(CHUNK)
            except BLOCKED as error:
                if found:
                    break
                raise BlockingIOError from error
            if not part:
                break
            found += part
        return bytes(found)


class BulkClient(paho.Client):
    """paho's client on a BulkSocket. security: the TLS context, None = without; name: of the broker, as its certificate must have it."""

    bulk: BulkSocket | None = None
    security: ssl.SSLContext | None = None
    name: str = ""

    def take(self, *, five: bool) -> Published | Released | None:
        """The next whole PUBLISH or PUBREL of the read-ahead."""
        return None if self.bulk is None else self.bulk.take(five=five)

    def _create_socket(self) -> BulkSocket:
        plain = self._create_socket_connection()
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.security is None:
            self.bulk = BulkSocket(plain)
        else:
            plain.settimeout(self.connect_timeout)
            try:
                self.bulk = TlsBulkSocket(self.security.wrap_socket(plain, server_hostname=self.name))
            except OSError:
                plain.close()
                raise
        return self.bulk
