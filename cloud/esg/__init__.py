"""ESG: emissions from samples, their uncertainty and quality, the inventory, the score beside it. Pure rules over values and arrays.

Rules of the area: no clock, no database, no HTTP. Gases are kept per gas, in kilograms; they become CO2e at report time, by one named
set of global warming potentials. Estimates are floats. A missing fact or a factor nobody confirmed raises `Indeterminate`, a fact that
cannot be meant raises `EsgError`; neither becomes zero. Helpers that guess (leak triage, gap filling) never write to the inventory.
"""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class EsgError(ValueError):
    """A fact or a parameter that cannot be meant: what was expected, what was found, where."""


class Indeterminate(EsgError):
    """The answer is not known: a fact is missing, or no confirmed factor is in force."""


def finite(what: str, value: float, *, low: float = -math.inf, high: float = math.inf) -> float:
    """`value`, refused when it is NaN, infinite or outside [low, high]. Raises EsgError."""
    if not math.isfinite(value):
        raise EsgError(f"{what}: expected a finite number, found {value}")
    if not low <= value <= high:
        raise EsgError(f"{what}: expected {low:g} to {high:g}, found {value:g}")
    return value


def share(what: str, value: float) -> float:
    """A fraction between 0 and 1. Raises EsgError."""
    return finite(what, value, low=0.0, high=1.0)
