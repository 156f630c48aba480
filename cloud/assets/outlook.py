"""From the health of assets to what a stream will deliver: its volume forecast, shared among its units.

    AssetHealth -> Units -> forecast (scenarios) -> delivered (scenario, bucket, unit), quantiles, measurement error, digest

Rules. Every variant (worse, repaired, certain) draws the same random numbers, and streams of one site share those of the site and of
the assets they have in common. Measurement error is apart and never inside the volumes. The stream's loss against its plan is shared in
proportion to what each unit fell short by itself, none below zero, so that the units add up to what the stream delivers.
Not for money: cloud/risk values it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np

from cloud.assets import AssetError, Bools, Floats
from cloud.assets.assess import AssetHealth, prior_wear
from cloud.assets.classes import DAY_US, AssetClass, Wear
from cloud.assets.forecast import QUANTILES, Plan, VolumeForecast, deliver, forecast, planned, planned_production
from cloud.assets.hazard import GammaWearBelief, WeibullBelief, WienerBelief, health_factor
from cloud.assets.health import NARROWEST
from cloud.assets.model import Asset, Model, Stream
from cloud.assets.outages import Draws, Shocks, Units

LEAST_SD: Final = NARROWEST / 4
UNKNOWN_SD: Final = 0.25  # of a level of which nothing is known: a quarter of the interval 0-1, as AssetHealth says it


@dataclass(frozen=True, slots=True)
class Horizon:
    """`days` days of 24 h from `start_us`, in buckets of `days_in_bucket` (the last may be shorter). Days are those of UTC."""

    start_us: int
    days: int
    days_in_bucket: int = 1
    zone: str = "UTC"

    def checked(self) -> "Horizon":
        """Itself. Raises AssetError."""
        if not 1 <= self.days <= 3660 or not 1 <= self.days_in_bucket <= self.days:
            raise AssetError(
                f"horizon: expected 1 to 3660 days in buckets no longer than that, found {self.days} and {self.days_in_bucket}"
            )
        if self.zone != "UTC":
            raise AssetError(f'horizon: days of the zone "{self.zone}" are not supported, expected "UTC"')
        return self

    @property
    def edges_us(self) -> tuple[int, ...]:
        """Start of each bucket, and the end."""
        starts = range(self.start_us, self.start_us + self.days * DAY_US, self.days_in_bucket * DAY_US)
        return (*starts, self.start_us + self.days * DAY_US)


@dataclass(frozen=True)
class StreamOutlook:
    """What a stream will deliver; S scenarios, b buckets, u units in the order of `units`. Volumes in the assets' unit.

    delivered, produced: (S, b, u), after and before logistics (the same where there are none), none below 0, adding up to the stream's;
    nameplate: (b, u), delivered with nothing wrong; error: (S, b), of measuring the produced volume, mean 0; uptime: (u,), mean share.
    """

    stream: str
    units: tuple[str, ...]
    edges_us: tuple[int, ...]
    delivered: Floats
    produced: Floats
    nameplate: Floats
    error: Floats
    uptime: Floats

    @cached_property
    def total(self) -> Floats:
        """(S, b): the stream's delivered volume."""
        return np.asarray(np.einsum("sbu->sb", self.delivered))

    @cached_property
    def expected(self) -> Floats:
        """(b,)"""
        return np.asarray(self.total.mean(axis=0))

    @cached_property
    def quantiles(self) -> Floats:
        """(6, b): of the delivered volume at 5, 25, 50, 75, 95 and 99 %."""
        return np.asarray(np.quantile(self.total, QUANTILES, axis=0))

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the arrays' bytes, little-endian, row-major, in the order delivered, produced, nameplate, error, uptime."""
        found = hashlib.sha256()
        for name in ("delivered", "produced", "nameplate", "error", "uptime"):
            found.update(np.ascontiguousarray(getattr(self, name), dtype="<f8").data)
        return found.digest()


