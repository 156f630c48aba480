"""Modbus addresses as device maps write them: "holding:100", "input:7", "coil:3", "discrete:12", "holding:100.3" for bit 3 of a register,
"holding:100.4-7" for the number in bits 4 to 7, and "file:4:10" for record 10 of file 4 (function 20).

Numbers are zero-based, as on the wire, unless the map says `addressing = "one_based"` (files and their records are always as written).
The Modicon digit (4xxxx) is not understood on purpose: the area is always a word. "ident:vendor" is no place but a text, see `texts`.
"""

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from protocols.devicemap import TagType

LAST: Final = 0xFFFF
LAST_RECORD: Final = 9999  # Modbus AP v1.1b3, 6.14
_FILE: Final = 16  # a record's place is its file's number above these bits, its own below: files are never neighbours


class Area(enum.StrEnum):
    HOLDING = "holding"
    INPUT = "input"
    COIL = "coil"
    DISCRETE = "discrete"
    FILE = "file"

    @property
    def function(self) -> int:
        """That reads it: Modbus AP v1.1b3, 6.1-6.4 and 6.14."""
        return _FUNCTION[self]

    @property
    def of_bits(self) -> bool:
        return self in (Area.COIL, Area.DISCRETE)

    @property
    def plural(self) -> str:
        return _PLURAL[self]


_FUNCTION: Final[Mapping[Area, int]] = {Area.COIL: 1, Area.DISCRETE: 2, Area.HOLDING: 3, Area.INPUT: 4, Area.FILE: 20}
_PLURAL: Final[Mapping[Area, str]] = {
    Area.COIL: "coils",
    Area.DISCRETE: "discrete inputs",
    Area.HOLDING: "holding registers",
    Area.INPUT: "input registers",
    Area.FILE: "file records",
}


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """`count` registers (or bits) of one area from `start` on, zero-based. Of a file: `file` is its number, `record` its first."""

    area: Area
    start: int
    count: int

    @property
    def end(self) -> int:
        return self.start + self.count

    @property
    def file(self) -> int:
        """0 for everything that is no file."""
        return self.start >> _FILE

    @property
    def record(self) -> int:
        return self.start & LAST

    def text(self, base: int = 0) -> str:
        """As a map would write it: "holding:100", "holding:100..104", "file:4:10..12"."""
        if self.area is Area.FILE:
            first, last = f"{self.file}:{self.record}", f"{self.record + self.count - 1}"
        else:
            first, last = f"{self.start + base}", f"{self.end - 1 + base}"
        return f"{self.area}:{first}" if self.count == 1 else f"{self.area}:{first}..{last}"


@dataclass(frozen=True, slots=True)
class Address:
    """bit and width: the number stands in `width` bits from `bit` up; None = in whole registers."""

    area: Area
    start: int
    bit: int | None = None
    width: int = 1

    def span(self, count: int) -> Span:
        return Span(self.area, self.start, count)


def parse_address(text: str, base: int) -> Address:
    """base: 0 or 1, the number of the first register. Raises ValueError with a sentence."""
    if file := re.fullmatch(r"file:(\d+):(\d+)", text, re.ASCII):
        return _record(text, int(file[1]), int(file[2]))
    match = re.fullmatch(r"(\w+):(\d+)(?:\.(\d+)(?:-(\d+))?)?", text, re.ASCII)
    if not match or match[1] not in tuple(Area) or match[1] == Area.FILE:
        raise ValueError(
            f'address "{text}" is not understood; expected area:number such as "holding:100", with the areas {", ".join(Area)}'
            ' (file:number:record), or a text such as "ident:vendor"'
        )
    area, start = Area(match[1]), int(match[2]) - base
    if start < 0:
        raise ValueError(f'address "{text}" is below the first register, which is 1 with one-based addressing')
    if start > LAST:
        raise ValueError(f'address "{text}" is above {LAST + base}')
    if match[3] is None:
        return Address(area, start)
    bit = int(match[3])
    last = bit if match[4] is None else int(match[4])
    if area.of_bits or not bit <= last <= 15:
        raise ValueError(f'address "{text}": bits 0 to 15 exist in holding and input registers only, the lower one is written first')
    return Address(area, start, bit, last - bit + 1)


def _record(text: str, file: int, record: int) -> Address:
    if not 1 <= file <= LAST:
        raise ValueError(f'address "{text}": files are numbered 1 to {LAST}')
    if record > LAST_RECORD:
        raise ValueError(f'address "{text}": record {record} is above {LAST_RECORD}')
    return Address(Area.FILE, file << _FILE | record)


def words(kind: TagType) -> int:
    """Registers that a value of the type takes; 8-bit types and bool stand in the low byte of one register."""
    return max(1, kind.native.itemsize // 2)
