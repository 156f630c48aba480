"""A boosted forest as plain arrays: what the learner leaves behind, answered with numpy alone and fit to be stored, hashed and shipped.

Learning is scikit-learn's (extra `learn`); the answer here is the same sum of leaves, so neither hub nor gateway needs it to estimate.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cloud.assets import AssetError, Floats, numbers

_BLOCK: Final = 30_000  # rows x trees walked at a time: what stays in the cache


@dataclass(frozen=True, slots=True)
class Forest:
    """Nodes of tree t lie in [root[t], root[t + 1]); left and right count within the array, a leaf is its own child.

    A row's answer is `offset` plus the sum of its leaves' values.
    """

    offset: float
    root: NDArray[np.int32]
    column: NDArray[np.int32]
    threshold: Floats
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: Floats
    columns: int

    def answer(self, rows: Floats) -> Floats:
        """(rows, columns) to (rows,)."""
        found = numbers("rows", rows)
        if found.ndim != 2 or found.shape[1] != self.columns:
            raise AssetError(f"forest: expected rows of {self.columns} columns, found shape {found.shape}")
        step = max(1, _BLOCK // self.root.size)
        parts = [self._walk(found[start : start + step]) for start in range(0, found.shape[0], step)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _walk(self, rows: Floats) -> Floats:
        """All trees of all rows go down one level at a time; flat arrays, because gathers are all the work."""
        count, width = rows.shape
        flat, begin = np.ascontiguousarray(rows).ravel(), np.repeat(np.arange(count) * width, self.root.size)
        children = np.stack((self.right, self.left), axis=1).ravel()
        node = np.tile(self.root, count)
        while True:
            below = children.take(2 * node + (flat.take(begin + self.column.take(node)) <= self.threshold.take(node)))
            if np.array_equal(below, node):
                return np.asarray(self.offset + self.value.take(node).reshape(count, -1).sum(axis=1))
            node = below


def forest(learned: Any) -> Forest:
    """The arrays of a fitted HistGradientBoosting regressor, or of a classifier of two classes (then answers are log odds)."""
    trees = [stage[0].nodes for stage in learned._predictors]
    start = np.concatenate([[0], np.cumsum([tree.size for tree in trees])])
    nodes = np.concatenate(trees)
    base = np.repeat(start[:-1], [tree.size for tree in trees])
    leaf, own = nodes["is_leaf"].astype(bool), np.arange(nodes.size)
    left, right = (np.where(leaf, own, base + nodes[side]).astype(np.int32) for side in ("left", "right"))
    return Forest(
        offset=float(np.ravel(learned._baseline_prediction)[0]),
        root=start[:-1].astype(np.int32),
        column=np.where(leaf, 0, nodes["feature_idx"]).astype(np.int32),
        threshold=np.where(leaf, 0.0, nodes["num_threshold"]),
        left=left,
        right=right,
        value=np.where(leaf, nodes["value"], 0.0),
        columns=int(learned.n_features_in_),
    )


def together(forests: tuple[Forest, ...]) -> Forest:
    """One forest that answers the mean of several over the same columns."""
    size = np.concatenate([[0], np.cumsum([one.value.size for one in forests])]).astype(np.int32)
    count = len(forests)
    return Forest(
        offset=sum(one.offset for one in forests) / count,
        root=np.concatenate([one.root + shift for one, shift in zip(forests, size, strict=False)]),
        column=np.concatenate([one.column for one in forests]),
        threshold=np.concatenate([one.threshold for one in forests]),
        left=np.concatenate([one.left + shift for one, shift in zip(forests, size, strict=False)]),
        right=np.concatenate([one.right + shift for one, shift in zip(forests, size, strict=False)]),
        value=np.concatenate([one.value for one in forests]) / count,
        columns=forests[0].columns,
    )
