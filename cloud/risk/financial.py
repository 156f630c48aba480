"""Financial positions of a book: what they pay in each price period of each scenario.

For swaps, forwards and options settled on the price of a period, beside the physical contracts of `supply`. Not for volumes and not for
early exercise. Plus is bought and a gain; volumes are already discounted to the as-of of the run. All that is linear in a price is held
as one volume per product, so that a thousand swaps cost what one costs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cloud.risk.errors import Cause, Floats, RiskError, finite
from cloud.trading.deals import Right


@dataclass(frozen=True, slots=True)
class Financial:
    """volume (p,) of `product`, bought +, sold -; strike (p,): what is paid for it. right: None pays P - K, a call (P - K)+, a put (K - P)+.

    premium: money paid (+) or received (-) for it, whatever the scenario.
    """

    deal_id: str
    product: str
    volume: Floats
    strike: Floats
    right: Right | None = None
    premium: float = 0.0

    def pays(self, prices: Floats) -> Floats:
        """Money by period, the shape of prices (S, p) or (p,); the premium is not in it."""
        if self.right is None:
            return np.asarray(self.volume * (prices - self.strike))
        moved = prices - self.strike if self.right is Right.CALL else self.strike - prices
        return np.asarray(self.volume * np.maximum(moved, 0.0))

    def check(self, periods: int) -> None:
        """Raises RiskError for numbers that are not finite or shapes other than (periods,)."""
        shapes = {finite(f"{name} of {self.deal_id}", getattr(self, name)).shape for name in ("volume", "strike")}
        finite(f"premium of {self.deal_id}", self.premium)
        if shapes != {(periods,)}:
            raise RiskError(Cause.SHAPES_DIFFER, f"{self.deal_id} on {self.product}: {sorted(shapes)}, {periods} periods")


@dataclass(frozen=True, slots=True)
class Held:
    """The positions on one product: volume, owed (n, p) of the linear ones (owed = volume x strike), and the options one by one."""

    linear: tuple[str, ...]
    volume: Floats
    owed: Floats
    options: tuple[Financial, ...]
    premium: float

    def total(self, prices: Floats) -> Floats:
        """Money over all periods, premiums included: (S,) for prices (S, p), a number for (p,)."""
        paid = prices @ self.volume.sum(axis=0) - self.owed.sum() - self.premium
        for option in self.options:
            paid = paid + option.pays(prices).sum(axis=-1)
        return np.asarray(paid)

    def mean(self, prices: Floats, weights: Floats) -> Floats:
        """Weighted mean of what each position pays by period, (n, p), in the order of `names`; premiums left out."""
        rows = [self.volume * (weights @ prices) - self.owed]
        rows += [(weights @ option.pays(prices))[None] for option in self.options]
        return np.vstack(rows)

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.linear, *(option.deal_id for option in self.options))


def hold(positions: Sequence[Financial], periods: int) -> dict[str, Held]:
    """Positions by product, in the order in which products first appear."""
    by_product: dict[str, list[Financial]] = {}
    for position in positions:
        by_product.setdefault(position.product, []).append(position)
    return {product: _held(found, periods) for product, found in by_product.items()}


def _held(positions: Sequence[Financial], periods: int) -> Held:
    linear = [position for position in positions if position.right is None]
    options = tuple(position for position in positions if position.right is not None)
    volume = np.array([position.volume for position in linear], np.float64).reshape(len(linear), periods)
    strike = np.array([position.strike for position in linear], np.float64).reshape(len(linear), periods)
    premium = sum(position.premium for position in positions)
    return Held(tuple(position.deal_id for position in linear), volume, volume * strike, options, premium)


def total(held: Mapping[str, Held], prices: Mapping[str, Floats]) -> Floats | float:
    """Money of all products, (S,) or a number; 0 when nothing is held."""
    return sum((one.total(prices[product]) for product, one in held.items()), np.zeros(()))
