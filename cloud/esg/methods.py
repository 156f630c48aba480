"""How a figure was made: the data quality (1 best, 5 worst) and OGMP 2.0 level that follow from the method.

Not for the formulas. Quality follows the reliability table of US EPA's StEWI where it names the method; the rest, and every OGMP level, is
the project's own assignment, said so in the file. Level 5 is no method: it is level 4 reconciled with a site measurement (`indicators`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cloud.esg import EsgError
from cloud.esg.gases import DATA
from protocols.tomlfile import TomlFile, nearest


@dataclass(frozen=True, slots=True)
class Method:
    name: str
    title: str
    quality: int
    ogmp_level: int
    stewi: str


@cache
def methods(path: Path = DATA / "methods.toml") -> Mapping[str, Method]:
    """The table of a file. Raises ConfigError naming file and line."""
    root = TomlFile.read(path).root
    found: dict[str, Method] = {}
    for name in root.keys:
        section = root.section(name)
        quality, level = section.integer("quality", low=1, high=5), section.integer("ogmp_level", low=1, high=4)
        found[name] = Method(name, section.text("title"), quality, level, section.text("stewi", ""))
        section.done()
    return found


def method(name: str) -> Method:
    """Raises EsgError for a method nobody described."""
    if name not in methods():
        raise EsgError(f'method "{name}": not known{nearest(name, methods())}')
    return methods()[name]


def quality_by_stewi(title: str) -> int:
    """The quality StEWI's reliability table gives a method it names. Raises EsgError for one it does not."""
    for each in methods().values():
        if each.stewi == title:
            return each.quality
    raise EsgError(f'StEWI method "{title}": not in methods.toml')
