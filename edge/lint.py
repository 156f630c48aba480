"""What is allowed in a device map and yet is probably a mistake. Pure; what is certainly one, `protocols.devicemap` refuses.

Remarks never stop an agent: `qenergyz edge check` prints them, `--strict` makes them errors.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from protocols.devicemap import DeviceMap, Tag, TagType
from protocols.tomlfile import nearest

# Units as they are written here (after ISO 80000; "1/min" for revolutions, "degC" for Celsius). A unit that is none of these is asked about.
UNITS: Final = frozenset({
    "%", "1/h", "1/min", "1/s", "A", "A/s", "Ah", "Bq", "C", "FNU", "GJ", "GVA", "GW", "GWh", "Hz", "J", "J/kg", "K", "MHz", "MJ",
    "MJ/kg", "MJ/m3", "MJ/sm3", "MMscf/d", "MPa", "MPag", "MV", "MVA", "MVAh", "MW", "MWh", "Mbbl/d", "Mscf/d", "Mvar", "N", "NTU",
    "Nm", "Nm3", "Nm3/h", "Ohm", "Pa", "S", "T", "TWh", "V", "V/m", "V/s", "VA", "VAh", "W", "W/m2", "Wb", "Wh", "bar", "barg", "bbl",
    "bbl/d", "btu", "btu/scf", "cP", "cm", "cosphi", "counts", "d", "dB", "deg", "deg/s", "degC", "degC/min", "degF", "fps", "ft", "ft/s", "ft3",
    "ft3/h", "g", "g/l", "gal", "gal/min", "h", "hPa", "in", "inH2O", "inHg", "kA", "kHz", "kJ", "kN", "kOhm", "kPa", "kPag", "kV",
    "kVA", "kVAh", "kW", "kWh", "kWh/m3", "kg", "kg/h", "kg/m3", "kg/s", "km", "km/h", "kmol", "ksm3/d", "kt", "kt/d", "kvar",
    "kvarh", "l", "l/h", "l/min", "l/s", "lb", "lb/h", "lx", "m", "m/s", "m/s2", "m2", "m3", "m3/d", "m3/h", "m3/s", "mA", "mGy",
    "mOhm", "mPas", "mS", "mV", "mW", "mbar", "mbarg", "mg", "mg/l", "mg/m3", "min", "mm", "mm/s", "mm2/s", "mol", "mol%", "ms", "nm",
    "pH", "ppb", "ppm", "ppm/d", "psi", "psia", "psig", "r", "rad", "rad/s", "rpm", "s", "scf", "scf/d", "sm3", "sm3/d", "sm3/h",
    "sm3/s", "t", "t/d", "t/h", "uS/cm", "um", "us", "var", "varh", "vol%", "°API",
})  # fmt: skip


def remarks(device_map: DeviceMap) -> Iterator[str]:
    """Sentences, each beginning with what it is about."""
    if not device_map.source:
        yield 'map: no "source"; write where the list comes from, so that the next engineer can check it'
    if device_map.protocol in ("modbus", "mqtt") and not device_map.golden:
        yield "map: no [[golden]] vector; word order, offset and scale are unproven until one is written"
    yield from _undecoded(device_map)
    for tag in device_map.tags:
        for remark in _of_tag(tag):
            yield f'tag "{tag.name}": {remark}'


def _undecoded(device_map: DeviceMap) -> Iterator[str]:
    proven = {name for vector in device_map.golden for name in vector.get("expect", ())}
    if unknown := sorted(proven - {tag.name for tag in device_map.tags}):
        yield f"golden: there is no tag {', '.join(unknown)}"


def _of_tag(tag: Tag) -> Iterator[str]:
    if tag.unit and tag.unit not in UNITS:
        yield f'unit "{tag.unit}" is not one of the usual{_like(tag.unit)}'
    if tag.name != tag.name.lower() or " " in tag.name:
        yield "names are small letters, digits and _"
    if tag.type is not TagType.BOOL and tag.range is None and tag.unit == "%" and abs(tag.scale) >= 10:
        yield f"scale {tag.scale} of a percentage; 0.01 is more usual"
    if tag.scale != 1 and not _power_of_ten(tag.scale) and tag.labels:
        yield "an enumeration with a scale; its labels are of the raw number"
    if tag.labels and tag.unit:
        yield f'an enumeration with the unit "{tag.unit}"'
    if tag.every_us < 100_000 and tag.thinning is None:
        yield f"read every {tag.every_us / 1000:g} ms; a deadband saves most of its samples"
    if tag.range is not None and tag.write is not None and not tag.range[0] <= tag.write.low <= tag.write.high <= tag.range[1]:
        yield f"may be written from {tag.write.low:g} to {tag.write.high:g}, beyond its range {tag.range[0]:g} to {tag.range[1]:g}"


def _like(unit: str) -> str:
    same = [known for known in sorted(UNITS) if known.lower() == unit.lower()]
    return f', did you mean "{same[0]}"?' if same else nearest(unit, UNITS)


def _power_of_ten(scale: Decimal) -> bool:
    return scale > 0 and scale.normalize().as_tuple().digits == (1,)
