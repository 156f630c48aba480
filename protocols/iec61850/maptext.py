"""A device map's text from what is known of an IEC 61850 device: from its SCL file or from browsing it. Pure.

Tags are the value attributes of IEC 61850-7-3 in measurands, states and settings; texts are the name plates. Nothing is made writable:
that is for the person who looks through the map.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from protocols.iec61850.plan import VALUE_ATTRIBUTES
from protocols.tomlfile import quoted

# How a basic type of IEC 61850-7-2 is carried. An enumeration is an integer of 8 bits or more on the wire.
CARRIED: Final[Mapping[str, str]] = {
    "BOOLEAN": "bool",
    "INT8": "int8",
    "INT16": "int16",
    "INT24": "int32",
    "INT32": "int32",
    "INT64": "int64",
    "INT8U": "uint8",
    "INT16U": "uint16",
    "INT24U": "uint32",
    "INT32U": "uint32",
    "FLOAT32": "float32",
    "FLOAT64": "float64",
    "Enum": "int32",
    "Dbpos": "uint8",
    "Tcmd": "uint8",
}
TEXTS: Final = frozenset(["VisString32", "VisString64", "VisString65", "VisString129", "VisString255", "Unicode255"])
PLATES: Final = frozenset(
    f"{plate}.{part}"
    for plate in ("NamPlt", "PhyNam")
    for part in ("vendor", "swRev", "configRev", "hwRev", "serNum", "model", "location", "owner")
)
READ: Final = frozenset(["MX", "ST", "SP"])
COUNTERS: Final = frozenset(["actVal", "frVal"])  # of CDC BCR
DOUBLE_POINT: Final = {0: "intermediate", 1: "off", 2: "on", 3: "bad"}
_UNITS: Final = {
    "°C": "degC",
    "VAr": "var",
    "Vars": "var",
    "VArh": "varh",
    "m²": "m2",
    "m³": "m3",
    "Ω": "ohm",
    "none": "",
    "dimensionless": "",
}
_PREFIXES: Final[Mapping[str, str]] = {  # IEC 61850-7-3, MultiplierKind
    "-24": "y", "-21": "z", "-18": "a", "-15": "f", "-12": "p", "-9": "n", "-6": "µ", "-3": "m", "-2": "c", "-1": "d", "1": "da", "2": "h",
    "3": "k", "6": "M", "9": "G", "12": "T", "15": "P", "18": "E", "21": "Z", "24": "Y",
}  # fmt: skip
_SI_UNITS: Final[Mapping[int, str]] = {  # IEC 61850-7-3, SIUnitKind
    **dict(enumerate(["m", "kg", "s", "A", "K", "mol", "cd", "deg", "rad", "sr"], 2)),
    **dict(enumerate([
        "Gy", "Bq", "°C", "Sv", "F", "C", "S", "H", "V", "ohm", "J", "N", "Hz", "lx", "Lm", "Wb", "T", "W", "Pa", "m²", "m³", "m/s", "m/s²",
        "m³/s", "m/m³", "M", "kg/m³", "m²/s", "W/m K", "J/K", "ppm", "1/s", "rad/s", "W/m²", "J/m²", "S/m", "K/s", "Pa/s", "J/kg K", "VA",
        "Watts", "VAr", "phi", "cos(phi)", "Vs", "V²", "As", "A²", "A²t", "VAh", "Wh", "VArh", "V/Hz", "Hz/s", "char", "char/s", "kgm²", "dB",
        "J/Wh", "W/s", "l/s", "dBm", "h", "min", "Ohm/m", "percent/s", "A/V", "A/Vs",
    ], 21)),
}  # fmt: skip
_SHORT: Final = {  # what a tag's name says of the attribute
    "stVal": "",
    "general": "",
    "actVal": "",
    "setVal": "",
    "mag": "",
    "mxVal": "",
    "setMag": "",
    "cVal.mag": "",
    "cVal.ang": "angle",
    "instMag": "inst",
    "instCVal.mag": "inst",
    "instCVal.ang": "inst_angle",
    "frVal": "frozen",
}


@dataclass(frozen=True, slots=True)
class Found:
    """One attribute of a device. kind: basic type of IEC 61850-7-2. scale: of a counter's pulses, as text. note: what the maker says of it."""

    domain: str
    node: str
    object: str
    attribute: str
    constraint: str
    kind: str
    unit: str = ""
    labels: Mapping[int, str] = field(default_factory=dict)
    note: str = ""
    scale: str = ""


@dataclass(frozen=True, slots=True)
class Described:
    """A device as far as a map needs it. reports: (domain, "LLN0.BR.brcb01")."""

    ied: str
    domains: tuple[str, ...]
    found: tuple[Found, ...]
    reports: tuple[tuple[str, str], ...]
    maker: str = ""
    model: str = ""


