"""RFC 9162 Merkle trees (section 2): hashes, roots, proofs and their verification.

Proofs are made over a reader `node(level, index)`, the hash of the complete subtree over leaves index << level up to
(index + 1) << level; the reader decides whether that comes from memory, tiles or a table. Nothing here stores anything,
except `Tree`, which keeps all nodes in memory.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

from protocols.batch.errors import BatchError

Node = Callable[[int, int], bytes]
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
_HASH_BYTES: Final = 32


class BadProof(BatchError):
    """A Merkle proof that does not lead to the root: the log shows one thing and has signed another."""

    slug = "bad-proof"


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(size: int, node: Node) -> bytes:
    return EMPTY_ROOT if size == 0 else subtree(0, size, node)


def subtree(start: int, end: int, node: Node) -> bytes:
    """MTH(D[start:end]) where start is a multiple of the smallest power of two that holds end - start."""
    size = end - start
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return node(level, start >> level)
    middle = start + _split(size)
    return node_hash(subtree(start, middle, node), subtree(middle, end, node))


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """PATH(index, D[size]) of RFC 9162, 2.1.3.1. Raises ValueError outside the tree."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(subtree(middle, end, node))
            end = middle
        else:
            path.append(subtree(start, middle, node))
            start = middle
    return path[::-1]


def consistency_proof(old: int, new: int, node: Node) -> list[bytes]:
    """PROOF(old, D[new]) of RFC 9162, 2.1.4.1; empty for equal sizes and for an empty old tree. Raises ValueError when old > new."""
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {old} does not precede a tree of {new}")
    if old in (0, new):
        return []
    path: list[bytes] = []
    start, end, whole = 0, new, True
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(subtree(middle, end, node))
            end = middle
        else:
            path.append(subtree(start, middle, node))
            start, whole = middle, False
    if not whole:
        path.append(subtree(start, end, node))
    return path[::-1]


def root_from_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that the path leads to (RFC 9162, 2.1.3.2). Raises BadProof when the path cannot belong to the position."""
    _check_hashes((leaf, *path))
    if not 0 <= index < size:
        raise BadProof(f"leaf {index} is not in a tree of {size}")
    fn, sn, result = index, size - 1, leaf
    for sibling in path:
        if sn == 0:
            raise BadProof("inclusion proof is too long")
        if fn & 1 or fn == sn:
            result = node_hash(sibling, result)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            result = node_hash(result, sibling)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise BadProof("inclusion proof is too short")
    return result


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], expected_root: bytes) -> None:
    """Raises BadProof unless `leaf` (a leaf hash) stands at `index` of the tree of `size` with that root."""
    if root_from_inclusion(leaf, index, size, path) != expected_root:
        raise BadProof("inclusion proof does not lead to the root")


def roots_from_consistency(old: int, new: int, old_root: bytes, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Both roots that the proof leads to (RFC 9162, 2.1.4.2), for 0 < old < new. Raises BadProof."""
    _check_hashes((old_root, *path))
    if not 0 < old < new:
        raise BadProof(f"no consistency proof from size {old} to size {new}")
    nodes = [old_root, *path] if old & (old - 1) == 0 else list(path)
    if not nodes or not path:
        raise BadProof("consistency proof is empty")
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    first = second = nodes[0]
    for node in nodes[1:]:
        if sn == 0:
            raise BadProof("consistency proof is too long")
        if fn & 1 or fn == sn:
            first, second = node_hash(node, first), node_hash(node, second)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            second = node_hash(second, node)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise BadProof("consistency proof is too short")
    return first, second


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> None:
    """Raises BadProof unless the tree of `new` with `new_root` only appended to the tree of `old` with `old_root`."""
    _check_hashes((old_root, new_root, *path))
    if old == new:
        if path or old_root != new_root or (old == 0 and old_root != EMPTY_ROOT):
            raise BadProof("two roots for one size, or a proof where none belongs")
        return
    if old == 0:
        if path or old_root != EMPTY_ROOT or new < 0:
            raise BadProof("an empty tree has one root and needs no proof")
        return
    first, second = roots_from_consistency(old, new, old_root, path)
    if first != old_root or second != new_root:
        raise BadProof("consistency proof does not lead from the old root to the new one")


class Tree:
    """An append-only tree with every complete node in memory."""

    def __init__(self) -> None:
        self._levels: list[list[bytes]] = [[]]

    @property
    def size(self) -> int:
        return len(self._levels[0])

    def append(self, leaf: bytes) -> int:
        """Add a leaf hash; returns its index."""
        index = position = self.size
        level, current = 0, leaf
        self._levels[0].append(leaf)
        while position & 1:
            current = node_hash(self._levels[level][position - 1], current)
            level, position = level + 1, position >> 1
            if level == len(self._levels):
                self._levels.append([])
            self._levels[level].append(current)
        return index

    def node(self, level: int, index: int) -> bytes:
        return self._levels[level][index]

    def root(self, size: int | None = None) -> bytes:
        return root(self.size if size is None else size, self.node)


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def _check_hashes(hashes: Sequence[bytes]) -> None:
    if any(len(part) != _HASH_BYTES for part in hashes):
        raise BadProof("a hash in the proof does not have 32 bytes")
