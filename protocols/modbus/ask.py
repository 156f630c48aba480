"""Modbus requests, each with what its answer must look like. Pure; written for MBAP, and `rtu` frames the same for serial lines.

Modbus AP v1.1b3, 6: reads (1-4, 20, 43/14), writes (5, 6, 15, 16, 22) and the echo (8/0). An answer to a write repeats the request, so
that nothing but the exact repetition is accepted.
"""

from dataclasses import dataclass, field
from typing import Final

from protocols.modbus.address import Area, Span

ECHO: Final = 8
IDENTIFY: Final = 43
FILE_WORDS: Final = 121  # an answer of function 20 has at most 245 bytes, two of them its own
READS: Final = frozenset((1, 2, 3, 4, 20, IDENTIFY))  # may be asked twice without changing anything


@dataclass(frozen=True, slots=True)
class Ask:
    """A request without its transaction number: what is sent, and the two beginnings an answer may have after that number.

    data_at: where the data begins in an MBAP answer. open: unit and function where the length of the answer is not known beforehand.
    """

    body: bytes
    good: bytes
    refusal: bytes
    data_at: int = 9
    open: bytes = b""
    size: int = field(default=0, compare=False)  # bytes of data that are expected

    def frame(self, transaction: int) -> bytes:
        return transaction.to_bytes(2, "big") + self.body

    @property
    def unit(self) -> int:
        return self.body[4]

    @property
    def function(self) -> int:
        return self.body[5]

    @classmethod
    def read(cls, unit: int, span: Span) -> "Ask":
        if span.area is Area.FILE:
            return cls._record(unit, span)
        function = span.area.function
        body = bytes([0, 0, 0, 6, unit, function]) + span.start.to_bytes(2, "big") + span.count.to_bytes(2, "big")
        size = (span.count + 7) // 8 if span.area.of_bits else 2 * span.count
        good = b"\0\0" + (3 + size).to_bytes(2, "big") + bytes([unit, function, size])
        return cls(body, good, bytes([0, 0, 0, 3, unit, 0x80 | function]), size=size)

    @classmethod
    def _record(cls, unit: int, span: Span) -> "Ask":
        """6.14: one sub-request of reference type 6."""
        place = span.file.to_bytes(2, "big") + span.record.to_bytes(2, "big") + span.count.to_bytes(2, "big")
        size = 2 * span.count
        good = b"\0\0" + (5 + size).to_bytes(2, "big") + bytes([unit, 20, 2 + size, 1 + size, 6])
        return cls(bytes([0, 0, 0, 10, unit, 20, 7, 6]) + place, good, bytes([0, 0, 0, 3, unit, 0x94]), 11, size=size)

    @classmethod
    def identify(cls, unit: int, category: int, first: int) -> "Ask":
        """6.21: objects of a category (1 basic, 2 regular, 3 extended, 4 this one) from number `first` on."""
        body = bytes([0, 0, 0, 5, unit, IDENTIFY, 14, category, first])
        head = bytes([unit, IDENTIFY, 14, category])
        return cls(body, b"\xff" * 8, bytes([0, 0, 0, 3, unit, 0x80 | IDENTIFY]), open=head)  # no frame begins like this

    @classmethod
    def _repeated(cls, pdu: bytes, repeated: int, unit: int) -> "Ask":
        """A request whose answer is its own first `repeated` bytes."""
        body = b"\0\0" + (1 + len(pdu)).to_bytes(2, "big") + bytes([unit]) + pdu
        good = b"\0\0" + (1 + repeated).to_bytes(2, "big") + bytes([unit]) + pdu[:repeated]
        return cls(body, good, bytes([0, 0, 0, 3, unit, 0x80 | pdu[0]]), 2 + len(good))

    @classmethod
    def echo(cls, unit: int, token: int) -> "Ask":
        """6.8, sub-function 0: the device sends back what it was sent."""
        pdu = bytes([ECHO, 0, 0]) + token.to_bytes(2, "big")
        return cls._repeated(pdu, len(pdu), unit)

    @classmethod
    def set_coil(cls, unit: int, at: int, on: bool) -> "Ask":
        pdu = bytes([5]) + at.to_bytes(2, "big") + (b"\xff\0" if on else b"\0\0")
        return cls._repeated(pdu, len(pdu), unit)

    @classmethod
    def set_coils(cls, unit: int, at: int, on: bool) -> "Ask":
        """6.11 for one coil, where a device does not know function 5."""
        pdu = bytes([15]) + at.to_bytes(2, "big") + bytes([0, 1, 1, on])
        return cls._repeated(pdu, 5, unit)

    @classmethod
    def set_register(cls, unit: int, at: int, word: bytes) -> "Ask":
        pdu = bytes([6]) + at.to_bytes(2, "big") + word
        return cls._repeated(pdu, len(pdu), unit)

    @classmethod
    def set_registers(cls, unit: int, at: int, words: bytes) -> "Ask":
        pdu = bytes([16]) + at.to_bytes(2, "big") + (len(words) // 2).to_bytes(2, "big") + bytes([len(words)]) + words
        return cls._repeated(pdu, 5, unit)

    @classmethod
    def mask_register(cls, unit: int, at: int, keep: int, put: int) -> "Ask":
        """6.16: register = (register and keep) or (put and not keep)."""
        pdu = bytes([22]) + at.to_bytes(2, "big") + keep.to_bytes(2, "big") + put.to_bytes(2, "big")
        return cls._repeated(pdu, len(pdu), unit)
