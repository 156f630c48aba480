"""What an IEC 61850 device map and device may say, and what its addresses mean. Pure: no native library, no network.

`at` is "MMXU1.TotW.mag.f[MX]": logical node, data object (with sub-objects), value attribute, functional constraint. Quality `q` and time
`t` stand beside the value in the same data object and are read with it.
"""

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from protocols import quality
from protocols.devicemap import DeviceMap, TagType
from protocols.tomlfile import Section

_AT: Final = re.compile(r"([A-Za-z]\w*)\.([A-Za-z][\w.]*)\[(MX|ST|SP|SV)\]")
_REPORT: Final = re.compile(r"[A-Za-z]\w*\.(BR|RP)\.[A-Za-z]\w*")
# IEC 61850-7-3: the attributes of a data object that hold its value. What stands before the first of them is the data object.
_VALUE_ATTRIBUTES: Final = frozenset(
    [
        "mag",
        "instMag",
        "cVal",
        "instCVal",
        "stVal",
        "general",
        "actVal",
        "frVal",
        "posVal",
        "valWTr",
        "setMag",
        "setVal",
        "subMag",
        "subVal",
    ]
)


class Mode(enum.StrEnum):
    """report: the device reports changes (buffered where it can); poll: each tag is read at its interval."""

    REPORT = "report"
    POLL = "poll"


@dataclass(frozen=True, slots=True)
class Options:
    """ied + ld name the logical device. report: report control block as "LLN0.BR.brcb01". integrity_us 0 = no integrity reports."""

    ied: str
    ld: str
    mode: Mode = Mode.REPORT
    report: str = "LLN0.BR.brcb01"
    integrity_us: int = 0
    every_us: int = 1_000_000

    @property
    def domain(self) -> str:
        return self.ied + self.ld


@dataclass(frozen=True, slots=True)
class Settings:
    timeout_us: int = 4_000_000


@dataclass(frozen=True, slots=True)
class Point:
    """Where a tag's value stands: logical node, data object, value attribute below it, functional constraint."""

    node: str
    object: str
    attribute: str
    constraint: str


def parse_options(section: Section) -> Options:
    options = Options(
        ied=section.text("ied"),
        ld=section.text("ld"),
        mode=Mode(section.choice("mode", [mode.value for mode in Mode], "report")),
        report=section.text("report", "LLN0.BR.brcb01"),
        integrity_us=section.duration_us("integrity", "0s"),
        every_us=section.duration_us("every", "1s"),
    )
    if not _REPORT.fullmatch(options.report):
        raise section.error("report", f'"report": expected a report control block such as "LLN0.BR.brcb01", found "{options.report}"')
    if options.every_us < 10_000:
        raise section.error("every", '"every": expected at least 10ms')
    return options


def parse_settings(section: Section) -> Settings:
    settings = Settings(timeout_us=section.duration_us("timeout", "4s"))
    if settings.timeout_us < 100_000:
        raise section.error("timeout", '"timeout": expected at least 100ms')
    return settings


def problems(device_map: DeviceMap) -> Iterable[tuple[int, str]]:
    seen: dict[str, str] = {}
    for index, tag in enumerate(device_map.tags):
        try:
            parse_point(tag.at)
        except ValueError as error:
            yield index, str(error)
        if tag.at in seen:
            yield index, f'address "{tag.at}" is already read by tag "{seen[tag.at]}"'
        seen.setdefault(tag.at, tag.name)
        if tag.type in (TagType.INT64, TagType.UINT64):
            yield index, f"{tag.type.value} is not read over IEC 61850; use an integer of up to 32 bits or a float"
        if tag.quality_at:
            yield index, "an IEC 61850 data object carries its own quality; leave out quality_at"


def parse_point(at: str) -> Point:
    """Raises ValueError with a sentence."""
    match = _AT.fullmatch(at)
    parts = match[2].split(".") if match else []
    split = next((number for number, part in enumerate(parts) if part in _VALUE_ATTRIBUTES), 0)
    if match is None or not split:
        raise ValueError(f'expected an address such as "MMXU1.TotW.mag.f[MX]", found "{at}"')
    return Point(match[1], ".".join(parts[:split]), ".".join(parts[split:]), match[3])


_VALIDITY: Final = (0, 2, 1, 3)  # libiec61850 numbers them good, reserved, invalid, questionable


def decode_quality(word: int) -> int:
    """The StatusCode of libiec61850's quality word: validity in bits 0-1, details from bit 2, substituted 10, test 11, blocked 12."""
    return quality.from_iec61850(_VALIDITY[word & 3], word >> 2 & 0xFF, substituted=bool(word & 0x400), test=bool(word & 0x1800))


def encode_quality(code: int) -> int:
    """A quality word that a device would send for this StatusCode; `decode_quality` of it is the nearest code the protocol has."""
    words = {
        quality.BAD_SENSOR_FAILURE: 2 | 0x40,
        quality.BAD_NO_COMMUNICATION: 2 | 0x80,
        quality.UNCERTAIN_LAST_USABLE: 3 | 0x80,
        quality.UNCERTAIN_UNITS_EXCEEDED: 3 | 0x08,
        quality.UNCERTAIN_SENSOR_NOT_ACCURATE: 3 | 0x200,
        quality.GOOD_LOCAL_OVERRIDE: 0x400,
    }
    return words.get(code, (0, 3, 2, 2)[code >> 30])
