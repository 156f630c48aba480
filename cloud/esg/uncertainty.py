"""How far an emission may be off: IPCC 2006 volume 1 chapter 3, approach 1 (formulas) and approach 2 (Monte Carlo).

Not for deciding how good a meter is: u95 (half width of the 95 % interval, in per cent) is an input. Sources that share a meter, an analyser
or a factor share its draw, whatever their order; the draws of an input depend on the seed and the input's name alone.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from cloud.esg import EsgError, Floats, finite

Z95: Final = 1.959963984540054
APPROACH_2_ABOVE_PCT: Final = 30.0


@dataclass(frozen=True, slots=True)
class Input:
    """A factor of a product, by the name of what it was read from."""

    name: str
    u95_pct: float

    def __post_init__(self) -> None:
        finite(f"{self.name}: u95_pct", self.u95_pct, low=0.0, high=1000.0)


@dataclass(frozen=True, slots=True)
class Source:
    """An emission that is a product of inputs."""

    name: str
    kg: float
    inputs: tuple[Input, ...]

    def __post_init__(self) -> None:
        finite(f"{self.name}: kg", self.kg, low=0.0)
        if len({each.name for each in self.inputs}) != len(self.inputs):
            raise EsgError(f"{self.name}: an input is named twice")


@dataclass(frozen=True, slots=True)
class Spread:
    """A total with its 95 % interval; `u95_pct` is half the interval over the value."""

    kg: float
    low_kg: float
    high_kg: float
    u95_pct: float
    approach: int


def product_u95_pct(parts: Sequence[float]) -> float:
    """Equation 3.1: sqrt(sum U_i^2)."""
    return math.hypot(*(finite("u95_pct", part, low=0.0) for part in parts))


def sum_u95_pct(amounts: Sequence[float], u95_pct: Sequence[float]) -> float:
    """Equation 3.2: sqrt(sum (x_i U_i)^2) / sum x_i, for sources that have nothing in common."""
    if len(amounts) != len(u95_pct):
        raise EsgError(f"{len(amounts)} amounts, {len(u95_pct)} uncertainties")
    total = sum(finite("amount", amount, low=0.0) for amount in amounts)
    return math.hypot(*(x * finite("u95_pct", u, low=0.0) for x, u in zip(amounts, u95_pct, strict=True))) / total if total else 0.0


def approach(sources: Sequence[Source]) -> int:
    """2 when any uncertainty is above 30 % or sources share an input, else 1."""
    names = [each.name for source in sources for each in source.inputs]
    wide = any(product_u95_pct([each.u95_pct for each in source.inputs]) > APPROACH_2_ABOVE_PCT for source in sources)
    return 2 if wide or len(set(names)) != len(names) else 1


def total(sources: Sequence[Source], seed: int, draws: int = 20_000) -> Spread:
    """The sum with its interval, by the approach the sources ask for."""
    _agree(sources)
    if approach(sources) == 2:
        return monte_carlo(sources, seed, draws)
    kg = sum(source.kg for source in sources)
    u95 = sum_u95_pct([source.kg for source in sources], [product_u95_pct([i.u95_pct for i in source.inputs]) for source in sources])
    return Spread(kg, kg * (1 - u95 / 100), kg * (1 + u95 / 100), u95, 1)


def monte_carlo(sources: Sequence[Source], seed: int, draws: int = 20_000) -> Spread:
    """Approach 2. The mean stays what was reported; only the interval comes from the draws."""
    _agree(sources)
    if draws < 1000:
        raise EsgError(f"draws: expected at least 1000, found {draws}")
    drawn: dict[str, Floats] = {}
    sums = np.zeros(draws)
    for source in sources:
        ratio = np.ones(draws)
        for each in source.inputs:
            if each.name not in drawn:
                drawn[each.name] = _ratios(each, seed, draws)
            ratio = ratio * drawn[each.name]
        sums += source.kg * ratio
    kg = float(sum(source.kg for source in sources))
    low, high = (float(edge) for edge in np.quantile(sums, (0.025, 0.975)))
    return Spread(kg, low, high, 50.0 * (high - low) / kg if kg else 0.0, 2)


def _agree(sources: Sequence[Source]) -> None:
    """One input has one uncertainty, whoever names it."""
    known: dict[str, float] = {}
    for source in sources:
        for each in source.inputs:
            if known.setdefault(each.name, each.u95_pct) != each.u95_pct:
                raise EsgError(f"{source.name}: input {each.name} has u95 {each.u95_pct:g} % here and {known[each.name]:g} % elsewhere")


def _ratios(each: Input, seed: int, draws: int) -> Floats:
    """True over reported, mean 1: normal up to 30 %, lognormal above, which cannot become negative."""
    key = int.from_bytes(hashlib.sha256(each.name.encode()).digest()[:8], "big")
    normal = np.random.default_rng(np.random.SeedSequence([seed, key])).standard_normal(draws)
    sd = each.u95_pct / 100.0 / Z95
    if each.u95_pct <= APPROACH_2_ABOVE_PCT:
        return 1.0 + sd * normal
    log_sd = math.sqrt(math.log1p(sd * sd))
    ratios: Floats = np.exp(log_sd * normal - 0.5 * log_sd**2)
    return ratios
