"""Is a set of tags still what it was while all was normal: PCA with T2 (unusual amount) and Q (unusual relation).

Limits are empirical, from normal data that the model was not fitted on: limits from the fitting data promise 1 % false alarms and
give ten times that. Dynamic PCA is the same on `lagged` columns; slow faults are seen by `smoothed` lagged columns beside it, not
instead. A missing tag takes the value that is most harmless for the statistic, so missing data never raise suspicion.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import special

from cloud.assets import AssetError, Bools, Floats, numbers

SMOOTHING: Final = 0.2
TAIL: Final = 0.995  # empirical up to this quantile of the held-back data, beyond it a Gaussian tail of the cube root
_RIDGE: Final = 1e-9
_LN10: Final = float(np.log(10.0))


@dataclass(frozen=True, slots=True)
class Reference:
    """What a statistic was on held-back normal data: sorted values, and mean and deviation of their cube roots."""

    held: Floats
    root_mean: float
    root_deviation: float

    @classmethod
    def of(cls, held: Floats) -> "Reference":
        roots = np.cbrt(held)
        return cls(np.sort(held), float(roots.mean()), max(float(roots.std()), 1e-12))

    def surprise(self, value: Floats) -> Floats:
        """-log10 P(a normal statistic is at least `value`); non-decreasing in value, at most 300."""
        knee = float(np.quantile(self.held, TAIL))
        above = self.held.size - np.searchsorted(self.held, np.minimum(value, knee), side="left")
        bulk = -np.log10((1.0 + above) / (1.0 + self.held.size))
        at_knee = self._log_tail(np.array(knee))
        tail = (at_knee - self._log_tail(np.maximum(value, knee))) / _LN10
        return np.asarray(np.minimum(bulk + tail, 300.0))

    def limit(self, false_alarms: float) -> float:
        """The value that held-back normal data exceed with this share."""
        return float(np.quantile(self.held, 1.0 - false_alarms))

    def _log_tail(self, value: Floats) -> Floats:
        return np.asarray(special.log_ndtr(-(np.cbrt(value) - self.root_mean) / self.root_deviation))


@dataclass(frozen=True, slots=True)
class Detector:
    """mean, scale: (columns,); amount, relation: (columns, columns), the quadratic forms of T2 and Q on standardised columns."""

    mean: Floats
    scale: Floats
    amount: Floats
    relation: Floats
    t2: Reference
    q: Reference


@dataclass(frozen=True, slots=True)
class Scores:
    """t2, q: (rows,); t2_surprise, q_surprise: -log10 p of each; contribution: (rows, columns), share of Q by column, sums to 1 or 0."""

    t2: Floats
    q: Floats
    t2_surprise: Floats
    q_surprise: Floats
    contribution: Floats


def fit(normal: Floats, held_back: Floats, *, explained: float = 0.9) -> Detector:
    """PCA of `normal` (rows, columns) keeping `explained` of the variance; limits from `held_back`, other normal rows.

    T2 = sum of squared scores over eigenvalues, Q = squared residual (Jackson and Mudholkar 1979). Constant columns are left at scale 1.
    Raises AssetError when there are fewer rows than columns + 2, or fewer than 50 held-back rows.
    """
    rows = numbers("normal", normal)
    if rows.shape[0] < rows.shape[1] + 2 or held_back.shape[0] < 50:
        raise AssetError(
            f"fit: expected at least {rows.shape[1] + 2} normal and 50 held-back rows, found {rows.shape[0]} and {len(held_back)}"
        )
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    scale = np.where(deviation > 1e-12 * np.maximum(np.abs(mean), 1e-300), deviation, 1.0)
    values, vectors = np.linalg.eigh(np.cov((rows - mean) / scale, rowvar=False).reshape(mean.size, mean.size))
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    total = max(float(values.sum()), 1e-300)
    kept = min(int(np.searchsorted(np.cumsum(values) / total, explained)) + 1, max(int(np.count_nonzero(values > 1e-10)), 1))
    main = vectors[:, :kept]
    amount = main / np.maximum(values[:kept], 1e-12) @ main.T
    relation = np.eye(mean.size) - main @ main.T
    tested = (numbers("held_back", held_back) - mean) / scale
    t2, q = (np.maximum(np.einsum("ij,jk,ik->i", tested, form, tested, optimize=True), 0.0) for form in (amount, relation))
    return Detector(mean, scale, amount, relation, Reference.of(t2), Reference.of(q))


def score(detector: Detector, values: Floats, usable: Bools) -> Scores:
    """Both statistics of each row (rows, columns); a value that is not usable may be anything, NaN included."""
    known = usable & np.isfinite(values)
    z = np.where(known, (np.where(known, values, 0.0) - detector.mean) / detector.scale, 0.0)
    t2 = _quadratic(detector.amount, _harmless(detector.amount, z, known))
    completed = _harmless(detector.relation, z, known)
    q = _quadratic(detector.relation, completed)
    residual = (completed @ detector.relation) ** 2
    contribution = residual / np.maximum(residual.sum(axis=1, keepdims=True), 1e-300)
    return Scores(t2, q, detector.t2.surprise(t2), detector.q.surprise(q), contribution)


def _quadratic(form: Floats, z: Floats) -> Floats:
    return np.asarray(np.maximum(((z @ form) * z).sum(axis=1), 0.0))


def _harmless(form: Floats, z: Floats, known: Bools) -> Floats:
    """`z` with unknown columns at the minimum of the quadratic form: one small solve per row that misses something."""
    rows = np.flatnonzero(~known.all(axis=1))
    if not rows.size:
        return z
    missing = (~known[rows]).astype(np.float64)
    system = form * missing[:, :, None] * missing[:, None, :]
    diagonal = np.arange(z.shape[1])
    system[:, diagonal, diagonal] += np.where(missing > 0, _RIDGE, 1.0)
    filled = np.linalg.solve(system, -(z[rows] @ form * missing)[..., None])[..., 0]
    completed = z.copy()
    completed[rows] += filled * missing
    return completed


def lagged(values: Floats, lags: int) -> Floats:
    """Columns of now and of each of `lags` rows before, (rows - lags, columns * (lags + 1)), for dynamic PCA."""
    count = values.shape[0] - lags
    if lags < 0 or count < 1:
        raise AssetError(f"lagged: expected 0 <= lags < rows, found {lags} of {values.shape[0]}")
    return np.concatenate([values[lags - lag : lags - lag + count] for lag in range(lags + 1)], axis=1)


def smoothed(values: Floats, weight: float = SMOOTHING) -> Floats:
    """EWMA down the rows, starting at the first row. One pass over time; all columns at once."""
    found = np.array(values, dtype=np.float64)
    for row in range(1, found.shape[0]):
        found[row] = found[row - 1] + weight * (found[row] - found[row - 1])
    return found
