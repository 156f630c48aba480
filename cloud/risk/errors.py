"""Why a figure is refused. Scalars raise `RiskError`; where arrays are valued item by item, `Failure`s stand beside the results."""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class Cause(Enum):
    NOT_FINITE = "an input is not a finite number"
    FORWARD_NOT_POSITIVE = "the price is <= 0 and the model is lognormal; use the normal model"
    STRIKE_NOT_POSITIVE = "the strike is <= 0 and the model is lognormal; use the normal model"
    VOL_NEGATIVE = "the volatility is negative"
    EXPIRY_NEGATIVE = "the time to expiry is negative"
    CORRELATION_OUT_OF_RANGE = "the correlation is outside [-1, 1]"
    LEVEL_OUT_OF_RANGE = "the level is outside its range"
    NO_DATA = "there is nothing to estimate from"
    SHAPES_DIFFER = "the shapes do not fit"
    NOT_SYMMETRIC = "the matrix is not symmetric"
    NOT_POSITIVE_SEMIDEFINITE = "the covariance is not positive semidefinite"
    NOT_VALID = "the deal cannot be valued as it stands"
    NO_CONVERGENCE = "the equation has no root where one is expected"


class RiskError(ValueError):
    """A calculation that was refused; `cause` says why, `value` is the offending number."""

    def __init__(self, cause: Cause, detail: str, value: float | None = None) -> None:
        super().__init__(f"{detail}: {cause.value}" + ("" if value is None else f" (found {value:.6g})"))
        self.cause = cause
        self.value = value


@dataclass(frozen=True, slots=True)
class Failure:
    """One item of an array that could not be valued; `index` counts in the flattened (C order) broadcast array."""

    index: int
    cause: Cause
    value: float


def finite(name: str, values: ArrayLike) -> Floats:
    """The values as float64, at least one of them and none NaN or infinite."""
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        raise RiskError(Cause.NO_DATA, name)
    bad = ~np.isfinite(array)
    if bad.any():
        raise RiskError(Cause.NOT_FINITE, f"{name}[{int(np.argmax(bad))}]", float(array[bad][0]))
    return array


def inside(name: str, value: float, low: float, high: float) -> float:
    """A number strictly between two bounds (levels, probabilities)."""
    if not low < value < high:
        raise RiskError(Cause.LEVEL_OUT_OF_RANGE, f"{name} must lie in ({low:g}, {high:g})", value)
    return value
