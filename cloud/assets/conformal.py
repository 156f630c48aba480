"""Intervals and chances that hold on units never seen: folds by unit, random truncation points, conformal bands, isotonic chances.

One unit is one exchangeable thing: its rows resemble each other, so no unit is ever in both halves of a split, every unit weighs the
same however long it lived, and corrections for few data count units, not rows. (Counting rows promises 0.90 and gives 0.80.)
The interval rule is split conformal within bins of the predicted value, with the pooled distribution of Dunn, Wasserman and Ramdas,
"Distribution-free prediction sets for two-layer hierarchical models" (2023); residuals come from folds, every unit left out once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cloud.assets import AssetError, Bools, Floats, numbers
from cloud.assets.wear import Groups


def folds(units: Groups, count: int, seed: int) -> tuple[Bools, ...]:
    """`count` masks of rows left out; every unit is whole in exactly one. Raises AssetError when there are fewer units."""
    names = np.unique(units)
    if names.size < count or count < 2:
        raise AssetError(f"folds: expected at least two folds and a unit in each, found {names.size} units for {count} folds")
    order = np.random.default_rng(seed).permutation(names)
    return tuple(np.isin(units, order[fold::count]) for fold in range(count))


def truncations(units: Groups, count: int, seed: int, first: int) -> NDArray[np.intp]:
    """Rows at which a unit might have been looked at: `count` per unit, any cycle after `first` equally likely (all, if it is younger)."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.choice(mine, count) for mine in _looked_at(units, first)])


def every_look(units: Groups, first: int) -> NDArray[np.intp]:
    """All rows that `truncations` draws from."""
    return np.concatenate(_looked_at(units, first))


def _looked_at(units: Groups, first: int) -> list[NDArray[np.intp]]:
    rows = (np.flatnonzero(units == unit) for unit in np.unique(units))
    return [mine[first:] if mine.size > first else mine for mine in rows]


@dataclass(frozen=True, slots=True)
class Bands:
    """reach[i]: half width of the interval of a prediction between edges[i - 1] and edges[i]; infinite where too few units were seen."""

    edges: Floats
    reach: Floats

    def of(self, predicted: Floats) -> Floats:
        return np.asarray(self.reach[np.digitize(predicted, self.edges)])


def calibrate(predicted: Floats, actual: Floats, units: Groups, edges: tuple[float, ...], confidence: float) -> Bands:
    """Bands from predictions at truncation points of units that the predictor had not seen."""
    off, place = np.abs(numbers("predicted", predicted) - numbers("actual", actual)), np.digitize(predicted, edges)
    reach = [_quantile(off[place == index], units[place == index], confidence) for index in range(len(edges) + 1)]
    return Bands(np.array(edges, dtype=np.float64), np.array(reach))


def _quantile(off: Floats, units: Groups, confidence: float) -> float:
    """The `confidence` quantile where each unit weighs 1 in all, and one unit more is infinitely far off."""
    names, member, rows = np.unique(units, return_inverse=True, return_counts=True)
    if not names.size:
        return float("inf")
    order = np.argsort(off, kind="stable")
    weight = np.cumsum(1.0 / rows[member][order]) / (names.size + 1)
    found = int(np.searchsorted(weight, confidence - 1e-12))
    return float(off[order[found]]) if found < off.size else float("inf")


@dataclass(frozen=True, slots=True)
class Isotonic:
    """A non-decreasing map from a raw chance to the share that came true, straight between its knots."""

    raw: Floats
    share: Floats

    def __call__(self, raw: Floats) -> Floats:
        return np.asarray(np.interp(raw, self.raw, self.share))


def isotonic(raw: Floats, came_true: Bools, units: Groups) -> Isotonic:
    """Least squares under the order of `raw` (pool adjacent violators), each unit weighing 1; never 0 or 1 exactly."""
    names, member, rows = np.unique(units, return_inverse=True, return_counts=True)
    levels, level = np.unique(raw, return_inverse=True)
    mass = np.bincount(level, 1.0 / rows[member])
    hits = np.bincount(level, came_true / rows[member])
    blocks: list[tuple[float, float, float, float]] = []  # mass, hits, lowest and highest raw
    for weight, hit, at in zip(mass.tolist(), hits.tolist(), levels.tolist(), strict=True):
        total, true, low = weight, hit, at
        while blocks and blocks[-1][1] * total >= true * blocks[-1][0]:
            before = blocks.pop()
            total, true, low = before[0] + total, before[1] + true, before[2]
        blocks.append((total, true, low, at))
    unseen = 1.0 / (2.0 * (names.size + 1))
    knots = np.array([(edge, true / total) for total, true, low, high in blocks for edge in ((low, high) if high > low else (low,))])
    return Isotonic(knots[:, 0], np.clip(knots[:, 1], unseen, 1.0 - unseen))
