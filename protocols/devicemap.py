"""What is read: device maps, devices and the tag table.

A device map (`firmware_configs/devices/<id>.toml`) says once which tags a make of device has; a device is one box with an address
that uses a map; the tag table lists every tag of a gateway with its id and travels, by digest, with every batch.
Not for reading devices: addresses (`at`) are checked and understood by `protocols/<protocol>/plan.py`.

Engineering value = raw * scale + offset, in the tag's unit.
"""

import enum
import functools
import hashlib
import importlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from sys import intern
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocols.frame import Priority
from protocols.tomlfile import Section, TomlFile, nearest

PROTOCOLS: Final = ("modbus", "opcua", "mqtt", "iec61850")
SHIPPED: Final = Path(__file__).resolve().parent.parent / "firmware_configs" / "devices"

ONE: Final = Decimal(1)
ZERO: Final = Decimal(0)


class TagType(enum.StrEnum):
    """The type a device gives a value in. `column` is the numpy type it is carried as."""

    BOOL = "bool"
    INT8 = "int8"
    UINT8 = "uint8"
    INT16 = "int16"
    UINT16 = "uint16"
    INT32 = "int32"
    UINT32 = "uint32"
    INT64 = "int64"
    UINT64 = "uint64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"

    @property
    def column(self) -> np.dtype[Any]:
        """int32 for everything of up to 32 bits (uint32 as its bit pattern), int64 likewise, float32, float64."""
        return _COLUMN[self]

    @property
    def native(self) -> np.dtype[Any]:
        return np.dtype(np.uint8) if self is TagType.BOOL else np.dtype(self.value)


_COLUMN: Final[Mapping[TagType, np.dtype[Any]]] = {
    **dict.fromkeys(TagType, np.dtype(np.int32)),
    TagType.INT64: np.dtype(np.int64),
    TagType.UINT64: np.dtype(np.int64),
    TagType.FLOAT32: np.dtype(np.float32),
    TagType.FLOAT64: np.dtype(np.float64),
}


@dataclass(frozen=True, slots=True)
class Thinning:
    """Which samples of a tag need not be kept: see `edge/thinning.py`. deadband: engineering units, > 0; no silence is longer than max_silence_us."""

    deadband: float
    max_silence_us: int = 60_000_000
    swinging_door: bool = False


@dataclass(frozen=True, slots=True)
class WriteRule:
    """What may be written to a tag at all, in engineering units. A site allows it by naming the tag in its device's `writable`. arm: in two steps."""

    low: float
    high: float
    arm: bool = True


@dataclass(frozen=True, slots=True)
class Tag:
    """One measured quantity of a device map.

    at: address in the protocol's own words. type: as carried (`extra` may say how it looks on the wire). every_us: poll or publishing
    interval. invalid: raw value by which the device says "no value" (becomes BAD_SENSOR_FAILURE). quality_at: address of a word that is
    0 good, 1 uncertain, 2 bad. labels: names of the numbers of an enumeration. counter: rises only; rollover: the raw number after the
    highest, where it begins at 0 again. extra: the protocol's own keys, as parsed by `protocols/<protocol>/plan.py: parse_tag`.
    """

    name: str
    at: str
    type: TagType
    unit: str = ""
    scale: Decimal = ONE
    offset: Decimal = ZERO
    every_us: int = 1_000_000
    range: tuple[float, float] | None = None
    invalid: int | None = None
    quality_at: str = ""
    vendor: str = ""
    labels: Mapping[int, str] = field(default_factory=dict)
    counter: bool = False
    rollover: int | None = None
    thinning: Thinning | None = None
    write: WriteRule | None = None
    extra: Any = None


@dataclass(frozen=True, slots=True)
class Text:
    """A text that a device shows (serial number, product code): read at connect and every `every_us`, told as an event when it changes.

    length: bytes that it takes, where the protocol does not say (Modbus: two per register).
    """

    name: str
    at: str
    length: int = 0
    every_us: int = 3_600_000_000


