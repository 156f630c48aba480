"""Assets: what they are, how healthy they are, when they may fail and what volume they will deliver. Pure rules over arrays.

Rules of the area: numbers in, numbers out (no clock, no database); NaN never leaves a function; what cannot be meant raises AssetError.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class AssetError(ValueError):
    """A parameter or a model that cannot be meant: what was expected and what was found."""


def numbers(what: str, values: ArrayLike, *, low: float = -np.inf, infinite: bool = False) -> Floats:
    """`values` as float64, refused when one is NaN, below `low`, or infinite where that has no meaning. Raises AssetError."""
    found = np.asarray(values, dtype=np.float64)
    if np.isnan(found).any():
        raise AssetError(f"{what}: expected numbers, found NaN")
    if not infinite and not np.isfinite(found).all():
        raise AssetError(f"{what}: expected finite numbers")
    if found.size and found.min() < low:
        raise AssetError(f"{what}: expected at least {low:g}, found {found.min():g}")
    return found
