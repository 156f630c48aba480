"""SunSpec model (JSON of the SunSpec Alliance's model collection) -> Modbus device map text.

Where a model stands in a device is the device's own affair: `base` is the register (zero-based) of the model's ID point. Points with a
scale factor become float64 by `scale_at`; "not implemented" is the type's sentinel (SunSpec Information Model Specification 1.9, 4.7).
Repeating groups are laid out `repeat` times. Pads, scale factors and the model's own header are no tags.
"""

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from edge.importers.draft import Draft, ImportFailed, Keys, plain_name, unique

_TYPES: Final = {
    "int16": ("int16", -0x8000), "uint16": ("uint16", 0xFFFF), "acc16": ("uint16", None), "count": ("uint16", None),
    "enum16": ("uint16", 0xFFFF), "bitfield16": ("uint16", 0xFFFF), "raw16": ("uint16", None),
    "int32": ("int32", -0x80000000), "uint32": ("uint32", 0xFFFFFFFF), "acc32": ("uint32", None), "enum32": ("uint32", 0xFFFFFFFF),
    "bitfield32": ("uint32", 0xFFFFFFFF), "int64": ("int64", -0x8000000000000000), "uint64": ("uint64", 0xFFFFFFFFFFFFFFFF),
    "acc64": ("uint64", None), "float32": ("float32", None), "float64": ("float64", None),
}  # fmt: skip
_COUNTERS: Final = {"acc16": 1 << 16, "acc32": 1 << 32, "acc64": 1 << 64}
_NO_TAGS: Final = ("pad", "sunssf", "ipaddr", "ipv6addr", "eui48", "bitfield64")
_UNITS: Final = {
    "Pct": "%",
    "C": "degC",
    "Deg": "deg",
    "PF": "",
    "Tms": "s",
    "Secs": "s",
    "VA": "VA",
    "HPa": "hPa",
    "mps": "m/s",
    "kO": "kOhm",
    "Vm": "V/m",
    "%WHRtg": "%",
}
_HEADER: Final = 2  # registers of ID and L


def import_sunspec(paths: Sequence[Path], *, name: str, maker: str, base: int, repeat: int = 1, every: str = "1s") -> str:
    """Models that follow each other in the device, the first at `base`. Raises ImportFailed."""
    labels: list[str] = []
    at = base
    rows = _Rows(paths[0], repeat)
    for path in paths:
        group = _read(path)
        labels.append(f"model {group['points'][0].get('value', '?')} ({group.get('label', group['name'])}) at register {at}")
        rows.path = path
        try:
            at = _lay_out(group, at, rows)
        except ImportFailed as error:
            raise error if str(path) in str(error) else ImportFailed(f"{path}: {error}") from error
    names = unique(str(row["name"]) for row in (*rows.tags, *rows.texts))
    tags = [{**row, "name": named} for row, named in zip(rows.tags, names, strict=False)]
    texts = [{**row, "name": named} for row, named in zip(rows.texts, names[len(tags) :], strict=True)]
    if every != "1s":
        tags = [{**row, "every": every} for row in tags]
    if not tags:
        raise ImportFailed(f"{paths[0]}: the model has no points that are numbers")
    draft = Draft(
        name, maker, ["SunSpec"], "SunSpec Alliance models (JSON), " + "; ".join(labels), "modbus",
        {"addressing": "zero_based", "word_order": "ABCD", "max_words": 125, "max_gap": 8}, tags, texts,
        caveats=("Where the models stand differs from device to device: read \"SunS\" at register 0, 40000 or 50000 and follow the lengths.",),
    )  # fmt: skip
    return draft.text()