@dataclass(frozen=True, slots=True)
class DeviceMap:
    """options: the protocol's own table of the file, parsed by `protocols/<protocol>/plan.py: parse_options`. source: where the list comes from."""

    name: str
    maker: str
    models: tuple[str, ...]
    protocol: str
    options: Any
    tags: tuple[Tag, ...]
    golden: tuple[Mapping[str, Any], ...] = ()
    path: Path = field(default=Path(), compare=False)
    texts: tuple[Text, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True)
class Device:
    """One box. `first_id` + position in `map.tags` is a tag's id in the gateway's tag table.

    address: "host:port" (Modbus, IEC 61850), "opc.tcp://host:port/path", "mqtt://host:port". settings: what differs per box and
    protocol (unit, credentials by reference, client id), as parsed by the protocol's `parse_settings`. writable: tags that this site
    allows to be written; none unless named. priority: whose samples go first when a gateway runs out of room.
    """

    name: str
    map: DeviceMap
    address: str
    settings: Any = None
    asset: str = ""
    first_id: int = 0
    writable: frozenset[str] = frozenset()
    priority: Priority = Priority.NORMAL

    @property
    def ids(self) -> NDArray[np.uint32]:
        return np.arange(self.first_id, self.first_id + len(self.map.tags), dtype=np.uint32)


@dataclass(frozen=True, slots=True)
class TagEntry:
    """A row of the tag table: what the hub needs to read a column and name it. silence_us: see `longest_silence_us`."""

    id: int
    device: str
    tag: str
    at: str
    type: TagType
    unit: str
    scale: Decimal
    offset: Decimal
    asset: str
    protocol: str
    range: tuple[float, float] | None = None
    labels: Mapping[int, str] = field(default_factory=dict)
    rollover: int | None = None
    silence_us: int | None = None

    @property
    def name(self) -> str:
        return f"{self.device}.{self.tag}"


@dataclass(frozen=True, slots=True)
class TagTable:
    """Every tag of one gateway. `text` is canonical JSON; its SHA-256 `digest` stands in each batch."""

    gateway: str
    entries: tuple[TagEntry, ...]
    text: str
    digest: bytes

    @classmethod
    def build(cls, gateway: str, devices: Iterable[Device]) -> "TagTable":
        rows = [
            {
                "id": device.first_id + index,
                "device": device.name,
                "tag": tag.name,
                "at": tag.at,
                "type": tag.type.value,
                "unit": tag.unit,
                "scale": str(tag.scale),
                "offset": str(tag.offset),
                "asset": device.asset,
                "protocol": device.map.protocol,
                "range": list(tag.range) if tag.range else None,
                **({"labels": {str(number): label for number, label in tag.labels.items()}} if tag.labels else {}),
                **({} if tag.rollover is None else {"rollover": tag.rollover}),
                **({} if (silence_us := longest_silence_us(device.map, tag)) is None else {"silence": silence_us}),
            }
            for device in devices
            for index, tag in enumerate(device.map.tags)
        ]
        return cls.parse(json.dumps({"gateway": gateway, "tags": rows}, sort_keys=True, separators=(",", ":"), ensure_ascii=False))

    @classmethod
    def parse(cls, text: str) -> "TagTable":
        """Raises ValueError when the text is not a tag table in canonical form."""
        exact = functools.cache(Decimal)  # tags share their few scales and offsets: with 10,000 of them that is 4 MB
        try:
            document = json.loads(text)
            canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            entries = tuple(
                TagEntry(
                    id=int(row["id"]),
                    device=intern(str(row["device"])),
                    tag=str(row["tag"]),
                    at=str(row["at"]),
                    type=TagType(row["type"]),
                    unit=intern(str(row["unit"])),
                    scale=exact(row["scale"]),
                    offset=exact(row["offset"]),
                    asset=intern(str(row["asset"])),
                    protocol=intern(str(row["protocol"])),
                    range=(float(row["range"][0]), float(row["range"][1])) if row["range"] else None,
                    labels={int(number): str(label) for number, label in row["labels"].items()} if "labels" in row else {},
                    rollover=int(row["rollover"]) if "rollover" in row else None,
                    silence_us=int(row["silence"]) if "silence" in row else None,
                )
                for row in document["tags"]
            )
            gateway = str(document["gateway"])
        except (ValueError, KeyError, TypeError, IndexError, ArithmeticError) as error:
            raise ValueError(f"not a tag table: {error!r}") from error
        if canonical != text:
            raise ValueError("tag table is not in canonical form (sorted keys, no blanks)")
        if len({entry.id for entry in entries}) != len(entries) or len({entry.name for entry in entries}) != len(entries):
            raise ValueError("tag table names an id or a tag twice")
        return cls(gateway, entries, text, hashlib.sha256(text.encode()).digest())

    def by_id(self) -> dict[int, TagEntry]:
        return {entry.id: entry for entry in self.entries}


