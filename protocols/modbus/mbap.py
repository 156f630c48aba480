"""Modbus TCP framing: a request's bytes, and an answer's bytes checked against that request. Pure; no sockets, no retries.

Rules (Modbus messaging on TCP/IP v1.0b, 3.1.3; Modbus AP v1.1b3, 6): one request is outstanding per link; its answer has the same
transaction, unit and function, protocol 0, and exactly the asked number of bytes. Anything else is the peer's misbehaviour, never data.
The requests themselves are in `ask`.
"""

from typing import Final

from protocols.modbus.ask import Ask

HEADER: Final = 7
MAX_LENGTH: Final = 254  # unit + PDU of at most 253 bytes


class BadAnswer(Exception):
    """The bytes are no answer to the request."""


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
        return frame[ask.data_at :]
    if frame.startswith(ask.refusal, 2) and frame[8]:
        return frame[8]
    if ask.open and frame[2:4] == b"\0\0" and frame.startswith(ask.open, 6):
        return frame[6 + len(ask.open) :]
    raise BadAnswer(f"expected an answer beginning {ask.good.hex(' ')} or {ask.refusal.hex(' ')}, found {frame[2:9].hex(' ')}")
