"""Quantities that follow from several tags of an asset: what shows wear when control keeps the measured ones where they should be.

Each formula says which inputs it takes, in which units, and where it comes from. An input outside the formula's domain gives no
number and `usable` False, never NaN. Not for judging the result: that is a tag like any other (`health`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from cloud.assets import Bools, Floats

ZERO_CELSIUS_K: Final = 273.15
PRESSURES: Final = ("bar", "kPa", "MPa", "Pa")  # absolute
Computed = Callable[[Sequence[Floats], float], tuple[Floats, Bools]]


@dataclass(frozen=True, slots=True)
class Formula:
    """inputs: what each stands for and the units it may have; pressures share one. constant: what the number beside the inputs is."""

    compute: Computed
    inputs: tuple[tuple[str, tuple[str, ...]], ...]
    constant: str
    unit: str
    source: str


def polytropic_efficiency(inputs: Sequence[Floats], kappa: float) -> tuple[Floats, Bools]:
    """((kappa - 1) / kappa) ln(p2 / p1) / ln(T2 / T1) of suction and discharge pressure (absolute, same unit) and temperature (degC).

    Ideal gas with a constant ratio of specific heats: the polytropic exponent n follows from the end points, (n - 1)/n = ln(T2/T1) /
    ln(p2/p1), and the efficiency is ((kappa - 1)/kappa) / ((n - 1)/n) (Schultz, J. Eng. Power 84 (1962) 69, with X = 0, Y = 1).
    """
    low_p, high_p, low_c, high_c = inputs
    low_t, high_t = low_c + ZERO_CELSIUS_K, high_c + ZERO_CELSIUS_K
    usable = np.isfinite(low_p + high_p + low_t + high_t) & (low_p > 0) & (high_p > low_p) & (low_t > 0) & (high_t > low_t)
    pressure = np.log(np.where(usable, high_p, np.e) / np.where(usable, low_p, 1.0))
    temperature = np.log(np.where(usable, high_t, np.e) / np.where(usable, low_t, 1.0))
    return np.where(usable, (kappa - 1) / kappa * pressure / temperature, 0.0), usable


FORMULAS: Final[Mapping[str, Formula]] = {
    "polytropic_efficiency": Formula(
        polytropic_efficiency,
        (
            ("suction pressure", PRESSURES),
            ("discharge pressure", PRESSURES),
            ("suction temperature", ("degC",)),
            ("discharge temperature", ("degC",)),
        ),
        "ratio of specific heats, more than 1",
        "1",
        "Schultz, The polytropic analysis of centrifugal compressors, J. Eng. Power 84 (1962) 69-82, ideal gas",
    )
}
