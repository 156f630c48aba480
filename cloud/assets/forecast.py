"""Volume forecast: scenarios of what a stream delivers in each bucket, from the state of its units, their repair and the plan.

Up-shares of each step (`outages`) times derate and maintenance pass the stream's topology; inventory and a logistics cap turn
production into deliveries. Measurement uncertainty is its own channel and never part of the volumes. Not for whose volume it is:
`outlook` shares it among units.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cloud.assets import AssetError, Floats, numbers
from cloud.assets.outages import MEASUREMENT, Draws, Outages, Shocks, Units, normals, simulate_outages, simulate_shocks
from cloud.assets.topology import Node, structure

QUANTILES: Final = (0.05, 0.25, 0.50, 0.75, 0.95, 0.99)
_CHUNK: Final = 256  # paths whose steps are held at once; their arrays stay in the processor's cache


@dataclass(frozen=True, slots=True)
class Plan:
    """When and how much may leave. step_days: (steps,) lengths; bucket_start: (buckets,) index of each bucket's first step, from 0;
    remaining: (units, steps) share left by maintenance; cap: (buckets,) most that can be lifted; stock at the start and at most."""

    step_days: Floats
    bucket_start: NDArray[np.int64]
    remaining: Floats
    cap: Floats
    stock: float = 0.0
    stock_most: float = 0.0

    @classmethod
    def daily(cls, days: int, units: int, *, days_in_bucket: int = 1) -> "Plan":
        """Steps of one day, equal buckets, nothing planned, no cap and no stock."""
        start = np.arange(0, days, days_in_bucket)
        return cls(np.ones(days), start, np.ones((units, days)), np.full(start.size, np.inf))

    def checked(self, units: int) -> "Plan":
        """Itself. Raises AssetError."""
        numbers("step_days", self.step_days, low=1e-9)
        numbers("cap", self.cap, low=0, infinite=True)
        if self.remaining.shape != (units, self.step_days.size) or np.any(numbers("remaining", self.remaining, low=0) > 1):
            raise AssetError("remaining: expected a share from 0 to 1 for each unit and step")
        if self.bucket_start[0] != 0 or np.any(np.diff(self.bucket_start) <= 0) or self.bucket_start[-1] >= self.step_days.size:
            raise AssetError("bucket_start: expected rising step indices from 0")
        if not 0 <= self.stock <= self.stock_most or self.cap.size != self.bucket_start.size:
            raise AssetError("plan: expected 0 <= stock <= stock_most and one cap per bucket")
        return self


@dataclass(frozen=True, slots=True)
class VolumeForecast:
    """produced, delivered: (paths, buckets), volume; measurement: (paths, buckets), error of measuring the produced volume, mean 0;
    uptime: (units,) mean share of the horizon; first_failure: (units, paths), days, infinite when none lies within the horizon; lost:
    (units, paths, buckets), what each unit by itself fell short of its plan, where asked for."""

    produced: Floats
    delivered: Floats
    measurement: Floats
    uptime: Floats
    first_failure: Floats
    lost: Floats | None = None

    @property
    def expected(self) -> Floats:
        """Mean delivered volume per bucket."""
        return np.asarray(self.delivered.mean(axis=0))

    def quantiles(self, at: tuple[float, ...] = QUANTILES) -> Floats:
        """Delivered volume, shape (quantiles, buckets)."""
        return np.asarray(np.quantile(self.delivered, at, axis=0))


def forecast(
    units: Units, topology: Node | int, plan: Plan, draws: Draws, *, shocks: Shocks | None = None, by_unit: bool = False
) -> VolumeForecast:
    """Scenarios of delivered volume. Raises AssetError for parameters that cannot be meant.

    Steps resolve time: within a step a unit counts with the share of it that it is up, then the topology is applied.
    """
    units = units.checked()
    plan = plan.checked(units.nameplate.size)
    if draws.paths < 1 or not 0 <= draws.correlation <= 1:
        raise AssetError("draws: expected at least one path and a correlation from 0 to 1")
    horizon = float(plan.step_days.sum())
    outages, first = simulate_outages(units, horizon, draws)
    stopped = simulate_shocks(shocks, horizon, draws) if shocks is not None and shocks.rate > 0 else None
    produced, lost = _production(units, topology, plan, draws.paths, outages, stopped, by_unit)
    uptime = _uptime(outages, units.nameplate.size, draws.paths * horizon)
    if stopped is not None:
        uptime = uptime * _uptime(stopped, 1, draws.paths * horizon)
    return VolumeForecast(produced, deliver(produced, plan), measurement_error(units, produced, draws), uptime, first, lost)


def planned(units: Units, plan: Plan) -> Floats:
    """Volume of each unit by itself with nothing wrong, shape (units, buckets)."""
    full = (units.nameplate * units.derate)[:, None] * plan.remaining * plan.step_days
    return np.asarray(np.add.reduceat(full, plan.bucket_start, axis=1))


def planned_production(units: Units, topology: Node | int, plan: Plan) -> Floats:
    """Volume of the stream with nothing wrong, before logistics, shape (buckets,)."""
    rate = structure(topology, (units.nameplate * units.derate)[:, None] * plan.remaining)
    return np.asarray(np.add.reduceat(rate * plan.step_days, plan.bucket_start))


def _uptime(outages: Outages, units: int, days: float) -> Floats:
    return np.asarray(1.0 - np.bincount(outages.unit, outages.end - outages.start, minlength=units) / days)


def _production(
    units: Units, topology: Node | int, plan: Plan, paths: int, outages: Outages, stopped: Outages | None, by_unit: bool
) -> tuple[Floats, Floats | None]:
    """(produced volume (paths, buckets), what units lost (units, paths, buckets) if `by_unit`)."""
    edges, count = np.concatenate([[0.0], np.cumsum(plan.step_days)]), units.nameplate.size
    full = (units.nameplate * units.derate)[:, None] * plan.remaining
    produced = np.empty((paths, plan.bucket_start.size))
    lost = np.empty((count, paths, plan.bucket_start.size)) if by_unit else None
    own = planned(units, plan)
    parts, site = _chunks(outages, paths), None if stopped is None else _chunks(stopped, paths)
    for chunk, begin in enumerate(range(0, paths, _CHUNK)):
        end = min(begin + _CHUNK, paths)
        up = _up_share(outages, parts[chunk], begin, (count, end - begin, plan.step_days.size), edges)
        if stopped is not None and site is not None:
            up *= _up_share(stopped, site[chunk], begin, (1, end - begin, plan.step_days.size), edges)
        rate = np.multiply(up, full[:, None, :], out=up)
        if lost is not None:
            lost[:, begin:end] = np.maximum(own[:, None, :] - _by_bucket(rate, plan), 0.0)
        produced[begin:end] = _by_bucket(structure(topology, rate), plan)
    return produced, lost


def _chunks(outages: Outages, paths: int) -> list[NDArray[np.int64]]:
    """Positions of the outages of each chunk of paths."""
    order = np.argsort(outages.path, kind="stable")
    return np.split(order, np.searchsorted(outages.path[order], np.arange(_CHUNK, paths, _CHUNK)))


def _by_bucket(rate: Floats, plan: Plan) -> Floats:
    """Volume per bucket of rates (..., steps)."""
    if plan.bucket_start.size == plan.step_days.size:
        return rate * plan.step_days
    return np.asarray(np.add.reduceat(rate * plan.step_days, plan.bucket_start, axis=-1))


def _up_share(outages: Outages, mine: NDArray[np.int64], begin: int, shape: tuple[int, int, int], edges: Floats) -> Floats:
    """Share of each step that each unit is up, shape (units, paths of the chunk, steps): 1 exactly where no outage lies."""
    units, paths, steps = shape
    row = (outages.unit[mine] * paths + outages.path[mine] - begin) * steps
    start, end = outages.start[mine], outages.end[mine]
    first, last = _step_of(start, edges), _step_of(end, edges)
    place, width = np.concatenate([row + first, row + last]), np.diff(edges)
    # One running sum over all rows: each outage takes 1 away from its first step on and gives it back in its last one, so every row
    # ends where it began. What is up of those two steps is put right afterwards.
    change: Floats = np.bincount(place, np.repeat([-1.0, 1.0], mine.size), minlength=units * paths * steps).astype(np.float64, copy=False)
    change[0] += 1.0
    up: Floats = np.cumsum(change, out=change)
    np.add.at(up, place, np.concatenate([(start - edges[first]) / width[first], -(end - edges[last]) / width[last]]))
    up[place] = np.maximum(up[place], 0.0)
    return up.reshape(units, paths, steps)


def _step_of(time: Floats, edges: Floats) -> NDArray[np.int64]:
    return np.clip(np.searchsorted(edges, time, side="right") - 1, 0, edges.size - 2)


def deliver(produced: Floats, plan: Plan) -> Floats:
    """W = min(V + I, cap), I' = min(I + V - W, stock_most): what is lifted per bucket; overflow of the stock is production shut in."""
    if np.isinf(plan.cap).all() and plan.stock == 0:
        return produced
    delivered = np.empty_like(produced)
    stock = np.full(produced.shape[0], plan.stock)
    for bucket, cap in enumerate(plan.cap.tolist()):
        ready = produced[:, bucket] + stock
        delivered[:, bucket] = np.minimum(ready, cap)
        stock = np.minimum(ready - delivered[:, bucket], plan.stock_most)
    return delivered


def measurement_error(units: Units, produced: Floats, draws: Draws) -> Floats:
    """What measuring adds: sigma = sensor_sd / trust, weighted by nameplate, one draw per path and held over all buckets, since a
    meter that reads wrong keeps reading wrong. Trust below 5 % counts as 5 %."""
    weight = units.nameplate / max(float(units.nameplate.sum()), 1e-300)
    spread = units.sensor_sd / np.maximum(units.trust, 0.05)
    error = weight * spread @ normals(draws, MEASUREMENT, 0, units.nameplate.size)[1]
    return np.asarray(error[:, None] * produced.mean(axis=0))
