"""What a tag's number means: an amount per time, a counter that runs up, or a level; in which unit, of how much.

Not for reading samples (`spans`) or for the units of formulas (`units`), into which an amount is carried here, once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

from cloud.esg import EsgError
from cloud.esg.units import Unit
from protocols.tomlfile import nearest

HOUR_S: Final = 3600.0
_AMOUNTS: Final[Mapping[str, tuple[Unit, float]]] = MappingProxyType(
    {
        **{unit.symbol: (unit, 1.0) for unit in Unit if unit not in (Unit.EACH, Unit.HOUR)},
        "Mscf": (Unit.SCF, 1e3),  # oilfield: M is a thousand, MM a million
        "MMscf": (Unit.SCF, 1e6),
        "Mbbl": (Unit.BARREL, 1e3),
        "sm3": (Unit.SM3, 1.0),  # as device maps write it
        "ksm3": (Unit.SM3, 1e3),
        "kSm3": (Unit.SM3, 1e3),
        "MSm3": (Unit.SM3, 1e6),
        "kNm3": (Unit.NM3, 1e3),
    }
)
_PER_S: Final[Mapping[str, float]] = MappingProxyType({"s": 1.0, "min": 60.0, "h": HOUR_S, "d": 86_400.0})
_POWER: Final[Mapping[str, Unit]] = MappingProxyType({"MW": Unit.MWH, "kW": Unit.KWH})


class Reads(Enum):
    RATE = "rate"
    TOTAL = "total"
    LEVEL = "level"


@dataclass(frozen=True, slots=True)
class Reading:
    """One unit of the tag is `factor` of `unit` in an hour (rate) or at all (total); a level has no unit of amount."""

    reads: Reads
    symbol: str
    unit: Unit | None = None
    factor: float = 1.0


def reading(symbol: str, reads: Reads) -> Reading:
    """Raises EsgError for a unit that is none of the kind."""
    if reads is Reads.LEVEL:
        return Reading(reads, symbol)
    if reads is Reads.TOTAL:
        unit, size = _amount(symbol, symbol)
        return Reading(reads, symbol, unit, size)
    if symbol in _POWER:
        return Reading(reads, symbol, _POWER[symbol])
    amount, slash, per = symbol.partition("/")
    if not slash or per not in _PER_S:
        raise EsgError(f'unit "{symbol}": expected an amount per s, min, h or d (MMscf/d, Sm3/h) or MW, kW for a rate')
    unit, size = _amount(amount, symbol)
    return Reading(reads, symbol, unit, size * HOUR_S / _PER_S[per])


def _amount(text: str, symbol: str) -> tuple[Unit, float]:
    if text not in _AMOUNTS:
        raise EsgError(f'unit "{symbol}": not known{nearest(text, _AMOUNTS)} Known: {", ".join(_AMOUNTS)}')
    return _AMOUNTS[text]
