"""When units are down: lives that end by wear, age or chance, repairs, and shocks that stop a whole site.

A unit fails at the first of three: its degradation passes the threshold (a Wiener or a gamma process), an exponential clock rings, its
life ends by age (Weibull); the causes are independent, so their cumulative hazards add. Repair is lognormal and leaves it as new.
First failures of a site share one Gaussian factor; a shock stops all units of the site at once.

Common random numbers: the draws depend on seed, unit, path and life only. A unit that is more degraded therefore fails no later in
any path, and its cumulative up-time at any time is no larger; in a single late step it may be larger, since it is repaired earlier.
Not for volumes: `forecast` makes those.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from cloud.assets import AssetError, Bools, Floats, numbers
from cloud.assets.hazard import GammaWearBelief, WeibullBelief, WienerBelief, wiener_first_passage

_GRID: Final = 256  # steps of the tabulated cumulative hazard
_DRAWS: Final = 32  # belief draws averaged into the predictive first passage
_CERTAIN: Final = 800.0  # cumulative hazard that no draw exceeds: e^-800 is 0
_MOST_LIVES: Final = 3_000
_FAILURES, _REPAIRS, MEASUREMENT, _SHOCKS, _SHOCK_REPAIRS = 1, 2, 3, 4, 5  # purposes of random streams


@dataclass(frozen=True, slots=True)
class Units:
    """State of the units of one stream, arrays of shape (units,); time in days.

    nameplate: volume per day; level, threshold: degradation now and where it fails; level_sd: what missing or bad data leave open;
    belief: drift and diffusion per day; clock: exponential failures per day (may be infinite: never up);
    clock_new: the same once repaired, None: as before; repair_median, repair_spread: days, and the standard deviation of its logarithm; derate: share delivered while up;
    sensor_sd: relative standard deviation of the volume measurement; trust: tag trust 0-1. gamma: belief on wear that only grows, of the units
    where `by_gamma`; life: belief on the life of units of `age` days (no failures in it: age does not matter).
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
    clock_new: Floats | None = None
    gamma: GammaWearBelief | None = None
    by_gamma: Bools | None = None
    life: WeibullBelief | None = None
    age: Floats | None = None

    def checked(self) -> "Units":
        """Itself, with the numbers of all fields checked. Raises AssetError."""
        for name in ("nameplate", "level_sd", "repair_median", "repair_spread", "derate", "sensor_sd", "trust"):
            if numbers(name, getattr(self, name), low=0).shape != self.nameplate.shape:
                raise AssetError(f"{name}: expected one number per unit")
        for name in ("clock", "clock_new"):
            numbers(name, self.clock if getattr(self, name) is None else getattr(self, name), low=0, infinite=True)
        if (self.gamma is None) != (self.by_gamma is None) or (self.life is None) != (self.age is None):
            raise AssetError("gamma and by_gamma, life and age: expected both or none")
        for name in ("level", "threshold"):
            numbers(name, getattr(self, name))
        if np.any(self.derate > 1) or np.any(self.trust > 1):
            raise AssetError("derate, trust: expected shares from 0 to 1")
        return self


@dataclass(frozen=True, slots=True)
class Draws:
    """seed and number of paths; correlation of the first failures of the site, 0-1 (one-factor Gaussian copula).

    site, keys: numbers that stand for the site and for each unit in the random streams, so that streams of one site share what is the
    site's and what is a unit's; without keys, units draw by their position.
    """

    seed: int
    paths: int
    correlation: float = 0.15
    site: int = 0
    keys: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Outages:
    """Outages of all units, flat: `unit` and `path` indices, [start, end) in days, end cut at the horizon."""

    unit: NDArray[np.int64]
    path: NDArray[np.int64]
    start: Floats
    end: Floats


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
    """-ln P(no failure until t) on the grid, shape (units, grid), averaged over the belief; `level` None: as new, at level and age 0."""
    chance = (np.arange(_DRAWS) + 0.5) / _DRAWS
    normal = special.ndtri(chance)  # one Latin square of belief draws: spread, drift and level in three different orders
    drift, diffusion = units.belief.quantiles(chance, normal[np.arange(_DRAWS) * 13 % _DRAWS])
    present = np.zeros((units.nameplate.size, 1)) if level is None else level[:, None]
    if level_sd is not None:
        present = present + level_sd[:, None] * normal[np.arange(_DRAWS) * 21 % _DRAWS]
    left = units.threshold[:, None] - present
    passed = wiener_first_passage(left[..., None], drift[..., None], diffusion[..., None], grid).mean(axis=1)
    if units.gamma is not None and units.by_gamma is not None:
        passed = np.where(units.by_gamma[:, None], _gamma_passed(units.gamma, units.by_gamma, left, grid), passed)
    wear = -np.log1p(-np.minimum(passed, 1 - 1e-16))
    wear = np.where(passed >= 1 - 1e-16, _CERTAIN, wear)
    clock = units.clock if level is not None or units.clock_new is None else units.clock_new
    rate = np.where(np.isinf(units.clock), 0.0, clock)
    found: Floats = np.maximum.accumulate(wear, axis=1) + rate[:, None] * grid
    if units.life is not None and units.age is not None:
        found += _aged(units.life, units.age if level is not None else np.zeros_like(units.age), grid)
    return found


