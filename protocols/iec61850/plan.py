"""What an IEC 61850 device map and device may say, and what its addresses mean. Pure: no native library, no network.

`at` is "MMXU1.TotW.mag.f[MX]": logical node, data object (with sub-objects), value attribute, functional constraint; "LD1/MMXU1..." stands
in another logical device than the map's `ld`. Quality `q` and time `t` stand beside the value in the same data object and are read with it.
"""

import enum
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protocols import quality
from protocols.devicemap import DeviceMap, TagType
from protocols.tomlfile import Section

_AT: Final = re.compile(r"(?:([0-9A-Za-z_]+)/)?([A-Za-z]\w*)\.([A-Za-z][\w.]*)\[(MX|ST|SP|SV)\]")
_TEXT_AT: Final = re.compile(r"(?:([0-9A-Za-z_]+)/)?([A-Za-z]\w*\.[A-Za-z][\w.]*)\[(DC|CF|ST|MX|SP|SV|EX)\]")
_REPORT: Final = re.compile(r"(?:[0-9A-Za-z_]+/)?[A-Za-z]\w*\.(BR|RP)\.[A-Za-z]\w*")
_ADDRESS: Final = re.compile(r"(?:[^:\s]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}")
# IEC 61850-7-3: the attributes of a data object that hold its value. What stands before the first of them is the data object.
VALUE_ATTRIBUTES: Final = frozenset(
    [
        "mag",
        "instMag",
        "cVal",
        "instCVal",
        "mxVal",
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
# IEC 61850-8-1, 8.1.3.7: the quality of a time stamp; accuracy is a number of significant bits of the fraction of a second.
CLOCK_LEAP_KNOWN, CLOCK_FAILURE, CLOCK_UNSYNCHRONISED, CLOCK_ACCURACY = 0x80, 0x40, 0x20, 0x1F


class Mode(enum.StrEnum):
    """report: the device reports changes (buffered where it can); poll: each tag is read at its interval."""

    REPORT = "report"
    POLL = "poll"


@dataclass(frozen=True, slots=True)
class Options:
    """ied + ld name the logical device on the wire; ied is "" where logical devices have names of their own (SCL: ldName).

    reports: report control blocks as "LLN0.BR.brcb01". integrity_us 0 = no integrity reports. every_us: how often is read what no report
    brings, unless the tag says otherwise. dynamic: a block without data set gets one of ours. scl: the file that the map was made from.
    """

    ied: str
    ld: str
    mode: Mode = Mode.REPORT
    reports: tuple[str, ...] = ("LLN0.BR.brcb01",)
    integrity_us: int = 0
    every_us: int = 1_000_000
    dynamic: bool = False
    scl: Path | None = None

    @property
    def domain(self) -> str:
        return self.ied + self.ld

    def domain_of(self, ld: str) -> str:
        """ld: as in an address, "" for the map's own."""
        return self.ied + (ld or self.ld)

    def block(self, report: str) -> str:
        """The reference of a report control block on the wire."""
        ld, slash, rest = report.rpartition("/")
        return f"{self.domain_of(ld if slash else '')}/{rest}"


@dataclass(frozen=True, slots=True)
class Tls:
    """IEC 62351-3. ca_file: whom we trust; certificate_file, key_file: who we are; server_certificate_file: only this peer, if given;
    crl_file: who is trusted no longer."""

    ca_file: Path
    certificate_file: Path
    key_file: Path
    server_certificate_file: Path | None = None
    crl_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """originator: how we name ourselves to the device in a control. interlock_check, synchro_check: the device is asked to make them."""

    timeout_us: int = 4_000_000
    tls: Tls | None = None
    originator: str = "qenergyz"
    interlock_check: bool = True
    synchro_check: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """A tag's own keys. every_us: 0 = as the map says."""

    every_us: int = 0


@dataclass(frozen=True, slots=True)
class Point:
    """Where a tag's value stands: logical node, data object, value attribute below it, functional constraint; ld "" = the map's."""

    node: str
    object: str
    attribute: str
    constraint: str
    ld: str = ""


def parse_options(section: Section) -> Options:
    if "reports" in section and "report" in section:
        raise section.error("report", '"report" and "reports" say the same; keep "reports"')
    single = section.text("report", "LLN0.BR.brcb01")
    reports = tuple(section.texts("reports", [])) or (single,)
    scl = section.text("scl", "")
    options = Options(
        ied=section.text("ied"),
        ld=section.text("ld"),
        mode=Mode(section.choice("mode", [mode.value for mode in Mode], "report")),
        reports=reports,
        integrity_us=section.duration_us("integrity", "0s"),
        every_us=section.duration_us("every", "1s"),
        dynamic=section.boolean("dynamic", False),
        scl=section.path.parent / scl if scl else None,
    )
    key = "reports" if "reports" in section else "report"
    for report in reports:
        if not _REPORT.fullmatch(report):
            raise section.error(key, f'"{key}": expected a report control block such as "LLN0.BR.brcb01", found "{report}"')
    if len({block_key(options.block(report)) for report in reports}) < len(reports):
        raise section.error(key, f'"{key}": a report control block is named twice')
    if options.every_us < 10_000:
        raise section.error("every", '"every": expected at least 10ms')
    if options.integrity_us and options.integrity_us < 100_000:
        raise section.error("integrity", '"integrity": expected at least 100ms, or 0s for none')
    return options


def parse_settings(section: Section) -> Settings:
    settings = Settings(
        timeout_us=section.duration_us("timeout", "4s"),
        tls=_tls(section),
        originator=section.text("originator", "qenergyz"),
        interlock_check=section.boolean("interlock_check", True),
        synchro_check=section.boolean("synchro_check", False),
    )
    if "address" in section and not _ADDRESS.fullmatch(section.text("address")):
        raise section.error("address", f'"address": expected host:port such as "192.0.2.41:102", found "{section.text("address")}"')
    if settings.timeout_us < 100_000:
        raise section.error("timeout", '"timeout": expected at least 100ms')
    if not 0 < len(settings.originator.encode()) <= 64:
        raise section.error("originator", '"originator": expected 1 to 64 bytes')
    return settings


def _tls(section: Section) -> Tls | None:
    keys = ("ca_file", "certificate_file", "key_file")
    given = {key: section.text(key, "") for key in (*keys, "server_certificate_file", "crl_file")}
    if not any(given.values()):
        return None
    for key in keys:
        if not given[key]:
            raise section.error(key, f'TLS needs "ca_file", "certificate_file" and "key_file"; "{key}" is missing')
    ca, own, private, *others = (section.path.parent / text if text else None for text in given.values())
    assert ca and own and private
    return Tls(ca, own, private, *others)


def parse_tag(section: Section, _: TagType) -> Look:
    return Look(section.duration_us("every", "1s") if "every" in section else 0)


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
        if tag.type is TagType.UINT64:
            yield index, "IEC 61850 has no uint64; use int64"
        if tag.quality_at:
            yield index, "an IEC 61850 data object carries its own quality; leave out quality_at"
        if isinstance(tag.extra, Look) and 0 < tag.extra.every_us < 10_000:
            yield index, '"every": expected at least 10ms'


def parse_point(at: str) -> Point:
    """Raises ValueError with a sentence."""
    match = _AT.fullmatch(at)
    parts = match[3].split(".") if match else []
    split = next((number for number, part in enumerate(parts) if part in VALUE_ATTRIBUTES), 0)
    if match is None or not split:
        raise ValueError(f'expected an address such as "MMXU1.TotW.mag.f[MX]", found "{at}"')
    return Point(match[2], ".".join(parts[:split]), ".".join(parts[split:]), match[4], match[1] or "")


def parse_text(at: str) -> tuple[str, str, str]:
    """Logical device ("" = the map's), reference below it, functional constraint of "LPHD1.PhyNam.serNum[DC]". Raises ValueError."""
    match = _TEXT_AT.fullmatch(at)
    if match is None:
        raise ValueError(f'expected an address such as "LPHD1.PhyNam.serNum[DC]", found "{at}"')
    return match[1] or "", match[2], match[3]


def text_problems(device_map: DeviceMap) -> Iterable[tuple[int, str]]:
    """What is wrong with the texts of a map: position and sentence."""
    for index, text in enumerate(device_map.texts):
        try:
            parse_text(text.at)
        except ValueError as error:
            yield index, str(error)


def block_key(reference: str) -> int:
    """16 bits that stand for a report control block in what is kept with its frames."""
    return zlib.crc32(reference.encode()) & 0xFFFF


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
