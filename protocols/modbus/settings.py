"""What may be set about a Modbus device: the `modbus` table of its map, keys of its tags, and its own keys in the gateway's file. Pure.

Word order of values of two or four registers, for a value with the bytes A B C D (E F G H) from high to low:
ABCD as the standard has it; CDAB registers reversed (GHEFCDAB); BADC bytes swapped inside each register (BADCFEHG);
DCBA both, little-endian (HGFEDCBA). Values of one register are always high byte first.
"""

import enum
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from protocols.devicemap import Tag, TagType
from protocols.modbus.address import Area, Span, parse_address, words
from protocols.modbus.ask import FILE_WORDS
from protocols.modbus.endpoint import Transport, parse_endpoint
from protocols.tomlfile import Section

MAX_WORDS: Final = 125  # Modbus AP v1.1b3, 6.3
MAX_BITS: Final = 2000  # Modbus AP v1.1b3, 6.1
TIME_WORDS: Final = 4
_WHOLE: Final = tuple(kind for kind in TagType if kind not in (TagType.BOOL, TagType.FLOAT32, TagType.FLOAT64))
_BCD: Final = (TagType.UINT16, TagType.UINT32, TagType.UINT64)


class WordOrder(enum.StrEnum):
    ABCD = "ABCD"
    CDAB = "CDAB"
    BADC = "BADC"
    DCBA = "DCBA"

    @property
    def low_word_first(self) -> bool:
        return self in (WordOrder.CDAB, WordOrder.DCBA)

    @property
    def low_byte_first(self) -> bool:
        return self in (WordOrder.BADC, WordOrder.DCBA)


@dataclass(frozen=True, slots=True)
class ModbusOptions:
    """The `modbus` table of a device map.

    source_time: a uint64 of microseconds since the epoch, in the map's word order, that stamps everything the device shows;
    it must change whenever a value does. base: number of the first register (0, or 1 with one-based addressing).
    """

    base: int = 0
    word_order: WordOrder = WordOrder.ABCD
    max_words: int = MAX_WORDS
    max_bits: int = MAX_BITS
    max_gap: int = 8
    timeout_us: int = 1_000_000
    min_pause_us: int = 0
    source_time: Span | None = None

    def most(self, area: Area) -> int:
        """Registers, bits or records that one request may ask for."""
        if area.of_bits:
            return self.max_bits
        return min(self.max_words, FILE_WORDS) if area is Area.FILE else self.max_words


@dataclass(frozen=True, slots=True)
class Credentials:
    """For tls:// endpoints, each a PEM file. role: the one that our own certificate must carry (MODBUS/TCP Security, 8.2), "" = any."""

    ca_file: Path
    certificate_file: Path
    key_file: Path
    server_name: str = ""
    role: str = ""


@dataclass(frozen=True, slots=True)
class ModbusSettings:
    """The device's own keys. max_words ... min_pause_us: instead of what its map says. retries: of a read, where datagrams or bytes get lost."""

    unit: int = 1
    max_words: int | None = None
    max_gap: int | None = None
    timeout_us: int | None = None
    min_pause_us: int | None = None
    retries: int = 1
    tls: Credentials | None = None

    def over(self, options: ModbusOptions) -> ModbusOptions:
        own = {key: getattr(self, key) for key in ("max_words", "max_gap", "timeout_us", "min_pause_us") if getattr(self, key) is not None}
        return replace(options, **own) if own else options


@dataclass(frozen=True, slots=True)
class Look:
    """How a tag looks in the registers where that is not its type.

    form: the integer that stands there, of which value = integer * 10 ** (int16 at scale_at); None = the tag's type. bcd: decimal digits,
    four per register. word_order: None = the map's.
    """

    form: TagType | None = None
    bcd: bool = False
    scale_at: str = ""
    word_order: WordOrder | None = None


PLAIN: Final = Look()


def look_of(tag: Tag) -> Look:
    look: Look = tag.extra or PLAIN
    return look


def form_of(tag: Tag) -> TagType:
    """The type that stands in the registers."""
    return look_of(tag).form or tag.type


def order_of(tag: Tag, options: ModbusOptions) -> WordOrder:
    return look_of(tag).word_order or options.word_order


