"""Modbus addresses as device maps write them: "holding:100", "input:7", "coil:3", "discrete:12", and "holding:100.3" for bit 3 of a register.

Numbers are zero-based, as on the wire, unless the map says `addressing = "one_based"`. The Modicon digit (4xxxx) is not
understood on purpose: the area is always a word.
"""

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from protocols.devicemap import TagType

LAST: Final = 0xFFFF


class Area(enum.StrEnum):
    HOLDING = "holding"
    INPUT = "input"
    COIL = "coil"
    DISCRETE = "discrete"

    @property
    def function(self) -> int:
        """Modbus AP v1.1b3, 6.1-6.4."""
        return _FUNCTION[self]

    @property
    def of_bits(self) -> bool:
        return self in (Area.COIL, Area.DISCRETE)

    @property
    def plural(self) -> str:
        return _PLURAL[self]


_FUNCTION: Final[Mapping[Area, int]] = {Area.COIL: 1, Area.DISCRETE: 2, Area.HOLDING: 3, Area.INPUT: 4}
_PLURAL: Final[Mapping[Area, str]] = {
    Area.COIL: "coils",
    Area.DISCRETE: "discrete inputs",
    Area.HOLDING: "holding registers",
    Area.INPUT: "input registers",
}


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """`count` registers (or bits) of one area from `start` on, zero-based."""

    area: Area
    start: int
    count: int

    @property
    def end(self) -> int:
        return self.start + self.count


@dataclass(frozen=True, slots=True)
class Address:
    area: Area
    start: int
    bit: int | None = None

    def span(self, count: int) -> Span:
        return Span(self.area, self.start, count)


def parse_address(text: str, base: int) -> Address:
    """base: 0 or 1, the number of the first register. Raises ValueError with a sentence."""
    match = re.fullmatch(r"(\w+):(\d+)(?:\.(\d+))?", text, re.ASCII)
    if not match or match[1] not in tuple(Area):
        raise ValueError(
            f'address "{text}" is not understood; expected area:number such as "holding:100", with the areas {", ".join(Area)}'
        )
    area, start = Area(match[1]), int(match[2]) - base
    if start < 0:
        raise ValueError(f'address "{text}" is below the first register, which is 1 with one-based addressing')
    if start > LAST:
        raise ValueError(f'address "{text}" is above {LAST + base}')
    bit = None if match[3] is None else int(match[3])
    if bit is not None and (area.of_bits or bit > 15):
        raise ValueError(f'address "{text}": bits 0 to 15 exist in holding and input registers only')
    return Address(area, start, bit)


def words(kind: TagType) -> int:
    """Registers that a value of the type takes; 8-bit types and bool stand in the low byte of one register."""
    return max(1, kind.native.itemsize // 2)