def units(model: Model, stream: Stream, healths: Sequence[AssetHealth], start_us: int = 0) -> Units:
    """State of the stream's units from their health; start_us: when the forecast begins, for classes whose age matters.

    An asset without tags stands as its class says, at level 0; one with tags and without a health as one of which nothing is known.
    """
    known = {found.asset: found for found in healths}
    kinds = [model.class_of(asset) for asset in stream.assets]
    own = [known.get(asset.name) for asset in stream.assets]
    blind = [UNKNOWN_SD if kind.roles else 0.0 for kind in kinds]
    failures = [kind.failure for kind in kinds]
    wear = np.array([prior_wear(kind.failure) if found is None else found.wear for kind, found in zip(kinds, own, strict=True)])
    clock = np.array([failure.clock for failure in failures])
    index = np.array([1.0 if found is None else found.index for found in own])
    made = Units(
        stream.nameplate,
        np.array([0.0 if found is None else found.level for found in own]),
        np.array([sd if found is None else found.level_sd for sd, found in zip(blind, own, strict=True)]),
        np.array([failure.threshold for failure in failures]),
        WienerBelief(wear[:, 0], wear[:, 1], wear[:, 2], wear[:, 3]),
        clock * health_factor(index),
        np.array([failure.repair_median for failure in failures]),
        np.array([failure.repair_spread for failure in failures]),
        np.ones(len(own)),
        np.array([failure.sensor_sd for failure in failures]),
        np.array([float(not kind.roles) if found is None else found.trust for kind, found in zip(kinds, own, strict=True)]),
        clock,
    )
    return _aged(_worn(made, kinds, wear), kinds, stream.assets, start_us)


def _worn(made: Units, kinds: Sequence[AssetClass], wear: Floats) -> Units:
    """With beliefs on gamma wear where a class has it: the same prior days, plus what the increments of the level added up to."""
    chosen = np.array([kind.failure.wear is Wear.GAMMA for kind in kinds])
    if not chosen.any():
        return made
    drift = np.array([max(kind.failure.drift, 1e-12) for kind in kinds])
    variance = np.array([kind.failure.diffusion**2 for kind in kinds])
    worth = np.array([kind.failure.worth for kind in kinds])
    shape_rate = drift**2 / variance
    grown = np.maximum(wear[:, 0] * wear[:, 1] - drift * worth, 0.0)
    belief = GammaWearBelief(shape_rate, shape_rate * wear[:, 1], drift * worth + grown)
    return replace(made, gamma=belief, by_gamma=chosen)


def _aged(made: Units, kinds: Sequence[AssetClass], assets: Sequence[Asset], start_us: int) -> Units:
    failures = [kind.failure for kind in kinds]
    if not any(failure.age_eta for failure in failures):
        return made
    if start_us <= 0:
        raise AssetError("units: the age of these assets matters, expected the time at which the forecast begins")
    eta, beta, worth = (
        np.array([getattr(failure, name) if failure.age_eta else default for failure in failures])
        for name, default in (("age_eta", 1.0), ("age_beta", 1.0), ("age_failures", 0.0))
    )
    exposure = np.where(worth > 0, worth, 1.0) * eta**beta
    age = np.array([max(start_us - asset.in_service_us, 0) / DAY_US if asset.in_service_us else 0.0 for asset in assets])
    return replace(made, life=WeibullBelief(beta, worth, exposure), age=age)


def plan(stream: Stream, horizon: Horizon) -> Plan:
    """Days of the horizon with the stream's maintenance, cap and stock."""
    days = horizon.checked().days
    start = np.arange(0, days, horizon.days_in_bucket)
    edges = [horizon.start_us + day * DAY_US for day in range(days + 1)]
    length = np.diff(np.append(start, days))
    return Plan(np.ones(days), start, stream.remaining(edges), stream.cap_per_day * length, stream.stock, stream.stock_most)


