"""The compliance profile of a tenant: who takes part in markets, and the units whose unavailability others have to be told of.

Read from a TOML text; errors name file, line and key. Identifiers are judged by form and check character: one that is wrong refuses the
profile and is named. Products and counterparties stand in the same text: trading_profile. Not for whether a code was issued, nor for
whether an asset exists: `absent` says that against an asset model.

    [participant]
    name = "Example Energy"
    lei = "213800KUD8LAJWSQ9D15"
    acer_code = "T1241247G.EU"
    party = "NFC-"

    [[unit]]
    name = "Block 1"
    eic = "22WEXAMPLE-1---P"
    zone = "10YFR-RTE------C"
    event_type = "Production unavailability"
    commodity = "electricity"
    unit = "MW"
    installed = 450
    fuel = "Fossil Gas"
    books = ["power"]
    market_time_unit = "15min"
    threshold_mw = 50

    [[unit.part]]
    asset = "GT1"
    capacity = 450
"""

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Final

from cloud.compliance.facts import Party
from cloud.compliance.identifiers import ACER_PATTERN, EIC_PATTERN, eic_fits, lei_is_valid
from cloud.compliance.trading_profile import NO_TRADING, Trading, read_trading
from protocols.tomlfile import Section, TomlFile

MOST_UNITS: Final = 500
MOST_PARTS: Final = 100
LONGEST: Final = 200
_MOST: Final = Decimal(10) ** 9
_HOURS_PER_DAY: Final = 24
_MW_PER_GW: Final = 1000


class Commodity(StrEnum):
    ELECTRICITY = "electricity"
    GAS = "gas"


class Measure(StrEnum):
    """The unit that a unit's capacity is told in."""

    MW = "MW"
    GWH_PER_DAY = "GWh/d"


class EventType(StrEnum):
    PRODUCTION = "Production unavailability"
    CONSUMPTION = "Consumption unavailability"
    CONNECTION = "Connection unavailability"
    OTHER = "Other unavailability"


@dataclass(frozen=True, slots=True)
class Participant:
    """lei, acer_code: empty where there is none."""

    name: str
    lei: str
    acer_code: str
    party: Party


@dataclass(frozen=True, slots=True)
class Part:
    """An asset of the asset model, and the capacity that is lost with it, in the measure of its unit."""

    asset: str
    capacity: Decimal


@dataclass(frozen=True, slots=True)
class Unit:
    """market_time_unit_us: a loss that lasts less is none. threshold_mw: the unit's own, where it is told of smaller losses than the law
    asks for. No parts: nothing is measured, its outages are declared by people."""

    name: str
    eic: str
    zone: str
    event_type: EventType
    commodity: Commodity
    measure: Measure
    installed: Decimal
    fuel: str
    books: tuple[str, ...]
    market_time_unit_us: int
    threshold_mw: Decimal | None = None
    parts: tuple[Part, ...] = ()

    def mw(self, amount: Decimal) -> Decimal:
        return amount if self.measure is Measure.MW else amount * _MW_PER_GW / _HOURS_PER_DAY


@dataclass(frozen=True, slots=True)
class Profile:
    participant: Participant
    units: tuple[Unit, ...] = ()
    trading: Trading = NO_TRADING

    def unit(self, name: str) -> Unit | None:
        return next((unit for unit in self.units if unit.name == name), None)

    def units_of(self, book: str) -> tuple[Unit, ...]:
        return tuple(unit for unit in self.units if book in unit.books)


def absent(profile: Profile, assets: Collection[str]) -> tuple[str, ...]:
    """Parts that are no asset of the model, each in words."""
    return tuple(
        f'unit "{unit.name}": part "{part.asset}" is no asset of the asset model'
        for unit in profile.units
        for part in unit.parts
        if part.asset not in assets
    )


