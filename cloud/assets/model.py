"""What stands where: sites, assets with the tags that show their state, planned maintenance, and how assets make a stream.

A stream's topology is a tree over its assets: series (all are needed), parallel (they add up) or k of n. Loaded from TOML; errors
name file and line, a cycle is refused and named. Not for the state of an asset: `health` and `forecast` give that.
"""

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np

from cloud.assets import AssetError, Floats, numbers
from protocols.tomlfile import Section, TomlFile, nearest


class Criticality(enum.StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Kind(enum.StrEnum):
    SERIES = "series"
    PARALLEL = "parallel"
    K_OF_N = "k_of_n"


@dataclass(frozen=True, slots=True)
class Binding:
    """A tag of the asset and what it stands for ("wellhead_pressure", "vibration"); health needs the `required` ones."""

    tag: str
    role: str
    required: bool = True


@dataclass(frozen=True, slots=True)
class Maintenance:
    """Planned work in [start_us, end_us): `remaining` is the share of nameplate left meanwhile, 0-1."""

    start_us: int
    end_us: int
    remaining: float = 0.0


@dataclass(frozen=True, slots=True)
class Asset:
    """`nameplate` in `unit` (a volume per day); `class_name` groups assets that one health model covers."""

    name: str
    site: str
    class_name: str
    nameplate: float
    unit: str
    criticality: Criticality
    tags: tuple[Binding, ...]
    maintenance: tuple[Maintenance, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a topology. `parts` are nodes or positions in the stream's assets; `capacity` limits what passes (infinite: none)."""

    kind: Kind
    parts: tuple["Node | int", ...]
    k: int = 1
    capacity: float = np.inf


@dataclass(frozen=True, slots=True)
class Stream:
    """A product leaving the site: its assets in the order of the arrays' unit axis, and the tree over them."""

    name: str
    site: str
    assets: tuple[Asset, ...]
    topology: Node | int

    @property
    def nameplate(self) -> Floats:
        """Shape (units,), in the assets' unit."""
        return np.array([asset.nameplate for asset in self.assets], dtype=np.float64)

    def delivered(self, capacity: Floats) -> Floats:
        """`structure` of this stream's topology."""
        return structure(self.topology, numbers("capacity", capacity, low=0))

    def remaining(self, edges_us: Sequence[int]) -> Floats:
        """Share of nameplate that planned maintenance leaves, mean over each step between `edges_us`; shape (units, steps)."""
        return remaining_share([asset.maintenance for asset in self.assets], edges_us)


@dataclass(frozen=True, slots=True)
class Model:
    assets: tuple[Asset, ...]
    streams: tuple[Stream, ...]


def structure(topology: Node | int, capacity: Floats) -> Floats:
    """Delivered capacity phi of unit capacities `capacity`, unit axis first, shape (units, ...) -> (...). Non-decreasing in each.

    Series: the smallest; parallel: the sum; k of n: k times the k-th largest, so that fewer than k running parts deliver nothing
    (Barlow and Proschan's coherent k-out-of-n system). A spare that only tops up is parallel with a `capacity`.
    """
    if isinstance(topology, int):
        return np.asarray(capacity[topology])
    parts = [structure(part, capacity) for part in topology.parts]
    if topology.kind is Kind.SERIES:
        found = parts[0]
        for part in parts[1:]:
            found = np.minimum(found, part)
    elif topology.kind is Kind.PARALLEL:
        found = parts[0]
        for part in parts[1:]:
            found = found + part
    else:
        at = len(parts) - topology.k
        found = topology.k * np.partition(np.stack(parts), at, axis=0)[at]
    return found if topology.capacity == np.inf else np.minimum(found, topology.capacity)


def remaining_share(windows: Sequence[Sequence[Maintenance]], edges_us: Sequence[int]) -> Floats:
    """Mean share of nameplate left in each step by the windows of each unit; overlapping windows multiply. Shape (units, steps)."""
    edges = np.asarray(edges_us, dtype=np.int64)
    if edges.size < 2 or np.any(np.diff(edges) <= 0):
        raise AssetError("edges_us: expected at least two rising times")
    share = np.ones((len(windows), edges.size - 1))
    planned = [(unit, window) for unit, listed in enumerate(windows) for window in listed]
    for unit, window in planned:
        overlap = np.minimum(edges[1:], window.end_us) - np.maximum(edges[:-1], window.start_us)
        share[unit] *= 1.0 - (1.0 - window.remaining) * np.maximum(overlap, 0) / np.diff(edges)
    return share


def read_model(path: Path) -> Model:
    """The model in a TOML file. Raises protocols.tomlfile.ConfigError with file and line."""
    return parse_model(TomlFile.read(path))


def parse_model(file: TomlFile) -> Model:
    """Tables [[site]] with [[site.asset]] (with [[site.asset.tag]] and [[site.asset.maintenance]]), [[site.node]], [[site.stream]]."""
    assets: dict[str, Asset] = {}
    streams: list[Stream] = []
    root = file.root
    for section in root.sections("site"):
        site = section.text("name")
        own = _assets(section.sections("asset"), site, assets)
        nodes = _nodes(section.sections("node", optional=True), own)
        for stream in section.sections("stream", optional=True):
            streams.append(_stream(stream, site, own, nodes, [found.name for found in streams]))
        section.done()
    root.done()
    return Model(tuple(assets.values()), tuple(streams))


def _assets(sections: Iterable[Section], site: str, known: dict[str, Asset]) -> dict[str, Asset]:
    own = {}
    for section in sections:
        name = section.text("name")
        if name in known:
            raise section.error("name", f'asset "{name}" is described twice')
        nameplate = section.number("nameplate")
        if not 0 < nameplate < np.inf:
            raise section.error("nameplate", f'"nameplate": expected more than 0, found {nameplate}')
        known[name] = own[name] = Asset(
            name,
            site,
            section.text("class"),
            float(nameplate),
            section.text("unit"),
            Criticality(section.choice("criticality", Criticality, "medium")),
            _bindings(section.sections("tag", optional=True)),
            tuple(map(_maintenance, section.sections("maintenance", optional=True))),
        )
        section.done()
    return own


def _bindings(sections: Iterable[Section]) -> tuple[Binding, ...]:
    found: dict[str, Binding] = {}
    for section in sections:
        binding = Binding(section.text("tag"), section.text("role"), section.boolean("required", True))
        if binding.tag in found:
            raise section.error("tag", f'tag "{binding.tag}" is bound twice to this asset')
        section.done()
        found[binding.tag] = binding
    return tuple(found.values())


def _maintenance(section: Section) -> Maintenance:
    start, end = _instant_us(section, "start"), _instant_us(section, "end")
    remaining = section.number("remaining", 0.0)
    if end <= start:
        raise section.error("end", '"end": expected a time after "start"')
    if not 0 <= remaining <= 1:
        raise section.error("remaining", f'"remaining": expected a share from 0 to 1, found {remaining}')
    section.done()
    return Maintenance(start, end, float(remaining))


def _instant_us(section: Section, key: str) -> int:
    value = section.raw(key, None)
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise section.error(key, f'"{key}": expected a time with its offset, such as 2026-05-01T06:00:00Z, found {value!r}')
    return round(value.timestamp()) * 1_000_000 + value.microsecond


_NodeTable = Mapping[str, tuple[Section, Kind, tuple[str, ...], int, float]]


def _nodes(sections: Iterable[Section], assets: Mapping[str, Asset]) -> _NodeTable:
    table: dict[str, tuple[Section, Kind, tuple[str, ...], int, float]] = {}
    for section in sections:
        name, kind, parts = section.text("name"), Kind(section.choice("kind", Kind)), section.texts("parts")
        if name in table or name in assets:
            raise section.error("name", f'"{name}" already names {"a node" if name in table else "an asset"} of this site')
        if not parts or len(set(parts)) < len(parts):
            raise section.error("parts", '"parts": expected at least one name and none twice')
        k = section.integer("k", low=1, high=len(parts)) if kind is Kind.K_OF_N else 1
        capacity = float(section.number("capacity", np.inf))
        if not capacity > 0:
            raise section.error("capacity", f'"capacity": expected more than 0, found {capacity}')
        section.done()
        table[name] = (section, kind, parts, k, capacity)
    return table


_STREAM_KEYS: Final = ("name", "topology")


def _stream(section: Section, site: str, assets: Mapping[str, Asset], nodes: _NodeTable, taken: Sequence[str]) -> Stream:
    name, root = (section.text(key) for key in _STREAM_KEYS)
    if name in taken:
        raise section.error("name", f'stream "{name}" is described twice')
    section.done()
    used: dict[str, int] = {}
    topology = _resolve(root, (), section, "topology", assets, nodes, used)
    units = tuple(assets[unit] for unit in used)
    if len({unit.unit for unit in units}) > 1:
        raise section.error("topology", f'stream "{name}" adds assets of different units: {", ".join(sorted({u.unit for u in units}))}')
    return Stream(name, site, units, topology)


def _resolve(
    name: str, above: tuple[str, ...], place: Section, key: str, assets: Mapping[str, Asset], nodes: _NodeTable, used: dict[str, int]
) -> Node | int:
    """The tree below `name`, refusing what is unknown, circular, or used twice within one stream."""
    if name in above:
        raise place.error(key, f"the topology runs in a circle: {' > '.join((*above[above.index(name) :], name))}")
    if name in assets:
        if name in used:
            raise place.error(key, f'asset "{name}" is used twice in one stream')
        return used.setdefault(name, len(used))
    if name not in nodes:
        raise place.error(key, f'"{name}" is neither an asset nor a node of this site{nearest(name, [*assets, *nodes])}')
    section, kind, parts, k, capacity = nodes[name]
    below = tuple(_resolve(part, (*above, name), section, "parts", assets, nodes, used) for part in parts)
    return Node(kind, below, k, capacity)
