"""A device map being made: rows of keys, written as the TOML text that `protocols.devicemap` reads. Pure.

One inline table per tag, in one line, so that a person can read a map like the maker's list.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from protocols.tomlfile import quoted

Keys = Mapping[str, Any]


class ImportFailed(Exception):
    """The source cannot be made into a device map; the message names file, place and what was expected."""


@dataclass(frozen=True, slots=True)
class Draft:
    """protocol and options: the protocol's table. tags, texts, golden: keys in the order in which they are written."""

    name: str
    maker: str
    models: Sequence[str]
    source: str
    protocol: str
    options: Keys
    tags: Sequence[Keys]
    texts: Sequence[Keys] = ()
    caveats: Sequence[str] = ()
    golden: Sequence[Keys] = ()
    comment: str = ""
    more: Keys = field(default_factory=dict)

    def text(self) -> str:
        lines = [f"# {line}" for line in self.comment.splitlines()]
        lines += [f"device_map = {_value(self.name)}", f"maker = {_value(self.maker)}", f"models = {_value(list(self.models))}"]
        lines += [f"source = {_value(self.source)}"] + [f"{key} = {_value(value)}" for key, value in self.more.items()]
        if self.caveats:
            lines += ["caveats = [", *(f"  {_value(caveat)}," for caveat in self.caveats), "]"]
        lines += _rows("tags", self.tags) + _rows("texts", self.texts) + _rows("golden", self.golden)
        lines += ["", f"[{self.protocol}]", *(f"{key} = {_value(value)}" for key, value in self.options.items())]
        return "\n".join(lines) + "\n"


def _rows(name: str, rows: Sequence[Keys]) -> list[str]:
    return [f"{name} = [", *(f"  {_value(row)}," for row in rows), "]"] if rows else []


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case Decimal():
            return f"{value:f}"
        case int() | float():
            return repr(value)
        case str():
            return quoted(value)
        case Mapping():
            return "{ " + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + " }"
        case Iterable():
            return "[" + ", ".join(_value(item) for item in value) + "]"
    raise TypeError(f"no TOML value: {value!r}")


def _key(key: object) -> str:
    text = str(key)
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else quoted(text)


def plain_name(text: str) -> str:
    """ "Phase Voltage AB (RMS)" -> "phase_voltage_ab_rms"."""
    text = text.replace("SoC", "Soc").replace("SoH", "Soh")
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_") or "tag"


def unique(names: Iterable[str]) -> list[str]:
    """The names with _2, _3 ... where one comes again."""
    taken: set[str] = set()
    found = []
    for name in names:
        free, number = name, 1
        while free in taken:
            number += 1
            free = f"{name}_{number}"
        taken.add(free)
        found.append(free)
    return found