def _read(path: Path) -> dict[str, Any]:
    try:
        data = path.read_bytes()
        document = json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)
        group: dict[str, Any] = document["group"]
        if not isinstance(group["points"], list) or not isinstance(group["name"], str):
            raise TypeError("points and name")
    except OSError as error:
        raise ImportFailed(f"{path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ImportFailed(f'{path}: expected a SunSpec model with "group": {{"name", "points"}}, found {error!r}') from error
    return group


@dataclass(slots=True)
class _Rows:
    path: Path
    repeat: int
    tags: list[Keys] = field(default_factory=list)
    texts: list[Keys] = field(default_factory=list)


def _lay_out(group: dict[str, Any], at: int, rows: _Rows, prefix: str = "", scales: Mapping[str, int] = MappingProxyType({})) -> int:
    """Tags of a group from register `at` on; the register after it. Scale factors of the groups around it hold inside."""
    known = {**scales, **dict(_scales(group, at))}
    at = _points(group, at, prefix, known, rows)
    for part in group.get("groups", ()):
        count = part.get("count", 1)
        times = count if isinstance(count, int) and count else rows.repeat
        for number in range(1, times + 1):
            inner = f"{prefix}{part['name']}_{number}_" if times > 1 or count != 1 else f"{prefix}{part['name']}_"
            at = _lay_out(part, at, rows, inner, known)
    return at


def _scales(group: dict[str, Any], at: int) -> Iterator[tuple[str, int]]:
    for point in group["points"]:
        if point.get("type") == "sunssf":
            yield str(point["name"]), at
        at += _size(group, point)


def _size(group: dict[str, Any], point: dict[str, Any]) -> int:
    """Registers. Raises ImportFailed."""
    size = point.get("size")
    if not isinstance(size, int) or size < 1 or not {"name", "type"} <= set(point):
        raise ImportFailed(f'group "{group["name"]}": expected points with name, type and size, found {point!r}')
    return size


def _points(group: dict[str, Any], at: int, prefix: str, scales: Mapping[str, int], rows: _Rows) -> int:
    for point in group["points"]:
        name, kind, size = str(point["name"]), str(point["type"]), _size(group, point)
        if kind == "string":
            rows.texts.append({"name": plain_name(prefix + name), "at": f"holding:{at}", "length": 2 * size})
        elif kind in _TYPES and not (name in ("ID", "L") and not prefix):
            rows.tags.append(_tag(point, prefix, kind, at, scales, rows.path))
        elif kind not in _NO_TAGS and kind not in _TYPES:
            raise ImportFailed(
                f'{rows.path}: point "{name}": type "{kind}" is not known; known are {", ".join((*_TYPES, "string", *_NO_TAGS))}'
            )
        at += size
    return at


def _called(point: dict[str, Any]) -> str:
    """What people call it: the description where it is short, else the label."""
    said = str(point.get("desc", ""))
    return said if 0 < len(said) <= 32 and "." not in said else str(point.get("label", point["name"]))


def _tag(point: dict[str, Any], prefix: str, kind: str, at: int, scales: Mapping[str, int], path: Path) -> Keys:
    carried, none = _TYPES[kind]
    row: dict[str, Any] = {"name": plain_name(prefix + _called(point)), "at": f"holding:{at}", "type": carried}
    if unit := point.get("units", ""):
        row["unit"] = _UNITS.get(unit, unit)
    factor = point.get("sf")
    if isinstance(factor, int) and factor:
        row["scale"] = 10.0**factor if factor < 0 else 10**factor
    elif isinstance(factor, str):
        if factor not in scales:
            raise ImportFailed(f'{path}: point "{point["name"]}": scale factor "{factor}" is not in the model')
        row |= {"type": "float64", "form": carried, "scale_at": f"holding:{scales[factor]}"}
    if none is not None:
        row["invalid"] = none
    symbols = {str(symbol["value"]): str(symbol.get("label", symbol["name"])) for symbol in point.get("symbols", ())}
    if kind.startswith("enum") and symbols:
        row["labels"] = symbols
    if kind in _COUNTERS:
        row |= {"counter": True, "rollover": _COUNTERS[kind]} if "form" not in row else {"counter": True}
    row["vendor"] = point["name"] + (f": {point['label']}" if point.get("label", point["name"]) != point["name"] else "")
    return {key: value for key, value in row.items() if value != ""}