def foresee(
    model: Model,
    stream_name: str,
    healths: Sequence[AssetHealth],
    horizon: Horizon,
    draws: Draws,
    *,
    repaired: str | None = None,
    worse: tuple[str, float] | None = None,
    certain: bool = False,
) -> StreamOutlook:
    """The stream over the horizon. repaired: an asset as new; worse: an asset with its degradation raised by so much; certain: as if all
    telemetry were fresh and good. Raises AssetError."""
    stream = model.stream(stream_name)
    state = units(model, stream, healths, horizon.start_us)
    if certain:
        state = replace(state, level_sd=np.where(state.level_sd > 0, LEAST_SD, 0.0), trust=np.ones_like(state.trust))
    if repaired is not None:
        state = _repaired(state, _position(stream, repaired))
    if worse is not None:
        at = _position(stream, worse[0])
        state = replace(state, level=np.where(np.arange(state.level.size) == at, np.maximum(state.level + worse[1], 0.0), state.level))
    site, course = model.site(stream.site), plan(stream, horizon)
    keyed = replace(draws, site=_key(site.name), keys=tuple(_key(asset.name) for asset in stream.assets))
    shocks = Shocks(site.shock_per_day, site.shock_repair) if site.shock_per_day else None
    found = forecast(state, stream.topology, course, keyed, shocks=shocks, by_unit=True)
    return _outlook(stream, horizon, state, course, found)


def _repaired(state: Units, at: int) -> Units:
    here = np.arange(state.level.size) == at
    clock = state.clock if state.clock_new is None else np.where(here, state.clock_new, state.clock)
    age = None if state.age is None else np.where(here, 0.0, state.age)
    sd = np.where(here, np.minimum(state.level_sd, LEAST_SD), state.level_sd)
    return replace(state, level=np.where(here, 0.0, state.level), level_sd=sd, clock=clock, age=age)


def _position(stream: Stream, asset: str) -> int:
    names = [one.name for one in stream.assets]
    if asset not in names:
        raise AssetError(f'asset "{asset}" is not part of stream "{stream.name}": expected one of {", ".join(names)}')
    return names.index(asset)


def _key(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")


def _outlook(stream: Stream, horizon: Horizon, state: Units, course: Plan, found: VolumeForecast) -> StreamOutlook:
    made, own = planned_production(state, stream.topology, course), planned(state, course)
    leaving = deliver(made[None, :], course)[0]
    total = own.sum(axis=0)
    weight = np.where(total > 0, own / np.where(total > 0, total, 1.0), 1.0 / len(stream.assets)).T
    lost = found.lost if found.lost is not None else np.zeros((len(stream.assets), *found.produced.shape))
    delivered = share(found.delivered, leaving, weight, lost)
    produced = delivered if found.produced is found.delivered else share(found.produced, made, weight, lost)
    names = tuple(asset.name for asset in stream.assets)
    nameplate = leaving[:, None] * weight
    return StreamOutlook(stream.name, names, horizon.edges_us, delivered, produced, nameplate, found.measurement, found.uptime)


def _enough(divisor: Floats, dividend: Floats) -> Bools:
    """Where a ratio is finite: a divisor of next to nothing is none."""
    return np.asarray(divisor >= np.finfo(np.float64).tiny * np.maximum(dividend, 1.0))


def share(volume: Floats, plan_volume: Floats, weight: Floats, lost: Floats) -> Floats:
    """Parts (S, b, u) of the stream's `volume` (S, b), none below 0, adding up to it.

    Of the plan (b,), unit u has the part `weight` (b, u). What is missing of the plan is taken from the units in proportion to what they
    lost by themselves (u, S, b), from none more than its part; what that does not cover, and what is delivered beyond the plan out of
    stock, goes by the parts that are left. Where all goes to plan, which is nearly everywhere, nothing is computed.
    """
    parts = plan_volume[:, None] * weight
    found = np.tile(parts, (volume.shape[0], 1))
    rows = np.flatnonzero(volume != plan_volume)
    bucket, count = rows % plan_volume.size, weight.shape[1]
    own, target = parts[bucket], volume.ravel()[rows]
    short = lost.reshape(count, -1)[:, rows].T
    total = np.einsum("ru->r", short)
    missing = np.maximum(plan_volume[bucket] - target, 0.0)
    rate = np.divide(missing, total, out=np.zeros_like(missing), where=_enough(total, missing))
    left = own - np.minimum(short * rate[:, None], own)
    kept = np.einsum("ru->r", left)
    usable = _enough(kept, target)
    scale = np.divide(target, kept, out=np.zeros_like(target), where=usable)
    found[rows] = np.where(usable[:, None], left * scale[:, None], target[:, None] * weight[bucket])
    return found.reshape(*volume.shape, count)
