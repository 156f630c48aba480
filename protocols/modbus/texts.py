"""Texts that a device shows: in registers or file records (`at = "holding:40005"`, `length` in bytes), or by device identification
(function 43/14, `at = "ident:vendor"`). Pure.

Registers hold two characters each, high byte first; what follows a NUL, and blanks around, are not part of the text. Bytes that are no
printable UTF-8 are no text: nothing is told of them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from protocols.devicemap import DeviceMap, Text
from protocols.modbus.address import LAST_RECORD, Area, Span, parse_address
from protocols.modbus.settings import ModbusOptions, check_registers

# Modbus AP v1.1b3, 6.21: numbers of the objects; each belongs to a category that is asked for as a stream.
IDENTS: Final[Mapping[str, int]] = {"vendor": 0, "product": 1, "revision": 2, "url": 3, "name": 4, "model": 5, "application": 6}
BASIC, REGULAR, EXTENDED = 1, 2, 3


class NoText(Exception):
    """The bytes are no text, or the answer does not hold it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a text stands: registers to read in turn, or the number of an identification object."""

    spans: tuple[Span, ...] = ()
    ident: int | None = None

    @property
    def category(self) -> int:
        number = self.ident or 0
        return BASIC if number <= 2 else REGULAR if number < 0x80 else EXTENDED


def place(text: Text, options: ModbusOptions) -> Place:
    """Raises ValueError with a sentence."""
    kind, _, name = text.at.partition(":")
    if kind == "ident":
        number = IDENTS.get(name, int(name) if name.isdecimal() else 256)
        if number > 255:
            raise ValueError(f'"{text.at}": expected ident: and one of {", ".join(IDENTS)}, or an object number up to 255')
        return Place(ident=number)
    address = parse_address(text.at, options.base)
    if not text.length:
        raise ValueError(f'"{text.at}": expected the "length" of the text in bytes, two per register')
    if address.bit is not None:
        raise ValueError(f'"{text.at}": a text stands in whole registers')
    whole = address.span((text.length + 1) // 2)
    check_registers(whole, text.at)
    if whole.area is Area.FILE and whole.record + whole.count - 1 > LAST_RECORD:
        raise ValueError(f'"{text.at}" with {whole.count} records ends above record {LAST_RECORD}')
    most = options.most(whole.area)
    return Place(tuple(Span(whole.area, at, min(most, whole.end - at)) for at in range(whole.start, whole.end, most)))


def text_problems(device_map: DeviceMap) -> Iterator[tuple[int, str]]:
    """What is wrong with the texts of a map: position and sentence."""
    for index, text in enumerate(device_map.texts):
        try:
            place(text, device_map.options)
        except ValueError as error:
            yield index, str(error)


def decode_text(answer: bytes) -> str:
    """Raises NoText."""
    try:
        text = answer.split(b"\0", 1)[0].decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise NoText(f"no UTF-8: {answer[:16].hex(' ')}") from error
    if not text.isprintable():
        raise NoText(f"not printable: {answer[:16].hex(' ')}")
    return text


@dataclass(frozen=True, slots=True)
class Objects:
    """One answer of function 43/14. follows: number of the object to ask from next, None = that was all."""

    texts: Mapping[int, bytes]
    follows: int | None


def parse_objects(answer: bytes) -> Objects:
    """answer: from the conformity level on. Raises NoText for what is cut off or too long."""
    if len(answer) < 4:
        raise NoText("an identification without its head")
    more, follows, count = answer[1], answer[2], answer[3]
    texts: dict[int, bytes] = {}
    at = 4
    for _ in range(count):
        end = at + 2 + answer[at + 1] if len(answer) >= at + 2 else len(answer) + 1
        if end > len(answer):
            raise NoText("an identification that is cut off")
        texts[answer[at]] = answer[at + 2 : end]
        at = end
    if at != len(answer) or more not in (0, 0xFF):
        raise NoText("an identification with bytes left over")
    return Objects(texts, follows if more else None)