def _gamma_passed(belief: GammaWearBelief, chosen: Bools, left: Floats, grid: Floats) -> Floats:
    """P(wear has used up what is `left` (units, draws)), mean over draws; 0 for units that are not chosen."""
    found = np.zeros((left.shape[0], grid.size))
    for unit in np.flatnonzero(chosen):
        own = GammaWearBelief(belief.shape_rate[unit], belief.shape[unit], belief.rate[unit])
        found[unit] = own.first_passage(left[unit][:, None], grid).mean(axis=0)
    return found


def _aged(belief: WeibullBelief, age: Floats, grid: Floats) -> Floats:
    """-ln of the predictive survival (B / (B + (t+s)^beta - t^beta))^a."""
    beta = belief.beta[:, None]
    added = (age[:, None] + grid) ** beta - age[:, None] ** beta
    return np.asarray(belief.failures[:, None] * np.log1p(added / belief.exposure[:, None]))


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
    common, own = normals(draws, _FAILURES, life, units.nameplate.size)
    shared = draws.correlation if life == 0 else 0.0
    own = np.sqrt(1 - shared) * own + np.sqrt(shared) * common
    _, repair = normals(draws, _REPAIRS, life, units.nameplate.size)
    with np.errstate(over="ignore"):
        days = units.repair_median[:, None] * np.exp(np.minimum(units.repair_spread[:, None] * repair, 700.0))
    return -special.log_ndtr(-own), days


def normals(draws: Draws, purpose: int, life: int, units: int) -> tuple[Floats, Floats]:
    """Standard normals of the site (paths,) and of its units (units, paths)."""
    if not draws.keys:
        drawn = _stream(draws, purpose, life).standard_normal((units + 1, draws.paths))
        return drawn[0], drawn[1:]
    if len(draws.keys) != units:
        raise AssetError(f"draws: expected {units} keys, found {len(draws.keys)}")
    own = [_stream(draws, purpose, life, 1, key).standard_normal(draws.paths) for key in draws.keys]
    return _stream(draws, purpose, life, 0, draws.site).standard_normal(draws.paths), np.stack(own)


def _stream(draws: Draws, *key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(draws.seed, spawn_key=key)))


@dataclass(frozen=True, slots=True)
class Shocks:
    """What stops all units of a site: `rate` per day, repair lognormal with a median in days and the deviation of its logarithm."""

    rate: float
    repair_median: float
    repair_spread: float = 0.5


def simulate_shocks(shocks: Shocks, horizon: float, draws: Draws) -> Outages:
    """Outages of unit 0, which stands for the site; none overlap. The site's own draws, the same for all its streams."""
    clock, found = np.zeros(draws.paths), []
    for life in range(_MOST_LIVES):
        wait = -special.log_ndtr(normals(draws, _SHOCKS, life, 0 if not draws.keys else len(draws.keys))[0]) / shocks.rate
        spread = normals(draws, _SHOCK_REPAIRS, life, 0 if not draws.keys else len(draws.keys))[0]
        begin = clock + wait
        clock = begin + shocks.repair_median * np.exp(np.minimum(shocks.repair_spread * spread, 700.0))
        path = np.flatnonzero(begin < horizon)
        if not path.size:
            break
        found.append(Outages(np.zeros(path.size, np.int64), path, begin[path], np.minimum(clock[path], horizon)))
    else:
        raise AssetError(f"more than {_MOST_LIVES} shocks within the horizon: expected fewer")
    none = Outages(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
    return Outages(*(np.concatenate([getattr(part, name) for part in (none, *found)]) for name in ("unit", "path", "start", "end")))
