"""The one path set of supply-linked risk: price shocks and delivered volumes on the same scenarios.

For turning drivers into prices with a price-volume correlation rho_PV and a market impact J (section 2.2(d), (e) of the specification),
and for the way from produced to delivered volume. Not for drawing anything: shocks and volumes come in, so that every variant uses
common random numbers. Axes are always (scenario, bucket or period, unit); a price period may span many delivery buckets.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cloud.risk.errors import Cause, Floats, RiskError, finite


class PriceModel(StrEnum):
    LOGNORMAL = "lognormal"  # P = F exp(sd g - sd^2 / 2), F > 0; sd without unit
    NORMAL = "normal"  # P = F + sd g, any sign; sd in money


@dataclass(frozen=True, slots=True)
class PriceDrivers:
    """Forward (p) and total standard deviation to delivery (p) of one product, and its standard normal shocks (S, p).

    premium (p): expected move added under P, 0 under Q (in log for lognormal, in money for normal).
    """

    forward: Floats
    sd: Floats
    shocks: Floats
    model: PriceModel = PriceModel.LOGNORMAL
    premium: Floats | float = 0.0


@dataclass(frozen=True, slots=True)
class PathSet:
    """All paths of one run.

    delivered (S, b, u): volume each unit adds to deliveries, after logistics; nameplate (b, u): with nothing wrong, the plan.
    produced (S, b, u): before logistics and inventory, what costs are paid on; None when it is what is delivered.
    period (b): which price period a bucket belongs to; discount (b): discount factors. prices: drivers by product.
    availability (S,) or (S, p): the standard normal factor, high when volumes are high, that price shocks correlate with;
    None: taken from the ranks of delivered volume. force_majeure (S, b) by stream: share of a shortfall that an event excuses.
    """

    units: tuple[str, ...]
    delivered: Floats
    nameplate: Floats
    period: NDArray[np.int64]
    discount: Floats
    prices: Mapping[str, PriceDrivers]
    availability: Floats | None = None
    produced: Floats | None = None
    force_majeure: Mapping[str, Floats] = field(default_factory=dict)


def check_paths(paths: PathSet) -> None:
    """Raises RiskError for shapes that do not fit, values that are not finite, negative volumes. Prices are checked by product."""
    finite("delivered", paths.delivered)
    finite("nameplate", paths.nameplate)
    finite("discount", paths.discount)
    scenarios, buckets, units = paths.delivered.shape if paths.delivered.ndim == 3 else (0, 0, 0)
    fits = paths.nameplate.shape == (buckets, units) and len(paths.units) == units
    fits &= paths.period.shape == paths.discount.shape == (buckets,)
    fits &= paths.produced is None or paths.produced.shape == paths.delivered.shape
    fits &= all(event.shape == (scenarios, buckets) for event in paths.force_majeure.values())
    fits &= paths.availability is None or paths.availability.shape[0] == scenarios
    if not fits or scenarios == 0:
        raise RiskError(
            Cause.SHAPES_DIFFER, f"delivered {paths.delivered.shape}, nameplate {paths.nameplate.shape}, {len(paths.units)} units"
        )
    if int(paths.period.min()) < 0 or not np.bincount(paths.period).all():
        raise RiskError(Cause.SHAPES_DIFFER, "price periods must be 0, 1, ... with a bucket in each")
    if float(paths.delivered.min()) < 0:
        raise RiskError(Cause.SHAPES_DIFFER, "a delivered volume is negative", float(paths.delivered.min()))
    for name, event in paths.force_majeure.items():
        finite(f"force majeure of {name}", event)


def check_drivers(product: str, drivers: PriceDrivers, scenarios: int, periods: int) -> None:
    """Raises RiskError when the drivers of a product cannot give prices for periods 0..periods-1."""
    forward, sd, shocks = (finite(f"{product}: {name}", getattr(drivers, name)) for name in ("forward", "sd", "shocks"))
    if shocks.shape != (scenarios, forward.size) or sd.shape != forward.shape or forward.size < periods:
        raise RiskError(
            Cause.SHAPES_DIFFER, f"{product}: shocks {shocks.shape}, forward {forward.shape}, {scenarios} scenarios, {periods} periods"
        )
    if float(sd.min()) < 0:
        raise RiskError(Cause.VOL_NEGATIVE, product, float(sd.min()))
    if drivers.model is PriceModel.LOGNORMAL and float(forward.min()) <= 0:
        raise RiskError(Cause.FORWARD_NOT_POSITIVE, product, float(forward.min()))


def prices(
    drivers: PriceDrivers, availability: Floats | None = None, rho: float = 0.0, outage: Floats | None = None, jump: float = 0.0
) -> Floats:
    """Prices (S, p). rho: correlation of the shock with `availability` (S,) or (S, p), negative when shortage is dear.

    jump: with a share `outage` (S, p) of capacity out, spot is multiplied by 1 + jump x share, compensated so that the mean over
    scenarios stays what it was without the jump (by a factor; for the normal model by a shift). Raises RiskError for |rho| > 1.
    """
    if not -1 <= rho <= 1:
        raise RiskError(Cause.CORRELATION_OUT_OF_RANGE, "rho_PV", rho)
    shocks = drivers.shocks
    if rho and availability is not None:
        factor = availability[:, None] if availability.ndim == 1 else availability
        shocks = rho * factor + np.sqrt(1 - rho * rho) * shocks
    if drivers.model is PriceModel.LOGNORMAL:
        spot = drivers.forward * np.exp(drivers.sd * shocks - 0.5 * drivers.sd**2 + drivers.premium)
    else:
        spot = drivers.forward + drivers.sd * shocks + drivers.premium
    return _with_jump(spot, drivers.model, outage, jump)


def availability_factor(delivered: Floats) -> Floats:
    """Standard normal scores (S,) of total delivered volume by rank, for path sets that come without their factor.

    Equal volumes keep the order of scenarios, which is independent of every shock.
    """
    from scipy.special import ndtri

    total = delivered.reshape(delivered.shape[0], -1).sum(axis=1)
    ranks = np.empty(total.size)
    ranks[np.argsort(total, kind="stable")] = np.arange(total.size)
    scores: Floats = ndtri((ranks + 0.5) / total.size)
    return scores


def deliver(produced: ArrayLike, cap: ArrayLike, capacity: float = 0.0, start: float = 0.0) -> tuple[Floats, Floats, Floats]:
    """Delivered, inventory at the end of the bucket, and curtailed volume, each (S, b), of produced volume (S, b).

    W_b = min(V_b + I_{b-1}, cap_b), I_b = I_{b-1} + V_b - W_b, and 0 <= I <= capacity: what neither leaves nor fits is curtailed.
    cap (b,). Raises RiskError for a start outside the inventory, or negative volumes.
    """
    volume, limit = finite("produced", produced), finite("cap", cap)
    if volume.ndim != 2 or limit.shape != volume.shape[1:]:
        raise RiskError(Cause.SHAPES_DIFFER, f"produced {volume.shape}, cap {limit.shape}")
    if not 0 <= start <= capacity or min(float(volume.min()), float(limit.min())) < 0:
        raise RiskError(Cause.LEVEL_OUT_OF_RANGE, f"inventory must start in 0 to {capacity:g} and volumes be >= 0", start)
    delivered, inventory, curtailed = np.empty_like(volume), np.empty_like(volume), np.empty_like(volume)
    held = np.full(volume.shape[0], start)
    for bucket in range(volume.shape[1]):
        there = held + volume[:, bucket]
        delivered[:, bucket] = np.minimum(there, limit[bucket])
        left = there - delivered[:, bucket]
        held = np.minimum(left, capacity)
        inventory[:, bucket], curtailed[:, bucket] = held, left - held
    return delivered, inventory, curtailed


def _with_jump(spot: Floats, model: PriceModel, outage: Floats | None, jump: float) -> Floats:
    if not jump or outage is None:
        return spot
    moved = spot * (1 + jump * outage)
    if model is PriceModel.LOGNORMAL:
        return np.asarray(moved * (spot.mean(axis=0) / moved.mean(axis=0)))
    return np.asarray(moved - moved.mean(axis=0) + spot.mean(axis=0))