def longest_silence_us(device_map: DeviceMap, tag: Tag) -> int | None:
    """Between two samples of the tag while nothing is wrong; None where the device decides when it tells something.

    Only Modbus is polled whatever happens, and only where the gateway's own time is the sample's: a device with a clock repeats a time.
    """
    if device_map.protocol != "modbus" or getattr(device_map.options, "source_time", None) is not None:
        return None
    return tag.every_us if tag.thinning is None else tag.thinning.max_silence_us + 2 * tag.every_us


def to_engineering(raw: NDArray[Any], kind: TagType, scale: Decimal, offset: Decimal) -> NDArray[np.float64]:
    """Columns as carried -> engineering values (float64).

    A scale of 10**-n divides by the exact power instead of multiplying by its inexact inverse, so that 6082 at scale 0.01
    gives 60.82 and nothing else.
    """
    if kind in (TagType.UINT32, TagType.UINT64):
        raw = raw.view(kind.native)
    values = raw.astype(np.float64)
    if scale != 1:
        inverse = 1 / scale
        values = values / float(inverse) if inverse == inverse.to_integral_value() else values * float(scale)
    return values if offset == 0 else values + float(offset)


def to_raw(values: NDArray[np.float64], kind: TagType, scale: Decimal, offset: Decimal) -> NDArray[Any]:
    """Engineering values -> columns as carried (what a simulated device serves). Raises OverflowError outside the type; NaN is refused too."""
    if kind is TagType.FLOAT64 and scale == 1 and offset == 0:
        return values.astype(np.float64)
    inverse = 1 / scale
    shifted = values - float(offset)
    scaled = shifted * float(inverse) if inverse == inverse.to_integral_value() else shifted / float(scale)
    if kind in (TagType.FLOAT32, TagType.FLOAT64):
        return scaled.astype(kind.column)
    rounded = np.rint(scaled)
    limits = (0, 1) if kind is TagType.BOOL else (np.iinfo(kind.native).min, np.iinfo(kind.native).max)
    if not bool(np.all((rounded >= limits[0]) & (rounded <= limits[1]))):
        raise OverflowError(f"{kind.value} at scale {scale} holds {limits[0]}..{limits[1]}, found {scaled.min()}..{scaled.max()}")
    native = rounded.astype(kind.native)
    return native.view(kind.column) if native.itemsize == kind.column.itemsize else native.astype(kind.column)


