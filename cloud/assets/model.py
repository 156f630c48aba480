"""What stands where: sites, assets with the tags that show their state, planned maintenance, and how assets make a stream.

Loaded from TOML, a file or a text; errors name file, line and key, a cycle is refused and named. A tag is named "gateway/device.tag":
the gateway's name, the device's name in the gateway's file, the tag's name in its device map. What a class of assets is stands in
`classes`, the tree of a stream in `topology`. Not for the state of an asset: `assess` and `outlook` give that.
"""

import enum
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from cloud.assets import AssetError, Floats, numbers
from cloud.assets.classes import DAY_US, DAYS_PER_YEAR, AssetClass, parse_class
from cloud.assets.topology import Node, NodeTable, parse_nodes, resolve, structure
from protocols.tomlfile import REQUIRED, Section, TomlFile, nearest

TAG_NAME: Final = re.compile(r"[^/\s]+/[^/\s.]+\.\S+")
_STREAM_NUMBERS: Final = {"cap_per_day": math.inf, "stock": 0.0, "stock_most": 0.0, "cost": 0.0}


class Criticality(enum.StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Binding:
    """A tag of the asset ("gateway/device.tag") and the role of the asset's class that it plays; health needs the `required` ones."""

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
    """`nameplate` in `unit` (a volume per day); `class_name` groups assets that one health model covers; in_service_us: its first day,
    0 where the class does not ask for its age."""

    name: str
    site: str
    class_name: str
    nameplate: float
    unit: str
    criticality: Criticality
    tags: tuple[Binding, ...]
    maintenance: tuple[Maintenance, ...] = ()
    in_service_us: int = 0


@dataclass(frozen=True, slots=True)
class Stream:
    """A product leaving the site: its assets in the order of the arrays' unit axis, and the tree over them.

    product, place: as deals name them; cap_per_day: most that can be lifted; stock: volume held now, at most `stock_most`; cost: money per unit
    of produced volume.
    """

    name: str
    site: str
    product: str
    place: str
    assets: tuple[Asset, ...]
    topology: Node | int
    cap_per_day: float = math.inf
    stock: float = 0.0
    stock_most: float = 0.0
    cost: float = 0.0

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
class Site:
    """shock_per_day: storms, power losses and the like that stop everything on it; shock_repair: median days until it runs again."""

    name: str
    shock_per_day: float = 0.0
    shock_repair: float = 0.0


@dataclass(frozen=True, slots=True)
class Model:
    sites: tuple[Site, ...]
    classes: tuple[AssetClass, ...]
    assets: tuple[Asset, ...]
    streams: tuple[Stream, ...]

    def site(self, name: str) -> Site:
        """Raises AssetError."""
        return _named("site", name, self.sites)

    def stream(self, name: str) -> Stream:
        """Raises AssetError."""
        return _named("stream", name, self.streams)

    def class_of(self, asset: Asset) -> AssetClass:
        return _named("class", asset.class_name, self.classes)

    def assets_of(self, site: str) -> tuple[Asset, ...]:
        return tuple(asset for asset in self.assets if asset.site == site)

    def streams_of(self, site: str) -> tuple[Stream, ...]:
        return tuple(stream for stream in self.streams if stream.site == site)

    def tags_of(self, site: str) -> tuple[str, ...]:
        """Every tag that the site's assets are bound to, once, in the order of the file."""
        return tuple(dict.fromkeys(binding.tag for asset in self.assets_of(site) for binding in asset.tags))


_Named = TypeVar("_Named", Site, Stream, AssetClass)


def _named(what: str, name: str, known: Sequence[_Named]) -> _Named:
    found = next((one for one in known if one.name == name), None)
    if found is None:
        raise AssetError(f'there is no {what} "{name}"{nearest(name, [one.name for one in known])}')
    return found


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
    return _model(TomlFile.read(path).root)


def parse_model(text: str, name: str = "model.toml") -> Model:
    """The model in a TOML text; errors call it `name`. Raises protocols.tomlfile.ConfigError."""
    return _model(TomlFile(Path(name), text).root)


def _model(root: Section) -> Model:
    """Tables [[class]], and [[site]] with [[site.asset]] (with [[site.asset.tag]] and [[site.asset.maintenance]]), [[site.node]],
    [[site.stream]]."""
    classes: dict[str, AssetClass] = {}
    for section in root.sections("class", optional=True):
        made = parse_class(section)
        if made.name in classes:
            raise section.error("name", f'class "{made.name}" is described twice')
        classes[made.name] = made
    sites: dict[str, Site] = {}
    assets: dict[str, Asset] = {}
    streams: list[Stream] = []
    for section in root.sections("site"):
        site = _site(section)
        if site.name in sites:
            raise section.error("name", f'site "{site.name}" is described twice')
        sites[site.name] = site
        own = _assets(section.sections("asset"), site.name, classes, assets)
        nodes = parse_nodes(section.sections("node", optional=True), own)
        for stream in section.sections("stream", optional=True):
            streams.append(_stream(stream, site.name, own, nodes, [found.name for found in streams]))
        section.done()
    root.done()
    return Model(tuple(sites.values()), tuple(classes.values()), tuple(assets.values()), tuple(streams))


def _site(section: Section) -> Site:
    shocks = section.number("shock_per_year", 0.0)
    if not 0 <= shocks < math.inf:
        raise section.error("shock_per_year", f'"shock_per_year": expected a number from 0 up, found {shocks}')
    repair = section.duration_us("shock_repair", REQUIRED if shocks else "0s") / DAY_US
    if shocks and repair <= 0:
        raise section.error("shock_repair", '"shock_repair": expected more than 0')
    return Site(section.text("name"), shocks / DAYS_PER_YEAR, repair)


def _assets(sections: Iterable[Section], site: str, classes: Mapping[str, AssetClass], known: dict[str, Asset]) -> dict[str, Asset]:
    own = {}
    for section in sections:
        name, class_name = section.text("name"), section.text("class")
        if name in known:
            raise section.error("name", f'asset "{name}" is described twice')
        if class_name not in classes:
            raise section.error("class", f'"{class_name}" is no [[class]] of this model{nearest(class_name, classes)}')
        nameplate = section.number("nameplate")
        if not 0 < nameplate < math.inf:
            raise section.error("nameplate", f'"nameplate": expected more than 0, found {nameplate}')
        kind = classes[class_name]
        known[name] = own[name] = Asset(
            name,
            site,
            class_name,
            float(nameplate),
            section.text("unit"),
            Criticality(section.choice("criticality", Criticality, "medium")),
            _bindings(section, kind),
            tuple(map(_maintenance, section.sections("maintenance", optional=True))),
            _instant_us(section, "in_service") if kind.failure.age_eta or "in_service" in section else 0,
        )
        section.done()
    return own


def _bindings(asset: Section, kind: AssetClass) -> tuple[Binding, ...]:
    roles = {role.name: role for role in kind.roles}
    found: dict[str, Binding] = {}
    for section in asset.sections("tag", optional=True):
        tag, role = section.text("tag"), section.text("role")
        if not TAG_NAME.fullmatch(tag):
            raise section.error("tag", f'"tag": expected "gateway/device.tag", found "{tag}"')
        if role not in roles:
            raise section.error(
                "role", f'class "{kind.name}" has no role "{role}"{nearest(role, roles)} Known: {", ".join(roles) or "none"}.'
            )
        if role in found or tag in [binding.tag for binding in found.values()]:
            raise section.error(
                "role", f'{"role" if role in found else "tag"} "{role if role in found else tag}" is bound twice to this asset'
            )
        required = section.boolean("required", roles[role].required)
        if required and not roles[role].watched:
            raise section.error("required", f'role "{role}" is not watched: health cannot require it')
        found[role] = Binding(tag, role, required)
        section.done()
    missing = [role.name for role in kind.roles if role.required and role.name not in found]
    missing += [kind.roles[at].name for one in kind.derived if one.role.required for at in one.of if kind.roles[at].name not in found]
    if missing:
        raise asset.error("tag", f'class "{kind.name}" requires the role "{missing[0]}": bind a tag to it, dead ones with required = false')
    if kind.roles and not any(binding.required for binding in found.values()) and not any(one.role.required for one in kind.derived):
        raise asset.error("tag", "none of the tags of this asset is required: its health could never be told")
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


def _stream(section: Section, site: str, assets: Mapping[str, Asset], nodes: NodeTable, taken: Sequence[str]) -> Stream:
    name, root, product, place = (section.text(key) for key in ("name", "topology", "product", "place"))
    if name in taken:
        raise section.error("name", f'stream "{name}" is described twice')
    cap, stock, most, cost = (float(section.number(key, default)) for key, default in _STREAM_NUMBERS.items())
    if not cap > 0:
        raise section.error("cap_per_day", f'"cap_per_day": expected more than 0, found {cap}')
    if not 0 <= stock <= most < math.inf:
        raise section.error("stock", f'"stock": expected 0 <= stock <= stock_most, found {stock} and {most}')
    if not math.isfinite(cost):
        raise section.error("cost", f'"cost": expected money per unit of volume, found {cost}')
    section.done()
    used: dict[str, int] = {}
    topology = resolve(root, (), section, "topology", assets, nodes, used)
    units = tuple(assets[unit] for unit in used)
    if len({unit.unit for unit in units}) > 1:
        raise section.error("topology", f'stream "{name}" adds assets of different units: {", ".join(sorted({u.unit for u in units}))}')
    return Stream(name, site, product, place, units, topology, cap, stock, most, cost)
