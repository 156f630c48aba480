"""Correlation matrices: validated as positive semidefinite, and their square root for simulation.

Not for estimating them. A matrix that is no correlation is refused with the eigenvalue and the factors it lies on, never repaired silently.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cloud.market.errors import MarketError, NotPositiveSemidefinite

Floats = NDArray[np.float64]

TOLERANCE: Final = 1e-10  # per dimension; an eigenvalue above minus this is rounding


def root(correlation: Floats, names: Sequence[str] = ()) -> Floats:
    """L (K, K) with L @ L.T = correlation, by eigenvectors, so that singular matrices (perfect correlation) work too.

    MarketError for a matrix that is not square, symmetric, finite or without unit diagonal; NotPositiveSemidefinite names the eigenvalue.
    """
    matrix = np.array(correlation, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise MarketError(f"correlation has shape {matrix.shape}, it must be square")
    if not np.isfinite(matrix).all() or np.abs(matrix - matrix.T).max() > TOLERANCE or np.abs(np.diag(matrix) - 1).max() > TOLERANCE:
        raise MarketError("correlation must be finite and symmetric with ones on the diagonal")
    return covariance_root(matrix, names)


def covariance_root(covariance: Floats, names: Sequence[str] = ()) -> Floats:
    """L with L @ L.T = covariance (K, K), symmetric; NotPositiveSemidefinite with the offending eigenvalue otherwise."""
    if not np.isfinite(covariance).all():
        raise MarketError("a covariance must be finite")
    values, vectors = np.linalg.eigh(covariance)
    if values[0] < -TOLERANCE * len(values) * max(1.0, values[-1]):
        most = np.argsort(-np.abs(vectors[:, 0]))[:3]
        labels = ", ".join(names[k] if k < len(names) else f"factor {k}" for k in most)
        raise NotPositiveSemidefinite(f"not positive semidefinite: eigenvalue {values[0]:.6g}, mainly on {labels}", float(values[0]))
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))