def load_device_map(path: Path) -> DeviceMap:
    """Raises ConfigError with file, line and key."""
    root = TomlFile.read(path).root
    name = root.text("device_map")
    if name != path.stem:
        raise root.error("device_map", f'"device_map" must equal the file name "{path.stem}", found "{name}"')
    protocols = [word for word in PROTOCOLS if word in root]
    if len(protocols) != 1:
        raise root.error(None, f"expected exactly one of the tables {', '.join(PROTOCOLS)}, found {', '.join(protocols) or 'none'}")
    protocol = protocols[0]
    maker, models = root.text("maker"), root.texts("models")
    source = root.raw("source", "")
    for key in ("tested_with", "caveats", "version"):
        root.raw(key, None)
    options_section = root.section(protocol)
    plan = importlib.import_module(f"protocols.{protocol}.plan")
    options = plan.parse_options(options_section)
    options_section.done()
    sections = root.sections("tags")
    tags = tuple(_tag(section, getattr(plan, "parse_tag", None)) for section in sections)
    if not tags:
        raise root.error("tags", '"tags": expected at least one tag')
    text_sections = root.sections("texts", optional=True)
    texts = tuple(_text(section) for section in text_sections)
    golden = tuple(root.raw("golden", []))
    root.done()
    seen: set[str] = set()
    for section in (*sections, *text_sections):
        if (used := section.text("name")) in seen:
            raise section.error("name", f'tag "{used}": the name is used twice')
        seen.add(used)
    device_map = DeviceMap(name, maker, models, protocol, options, tags, golden, path, texts, str(source))
    for index, message in plan.problems(device_map):
        raise sections[index].error("at", f'tag "{tags[index].name}": {message}')
    for index, message in plan.text_problems(device_map):
        raise text_sections[index].error("at", f'text "{texts[index].name}": {message}')
    return device_map


def _text(section: Section) -> Text:
    text = Text(
        section.text("name"), section.text("at"), section.integer("length", 0, low=0, high=1024), section.duration_us("every", "1h")
    )
    section.raw("vendor", None)
    section.done()
    return text


def _tag(section: Section, parse_extra: Callable[[Section, TagType], Any] | None) -> Tag:
    name = section.text("name")
    kind = TagType(section.choice("type", [kind.value for kind in TagType]))
    scale, offset = _decimal(section, "scale", ONE), _decimal(section, "offset", ZERO)
    if scale == 0:
        raise section.error("scale", f'tag "{name}": a scale of 0 would make every value the same; leave the key out for 1')
    every_us = section.duration_us("every", "1s")
    if every_us <= 0:
        raise section.error("every", f'tag "{name}": "every" must be longer than nothing')
    limits = section.numbers("range", [])
    if limits and (len(limits) != 2 or not limits[0] < limits[1]):
        raise section.error("range", f'tag "{name}": "range" is [lowest, highest] in engineering units, found {list(limits)}')
    span = (limits[0], limits[1]) if limits else None
    if span and not _reachable(kind, scale, offset, span):
        raise section.error(
            "scale", f'tag "{name}": {kind.value} at scale {scale} and offset {offset} cannot reach any value of the range {list(limits)}'
        )
    tag = Tag(
        name=name,
        at=section.text("at"),
        type=kind,
        unit=section.text("unit", ""),
        scale=scale,
        offset=offset,
        every_us=every_us,
        range=span,
        invalid=section.integer("invalid", None),
        quality_at=section.text("quality_at", ""),
        vendor=section.text("vendor", ""),
        labels=_labels(section),
        counter=section.boolean("counter", False),
        rollover=section.integer("rollover", None, low=2),
        write=_write(section),
        extra=parse_extra(section, kind) if parse_extra else None,
    )
    if tag.rollover is not None and not tag.counter:
        raise section.error("rollover", f'tag "{name}": "rollover" is for a counter; add counter = true')
    tag = replace(tag, thinning=_thinning(section, tag))
    section.done()
    return tag


def _labels(section: Section) -> dict[int, str]:
    table = section.section("labels", optional=True)
    labels: dict[int, str] = {}
    for key in section.raw("labels", {}):
        try:
            labels[int(key)] = table.text(key)
        except ValueError as error:
            raise table.error(key, f'"labels": expected numbers with their names, found "{key}"') from error
    return labels


def _write(section: Section) -> WriteRule | None:
    if "write" not in section:
        return None
    table = section.section("write")
    rule = WriteRule(table.number("min"), table.number("max"), table.boolean("arm", True))
    if not rule.low <= rule.high:
        raise table.error("max", f'"max" {rule.high:g} is below "min" {rule.low:g}')
    table.done()
    return rule


