"""How capacities of units make the capacity of a stream: a tree of series (all are needed), parallel (they add up) and k of n.

Also read from a file here. Not for what a unit can deliver now (`forecast`).
"""

import enum
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from cloud.assets import Floats
from protocols.tomlfile import Section, nearest


class Kind(enum.StrEnum):
    SERIES = "series"
    PARALLEL = "parallel"
    K_OF_N = "k_of_n"


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a topology. `parts` are nodes or positions in the stream's assets; `capacity` limits what passes (infinite: none)."""

    kind: Kind
    parts: tuple["Node | int", ...]
    k: int = 1
    capacity: float = np.inf


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


NodeTable = Mapping[str, tuple[Section, Kind, tuple[str, ...], int, float]]


def parse_nodes(sections: Iterable[Section], assets: Collection[str]) -> NodeTable:
    """The `[[site.node]]` tables beside the assets of the site. Raises protocols.tomlfile.ConfigError."""
    table: dict[str, tuple[Section, Kind, tuple[str, ...], int, float]] = {}
    for section in sections:
        name, kind, parts = section.text("name"), Kind(section.choice("kind", Kind)), section.texts("parts")
        if name in table or name in assets:
            raise section.error("name", f'"{name}" already names {"a node" if name in table else "an asset"} of this site')
        if not parts or len(set(parts)) < len(parts):
            raise section.error("parts", '"parts": expected at least one name and none twice')
        k = section.integer("k", low=1, high=len(parts)) if kind is Kind.K_OF_N else 1
        capacity = float(section.number("capacity", math.inf))
        if not capacity > 0:
            raise section.error("capacity", f'"capacity": expected more than 0, found {capacity}')
        section.done()
        table[name] = (section, kind, parts, k, capacity)
    return table


def resolve(
    name: str, above: tuple[str, ...], place: Section, key: str, assets: Collection[str], nodes: NodeTable, used: dict[str, int]
) -> Node | int:
    """The tree below `name`, refusing what is unknown, circular, or used twice within one stream; `used`: assets in
    the order of the unit axis."""
    if name in above:
        raise place.error(key, f"the topology runs in a circle: {' > '.join((*above[above.index(name) :], name))}")
    if name in assets:
        if name in used:
            raise place.error(key, f'asset "{name}" is used twice in one stream')
        return used.setdefault(name, len(used))
    if name not in nodes:
        raise place.error(key, f'"{name}" is neither an asset nor a node of this site{nearest(name, [*assets, *nodes])}')
    section, kind, parts, k, capacity = nodes[name]
    below = tuple(resolve(part, (*above, name), section, "parts", assets, nodes, used) for part in parts)
    return Node(kind, below, k, capacity)
