"""A socket for paho that reads in bulk, and the two packets of the hot path: PUBLISH in, PUBACK out.

paho takes a packet apart with four small reads and spends some 20 us on each message. Here a read fetches all that has arrived, and whole PUBLISH
packets of QoS 0 and 1 at a packet boundary are taken straight from it; everything else is left to paho. paho knows such stand-in sockets
(its websocket transport is one), but two names used here are not public: `Client._create_socket` and `Client._in_packet`; the driver's tests
cover both.
"""

import socket
from typing import Final, NamedTuple

import paho.mqtt.client as paho

CHUNK: Final = 262_144


class Published(NamedTuple):
    """flags: the first byte, with DUP in bit 3, QoS in bits 1-2, RETAIN in bit 0 (MQTT 3.1.1, 3.3.1)."""

    topic: bytes
    payload: bytes
    mid: int
    flags: int


def _length(data: memoryview, at: int) -> tuple[int, int]:
    """A variable byte integer and where it ends (MQTT 3.1.1, 2.2.3). Raises IndexError when it does not end."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 21:
            raise IndexError("length of more than four bytes")


def pubacks(numbers: list[int]) -> bytes:
    """PUBACK packets; the short form means success in both versions (MQTT 5.0, 3.4.2.1)."""
    return b"".join(b"\x40\x02" + number.to_bytes(2, "big") for number in numbers)


class BulkSocket:
    """Non-blocking after connect, as paho sets it; raises BlockingIOError like a socket."""

    def __init__(self, plain: socket.socket) -> None:
        self._plain = plain
        self._ahead = memoryview(b"")
        self._unsent: bytearray = bytearray()

    def fill(self) -> bool:
        """Read what has arrived; False at the end of the stream. Raises OSError, BlockingIOError when nothing has."""
        if not self._ahead:
            self._ahead = memoryview(self._plain.recv(CHUNK))
        return bool(self._ahead)

    def recv(self, size: int) -> bytes:
        if not self._ahead:
            self._ahead = memoryview(self._plain.recv(CHUNK))
        taken, self._ahead = self._ahead[:size], self._ahead[size:]
        return bytes(taken)

    def pending(self) -> int:
        """Bytes read from the network that paho has not asked for yet."""
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
            except BlockingIOError:
                return False
            del self._unsent[:sent]
        return True

    def take_publish(self, *, five: bool) -> "Published | None":
        """The PUBLISH packet of QoS 0 or 1 that the read-ahead begins with, taken out of it; None when it is anything else or not whole."""
        data = self._ahead
        if len(data) < 5 or data[0] & 0xF4 != 0x30:
            return None
        flags = data[0]
        try:
            size, at = _length(data, 1)
            end = at + size
            topic_end = at + 2 + (data[at] << 8 | data[at + 1])
            body, mid = topic_end, 0
            if flags & 0x02:
                mid, body = data[body] << 8 | data[body + 1], body + 2
            if five:
                size, body = _length(data, body)
                body += size
        except IndexError:
            return None
        if end > len(data) or body > end:
            return None
        found = Published(bytes(data[at + 2 : topic_end]), bytes(data[body:end]), mid, flags)
        self._ahead = data[end:]
        return found

    def close(self) -> None:
        self._plain.close()

    def fileno(self) -> int:
        return self._plain.fileno()

    def setblocking(self, flag: bool) -> None:
        self._plain.setblocking(flag)


class BulkClient(paho.Client):
    """paho's client on a BulkSocket."""

    bulk: BulkSocket | None = None

    def take_publish(self, *, five: bool) -> Published | None:
        """The next whole PUBLISH of the read-ahead, when paho is not in the middle of a packet."""
        if self.bulk is None or self._in_packet["command"]:
            return None
        return self.bulk.take_publish(five=five)

    def _create_socket(self) -> BulkSocket:
        plain = self._create_socket_connection()
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.bulk = BulkSocket(plain)
        return self.bulk
