"""The inventory's TOML into `register` values. Strict: unknown keys, wrong units, unknown meters and contradictions are errors with their line.

Not for what factors are worth on a day: a name that no factor has is refused here, a day on which it does not hold is told by the account.
The keys of a source are read in `register_sources`.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from cloud.esg import finite
from cloud.esg.readings import Reads, reading
from cloud.esg.register import (
    Meter,
    Register,
    Source,
    Target,
)
from cloud.esg.register import Section as Balanced
from cloud.esg.register_sources import Meters, day_at, source_of, told
from cloud.esg.score import default_weights
from cloud.esg.units import Unit
from protocols.tomlfile import Section, TomlFile, nearest

NAME: Final = Path("inventory.toml")  # what errors call a text that came without a file
MOST_SOURCES: Final = 2000


def parse_register(text: str, path: Path = NAME) -> Register:
    """Raises ConfigError with the line of what cannot be meant."""
    root = TomlFile(path, text).root
    title = root.text("title")
    meters = _meters(root.sections("meter", optional=True))
    sources = _unlike((source_of(one, meters) for one in root.sections("source")), root)
    sections = tuple(_balanced(one, meters) for one in root.sections("balance", optional=True))
    weights = _weights(root.section("weights", optional=True))
    targets = tuple(_target(one, weights) for one in root.sections("metric", optional=True))
    caps = _caps(root.section("caps", optional=True), weights)
    reconciled = frozenset(root.texts("reconciled", []))
    root.done()
    return Register(title, meters, sources, sections, targets, weights, caps, reconciled)


def _meters(sections: Iterable[Section]) -> Meters:
    found: dict[str, Meter] = {}
    for one in sections:
        name = one.text("name")
        if name in found or not name.strip():
            raise one.error("name", f'"name": expected a name of its own, found "{name}" again')
        found[name] = _meter(one, name)
    return MappingProxyType(found)


def _meter(one: Section, name: str) -> Meter:
    tag = one.text("tag")
    gateway, slash, rest = tag.partition("/")
    if not (gateway and slash and "." in rest and tag.isprintable() and len(tag) <= 300):
        raise one.error("tag", f'"tag": expected "gateway/device.tag", found "{tag}"')
    reads = Reads(one.choice("reads", [each.value for each in Reads], "rate"))
    symbol = one.text("unit")
    unit = told(one, "unit", lambda: reading(symbol, reads))
    high, u95 = float(one.number("high")), float(one.number("u95"))
    told(one, "high", lambda: finite("high", high, low=-1e12, high=1e15))
    told(one, "u95", lambda: finite("u95", u95, low=0.0, high=1000.0))
    hold_us = one.duration_us("hold", "1min")
    if not 1_000_000 <= hold_us <= 21_600_000_000:
        raise one.error("hold", '"hold": expected 1s to 6h')
    one.done()
    return Meter(name, tag, unit, high, u95, hold_us)


def _unlike(sources: Iterable[Source], root: Section) -> tuple[Source, ...]:
    """Each once; an input has one uncertainty whoever names it."""
    found: list[Source] = []
    known: dict[str, float] = {}
    for at, source in enumerate(sources):
        section = root.sections("source")[at]
        if any(other.id == source.id for other in found):
            raise section.error("id", f'"id": "{source.id}" stands twice')
        for each in source.every_input:
            if known.setdefault(each.name, each.u95_pct) != each.u95_pct:
                raise section.error("u95", f'"u95": {each.name} has {each.u95_pct:g} % here and {known[each.name]:g} % elsewhere')
        found.append(source)
    if len(found) > MOST_SOURCES:
        raise root.error("source", f'"source": expected at most {MOST_SOURCES}, found {len(found)}')
    return tuple(found)


def _balanced(one: Section, meters: Meters) -> Balanced:
    parts = []
    for key in ("in", "out"):
        found = []
        for name in one.texts(key):
            if name not in meters:
                raise one.error(key, f'"{key}": no meter is called "{name}"{nearest(name, meters)}')
            unit = meters[name].reading.unit
            if unit is None or unit.dimension not in (Unit.SCF.dimension, Unit.KG.dimension):
                raise one.error(key, f'"{key}": expected meters of gas or mass, "{name}" reads {meters[name].reading.symbol}')
            found.append(meters[name])
        parts.append(tuple(found))
    density = told(one, "kg_per_scf", lambda: finite("kg_per_scf", float(one.number("kg_per_scf")), low=1e-4, high=1.0))
    prior = told(one, "prior", lambda: finite("prior", float(one.number("prior", 0.01)), low=1e-6, high=0.5))
    found_section = Balanced(one.text("name"), one.text("site"), parts[0], parts[1], density, prior)
    one.done()
    return found_section


def _weights(one: Section) -> Mapping[str, int]:
    if not one.keys:
        return default_weights()
    known = default_weights()
    for key in one.keys:
        if key not in known:
            raise one.error(key, f'topic "{key}": not known{nearest(key, known)}')
    found = {key: one.integer(key, low=1, high=100) for key in one.keys}
    if sum(found.values()) != 100:
        raise one.error(None, f"weights: expected a sum of 100, found {sum(found.values())}")
    return MappingProxyType(found)


def _topic(one: Section, key: str, weights: Mapping[str, int]) -> str:
    topic = one.text(key)
    if topic not in weights:
        raise one.error(key, f'topic "{topic}": has no weight{nearest(topic, weights)}')
    return topic


def _target(one: Section, weights: Mapping[str, int]) -> Target:
    best, worst = (told(one, key, lambda key=key: finite(key, float(one.number(key)))) for key in ("best", "worst"))  # type: ignore[misc]
    if best == worst:
        raise one.error("worst", f'"best" and "worst" are both {best:g}')
    reference: Any = one.text("reference")
    if not reference.strip():
        raise one.error("reference", '"reference": expected where best and worst come from')
    found = Target(
        one.text("name"), _topic(one, "topic", weights), one.text("figure"), best, worst, day_at(one, "since"), reference,
        told(one, "u95", lambda: finite("u95", float(one.number("u95", 0.0)), low=0.0, high=1000.0)),
    )  # fmt: skip
    one.done()
    return found


def _caps(one: Section, weights: Mapping[str, int]) -> Mapping[str, str]:
    return MappingProxyType({rule: _topic(one, rule, weights) for rule in one.keys})
