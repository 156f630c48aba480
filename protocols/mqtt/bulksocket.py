"""A socket for paho that reads and writes in bulk.

paho takes a packet apart with four small reads and sends every acknowledgement by itself; at a system call each, that is more work than the
protocol. Here a read fetches all that has arrived, and while `corked` what is sent is gathered into one write. paho knows such stand-ins
(its websocket transport is one); the place where it is put in, `Client._create_socket`, is not public and is checked by the driver's tests.
"""

import socket
from typing import Final

import paho.mqtt.client as paho

CHUNK: Final = 262_144


class BulkSocket:
    """Non-blocking after connect, as paho sets it; raises BlockingIOError like a socket."""

    def __init__(self, plain: socket.socket) -> None:
        self._plain = plain
        self._ahead = memoryview(b"")
        self._gathered: bytearray = bytearray()
        self.corked = False

    def recv(self, size: int) -> bytes:
        if not self._ahead:
            self._ahead = memoryview(self._plain.recv(CHUNK))
        taken, self._ahead = self._ahead[:size], self._ahead[size:]
        return bytes(taken)

    def pending(self) -> int:
        """Bytes read from the network that paho has not asked for yet."""
        return len(self._ahead)

    def send(self, data: bytes | bytearray) -> int:
        if not self.corked and not self._gathered:
            return self._plain.send(data)
        self._gathered += data
        if not self.corked:
            self.push()
        return len(data)

    def push(self) -> bool:
        """Send what was gathered as far as the network takes it; True when nothing is left. Raises OSError."""
        while self._gathered:
            try:
                sent = self._plain.send(self._gathered)
            except BlockingIOError:
                return False
            del self._gathered[:sent]
        return True

    def close(self) -> None:
        self._plain.close()

    def fileno(self) -> int:
        return self._plain.fileno()

    def setblocking(self, flag: bool) -> None:
        self._plain.setblocking(flag)


class BulkClient(paho.Client):
    """paho's client on a BulkSocket."""

    bulk: BulkSocket | None = None

    def _create_socket(self) -> BulkSocket:
        plain = self._create_socket_connection()
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.bulk = BulkSocket(plain)
        return self.bulk
