"""Volume forecast: scenarios of what a stream delivers in each bucket, from the state of its units, their repair and the plan.

Each unit alternates between up and down. It fails at the first of two: its degradation passes the threshold, or an exponential
clock rings; repair is lognormal and leaves it as new. First failures of a site share one Gaussian factor. Up-shares of each step
times derate and maintenance pass the stream's topology; inventory and a logistics cap turn production into deliveries.
Measurement uncertainty is its own channel and never part of the volumes.

Common random numbers: the draws depend on seed, unit, path and life only. A unit that is more degraded therefore fails no later in
any path, and its cumulative up-time at any time is no larger; in a single late step it may be larger, since it is repaired earlier.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from cloud.assets import AssetError, Bools, Floats, numbers
from cloud.assets.hazard import WienerBelief, wiener_first_passage
from cloud.assets.topology import Node, structure

QUANTILES: Final = (0.05, 0.25, 0.50, 0.75, 0.95, 0.99)
_GRID: Final = 256  # steps of the tabulated cumulative hazard
_DRAWS: Final = 32  # belief draws averaged into the predictive first passage
_CERTAIN: Final = 800.0  # cumulative hazard that no draw exceeds: e^-800 is 0
_MOST_LIVES: Final = 3_000
_CHUNK: Final = 256  # paths whose steps are held at once; their arrays stay in the processor's cache
_FAILURES, _REPAIRS, _MEASUREMENT = 1, 2, 3  # purposes of random streams


@dataclass(frozen=True, slots=True)
class Units:
    """State of the units of one stream, arrays of shape (units,); time in days.

    nameplate: volume per day; level, threshold: degradation now and where it fails; level_sd: what missing or bad data leave open;
    belief: drift and diffusion per day; clock: exponential failures per day (may be infinite: never up);
    repair_median, repair_spread: days, and the standard deviation of its logarithm; derate: share delivered while up;
    sensor_sd: relative standard deviation of the volume measurement; trust: tag trust 0-1.
    """

    nameplate: Floats
    level: Floats
    level_sd: Floats
    threshold: Floats
    belief: WienerBelief
    clock: Floats
    repair_median: Floats
    repair_spread: Floats
    derate: Floats
    sensor_sd: Floats
    trust: Floats

    def checked(self) -> "Units":
        """Itself, with the numbers of all fields checked. Raises AssetError."""
        for name in ("nameplate", "level_sd", "repair_median", "repair_spread", "derate", "sensor_sd", "trust"):
            if numbers(name, getattr(self, name), low=0).shape != self.nameplate.shape:
                raise AssetError(f"{name}: expected one number per unit")
        numbers("clock", self.clock, low=0, infinite=True)
        for name in ("level", "threshold"):
            numbers(name, getattr(self, name))
        if np.any(self.derate > 1) or np.any(self.trust > 1):
            raise AssetError("derate, trust: expected shares from 0 to 1")
        return self


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
class Draws:
    """seed and number of paths; correlation of the first failures of the site, 0-1 (one-factor Gaussian copula)."""

    seed: int
    paths: int
    correlation: float = 0.15


@dataclass(frozen=True, slots=True)
class VolumeForecast:
    """produced, delivered: (paths, buckets), volume; measurement: (paths, buckets), error of measuring the produced volume, mean 0;
    uptime: (units,) mean share of the horizon; first_failure: (units, paths), days, infinite when none lies within the horizon."""

    produced: Floats
    delivered: Floats
    measurement: Floats
    uptime: Floats
    first_failure: Floats

    @property
    def expected(self) -> Floats:
        """Mean delivered volume per bucket."""
        return np.asarray(self.delivered.mean(axis=0))

    def quantiles(self, at: tuple[float, ...] = QUANTILES) -> Floats:
        """Delivered volume, shape (quantiles, buckets)."""
        return np.asarray(np.quantile(self.delivered, at, axis=0))


@dataclass(frozen=True, slots=True)
class Outages:
    """Outages of all units, flat: `unit` and `path` indices, [start, end) in days, end cut at the horizon."""

    unit: NDArray[np.int64]
    path: NDArray[np.int64]
    start: Floats
    end: Floats


def forecast(units: Units, topology: Node | int, plan: Plan, draws: Draws) -> VolumeForecast:
    """Scenarios of delivered volume. Raises AssetError for parameters that cannot be meant.

    Steps resolve time: within a step a unit counts with the share of it that it is up, then the topology is applied.
    """
    units = units.checked()
    plan = plan.checked(units.nameplate.size)
    if draws.paths < 1 or not 0 <= draws.correlation <= 1:
        raise AssetError("draws: expected at least one path and a correlation from 0 to 1")
    outages, first = simulate_outages(units, float(plan.step_days.sum()), draws)
    produced, uptime = _production(units, topology, plan, draws.paths, outages)
    return VolumeForecast(produced, deliver(produced, plan), measurement_error(units, produced, draws), uptime, first)


def simulate_outages(units: Units, horizon: float, draws: Draws) -> tuple[Outages, Floats]:
    """All outages within `horizon` days, and the first failure of each unit and path. One pass per life, over all units and paths."""
    dead = np.isinf(units.clock)
    grid = np.linspace(0.0, horizon, _GRID + 1)
    now, renewed = (_cumulative_hazard(units, level, spread, grid) for level, spread in ((units.level, units.level_sd), (None, None)))
    clock = np.zeros((units.nameplate.size, draws.paths))
    alive = np.broadcast_to(~dead[:, None], clock.shape)
    at_once: Floats = np.where(alive, np.inf, 0.0)
    first, found, life = at_once, [_never_up(dead, draws.paths, horizon)], 0
    while alive.any():
        if life == _MOST_LIVES:
            raise AssetError(f"a unit fails more than {_MOST_LIVES} times within the horizon: expected a longer repair or a lower hazard")
        exposure, repair = _draw_life(units, draws, life)
        failed = clock + _lifetime(exposure, now if life == 0 else renewed, grid)
        first = np.where(alive, failed, first) if life == 0 else first
        alive = alive & (failed < horizon)
        clock = np.where(alive, failed + repair, np.inf)
        unit, path = np.nonzero(alive)
        found.append(Outages(unit, path, failed[alive], np.minimum(clock[alive], horizon)))
        alive = alive & (clock < horizon)
        life += 1
    joined = (np.concatenate([getattr(part, name) for part in found]) for name in ("unit", "path", "start", "end"))
    return Outages(*joined), np.where(first < horizon, first, np.inf)


def _never_up(dead: Bools, paths: int, horizon: float) -> Outages:
    unit, path = (index.ravel() for index in np.meshgrid(np.flatnonzero(dead), np.arange(paths), indexing="ij"))
    return Outages(unit, path, np.zeros(unit.size), np.full(unit.size, horizon))


def _cumulative_hazard(units: Units, level: Floats | None, level_sd: Floats | None, grid: Floats) -> Floats:
    """-ln P(no failure until t) on the grid, shape (units, grid), averaged over the belief; `level` None: as new, at level 0."""
    chance = (np.arange(_DRAWS) + 0.5) / _DRAWS
    normal = special.ndtri(chance)  # one Latin square of belief draws: spread, drift and level in three different orders
    drift, diffusion = units.belief.quantiles(chance, normal[np.arange(_DRAWS) * 13 % _DRAWS])
    present = np.zeros((units.nameplate.size, 1)) if level is None else level[:, None]
    if level_sd is not None:
        present = present + level_sd[:, None] * normal[np.arange(_DRAWS) * 21 % _DRAWS]
    left = units.threshold[:, None] - present
    passed = wiener_first_passage(left[..., None], drift[..., None], diffusion[..., None], grid).mean(axis=1)
    wear = -np.log1p(-np.minimum(passed, 1 - 1e-16))
    wear = np.where(passed >= 1 - 1e-16, _CERTAIN, wear)
    rate = np.where(np.isinf(units.clock), 0.0, units.clock)
    return np.maximum.accumulate(wear, axis=1) + rate[:, None] * grid


def _lifetime(exposure: Floats, hazard: Floats, grid: Floats) -> Floats:
    """Days until the cumulative hazard (units, grid) reaches `exposure` (units, paths); infinite beyond the grid.

    Bisection for all at once, then linear between grid points: exact for a constant rate.
    """
    low = np.zeros(exposure.shape, dtype=np.int64)
    high = np.full(exposure.shape, grid.size - 1)
    for _ in range((grid.size - 1).bit_length()):
        middle = (low + high) >> 1
        above = np.take_along_axis(hazard, middle, axis=1) > exposure
        high, low = np.where(above, middle, high), np.where(above, low, middle)
    start, end = np.take_along_axis(hazard, low, axis=1), np.take_along_axis(hazard, high, axis=1)
    share = np.clip((exposure - start) / np.maximum(end - start, 1e-300), 0.0, 1.0)
    return np.where(exposure < hazard[:, -1:], grid[low] + share * (grid[high] - grid[low]), np.inf)


def _draw_life(units: Units, draws: Draws, life: int) -> tuple[Floats, Floats]:
    """(unit exponentials until failure, repair in days), shape (units, paths). The site's factor acts on the first failure."""
    normal = _normals(draws, _FAILURES, life, units.nameplate.size + 1)
    shared = draws.correlation if life == 0 else 0.0
    own = np.sqrt(1 - shared) * normal[1:] + np.sqrt(shared) * normal[0]
    repair = _normals(draws, _REPAIRS, life, units.nameplate.size)
    with np.errstate(over="ignore"):
        days = units.repair_median[:, None] * np.exp(np.minimum(units.repair_spread[:, None] * repair, 700.0))
    return -special.log_ndtr(-own), days


