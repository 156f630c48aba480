"""RTU framing: the requests of `ask` with a checksum instead of a header, and answers found in a stream of bytes. Pure.

Rules (Modbus over serial line v1.02, 2.5.1; AP v1.1b3): a frame is unit, PDU, CRC-16. A well-formed frame that is no answer to the request is
`foreign` and is skipped whole; bytes that are no frame at all are `corrupt`, and all of them up to the next silence are dropped: nothing is searched
for an answer inside them. An RTU answer does not say which request it answers; `link_rtu` sees to that.
"""

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from protocols.modbus.ask import IDENTIFY, Ask

SHORTEST: Final = 4
LONGEST: Final = 256
_COUNTED: Final = frozenset((1, 2, 3, 4, 12, 17, 20, 21, 23))  # third byte of the answer says how many follow
_FIXED: Final = {5: 8, 6: 8, 8: 8, 11: 8, 15: 8, 16: 8, 22: 10, 7: 5}  # bytes of the whole frame


def _table() -> Iterator[int]:
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
        yield crc


_TABLE: Final = tuple(_table())


def crc16(text: bytes) -> bytes:
    """Low byte first, as on the wire. The CRC of a frame with its CRC is 0."""
    crc = 0xFFFF
    for byte in text:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc.to_bytes(2, "little")


def request(ask: Ask) -> bytes:
    text = ask.body[4:]
    return text + crc16(text)


def frame_size(buffer: bytes) -> int | None:
    """Bytes of the answer that begins the buffer by what it says itself; 0 while that is not known, None when it is no answer we know."""
    if len(buffer) < 2:
        return 0
    function = buffer[1]
    if function & 0x80:
        return 5
    if function in _FIXED:
        return _FIXED[function]
    if function in _COUNTED:
        return 0 if len(buffer) < 3 else 5 + buffer[2]
    return _identity_size(buffer) if function == IDENTIFY else None


def _identity_size(buffer: bytes) -> int | None:
    """Unit, 43, 14, category, conformity, more, next, number of objects, then number, length and text of each."""
    if len(buffer) >= 3 and buffer[2] != 14:
        return None
    if len(buffer) < 8:
        return 0
    at = 8
    for _ in range(buffer[7]):
        if len(buffer) < at + 2:
            return 0
        at += 2 + buffer[at + 1]
    return at + 2


class Fate(enum.Enum):
    PARTIAL = enum.auto()  # wait for more
    ANSWER = enum.auto()
    FOREIGN = enum.auto()
    CORRUPT = enum.auto()


@dataclass(frozen=True, slots=True)
class Found:
    """What begins the buffer. taken: bytes it has. result: data or exception code of an answer."""

    fate: Fate
    taken: int = 0
    result: bytes | int = 0


def find(buffer: bytes, ask: Ask | None) -> Found:
    """ask: what is awaited, None = nothing."""
    size = frame_size(buffer)
    if size is None or size > LONGEST or (size and crc_known(buffer, size) is False):
        return Found(Fate.CORRUPT, len(buffer))
    if not size or len(buffer) < size:
        return Found(Fate.CORRUPT, len(buffer)) if len(buffer) > LONGEST else Found(Fate.PARTIAL)
    if ask is not None and (result := _answer(buffer[: size - 2], ask)) is not None:
        return Found(Fate.ANSWER, size, result)
    return Found(Fate.FOREIGN, size)


def crc_known(buffer: bytes, size: int) -> bool | None:
    """Whether the frame's checksum holds, None while it is not there."""
    return None if len(buffer) < size else crc16(buffer[: size - 2]) == buffer[size - 2 : size]


def _answer(text: bytes, ask: Ask) -> bytes | int | None:
    """text: unit and PDU of an answer."""
    if len(text) == int.from_bytes(ask.good[2:4], "big") and text.startswith(ask.good[4:]):
        return text[ask.data_at - 6 :]
    if text.startswith(ask.refusal[4:]) and len(text) == 3 and text[2]:
        return text[2]
    if ask.open and text.startswith(ask.open):
        return text[len(ask.open) :]
    return None