def parse_profile(text: str, name: str = "profile.toml") -> Profile:
    """The profile in a TOML text; errors call it `name`. Raises protocols.tomlfile.ConfigError."""
    root = TomlFile(Path(name), text).root
    participant = _participant(root.section("participant"))
    sections = root.sections("unit", optional=True)
    if len(sections) > MOST_UNITS:
        raise root.error("unit", f"expected at most {MOST_UNITS} units, found {len(sections)}")
    units: list[Unit] = []
    for section in sections:
        unit = _unit(section)
        for key in ("name", "eic"):
            if getattr(unit, key) in [getattr(known, key) for known in units]:
                raise section.error(key, f'"{key}": "{getattr(unit, key)}" is described twice')
        units.append(unit)
    trading = read_trading(root)
    root.done()
    return Profile(participant, tuple(units), trading)


def _participant(section: Section) -> Participant:
    lei, acer_code = section.text("lei", ""), section.text("acer_code", "")
    if lei and not lei_is_valid(lei):
        raise section.error("lei", f'"lei": expected an LEI whose check digits fit (ISO 17442), found "{lei[:60]}"')
    if acer_code and not ACER_PATTERN.fullmatch(acer_code):
        raise section.error("acer_code", f'"acer_code": expected an ACER code such as "T1241247G.EU", found "{acer_code[:60]}"')
    found = Participant(_worded(section, "name"), lei, acer_code, Party(section.choice("party", [one.value for one in Party])))
    section.done()
    return found


def _unit(section: Section) -> Unit:
    installed = _amount(section, "installed")
    parts = _parts(section.sections("part", optional=True))
    whole = sum((part.capacity for part in parts), Decimal(0))
    if parts and whole != installed:
        raise section.error("installed", f'"installed": expected what the parts have together, {whole}, found {installed}')
    market_time_unit_us = section.duration_us("market_time_unit")
    if market_time_unit_us <= 0:
        raise section.error("market_time_unit", '"market_time_unit": expected more than 0')
    found = Unit(
        _worded(section, "name"),
        _eic(section, "eic", "WTZ"),
        _eic(section, "zone", "Y"),
        EventType(section.choice("event_type", EventType)),
        Commodity(section.choice("commodity", Commodity)),
        Measure(section.choice("unit", Measure)),
        installed,
        _worded(section, "fuel", ""),
        _books(section),
        market_time_unit_us,
        _amount(section, "threshold_mw") if "threshold_mw" in section else None,
        parts,
    )
    section.done()
    return found


def _parts(sections: tuple[Section, ...]) -> tuple[Part, ...]:
    parts: list[Part] = []
    for section in sections:
        part = Part(_worded(section, "asset"), _amount(section, "capacity"))
        if part.asset in [known.asset for known in parts]:
            raise section.error("asset", f'"asset": "{part.asset}" is a part of this unit already')
        if len(parts) == MOST_PARTS:
            raise section.error(None, f"expected at most {MOST_PARTS} parts of a unit")
        section.done()
        parts.append(part)
    return tuple(parts)


def _books(section: Section) -> tuple[str, ...]:
    books = section.texts("books")
    if len(set(books)) != len(books) or not all(_is_word(book) for book in books):
        raise section.error("books", f'"books": expected names of books, each once, found {list(books)!r}'[:LONGEST])
    return books


def _eic(section: Section, key: str, kinds: str) -> str:
    code = section.text(key)
    if not EIC_PATTERN.fullmatch(code) or code[2] not in kinds:
        raise section.error(key, f'"{key}": expected an EIC of 16 characters with {" or ".join(kinds)} in third place, found "{code[:60]}"')
    if not eic_fits(code):
        raise section.error(key, f'"{key}": the check character of "{code}" does not fit the rest')
    return code


def _amount(section: Section, key: str) -> Decimal:
    value = Decimal(repr(section.number(key)))
    if not value.is_finite() or not 0 < value < _MOST:
        raise section.error(key, f'"{key}": expected a number above 0 and below {_MOST:,}, found {value}')
    return value


def _worded(section: Section, key: str, default: str | None = None) -> str:
    text = section.text(key) if default is None else section.text(key, default)
    if text != default and not _is_word(text):
        raise section.error(key, f'"{key}": expected 1 to {LONGEST} printable characters without spaces around, found {text[:60]!r}')
    return text


def _is_word(text: str) -> bool:
    return 0 < len(text) <= LONGEST and text.isprintable() and text == text.strip()