def _thinning(section: Section, tag: Tag) -> Thinning | None:
    """Raises for what must never be thinned: truth values, enumerations and counters."""
    silence_us = section.duration_us("max_silence", "60s")
    swinging = section.boolean("swinging_door", False)
    if "deadband" not in section:
        for key in ("max_silence", "swinging_door"):
            if key in section:
                raise section.error(key, f'tag "{tag.name}": "{key}" needs a "deadband"')
        return None
    deadband = section.number("deadband")
    if not 0 < deadband < float("inf"):
        raise section.error("deadband", f'tag "{tag.name}": "deadband" must be above 0 {tag.unit}, found {deadband}')
    if tag.type is TagType.BOOL or tag.labels or tag.counter:
        raise section.error("deadband", f'tag "{tag.name}": a truth value, enumeration or counter is never thinned; leave out "deadband"')
    if silence_us <= 0:
        raise section.error("max_silence", f'tag "{tag.name}": "max_silence" must be longer than nothing')
    return Thinning(deadband, silence_us, swinging)


def _decimal(section: Section, key: str, default: Decimal) -> Decimal:
    """Through the shortest decimal text of the number, so that 0.1 means one tenth."""
    number = section.number(key, None)
    return default if number is None else Decimal(repr(number))


def _reachable(kind: TagType, scale: Decimal, offset: Decimal, span: tuple[float, float]) -> bool:
    if kind in (TagType.FLOAT32, TagType.FLOAT64):
        return True
    limits = (0, 1) if kind is TagType.BOOL else (np.iinfo(kind.native).min, np.iinfo(kind.native).max)
    ends = sorted(float(Decimal(int(limit)) * scale + offset) for limit in limits)
    return ends[0] <= span[1] and span[0] <= ends[1]


class DeviceMaps:
    """Finds maps by name: beside the gateway's file first, then those that ship with the product. Each is loaded once."""

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        self._folders = (*folders, SHIPPED)
        self._loaded: dict[str, DeviceMap] = {}

    def names(self) -> Iterator[str]:
        for folder in self._folders:
            yield from (path.stem for path in sorted(folder.glob("*.toml")))

    def get(self, name: str, asked_by: Section, key: str) -> DeviceMap:
        if name not in self._loaded:
            path = next((folder / f"{name}.toml" for folder in self._folders if (folder / f"{name}.toml").is_file()), None)
            if path is None:
                raise asked_by.error(
                    key, f'device map "{name}" not found{nearest(name, self.names())} Looked in {", ".join(map(str, self._folders))}.'
                )
            self._loaded[name] = load_device_map(path)
        return self._loaded[name]


def parse_devices(sections: Sequence[Section], maps: DeviceMaps) -> tuple[Device, ...]:
    """The `[[device]]` tables of a gateway or scenario file. Raises ConfigError."""
    devices: list[Device] = []
    first_id = 0
    for section in sections:
        name = section.text("name")
        if any(device.name == name for device in devices):
            raise section.error("name", f'device "{name}": the name is used twice')
        device_map = maps.get(section.text("map"), section, "map")
        plan = importlib.import_module(f"protocols.{device_map.protocol}.plan")
        writable = _writable(section, device_map)
        devices.append(
            Device(
                name=name,
                map=device_map,
                address=section.text("address"),
                settings=plan.parse_settings(section),
                asset=section.text("asset", ""),
                first_id=first_id,
                writable=writable,
                priority=Priority[section.choice("priority", ("bulk", "normal", "critical"), "normal").upper()],
            )
        )
        first_id += len(device_map.tags)
        section.done()
    return tuple(devices)


def _writable(section: Section, device_map: DeviceMap) -> frozenset[str]:
    names = section.texts("writable", [])
    rules = {tag.name: tag.write for tag in device_map.tags}
    for name in names:
        if name not in rules:
            raise section.error("writable", f'"writable": map "{device_map.name}" has no tag "{name}"{nearest(name, rules)}')
        if rules[name] is None:
            raise section.error("writable", f'"writable": tag "{name}" has no "write" with its limits in map "{device_map.name}"')
    return frozenset(names)
