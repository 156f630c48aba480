"""Financial positions of a book: what they pay in each price period of each scenario.

For swaps, forwards and options settled on the price of a period, beside the physical contracts of `supply`. Not for volumes and not for
early exercise. Plus is bought and a gain; volumes are already discounted to the as-of of the run.
"""

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

    def total(self, prices: Floats) -> Floats:
        """Money over all periods with the premium: (S,) for prices (S, p)."""
        return np.asarray(self.pays(prices).sum(axis=-1) - self.premium)


def check(position: Financial, periods: int) -> None:
    """Raises RiskError for numbers that are not finite or shapes other than (periods,)."""
    shapes = {finite(f"{name} of {position.deal_id}", getattr(position, name)).shape for name in ("volume", "strike")}
    finite(f"premium of {position.deal_id}", position.premium)
    if shapes != {(periods,)}:
        raise RiskError(Cause.SHAPES_DIFFER, f"{position.deal_id} on {position.product}: {sorted(shapes)}, {periods} periods")
