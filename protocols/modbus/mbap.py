"""Modbus TCP framing: a request's bytes, and an answer's bytes checked against that request. Pure; no sockets, no retries.

Rules (Modbus messaging on TCP/IP v1.0b, 3.1.3; Modbus AP v1.1b3, 6): one request is outstanding per link; its answer has the same
transaction, unit and function, protocol 0, and exactly the asked number of bytes. Anything else is the peer's misbehaviour, never data.
"""

from dataclasses import dataclass
from typing import Final

from protocols.modbus.address import Span

HEADER: Final = 7
MAX_LENGTH: Final = 254  # unit + PDU of at most 253 bytes


class BadAnswer(Exception):
    """The bytes are no answer to the request."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A read without its transaction number: what is sent, and the two beginnings an answer may have after that number."""

    body: bytes
    good: bytes
    refusal: bytes

    def frame(self, transaction: int) -> bytes:
        return transaction.to_bytes(2, "big") + self.body

    @classmethod
    def read(cls, unit: int, span: Span) -> "Ask":
        function = span.area.function
        body = bytes([0, 0, 0, 6, unit, function]) + span.start.to_bytes(2, "big") + span.count.to_bytes(2, "big")
        size = (span.count + 7) // 8 if span.area.of_bits else 2 * span.count
        good = b"\0\0" + (3 + size).to_bytes(2, "big") + bytes([unit, function, size])
        return cls(body, good, bytes([0, 0, 0, 3, unit, 0x80 | function]))


def frame_size(buffer: bytes) -> int:
    """Bytes of the frame that begins the buffer, 0 while that is not known. Raises BadAnswer."""
    if len(buffer) < 6:
        return 0
    length = int.from_bytes(buffer[4:6], "big")
    if not 3 <= length <= MAX_LENGTH:
        raise BadAnswer(f"expected a frame length of 3 to {MAX_LENGTH}, found {length}")
    return 6 + length


def answer(frame: bytes, transaction: int, ask: Ask) -> bytes | int:
    """The data of a complete frame, or its exception code. Raises BadAnswer."""
    if int.from_bytes(frame[:2], "big") != transaction:
        raise BadAnswer(f"expected transaction {transaction}, found {int.from_bytes(frame[:2], 'big')}")
    if frame.startswith(ask.good, 2):
        return frame[9:]
    if frame.startswith(ask.refusal, 2) and frame[8]:
        return frame[8]
    raise BadAnswer(f"expected an answer beginning {ask.good.hex(' ')} or {ask.refusal.hex(' ')}, found {frame[2:9].hex(' ')}")
