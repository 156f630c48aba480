"""cloud/audit/tiles.py against the in-memory tree of the contract."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.audit import tiles
from protocols.batch import merkle


def _grow(steps: list[int]) -> tuple[dict[tuple[int, int], bytes], merkle.Tree]:
    stored: dict[tuple[int, int], bytes] = {}
    tree = merkle.Tree()
    size = 0
    for step in steps:
        entries = [(size + at).to_bytes(32, "big") for at in range(step)]
        edge = {key: stored[key] for key in tiles.edge_tiles(size)}
        stored |= tiles.append(size, edge, entries)
        for entry in entries:
            tree.append(merkle.leaf_hash(entry))
        size += step
    return stored, tree


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 700), min_size=1, max_size=5), st.data())
def test_roots_and_proofs_from_tiles_are_those_of_the_whole_tree(steps: list[int], data: st.DataObject) -> None:
    stored, tree = _grow(steps)
    reader = tiles.TileReader(stored)
    size = data.draw(st.integers(1, tree.size))
    index = data.draw(st.integers(0, size - 1))
    assert merkle.root(size, reader.node) == tree.root(size)
    assert merkle.inclusion_proof(index, size, reader.node) == merkle.inclusion_proof(index, size, tree.node)
    assert merkle.consistency_proof(size, tree.size, reader.node) == merkle.consistency_proof(size, tree.size, tree.node)


def test_the_root_needs_only_the_tiles_of_the_right_edge() -> None:
    stored, tree = _grow([256 * 256 + 300])
    edge = {key: stored[key] for key in tiles.edge_tiles(tree.size)}
    assert len(edge) == 3
    assert merkle.root(tree.size, tiles.TileReader(edge).node) == tree.root()


def test_tiles_needed_names_every_tile_a_proof_reads() -> None:
    stored, tree = _grow([70_000])
    needed = tiles.tiles_needed(lambda node: merkle.inclusion_proof(12_345, tree.size, node))
    reader = tiles.TileReader({key: stored[key] for key in needed})
    assert merkle.inclusion_proof(12_345, tree.size, reader.node) == merkle.inclusion_proof(12_345, tree.size, tree.node)


def test_a_tile_that_is_too_short_is_refused() -> None:
    stored, tree = _grow([300])
    with pytest.raises(tiles.TileMissing):
        merkle.root(tree.size, tiles.TileReader({**stored, (0, 1): stored[0, 1][:-32]}).node)
    with pytest.raises(tiles.TileMissing):
        tiles.append(300, {}, [b"x"])


@pytest.mark.parametrize(
    ("path", "expected"),
    [("000", (0, 256)), ("255", (255, 256)), ("x001/234", (1234, 256)), ("x001/x234/067", (1234067, 256)), ("x001/234.p/8", (1234, 8))],
)
def test_tile_paths_follow_c2sp(path: str, expected: tuple[int, int]) -> None:
    assert tiles.parse_index(path) == expected
    assert tiles.index_path(expected[0]) == path.partition(".p/")[0]


@pytest.mark.parametrize(
    "path", ["", "1", "01", "x001", "001/234", "x000/001", "000.p/0", "000.p/256", "000.p/08", "000.p/", "abc", "-01", "٣٣٣"]
)
def test_other_paths_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match="tile"):
        tiles.parse_index(path)