def unit_of(multiplier: str, unit: str) -> str:
    """ "k", "W" -> "kW". Both as names or as the numbers of their enumerations."""
    multiplier, unit = multiplier.strip(), unit.strip()
    if unit.isascii() and unit.isdigit():
        unit = _SI_UNITS.get(int(unit), "")
    unit = _UNITS.get(unit, unit)
    prefix = _PREFIXES.get(multiplier, multiplier)
    return (prefix if prefix in _PREFIXES.values() else "") + unit if unit else ""


def device_map_text(name: str, device: Described, source: str, *, scl: str = "") -> str:
    """Raises ValueError where nothing of the device can be carried."""
    tags = [one for one in device.found if is_value(one)]
    texts = [one for one in device.found if one.kind in TEXTS and f"{one.object}.{one.attribute}" in PLATES]
    if not tags:
        raise ValueError(f'device "{device.ied}" has no value that can be carried')
    own_names = not device.ied or any(not one.startswith(device.ied) or one == device.ied for one in device.domains)
    ied = "" if own_names else device.ied
    domain = tags[0].domain
    taken: set[str] = set()
    lines = [
        f"device_map = {quoted(name)}",
        f"maker = {quoted(device.maker or 'unknown')}",
        f"models = [{quoted(device.model or device.ied or name)}]",
        f"source = {quoted(source)}",
        'caveats = ["made from the device\'s own description: look through tags, units and intervals before use"]',
        "",
        "[iec61850]",
        f"ied = {quoted(ied)}",
        f"ld = {quoted(domain.removeprefix(ied))}",
        *_reports(device, ied, domain),
        *([f"scl = {quoted(scl)}"] if scl else []),
    ]
    several = len({one.domain for one in tags}) > 1
    for one in tags:
        lines += _tag(one, _name(one, ied, several, taken), _at(one, ied, domain))
    for one in texts:
        taken_name = _unique(_words(one.domain.removeprefix(ied), one.node, one.object, one.attribute), taken)
        lines += ["", "[[texts]]", f"name = {quoted(taken_name)}", f"at = {quoted(_at(one, ied, domain))}"]
    return "\n".join(lines) + "\n"


def is_value(one: Found) -> bool:
    return one.constraint in READ and one.kind in CARRIED and one.attribute.partition(".")[0] in VALUE_ATTRIBUTES


def _reports(device: Described, ied: str, domain: str) -> list[str]:
    names = [block if home == domain else f"{home.removeprefix(ied)}/{block}" for home, block in device.reports]
    return [f"reports = [{', '.join(map(quoted, names))}]"] if names else ['mode = "poll"']


def _at(one: Found, ied: str, domain: str) -> str:
    home = "" if one.domain == domain else one.domain.removeprefix(ied) + "/"
    return f"{home}{one.node}.{one.object}.{one.attribute}[{one.constraint}]"


def _tag(one: Found, name: str, at: str) -> Iterable[str]:
    labels = one.labels or (DOUBLE_POINT if one.kind == "Dbpos" else {})
    yield from ("", "[[tags]]", f"name = {quoted(name)}", f"at = {quoted(at)}", f"type = {quoted(CARRIED[one.kind])}")
    unit = "deg" if ".ang." in f".{one.attribute}." else one.unit  # IEC 61850-7-3: angles are in degrees, whatever the magnitude's unit
    if unit:
        yield f"unit = {quoted(unit)}"
    if labels:
        yield f"labels = {{ {', '.join(f'{quoted(str(number))} = {quoted(label)}' for number, label in labels.items())} }}"
    if one.attribute in COUNTERS:
        yield "counter = true"
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", one.scale) and float(one.scale) not in (0, 1):
            yield f"scale = {float(one.scale)!r}"  # pulsQty: what one count means
    if one.note:
        yield f"vendor = {quoted(one.note)}"


def _name(one: Found, ied: str, several: bool, taken: set[str]) -> str:
    base = one.attribute.removesuffix(".f").removesuffix(".i")
    home = [one.domain.removeprefix(ied)] if several else []
    return _unique(_words(*home, one.node, one.object, _SHORT.get(base, base)), taken)


def _words(*parts: str) -> str:
    return re.sub(r"[^0-9a-z]+", "_", "_".join(filter(None, parts)).lower()).strip("_")


def _unique(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    taken.add(free)
    return free


def first_instances(reports: Sequence[tuple[str, str, str]]) -> tuple[tuple[str, str], ...]:
    """Of (domain, block, data set) those to use: one block per data set, a buffered one where there is one."""
    chosen: dict[str, tuple[str, str]] = {}
    for domain, block, data_set in sorted(reports, key=lambda report: ".BR." not in report[1]):
        if data_set:
            chosen.setdefault(data_set, (domain, block))
    return tuple(chosen.values())
