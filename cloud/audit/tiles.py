"""The tree as tiles of 256 hashes (C2SP tlog-tiles), and what follows from them without the leaves.

Tile (level, index) holds the hashes of the complete subtrees at tree level 8 * level, positions 256 * index and on. Only the tiles at
the right edge ever change, and they only grow. Pure: reading and writing tiles is the store's work.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from protocols.batch.merkle import Node, leaf_hash, node_hash

WIDTH: Final = 256
HEIGHT: Final = 8
HASH_BYTES: Final = 32

Key = tuple[int, int]


class TileMissing(Exception):
    """A tile that the size of the tree promises is not there or too short: the stored log is damaged."""


@dataclass(slots=True)
class TileReader:
    """`node` for the functions of `protocols.batch.merkle`, over tiles in memory."""

    tiles: Mapping[Key, bytes]
    _known: dict[Key, bytes] = field(default_factory=dict)

    def node(self, level: int, index: int) -> bytes:
        found = self._known.get((level, index))
        if found is None:
            if level % HEIGHT == 0:
                found = self._stored(level // HEIGHT, index)
            else:
                found = node_hash(self.node(level - 1, 2 * index), self.node(level - 1, 2 * index + 1))
            self._known[level, index] = found
        return found

    def _stored(self, level: int, position: int) -> bytes:
        index, offset = divmod(position, WIDTH)
        found = self.tiles.get((level, index), b"")[offset * HASH_BYTES : (offset + 1) * HASH_BYTES]
        if len(found) != HASH_BYTES:
            raise TileMissing(f"log tile {level}/{index} does not hold hash {offset}")
        return found


def tiles_needed(ask: Callable[[Node], object]) -> set[Key]:
    """The tiles that a proof function reads: run it once over a reader that answers nothing but remembers the questions."""
    needed: set[Key] = set()

    def node(level: int, index: int) -> bytes:
        needed.add((level // HEIGHT, ((index << level % HEIGHT) // WIDTH)))
        return bytes(HASH_BYTES)

    ask(node)
    return needed


def edge_tiles(size: int) -> set[Key]:
    """The incomplete tiles of a tree of that size: all that is needed to append to it and to know its root."""
    edge: set[Key] = set()
    level, hashes = 0, size
    while hashes:
        if hashes % WIDTH:
            edge.add((level, hashes // WIDTH))
        level, hashes = level + 1, hashes // WIDTH
    return edge


def append(size: int, edge: Mapping[Key, bytes], entries: Sequence[bytes]) -> dict[Key, bytes]:
    """The tiles that appending these entries makes or changes."""
    changed: dict[Key, bytearray] = {}
    _extend(changed, edge, 0, size, [leaf_hash(entry) for entry in entries])
    return {key: bytes(tile) for key, tile in changed.items()}


def _extend(changed: dict[Key, bytearray], edge: Mapping[Key, bytes], level: int, count: int, hashes: Iterable[bytes]) -> None:
    roots: list[bytes] = []
    first = count // WIDTH
    for position, one in enumerate(hashes, start=count):
        key = (level, position // WIDTH)
        tile = changed.get(key)
        if tile is None:
            tile = changed[key] = bytearray(edge.get(key, b""))
            if len(tile) != position % WIDTH * HASH_BYTES:
                raise TileMissing(f"log tile {level}/{key[1]} has {len(tile) // HASH_BYTES} hashes, expected {position % WIDTH}")
        tile += one
        if len(tile) == WIDTH * HASH_BYTES:
            roots.append(tile_root(bytes(tile)))
    if roots:
        _extend(changed, edge, level + 1, first, roots)


def tile_root(tile: bytes) -> bytes:
    """Root of a full tile."""
    hashes = [tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)]
    while len(hashes) > 1:
        hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
    return hashes[0]


def parse_index(path: str) -> tuple[int, int]:
    """Index and width from a tlog-tiles path: "x001/x234/067" or "x001/x234/067.p/8". Raises ValueError."""
    whole, partial, width_text = path.partition(".p/")
    groups = whole.split("/")
    digits = [group[1:] if at < len(groups) - 1 and group.startswith("x") else group for at, group in enumerate(groups)]
    plain = all(len(group) == 3 and group.isascii() and group.isdigit() for group in digits)
    if (
        not plain
        or (len(groups) > 1 and any(not group.startswith("x") for group in groups[:-1]))
        or (len(groups) > 1 and digits[0] == "000")
    ):
        raise ValueError(f'not a tile path: "{path}"')
    if not partial:
        return int("".join(digits)), WIDTH
    if not (width_text.isascii() and width_text.isdigit()) or width_text.startswith("0") or not 1 <= int(width_text) < WIDTH:
        raise ValueError(f'not a tile width: "{width_text}"')
    return int("".join(digits)), int(width_text)


def index_path(index: int) -> str:
    """The other direction: 1234067 -> "x001/x234/067"."""
    digits = f"{index:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    return "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