def parse_tag(section: Section, kind: TagType) -> Look | None:
    """None for a tag that stands in the registers as it is carried. Raises ConfigError."""
    form = section.choice("form", ("bcd", *_WHOLE), "") if "form" in section else ""
    scale_at = section.text("scale_at", "")
    order = WordOrder(section.choice("word_order", tuple(WordOrder))) if "word_order" in section else None
    if form == "bcd" and (kind not in _BCD or scale_at):
        raise section.error("form", f'"form": bcd is carried as {", ".join(_BCD)} and without scale_at, found type {kind.value}')
    if bool(scale_at) != (form not in ("", "bcd")):
        raise section.error("form" if form else "scale_at", '"form" (the integer in the registers) and "scale_at" go together')
    if scale_at and kind is not TagType.FLOAT64:
        raise section.error("scale_at", f'"scale_at": what it scales is carried as float64, found type {kind.value}')
    if not form and order is None:
        return None
    return Look(None if form in ("", "bcd") else TagType(form), form == "bcd", scale_at, order)


def parse_options(section: Section) -> ModbusOptions:
    base = 1 if section.choice("addressing", ("zero_based", "one_based"), "zero_based") == "one_based" else 0
    timeout_us = _timeout(section, "1s")
    where = section.text("source_time", "")
    source_time = None
    if where:
        try:
            source_time = parse_address(where, base).span(TIME_WORDS)
            check_registers(source_time, where)
        except ValueError as error:
            raise section.error("source_time", f'"source_time": {error}') from error
    return ModbusOptions(
        base=base,
        word_order=WordOrder(section.choice("word_order", tuple(WordOrder), WordOrder.ABCD)),
        max_words=section.integer("max_words", MAX_WORDS, low=TIME_WORDS, high=MAX_WORDS),
        max_bits=section.integer("max_bits", MAX_BITS, low=1, high=MAX_BITS),
        max_gap=section.integer("max_gap", 8, low=0, high=MAX_WORDS),
        timeout_us=timeout_us,
        min_pause_us=section.duration_us("min_pause", "0ms"),
        source_time=source_time,
    )


def _timeout(section: Section, *default: str) -> int:
    timeout_us = section.duration_us("timeout", *default)
    if timeout_us <= 0:
        raise section.error("timeout", '"timeout" must be longer than nothing')
    return timeout_us


def parse_settings(section: Section) -> ModbusSettings:
    try:
        endpoint = parse_endpoint(section.text("address"))
    except ValueError as error:
        raise section.error("address", f'"address": {error}') from error
    framed = endpoint.transport in (Transport.SERIAL, Transport.RTU_TCP)  # 0 is for everybody and never answered, 248 up are reserved
    return ModbusSettings(
        unit=section.integer("unit", 1, low=1 if framed else 0, high=247 if framed else 255),
        max_words=section.integer("max_words", None, low=TIME_WORDS, high=MAX_WORDS),
        max_gap=section.integer("max_gap", None, low=0, high=MAX_WORDS),
        timeout_us=_timeout(section) if "timeout" in section else None,
        min_pause_us=section.duration_us("min_pause") if "min_pause" in section else None,
        retries=section.integer("retries", 1, low=0, high=5),
        tls=_credentials(section, endpoint.transport),
    )


def _credentials(section: Section, transport: Transport) -> Credentials | None:
    """Paths are relative to the gateway's file."""
    keys = ("ca_file", "certificate_file", "key_file", "server_name", "role")
    if transport is not Transport.TLS:
        for key in keys:
            if key in section:
                raise section.error(key, f'"{key}" is for addresses that begin with tls://')
        return None
    folder = section.path.parent
    ca_file, certificate_file, key_file = (folder / section.text(key) for key in keys[:3])
    return Credentials(ca_file, certificate_file, key_file, section.text("server_name", ""), section.text("role", ""))


def check_registers(span: Span, text: str) -> None:
    """Raises ValueError for what is no run of registers."""
    if span.area.of_bits:
        raise ValueError(f'"{text}" is a single bit; expected a holding or input register')
    last = span.record + span.count - 1
    if last > 0xFFFF:
        raise ValueError(f'"{text}" with {span.count} registers ends above register 65535')


def registers(tag: Tag) -> int:
    return words(form_of(tag))
