"""One `[[source]]` of the inventory's TOML into a `register.Source`, by its category. Strict, as `register_file` is, which has the rest of it.

Not for computing. Units of another dimension, meters and factors that do not exist, and shares beyond one are errors with their line.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Final, TypeVar

from cloud.esg import EsgError, finite, share
from cloud.esg.combustion import Burner, Regime
from cloud.esg.estimates import Composition
from cloud.esg.factors import factor_book
from cloud.esg.flares import Purpose, Tier
from cloud.esg.gases import Masses
from cloud.esg.inventory import Category
from cloud.esg.purchased import Rate
from cloud.esg.readings import Reading, Reads, reading
from cloud.esg.register import (
    Certificate,
    Counted,
    Flare,
    Flow,
    Freight,
    Fuel,
    Meter,
    Power,
    Release,
    Seals,
    Sold,
    Source,
    Surveyed,
    Tank,
    Vent,
    What,
)
from cloud.esg.releases import Gas, Leak
from cloud.esg.uncertainty import Input
from cloud.esg.units import Quantity, State, Unit
from protocols.tomlfile import Section, nearest

_CATEGORY: Final[Mapping[str, Category]] = MappingProxyType(
    {
        **{one.value[0]: one for one in Category if one not in (Category.POWER_LOCATION, Category.POWER_MARKET)},
        "purchased power": Category.POWER_LOCATION,
    }
)
_TIERS: Final = {"default": Tier.DEFAULT, "1": Tier.TIER_1, "2": Tier.TIER_2, "3": Tier.TIER_3}
_COUNTED: Final = {"pneumatic": ("pneumatic.",), "fugitive": ("leak.",)}
Meters = Mapping[str, Meter]
T = TypeVar("T")


def told(section: Section, key: str, make: Callable[[], T]) -> T:
    """Whatever the rules refuse, with file and line."""
    try:
        return make()
    except EsgError as error:
        raise section.error(key, f'"{key}": {error}') from error


def source_of(one: Section, meters: Meters) -> Source:
    names = [one.text(key) for key in ("id", "site", "asset")]
    for key, text in zip(("id", "site", "asset"), names, strict=True):
        if not text.strip() or len(text) > 100 or "\0" in text or "/" in text:
            raise one.error(key, f'"{key}": expected 1 to 100 characters without "/", found "{text}"')
    category = _CATEGORY[one.choice("category", _CATEGORY)]
    start, end = day_at(one, "from"), day_at(one, "until") if "until" in one else None
    if end is not None and end <= start:
        raise one.error("until", f'"until": expected a day after {start}, found {end}')
    u95 = one.section("u95", optional=True)
    inputs = tuple(told(u95, key, lambda key=key: Input(key, float(u95.number(key)))) for key in u95.keys)  # type: ignore[misc]
    what = _WHAT[category](one, meters)
    one.done()
    found = Source(names[0], names[1], names[2], category, start, end, inputs, what)
    if not found.every_input:
        raise one.error("u95", '"u95": expected at least one input with its uncertainty in per cent, such as { "population factor" = 100 }')
    return found


def day_at(one: Section, key: str) -> date:
    value = one.raw(key)
    if type(value) is not date:
        raise one.error(key, f'"{key}": expected a date such as 2026-01-01, found {value!r}')
    return value


def _moment_us(one: Section, key: str) -> int:
    value = one.raw(key)
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise one.error(key, f'"{key}": expected a time with its zone such as 2026-01-01T10:00:00Z, found {value!r}')
    return int(value.astimezone(UTC).timestamp() * 1_000_000)


def _named(one: Section, key: str, meters: Meters) -> Meter:
    name = one.text(key)
    if name not in meters:
        raise one.error(key, f'"{key}": no meter is called "{name}"{nearest(name, meters)}')
    return meters[name]


def _flow(one: Section, meters: Meters, like: Unit, key: str = "flow") -> Flow:
    """From a meter of that key, or registered as `per_day` with its `unit`; a unit of another dimension is refused."""
    if (key in one) == ("per_day" in one):
        raise one.error(key, f'expected either "{key}" (the name of a meter) or "per_day" with its "unit"')
    if key in one:
        meter = _named(one, key, meters)
        if meter.reading.unit is None or meter.reading.unit.dimension is not like.dimension:
            raise one.error(key, f'"{key}": expected a {like.dimension.value} meter, "{meter.name}" reads {meter.reading.symbol}')
        return Flow(meter, None)
    return Flow(None, _quantity(one, "per_day", "unit", like))


def _quantity(one: Section, key: str, unit_key: str, like: Unit) -> Quantity:
    symbol, value = one.text(unit_key), float(one.number(key))
    found: Reading = told(one, unit_key, lambda: reading(symbol, Reads.TOTAL))
    if found.unit is None or found.unit.dimension is not like.dimension:
        raise one.error(unit_key, f'"{unit_key}": expected a unit of {like.dimension.value}, found "{symbol}"')
    unit = found.unit
    return told(one, key, lambda: Quantity(value * found.factor, unit))


def _part(one: Section, key: str) -> float:
    return told(one, key, lambda: share(key, float(one.number(key))))


def _gas(one: Section) -> Gas:
    section = one.section("gas")
    ch4, co2 = float(section.number("ch4")), float(section.number("co2"))
    section.done()
    return told(one, "gas", lambda: Gas(ch4, co2))


def _rate(one: Section, key: str, per: str) -> Rate:
    """{ co2 = , ch4 = , n2o = , reference = "..." } in kg per MWh or tkm; a gas that is left out is not known."""
    section = one.section(key)
    gases = [float(section.number(gas)) if gas in section else None for gas in ("co2", "ch4", "n2o")]
    reference = section.text("reference")
    if not reference.strip() or all(gas is None for gas in gases):
        raise section.error("reference", f'"{key}": expected kilograms per {per} of at least one gas and a reference')
    section.done()
    return told(one, key, lambda: Rate(Masses(*gases), reference))


def _optional(one: Section, key: str, low: float, high: float) -> float | None:
    one.raw(key, None)  # known here, so that a misspelling of it is told
    return told(one, key, lambda: finite(key, float(one.number(key)), low=low, high=high)) if key in one else None


def _factor_known(one: Section, key: str, name: str) -> None:
    if name not in factor_book().steps:
        raise one.error(key, f'"{key}": no factor is called "{name}"{nearest(name, factor_book().steps)}')


def _fuel_name(one: Section) -> tuple[str, Unit]:
    fuel = one.text("fuel")
    _factor_known(one, "fuel", f"fuel.{fuel}.co2")
    hhv = factor_book().steps.get(f"fuel.{fuel}.hhv")
    return fuel, Unit.named(hhv[0].removeprefix("mmBtu/")) if hhv else Unit.SCF


def _fuel(one: Section, meters: Meters) -> Fuel:
    fuel, unit = _fuel_name(one)
    share_of_stack = _optional(one, "co2_share", 0.0, 1.0)
    flow = _flow(one, meters, Unit.SCF if share_of_stack is not None else unit)
    burner = Burner(one.choice("burner", [each.value for each in Burner], Burner.HEATER.value))
    regime = Regime(one.choice("regime", [each.value for each in Regime], Regime.GENERAL.value))
    carbon, weight = _optional(one, "carbon_kg_per_kg", 0.0, 1.0), _optional(one, "molecular_weight", 2.0, 200.0)
    if (carbon is None) != (weight is None):
        raise one.error("carbon_kg_per_kg", 'tier 3 needs both "carbon_kg_per_kg" and "molecular_weight"')
    btu = _optional(one, "hhv_btu_scf", 1.0, 10_000.0)
    return Fuel(flow, fuel, burner, regime, carbon, weight, None if btu is None else btu / 1e6, share_of_stack)


def _flare(one: Section, meters: Meters) -> Flare:
    flow, pilot = _flow(one, meters, Unit.SCF), _named(one, "pilot", meters)
    if pilot.reading.reads is not Reads.LEVEL:
        raise one.error("pilot", f'"pilot": expected a level such as a temperature, "{pilot.name}" is a {pilot.reading.reads.value}')
    parts = one.section("composition")
    fractions = {key: float(parts.number(key)) for key in parts.keys}
    return Flare(
        flow,
        pilot,
        told(one, "lit_above", lambda: finite("lit_above", float(one.number("lit_above")))),
        told(one, "composition", lambda: Composition.of(fractions)),
        _TIERS[one.choice("tier", _TIERS, "default")],
        _optional(one, "efficiency", 0.0, 1.0),
        _optional(one, "hhv_btu_scf", 1.0, 10_000.0),
        _optional(one, "nhv_btu_scf", 1.0, 10_000.0),
        Purpose(one.choice("purpose", [each.value for each in Purpose])),
    )


def _vent(one: Section, meters: Meters) -> Vent:
    metered = "flow" in one or "per_day" in one
    releases = tuple(_release(each) for each in one.sections("release", optional=True))
    if not metered and "release" not in one:
        raise one.error("flow", 'a vent needs "flow", "per_day" or a register of "release"')
    return Vent(_flow(one, meters, Unit.SCF) if metered else None, releases, _gas(one))


def _release(one: Section) -> Release:
    at_us = _moment_us(one, "at")
    if "volume" in one:
        found = Release(at_us, _quantity(one, "volume", "unit", Unit.SCF), None, None, None)
    else:
        vessel = told(one, "vessel_m3", lambda: finite("vessel_m3", float(one.number("vessel_m3")), low=0.0, high=1e7))
        found = Release(at_us, None, vessel, _state(one, "before"), _state(one, "after"))
    one.done()
    return found


def _state(one: Section, key: str) -> State:
    section = one.section(key)
    celsius, bar, z = float(section.number("c")), float(section.number("bar")), float(section.number("z", 1.0))
    section.done()
    return told(one, key, lambda: State.of_celsius(celsius, bar, z))


def _counted(one: Section, prefixes: tuple[str, ...]) -> Counted:
    section = one.section("counts")
    found = []
    for key in section.keys:
        name = key if key.startswith(prefixes) else prefixes[0] + key
        _factor_known(section, key, name)
        found.append((name, section.integer(key, low=0, high=1_000_000)))
    if not found:
        raise one.error("counts", '"counts": expected at least one')
    return Counted(tuple(sorted(found)), _gas(one))


def _pneumatic(one: Section, _: Meters) -> Counted:
    return _counted(one, _COUNTED["pneumatic"])


def _fugitive(one: Section, _: Meters) -> Counted | Surveyed:
    if "counts" in one:
        return _counted(one, _COUNTED["fugitive"])
    leaks = []
    for each in one.sections("leak"):
        rate = told(each, "scf_h", lambda each=each: finite("scf_h", float(each.number("scf_h")), low=0.0, high=1e7))  # type: ignore[misc]
        start, end = _moment_us(each, "from"), _moment_us(each, "repaired") if "repaired" in each else None
        leaks.append((Leak(each.text("component"), rate, 0.0), start, end))
        each.done()
    return Surveyed(tuple(leaks), _gas(one), one.boolean("measured"))


def _seals(one: Section, _: Meters) -> Seals:
    modes = []
    for each in one.sections("mode"):
        vent = told(each, "vent_scf_h", lambda each=each: finite("vent", float(each.number("vent_scf_h")), low=0.0, high=1e7))  # type: ignore[misc]
        modes.append((each.text("name"), _part(each, "share_of_day"), vent))
        each.done()
    if len({name for name, *_ in modes}) != len(modes) or sum(part for _, part, _ in modes) > 1.0 + 1e-9:
        raise one.error("mode", '"mode": expected each once, with shares of the day that sum to at most 1')
    return Seals(tuple(modes), _gas(one))


def _tank(one: Section, meters: Meters) -> Tank:
    flow = _flow(one, meters, Unit.BARREL)
    gor = told(one, "gor_scf_per_bbl", lambda: finite("gor", float(one.number("gor_scf_per_bbl")), low=0.0, high=5000.0))
    return Tank(flow, gor, _gas(one), _part(one, "recovery"), _part(one, "recovery_uptime"))


def _power(one: Section, meters: Meters) -> Power:
    flow = _flow(one, meters, Unit.MWH)
    grid, residual = (_grid(one, key) for key in ("grid", "residual"))
    return Power(flow, grid, residual, tuple(_certificate(each) for each in one.sections("certificate", optional=True)))


def _grid(one: Section, key: str) -> str | Rate:
    if isinstance(one.raw(key), dict):
        return _rate(one, key, "MWh")
    name = one.text(key)
    _factor_known(one, key, f"grid.{name}.co2")
    return name


def _certificate(one: Section) -> Certificate:
    start, end = day_at(one, "from"), day_at(one, "until")
    mwh = told(one, "mwh", lambda: finite("mwh", float(one.number("mwh")), low=0.0, high=1e9))
    if end <= start:
        raise one.error("until", f'"until": expected a day after {start}, found {end}')
    found = Certificate(start, end, mwh, _rate(one, "rate", "MWh"))
    one.done()
    return found


def _sold(one: Section, meters: Meters) -> Sold:
    fuel, unit = _fuel_name(one)
    used = _quantity(one, "used_per_day", "used_unit", unit) if "used_per_day" in one else None
    return Sold(fuel, _flow(one, meters, unit), used)


def _freight(one: Section, meters: Meters) -> Freight:
    return Freight(_flow(one, meters, Unit.TONNE_KM), _rate(one, "intensity", "tkm"))


_WHAT: Final[Mapping[Category, Callable[[Section, Meters], What]]] = MappingProxyType(
    {
        Category.FUEL: _fuel,
        Category.FLARE: _flare,
        Category.VENT: _vent,
        Category.PNEUMATIC: _pneumatic,
        Category.FUGITIVE: _fugitive,
        Category.COMPRESSOR_SEAL: _seals,
        Category.TANK: _tank,
        Category.POWER_LOCATION: _power,
        Category.SOLD_PRODUCTS: _sold,
        Category.FREIGHT: _freight,
    }
)
