import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.batch import merkle


def tree_of(size: int) -> merkle.Tree:
    tree = merkle.Tree()
    for index in range(size):
        tree.append(merkle.leaf_hash(hashlib.sha256(b"%d" % index).digest()))
    return tree


TREE = tree_of(200)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 200).flatmap(lambda size: st.tuples(st.integers(0, size - 1), st.just(size))))
def test_every_leaf_is_proven_at_every_size_and_at_no_other_place(place: tuple[int, int]) -> None:
    index, size = place
    path = merkle.inclusion_proof(index, size, TREE.node)
    merkle.verify_inclusion(TREE.node(0, index), index, size, path, TREE.root(size))
    with pytest.raises(merkle.BadProof):
        merkle.verify_inclusion(TREE.node(0, (index + 1) % 200), index, size, path, TREE.root(size))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 200).flatmap(lambda new: st.tuples(st.integers(0, new), st.just(new))))
def test_a_log_that_only_grows_is_consistent_with_all_its_past(sizes: tuple[int, int]) -> None:
    old, new = sizes
    path = merkle.consistency_proof(old, new, TREE.node)
    merkle.verify_consistency(old, new, TREE.root(old), TREE.root(new), path)


@settings(max_examples=200, deadline=None)
@given(st.integers(2, 200).flatmap(lambda new: st.tuples(st.integers(1, new - 1), st.just(new))))
def test_a_forked_log_is_not_consistent(sizes: tuple[int, int]) -> None:
    old, new = sizes
    forged = hashlib.sha256(b"another root").digest()
    with pytest.raises(merkle.BadProof):
        merkle.verify_consistency(old, new, forged, TREE.root(new), merkle.consistency_proof(old, new, TREE.node))


def test_a_node_appended_one_by_one_equals_the_recursive_hash() -> None:
    def direct(start: int, end: int) -> bytes:
        if end - start == 1:
            return TREE.node(0, start)
        half = 1 << ((end - start - 1).bit_length() - 1)
        return merkle.node_hash(direct(start, start + half), direct(start + half, end))

    assert [TREE.root(size) for size in range(1, 201)] == [direct(0, size) for size in range(1, 201)]
