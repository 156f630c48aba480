"""Arrived samples sorted into the ticks of a class: which tag shows what in which period of source time.

A tick ends at each multiple of the class's period. Of several samples of a tag in a tick the newest counts, of equal times the one
that arrived first. Not for what a tick does to health (`assess`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cloud.assets import AssetError, Bools, Floats
from cloud.assets.model import Asset
from cloud.assets.state import ClassState, Newest
from protocols import quality

Ints = NDArray[np.int64]


class Samples(NamedTuple):
    """Samples of one tag: source times (int64), values in engineering units (float64, anything where bad), quality (uint32)."""

    times_us: Ints
    values: Floats
    quality: NDArray[np.uint32]

    def at(self, chosen: NDArray[Any] | tuple[NDArray[Any], ...]) -> "Samples":
        return Samples(self.times_us[chosen], self.values[chosen], self.quality[chosen])

    @classmethod
    def joined(cls, parts: Sequence["Samples"]) -> "Samples":
        times, values = np.concatenate([one.times_us for one in parts]), np.concatenate([one.values for one in parts])
        return cls(times, values, np.concatenate([one.quality for one in parts]))


@dataclass(frozen=True, slots=True)
class Arrivals:
    """New samples of a class beside those of open ticks, flat, sorted by tick and time. settled: of a tick before the asset's newest
    one; touched: (assets,), has new ones."""

    tick: Ints
    asset: Ints
    role: Ints
    samples: Samples
    settled: Bools
    touched: Bools

    def bounds(self) -> list[tuple[int, int]]:
        """[begin, end) of each tick."""
        ends = [*(np.flatnonzero(np.diff(self.tick)) + 1).tolist(), self.tick.size]
        return list(zip([0, *ends[:-1]], ends, strict=True))

    def newest(self, begin: int, end: int, shape: tuple[int, ...], *, settled: bool) -> Newest:
        """The newest sample of each tag among [begin, end): later ones overwrite earlier ones."""
        mine = np.flatnonzero(self.settled[begin:end] == settled) + begin
        shown = Newest.none(*shape)
        place = (self.asset[mine], self.role[mine])
        shown.times_us[place], shown.values[place], shown.quality[place] = self.samples.at(mine)
        return shown


def arrivals(assets: Sequence[Asset], state: ClassState, samples: Mapping[str, Samples], every_us: int) -> Arrivals | None:
    """None when nothing is new. Raises AssetError."""
    roles = {role: at for at, role in enumerate(state.roles)}
    bound = [(row, roles[one.role], one.tag) for row, asset in enumerate(assets) for one in asset.tags if one.tag in samples]
    if not bound:
        return None
    parts = [_sound(tag, samples[tag]) for _, _, tag in bound]
    sizes = [part.times_us.size for part in parts]
    asset, role = np.repeat([row for row, _, _ in bound], sizes), np.repeat([at for _, at, _ in bound], sizes)
    arrived = Samples.joined(parts)
    known = np.maximum(state.seen.times_us, state.open.times_us)
    new = arrived.times_us > known[asset, role]
    if not new.any():
        return None
    touched = np.zeros(len(assets), dtype=bool)
    touched[asset[new]] = True
    held = np.nonzero((state.open.times_us > 0) & touched[:, None])
    asset, role = (np.concatenate([old, found[new]]) for old, found in zip(held, (asset, role), strict=True))
    open_ = Samples(state.open.times_us, state.open.values, state.open.quality).at(held)
    merged = _finite(Samples.joined([open_, arrived.at(new)]))
    return _sorted(asset, role, merged, touched, state.open.times_us.max(axis=1), every_us)


def _sorted(asset: Ints, role: Ints, merged: Samples, touched: Bools, open_us: Ints, every_us: int) -> Arrivals:
    """A new sample of a tick that is settled already counts in the asset's open one."""
    tick = np.maximum(-(-merged.times_us // every_us), -(-open_us[asset] // every_us))
    last = np.zeros(touched.size, np.int64)
    np.maximum.at(last, asset, tick)
    order = np.lexsort((-np.arange(tick.size), merged.times_us, tick))
    settled = tick < last[asset]
    return Arrivals(tick[order], asset[order], role[order], merged.at(order), settled[order], touched)


def _sound(tag: str, samples: Samples) -> Samples:
    if not samples.times_us.size == samples.values.size == samples.quality.size:
        raise AssetError(f"samples of {tag}: times, values and quality have different lengths")
    return samples


def _finite(samples: Samples) -> Samples:
    """A value that is no number is bad."""
    real = np.isfinite(samples.values)
    codes = np.where(real | (samples.quality >= quality.BAD), samples.quality, quality.BAD_SENSOR_FAILURE).astype(np.uint32)
    return Samples(samples.times_us, np.where(real, samples.values, 0.0), codes)