def _normals(draws: Draws, purpose: int, life: int, rows: int) -> Floats:
    seed = np.random.SeedSequence(draws.seed, spawn_key=(purpose, life))
    return np.random.Generator(np.random.PCG64(seed)).standard_normal((rows, draws.paths))


def _production(units: Units, topology: Node | int, plan: Plan, paths: int, outages: Outages) -> tuple[Floats, Floats]:
    """(produced volume (paths, buckets), mean up-share of each unit)."""
    edges = np.concatenate([[0.0], np.cumsum(plan.step_days)])
    full = (units.nameplate * units.derate)[:, None] * plan.remaining
    produced = np.empty((paths, plan.bucket_start.size))
    order = np.argsort(outages.path, kind="stable")
    bounds = np.searchsorted(outages.path[order], np.arange(0, paths + _CHUNK, _CHUNK))
    for chunk, begin in enumerate(range(0, paths, _CHUNK)):
        mine = order[bounds[chunk] : bounds[chunk + 1]]
        count = min(_CHUNK, paths - begin)
        up = _up_share(outages, mine, begin, (units.nameplate.size, count, plan.step_days.size), edges)
        rate = structure(topology, np.multiply(up, full[:, None, :], out=up))
        if plan.bucket_start.size == plan.step_days.size:
            np.multiply(rate, plan.step_days, out=produced[begin : begin + count])
        else:
            np.add.reduceat(rate * plan.step_days, plan.bucket_start, axis=1, out=produced[begin : begin + count])
    lost = np.bincount(outages.unit, outages.end - outages.start, minlength=units.nameplate.size)
    return produced, 1.0 - lost / (paths * edges[-1])


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
    error = weight * spread @ _normals(draws, _MEASUREMENT, 0, units.nameplate.size)
    return np.asarray(error[:, None] * produced.mean(axis=0))
